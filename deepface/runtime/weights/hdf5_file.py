"""HDF5 files as Keras writes them, read without the HDF5 library.

That library hangs on some damaged files. Here every offset and length is checked, and of the format
(https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t1.html, its first edition, the default
of all writers to this day) there is only what Keras uses: groups, hard links, attributes that are
texts, arrays of floats that lie in the file as they are. Links to other places and files, chunks,
compression and references are refused.

Errors are ``ValueError`` or ``struct.error``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepface.runtime.weights.shape import Shape, checked_shape

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Of one group or header: no file of weights has so many.
_MOST_PARTS = 1 << 16
#: Bytes of an attribute, and texts in it.
_MOST_TEXT, _MOST_TEXTS = 1 << 20, 1 << 14

# Kinds of messages in the header of an object.
_SPACE, _TYPE, _EXTERNAL, _LAYOUT, _FILTERS, _ATTRIBUTE = 0x1, 0x3, 0x7, 0x8, 0xB, 0xC
_CONTINUATION, _GROUP, _DENSE_ATTRIBUTES = 0x10, 0x11, 0x15
#: Class bits and properties of IEEE numbers, least significant byte first, by their size.
_IEEE = {
    2: (0x20, 15, struct.pack("<HHBBBBI", 0, 16, 10, 5, 0, 10, 15)),
    4: (0x20, 31, struct.pack("<HHBBBBI", 0, 32, 23, 8, 0, 23, 127)),
    8: (0x20, 63, struct.pack("<HHBBBBI", 0, 64, 52, 11, 0, 52, 1023)),
}
_FLOAT, _STRING, _VARIABLE = 1, 3, 9


class _Type(NamedTuple):
    """A datatype: its class, bits of its own, bytes of a value, properties."""

    kind: int
    bits: int
    size: int
    properties: memoryview


@dataclass(frozen=True)
class Array:
    """An array of floats in the file."""

    shape: Shape
    dtype: str
    content: memoryview

    def read(self) -> NDArray[np.float32]:
        """A copy of the numbers."""
        return np.frombuffer(self.content, self.dtype).reshape(self.shape).astype(np.float32)


@dataclass(frozen=True)
class Part:
    """A group or an array."""

    file: memoryview
    _messages: list[tuple[int, memoryview]]
    _known: dict[int, Part]  # parts of the file by address: a group may be asked for many times

    def __truediv__(self, path: str) -> Part:
        """The part at a path below this group."""
        part = self
        for name in path.strip("/").split("/"):
            links = part._links
            if name not in links:
                raise ValueError(f"{path!r:.100} is missing")
            if (address := links[name]) is None:
                raise ValueError(f"{path!r:.100} is a link, perhaps to another file")
            if address not in self._known:
                self._known[address] = _part(self.file, address, self._known)
            part = self._known[address]
        return part

    def __iter__(self) -> Iterator[str]:
        return iter(self._links)

    def texts(self, name: str) -> list[str] | None:
        """An attribute that is a text or an array of texts; ``None`` without it.

        Of a list that is too long for one attribute, Keras writes parts with numbered names.
        """
        if name in self._attributes:
            return self._attributes[name].texts()
        if f"{name}0" not in self._attributes:
            return None
        numbered = (f"{name}{number}" for number in range(len(self._attributes)))
        found = [self._attributes[part].texts() for part in numbered if part in self._attributes]
        return [text for texts in found for text in texts]

    def array(self) -> Array:
        """This part as an array."""
        if len(layouts := self._of(_LAYOUT)) != 1:
            raise ValueError("a group instead of an array")
        if self._of(_EXTERNAL):
            raise ValueError("an array whose numbers lie in another file")
        if self._of(_FILTERS):
            raise ValueError("a compressed array")
        (space,), (kind,) = self._of(_SPACE), self._of(_TYPE)
        shape, type_ = _shape(space), _type(kind)
        expected = (_FLOAT, *_IEEE.get(type_.size, (0, 0, b"")))
        bits = (type_.bits & 0xFF, type_.bits >> 8)
        if (type_.kind, *bits, bytes(type_.properties[:12])) != expected or shape is None:
            raise ValueError("an array that does not consist of floats")
        content = _content(self.file, layouts[0], type_.size * math.prod(shape))
        return Array(shape, f"<f{type_.size}", content)

    def _of(self, kind: int) -> list[memoryview]:
        return [content for found, content in self._messages if found == kind]

    @cached_property
    def _attributes(self) -> dict[str, _Attribute]:
        for content in self._of(_DENSE_ATTRIBUTES):
            if content[-16:-8] != b"\xff" * 8:
                raise ValueError("attributes in a heap")
        return dict(_attribute(self.file, content) for content in self._of(_ATTRIBUTE))

    @cached_property
    def _links(self) -> dict[str, int | None]:
        """Addresses of the headers by name; ``None`` for a link to somewhere else."""
        tables = self._of(_GROUP)
        if len(tables) != 1:
            raise ValueError("no group, or one with links to other files")
        tree, heap = struct.unpack("<QQ", tables[0][:16])
        names = _heap(self.file, heap)
        return {
            _until_zero(names, offset): None if kind == 2 else address
            for node in _leaves(self.file, tree)
            for offset, address, kind in _entries(self.file, node)
        }


def open_hdf5(content: memoryview) -> Part:
    """The root group of a file."""
    if content[:8] != _SIGNATURE:
        raise ValueError("it does not begin as one")
    if (content[8], content[13], content[14]) != (0, 8, 8):  # version, bytes of offsets and lengths
        raise ValueError("a later edition of HDF5 than Keras uses")
    base, root = struct.unpack_from("<Q", content, 24)[0], struct.unpack_from("<Q", content, 64)[0]
    if base:
        raise ValueError("it does not begin at its beginning")
    return _part(content, root, {})


def _slice(file: memoryview, start: int, size: int) -> memoryview:
    if start + size > len(file):
        raise ValueError("it ends too early")
    return file[start : start + size]


def _part(file: memoryview, address: int, known: dict[int, Part]) -> Part:
    version, _, count, _, size = struct.unpack("<BBHII", _slice(file, address, 12))
    if version != 1:
        raise ValueError("a later edition of HDF5 than Keras uses")
    messages: list[tuple[int, memoryview]] = []
    blocks = [_slice(file, address + 16, size)]
    while blocks and len(messages) < count:
        block = blocks.pop(0)
        while len(block) >= 8 and len(messages) < count:
            kind, length, flags = struct.unpack("<HHB", block[:5])
            content, block = _slice(block, 8, length), block[8 + length :]
            if flags & 2 and kind in (_SPACE, _TYPE, _LAYOUT, _ATTRIBUTE):
                raise ValueError("a header that shares what it says with others")
            if kind == _CONTINUATION:
                blocks.append(_slice(file, *struct.unpack("<QQ", content[:16])))
            messages.append((kind, content))
    return Part(file, messages, known)


def _leaves(file: memoryview, root: int) -> Iterator[int]:
    """Addresses of the nodes with a group's names, from the tree above them."""
    waiting, seen = [root], set[int]()
    while waiting:
        address = waiting.pop(0)
        if address in seen or len(seen) > _MOST_PARTS:
            raise ValueError("a group without an end")
        seen.add(address)
        mark, kind, level, count = struct.unpack("<4sBBH", _slice(file, address, 8))
        if mark != b"TREE" or kind != 0:
            raise ValueError("a group without its tree")
        numbers = struct.unpack(f"<{2 * count}Q", _slice(file, address + 32, 16 * count))
        if level:
            waiting += numbers[::2]
        else:
            yield from numbers[::2]


def _entries(file: memoryview, address: int) -> Iterator[tuple[int, int, int]]:
    """Offset of the name, address of the header, kind of each entry of a node."""
    mark, count = struct.unpack("<4s2xH", _slice(file, address, 8))
    if mark != b"SNOD":
        raise ValueError("a group without its names")
    for entry in range(count):
        yield struct.unpack("<QQI", _slice(file, address + 8 + 40 * entry, 20))


def _heap(file: memoryview, address: int) -> memoryview:
    mark, size, data = struct.unpack("<4s4xQ8xQ", _slice(file, address, 32))
    if mark != b"HEAP":
        raise ValueError("a group without its names")
    return _slice(file, data, size)


def _until_zero(content: memoryview, start: int) -> str:
    text = bytes(content[start : start + _MOST_PARTS])
    return text.partition(b"\0")[0].decode()


def _shape(space: memoryview) -> Shape | None:
    """Sizes; ``()`` of a single value, ``None`` of no value."""
    version, dimensions = space[0], space[1]
    if version not in (1, 2):
        raise ValueError("an array of a later edition of HDF5")
    if version == 2 and space[3] == 2:
        return None
    sizes = struct.unpack_from(f"<{dimensions}Q", space, 8 if version == 1 else 4)
    return checked_shape(sizes)


def _type(content: memoryview) -> _Type:
    kind, size = content[0] & 15, struct.unpack_from("<I", content, 4)[0]
    return _Type(kind, int.from_bytes(content[1:4], "little"), size, content[8:])


def _content(file: memoryview, layout: memoryview, size: int) -> memoryview:
    version, kind = layout[0], layout[1]
    if version != 3 or kind not in (0, 1):
        raise ValueError("an array in chunks")
    if kind == 0:
        (stored,) = struct.unpack_from("<H", layout, 2)
        content = _slice(layout, 4, stored)
    else:
        address, stored = struct.unpack_from("<QQ", layout, 2)
        content = _slice(file, address, stored) if stored else layout[:0]
    if len(content) != size:
        raise ValueError(f"{len(content)} bytes for an array of {size}")
    return content


@dataclass(frozen=True)
class _Attribute:
    file: memoryview
    type_: _Type
    count: int
    content: memoryview

    def texts(self) -> list[str]:
        """The values as texts."""
        kind, bits, size, _ = self.type_
        if self.count == 0:  # of whatever type
            return []
        texts = kind == _STRING or (kind == _VARIABLE and bits & 15 == 1 and size == 16)
        room = min(_MOST_TEXT, len(self.content))
        if not texts or not size or self.count > _MOST_TEXTS or self.count * size > room:
            raise ValueError("an attribute that is no list of names")
        values = (self.content[i * size : (i + 1) * size] for i in range(self.count))
        if kind == _STRING:
            return [bytes(value).rstrip(b"\0 ").decode() for value in values]
        return [self._elsewhere(value).decode() for value in values]

    def _elsewhere(self, reference: memoryview) -> bytes:
        """A text of the heap that all attributes share."""
        length, address, wanted = struct.unpack("<IQI", reference)
        mark, size = struct.unpack("<4s4xQ", _slice(self.file, address, 16))
        if mark != b"GCOL" or length > _MOST_TEXT:
            raise ValueError("a text without its heap")
        heap, position = _slice(self.file, address, size), 16
        while position + 16 <= len(heap):
            index, found = struct.unpack("<H6xQ", heap[position : position + 16])
            if index in (wanted, 0):
                break
            position += 16 + (found + 7) // 8 * 8
        if position + 16 > len(heap) or index != wanted or length > found:
            raise ValueError("a text that its heap does not have")
        return bytes(_slice(heap, position + 16, length))


def _attribute(file: memoryview, content: memoryview) -> tuple[str, _Attribute]:
    version, _, *sizes = struct.unpack("<BBHHH", content[:8])
    if version not in (1, 2, 3):
        raise ValueError("an attribute of a later edition of HDF5")
    position, parts = 9 if version == 3 else 8, []
    for size in sizes:
        parts.append(_slice(content, position, size))
        position += (size + 7) // 8 * 8 if version == 1 else size
    name, type_, space = parts
    shape = _shape(space)
    count = 0 if shape is None else math.prod(shape)
    return _until_zero(name, 0), _Attribute(file, _type(type_), count, content[position:])
