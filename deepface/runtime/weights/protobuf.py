"""Protocol buffers, walked field by field: what ONNX and Caffe files are made of.

The format: https://protobuf.dev/programming-guides/encoding. No package ``protobuf``, about
whose versions TensorFlow and others quarrel. Nothing is copied; a field that claims more bytes than
there are is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

_HALF = 1 << 63


class Message:
    """The fields of a message by their numbers; ``ValueError`` if it is damaged."""

    def __init__(self, content: memoryview) -> None:
        self._fields: dict[int, list[int | memoryview]] = defaultdict(list)
        for number, value in _fields(content):
            self._fields[number].append(value)

    def numbers(self, field: int) -> list[int]:
        """A repeated field of whole numbers, packed or not; of 64 bits, with a sign."""
        found: list[int] = []
        for value in self._fields.get(field, ()):
            found += [value] if isinstance(value, int) else _varints(value)
        return [((value + _HALF) & (2 * _HALF - 1)) - _HALF for value in found]

    def parts(self, field: int) -> list[memoryview]:
        """A repeated field of bytes, texts or messages."""
        found = self._fields.get(field, [])
        if not all(isinstance(value, memoryview) for value in found):
            raise ValueError(f"field {field} is of another type")
        return found  # type: ignore[return-value]

    def messages(self, field: int) -> Iterator[Message]:
        """A repeated field of messages."""
        return map(Message, self.parts(field))

    def texts(self, field: int) -> list[str]:
        """A repeated field of texts."""
        return [bytes(part).decode("utf-8", "replace") for part in self.parts(field)]

    def text(self, field: int) -> str:
        """The last text of a field."""
        return (self.texts(field) or [""])[-1]

    def __contains__(self, field: int) -> bool:
        return field in self._fields


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    position = 0
    while position < len(content):
        key, position = _varint(content, position)
        kind = key & 7
        if kind == 0:
            value, position = _varint(content, position)
            yield key >> 3, value
            continue
        if kind == 2:
            size, position = _varint(content, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if position + size > len(content):
            raise ValueError("it ends too early")
        yield key >> 3, content[position : position + size]
        position += size


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            raise ValueError("it ends too early")
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a number without an end")


def _varints(content: memoryview) -> list[int]:
    found, position = [], 0
    while position < len(content):
        value, position = _varint(content, position)
        found.append(value)
    return found
