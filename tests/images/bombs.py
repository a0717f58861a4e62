"""Small files whose headers ask for much: declared lengths, sizes and counts at their extremes.

Each is below 1 MB. Some are damaged, some are whole pictures of one colour.
"""

from __future__ import annotations

import io
import itertools
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeAlias

import cv2
import PIL.Image

from tests.images.pictures import encoded, picture

#: Just below the limit on pixels that a picture may have.
SIDE = 13_370
#: What a length or a count of 32 bits can be.
COUNTS = (0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFF0, 1 << 30, 1 << 24, 0)
PNG = b"\x89PNG\r\n\x1a\n"


def bombs() -> Iterator[tuple[str, bytes]]:
    """Every file, with what it is."""
    for family in (
        _png,
        _jpeg,
        _exif,
        _bmp,
        _gif,
        _webp,
        _tiff,
        _pnm,
        _text,
        _jpeg2000,
        _avif,
        _others,
    ):
        for name, content in family():
            assert len(content) < 1_000_000, (name, len(content))
            yield f"{family.__name__[1:]}: {name}", content


def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    """A chunk of a PNG file, whose length may be another than that of its content."""
    length = len(content) if length is None else length
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", length) + kind + content + checksum


def ihdr(width: int, height: int, bits: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace))


def zeros(count: int) -> bytes:
    """So many zeros, deflated: a block that is repeated, and Adler's sum."""
    packer = zlib.compressobj(9)
    packer.compress(bytes(1 << 20))
    packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = packer.compress(bytes(count & 0xFFFFF)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = struct.pack(">I", (count % 65_521) << 16 | 1)
    return b"\x78\xda" + block * (count >> 20) + rest + b"\x03\0" + checksum


@cache
def flat(kind: str, width: int, height: int, mode: str = "RGB", **options: object) -> bytes:
    """A whole picture of one colour."""
    stream = io.BytesIO()
    PIL.Image.new(mode, (width, height)).save(stream, kind, **options)
    return stream.getvalue()


def _png() -> Iterator[tuple[str, bytes]]:
    end = chunk(b"IEND", b"")
    small = PNG + ihdr(4, 4)
    pixels = chunk(b"IDAT", zlib.compress(bytes(52)))
    kinds = b"IDAT PLTE tEXt zTXt iTXt iCCP eXIf tRNS acTL fcTL fdAT sPLT hIST pCAL abCD IEND IHDR"
    for kind, length in itertools.product(kinds.split(), COUNTS):
        broken = chunk(kind, b"abc\0\0", length)
        yield f"{kind.decode()} of {length} before the pixels", small + broken + pixels + end
        yield f"{kind.decode()} of {length} after the pixels", small + pixels + broken + end
        yield f"{kind.decode()} of {length} and no more", small + struct.pack(">I", length) + kind
    for width, height in ((SIDE, SIDE), (1, 170_000_000), (170_000_000, 1), (1 << 20, 170)):
        for bits, colour, interlace in ((8, 2, 0), (16, 6, 1), (1, 0, 0)):
            head = PNG + ihdr(width, height, bits, colour, interlace)
            yield f"{width} x {height} {bits} {colour} {interlace}", head + pixels + end
    black = chunk(b"IDAT", zeros(16_000 * 16_001))
    yield "16000 x 16000 grey, whole", PNG + ihdr(16_000, 16_000, 8, 0) + black + end
    yield "too many pixels", small + chunk(b"IDAT", zeros(800_000_000)) + end
    bomb = zeros(700_000_000)
    for kind, start in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        yield f"{kind.decode()} bomb", small + chunk(kind, start + bomb) + pixels + end
        yield f"{kind.decode()} bomb behind", small + pixels + chunk(kind, start + bomb) + end
    yield "many chunks", small + chunk(b"abCd", b"") * 80_000 + pixels + end
    yield "many texts", small + chunk(b"tEXt", b"a\0b") * 60_000 + pixels + end
    yield "many chunks of pixels", small + chunk(b"IDAT", b"") * 80_000 + pixels + end
    for frames in COUNTS:
        animation = chunk(b"acTL", struct.pack(">II", frames, 0))
        for side in (4, 65_535, 0x7FFFFFFF):
            frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, side, side, 0, 0, 1, 1, 0, 0))
            yield f"{frames} frames of {side}", small + animation + frame + pixels + end
            yield (
                f"{frames} frames of {side} behind",
                small + pixels + animation + frame + chunk(b"fdAT", b"\0\0\0\1" + pixels) + end,
            )


def _segment(marker: int, content: bytes, length: int | None = None) -> bytes:
    length = len(content) + 2 if length is None else length
    return struct.pack(">BBH", 255, marker, length) + content


def _jpeg() -> Iterator[tuple[str, bytes]]:
    for flags in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]):
        whole = bytes(cv2.imencode(".jpg", picture(), flags)[1])
        frame = next(at for at in (whole.find(b"\xff\xc0"), whole.find(b"\xff\xc2")) if at > 0)
        for height, width in ((2_730, 65_500), (65_500, 2_730), (65_535, 1), (0, 500)):
            size = struct.pack(">HH", height, width)
            for marker in (0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA):
                start = whole[:frame] + bytes([255, marker]) + whole[frame + 2 : frame + 5]
                yield f"{width} x {height} of kind {marker:x}", start + size + whole[frame + 9 :]
            yield (
                f"{width} x {height}, twelve bits",
                (whole[: frame + 4] + b"\x0c" + size + whole[frame + 9 :]),
            )
        for components in (1, 4, 255):
            changed = whole[: frame + 9] + bytes([components]) + whole[frame + 10 :]
            yield f"{components} components", changed
        big = whole[: frame + 5] + struct.pack(">HH", 2_000, 16_000) + whole[frame + 9 :]
        scan = big.rfind(b"\xff\xda")
        yield "many scans", big[:-2] + big[scan:-2] * (900_000 // (len(big) - scan))
        yield "many marks", big[:-2] + b"\xff\xda\0\2" * 101 + b"\xff" * 800_000 + b"\0"
        yield "many tables", whole[:2] + _segment(0xDB, bytes(65)) * 13_000 + whole[2:]
        yield "many resets", whole[:-2] + b"\xff\xd0" * 400_000
    for scans in (101, 30_000):
        yield f"{scans} scans of nothing", _scans(scans, 5_000, 5_500)
    for count in COUNTS:
        for kind in (1, 2, 5, 12, 99):
            entry = struct.pack("<HHII", 0x112, kind, count, 0xFFFFFF00)
            tiff = b"II*\0\x08\0\0\0" + struct.pack("<H", 40) + entry * 40
            exif = _segment(0xE1, b"Exif\0\0" + tiff)
            jpeg = encoded(picture(), ".jpg")
            yield f"EXIF of {count} values of type {kind}", jpeg[:2] + exif + jpeg[2:]


def _scans(count: int, height: int, width: int) -> bytes:
    """A progressive JPEG file of scans that say: nothing in any block."""
    tables = _segment(0xDB, b"\0" + b"\1" * 64)
    frame = _segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
    codes = _segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0")  # 2 ** 14 blocks or more are empty
    scan = _segment(0xDA, b"\1\1\x10\1\x3f\0")
    blocks = -(-height // 8) * -(-width // 8)
    runs = -(-blocks // ((1 << 15) - 1))
    bits = "".join("0" + "1" * 14 for _ in range(runs))
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    start = _segment(0xC4, b"\0\1" + bytes(15) + b"\0") + _segment(0xDA, b"\1\1\0\0\0\1")
    first = bytes(-(-blocks // 8))  # the difference of each block: none, one bit
    body = b"\xff\xd8" + tables + frame + start + first + codes
    room = (990_000 - len(body)) // (len(scan) + len(data))
    return body + (scan + data) * min(count, room) + b"\xff\xd9"


def tags_of_much(count: int, size: int, length: int) -> bytes:
    """EXIF data of so many tags, each of which has all the others for its value."""
    entries = (struct.pack("<HHII", 1_000 + n, 7, size, 8) for n in range(count))
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", count) + b"".join(entries) + bytes(4)
    return head.ljust(length, b"\0")


def _exif() -> Iterator[tuple[str, bytes]]:
    exif = tags_of_much(5_000, 800_000, 900_000)
    png, jpeg = encoded(picture(64, 64)), encoded(picture(64, 64), ".jpg")
    at = png.find(b"IDAT") - 4
    yield "PNG", png[:at] + chunk(b"eXIf", exif) + png[at:]
    parts = (exif[at : at + 65_000] for at in range(0, len(exif), 65_000))
    segments = b"".join(_segment(0xE1, b"Exif\0\0" + part) for part in parts)
    yield "JPEG", jpeg[:2] + segments + jpeg[2:]
    frame = jpeg.find(b"\xff\xc0")
    broken = jpeg[2 : frame + 4] + b"\x0c" + jpeg[frame + 5 :]
    yield "JPEG that OpenCV does not decode", jpeg[:2] + segments + broken
    for kind in ("WEBP", "AVIF"):
        stream = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            PIL.Image.fromarray(picture(64, 64)).save(stream, kind, exif=exif)
        yield kind, stream.getvalue()


def _bmp() -> Iterator[tuple[str, bytes]]:
    def file(
        width: int, height: int, bits: int = 24, how: int = 0, used: int = 0, offset: int = 54,
        header: int = 40, content: bytes = b"",
    ) -> bytes:  # fmt: skip
        sizes = struct.pack("<iiHHIIiiII", width, height, 1, bits, how, 0, 0, 0, used, 0)
        return b"BM" + struct.pack("<IIII", 1000, 0, offset, header) + sizes + content

    for width, height in ((SIDE, SIDE), (SIDE, -SIDE), (1, 170_000_000), (170_000_000, 1)):
        for bits, how in ((24, 0), (8, 1), (4, 2), (8, 0), (1, 0), (32, 0), (16, 3), (24, 4)):
            content = bytes(1024) + b"\xff\0" * 400_000 if how in (1, 2) else bytes(2000)
            whole = file(width, height, bits, how, content=content)
            yield f"{width} x {height} {bits} {how}", whole
    for count in (*COUNTS, 0x80000000):
        yield f"{count} colours", file(8, 8, 8, used=count, content=bytes(2000))
        yield f"pixels at {count}", file(8, 8, 8, offset=count, content=bytes(2000))
        yield f"header of {count}", file(8, 8, 8, header=count, content=bytes(2000))
        yield f"side of {count}", file(count - (count >> 31 << 32), 8, content=bytes(2000))
    core = b"BM" + struct.pack("<IIIIHHHH", 1000, 0, 54, 12, 65_535, 2_700, 1, 24) + bytes(1000)
    yield "old header", core


def _gif() -> Iterator[tuple[str, bytes]]:
    def head(width: int, height: int, kind: bytes = b"GIF89a") -> bytes:
        return kind + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"

    def frame(width: int, height: int, data: bytes, x: int = 0) -> bytes:
        return b"," + struct.pack("<HHHHB", x, 0, width, height, 0) + data

    pixels = b"\2\2\x4c\1\0"
    for width, height in ((SIDE, SIDE), (65_535, 2_700), (4, 4), (0, 0)):
        start = head(width, height)
        yield f"canvas of {width} x {height}", start + frame(4, 4, pixels) + b";"
        yield f"frame as large: {width} x {height}", start + frame(width, height, pixels) + b";"
        yield f"{width} x {height} and no frame", start + b";"
        for side in (65_535, 20_000):
            yield f"{width} x {height}, frame of {side}", start + frame(side, side, pixels) + b";"
            yield f"{width} x {height}, far frame", start + frame(4, 4, pixels, side) + b";"
    one = head(5_000, 3_000)
    yield "many frames", one + frame(1, 1, pixels) * 55_000 + b";"
    yield "many large frames", one + frame(5_000, 3_000, pixels) * 55_000 + b";"
    yield "9000 x 9000, whole", flat("GIF", 9_000, 9_000, "P")
    yield "many comments", head(4, 4) + b"!\xfe\1a\0" * 190_000 + frame(4, 4, pixels) + b";"
    yield "a long comment", head(4, 4) + b"!\xfe" + (b"\xff" + bytes(255)) * 3_800 + b"\0;"


def _webp() -> Iterator[tuple[str, bytes]]:
    def riff(*parts: tuple[bytes, bytes, int | None], length: int | None = None) -> bytes:
        body = b"WEBP"
        for kind, content, size in parts:
            body += kind + struct.pack("<I", len(content) if size is None else size) + content
            body += bytes(len(content) & 1)
        return b"RIFF" + struct.pack("<I", len(body) if length is None else length) + body

    lossy = encoded(picture(), ".webp")[20:]
    whole = bytes(cv2.imencode(".webp", picture(), [cv2.IMWRITE_WEBP_QUALITY, 101])[1])
    lossless = whole[20 : 20 + int.from_bytes(whole[16:20], "little")]

    def canvas(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes, None]:
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return b"VP8X", bytes([flags, 0, 0, 0]) + size, None

    for width, height in ((16_383, 10_900), (SIDE, SIDE), (1 << 24, 10), (1 << 24, 1 << 24)):
        sides = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
        large = (b"VP8 ", lossy[:6] + sides + lossy[10:], None)
        yield f"lossy of {width} x {height}", riff(large)
        bits = ((width - 1) & 0x3FFF) | ((height - 1) & 0x3FFF) << 14
        big = (b"VP8L", b"\x2f" + struct.pack("<I", bits) + lossless[5:], None)
        yield f"lossless of {width} x {height}", riff(big)
        for flags in (0, 2, 8, 0x10):
            yield (
                f"canvas of {width} x {height} {flags}",
                riff(canvas(width, height, flags), (b"VP8 ", lossy, None)),
            )
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        for animated in (canvas(width, height, 2), canvas(32, 24, 2)):
            moved = bytes(6) + size + bytes(4) + b"VP8 " + struct.pack("<I", len(lossy)) + lossy
            yield (
                f"animated {width} x {height}",
                riff(animated, (b"ANIM", bytes(6), None), (b"ANMF", moved, None)),
            )
    for count in COUNTS:
        yield f"RIFF of {count}", riff((b"VP8 ", lossy, None), length=count)
        for kind in (b"VP8 ", b"VP8L", b"ALPH", b"EXIF", b"ICCP", b"ANMF", b"junk"):
            yield (
                f"{kind.decode()} of {count}",
                riff(canvas(32, 24, 0x3E), (kind, lossy[:100], count), (b"VP8 ", lossy, None)),
            )
    for lossless_too in (False, True):
        whole = flat("WEBP", 12_000, 8_000, lossless=lossless_too, method=0, quality=0)
        yield f"12000 x 8000, whole, lossless {lossless_too}", whole


def ifd(tags: dict[int, tuple[int, int, int]], order: str = "<") -> bytes:
    """A directory of a TIFF file: tag to type, count and value (or where the values are)."""
    entries = [struct.pack(order + "HHII", tag, *what) for tag, what in sorted(tags.items())]
    return struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)


Tags: TypeAlias = dict[int, tuple[int, int, int]]


def tiff(changes: Tags, order: str = "<") -> bytes:
    """A TIFF file of 16 x 16 grey pixels, with some tags changed."""
    tags: Tags = {
        256: (4, 1, 16), 257: (4, 1, 16), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
        273: (4, 1, 1_000), 277: (3, 1, 1), 278: (4, 1, 16), 279: (4, 1, 256),
    }  # fmt: skip
    start = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    return start + ifd(tags | changes, order) + bytes(5_000)


def _tiff() -> Iterator[tuple[str, bytes]]:
    packings = (*range(1, 9), 32_773, 32_809, 32_946, 34_661, 34_676, 34_712, 34_887, 34_925)
    packings += (50_000, 50_001)
    for packing, (width, height) in itertools.product(packings, ((SIDE, SIDE), (170_000_000, 1))):
        size: Tags = {256: (4, 1, width), 257: (4, 1, height), 278: (4, 1, height)}
        for photometric in (0, 1, 2, 3, 6):
            size[258] = (3, 1, 1 if packing in (2, 3, 4) else 8)
            size[277] = (3, 1, 3 if photometric in (2, 6) else 1)
            size |= {259: (3, 1, packing), 262: (3, 1, photometric)}
            yield f"{width} x {height}, packed {packing}, colours {photometric}", tiff(size)
    for side in (1 << 15, 0xFFFF0, 0x7FFFFFF0, 0xFFFFFFF0):
        for packing in (1, 5, 7, 8):
            tile: Tags = {322: (4, 1, side), 323: (4, 1, 1 << 15), 324: (4, 1, 900), 325: (4, 1, 9)}
            yield f"tile of {side}, packed {packing}", tiff(tile | {259: (3, 1, packing)})
        yield f"{side} rows in a strip", tiff({278: (4, 1, side)})
        yield f"width of {side}", tiff({256: (4, 1, side)})
    for samples, bits in ((65_535, 8), (4, 64), (3, 32), (255, 16), (1, 65_535)):
        values: Tags = {277: (3, 1, samples), 258: (3, 1, bits)}
        values |= {256: (4, 1, 4_000), 257: (4, 1, 4_000)}
        yield f"{samples} samples of {bits} bits", tiff(values)
    for count, kind in itertools.product(COUNTS, (1, 2, 3, 4, 5, 12)):
        for tag in (256, 258, 273, 279, 320, 700, 34_377, 34_675, 33_432, 65_000):
            whole = tiff({tag: (kind, count, 1_000)})
            yield f"tag {tag} of {count} values of type {kind}", whole
    for order in "<>":
        head = struct.pack(order + "HHHQ", 43, 8, 0, 16)
        tags = {256: SIDE, 257: SIDE, 258: 8, 259: 1, 262: 1, 273: 400, 277: 1, 278: SIDE, 279: 256}
        entries = [struct.pack(order + "HHQQ", tag, 16, 1, value) for tag, value in tags.items()]
        start = (b"II" if order == "<" else b"MM") + head + struct.pack(order + "Q", len(entries))
        yield f"BigTIFF {order}", start + b"".join(entries) + bytes(1_000)
        yield f"BigTIFF of many tags {order}", start[:-8] + struct.pack(order + "Q", 1 << 60)
    first = tiff({})
    yield "a directory that follows itself", first[:-5_004] + struct.pack("<I", 8) + first[-5_000:]
    one, other = struct.pack("<HHII", 256, 4, 1, 16), struct.pack("<HHII", 256, 4, 1, 170_000)
    for name, entries in (("smaller", [one, other]), ("larger", [other, one])):
        doubled = first.replace(one, b"".join(entries), 1)
        yield f"two widths, the {name} first", doubled[:8] + struct.pack("<H", 10) + doubled[10:]
    yield "12000 x 12000, whole", flat("TIFF", 12_000, 12_000, "1", compression="group4")


def _pnm() -> Iterator[tuple[str, bytes]]:
    sizes = (
        f"{SIDE} {SIDE}",
        "170000000 1",
        "1 170000000",
        "2147483647 2147483647",
        "4 9999999999",
    )
    for kind, size, most in itertools.product(range(1, 7), sizes, ("255", "65535", "1", "")):
        yield f"P{kind} {size} {most}", f"P{kind}\n{size}\n{most}\n".encode() + bytes(1_000)
    yield "a long comment", b"P6\n#" + b"a" * 900_000 + b"\n4 4\n255\n" + bytes(48)
    yield "many comments", b"P6\n" + b"#\n" * 450_000 + b"4 4\n255\n" + bytes(48)
    yield "an endless comment", b"P6\n" + b"#" * 900_000
    yield "blanks", b"P6\n" + b" " * 900_000
    for size, depth, values in itertools.product(sizes, (1, 4, 65_535), (255, 65_535)):
        width, height = size.split()
        text = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL {values}\n"
        end = b"TUPLTYPE RGB\nENDHDR\n" + bytes(1_000)
        yield f"P7 {size} {depth} {values}", text.encode() + end
    yield "P7 without an end", b"P7\n" + b"WIDTH 4\n" * 110_000
    for start, size in itertools.product(("PF", "Pf", "PF4"), sizes):
        yield f"{start} {size}", f"{start}\n{size}\n-1.0\n".encode() + bytes(1_000)


def _text() -> Iterator[tuple[str, bytes]]:
    """Radiance and what else starts with text."""
    sizes = (f"-Y {SIDE} +X {SIDE}", "-Y 1 +X 170000000", "-Y 170000000 +X 1", "-Y 4 +X 9999999999")
    for start, size in itertools.product((b"#?RADIANCE", b"#?RGBE"), sizes):
        head = start + b"\nFORMAT=32-bit_rle_rgbe\n\n" + size.encode() + b"\n"
        yield f"HDR {size}", head + bytes(5_000)
        yield f"HDR {size} in runs", head + b"\2\2\x34\x3a" + b"\xff\1" * 400_000
    yield "HDR with a long header", b"#?RADIANCE\n" + b"#" * 900_000
    yield "HDR with many sizes", b"#?RGBE\n" + b"-Y 4 +X 4\n" * 90_000
    yield "HDR with blanks", b"#?RGBE\n-Y" + b" " * 900_000
    yield "HDR with many lines", b"#?RADIANCE\n" + b"FORMAT=32-bit_rle_rgbe\n" * 40_000
    yield "XPM", b"/* XPM */\n" + b'"60000 60000 200000 9",' * 1_000
    yield "XBM", b"#define a_width 60000\n#define a_height 60000\n" + b"0x00, " * 1_000


def _jpeg2000() -> Iterator[tuple[str, bytes]]:
    whole = encoded(picture(64, 64), ".jp2")
    at = whole.find(b"\xff\x4f\xff\x51")
    stream = whole[at:]
    for raw in (True, False):
        start = b"" if raw else whole[:at]

        def sized(width: int, height: int, tiles: tuple[int, int], start: bytes = start) -> bytes:
            size = struct.pack(">IIIIIIII", width, height, 0, 0, *tiles, 0, 0)
            old, new = struct.pack(">II", 64, 64), struct.pack(">II", height, width)
            head = start.replace(b"ihdr" + old, b"ihdr" + new)
            return head + stream[:8] + size + stream[40:]

        for width, height in ((SIDE, SIDE), (170_000_000, 1), (0xFFFFFFFF, 0xFFFFFFFF)):
            for tiles in ((width, height), (64, 64), (1, 1), (0xFFFFFFFF, 0xFFFFFFFF)):
                yield f"{width} x {height}, tiles {tiles}", sized(width, height, tiles)
        yield "many tiles", sized(255, 257, (1, 1))
        yield "many streams", sized(64, 64, (64, 64)) + stream[:51] * 10_000
        yield "many small tiles", sized(5_000, 3_000, (20, 12))
        for components in (4, 255, 16_384, 65_535):
            lots = struct.pack(">H", components) + b"\7\1\1" * components
            length = struct.pack(">H", (38 + 3 * components) & 0xFFFF)
            body = stream[:4] + length + stream[6:40] + lots + stream[51:]
            yield f"{components} components", start + body
        for levels in (32, 33, 255):
            cod = stream.find(b"\xff\x52")
            changed = stream[: cod + 9] + bytes([levels]) + stream[cod + 10 :]
            yield f"{levels} levels", start + changed
    for count in COUNTS:
        box = struct.pack(">I", count) + b"uuid" + bytes(100)
        yield f"box of {count}", whole[:12] + box + whole[12:]
        yield (
            f"box of {count} and length of 64 bits",
            (
                whole[:12]
                + struct.pack(">I", 1)
                + b"jp2h"
                + struct.pack(">Q", count << 8)
                + whole[12:]
            ),
        )


def _avif() -> Iterator[tuple[str, bytes]]:
    stream = io.BytesIO()
    PIL.Image.fromarray(picture(64, 64)).save(stream, "AVIF")
    whole = stream.getvalue()
    at = whole.find(b"ispe") + 8
    for width, height in ((SIDE, SIDE), (65_535, 2_700), (0xFFFFFFFF, 0xFFFFFFFF), (0, 0)):
        size = struct.pack(">II", width, height)
        yield f"{width} x {height}", whole[:at] + size + whole[at + 8 :]
    for kind, count in itertools.product((b"meta", b"iloc", b"mdat", b"iprp", b"ftyp"), COUNTS):
        start = whole.find(kind) - 4
        length = struct.pack(">I", count)
        yield f"{kind.decode()} of {count}", whole[:start] + length + whole[start + 4 :]
    extents = struct.pack(">HHHH", 1, 0, 0, 65_535)
    places = struct.pack(">IHH", 0, 0, 65_535) + extents * 65_535  # which take no bytes
    head = struct.pack(">I4s", len(places) + 20, b"meta") + bytes(4)
    crafted = head + struct.pack(">I4s", len(places) + 8, b"iloc") + places
    yield "many extents of nothing", whole[: whole.find(b"meta") - 4] + crafted
    yield "many boxes", whole + struct.pack(">I4s", 8, b"free") * 90_000
    large = flat("AVIF", 6_000, 5_000, speed=10)
    yield "6000 x 5000, whole", large
    lie = large.replace(struct.pack(">II", 6_000, 5_000), struct.pack(">II", 64, 64))
    yield "6000 x 5000 that says 64 x 64", lie


def _others() -> Iterator[tuple[str, bytes]]:
    pixels = chunk(b"IDAT", zeros(SIDE * (3 * SIDE + 1)))
    inside = PNG + ihdr(SIDE, SIDE) + pixels + chunk(b"IEND", b"")
    dib = struct.pack("<IiiHHIIiiII", 40, SIDE, 2 * SIDE, 1, 8, 1, 0, 0, 0, 0, 0)
    for kind, number in ((b"\0\0\1\0", "ICO"), (b"\0\0\2\0", "CUR")):
        for name, content in (("PNG", inside), ("bitmap", dib + bytes(1_024) + b"\xff\0" * 9_000)):
            entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(content), 22)
            yield f"{number} with a {name}", kind + b"\1\0" + entry + content
        entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, 0xFFFFFFFF, 22)
        yield f"{number} of many", kind + b"\xff\xff" + entry * 60_000
    for kind in (b"ic10", b"ic09", b"it32", b"icp4"):
        part = kind + struct.pack(">I", len(inside) + 8) + inside
        yield f"ICNS with {kind.decode()}", b"icns" + struct.pack(">I", len(part) + 8) + part
    yield "ICNS of many", b"icns\xff\xff\xff\xff" + b"ic10\0\0\0\x08" * 100_000
    icns = b"".join(b"ic10" + struct.pack(">I", 8) for _ in range(100_000))
    yield "ICNS of empty parts", b"icns" + struct.pack(">I", len(icns) + 8) + icns
    for width, height in ((SIDE, SIDE), (65_535, 2_700), (30_000, 5_900)):
        yield from _of_size(width, height)
    psd = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 16, 16, 8, 3)
    for count in COUNTS:
        for before, what in ((0, "colours"), (4, "resources"), (8, "layers")):
            length = struct.pack(">I", count)
            yield f"PSD with {what} of {count}", psd + bytes(before) + length + bytes(1_000)
    layers = struct.pack(">IIh", 900_000, 899_000, 30_000) + bytes(800_000)
    yield "PSD of many layers", psd + bytes(8) + layers
    for kind in (b"SIMPLE  =                    T", b"GRIB", b"BUFR", b"\x89HDF\r\n\x1a\n"):
        yield f"{kind[:6]!r}", kind + bytes(3_000)


def _of_size(width: int, height: int) -> Iterator[tuple[str, bytes]]:
    """Formats that say their size at a fixed place."""
    name = f"{width} x {height}"
    for channels in (1, 3, 56):
        head = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, height, width, 8, 3)
        for packing in (0, 1):
            body = bytes(12) + struct.pack(">H", packing) + bytes(9_000)
            yield f"PSD {name} {channels} {packing}", head + body
    for kind, bits in ((2, 24), (10, 24), (9, 8), (11, 8), (3, 8)):
        map_of = 2 if kind in (1, 9) else 0
        start = struct.pack("<BBBHHB", 0, map_of // 2, kind, 0, map_of, 24)
        head = start + struct.pack("<HHHHBB", 0, 0, width, height, bits, 0)
        yield f"TGA {name} {kind}", head + b"\xff\0\0\0" * 200_000
    pcx = struct.pack("<BBBBHHHHHH", 10, 5, 1, 8, 0, 0, width - 1, height - 1, 72, 72)
    planes = pcx + bytes(49) + b"\3" + struct.pack("<HH", width & 0xFFFE, 1)
    yield f"PCX {name}", planes.ljust(128, b"\0") + b"\xff\0" * 100_000
    for packing, planes_of in itertools.product((0, 1), (1, 3)):
        sgi = struct.pack(">HBBHHHH", 474, packing, 1, 3, width, height, planes_of)
        yield f"SGI {name} {packing} {planes_of}", sgi.ljust(512, b"\0") + bytes(9_000)
    for code in (b"DXT1", b"DXT5", b"BC5U", b"DX10", b"\0\0\0\0"):
        dds = b"DDS " + struct.pack("<IIIII", 124, 0x1007, height, width, 0) + bytes(52)
        flags = 4 if code.strip(b"\0") else 0x40
        dds += struct.pack("<II4sIIIII", 32, flags, code, 24, 0xFF, 0xFF00, 0xFF0000, 0)
        yield f"DDS {name} {code!r}", dds + bytes(4_000)
    sun = struct.pack(">8I", 0x59A66A95, width, height, 24, 0, 2, 0, 0)
    yield f"Sun {name}", sun + b"\x80\xff\0" * 300_000
    for colours in COUNTS:
        sun = struct.pack(">8I", 0x59A66A95, width, height, 8, 0, 1, 1, colours)
        yield f"Sun {name} {colours}", sun + bytes(900)
    yield f"QOI {name}", b"qoif" + struct.pack(">IIBB", width, height, 3, 0) + b"\xfd" * 900_000
    exr = b"\x76\x2f\x31\1\2\0\0\0channels\0chlist\0" + struct.pack("<I", 19)
    exr += b"R\0" + struct.pack("<I12x", 2) + b"\0dataWindow\0box2i\0"
    exr += struct.pack("<Iiiii", 16, 0, 0, width - 1, height - 1)
    yield f"EXR {name}", exr + bytes(2_000)


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Peak of memory above what was there before, in MB, and seconds of all threads (Linux)."""
    import resource
    from pathlib import Path

    def status(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, start = status("VmRSS"), seconds()
    work()
    return (status("VmHWM") - before) / 1000, seconds() - start
