"""The detector around a RetinaFace: batches by shape, anchors, decoding, suppression."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepface.detection.boxes import nms
from deepface.detection.canvas import Canvas, stacked
from deepface.detection.detector import Detector
from deepface.detection.retinaface.frame import Frame
from deepface.runtime.execution.batching import chunks, map_grouped
from deepface.runtime.execution.network import Network
from deepface.types import FacialAreaRegion

#: Sides from which on anchors of stride 16 do, in pixels of the network's input: squares of 32 and
#: of 64 pixels overlap equally with one of 45.
_WITHOUT_SMALLEST = 48


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


def anchor_grid(levels: Sequence[Anchors], shape: tuple[int, int], device: torch.device) -> Tensor:
    """Centre x, y and side of each anchor for inputs ``(height, width)``: ``(n, 3)`` float64.

    In the order of :class:`deepface.detection.retinaface.layers.Pyramid`'s rows.
    """
    grids = []
    for level in levels:
        y, x, side = torch.meshgrid(
            torch.arange(-(-shape[0] // level.stride)) * level.stride + level.centre,
            torch.arange(-(-shape[1] // level.stride)) * level.stride + level.centre,
            torch.tensor(level.sides, dtype=torch.float32),
            indexing="ij",
        )
        grids.append(torch.stack([x, y, side], -1).view(-1, 3).double())
    return torch.cat(grids).to(device)


_cached_anchor_grid = lru_cache(maxsize=64)(anchor_grid)


@dataclass(frozen=True)
class View:
    """How canvases of one size and border reach the network.

    Attributes:
        shape: height and width of the network's input.
        scale: its pixels per pixel of the canvas.
        frame: the part of it that the picture takes.
        smallest: whether stride 8 is computed.
    """

    shape: tuple[int, int]
    scale: float
    frame: Frame
    smallest: bool


class RetinaFace(Detector):
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
        device_postprocessing: decode and suppress on the device, for all images of a step
            together; otherwise on the CPU, one by one, with the same result.
    """

    landmarks = 5
    options = (
        "threshold",
        "min_face_size",
        "cache_anchors",
        "device_preprocessing",
        "device_postprocessing",
    )
    takes_tensors = True
    #: Of strides 8, 16 and 32.
    anchors: ClassVar[tuple[Anchors, ...]]
    #: Factors of the network's numbers for places and for sizes.
    variances: ClassVar[tuple[float, float]]
    #: How many pixels a side of ``n`` pixels has beyond the distance of its ends.
    beyond: ClassVar[int]
    #: Whether boxes end at the input's edges.
    clips: ClassVar[bool]
    #: Overlap above which a face is suppressed by a better one.
    overlap: ClassVar[float]
    #: Pixels of input per step on a CPU, and elsewhere.
    step: ClassVar[tuple[int, int]] = (2**20, 2**24)

    def __init__(
        self,
        device: str | None = None,
        threshold: float = 0.5,
        min_face_size: float | None = None,
        cache_anchors: bool = True,
        device_preprocessing: bool = True,
        device_postprocessing: bool = True,
    ) -> None:
        super().__init__(device)
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be from 0 to 1, but it is {threshold!r}")
        if min_face_size is not None and not min_face_size > 0:
            raise ValueError(f"min_face_size must be above 0, but it is {min_face_size!r}")
        self.threshold, self.min_face_size = threshold, min_face_size
        self.device_preprocessing = device_preprocessing
        self._anchors = _cached_anchor_grid if cache_anchors else anchor_grid
        self._network = Network(self._build(), device, chunk_size=2**16)
        kind = self._network.device.type
        # Apple's GPUs have no float64.
        self.device_postprocessing = device_postprocessing and kind != "mps"
        self._step = self.step[kind != "cpu"]

    @abstractmethod
    def _build(self) -> nn.Module:
        """The network with its weights.

        It takes the pictures of inputs, ``(N, 3, h, w)`` BGR from 0 to 255, their frame, and
        whether stride 8 is computed; it gives rows as
        :class:`deepface.detection.retinaface.layers.Pyramid` does.
        """

    @abstractmethod
    def _shape(self, canvas: Canvas) -> tuple[int, int, float]:
        """Height, width and scale of the network's input."""

    @abstractmethod
    def _host_input(self, canvas: Canvas, view: View) -> NDArray[Any]:
        """What is in the frame of the input, ``(h, w, 3)``."""

    @abstractmethod
    def _device_input(self, pictures: Tensor, canvas: Canvas, view: View) -> Tensor:
        """What is in the frame of inputs, ``(N, 3, h, w)``, for pictures ``(N, h, w, 3)`` uint8."""

    @torch.inference_mode()
    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        return map_grouped(
            canvases,
            key=lambda canvas: (canvas.image.shape, canvas.top, canvas.left),
            run=self._detect_alike,
            chunk_size=len(canvases),
        )

    def _detect_alike(self, canvases: list[Canvas]) -> list[list[FacialAreaRegion]]:
        """The faces of canvases of one size and border."""
        view = self._view(canvases[0])
        if min(view.shape) < 1:  # a line of pixels that scaling leaves nothing of
            return [[] for _ in canvases]
        faces: list[list[FacialAreaRegion]] = []
        for part in chunks(canvases, max(1, self._step // (view.shape[0] * view.shape[1]))):
            rows = self._rows(part, view)
            if self.device_postprocessing:
                faces += self._faces(rows, view)
            else:
                faces += [self._faces(row, view)[0] for row in torch.split(rows.cpu(), 1)]
        return faces

    def _view(self, canvas: Canvas) -> View:
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
        frame = Frame((height, width), slice(*rows), slice(*columns))
        small = self.min_face_size is None or self.min_face_size * scale < _WITHOUT_SMALLEST
        return View((height, width), scale, frame, small)

    def _rows(self, canvases: Sequence[Canvas], view: View) -> Tensor:
        """The network's numbers for canvases of one view, ``(N, anchors, 15)``."""
        batch: NDArray[Any] | Tensor
        if self.device_preprocessing or canvases[0].on_device:
            batch = stacked(canvases)
            prepare: Callable[[Tensor], Tensor] = partial(
                self._device_input, canvas=canvases[0], view=view
            )
        else:
            batch = np.stack([self._host_input(canvas, view) for canvas in canvases])
            prepare = _channels_first
        return self._network(  # type: ignore[no-any-return]
            batch, prepare, frame=view.frame, smallest=view.smallest
        )

    def _faces(self, rows: Tensor, view: View) -> list[list[FacialAreaRegion]]:
        """Faces from the network's numbers, best first."""
        levels = self.anchors if view.smallest else self.anchors[1:]
        anchors = self._anchors(levels, view.shape, rows.device)
        confidences = rows[..., 0].sigmoid()
        image, position = (confidences >= self.threshold).nonzero(as_tuple=True)
        numbers, anchor = rows[image, position].double(), anchors[position]
        boxes, points = self._decode(numbers, anchor, view)
        # Sides count whole pixels: n to m is m - n + 1. Logits tell apart what is all 1.0.
        inclusive = boxes.double() + boxes.new_tensor([0, 0, 1, 1])
        keep = nms(inclusive, numbers[:, 0], image, self.overlap)
        found = torch.cat([image[:, None], confidences[image, position][:, None], boxes, points], 1)
        faces: list[list[FacialAreaRegion]] = [[] for _ in rows]
        for owner, *values in found[keep].tolist():
            faces[int(owner)].append(_region(values))
        return faces

    def _decode(self, numbers: Tensor, anchor: Tensor, view: View) -> tuple[Tensor, Tensor]:
        """Boxes ``(n, 4)`` and landmarks ``(n, 10)``, float32, in pixels of the canvas."""
        place, growth = self.variances
        centre, side = anchor[:, :2], anchor[:, 2:]
        middle = centre + numbers[:, 1:3] * place * side
        half = ((numbers[:, 3:5] * growth).exp() * side - self.beyond) / 2
        boxes = torch.cat([middle - half, middle + half], 1)
        if self.clips:
            height, width = view.shape
            edge = boxes.new_tensor([width, height, width, height]) - 1
            boxes = torch.minimum(boxes.clamp(min=0), edge)
        points = centre[:, None] + numbers[:, 5:].view(-1, 5, 2) * place * side[:, None]
        return (boxes / view.scale).float(), points.flatten(1).float() / view.scale


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


def _channels_first(batch: Tensor) -> Tensor:
    return batch.permute(0, 3, 1, 2)


def padded(pictures: Tensor, canvas: Canvas, rows: slice, columns: slice) -> Tensor:
    """``rows`` and ``columns`` of canvases like ``canvas`` around pictures ``(N, h, w, 3)``."""
    height, width = pictures.shape[1:3]
    left, top = canvas.left - columns.start, canvas.top - rows.start
    right, bottom = columns.stop - canvas.left - width, rows.stop - canvas.top - height
    return nn.functional.pad(pictures, (0, 0, left, right, top, bottom))
