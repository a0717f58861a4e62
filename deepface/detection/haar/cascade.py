"""OpenCV's Haar cascades over a picture with a black border, without searching the black.

``CascadeClassifier.detectMultiScale3`` shrinks its picture step by step by 1.1, and slides a window
over every size. Here the same sizes are made with the same resampling and searched one at a time,
cut to the windows that touch the picture. What is found is equal to the last bit, but

* the border, three quarters of the area, costs next to nothing;
* a search holds some bytes per pixel of the padded picture, and not some fifty;
* threads can share the sizes of one picture, and the order of faces does not depend on which of
  them was first;
* where numba is installed, the windows are searched many at a time (``compiled.py``).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from deepface.detection.canvas import Canvas
from deepface.detection.cards.opencv import EYES, FACES
from deepface.detection.haar.cascade_file import read_cascade
from deepface.detection.haar.choice import implementation
from deepface.detection.haar.grouping import Hits
from deepface.errors import MissingPackageError
from deepface.logger import get_logger
from deepface.runtime.concurrency.object_pool import ObjectPool
from deepface.runtime.weights.damage import reading
from deepface.runtime.weights.store import ensure_weight
from deepface.runtime.weights.trial import check_by_trial
from deepface.types import on_host

if TYPE_CHECKING:
    from deepface.detection.haar.compiled import CompiledCascade

#: ``map``, or that of an executor.
Spread: TypeAlias = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]

_FILES = {file.name: file for file in (FACES, EYES)}
_TRIAL = """
    picture = numpy.random.default_rng(0).integers(0, 255, (64, 64), numpy.uint8)
    cv2.CascadeClassifier(path).detectMultiScale3(picture, 1.1, outputRejectLevels=True)
""".strip()
_SCALE_FACTOR = 1.1
#: Pixels searched in one go: bounds the memory of a search.
_BAND_PIXELS = 1 << 18
#: A pixel of the picture can colour so many pixels of a smaller size beyond its own place.
_BLUR = 2
#: Who imports a module while another thread's import of it fails may get half of it.
_compiling = threading.Lock()


class Cascade:
    """A cascade for any number of threads.

    Args:
        file: one of those that come with OpenCV; where it did not, it is downloaded.

    Raises:
        MissingPackageError: this OpenCV (version 5) has no cascades any more.
        WeightsError: the file did not come with OpenCV, nor can it be downloaded.
    """

    def __init__(self, file: str) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise MissingPackageError(
                f"OpenCV {cv2.__version__} has no cascade classifier; install a version that has "
                'one: pip install "opencv-python<5"'
            )
        self._path = path = cascade_path(file)
        check_by_trial(path, _FILES.get(file), "import cv2, numpy", _TRIAL)
        with reading(path, "Haar cascade"):
            #: OpenCV's, which only one thread may use at a time.
            self.classifiers = ObjectPool(lambda: cv2.CascadeClassifier(str(path)))
            with self.classifiers.borrow() as classifier:
                if classifier.empty():
                    raise ValueError("OpenCV finds none in it")
                self.window = classifier.getOriginalWindowSize()[0]

    @property
    def compiled(self) -> CompiledCascade | None:
        """The search by numba, unless ``DEEPFACE_HAAR`` rules it out, or nothing and no numba.

        Raises:
            MissingPackageError: ``DEEPFACE_HAAR`` asks for it, and numba does not work here.
        """
        wanted = implementation()
        if wanted not in ("auto", "numba"):
            return None
        with _compiling:
            found = compiled_cascade(self._path)
        if found is None and wanted == "numba":
            raise MissingPackageError(
                "DEEPFACE_HAAR=numba needs the package numba, and a folder for what it compiles: "
                'pip install "numba>=0.60"'
            )
        return found

    def search(self, canvas: Canvas, spread: Spread = map) -> Hits:
        """The windows that pass, as ``detectMultiScale3(canvas.pixels(), 1.1)`` collects them.

        Args:
            canvas: the picture and its border.
            spread: how the sizes of the pyramid are searched: one after the other, or by the
                threads of an executor.
        """
        gray = cv2.copyMakeBorder(
            cv2.cvtColor(on_host(canvas.image), cv2.COLOR_BGR2GRAY),
            *(canvas.top, canvas.top, canvas.left, canvas.left),
            cv2.BORDER_CONSTANT,
            value=0,
        )
        inside = (canvas.top, canvas.left, *canvas.image.shape[:2])
        levels = pyramid(canvas.shape, inside, self.window)
        found = list(spread(lambda level: self._search(gray, level), levels))
        return Hits(
            np.concatenate([np.empty((0, 4), np.int64), *(part.boxes for part in found)]),
            np.concatenate([np.empty(0), *(part.weights for part in found)]),
        )

    def _search(self, gray: Any, level: PyramidLevel) -> Hits:
        shrunk = cv2.resize(
            gray, (level.width, level.height), interpolation=cv2.INTER_LINEAR_EXACT
        )[:, level.left : level.right]
        compiled = self.compiled
        rows = max(3 * self.window, _BAND_PIXELS // shrunk.shape[1])
        rows -= rows % level.step
        places, weights = [np.empty((0, 2), np.int64)], [np.empty(0)]
        with self.classifiers.borrow() as classifier:
            for top in range(level.top, level.bottom, rows):
                bottom = min(top + rows, level.bottom) + self.window - 1
                band = shrunk[top:bottom]
                if compiled is not None:
                    at, sums = compiled.windows(band, level.step)
                else:
                    at, sums = _windows(classifier, band, self.window, level.step)
                places.append(at + np.array([level.left, top]))
                weights.append(sums)
        corners = np.rint(np.concatenate(places).astype(np.float32) * level.scale)
        size = np.full_like(corners, round(float(level.scale * np.float32(self.window))))
        boxes = np.concatenate([corners, size], axis=1).astype(np.int64)
        return Hits(boxes, np.concatenate(weights))


@cache
def compiled_cascade(path: Path) -> CompiledCascade | None:
    """A file's search by numba, where it works."""
    try:
        from deepface.detection.haar.compiled import CompiledCascade

        compiled = CompiledCascade(read_cascade(path))
        side = compiled.window
        compiled.windows(np.zeros((side, side), np.uint8), 1)  # compiles, and writes its cache
        return compiled
    except Exception as error:  # not installed, no place for its cache, an unknown kind of feature
        get_logger().debug("OpenCV searches with %s: %s", path.name, error)
        return None


def cascade_path(file: str) -> Path:
    """Where the cascade's XML is: with OpenCV, or else in the weights folder."""
    folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    if folder is not None and (path := Path(folder, file)).is_file():
        return path
    return ensure_weight(_FILES.get(file, file))


@dataclass(frozen=True)
class PyramidLevel:
    """One size of the pyramid, and the windows in it that touch the picture.

    ``scale`` is how many pixels of the canvas one pixel here is. Windows start in rows
    ``top <= y < bottom``, and lie in columns ``left <= x < right``.
    """

    scale: np.float32
    height: int
    width: int
    step: int
    top: int
    bottom: int
    left: int
    right: int


@lru_cache(maxsize=256)
def pyramid(
    shape: tuple[int, int], inside: tuple[int, int, int, int], window: int
) -> tuple[PyramidLevel, ...]:
    """The sizes that OpenCV searches; its arithmetic is in 32 bits, and so is this.

    Args:
        shape: height and width of what is searched, black border included.
        inside: top, left, height and width of the part that is not border.
        window: side of the cascade's window.
    """
    levels = []
    factor = 1.0
    stripes = math.ceil((shape[1] - window + 1) / 32)
    while round(window * factor) <= min(shape):
        scale = np.float32(factor)
        height, width = (round(float(np.float32(side) / scale)) for side in shape)
        step = 1 if scale >= 2 else 2
        # OpenCV cuts the rows into stripes of whole steps, which may leave out the last row.
        rows = height - window + 1
        rows = min(rows, stripes * max((rows // step + stripes - 1) // stripes, 1) * step)
        top, bottom = _touching(inside[0], inside[2], shape[0] / height)
        left, right = _touching(inside[1], inside[3], shape[1] / width)
        # Rows and columns are skipped in whole steps, so that the windows stay on their grid.
        top, left = (max(0, start - window + 1) // step * step for start in (top, left))
        levels.append(
            PyramidLevel(
                *(scale, height, width, step),
                *(top, min(bottom, rows), left, min(right + window - 1, width)),
            )
        )
        factor *= _SCALE_FACTOR
    return tuple(levels)


def _touching(start: int, size: int, scale: float) -> tuple[int, int]:
    """Where ``start ... start + size`` of the canvas lies in a size of the pyramid, generously."""
    return math.floor(start / scale) - _BLUR, math.ceil((start + size) / scale) + _BLUR


def _windows(
    classifier: cv2.CascadeClassifier, gray: Any, window: int, step: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Corners and weights of the windows of one size that pass, on a grid of ``step`` pixels.

    OpenCV steps by two pixels up to a scale of 2 and by one from there. For one pixel, every pixel
    is doubled, and searched at scale 2, where OpenCV takes the mean of two equal pixels.
    """
    if step == 1:
        gray = cv2.resize(gray, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    elif (gray.shape[0] - window + 1) % 2:
        # With an odd number of rows OpenCV may leave out the last one, see pyramid.
        gray = cv2.copyMakeBorder(gray, 0, 1, 0, 0, cv2.BORDER_CONSTANT, value=0)
    zoom = 2 // step
    size = (window * zoom, window * zoom)
    boxes, _, weights = classifier.detectMultiScale3(
        gray,
        scaleFactor=2.0,
        minNeighbors=0,
        minSize=size,
        maxSize=size,
        outputRejectLevels=True,
    )
    corners = np.asarray(boxes, np.int64).reshape(-1, 4)[:, :2] // zoom
    return corners, np.asarray(weights, np.float64).reshape(-1)
