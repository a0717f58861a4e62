"""The stages of a cascade as operations of PyTorch, for any device.

The variance and the first two stages are computed for every window of an atlas, from sums over
rectangles; nine windows of ten end there. For those that are left the pixels themselves are
multiplied with the features of some stages at a time, and the rest goes on to the next ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from deepface.detection.haar.atlas import Atlas, resampled
from deepface.detection.haar.cascade_file import FLAT, CascadeStage, HaarCascade
from deepface.detection.haar.grid import GridStage, Windows, integrals, looked_at

#: Stages that are computed for every window, and after which the windows that are left are gathered
#: anew. A stage lets half of them pass in the beginning, and most in the end; each gathering makes
#: the device wait for the host once.
_GROUP_ENDS = (2, 3, 4, 5, 6, 7, 8, 10, 13, 17)
#: Likewise on CUDA, where arithmetic is cheap and waiting is not.
_CUDA_GROUP_ENDS = (2, 4, 9)
#: Bytes per pixel of a large atlas that the windows which a stage looks at together take, about.
_STAGE_BYTES_PER_PIXEL = 16


class Stages:
    """The stages of a cascade on a device; windows are looked at together in ``stage_bytes``."""

    def __init__(
        self, cascade: HaarCascade, device: torch.device, stage_bytes: int = 1 << 28
    ) -> None:
        self.window = cascade.window
        self._stage_bytes = stage_bytes
        count = len(cascade.stages)
        wanted = _CUDA_GROUP_ENDS if device.type == "cuda" else _GROUP_ENDS
        ends = [*(end for end in wanted if end < count), count]
        self._first = [GridStage.of(stage) for stage in cascade.stages[: ends[0]]]
        self._groups = [_Group.of(cascade.stages[a:b], device) for a, b in pairwise(ends)]

    resampled = staticmethod(resampled)

    def passing(self, atlas: Atlas) -> tuple[Tensor, Tensor, Tensor]:
        """The windows of an atlas that pass all stages: y, x and votes of the last, ``(n,)``."""
        sums, squares = integrals(atlas.pixels)
        windows = looked_at(atlas, *self.grid(sums, squares, atlas.step))
        windows, votes = self.later(atlas.pixels, windows)
        return windows.y, windows.x, votes

    def grid(self, sums: Tensor, squares: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """The first two stages for every window.

        Args:
            sums: see :func:`deepface.detection.haar.grid.integrals`.
            squares: likewise.
            step: between windows.

        Returns:
            For each window ``(rows, columns)`` its norm; whether it is constant or passes the first
            stage; whether it passes both.
        """
        rows, columns = ((size - 1 - self.window) // step + 1 for size in sums.shape)

        def corner(table: Tensor, y: int, x: int) -> Tensor:
            return table[y : y + rows * step : step, x : x + columns * step : step][:rows, :columns]

        def inner(table: Tensor) -> Tensor:
            """Sums over all windows without their outermost pixels."""
            a, b = 1, self.window - 1
            whole = corner(table, b, b) - corner(table, a, b)
            return whole.sub_(corner(table, b, a)).add_(corner(table, a, a))

        area = (self.window - 2) ** 2
        deviations = (inner(squares).double() * area).sub_(inner(sums).double().square_())
        norms = deviations.sqrt_().reciprocal_().float()
        # Of a constant window the norm is infinite or not a number.
        textured = norms.double() * area < FLAT
        passes_first, passed = ~textured, textured
        for number, stage in enumerate(self._first):
            votes = torch.full_like(norms, stage.right, dtype=torch.float64)
            for (first, *others), split, difference in stage.features:
                value = corner(sums, *first[:2]) * first[2]
                for y, x, weight in others:
                    value.add_(corner(sums, y, x), alpha=weight)
                votes.add_(value * norms < split, alpha=difference)
            passed = passed & (votes >= stage.threshold)
            if number == 0:
                passes_first |= passed
        return norms, passes_first, passed

    def later(self, pixels: Tensor, windows: Windows) -> tuple[Windows, Tensor]:
        """Those of the windows that pass all other stages, and the votes of the last, float64."""
        patches = pixels.float().unfold(0, self.window, 1).unfold(1, self.window, 1)
        weights = windows.norms.double()
        for group in self._groups:
            votes = self._votes(patches, windows, group)
            left = (votes >= group.thresholds).all(1).nonzero()[:, 0]
            windows, weights = windows[left], votes[left, -1]
        return windows, weights

    def _votes(self, patches: Tensor, windows: Windows, group: _Group) -> Tensor:
        pixels = patches.shape[0] * patches.shape[1]
        room = max(self._stage_bytes, _STAGE_BYTES_PER_PIXEL * pixels)
        return torch.cat(
            [
                group.votes_on(patches[part.y, part.x].flatten(1), part.norms)
                for part in _split(windows, group.kernels, room)
            ]
        )


@dataclass(frozen=True)
class _Group:
    """Some stages on the device; see :class:`deepface.detection.haar.cascade_file.CascadeStage`.

    Attributes:
        kernels: ``(pixels, f)`` float32.
        splits: ``(f,)`` float32.
        votes: left minus right, in the column of the feature's stage, ``(f, stages)`` float64.
        right: sum of the right votes, ``(stages,)`` float64.
        thresholds: ``(stages,)`` float64.
    """

    kernels: Tensor
    splits: Tensor
    votes: Tensor
    right: Tensor
    thresholds: Tensor

    @classmethod
    def of(cls, stages: Sequence[CascadeStage], device: torch.device) -> _Group:
        kernels = np.concatenate([stage.kernels for stage in stages])
        votes = np.zeros((len(kernels), len(stages)))
        start = 0
        for column, stage in enumerate(stages):
            votes[start : start + len(stage.splits), column] = stage.left - stage.right
            start += len(stage.splits)
        arrays = (
            kernels.reshape(len(kernels), -1).T.copy(),
            np.concatenate([stage.splits for stage in stages]),
            votes,
            np.array([stage.right.sum() for stage in stages]),
            np.array([stage.threshold for stage in stages]),
        )
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def votes_on(self, patches: Tensor, norms: Tensor) -> Tensor:
        """The votes ``(n, stages)`` on windows ``(n, pixels)``."""
        values = (patches @ self.kernels).mul_(norms[:, None])
        return (values < self.splits).double() @ self.votes + self.right


def _split(windows: Windows, kernels: Tensor, room: int) -> Iterator[Windows]:
    """As many windows at a time as take ``room`` bytes."""
    pixels, features = kernels.shape
    size = max(1, room // (4 * pixels + 16 * features))
    for start in range(0, max(1, len(windows.y)), size):
        yield windows[slice(start, start + size)]
