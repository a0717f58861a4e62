"""What cuDNN is asked for: engines that suit these networks, and fused layers where it has them.

Which layers it fuses depends on the layer, the dtype and the version. So a layer asks once, and
compares with what single steps give. ``torch.jit.optimize_for_inference`` uses the same operators.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from deepface.logger import get_logger
from deepface.runtime.execution.batching import is_out_of_memory

#: By how much both may differ, of the largest number: in float32, where TF32 would be more, and in
#: half precision.
_TOLERANCE = {torch.float32: 3e-5}
_HALF_TOLERANCE = 2e-2


def prefer_engines() -> None:
    """Have cuDNN choose engines by its better heuristics (mode B), and not those numbered 3 and 4.

    On an H100 it took FFTs (3 is one) for float32 convolutions of some batch sizes, and RetinaFace
    30 times as long for a batch of 4 pictures as for one. With both settings, which were measured
    together, it does not.

    PyTorch reads both variables at the process's first convolution on CUDA. Who has set them keeps
    them (https://docs.pytorch.org/docs/stable/cuda_environment_variables.html).
    """
    os.environ.setdefault("TORCH_CUDNN_USE_HEURISTIC_MODE_B", "1")
    rules = Path(__file__).with_name("cudnn_engines.json")
    os.environ.setdefault("CUDNN_ERRATA_JSON_FILE", str(rules))


class CudnnConvRelu:
    """What cuDNN has for one layer."""

    def __init__(self) -> None:
        self.fits: dict[tuple[torch.dtype, bool], bool] = {}

    def __call__(
        self, x: Tensor, weight: Tensor, bias: Tensor, add: Tensor | None, geometry: Any
    ) -> Tensor | None:
        """ReLU of the convolution (stride, padding, dilation, groups) and the sum, or ``None``."""
        kind = x.dtype, add is None
        if self.fits.get(kind) is False:
            return None
        try:
            if add is None:
                y = torch.cudnn_convolution_relu(x, weight, bias, *geometry)
            else:
                y = torch.cudnn_convolution_add_relu(x, weight, add, 1.0, bias, *geometry)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            get_logger().debug("cuDNN does not fuse %s: %s", tuple(weight.shape), error)
            self.fits[kind] = False
            return None
        if kind not in self.fits:
            expected = F.conv2d(x, weight, bias, *geometry)
            expected = (expected if add is None else expected + add).relu_()
            limit = _TOLERANCE.get(x.dtype, _HALF_TOLERANCE) * expected.abs().max()
            self.fits[kind] = bool(((y - expected).abs() <= limit).all())
        return y if self.fits[kind] else None
