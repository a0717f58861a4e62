"""A TensorFlow Lite model with the face of BlazeFace: its inputs and outputs, but no network.

It answers every picture with the same numbers plus the picture's mean, so that a black picture has
a known answer. Tables and field numbers are those of TensorFlow Lite's ``schema.fbs``, version 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FLOAT, _INT, _BYTE = 0, 2, 3
_ADD, _MEAN, _CAST = 0, 40, 53


def blaze_face(boxes: NDArray[Any], scores: NDArray[Any]) -> bytes:
    """The model file.

    Args:
        boxes: ``(896, 16)``, for each anchor the box and six points as the network gives them.
        scores: ``(896,)``, before the sigmoid.
    """
    import flatbuffers  # type: ignore[import-untyped]

    file = flatbuffers.Builder(1 << 18)

    def table(**slots: Callable[[int], None]) -> int:
        file.StartObject(8)
        for slot, prepend in slots.items():
            prepend(int(slot[1:]))
        return int(file.EndObject())

    def integer(value: int) -> Callable[[int], None]:
        return lambda slot: file.PrependInt32Slot(slot, value, 0)

    def byte(value: int) -> Callable[[int], None]:
        return lambda slot: file.PrependInt8Slot(slot, value, 0)

    def offset(value: int) -> Callable[[int], None]:
        return lambda slot: file.PrependUOffsetTRelativeSlot(slot, value, 0)

    def vector(values: list[int]) -> Callable[[int], None]:
        return offset(file.CreateNumpyVector(np.array(values, np.int32)))

    def tables(items: list[int]) -> Callable[[int], None]:
        file.StartVector(4, len(items), 4)
        for item in reversed(items):
            file.PrependUOffsetTRelative(item)
        return offset(file.EndVector())

    def constant(array: NDArray[Any]) -> int:
        content = array.tobytes()
        file.StartVector(1, len(content), 16)  # the run time reads it in place, aligned
        for number in reversed(content):
            file.PrependByte(number)
        return table(_0=offset(file.EndVector()))

    def tensor(name: str, shape: list[int], kind: int, buffer: int = 0) -> int:
        label = offset(file.CreateString(name))
        return table(_0=vector(shape), _1=byte(kind), _2=integer(buffer), _3=label)

    def operator(code: int, inputs: list[int], output: int, options: int, filled: int) -> int:
        return table(
            _0=integer(code),
            _1=vector(inputs),
            _2=vector([output]),
            _3=byte(options),
            _4=offset(filled),
        )

    buffers = [
        table(),
        constant(np.array([1, 2, 3], np.int32)),
        constant(boxes.astype(np.float32)),
        constant(scores.astype(np.float32)),
    ]
    tensors = [
        tensor("picture", [1, 128, 128, 3], _BYTE),
        tensor("numbers", [1, 128, 128, 3], _FLOAT),
        tensor("axes", [3], _INT, buffer=1),
        tensor("mean", [1], _FLOAT),
        tensor("constant boxes", [1, 896, 16], _FLOAT, buffer=2),
        tensor("constant scores", [1, 896, 1], _FLOAT, buffer=3),
        tensor("boxes", [1, 896, 16], _FLOAT),
        tensor("scores", [1, 896, 1], _FLOAT),
    ]
    codes = [table(_0=byte(code), _2=integer(1), _3=integer(code)) for code in (_CAST, _MEAN, _ADD)]
    operators = [
        operator(0, [0], 1, 37, table(_0=byte(_BYTE), _1=byte(_FLOAT))),
        operator(1, [1, 2], 3, 27, table()),
        operator(2, [3, 4], 6, 11, table()),
        operator(2, [3, 5], 7, 11, table()),
    ]
    graph = table(_0=tables(tensors), _1=vector([0]), _2=vector([6, 7]), _3=tables(operators))
    model = table(_0=integer(3), _1=tables(codes), _2=tables([graph]), _4=tables(buffers))
    file.Finish(model, file_identifier=b"TFL3")
    return bytes(file.Output())
