"""Protocol buffers, walked field by field: ONNX and Caffe files, whose tensors are listed here.

The format: https://protobuf.dev/programming-guides/encoding; numbers of fields: ``onnx.proto`` and
``caffe.proto``. Nothing is copied; a field that claims more bytes than there are is refused.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, ...]

_MOST_DIMENSIONS = 8
#: Graphs within attributes of nodes within graphs.
_MOST_NESTED = 8
_MOST_NUMBERS = 1 << 40
#: Number of an ONNX type -> bytes of a number in ``raw_data``.
_RAW = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
#: Field of an ONNX tensor with numbers of one type -> bytes of one; 0 where it has no fixed size.
_TYPED = {4: 4, 5: 0, 7: 0, 10: 8, 11: 0}


class Message:
    """The fields of a message by their numbers; ``ValueError`` if it is damaged."""

    def __init__(self, content: memoryview) -> None:
        self._fields: dict[int, list[int | memoryview]] = defaultdict(list)
        for number, value in _fields(content):
            self._fields[number].append(value)

    def numbers(self, field: int) -> list[int]:
        """A repeated field of whole numbers, packed or not."""
        found: list[int] = []
        for value in self._fields.get(field, ()):
            found += [value] if isinstance(value, int) else _varints(value)
        return found

    def parts(self, field: int) -> list[memoryview]:
        """A repeated field of bytes, texts or messages."""
        found = self._fields.get(field, [])
        if not all(isinstance(value, memoryview) for value in found):
            raise ValueError(f"field {field} is of another type")
        return found  # type: ignore[return-value]

    def messages(self, field: int) -> Iterator[Message]:
        """A repeated field of messages."""
        return map(Message, self.parts(field))

    def text(self, field: int) -> str:
        """The last text of a field."""
        return bytes((self.parts(field) or [memoryview(b"")])[-1]).decode("utf-8", "replace")

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


def onnx_tensors(content: memoryview) -> dict[str, Shape]:
    """The weights of an ONNX model by name.

    Raises:
        ValueError: it is damaged, or has numbers in another file.
    """
    (graph,) = Message(content).messages(7)
    tensors = _onnx_graph(graph, _MOST_NESTED)
    if not graph.parts(1) or not graph.parts(11) or not graph.parts(12):
        raise ValueError("a graph without nodes, inputs or outputs")
    return tensors


def _onnx_graph(graph: Message, depth: int) -> dict[str, Shape]:
    if depth == 0:
        raise ValueError("graphs in graphs in graphs")
    if 15 in graph:
        raise ValueError("sparse tensors")
    for node in graph.messages(1):
        for attribute in node.messages(5):
            for tensor in (*attribute.messages(5), *attribute.messages(10)):
                _onnx_shape(tensor)
            for inner in (*attribute.messages(6), *attribute.messages(11)):
                _onnx_graph(inner, depth - 1)
    return {tensor.text(8): _onnx_shape(tensor) for tensor in graph.messages(5)}


def _onnx_shape(tensor: Message) -> Shape:
    name, shape = tensor.text(8), _shape(tensor.numbers(1))
    if 13 in tensor or any(tensor.numbers(14)):
        raise ValueError(f"the numbers of {name!r:.50} are in another file")
    count = math.prod(shape)
    if 9 in tensor:
        kind = (tensor.numbers(2) or [0])[-1]
        right = sum(map(len, tensor.parts(9))) == count * _RAW.get(kind, -1)
    else:
        right = any(_count(tensor, field) == count for field in _TYPED) or 6 in tensor
    if not right:
        raise ValueError(f"{name!r:.50} has not as many numbers as its shape {shape} says")
    return shape


def _count(message: Message, field: int) -> int:
    """How many numbers are in a repeated field of any kind."""
    if size := _TYPED[field]:
        return sum(map(len, message.parts(field))) // size
    return len(message.numbers(field))


def _shape(sizes: list[int]) -> Shape:
    if len(sizes) > _MOST_DIMENSIONS or math.prod(sizes) > _MOST_NUMBERS:
        raise ValueError(f"a tensor of shape {sizes!r:.100}")
    return tuple(sizes)


class Blob(NamedTuple):
    """Numbers of a Caffe layer, in the file."""

    shape: Shape
    content: memoryview

    def array(self) -> NDArray[np.float32]:
        """A copy of the numbers."""
        return np.frombuffer(self.content, "<f4").reshape(self.shape).astype(np.float32)


def caffe_layers(content: memoryview) -> dict[str, list[Blob]]:
    """The layers of a Caffe model by name, and their arrays.

    Raises:
        ValueError: it is damaged.
    """
    layers = {
        layer.text(1): [_blob(blob) for blob in layer.messages(7)]
        for layer in Message(content).messages(100)
    }
    if not layers:
        raise ValueError("it has no layers")
    return layers


def _blob(blob: Message) -> Blob:
    sizes = [n for shape in blob.messages(7) for n in shape.numbers(1)]
    if 7 not in blob:  # a Caffe before 2014
        sizes = [n for field in (1, 2, 3, 4) for n in blob.numbers(field)]
    shape = _shape(sizes)
    parts = blob.parts(5)
    content = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
    if len(content) != 4 * math.prod(shape):
        raise ValueError(f"{len(content)} bytes for an array of shape {shape}")
    return Blob(shape, content)
