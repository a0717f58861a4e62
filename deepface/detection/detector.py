"""The contract that every detector keeps: one image, a list or a 4-D array in; faces out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ClassVar, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from deepface.arguments import shown
from deepface.detection.canvas import Canvas
from deepface.detection.card import DetectorCard
from deepface.errors import DataTypeError, InvalidArgument
from deepface.runtime.concurrency.each import in_threads
from deepface.runtime.execution.batching import group_indices, halving
from deepface.runtime.execution.device import requested_device, runs_on_cpu
from deepface.types import FIVE_POINTS, FacialAreaRegion, Image


class Detector:
    """Base of all detectors.

    A subclass implements exactly one of two methods:

    * ``_detect_batch(canvases)``: a list in, a list of lists out, one entry per canvas. The faces
      of a canvas must depend on that canvas alone, never on its neighbours in the list.
    * ``_detect_one(canvas)``: one canvas in, its faces out; the base class loops, with ``threads``
      over several at once.

    Coordinates are pixels of the canvas, border included. A class written for the published
    library, which overrides ``detect_faces(img)`` itself, is asked through that, a picture at a
    time, whatever it inherits.
    """

    #: What is known of it. A class that has one need not repeat its name and landmarks.
    card: ClassVar[DetectorCard]
    #: The name that callers use.
    name: str = ""
    #: How many landmarks a face comes with: 0, 2 (eyes) or 5.
    landmarks: int = 0
    #: Names of the keyword options that the constructor takes besides ``device``.
    options: ClassVar[tuple[str, ...]] = ()
    #: Whether lists are true batches (set by the base class).
    batched: ClassVar[bool] = False
    #: Whether ``_detect_one`` may run in several threads at once.
    threads: ClassVar[bool] = False
    #: Whether it takes pictures that are on the device already; the others are given arrays.
    takes_tensors: ClassVar[bool] = False
    #: Whether it runs on torch. Who uses no other model that does need not wait for its import.
    needs_torch: ClassVar[bool] = True
    #: Whether it would rather have arrays where pictures are on the CPU as well.
    prefers_arrays: ClassVar[bool] = False
    #: Whether, on a CPU, parts of a list on a core each are faster than all of it on all cores.
    by_core: ClassVar[bool] = False
    #: Whether it is asked through a ``detect_faces`` of its own (set by the base class).
    _published: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if (card := vars(cls).get("card")) is not None:
            cls.name, cls.landmarks, cls.needs_torch = card.name, card.landmarks, card.needs_torch
        own = vars(cls)
        if "_detect_batch" in own and "_detect_one" in own:
            raise TypeError(f"{cls.__name__} implements both _detect_batch and _detect_one")
        if "_detect_batch" in own or "_detect_one" in own:
            cls.batched, cls._published = "_detect_batch" in own, False
            if not cls.batched:  # else that of a class above would be asked
                cls._detect_batch = Detector._detect_batch  # type: ignore[method-assign]
        elif "detect_faces" in own:
            cls.batched, cls._published = False, True
            cls.takes_tensors = False
            cls.detect_faces = _one_or_many(own["detect_faces"])  # type: ignore

    def __init__(self, device: str | None = None) -> None:
        # What the environment says now: it may say something else when pictures come.
        self.device_name = requested_device(device)

    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        return in_threads(
            self._detect_one, canvases, threads=cv2.getNumThreads() if self.threads else 1
        )

    def _detect_one(self, canvas: Canvas) -> list[FacialAreaRegion]:
        raise TypeError(f"{type(self).__name__} implements neither _detect_batch nor _detect_one")

    @overload
    def detect_faces(self, img: Sequence[NDArray[Any]]) -> list[list[FacialAreaRegion]]: ...

    @overload
    def detect_faces(
        self, img: NDArray[Any]
    ) -> list[FacialAreaRegion] | list[list[FacialAreaRegion]]: ...

    def detect_faces(
        self, img: NDArray[Any] | Sequence[NDArray[Any]]
    ) -> list[FacialAreaRegion] | list[list[FacialAreaRegion]]:
        """Find the faces of one image or of each image of a batch.

        Args:
            img: one BGR ``uint8`` array ``(H, W, 3)``, a list of them (sizes may differ), or a
                4-D array ``(N, H, W, 3)``.

        Returns:
            The faces of the image, or a list with one such list per image of a batch (also for
            a batch of one, or of none).

        Raises:
            DataTypeError: an item is not a BGR ``uint8`` array.
        """
        # Not what the pipeline asks, which may be this method of a class below.
        if isinstance(img, np.ndarray) and img.ndim != 4:
            return self._in_groups(self._own, [Canvas(_checked(img))])[0]
        return self._in_groups(self._own, [Canvas(_checked(image)) for image in img])

    def detect_canvases(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        """The faces of each canvas; the door that the pipeline uses.

        Pictures on a device are kept apart from those on the CPU.
        """
        return self._in_groups(self._by_published if self._published else self._own, canvases)

    def _in_groups(
        self,
        find: Callable[[Sequence[Canvas]], Sequence[list[FacialAreaRegion]]],
        canvases: Sequence[Canvas],
    ) -> list[list[FacialAreaRegion]]:
        if not self.takes_tensors:
            canvases = [canvas.on_host() if canvas.on_device else canvas for canvas in canvases]
        groups = group_indices([canvas.on_device for canvas in canvases]).values()
        faces: dict[int, list[FacialAreaRegion]] = {}
        for positions in groups:
            found = halving(find, [canvases[position] for position in positions])
            faces.update(zip(positions, found, strict=True))
        return [faces[position] for position in range(len(canvases))]

    def _own(self, canvases: Sequence[Canvas]) -> Sequence[list[FacialAreaRegion]]:
        if self.by_core and runs_on_cpu(self.device_name):
            from deepface.runtime.concurrency.by_core import by_core

            return by_core(self._detect_batch, canvases)
        return self._detect_batch(canvases)

    def _by_published(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        return [self.detect_faces(canvas.pixels()) for canvas in canvases]  # type: ignore[misc]


def _one_or_many(detect: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A ``detect_faces`` that takes one image, for lists and 4-D arrays as well."""

    @wraps(detect)
    def detect_faces(self: Detector, img: Any) -> Any:
        if isinstance(img, np.ndarray) and img.ndim != 4:
            return detect(self, _checked(img))
        return [detect(self, _checked(image)) for image in img]

    return detect_faces


def _checked(image: object) -> Image:
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[2] != 3
    ):
        given = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image)
        raise DataTypeError(f"a detector takes BGR uint8 arrays (H, W, 3), but was given {given}")
    return image


def face(
    box: tuple[int, int, int, int],
    confidence: float,
    points: Sequence[tuple[float, float]],
    whole: Callable[[float], int] = int,
) -> FacialAreaRegion:
    """A face from what a network tells of it.

    Args:
        box: x, y, width and height, in pixels of the canvas.
        confidence: the detector's score.
        points: likewise, in the order of :data:`deepface.types.FIVE_POINTS`; with fewer than five
            there are only eyes, with fewer than two none.
        whole: rounds the eyes.
    """
    right, left = ((whole(x), whole(y)) for x, y in points[:2]) if len(points) > 1 else (None, None)
    five = tuple(points) if len(points) == len(FIVE_POINTS) else None
    return FacialAreaRegion(
        *box, left_eye=left, right_eye=right, confidence=confidence, five_points=five
    )


def threshold_from_env(variable: str, default: float) -> float:
    """A detector's threshold: environment variable ``variable``, read at each call.

    Raises:
        InvalidArgument: the variable is set to something that is no number, or infinite.
    """
    text = os.environ.get(variable)
    if not text:
        return default
    try:
        threshold = float(text)
    except ValueError:
        threshold = math.nan
    if not math.isfinite(threshold):
        raise InvalidArgument(f"environment variable {variable}={shown(text)} is not a number")
    return threshold
