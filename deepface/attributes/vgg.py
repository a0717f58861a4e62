"""A classifier on the trunk of VGG-Face: age, gender and race are of this kind."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepface.recognition.vgg_face import TRUNK_ORDER, VggTrunk
from deepface.runtime.execution.device import resolve_device, resolve_precision
from deepface.runtime.execution.network import Network
from deepface.runtime.weights.load import load_weights
from deepface.runtime.weights.table import WeightFile


class VggClassifier(nn.Module):
    """``(N, 3, 224, 224)`` BGR in [0, 1] -> probabilities ``(N, classes)``."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.backbone = VggTrunk()
        self.predictions = nn.Conv2d(4096, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        features = self.backbone(x)[:, :, None, None]
        logits: Tensor = self.predictions(features).flatten(1)
        return logits.softmax(1)


def vgg_classifier(
    classes: int, files: Sequence[WeightFile], device: str | None, precision: str | None
) -> Network:
    """The network with the weights of the first of ``files`` that is on disk."""
    with torch.device("meta"):  # 134 million numbers that the file replaces
        module = VggClassifier(classes)
    load_weights(module, files, [*(f"backbone.{name}" for name in TRUNK_ORDER), "predictions"])
    where, dtype = resolve_device(device), resolve_precision(precision)
    if where.type == "cpu" and dtype == torch.float32:
        module.backbone.for_cpu()
    return Network(module, where, precision)
