"""Sizes and turns of AVIF files that are written here, however their boxes and streams are laid."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepface.images.containers import avif
from deepface.images.header import read_header

FTYP = b"\0\0\0\x10ftypavif\0\0\0\0"
Draw = Callable[..., Any]


def box(kind: bytes, *content: bytes, wide: bool = False) -> bytes:
    inner = b"".join(content)
    if wide:
        return struct.pack(">I4sQ", 1, kind, len(inner) + 16) + inner
    return struct.pack(">I4s", len(inner) + 8, kind) + inner


def sequence(draw: Draw, width: int, height: int) -> bytes:
    """A sequence header (AV1, 5.5.1) with any parts that may stand before the size."""
    bits = ""

    def put(count: int, value: int | None = None) -> int:
        nonlocal bits
        value = draw(st.integers(0, 2**count - 1)) if value is None else value
        bits += f"{value:0{count}b}"
        return value

    all_of_it = draw(st.booleans())

    def flag() -> int:
        return put(1, 1 if all_of_it else None)

    put(4)
    if put(1, 0 if all_of_it else None):
        put(5)
    else:
        delay = 0
        if flag():
            put(64)
            if flag():
                zeros = draw(st.integers(0, 31))
                put(zeros + 1, 1)
                if zeros:
                    put(zeros)
            if flag():
                delay = put(5) + 1
                put(42)
        has_delays = flag()
        for _ in range(put(5, draw(st.integers(0, 3))) + 1):
            put(12)
            if put(5, draw(st.integers(6, 9) | st.integers(0, 31))) > 7:
                put(1)
            if delay and flag():
                put(2 * delay + 1)
            if has_delays and flag():
                put(4)
    lengths = [draw(st.integers(side.bit_length(), 16)) for side in (width, height)]
    for length in lengths:
        put(4, length - 1)
    for side, length in zip((width, height), lengths, strict=True):
        put(length, side - 1)
    bits += "1" + "0" * (-len(bits) - 1 & 7)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def unit(draw: Draw, kind: int, content: bytes, last: bool = False) -> bytes:
    extended, sized = draw(st.booleans()), not last or draw(st.booleans())
    head = bytes([kind << 3 | extended << 2 | sized << 1]) + bytes(extended)
    more = draw(st.integers(0, 2))  # bytes that the length takes although it need not
    length = bytearray()
    rest = len(content)
    while rest > 127 or more > len(length):
        length.append(rest & 127 | 128)
        rest >>= 7
    length.append(rest)
    return head + (bytes(length) if sized else b"") + content


def stream(draw: Draw, width: int, height: int) -> bytes:
    """Units of other kinds (a temporal delimiter, padding) before and behind the header."""
    other = st.tuples(st.sampled_from([2, 15]), st.binary(max_size=150))
    before, behind = draw(st.lists(other, max_size=2)), draw(st.booleans())
    units = [unit(draw, *of) for of in before]
    units.append(unit(draw, 1, sequence(draw, width, height), not behind))
    return b"".join([*units, unit(draw, 15, b"\xff", last=True) if behind else b""])


def still(draw: Draw, content: bytes) -> bytes:
    """A picture whose stream lies in parts, in the file or in the box ``idat``."""
    version = draw(st.integers(0, 2))
    inside = version > 0 and draw(st.booleans())
    count = draw(st.integers(1, 3))
    cuts = sorted(draw(st.integers(0, len(content))) for _ in range(count - 1))
    # A part without a length would be the rest of the file.
    parts = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True) if b > a]
    offsets, lengths = draw(st.sampled_from([4, 8])), draw(st.sampled_from([4, 8]))
    bases = draw(st.sampled_from([0, 4, 8]))
    indexes = draw(st.sampled_from([0, 4])) if version else 0
    number = draw(st.integers(1, 200))
    wide = version == 2

    def meta(start: int) -> bytes:
        entry = number.to_bytes(4 if wide else 2, "big")
        entry += (b"\0\1" if inside else b"\0\0") if version else b""
        entry += b"\0\0" + base.to_bytes(bases, "big") + struct.pack(">H", len(parts))
        at = start - base
        for part in parts:
            entry += bytes(indexes) + at.to_bytes(offsets, "big")
            entry += len(part).to_bytes(lengths, "big")
            at += len(part)
        head = bytes([version, 0, 0, 0, offsets << 4 | lengths, bases << 4 | indexes])
        iloc = box(b"iloc", head, (1).to_bytes(4 if wide else 2, "big"), entry)
        infe = box(
            b"infe",
            bytes([infe_version, 0, 0, 0]),
            struct.pack(">I" if infe_version == 3 else ">H", number),
            b"\0\0av01\0",
        )
        items = box(b"iinf", b"\1\0\0\0\0\0\0\1" if long_list else b"\0\0\0\0\0\1", infe)
        idat = box(b"idat", b"\xff" * 5, content) if inside else b""
        return box(b"meta", b"\0\0\0\0", iloc, items, idat, wide=wide_meta)

    infe_version, base = draw(st.integers(2, 3)), draw(st.integers(0, 5)) if bases else 0
    long_list, wide_meta = draw(st.booleans()), draw(st.booleans())
    first = FTYP + meta(5)
    if inside:
        return first
    gap = draw(st.binary(max_size=9))
    return FTYP + meta(len(first) + 8 + len(gap)) + box(b"mdat", gap, content)


def animation(draw: Draw, content: bytes) -> bytes:
    """The track's table of chunks tells where the stream begins; it goes on to the file's end."""
    kind = draw(st.sampled_from([b"stco", b"co64"]))

    def moov(at: int) -> bytes:
        place = struct.pack(">I" if kind == b"stco" else ">Q", at)
        inner = box(kind, b"\0\0\0\0\0\0\0\1", place)
        for parent in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
            inner = box(parent, box(b"free"), inner)
        return inner

    return FTYP + moov(len(FTYP + moov(0)) + 8) + box(b"mdat", content)


@settings(max_examples=60)
@given(
    st.data(), st.integers(1, 60_000), st.integers(1, 60_000), st.sampled_from([still, animation])
)
def test_the_size_in_a_stream(
    data: st.DataObject, width: int, height: int, lay: Callable[[Draw, bytes], bytes]
) -> None:
    header = read_header(lay(data.draw, stream(data.draw, width, height)))
    assert header is not None
    assert header.layout.size == (width, height)


#: What the numbers of EXIF mean.
UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda image: image,
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).T,
    8: np.rot90,
}


@given(st.data())
def test_the_turn_is_that_of_the_picture_among_the_properties(data: st.DataObject) -> None:
    draw = data.draw
    picture, turns, axis = (
        draw(st.integers(1, 300)),
        draw(st.integers(0, 3)),
        draw(st.integers(0, 1)),
    )
    properties = {
        b"ispe": bytes(4) + struct.pack(">II", 4, 4),
        b"irot": bytes([turns]),
        b"imir": bytes([axis]),
        b"pixi": bytes(8),
    }
    order = draw(st.permutations(sorted(properties)))
    has = draw(st.lists(st.sampled_from(order), unique=True))
    version, wide, long = (draw(st.integers(0, 1)) for _ in range(3))

    def entry(item: int, numbers: list[int]) -> bytes:
        essential = draw(st.integers(0, 1)) << (15 if wide else 7)
        listed = [(number | essential).to_bytes(1 + wide, "big") for number in numbers]
        head = item.to_bytes(4 if version else 2, "big") + bytes([len(numbers)])
        return head + b"".join(listed)

    entries = draw(
        st.permutations(
            [
                entry(picture, [order.index(kind) + 1 for kind in has]),
                entry(picture + 1, [0, 1, 2, 3, 4]),
            ]
        )
    )
    content = FTYP + box(
        b"meta",
        bytes(4),
        box(b"pitm", bytes([long, 0, 0, 0]), picture.to_bytes(4 if long else 2, "big")),
        box(
            b"iprp",
            box(b"ipco", *(box(kind, properties[kind]) for kind in order)),
            box(b"ipma", bytes([version, 0, 0, wide]), struct.pack(">I", 2), *entries),
        ),
    )
    stored = np.arange(6).reshape(2, 3)
    expected = np.rot90(stored, turns) if b"irot" in has else stored
    if b"imir" in has:
        expected = np.fliplr(expected) if axis else np.flipud(expected)
    assert np.array_equal(UPRIGHT[avif.orientation(content)](stored), expected)


@pytest.mark.parametrize("brand", [b"avif", b"avis", b"mif1"])
def test_brands(brand: bytes) -> None:
    assert avif.is_avif(box(b"ftyp", b"mif1" + bytes(4), b"miaf", brand)) is (brand != b"mif1")
