"""Facial expression: a small network on grey 48x48 faces, trained on FER-2013.

Serengil and Ozpinar, HyperExtended LightFace (ICEET 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from deepface.attributes.cards.emotion import CARD
from deepface.attributes.model import FacialAttribute, percentages, to_channels_first
from deepface.runtime.execution.engines import network
from deepface.runtime.execution.network import Network
from deepface.runtime.execution.published_network import PublishedNetwork
from deepface.runtime.weights.load import load_weights
from deepface.runtime.weights.table import WeightFile
from deepface.types import Pixels, on_host

LAYERS = ("conv_1", "conv_2", "conv_3", "conv_4", "conv_5", "fc_1", "fc_2", "fc_3")
_SIZE = (48, 48)


class EmotionNetwork(nn.Module):
    """``(N, 1, 48, 48)`` grey in [0, 1] -> probabilities ``(N, 7)``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(1, 64, 5)
        self.conv_2 = nn.Conv2d(64, 64, 3)
        self.conv_3 = nn.Conv2d(64, 64, 3)
        self.conv_4 = nn.Conv2d(64, 128, 3)
        self.conv_5 = nn.Conv2d(128, 128, 3)
        self.fc_1 = nn.Linear(128, 1024)
        self.fc_2 = nn.Linear(1024, 1024)
        self.fc_3 = nn.Linear(1024, 7)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = functional.max_pool2d(self.conv_1(x).relu(), 5, stride=2)
        x = functional.avg_pool2d(self.conv_3(self.conv_2(x).relu()).relu(), 3, stride=2)
        x = functional.avg_pool2d(self.conv_5(self.conv_4(x).relu()).relu(), 3, stride=2)
        x = self.fc_2(self.fc_1(x.flatten(1)).relu()).relu()
        logits: Tensor = self.fc_3(x)
        return logits.softmax(1)


def _load(files: Sequence[WeightFile]) -> EmotionNetwork:
    module = EmotionNetwork()
    load_weights(module, files, LAYERS)
    return module


class Emotion(FacialAttribute):
    """Percent per label."""

    model_name = "Emotion"
    labels = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    face_size = None  # every face is scaled to 48x48

    def _build(self, device: str | None, precision: str | None) -> Network:
        shape = (*_SIZE, 1)
        published = PublishedNetwork(CARD.name, CARD.files[0], shape, len(self.labels), _load)
        return network(published, device, precision)

    def probabilities(self, faces: Pixels) -> NDArray[np.float32]:
        """``(n, H, W, 3)`` BGR in [0, 1] -> probabilities ``(n, 7)``."""
        grey = [
            cv2.resize(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), _SIZE) for face in on_host(faces)
        ]
        batch = np.stack(grey)[..., None] if grey else np.zeros((0, *_SIZE, 1), np.float32)
        result: NDArray[np.float32] = self.model(batch, to_channels_first).cpu().numpy()
        return result

    def report(self, values: Any) -> dict[str, Any]:
        """``emotion`` and ``dominant_emotion``."""
        return {
            "emotion": percentages(self.labels, values),
            "dominant_emotion": self.labels[int(values.argmax())],
        }
