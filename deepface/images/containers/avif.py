"""AVIF files: boxes, and AV1 code streams in them, each with a size of its own.

ISO/IEC 23008-12 (boxes) and the AV1 bitstream specification, 5.3 (units) and 5.5 (sequence header).
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from deepface.images.containers.layout import DamagedFile, Layout, bounded, largest

#: Boxes that hold boxes, and how many bytes come before those.
_PARENTS = dict.fromkeys((b"iprp", b"ipco", b"moov", b"trak", b"mdia", b"minf", b"stbl"), 0)
_PARENTS |= {b"meta": 4, b"iinf": 6}
_MOST_PARTS = 10_000
_SEQUENCE_HEADER = 1
#: Numbers of EXIF by turns to the left; each for what is not mirrored then, mirrored upside down,
#: mirrored left to right.
_ORIENTATIONS = ((1, 4, 2), (8, 5, 7), (3, 2, 4), (6, 7, 5))


def is_avif(data: bytes) -> bool:
    """Whether a file begins with the box that names AVIF among its brands."""
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return data[4:8] == b"ftyp" and any(
        brands[at : at + 4] in (b"avif", b"avis") for at in range(0, len(brands), 4)
    )


def layout(data: bytes) -> Layout:
    """The largest size that a property or a code stream tells: libavif scales to the former."""
    boxes: defaultdict[bytes, list[int]] = defaultdict(list)
    for kind, start, _ in _boxes(data, 0, len(data)):
        boxes[kind].append(start)
    sizes: list[tuple[int, int]] = [
        struct.unpack_from(">II", data, start + 4) for start in boxes[b"ispe"]
    ]
    streams: list[bytes | memoryview] = [*_animations(data, boxes), *_pictures(data, boxes)]
    units = itertools.chain.from_iterable(map(_units, streams))
    for kind_of_unit, unit in bounded(units, _MOST_PARTS):
        if kind_of_unit == _SEQUENCE_HEADER:
            sizes.append(_sequence_size(_Bits(bytes(unit[:1_000]))))
    has_alpha = bool(boxes[b"auxC"])  # decoded although it is dropped
    return Layout(*largest(sizes), 40 if has_alpha else 22)


def _animations(data: bytes, boxes: Mapping[bytes, list[int]]) -> Iterator[memoryview]:
    """Their code streams."""
    for kind, code in ((b"stco", ">I"), (b"co64", ">Q")):
        for start in boxes[kind]:
            (at,) = struct.unpack_from(code, data, start + 8)
            yield memoryview(data)[at:]


def _pictures(data: bytes, boxes: Mapping[bytes, list[int]]) -> Iterator[bytes]:
    """Their code streams, each joined of its parts, which may lie apart."""
    kinds: dict[int, bytes] = {}
    for start in boxes[b"infe"]:
        code = ">IH4s" if data[start] == 3 else ">HH4s"
        number, _, kinds[number] = struct.unpack_from(code, data, start + 4)
    places: list[_Place] = []
    for start in boxes[b"iloc"]:
        places += bounded(_Reader(data, start).places(), _MOST_PARTS)
    if sum(place.length for place in places) > 2 * len(data):
        raise DamagedFile("is damaged: its parts are larger than the whole")
    (internal,) = boxes[b"idat"][-1:] or (0,)
    parts: dict[int, list[bytes]] = {}
    for number, is_internal, at, length in places:
        if kinds.get(number) == b"av01":
            at += internal if is_internal else 0
            parts.setdefault(number, []).append(data[at : at + length])
    return map(b"".join, parts.values())


def orientation(data: bytes) -> int:
    """What the properties ``irot`` and ``imir`` of the picture say, as a number of EXIF."""
    with contextlib.suppress(struct.error, LookupError, DamagedFile):
        boxes = {kind: (start, end) for kind, start, end in _boxes(data, 0, len(data))}
        picture = boxes[b"pitm"][0]
        (item,) = struct.unpack_from(">I" if data[picture] else ">H", data, picture + 4)
        properties = [(kind, start) for kind, start, _ in _boxes(data, *boxes[b"ipco"])]
        numbers = bounded(_Reader(data, boxes[b"ipma"][0]).properties(item), _MOST_PARTS)
        found = dict(properties[number - 1] for number in numbers)
        turns = data[found[b"irot"]] & 3 if b"irot" in found else 0
        return _ORIENTATIONS[turns][1 + (data[found[b"imir"]] & 1) if b"imir" in found else 0]
    return 1


class _Place(NamedTuple):
    """A part of an item: where it lies, in the box ``idat`` or the file."""

    item: int
    is_internal: bool
    at: int
    length: int


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each box, where its content begins and ends; boxes in boxes included."""
    waiting = [(start, end)]
    for _ in range(_MOST_PARTS):
        while waiting and waiting[-1][0] + 8 > waiting[-1][1]:
            waiting.pop()
        if not waiting:
            return
        at, end = waiting.pop()
        length, kind = struct.unpack_from(">I4s", data, at)
        inner = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, inner)
            inner += 8
        after = at + length if length else end
        if not inner <= after <= end:
            raise DamagedFile(
                f"is cut off or damaged: its part {kind!r} at byte {at} declares {length} bytes, "
                f"{end - at} follow"
            )
        waiting.append((after, end))
        yield kind, inner, after
        if kind in _PARENTS:
            waiting.append(
                (inner + _PARENTS[kind] + (2 if kind == b"iinf" and data[inner] else 0), after)
            )
    raise DamagedFile(f"has more than {_MOST_PARTS} parts")


class _Reader:
    """Numbers of so many bytes, one after the other."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def take(self, count: int) -> int:
        self._at += count
        if self._at > len(self._data):
            raise DamagedFile("is cut off")
        return int.from_bytes(self._data[self._at - count : self._at], "big")

    def places(self) -> Iterator[_Place]:
        """The box ``iloc``; a length of 0 is the rest of the file."""
        version = self.take(4) >> 24
        sizes = self.take(2)
        offset_size, length_size, base_size, index_size = (sizes >> n & 15 for n in (12, 8, 4, 0))
        long = 4 if version == 2 else 2
        for _ in range(self.take(long)):
            number = self.take(long)
            inside = bool(version and self.take(2) & 15)
            self.take(2)
            base = self.take(base_size)
            for _ in range(self.take(2)):
                self.take(index_size if version else 0)
                at = base + self.take(offset_size)
                length = self.take(length_size) or max(0, len(self._data) - at)
                yield _Place(number, inside, at, length)

    def properties(self, item: int) -> Iterator[int]:
        """The box ``ipma``: numbers of the properties of an item, from 1."""
        version = self.take(4)
        size = 2 if version & 1 else 1
        for _ in range(self.take(4)):
            number = self.take(4 if version >> 24 else 2)
            for _ in range(self.take(1)):
                index = self.take(size) & (0x7FFF if size == 2 else 0x7F)
                if number == item and index:
                    yield index


class _Bits:
    """Numbers of so many bits; zeros behind the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        return (self._value >> self._left if self._left >= 0 else 0) & ((1 << count) - 1)


def _units(stream: bytes | memoryview) -> Iterator[tuple[int, bytes | memoryview]]:
    """The kind and the content of each unit of a code stream."""
    at = 0
    while at + 2 <= len(stream):
        head = stream[at]
        at += 2 if head & 4 else 1
        length = len(stream) - at
        if head & 2:
            length = shift = 0
            while at < len(stream) and shift < 56:
                length |= (stream[at] & 127) << shift
                at, shift = at + 1, shift + 7
                if stream[at - 1] < 128:
                    break
        yield head >> 3 & 15, stream[at : at + length]
        at += length


def _sequence_size(bits: _Bits) -> tuple[int, int]:
    take = bits.take
    take(4)
    if take(1):  # of a still picture
        take(5)
    else:
        delay = 0
        if take(1):  # timing
            take(64)
            if take(1):
                zeros = 0
                while not take(1) and zeros < 32:
                    zeros += 1
                take(zeros)
            if take(1):
                delay = take(5) + 1
                take(42)
        has_delays = take(1)
        for _ in range(take(5) + 1):
            take(12)
            if take(5) > 7:
                take(1)
            if delay and take(1):
                take(2 * delay + 1)
            if has_delays and take(1):
                take(4)
    width_bits, height_bits = take(4) + 1, take(4) + 1
    return take(width_bits) + 1, take(height_bits) + 1
