"""SFace (Zhong, Deng, Hu, Zhao, Li, Wen: SFace, IEEE TIP 2021, https://arxiv.org/abs/2205.12010).

A MobileFaceNet on 112x112 faces; the file of https://github.com/opencv/opencv_zoo.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepface.recognition.cards.sface import CARD
from deepface.recognition.onnx_model import OnnxModel


class SFace(OnnxModel):
    """Vectors of 128 numbers."""

    card = CARD

    def prepare(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """RGB, whole numbers from 0 to 255: cut to ``uint8``, as published."""
        return (batch * 255).astype(np.uint8)[..., ::-1].astype(np.float32)
