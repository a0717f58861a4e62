"""A classifier on the trunk of VGG-Face: age, gender and race are of this kind."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepface.attributes.model import FACE_SIZE
from deepface.recognition.vgg_face import TRUNK_ORDER, VggTrunk
from deepface.runtime.card import Card
from deepface.runtime.execution.engines import network
from deepface.runtime.execution.network import Network
from deepface.runtime.execution.published_network import PublishedNetwork
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


def vgg_classifier(card: Card, classes: int, device: str | None, precision: str | None) -> Network:
    """The network of a card with its weights."""

    def load(files: Sequence[WeightFile]) -> VggClassifier:
        with torch.device("meta"):  # 134 million numbers that the file replaces
            module = VggClassifier(classes)
        load_weights(module, files, [*(f"backbone.{name}" for name in TRUNK_ORDER), "predictions"])
        return module

    published = PublishedNetwork(card.name, card.files[0], (*FACE_SIZE, 3), classes, load, _ready)
    return network(published, device, precision)


def _ready(module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    assert isinstance(module, VggClassifier)
    if device.type == "cpu" and dtype == torch.float32:
        module.backbone.for_cpu()
    return module
