"""The detector around a RetinaFace: batches by shape, anchors, decoding, suppression."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepface.arguments import number
from deepface.detection.boxes import Suppression
from deepface.detection.canvas import Canvas, brought
from deepface.detection.detector import Detector
from deepface.detection.ragged import Batch, Bin, Size, View, bins, steps
from deepface.detection.retinaface.frame import Placement
from deepface.runtime.execution.batching import chunks, group_indices, powers_of_two, regrouped
from deepface.runtime.execution.network import Network, channels_first, concatenated
from deepface.runtime.execution.streams import kept
from deepface.runtime.execution.transfer import sent
from deepface.runtime.execution.winograd import with_winograd
from deepface.types import FacialAreaRegion

#: Sides from which on anchors of stride 16 do, in pixels of the network's input: squares of 32 and
#: of 64 pixels overlap equally with one of 45.
_WITHOUT_SMALLEST = 48
#: Of the maps, and of the input, that convolutions look sideways on.
_STRIDES = (1, 2, 4, 8, 16, 32)
#: Pixels that are computed while a network's layers are launched, on a CPU and elsewhere.
_LAUNCHES = (0, 2**22)
#: Launches of a framed batch, and the work for its pixels, compared with those of a plain one.
_FRAMED_LAUNCHES, _FRAMED_PIXELS = 1.7, 0.5
#: Pixels of input whose numbers are kept until faces are looked for, on a CPU and elsewhere.
_KEPT = (1, 2**26)


@dataclass(frozen=True)
class Anchors:
    """The anchors of one stride: squares around a point of each cell.

    Attributes:
        stride: in pixels.
        sides: in pixels, in the order of the network's numbers.
        centre: from the cell's corner, in pixels.
    """

    stride: int
    sides: tuple[int, int]
    centre: float


def anchor_grid(levels: Sequence[Anchors], shape: Size, device: torch.device) -> Tensor:
    """The anchors for inputs ``(height, width)``, ``(n, 5)`` float64.

    Centre x and y, side, and row and column of the pixel at which its cell begins; in the order of
    :class:`deepface.detection.retinaface.feature_pyramid.Pyramid`'s rows.
    """
    grids = []
    for level in levels:
        rows, columns = (torch.arange(0, length, level.stride).double() for length in shape)
        sides = torch.tensor(level.sides).double()
        y, x, side = torch.meshgrid(rows, columns, sides, indexing="ij")
        grids.append(torch.stack([x + level.centre, y + level.centre, side, y, x], -1).view(-1, 5))
    return torch.cat(grids).to(device)


_cached_anchor_grid = kept(64)(anchor_grid)


@dataclass(frozen=True)
class InputView(View):
    """How canvases of one size and border reach the network.

    Attributes:
        shape: height and width of the network's input.
        scale: its pixels per pixel of the canvas.
        frame: the part of it that the picture takes.
        smallest: whether stride 8 is computed.
    """

    scale: float
    frame: Placement
    smallest: bool


class RetinaFace(Detector, ABC):
    """Base of the detectors of this family.

    Args:
        device: where the network runs.
        threshold: least confidence of a face, from 0 to 1.
        min_face_size: the caller needs no faces whose shorter side is below it, in pixels of the
            picture; ``None`` for all. Where it is 48 pixels or more in the network's input, stride
            8 is not computed: neither its lateral, merge, context module and heads, nor its
            anchors. Larger faces are found as before; of smaller ones some are, most are not.
        cache_anchors: compute anchors once per input shape and device.
        device_preprocessing: bring pictures to the device as they are and make the network's
            input there.
        device_postprocessing: decode and suppress on the device; otherwise on the CPU, with the
            same result.
        precision: see :class:`deepface.runtime.execution.network.Network`.
    """

    landmarks = 5
    options = (
        "threshold",
        "min_face_size",
        "cache_anchors",
        "device_preprocessing",
        "device_postprocessing",
        "precision",
    )
    takes_tensors = True
    #: Of strides 8, 16 and 32.
    anchors: ClassVar[tuple[Anchors, ...]]
    #: Factors of the network's numbers for places and for sizes.
    variances: ClassVar[tuple[float, float]]
    #: How many pixels a side of ``n`` pixels has beyond the distance of its ends.
    inclusive: ClassVar[int]
    #: Whether boxes end at the input's edges.
    clips: ClassVar[bool]
    #: Overlap above which a face is suppressed by a better one.
    overlap: ClassVar[float]
    #: Whether the network takes batches of different sizes, see :mod:`deepface.detection.ragged`.
    ragged: ClassVar[bool] = False
    #: Pixels of input per batch on a CPU, and elsewhere.
    steps: ClassVar[tuple[int, int]] = (2**20, 2**24)

    def __init__(
        self,
        device: str | None = None,
        threshold: float = 0.5,
        min_face_size: float | None = None,
        cache_anchors: bool = True,
        device_preprocessing: bool = True,
        device_postprocessing: bool = True,
        precision: str | None = None,
    ) -> None:
        super().__init__(device)
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be from 0 to 1, but it is {threshold!r}")
        if min_face_size is not None:
            number("min_face_size", min_face_size, above=0)
        self.threshold, self.min_face_size = threshold, min_face_size
        self.device_preprocessing = device_preprocessing
        self.cache_anchors = cache_anchors
        self.network = Network(
            self._build(), device, precision, chunk_size=2**16, channels_last=True
        )
        self._suppression = Suppression()
        kind = self.network.device.type
        if kind == "cpu" and self.network.dtype == torch.float32:
            with_winograd(self.network.module)
        # Apple's GPUs have no float64.
        self.device_postprocessing = device_postprocessing and kind != "mps"
        elsewhere = kind != "cpu"
        self.step, self.launches = self.steps[elsewhere], _LAUNCHES[elsewhere]
        self._kept = _KEPT[elsewhere]
        # Not every number is one for which cuDNN has a good plan: on an H200 pictures of 1280x720
        # took 45 ms each in batches of 9 and 5, one by one 26, on an H100 21 in one of 8.
        self._cut = powers_of_two if elsewhere and not self.ragged else chunks

    @abstractmethod
    def _build(self) -> nn.Module:
        """The network with its weights.

        It takes the pictures of inputs, ``(N, 3, h, w)`` BGR from 0 to 255, their frame, and
        whether stride 8 is computed; it gives rows as
        :class:`deepface.detection.retinaface.feature_pyramid.Pyramid` does.
        """

    @abstractmethod
    def _shape(self, canvas: Canvas) -> tuple[int, int, float]:
        """Height, width and scale of the network's input."""

    @abstractmethod
    def host_input(self, canvas: Canvas, view: InputView) -> NDArray[Any]:
        """What is in the frame of the input, ``(h, w, 3)``."""

    @abstractmethod
    def device_input(
        self, pictures: Tensor, canvas: Canvas, view: InputView, tables: Sequence[Tensor]
    ) -> Tensor:
        """What is in the frame of inputs, ``(N, 3, h, w)``, for pictures ``(N, h, w, 3)`` uint8.

        ``tables`` are those of :meth:`tables`, for as many pictures or more.
        """

    @torch.inference_mode()
    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        views = [self.view(canvas) for canvas in canvases]
        faces: list[list[FacialAreaRegion]] = [[] for _ in canvases]
        for step in steps(self.plan(canvases, views), self._kept):
            batches = [Batch.of(bin_, canvases, views) for bin_ in step]
            rows, facts = self._numbers(batches)
            if not self.device_postprocessing:
                rows, facts = [part.cpu() for part in rows], [part.cpu() for part in facts]
            members = chain(*(bin_.members for bin_ in step))
            for member, found in zip(members, self._decoded(rows, batches, facts), strict=True):
                faces[member] = found
        return faces

    def plan(self, canvases: Sequence[Canvas], views: Sequence[InputView]) -> list[Bin]:
        """Which canvases run together."""
        keys = [(canvas.image.shape, canvas.top, canvas.left) for canvas in canvases]
        alike = []
        for members in group_indices(keys).values():
            height, width = views[members[0]].shape
            if min(height, width) < 1:  # a line of pixels that scaling leaves nothing of
                continue
            parts = self._cut(members, max(1, self.step // (height * width)))
            alike += [Bin(list(part), (height, width), False) for part in parts]
        if not self.ragged or len(alike) < 2 or self.launches == 0:
            return alike
        together = bins([view.shape for view in views], self.launches, self.step)
        framed = sum(_FRAMED_LAUNCHES * self.launches + _FRAMED_PIXELS * b.pixels for b in alike)
        plain = sum(self.launches + bin_.pixels for bin_ in together)
        return together if plain < framed or not any(c.top or c.left for c in canvases) else alike

    def _numbers(self, batches: Sequence[Batch[InputView]]) -> tuple[list[Tensor], list[Tensor]]:
        """The network's numbers for each batch, ``(N, anchors, 15)``; and :meth:`_facts` there."""
        device, canvases = self.network.device, list(chain(*(batch.canvases for batch in batches)))
        groups = [self._facts(batches), *(self._beside(batch) for batch in batches)]
        if canvases[0].on_device or (device.type == "cuda" and self.device_preprocessing):
            images, (facts, *tables) = brought(canvases, groups, device)
            parts = regrouped(images, [batch.canvases for batch in batches])
            inputs = [_stacked(batch, mine) for batch, mine in zip(batches, parts, strict=True)]
        else:
            groups.append([self._host_batch(batch) for batch in batches])
            moved = sent(list(chain(*groups)), device)
            facts, *tables, inputs = regrouped(moved, groups)
        rows = [self._run(*each) for each in zip(batches, inputs, tables, strict=True)]
        return rows, facts

    def _prepares(self, batch: Batch[InputView]) -> bool:
        """Whether :meth:`device_input` makes the network's input."""
        there = self.device_preprocessing or batch.canvases[0].on_device
        return there and not batch.bin.ragged

    def _beside(self, batch: Batch[InputView]) -> list[NDArray[Any]]:
        """What goes to the device beside the pictures of a batch."""
        if self._prepares(batch):
            return self.tables(batch.canvases[0], batch.views[0], len(batch.canvases))
        return [*batch.beyond(_STRIDES)]

    def tables(self, canvas: Canvas, view: InputView, count: int) -> list[NDArray[Any]]:
        """What :meth:`device_input` must know of ``count`` canvases."""
        return []

    def _host_batch(self, batch: Batch[InputView]) -> NDArray[Any]:
        if batch.bin.ragged:
            drawn = np.zeros((len(batch.canvases), *batch.bin.shape, 3), np.uint8)
            for place, canvas in zip(drawn, batch.canvases, strict=True):
                place[canvas.inside] = canvas.image
            return drawn
        if self.device_preprocessing:
            return np.stack([canvas.image for canvas in batch.canvases])
        return np.stack([self.host_input(canvas, batch.views[0]) for canvas in batch.canvases])

    def _run(self, batch: Batch[InputView], inputs: Tensor, tables: Sequence[Tensor]) -> Tensor:
        """The network's numbers for a batch; ``tables`` are those of :meth:`_beside`."""
        view = batch.views[0]
        arguments: dict[str, Any] = {"frame": view.frame}
        if batch.bin.ragged:
            frame, edges = Placement.none(batch.bin.shape), batch.edges(_STRIDES, tables)
            arguments = {"frame": frame, "edges": edges}
        prepare: Callable[[Tensor], Tensor] = channels_first
        if self._prepares(batch):
            canvas = batch.canvases[0]
            prepare = partial(self.device_input, canvas=canvas, view=view, tables=tables)
        return self.network(inputs, prepare, smallest=view.smallest, **arguments)  # type: ignore[no-any-return]

    def view(self, canvas: Canvas) -> InputView:
        """How a canvas reaches the network."""
        height, width, scale = self._shape(canvas)
        # Interpolation spreads the picture by half a pixel of the canvas.
        spread = 0 if scale == 1 else scale / 2 + 2
        rows, columns = (
            (max(0, int(start * scale - spread)), min(size, int((start + length) * scale + spread)))
            for size, start, length in (
                (height, canvas.top, canvas.image.shape[0]),
                (width, canvas.left, canvas.image.shape[1]),
            )
        )
        frame = Placement((height, width), slice(*rows), slice(*columns))
        small = self.min_face_size is None or self.min_face_size * scale < _WITHOUT_SMALLEST
        return InputView((height, width), scale, frame, small)

    def _levels(self, batches: Sequence[Batch[InputView]]) -> tuple[Anchors, ...]:
        return self.anchors if batches[0].views[0].smallest else self.anchors[1:]

    def _facts(self, batches: Sequence[Batch[InputView]]) -> list[NDArray[Any]]:
        """What decoding must know of batches and of pictures.

        Of each batch its first row, rows of a picture, first anchor and first picture; of each
        picture height and width of its input, and the scale.
        """
        places, row, anchor, picture = [], 0, 0, 0
        for batch in batches:
            count = sum(
                len(level.sides) * math.prod(-(-side // level.stride) for side in batch.bin.shape)
                for level in self._levels(batches)
            )
            places.append((row, count, anchor, picture))
            row += len(batch.views) * count
            anchor += count
            picture += len(batch.views)
        each = [(*view.shape, view.scale) for batch in batches for view in batch.views]
        return [np.array(places), np.array(each, np.float64)]

    def _decoded(
        self, rows: Sequence[Tensor], batches: Sequence[Batch[InputView]], facts: Sequence[Tensor]
    ) -> list[list[FacialAreaRegion]]:
        """Faces of each picture, best first.

        Args:
            rows: of each batch, ``(N, anchors, 15)``.
            batches: what they were made of.
            facts: see :meth:`_facts`, on the device of the rows.
        """
        places, each = facts
        flat = concatenated([part.flatten(0, 1) for part in rows])
        confidences = flat[:, 0].sigmoid()
        ragged = any(batch.bin.ragged for batch in batches)
        grid = _cached_anchor_grid if self.cache_anchors else anchor_grid
        levels = self._levels(batches)
        anchors = concatenated([grid(levels, batch.bin.shape, flat.device) for batch in batches])

        def known(at: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            numbers = flat[at].double()
            place = places[torch.searchsorted(places[:, 0].contiguous(), at, right=True) - 1]
            first, count, anchor, picture = place.unbind(1)
            image, anchor = picture + (at - first) // count, anchor + (at - first) % count
            shape, scale, where = each[image, :2], each[image, 2:], anchors[anchor]
            if ragged:
                # Beyond a picture's edges there is anything: for a picture that does not exist.
                image = image.where((where[:, 3:] < shape).all(1), len(each))
            boxes, points = self._decode(numbers, where, shape, scale)
            # Sides count whole pixels: n to m is m - n + 1. Logits tell apart what is all 1.0.
            inclusive = torch.cat([boxes[:, :2].double(), boxes[:, 2:].double() + 1], 1)
            table = [image[:, None], confidences[at][:, None], boxes, points]
            return inclusive, numbers[:, 0], image, torch.cat(table, 1)

        faces: list[list[FacialAreaRegion]] = [[] for _ in range(len(each) + 1)]
        passes = confidences >= self.threshold
        for picture, *values in self._suppression(passes, known, self.overlap).tolist():
            faces[int(picture)].append(_region(values))
        return faces[:-1]

    def _decode(
        self, numbers: Tensor, anchor: Tensor, shape: Tensor, scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Boxes ``(n, 4)`` and landmarks ``(n, 10)``, float32, in pixels of the canvas.

        Args:
            numbers: ``(n, 15)``.
            anchor: rows of :func:`anchor_grid`, ``(n, 5)``.
            shape: height and width of each input, ``(n, 2)``.
            scale: pixels of the input per pixel of the canvas, ``(n, 1)``.
        """
        place, growth = self.variances
        centre, side = anchor[:, :2], anchor[:, 2:3]
        middle = centre + numbers[:, 1:3] * place * side
        half = ((numbers[:, 3:5] * growth).exp() * side - self.inclusive) / 2
        boxes = torch.cat([middle - half, middle + half], 1)
        if self.clips:
            edge = shape.flip(1).repeat(1, 2) - 1
            boxes = torch.minimum(boxes.clamp(min=0), edge)
        points = centre[:, None] + numbers[:, 5:].view(-1, 5, 2) * place * side[:, None]
        return (boxes / scale).float(), points.flatten(1).float() / scale.float()


def _stacked(batch: Batch[InputView], images: Sequence[Tensor]) -> Tensor:
    """Pictures on a device in one tensor ``(N, h, w, 3)``, where they are ragged with borders."""
    if not batch.bin.ragged:
        return torch.stack([*images])
    stack = images[0].new_zeros((len(images), *batch.bin.shape, 3))
    for place, canvas, image in zip(stack, batch.canvases, images, strict=True):
        place[canvas.inside] = image
    return stack


def _region(values: Sequence[float]) -> FacialAreaRegion:
    """A face from its confidence, corners and landmarks."""
    x1, y1, x2, y2 = (int(value) for value in values[1:5])
    five_points = tuple(zip(values[5::2], values[6::2], strict=True))
    right_eye, left_eye, nose, mouth_right, mouth_left = ((int(x), int(y)) for x, y in five_points)
    return FacialAreaRegion(
        x=x1,
        y=y1,
        w=x2 - x1,
        h=y2 - y1,
        left_eye=left_eye,
        right_eye=right_eye,
        confidence=values[0],
        nose=nose,
        mouth_right=mouth_right,
        mouth_left=mouth_left,
        five_points=five_points,
    )


def padded(pictures: Tensor, canvas: Canvas, rows: slice, columns: slice) -> Tensor:
    """``rows`` and ``columns`` of canvases like ``canvas`` around pictures ``(N, h, w, 3)``."""
    height, width = pictures.shape[1:3]
    left, top = canvas.left - columns.start, canvas.top - rows.start
    right, bottom = columns.stop - canvas.left - width, rows.stop - canvas.top - height
    return nn.functional.pad(pictures, (0, 0, left, right, top, bottom))
