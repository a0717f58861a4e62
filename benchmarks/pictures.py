"""The pictures that are measured on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from deepface.types import Image

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
#: Width and height of drawn pictures, in turn.
_DRAWN_SIZES = ((1280, 720), (640, 480), (1024, 768), (1920, 1080), (720, 1280), (800, 800))


def find_pictures(folder: Path, count: int | None = None) -> list[Path]:
    """The picture files of a folder by name; from the start again when ``count`` is larger.

    Raises:
        SystemExit: there are none.
    """
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in _ENDINGS)
    if not found:
        raise SystemExit(f"no pictures ({', '.join(sorted(_ENDINGS))}) in {folder}")
    if count is None:
        return found
    return (found * (count // len(found) + 1))[:count]


def read(path: Path) -> Image:
    """A picture file as BGR ``uint8``."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{path} cannot be decoded")
    return image  # type: ignore[return-value]


def fill(image: Image, width: int, height: int) -> Image:
    """``image`` scaled to cover ``width`` × ``height``, and cut to that around its middle."""
    scale = max(width / image.shape[1], height / image.shape[0])
    size = max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(image, size, interpolation=interpolation)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width])


def write_filled(paths: Sequence[Path], folder: Path, width: int, height: int) -> list[Path]:
    """Copies of the pictures that all have one size, as JPEG files in ``folder``."""
    copies: dict[Path, Path] = {}
    for path in paths:
        if path not in copies:
            copies[path] = folder / f"{len(copies):04}.jpg"
            cv2.imwrite(str(copies[path]), fill(read(path), width, height))
    return [copies[path] for path in paths]


def draw(count: int, seed: int = 0) -> Iterator[Image]:
    """Pictures of mixed sizes: coarse noise, and a portrait or two where scikit-image is installed.

    They stand in where no photographs are at hand. Networks take as long on them as on others.
    """
    spec = find_spec("skimage")
    face = None
    if spec is not None and spec.origin is not None:
        astronaut = cv2.imread(str(Path(spec.origin).parent / "data" / "astronaut.png"))
        face = None if astronaut is None else astronaut[0:256, 96:352]
    generator, choose = np.random.default_rng(seed), random.Random(seed)  # noqa: S311
    for number in range(count):
        width, height = _DRAWN_SIZES[number % len(_DRAWN_SIZES)]
        coarse = generator.integers(0, 256, (height // 40, width // 40, 3), np.uint8)
        picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(choose.randint(1, 2) if face is not None else 0):
            side = choose.randint(80, min(width, height) // 2)
            x, y = choose.randint(0, width - side), choose.randint(0, height - side)
            picture[y : y + side, x : x + side] = cv2.resize(face, (side, side))  # type: ignore[arg-type]
        yield picture  # type: ignore[misc]


@contextmanager
def pictures(folder: Path | None, count: int | None) -> Iterator[list[Path]]:
    """The pictures of ``folder``, or drawn ones that are deleted in the end."""
    if folder is not None:
        yield find_pictures(folder, count)
        return
    with TemporaryDirectory(prefix="benchmarks-") as temporary:
        for number, picture in enumerate(draw(count or 64)):
            cv2.imwrite(str(Path(temporary, f"{number:04}.jpg")), picture)
        yield find_pictures(Path(temporary))
