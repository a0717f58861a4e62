"""The tensors of a TensorFlow Lite model, by walking its FlatBuffer.

The format: https://flatbuffers.dev/internals; the order of fields: ``schema.fbs`` of TensorFlow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from deepface.runtime.weights.shape import Shape

_MARK = b"TFL3"
_MOST_TENSORS = 1 << 16


def tflite_tensors(content: memoryview) -> dict[str, Shape]:
    """Names and shapes of all tensors, those between the layers included.

    Raises:
        ValueError: it is damaged or something else.
    """
    if content[4:8] != _MARK:
        raise ValueError("it does not begin as one")
    try:
        model = _Table(content, _at(content, "<I", 0))
        return {
            tensor.text(3): tensor.numbers(0)
            for graph in model.tables(2)
            for tensor in graph.tables(0)
        }
    except struct.error as error:
        raise ValueError("it ends too early") from error


class _Table:
    def __init__(self, content: memoryview, position: int) -> None:
        self._content, self._position = content, position
        self._fields = position - _at(content, "<i", position)

    def _place(self, field: int) -> int | None:
        """Where the content of a field begins; ``None`` without it."""
        offset = 4 + 2 * field
        if self._fields < 0 or offset >= _at(self._content, "<H", self._fields):
            return None
        found = _at(self._content, "<H", self._fields + offset)
        return (found and self._position + found) or None

    def _vector(self, field: int) -> tuple[int, int]:
        """Position of the first item, and how many there are."""
        place = self._place(field)
        if place is None:
            return 0, 0
        place += _at(self._content, "<I", place)
        return place + 4, _at(self._content, "<I", place)

    def tables(self, field: int) -> Iterator[_Table]:
        start, count = self._vector(field)
        if count > _MOST_TENSORS:
            raise ValueError(f"{count} parts")
        for place in range(start, start + 4 * count, 4):
            yield _Table(self._content, place + _at(self._content, "<I", place))

    def numbers(self, field: int) -> Shape:
        start, count = self._vector(field)
        content = self._content[start : start + 4 * count]
        return tuple(np.frombuffer(content, "<i4").tolist())

    def text(self, field: int) -> str:
        start, count = self._vector(field)
        return bytes(self._content[start : start + count]).decode("utf-8", "replace")


def _at(content: memoryview, kind: str, position: int) -> int:
    number: int
    (number,) = struct.unpack_from(kind, content, position)
    return number
