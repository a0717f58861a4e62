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
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from deepface.detection.haar.atlas import GREATEST_HEIGHT, Atlas, Pictures, View, atlases
from deepface.detection.haar.cascade import cascade_path
from deepface.detection.haar.cascade_file import HaarCascade, read_cascade
from deepface.detection.haar.grouping import Hits, group_each, scan_order
from deepface.detection.haar.stages import Stages
from deepface.logger import get_logger
from deepface.runtime.execution.kernels import tried

if TYPE_CHECKING:
    from deepface.detection.haar.kernels import Kernels

#: Pixels of an atlas: a search holds some 110 bytes for each. Every atlas costs some 200 operations
#: on the device, 700 without kernels: the fewer the better; more pixels than the most hardly help.
_MOST_PIXELS, _USUAL_PIXELS, _LEAST_PIXELS = 1 << 26, 1 << 24, 1 << 20
_BYTES_PER_PIXEL = 110


class HaarSearch:
    """One cascade on one device, for any number of threads.

    Args:
        file: one of those that come with OpenCV.
        device: where it runs; it needs 64-bit floats.
    """

    #: Of an atlas: its greatest height, and its pixels where memory is short.
    height, least_pixels = GREATEST_HEIGHT, _LEAST_PIXELS

    def __init__(self, file: str, device: torch.device) -> None:
        cascade = read_cascade(cascade_path(file))
        self.device = device
        self.window = cascade.window
        self._steps = fastest_steps(cascade, device)
        self.pixels = pixels_that_fit(device)

    @torch.inference_mode()
    def find(
        self, pictures: Pictures, views: Sequence[View], in_scan_order: bool = False
    ) -> list[Hits]:
        """What ``detectMultiScale3(view, 1.1, 10, outputRejectLevels=True)`` finds in every view.

        In the order of :func:`deepface.detection.haar.grouping.group`; with ``in_scan_order`` in
        that of :func:`deepface.detection.haar.grouping.scan_order`, which replaces the weights.
        Where the device's memory is full, this and all later searches go on with atlases of half
        the size.

        Raises:
            torch.OutOfMemoryError: there is too little memory for the smallest ones.
        """
        while True:
            pixels = self.pixels
            try:
                return self._find(pictures, views, pixels, in_scan_order)
            except torch.OutOfMemoryError:
                if pixels <= self.least_pixels:
                    raise
            # Not before here are the tensors of what failed gone, which the error held.
            self.pixels = pixels // 2
            torch.cuda.empty_cache()
            get_logger().info(
                "out of memory on %s; going on with atlases of %d pixels", self.device, pixels // 2
            )

    def _find(
        self, pictures: Pictures, views: Sequence[View], pixels: int, in_scan_order: bool
    ) -> list[Hits]:
        windows = [torch.zeros((0, 6), dtype=torch.float64, device=self.device)]
        resample = self._steps.resampled
        for atlas in atlases(pictures, views, self.window, pixels, resample, self.height):
            windows.append(self._search(atlas))
        # One copy; whole numbers below 2**53 are exact in float64.
        found = torch.cat(windows).cpu().numpy()
        owners, boxes = found[:, 0].astype(np.int64), found[:, 1:5].astype(np.int64)
        candidates = Hits(boxes, scan_order(boxes).astype(float) if in_scan_order else found[:, 5])
        return group_each(owners, candidates, [(view.height, view.width) for view in views])

    def _search(self, atlas: Atlas) -> Tensor:
        """Of the windows that pass all stages view, x, y, width, height, weight: ``(n, 6)``."""
        window_y, window_x, votes = self._steps.passing(atlas)
        block = atlas.blocks[window_y, atlas.strips[window_x]].long()
        place, scale = atlas.places[block], atlas.scales[block]
        x = window_x - place[:, 3] + place[:, 5]
        y = window_y - place[:, 2] + place[:, 4]
        size = torch.full_like(x, self.window)
        boxes = (torch.stack([x, y, size, size], 1).float() * scale[:, None]).round()
        return torch.cat([atlas.views[block, None].double(), boxes.double(), votes[:, None]], 1)


def fastest_steps(cascade: HaarCascade, device: torch.device) -> Stages | Kernels:
    """Kernels of our own where they run and are right, or operators."""

    def load() -> Kernels:
        from deepface.detection.haar.kernels import Kernels

        with torch.inference_mode():
            for stages in (3, 8, len(cascade.stages)):
                some = HaarCascade(cascade.window, cascade.stages[:stages])
                compare(Kernels(some, device), Stages(some, device), device)
        return Kernels(cascade, device)

    return tried(load, device, "cascades") or Stages(cascade, device)


def compare(kernels: Stages | Kernels, operators: Stages | Kernels, device: torch.device) -> None:
    """Raise ``RuntimeError`` unless both find the same in made pictures.

    One is blurred noise, partly constant, and one is white: its sums of squares overflow.
    """
    noise = np.random.default_rng(0).integers(0, 256, (12, 15, 3)).astype(np.uint8)
    cloudy = cv2.resize(noise, (97, 75), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    cloudy[20:60, 10:45] = 99
    pictures = Pictures([cloudy, np.full((72, 72, 3), 255, np.uint8)], device)
    views = [View(0, -9, -8, 115, 91), View(0, 3, 2, 90, 70)]
    views += [View(1, 0, 0, 72, 72)] * 2
    found = [
        [
            torch.cat([atlas.pixels.view(-1), *ordered(*steps.passing(atlas))])
            for atlas in atlases(pictures, views, operators.window, 1 << 16, steps.resampled)
        ]
        for steps in (kernels, operators)
    ]
    if not all(map(torch.equal, *found)):
        raise RuntimeError("they find other windows than the operators")


def ordered(y: Tensor, x: Tensor, votes: Tensor) -> tuple[Tensor, ...]:
    """Windows as they are read."""
    order = torch.argsort(y * (x.max() + 1 if len(x) else 1) + x)
    return y[order], x[order], votes[order]


def pixels_that_fit(device: torch.device) -> int:
    """Pixels of an atlas that take a quarter of the memory that is free."""
    if device.type != "cuda":
        return _USUAL_PIXELS
    free, _ = torch.cuda.mem_get_info(device)
    return min(_MOST_PIXELS, max(_LEAST_PIXELS, free // (4 * _BYTES_PER_PIXEL)))


@cache
def haar_search(file: str, device: torch.device) -> HaarSearch:
    """The search that all users of a file on a device share."""
    return HaarSearch(file, device)
