"""Buffalo_L: ResNet50 of InsightFace (ArcFace, https://arxiv.org/abs/1801.07698).

The file ``webface_r50.onnx`` of https://github.com/deepinsight/insightface (weights for
non-commercial use). Its package is not needed: the graph is a plain one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepface.recognition.cards.buffalo_l import CARD
from deepface.recognition.onnx_model import OnnxModel


class BuffaloL(OnnxModel):
    """Vectors of 512 numbers."""

    card = CARD

    def prepare(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """RGB in [-1, 1], which is what InsightFace makes of BGR in [0, 255]."""
        return (batch[..., ::-1] * np.float32(255) - np.float32(127.5)) / np.float32(127.5)
