from __future__ import annotations

import io
import struct
import time

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepface.images.containers.layout import DamagedFile
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


def test_crafted_jpeg_headers_end_soon() -> None:
    start = time.monotonic()
    assert image_size(b"\xff\xd8\xff" + b"\xff" * (64 << 20)) is None
    assert image_size(b"\xff\xd8\xff\xe0" + b"\x00\x02\xff\xe0" * (16 << 20)) is None
    assert time.monotonic() - start < 2


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
