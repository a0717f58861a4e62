"""A picture is upright whichever way it comes in, for every format and orientation."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from deepface.images.load import load_image
from deepface.types import Image
from tests.data import data
from tests.images.bombs import chunk
from tests.images.pictures import ORIENTATION, encoded, picture, with_orientation

#: What each EXIF orientation asks for.
UPRIGHT: dict[int, Callable[[Image], NDArray[np.uint8]]] = {
    0: lambda image: image,  # no such orientation
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}
#: The formats that hold an orientation as Pillow writes them, and ways to write them.
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("MPO", {}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("AVIF", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "jpeg"}),
    ("TIFF", {"big_tiff": True}),
]
PICTURE = picture(96, 128)


def written(orientation: int, kind: str, mode: str = "RGB", **options: Any) -> bytes:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = orientation
    stream = io.BytesIO()
    image = PIL.Image.fromarray(PICTURE[:, :, ::-1].copy()).convert(mode)
    image.save(stream, kind, exif=exif, **options)
    return stream.getvalue()


def all_ways(content: bytes, path: Path) -> list[Image]:
    """By path, bytes, file object and Pillow image.

    Pillow 13 itself mistakes grey TIFF files that lie on their side, where it opens them by path.
    """
    path.write_bytes(content)
    pillow = PIL.Image.open(io.BytesIO(content))
    ways: list[Any] = [str(path), content, io.BytesIO(content), pillow]
    return [load_image(way)[0] for way in ways]  # type: ignore[misc]


def difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "P", "YCbCr"])
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_every_way_in_agrees(kind: str, options: dict[str, Any], mode: str, tmp_path: Path) -> None:
    for orientation, turn in UPRIGHT.items():
        try:
            content = written(orientation, kind, mode, **options)
            PIL.Image.open(io.BytesIO(content)).load()  # Pillow 11.3 reads not all that it writes
        except (OSError, ValueError):
            pytest.skip(f"Pillow writes, or reads, no {mode} in {kind}")
        except RuntimeError:  # libtiff writes no orientation of 0
            assert (kind, orientation) == ("TIFF", 0)
            continue
        expected = turn(PICTURE)
        if mode == "L":
            grey = cv2.cvtColor(PICTURE, cv2.COLOR_BGR2GRAY)
            expected = turn(np.repeat(grey[:, :, None], 3, axis=2))
        first, *others = all_ways(content, tmp_path / "x")
        assert difference(first, expected) < 20, orientation
        for other in others:
            assert difference(first, other) < 5, orientation


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])  # turned AVIF animations crash Pillow 13
def test_animations(kind: str, tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "save_all": True,
        "append_images": [PIL.Image.new("RGB", (128, 96), "red")],
    }
    for orientation, turn in UPRIGHT.items():
        ways = all_ways(written(orientation, kind, **more), tmp_path / "x")
        for way in ways:
            assert difference(way, turn(PICTURE)) < 20, orientation


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_exif_in_webp_however_it_begins(order: str, prefix: bytes, tmp_path: Path) -> None:
    for orientation, turn in UPRIGHT.items():
        exif = prefix + tiff_with(orientation, order)
        stream = io.BytesIO()
        PIL.Image.fromarray(PICTURE[:, :, ::-1].copy()).save(stream, "WEBP", exif=exif)
        for way in all_ways(stream.getvalue(), tmp_path / "x"):
            assert difference(way, turn(PICTURE)) < 20, orientation


@pytest.mark.parametrize("is_behind", [False, True])
def test_exif_in_png_before_and_behind_the_pixels(is_behind: bool, tmp_path: Path) -> None:
    whole = encoded(PICTURE)
    for orientation, turn in UPRIGHT.items():
        exif = chunk(b"eXIf", tiff_with(orientation, "MM"))
        at = whole.rfind(b"IEND") - 4 if is_behind else whole.find(b"IDAT") - 4
        for way in all_ways(whole[:at] + exif + whole[at:], tmp_path / "x"):
            assert difference(way, turn(PICTURE)) == 0, orientation


def tiff_with(orientation: int, order: str) -> bytes:
    """EXIF data with nothing but an orientation."""
    ends = "little" if order == "II" else "big"
    numbers = [(42, 2), (8, 4), (1, 2), (ORIENTATION, 2), (3, 2), (1, 4), (orientation, 2), (0, 6)]
    return order.encode() + b"".join(n.to_bytes(size, ends) for n, size in numbers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    ["cases/orientation6.avif", "cases/hopper_orientation_6.webp"]
    + [f"images/odd/pillow/hopper_orientation_{n}.webp" for n in (2, 6)],
)
def test_real_files(name: str, tmp_path: Path) -> None:
    path = data(*name.split("/"))
    with PIL.Image.open(path) as image:
        upright = PIL.ImageOps.exif_transpose(image).convert("RGB")
    expected = np.asarray(upright)[:, :, ::-1]
    for way in all_ways(path.read_bytes(), tmp_path / "x"):
        assert difference(way, expected) < 2


def test_photographs_and_odd_files_agree(tmp_path: Path) -> None:
    """Every file that both OpenCV and Pillow decode."""
    compared = 0
    for folder in ("odd", "photos"):
        for path in sorted(data("images", folder).rglob("*")):
            if not path.is_file() or os.path.getsize(path) > 2_000_000:  # noqa: PTH202
                continue
            try:
                ways = [load_image(path)[0], load_image(PIL.Image.open(path))[0]]
            except Exception:  # Pillow's own, too
                continue
            assert ways[0].shape == ways[1].shape, path
            compared += 1
    assert compared > 80


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_files_as_opencv_turns_them(tmp_path: Path, orientation: int, kind: str) -> None:
    path = tmp_path / "picture"
    content = with_orientation(PICTURE, orientation, kind)
    path.write_bytes(content)
    expected = cv2.imread(str(path))
    if expected is None:  # it fails for TIFF files that lie on their side
        expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(load_image(path)[0], expected)  # type: ignore[arg-type]


def test_a_copy_of_a_pil_image_is_upright_too() -> None:
    for orientation, turn in UPRIGHT.items():
        with PIL.Image.open(io.BytesIO(with_orientation(PICTURE, orientation, "PNG"))) as image:
            for one in (image, image.copy()):
                np.testing.assert_array_equal(load_image(one)[0], turn(PICTURE))


def test_xmp_is_not_read_as_opencv_does_not(tmp_path: Path) -> None:
    path = data("images", "odd", "pillow", "xmp_tags_orientation.png")
    ways = all_ways(path.read_bytes(), tmp_path / "x")
    for way in ways:
        np.testing.assert_array_equal(way, cv2.imread(str(path)))
