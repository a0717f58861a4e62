"""OpenCV's Haar cascades for a whole batch of pictures at once, on any device.

Every number is the one that OpenCV computes, not close to it but equal: sums of pixels and of the
weights of features are whole numbers below 2**24, the votes of a stage add up without rounding in
64 bits, and what does round (the norm of a window, a feature times its norm) is rounded once, in
OpenCV's precision. So neither the device nor the order of a sum matters. Pixels and weights even
fit into the ten bits of TF32, should a program have switched that on.

OpenCV's own result depends neither on its threads nor on its instruction set, but for the order in
which it comes; and with that, which of equally large eyes is taken. Here it is the one that comes
first on one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from deepface.detection.haar.atlas import Atlas, Pictures, View, atlases
from deepface.detection.haar.cascade import Candidates, cascade_path, met
from deepface.detection.haar.cascade_file import HaarCascade, read_cascade
from deepface.detection.haar.grid import Windows, integrals, looked_at
from deepface.detection.haar.grouping import group_all
from deepface.detection.haar.stages import Plain
from deepface.errors import MissingPackageError
from deepface.logger import get_logger

#: Pixels of an atlas: a search holds some 110 bytes for each. Every atlas costs some 700 operations
#: on the device, so the fewer there are the better; more than the most hardly save time.
_MOST_PIXELS, _USUAL_PIXELS, _LEAST_PIXELS = 1 << 26, 1 << 24, 1 << 20
_BYTES_PER_PIXEL = 110


class Steps(Protocol):
    """The parts of a search that take its time: operations of PyTorch, or kernels that fuse them.

    Attributes:
        groups: of stages, after each of which the windows that are left are gathered anew.
    """

    groups: range

    def resampled(
        self, gray: Tensor, rows: Tensor, columns: Tensor, strips: Tensor, offsets: Tensor
    ) -> Tensor:
        """See :func:`deepface.detection.haar.atlas.resampled`."""

    def grid(self, sums: Tensor, squares: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """The first stages for every window.

        Args:
            sums: see :func:`deepface.detection.haar.grid.integrals`.
            squares: likewise.
            step: between windows.

        Returns:
            For each window ``(rows, columns)`` its norm; whether it is constant or passes the first
            stage; whether it passes all the stages that this looks at.
        """

    def source(self, pixels: Tensor, sums: Tensor) -> Tensor:
        """What :meth:`look` needs of an atlas, from its pixels or their sums."""

    def look(self, source: Tensor, windows: Windows, group: int) -> tuple[Tensor, Tensor]:
        """Which windows pass a group of stages, and the votes of its last stage, float64."""


class HaarSearch:
    """One cascade on one device, for any number of threads.

    Args:
        file: one of those that come with OpenCV.
        device: where it runs; it needs 64-bit floats.
        fused: use Triton kernels, for which it must be a CUDA device.

    Raises:
        MissingPackageError: there is no Triton for them.
    """

    def __init__(self, file: str, device: torch.device, fused: bool = False) -> None:
        cascade = read_cascade(cascade_path(file))
        self.device = device
        self.window = cascade.window
        self._steps = _fused(cascade, device) if fused else Plain(cascade, device)
        self._atlas_pixels = _fitting(device)

    @torch.inference_mode()
    def find(
        self, pictures: Pictures, views: Sequence[View], as_met: bool = False
    ) -> list[Candidates]:
        """What ``detectMultiScale3(view, 1.1, 10, outputRejectLevels=True)`` finds in every view.

        In the order of :func:`deepface.detection.haar.cascade.group`; with ``as_met``, and that
        instead of the weights, in that of :func:`deepface.detection.haar.cascade.met`. Where the
        device's memory is full, this and all later searches go on with atlases of half the size.

        Raises:
            torch.OutOfMemoryError: there is too little memory for the smallest ones.
        """
        while True:
            most = self._atlas_pixels
            try:
                return self._find(pictures, views, most, as_met)
            except torch.OutOfMemoryError:
                if most <= _LEAST_PIXELS:
                    raise
            # Not before here are the tensors of what failed gone, which the error held.
            self._atlas_pixels = most // 2
            torch.cuda.empty_cache()
            get_logger().info(
                "out of memory on %s; going on with atlases of %d pixels", self.device, most // 2
            )

    def _find(
        self, pictures: Pictures, views: Sequence[View], most: int, as_met: bool
    ) -> list[Candidates]:
        owners = [torch.zeros(0, dtype=torch.int64, device=self.device)]
        boxes = [torch.zeros((0, 4), dtype=torch.int64, device=self.device)]
        weights = [torch.zeros(0, dtype=torch.float64, device=self.device)]
        for atlas in atlases(pictures, views, self.window, self._steps.resampled, most):
            owner, box, weight = self._search(atlas)
            owners.append(owner)
            boxes.append(box)
            weights.append(met(box).double() if as_met else weight)
        shapes = [(view.height, view.width) for view in views]
        return group_all(torch.cat(owners), torch.cat(boxes), torch.cat(weights), shapes)

    def _search(self, atlas: Atlas) -> tuple[Tensor, Tensor, Tensor]:
        """Views, boxes and weights of the windows of an atlas that pass all stages."""
        sums, squares = integrals(atlas.pixels)
        windows = looked_at(atlas, *self._steps.grid(sums, squares, atlas.step))
        weights = windows.norms.double()
        source = self._steps.source(atlas.pixels, sums)
        for group in self._steps.groups:
            passed, votes = self._steps.look(source, windows, group)
            left = passed.nonzero()[:, 0]
            windows, weights = windows[left], votes[left]
        block = atlas.blocks[windows.y, atlas.strips[windows.x]].long()
        place, scale = atlas.places[block], atlas.scales[block]
        x = windows.x - place[:, 3] + place[:, 5]
        y = windows.y - place[:, 2] + place[:, 4]
        size = torch.full_like(x, self.window)
        boxes = (torch.stack([x, y, size, size], 1).float() * scale[:, None]).round().long()
        return atlas.views[block], boxes, weights


def _fitting(device: torch.device) -> int:
    """Pixels of an atlas that take a quarter of the memory that is free."""
    if device.type != "cuda":
        return _USUAL_PIXELS
    free, _ = torch.cuda.mem_get_info(device)
    return min(_MOST_PIXELS, max(_LEAST_PIXELS, free // (4 * _BYTES_PER_PIXEL)))


def _fused(cascade: HaarCascade, device: torch.device) -> Steps:
    try:
        from deepface.detection.haar.kernels import Fused
    except ImportError as error:
        raise MissingPackageError(
            "DEEPFACE_HAAR=triton needs the package triton, which comes with PyTorch for CUDA on "
            "Linux; DEEPFACE_HAAR=torch does without"
        ) from error
    return Fused(cascade, device)


@cache
def haar_search(file: str, device: torch.device, fused: bool = False) -> HaarSearch:
    """The search that all users of a file on a device share."""
    return HaarSearch(file, device, fused)
