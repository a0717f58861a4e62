"""FasNet: two networks look at the face and its surroundings and vote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from deepface.images.resample import PixelTable, resized
from deepface.runtime.execution.engines import network
from deepface.runtime.execution.published_network import PublishedNetwork
from deepface.runtime.execution.transfer import as_tensor
from deepface.runtime.weights.load import load_weights
from deepface.runtime.weights.table import WeightFile
from deepface.spoofing.cards.fasnet import CARD
from deepface.spoofing.fasnet_networks import layers_in_order, mini_fasnet_v1se, mini_fasnet_v2
from deepface.types import Box, Image, Liveness, Pixels, Rectangle, on_host

#: How much of the surroundings each network sees, as a multiple of the box; in the order of files.
NETWORKS: tuple[tuple[float, Callable[[], nn.Module]], ...] = (
    (2.7, mini_fasnet_v2),
    (4.0, mini_fasnet_v1se),
)
_SIZE = 80
_CLASSES = 3
_REAL = 1


class FasNet:
    """Tells real faces from prints and screens.

    Args:
        device: where the networks run.
    """

    model_name = CARD.name

    def __init__(self, device: str | None = None) -> None:
        self.networks = []
        for (scale, build), files in zip(NETWORKS, CARD.files, strict=True):
            load = partial(_load, build)
            published = PublishedNetwork(CARD.name, files, (_SIZE, _SIZE, 3), _CLASSES, load)
            self.networks.append((scale, network(published, device)))

    def analyze(self, img: Image, facial_area: Box) -> tuple[bool, float]:
        """The published door, for one face: ``(is_real, score)``; see :meth:`judge`."""
        verdict = self.judge([(img, facial_area)])[0]
        return verdict.is_real, verdict.score

    def judge(self, faces: Sequence[tuple[Pixels, Box]]) -> list[Liveness]:
        """Judge many faces in one batch per network.

        Args:
            faces: BGR pictures ``(H, W, 3)`` in [0, 255], without border, and boxes
                ``(x, y, w, h)`` in their pixels. Where all are ``uint8`` tensors on the networks'
                device, they stay there.
        """
        if not faces:
            return []
        there = not any(isinstance(image, np.ndarray) for image, _ in faces)
        crops: Sequence[Pixels] = _crops_on_device(faces) if there else _crops(faces)
        said = [
            network(crop, _to_input)
            for crop, (_, network) in zip(crops, self.networks, strict=True)
        ]
        votes = torch.stack(said).cpu().numpy().mean(0, dtype=np.float64)
        labels = votes.argmax(1).tolist()
        return [
            Liveness(is_real=label == _REAL, score=vote[label])
            for label, vote in zip(labels, votes, strict=True)
        ]


def _load(build: Callable[[], nn.Module], files: Sequence[WeightFile]) -> nn.Module:
    """The network, and a softmax, which the published ``.onnx`` have in them."""
    module = build()
    load_weights(module, files, layers_in_order(module))
    return nn.Sequential(module, nn.Softmax(1))


def _to_input(crops: Tensor) -> Tensor:
    return crops.permute(0, 3, 1, 2).float()


def _crops(faces: Sequence[tuple[Pixels, Box]]) -> list[Image]:
    """What each network sees, ``(n, 80, 80, 3)``."""
    return [
        np.stack([_crop(on_host(image), box, scale) for image, box in faces])
        for scale, _ in NETWORKS
    ]


def _crops_on_device(faces: Sequence[tuple[Pixels, Box]]) -> list[Tensor]:
    """The same, all faces at once."""
    pictures = {id(image): image for image, _ in faces}
    places = {picture: place for place, picture in enumerate(pictures)}
    pixels = PixelTable([as_tensor(image) for image in pictures.values()])
    target = Rectangle(0, 0, _SIZE, _SIZE)
    parts = []
    for scale, _ in NETWORKS:
        for image, box in faces:
            left, top, right, bottom = surroundings(image.shape[1], image.shape[0], box, scale)
            parts.append(Rectangle(top, left, bottom + 1 - top, right + 1 - left))
    owners = [places[id(image)] for image, _ in faces] * len(NETWORKS)
    crops = resized(pixels, parts, [target] * len(parts), (_SIZE, _SIZE), pictures=owners)
    return list(crops.chunk(len(NETWORKS)))


def _crop(image: Image, box: Box, scale: float) -> Image:
    height, width = image.shape[:2]
    left, top, right, bottom = surroundings(width, height, box, scale)
    crop = image[top : bottom + 1, left : right + 1]
    return cv2.resize(crop, (_SIZE, _SIZE))  # type: ignore[return-value]


def surroundings(width: int, height: int, box: Box, scale: float) -> Box:
    """The rectangle that a network sees.

    Args:
        width: of the picture, in pixels.
        height: likewise.
        box: the face ``(x, y, w, h)``; one without an area counts as one pixel.
        scale: how many times the box; less where the picture is too small.

    Returns:
        Corners ``(left, top, right, bottom)``, both inside the picture: the box's centre stays
        in the middle unless the rectangle has to move to stay inside.
    """
    x, y, w, h = box
    w, h = max(w, 1), max(h, 1)
    scale = min((height - 1) / h, (width - 1) / w, scale)
    left, right = _interval(x + w / 2, w * scale, width)
    top, bottom = _interval(y + h / 2, h * scale, height)
    return left, top, right, bottom


def _interval(centre: float, length: float, size: int) -> tuple[int, int]:
    low, high = centre - length / 2, centre + length / 2
    if low < 0:
        low, high = 0, high - low
    if high > size - 1:
        low, high = low - (high - size + 1), size - 1
    return max(0, int(low)), min(size - 1, max(0, int(high)))
