from __future__ import annotations

import base64
import io
import os
import pathlib
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepface.errors import DataTypeError, DeepFaceError, ImageTooLarge, ImgNotFound, InvalidImage
from deepface.images.load import (
    item_name,
    load_image,
    load_image_from_base64,
    load_image_from_file_storage,
    load_image_from_io_object,
)
from deepface.images.pil import is_pil_image
from tests.data import data
from tests.images.pictures import encoded, picture, with_orientation

PNG = encoded(picture())
JPEG = encoded(picture(), ".jpg")


def data_uri(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


class OnlyRead:
    """As old uploads are: ``read()`` takes no size, ``seek`` is no method."""

    seek = None

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self) -> bytes:
        return self.content


class Pipe(io.RawIOBase):
    """Cannot be rewound and gives a few bytes at a time."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(min(size, 100))


def stream_at_its_end() -> io.BytesIO:
    stream = io.BytesIO(PNG)
    stream.read()
    return stream


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda path: str(path), None),
        (lambda path: path, None),
        (lambda path: pathlib.PurePath(path), None),
        (lambda path: PNG, "encoded bytes"),
        (lambda path: bytearray(PNG), "encoded bytes"),
        (lambda path: memoryview(PNG), "encoded bytes"),
        (lambda path: data_uri(PNG), "base64 encoded string"),
        (lambda path: data_uri(PNG, "whatever"), "base64 encoded string"),
        (lambda path: data_uri(PNG).replace(";base64", ""), "base64 encoded string"),
        (lambda path: io.BytesIO(PNG), "io object"),
        (lambda path: stream_at_its_end(), "io object"),
        (lambda path: OnlyRead(PNG), "io object"),
        (lambda path: Pipe(PNG), "io object"),
        (lambda path: PIL.Image.open(path), "PIL image"),
    ],
)
def test_every_input_gives_the_same_picture(
    tmp_path: Path, make: Callable[[Path], Any], name: str | None
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    image, given_name = load_image(make(path))
    np.testing.assert_array_equal(image, picture())
    assert image.dtype == np.uint8
    assert given_name == (name or str(path))


def test_an_open_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    with path.open("rb") as file:
        np.testing.assert_array_equal(load_image(file)[0], picture())


def test_an_array_comes_back_as_it_is() -> None:
    for array in (picture(), np.zeros((2, 3)), np.array(["x"])):
        assert load_image(array) == (array, "numpy array")


def test_the_published_loaders() -> None:
    for image in (
        load_image_from_base64(data_uri(JPEG, "jpeg")),
        load_image_from_io_object(io.BytesIO(JPEG)),
        load_image_from_file_storage(io.BytesIO(JPEG)),
    ):
        np.testing.assert_array_equal(image, load_image(JPEG)[0])


@pytest.mark.parametrize(
    ("img", "error", "fragment"),
    [
        ("no/such/file.jpg", ImgNotFound, "Confirm that no/such/file.jpg exists"),
        (Path("no") / "such.jpg", ImgNotFound, "Confirm that no/such.jpg exists"),
        ("", ImgNotFound, "an empty string names no file"),
        ("ü/面.jpg", ImgNotFound, "Confirm that ü/面.jpg exists"),
        (os.curdir, ImgNotFound, ". cannot be read as a file: it is a folder"),
        ("a\0b", ImgNotFound, "exists"),
        ("ftp://me:secret@host/a.jpg", ImgNotFound, "ftp://host/a.jpg: ftp:// is no address"),
        ("x" * 300, ImgNotFound, "File name too long"),
        ("/9j/" + "A" * 100_000, ImgNotFound, "must start with data:image/"),
        (None, DataTypeError, "img must be numpy array or str but it is <class 'NoneType'>"),
        (3, DataTypeError, "img must be numpy array or str but it is <class 'int'>"),
        ((1, 2), DataTypeError, "img must be numpy array or str but it is <class 'tuple'>"),
        ([PNG], DataTypeError, "img must be numpy array or str but it is <class 'list'>"),
        (io.StringIO("x"), DataTypeError, "img requires bytes and cannot be"),
        (OnlyRead("text"), DataTypeError, "img requires bytes"),  # type: ignore[arg-type]
        (
            data_uri(encoded(picture(), ".webp")),
            DataTypeError,
            "Input image can be jpg or png, but",
        ),
        (data_uri(b""), DataTypeError, "Input image can be jpg or png, but it is"),
        ("data:image/png;base64", DeepFaceError, "format error in base64 encoded string"),
        ("data:image/png;base64,AAAAA", DeepFaceError, "format error in base64 encoded string"),
        (data_uri(PNG[:30]), DeepFaceError, "Failed to decode image"),
        (io.BytesIO(b"garbage"), DeepFaceError, "Failed to decode image"),
        (io.BytesIO(b""), DeepFaceError, "Failed to decode image: it is empty"),
        (b"", DeepFaceError, "it is empty"),
        (PNG[: len(PNG) // 2], DeepFaceError, "Failed to decode image"),
        (PNG[:20], DeepFaceError, "the PNG file is cut off or damaged: its part b'IHDR'"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 30, DeepFaceError, "pip install pillow-heif"),
        (PIL.Image.new("RGB", (0, 4)), DeepFaceError, "no pixels"),
    ],
)
def test_errors(img: Any, error: type[Exception], fragment: str) -> None:
    with pytest.raises(error) as caught:
        load_image(img)
    assert fragment in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("content", [b"", b"<html>", JPEG[:100]])
def test_unreadable_files_name_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="Exception while loading") as error:
        load_image(str(path))
    assert str(path) in str(error.value)


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)  # file modes do not stop root
    with pytest.raises(DeepFaceError, match=r"Exception while loading .*: Permission denied"):
        load_image(path)


@pytest.mark.parametrize(
    "name",
    ["ünïcødé.png", "面 孔.png", "пример.png", "😀.png", "a b%20c?d#e.png", "-.png", "no suffix"],
)
def test_paths_with_any_characters(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mäppchen 面" / name
    path.parent.mkdir()
    path.write_bytes(PNG)
    image, given_name = load_image(str(path))
    np.testing.assert_array_equal(image, picture())
    assert given_name == str(path)


def test_pillow_while_another_thread_imports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", types.ModuleType("PIL.Image"))
    assert not is_pil_image(picture())


def test_a_pil_image_turned_by_its_owner_is_not_turned_again() -> None:
    import PIL.ImageOps

    image = PIL.Image.open(io.BytesIO(with_orientation(picture(), 6, "PNG")))
    upright = PIL.ImageOps.exif_transpose(image)
    np.testing.assert_array_equal(load_image(upright)[0], load_image(image)[0])


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 7, (7, 7, 7)),
        ("LA", (7, 9), (7, 7, 7)),
        ("P", 0, (0, 0, 0)),
        ("RGB", (1, 2, 3), (3, 2, 1)),
        ("RGBA", (1, 2, 3, 0), (3, 2, 1)),
        ("RGBX", (1, 2, 3, 0), (3, 2, 1)),
        ("CMYK", (255, 0, 0, 0), (255, 255, 0)),
        ("YCbCr", (128, 128, 128), (128, 128, 128)),
        ("HSV", (0, 0, 90), (90, 90, 90)),
        ("I;16", 0x1234, (0x12, 0x12, 0x12)),
        ("I", 0xABCD, (0xAB, 0xAB, 0xAB)),
        ("I", 200, (200, 200, 200)),
        ("F", 200.0, (200, 200, 200)),
        ("F", 0.5, (128, 128, 128)),
    ],
)
def test_pil_modes(mode: str, colour: Any, expected: tuple[int, int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image, _ = load_image(PIL.Image.new(mode, (5, 4), colour))
    assert image.shape == (4, 5, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(image[0, 0], expected)


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "TGA"])
def test_opaque_pixels_are_what_they_are_without_alpha(kind: str) -> None:
    colours = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3, 2)
    image, stream = PIL.Image.fromarray(colours), io.BytesIO()
    image.putalpha(255)
    image.save(stream, kind)
    for same in (stream.getvalue(), PIL.Image.open(stream)):
        np.testing.assert_array_equal(load_image(same)[0], colours)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pil_values_out_of_range_are_refused(mode: str) -> None:
    with pytest.raises(DataTypeError, match="values go from"):
        load_image(PIL.Image.new(mode, (5, 4), -70_000))


def test_transparent_palettes_do_not_warn() -> None:
    image = PIL.Image.new("P", (5, 4))
    image.info["transparency"] = b"\x00\x80"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_image(image)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
    image, _ = load_image(stream)
    np.testing.assert_allclose(image[4, 4], (0, 0, 255), atol=3)


@pytest.mark.parametrize("kind", [".hdr", ".pfm", ".pam", ".sr", ".ppm", ".jp2", ".avif"])
def test_what_opencv_reads_is_read(kind: str, tmp_path: Path) -> None:
    image: NDArray[Any] = picture(64, 80)
    if kind in (".hdr", ".pfm"):
        image = image.astype(np.float32) / 255
    path = tmp_path / "a"
    path.write_bytes(encoded(image, kind))  # type: ignore[arg-type]
    expected = cv2.imread(str(path))
    if expected is None and kind == ".avif":
        pytest.skip("OpenCV reads AVIF from 4.12 on")
    np.testing.assert_array_equal(load_image(path)[0], expected)


def test_a_grey_float_map_is_a_picture_of_three_channels() -> None:
    content = bytes(cv2.imencode(".pfm", np.full((4, 5), 0.5, np.float32))[1])
    image, _ = load_image(content)
    assert content.startswith(b"Pf") and image.shape == (4, 5, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.4" + bytes(99), "no format that is read here begins with b'%PDF-1.4'"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no format that is read here"),
        (b"qoif" + bytes(99), "no format that is read here"),
        (b"\0\0\0\x20ftypisom" + bytes(99), "it is a video"),
        (b"\x1a\x45\xdf\xa3" + bytes(99), "it is a video"),
        (b"#?RADIANCE\n\n-Y 9 +X 9\n", "OpenCV cannot decode it"),
        (b"#?RADIANCE\n", "the HDR file tells no size"),
        (b"BM" + bytes(99), "the BMP file has a damaged header"),
        (encoded(picture(), ".bmp")[:60], "Failed to decode image: image file is truncated"),
        (encoded(picture(), ".jpg")[:100], "the JPEG file has a damaged header"),
        (
            b"\x76\x2f\x31\1dataWindow\0box2i\0\x10\0\0\0" + bytes(8) + b"\1\0\0\0" * 2,
            "OPENCV_IO_ENABLE_OPENEXR=1",
        ),
    ],
)
def test_the_reason_is_true(content: bytes, reason: str) -> None:
    with pytest.raises(InvalidImage) as error:
        load_image(content)
    assert reason in str(error.value)


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "SGI", "DDS", "DIB"])
def test_formats_that_only_pillow_knows(kind: str) -> None:
    stream = io.BytesIO()
    PIL.Image.fromarray(picture(32, 32)[:, :, ::-1].copy()).save(stream, kind)
    assert cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), 1) is None
    np.testing.assert_array_equal(load_image(stream)[0], picture(32, 32))


def _progressive() -> bytes:
    return bytes(cv2.imencode(".jpg", picture(64, 48), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1])


@pytest.mark.parametrize("content", [encoded(picture(64, 48), ".jpg"), _progressive()])
def test_truncated_jpeg_files_as_imread_reads_them(tmp_path: Path, content: bytes) -> None:
    path, partial = tmp_path / "a.jpg", 0
    for length in range(3, len(content), 7):
        path.write_bytes(content[:length])
        expected = cv2.imread(str(path))
        if expected is None:
            with pytest.raises(DeepFaceError):
                load_image(path)
            continue
        partial += 1
        np.testing.assert_array_equal(load_image(path)[0], expected, err_msg=str(length))
        np.testing.assert_array_equal(load_image(content[:length])[0], expected)
    assert partial > 20


def test_a_truncated_jpeg_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(JPEG[:-100])
    load_image(path)
    assert [str(path) in record.message for record in caplog.records] == [True]
    assert "truncated" in caplog.text


@pytest.mark.parametrize(
    ("img", "variable", "limit"),
    [
        (PNG, "DEEPFACE_MAX_IMAGE_BYTES", len(PNG) - 1),
        (io.BytesIO(PNG), "DEEPFACE_MAX_IMAGE_BYTES", len(PNG) - 1),
        (OnlyRead(PNG), "DEEPFACE_MAX_IMAGE_BYTES", len(PNG) - 1),
        (data_uri(PNG), "DEEPFACE_MAX_IMAGE_BYTES", len(PNG) - 5),
        (PNG, "DEEPFACE_MAX_IMAGE_PIXELS", 24 * 32 - 1),
        (JPEG, "DEEPFACE_MAX_IMAGE_PIXELS", 24 * 32 - 1),
        (encoded(picture(), ".bmp"), "DEEPFACE_MAX_IMAGE_PIXELS", 24 * 32 - 1),
        (PIL.Image.new("L", (32, 24)), "DEEPFACE_MAX_IMAGE_PIXELS", 24 * 32 - 1),
    ],
)
def test_limits(monkeypatch: pytest.MonkeyPatch, img: Any, variable: str, limit: int) -> None:
    monkeypatch.setenv(variable, str(limit))
    with pytest.raises(ImageTooLarge) as error:
        load_image(img)
    assert variable in str(error.value) and f"the limit of {limit} " in str(error.value)
    monkeypatch.setenv(variable, str(10 * limit))
    load_image(img)


@pytest.mark.parametrize("way", [bytes, io.BytesIO, OnlyRead, data_uri])
def test_the_limit_of_bytes_is_the_size_of_the_file(
    monkeypatch: pytest.MonkeyPatch, way: Callable[[bytes], Any]
) -> None:
    """However it comes, and whatever base64 is filled up with."""
    for content in (PNG + bytes(more) for more in range(4)):
        monkeypatch.setenv("DEEPFACE_MAX_IMAGE_BYTES", str(len(content)))
        load_image(way(content))
        monkeypatch.setenv("DEEPFACE_MAX_IMAGE_BYTES", str(len(content) - 1))
        with pytest.raises(ImageTooLarge):
            load_image(way(content))


def test_a_long_text_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_MAX_IMAGE_BYTES", "300")
    with pytest.raises(DataTypeError):  # of 300 bytes, none of which is base64
        load_image("data:image/png;base64," + "!" * 400)
    for text in ("!" * 402, "!" * 403 + "=", "!" * 404 + "=="):
        with pytest.raises(ImageTooLarge):
            load_image(f"data:image/png;base64,{text}")


def test_a_large_file_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sparse.png"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    start = time.monotonic()
    with pytest.raises(ImageTooLarge, match="1099511627776 bytes"):
        load_image(path)
    assert time.monotonic() - start < 20


def test_an_endless_stream_is_read_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        given = 0

        def read(self, size: int) -> bytes:
            self.given += size
            return b"\0" * size if self.given < 64 << 20 else b""  # or the memory would be full

    monkeypatch.setenv("DEEPFACE_MAX_IMAGE_BYTES", str(5 << 20))
    stream = Endless()
    with pytest.raises(ImageTooLarge, match="io object"):
        load_image(stream)
    assert stream.given <= 7 << 20


@pytest.mark.parametrize("value", ["many", "0", "-3", "nan", "inf"])
def test_a_limit_that_is_no_number_is_an_error(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DEEPFACE_MAX_IMAGE_PIXELS", value)
    with pytest.raises(DeepFaceError, match=r"DEEPFACE_MAX_IMAGE_PIXELS=.* is not a positive"):
        load_image(PNG)


def _bomb(kind: str) -> bytes:
    if kind == "png":  # a header that promises 60,000 x 60,000
        return PNG[:16] + (60_000).to_bytes(4, "big") * 2 + PNG[24:]
    if kind == "gif":
        stream = io.BytesIO()
        PIL.Image.new("P", (8, 8)).save(stream, "GIF")
        return stream.getvalue()[:6] + b"\x60\xea\x60\xea" + stream.getvalue()[10:]
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + b"\xff\xdc\xff\xdc" + JPEG[at + 4 :]


@pytest.mark.parametrize("kind", ["png", "gif", "jpeg"])
def test_bombs_are_refused_by_their_header(kind: str) -> None:
    start = time.process_time()
    with pytest.raises(ImageTooLarge):
        load_image(_bomb(kind))
    assert time.process_time() - start < 5


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about damaged EXIF
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([PNG, JPEG, *(encoded(picture(), s) for s in (".bmp", ".webp", ".tiff"))]),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=8),
    st.integers(0, 200),
)
def test_damaged_files_give_a_picture_or_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, content: bytes, damage: list[tuple[int, int]], cut: int
) -> None:
    monkeypatch.setenv("DEEPFACE_MAX_IMAGE_PIXELS", "1000000")
    damaged = bytearray(content[: len(content) - cut])
    for position, value in damage if damaged else ():
        damaged[position % len(damaged)] = value
    try:
        image, _ = load_image(bytes(damaged))
    except DeepFaceError as error:
        assert str(error)
    else:
        assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8


def test_odd_files_are_read_as_opencv_reads_them_or_better() -> None:
    refused, new = set(), set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in sorted(data("images", "odd").rglob("*")):
            if not file.is_file() or file.match("hopper_orientation_*.webp"):  # OpenCV's are wrong
                continue
            expected = cv2.imread(str(file))
            try:
                image, _ = load_image(file)
            except DeepFaceError as error:
                assert expected is None, (file, error)
                assert str(file) in str(error)
                refused.add(file.name)
                continue
            if expected is None:
                new.add(file.name)
                assert image.size and image.dtype == np.uint8
            else:
                np.testing.assert_array_equal(image, expected, err_msg=file.name)
    assert new >= {"hopper.ico", "hopper.psd", "tiff_gray_2_4_bpp_hopper4.tif"}
    assert refused >= {
        "empty.jpg",
        "html_named.jpg",
        "bmp_b_badwidth.bmp",
        "decompression_bomb.gif",
    }


def test_names_keep_secrets_and_length() -> None:
    assert item_name("https://me:secret@host/a.jpg?token=secret#x") == "https://host/a.jpg?..."
    assert item_name(data_uri(PNG)) == "base64 encoded string"
    assert item_name("rtsp://me:secret@camera/1") == "rtsp://camera/1"
    assert item_name("x" * 4_000) == "x" * 4_000  # the longest path
    assert len(item_name("x" * 10_000)) < 400


def test_opencv_alone_reads_common_files_and_pillow_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    code = (
        "import sys; from deepface.images.load import load_image; "
        f"load_image({str(tmp_path / 'a.jpg')!r}); "
        "assert not {'PIL', 'requests', 'urllib3', 'http.client', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def of_one_file() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Format, Pillow image and options of files in which OpenCV and Pillow see different things."""
    rows = np.arange(48, dtype=np.uint8).reshape(6, 8)
    colours = np.stack([rows * 5, 255 - rows, rows + 90, rows * 4 + 30], 2)
    grey, rgba = PIL.Image.fromarray(rows), PIL.Image.fromarray(colours, "RGBA")
    dark, bright = (PIL.Image.fromarray(rows.astype(np.uint16) * by) for by in (1, 1000))
    for compression in (None, "tiff_lzw", "tiff_deflate", "packbits"):
        yield "TIFF", rgba, {"compression": compression}
        yield "TIFF", dark, {"compression": compression}
    for format in ("PNG", "TIFF", "PPM", "JPEG2000"):
        yield format, dark, {}
        yield format, bright, {}
    yield "PPM", grey.convert("I"), {}
    palette = rgba.convert("RGB").quantize(8)
    for mode in (grey, palette):
        for hole in (0, 3, 5):
            yield "GIF", mode, {"transparency": hole}
            yield "GIF", mode, {"transparency": hole, "background": 4}
            yield "PNG", mode, {"transparency": hole}
    options: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "ICO": {"sizes": [(8, 6)]}}
    for format in ("PNG", "WEBP", "TIFF", "GIF", "BMP", "TGA", "ICO", "DDS"):
        for mode in (grey, palette, rgba, rgba.convert("RGB"), rgba.convert("LA")):
            yield format, mode, options.get(format, {})


def test_one_file_is_one_picture(tmp_path: Path) -> None:
    written = 0
    for format, image, options in of_one_file():
        path = tmp_path / f"{written}"
        try:
            image.save(path, format, **options)
        except OSError:  # no DDS file has a palette, for instance
            continue
        written += 1
        expected = load_image(str(path))[0]
        for same in (path, path.read_bytes(), PIL.Image.open(path)):
            found = load_image(same)[0]
            assert found.shape == expected.shape
            apart = np.abs(found.astype(int) - expected).max()
            assert apart <= 1, (format, image.mode, options, type(same))
    assert written > 60
