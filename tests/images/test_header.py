from __future__ import annotations

import io
import struct
import time

import cv2
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepface.images.containers import avif, exif
from deepface.images.containers.layout import DamagedFile
from deepface.images.containers.others import webp_exif
from deepface.images.header import detect_image_format, read_header
from tests.data import data
from tests.images.pictures import encoded, picture, with_orientation

#: One that makes an animation, behind the end.
CHUNK = struct.pack(">I", 8) + b"acTL"
FORMATS = (".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm", ".pam", ".gif", ".jp2", ".sr")


def image_size(content: bytes) -> tuple[int, int] | None:
    try:
        header = read_header(content)
    except DamagedFile:
        return None
    return header and header.layout.size


@pytest.mark.parametrize("suffix", FORMATS)
def test_size_without_decoding(suffix: str) -> None:
    assert image_size(encoded(picture(64, 81), suffix)) == (81, 64)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([".jpg", ".png"]))
def test_size_of_any_picture(height: int, width: int, suffix: str) -> None:
    assert image_size(encoded(picture(height, width), suffix)) == (width, height)


#: Bytes that a pixel is taken to need while it is decoded: they decide which files are refused.
MEMORY = {
    ".jpg": 6, ".png": 8, ".bmp": 8, ".webp": 8.5, ".tiff": 10, ".ppm": 8, ".pam": 20, ".gif": 12,
    ".jp2": 18, ".sr": 8, ".hdr": 18, ".avif": 22, ".pfm": 26,
}  # fmt: skip


@pytest.mark.parametrize("suffix", MEMORY)
def test_the_memory_that_pixels_are_taken_to_need(suffix: str) -> None:
    header = read_header(encoded(picture(64, 81), suffix))
    assert header is not None and header.layout.per_pixel == MEMORY[suffix]


#: Types of numbers in TIFF files, from TIFF 6.0, and those that BigTIFF adds.
TIFF_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", TIFF_TYPES)
def test_the_size_of_tiff_files_in_any_type_of_number(kind: int, order: str, big: bool) -> None:
    start = struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8)
    numbers, behind = [], b""
    for value in (100, 77):
        number = struct.pack(order + TIFF_TYPES[kind], value)
        if len(number) > (8 if big else 4):  # it stands elsewhere
            behind += number
            number = struct.pack(order + "I", 1_000 + len(behind) - len(number))
        numbers.append(number.ljust(8 if big else 4, b"\0"))
    tags = [
        struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, 1) + number
        for tag, number in zip((256, 257), numbers, strict=True)
    ]
    content = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    content += start + struct.pack(order + ("Q" if big else "H"), len(tags)) + b"".join(tags)
    assert image_size(content.ljust(1_000, b"\0") + behind + bytes(100)) == (100, 77)


def test_size_is_the_stored_one() -> None:
    assert image_size(with_orientation(picture(24, 33), 6)) == (33, 24)


def test_the_thumbnail_in_exif_is_not_mistaken_for_the_picture() -> None:
    stream = io.BytesIO()
    exif = b"Exif\x00\x00" + encoded(picture(8, 8), ".jpg")
    PIL.Image.new("RGB", (33, 24)).save(stream, "JPEG", exif=exif)
    assert image_size(stream.getvalue()) == (33, 24)


def test_filling_and_garbage_between_segments_are_skipped_as_libjpeg_does() -> None:
    jpeg = encoded(picture(24, 33), ".jpg")
    assert image_size(jpeg[:2] + b"\xff\xff\xff\xff" + jpeg[2:]) == (33, 24)
    assert image_size(jpeg[:2] + b"\xff\xd8garbage\xff\x00" + jpeg[2:]) == (33, 24)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_header_cut_off_has_no_size(suffix: str) -> None:
    content = encoded(picture(), suffix)
    sizes = {image_size(content[:length]) for length in range(8, len(content))}
    assert sizes == {None, (32, 24)}


#: What begins as a file of each format does, and parts that a walk could go through for hours.
ENDLESS = {
    "JPEG of filling": (b"\xff\xd8\xff", b"\xff"),
    "JPEG of segments": (b"\xff\xd8\xff\xe0", b"\0\2\xff\xe0"),
    "PNG": (encoded(picture())[:33], struct.pack(">I4sI", 0, b"abCd", 0)),
    "WebP": (b"RIFF\0\0\0\0WEBP", b"junk\0\0\0\0"),
    "GIF": (b"GIF89a\4\0\4\0\0\0\0!\xfe", b"\1a"),
    "GIF of extensions": (b"GIF89a\4\0\4\0\0\0\0", b"!\xfe\0"),
    "TIFF": (b"II*\0\x08\0\0\0\xff\xff", struct.pack("<HHII", 256, 4, 1, 4)),
    "PPM": (b"P6\n", b"#\n"),
    "PPM of a comment": (b"P6\n", b"#"),
    "PAM": (b"P7\n", b"WIDTH 4\n"),
    "HDR": (b"#?RGBE\n", b"-Y 4 +X 4\n"),
    "EXR": (b"\x76\x2f\x31\1", b"dataWindow\0box2i\0\x10\0\0\0" + bytes(16)),
    "JPEG 2000": (b"\xff\x4f\xff\x51", b"\xff\x4f\xff\x51" + b"\0\0\0\1" * 10),
    "AVIF": (b"\0\0\0\x10ftypavif\0\0\0\0", struct.pack(">I4s", 8, b"free")),
    "AVIF of streams": (b"\0\0\0\x10ftypavif\0\0\0\0", struct.pack(">I4sQI", 20, b"stco", 1, 0)),
    "ICO": (b"\0\0\1\0\xff\xff", bytes(16)),
    "ICNS": (b"icns\0\0\0\0", struct.pack(">4sI", b"ic10", 8)),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_crafted_headers_end_soon(name: str) -> None:
    start, part = ENDLESS[name]
    content = start + part * ((64 << 20) // len(part))
    begin = time.process_time()
    image_size(content)
    webp_exif(content)
    avif.orientation(content)
    exif.orientation(content)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", range(2))
def test_the_orientation_of_avif_files_as_pillow_tells_it(turns: int, mirror: int) -> None:
    content = bytearray(with_orientation(picture(64, 80), 7, "AVIF"))
    content[content.find(b"irot") + 4] = turns
    content[content.find(b"imir") + 4] = mirror
    with PIL.Image.open(io.BytesIO(content)) as image:
        assert avif.orientation(bytes(content)) == exif.orientation(image.info["exif"])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(10))
def test_the_orientation_of_exif_data_as_pillow_reads_it(order: str, value: int) -> None:
    data = PIL.Image.Exif()
    data.endian = order
    data[271], data[274], data[305] = "a maker", value, "a program"
    content = data.tobytes()
    expected = value if 1 <= value <= 8 else 1
    assert exif.orientation(content) == expected
    assert exif.orientation(content.removeprefix(b"Exif\0\0")) == expected
    for length in range(len(content)):
        assert exif.orientation(content[:length]) in (1, expected)


@given(st.binary(max_size=300))
def test_any_bytes_have_a_size_or_none(content: bytes) -> None:
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"):
        size = image_size(start + content)
        assert size is None or (size[0] >= 0 and size[1] >= 0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(picture(), ".jpg"), "jpeg"),
        (encoded(picture(), ".png"), "png"),
        (encoded(picture(), ".webp"), None),
        (b"", None),
        (b"\xff\xd8", None),
    ],
)
def test_format_by_first_bytes(content: bytes, expected: str | None) -> None:
    assert detect_image_format(content) == expected


def test_animation_is_told_by_its_chunk_before_the_pixels() -> None:
    still = encoded(picture())
    frames = [PIL.Image.new("RGB", (5, 5), colour) for colour in ("red", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    for content, animated in ((stream.getvalue(), True), (still, False), (still + CHUNK, False)):
        header = read_header(content)
        assert header is not None and header.layout.by_opencv is not animated


def test_sizes_agree_with_pillow_on_odd_files() -> None:
    for file in sorted(data("images", "odd").rglob("*")):
        if not file.is_file() or image_size(file.read_bytes()) is None:
            continue
        try:
            with PIL.Image.open(file) as image:
                expected = image.size
        except Exception:  # Pillow does not open it: nothing to compare with
            continue
        assert image_size(file.read_bytes()) == expected, file


def test_scans_of_a_jpeg_file_are_counted_and_not_what_looks_like_one() -> None:
    progressive = bytes(cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1])
    whole = read_header(progressive)
    remark = b"\xff\xda" * 200
    told = progressive[:-2] + b"\xff\xfe" + struct.pack(">H", len(remark) + 2) + remark
    assert read_header(told + b"\xff\xd9") == whole
    last = progressive.rfind(b"\xff\xda")
    with pytest.raises(DamagedFile, match="more than 100 scans"):
        read_header(progressive[:-2] + progressive[last:-2] * 100 + b"\xff\xd9")
