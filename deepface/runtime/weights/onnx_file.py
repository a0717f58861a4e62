"""What an ONNX file holds: nodes and arrays, read without the package ``onnx``.

Of the format (https://onnx.ai, ``onnx.proto``; protocol buffers, proto2/3 wire format) only what
convolutional networks need: nodes with their attributes, and float32 and int64 tensors inside the
file. OpenCV reads the arrays as well, but not the attributes (a batch norm's epsilon), and the
package ``onnx`` would bring protobuf, whose versions TensorFlow and others quarrel about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.errors import WeightsError
from deepface.runtime.weights.checkpoints import LOAD_ERROR

#: ``TensorProto.DataType``.
_DTYPES = {1: "<f4", 7: "<i8"}
#: A message's fields by number: integers, or bytes.
_Fields = dict[int, list[Any]]


@dataclass(frozen=True)
class Node:
    """An operation.

    Attributes:
        kind: ``Conv``, ``Relu``, ...
        inputs: names of what it takes; of arrays and of other nodes' outputs.
        outputs: names of what it gives.
        attributes: numbers and lists of integers.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can run, and constant arrays by name."""

    nodes: list[Node]
    arrays: dict[str, NDArray[Any]]


def read_onnx(path: Path) -> Graph:
    """The graph of an ONNX file.

    Raises:
        WeightsError: it is no ONNX file, or damaged.
    """
    try:
        [graph] = _fields(path.read_bytes())[7]
        fields = _fields(graph)
        nodes = [_node(_fields(message)) for message in fields[1]]
        arrays = dict(_array(_fields(message)) for message in fields[5])
    except (LookupError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{LOAD_ERROR} {path}: it is no ONNX file, or damaged ({error!r}). Delete it, and it "
            "will be downloaded anew."
        ) from error
    return Graph(nodes, arrays)


def _node(fields: _Fields) -> Node:
    return Node(
        kind=_text(fields[4]),
        inputs=tuple(name.decode() for name in fields.get(1, ())),
        outputs=tuple(name.decode() for name in fields.get(2, ())),
        attributes=dict(_attribute(_fields(message)) for message in fields.get(5, ())),
    )


def _attribute(fields: _Fields) -> tuple[str, Any]:
    name = _text(fields[1])
    if 8 in fields:
        return name, _integers(fields[8])
    if 2 in fields:
        return name, float(np.frombuffer(fields[2][0], "<f4")[0])
    return name, fields.get(3, [None])[0]


def _array(fields: _Fields) -> tuple[str, NDArray[Any]]:
    shape = _integers(fields.get(1, []))
    dtype = _DTYPES[fields[2][0]]
    packed = fields.get(9) or fields.get(4) or fields.get(7)
    data = b"".join(packed) if packed else b""
    return _text(fields[8]), np.frombuffer(data, dtype).reshape(shape)


def _text(values: list[Any]) -> str:
    return values[-1].decode()  # type: ignore[no-any-return]


def _integers(values: list[Any]) -> tuple[int, ...]:
    """A repeated field of integers, packed or not."""
    found: list[int] = []
    for value in values:
        found += [value] if isinstance(value, int) else _packed(value)
    return tuple(found)


def _packed(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _fields(data: bytes) -> _Fields:
    """The fields of a message; those of a fixed width as their bytes."""
    fields: _Fields = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value: Any
            value, at = _varint(data, at)
        else:
            length, at = (8, at) if wire == 1 else (4, at) if wire == 5 else _varint(data, at)
            if wire not in (1, 2, 5) or at + length > len(data):
                raise ValueError(f"a broken message at byte {at}")
            value, at = data[at : at + length], at + length
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError(f"a broken number at byte {at}")
