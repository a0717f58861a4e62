"""SSD: OpenCV's face detector, a single-shot detector on a small residual network.

Liu et al., ECCV 2016, https://arxiv.org/abs/1512.02325. Network and weights by OpenCV
(samples/dnn/face_detector), Apache-2.0.

A picture is squeezed to 300x300 pixels, whatever its shape.

The Caffe file has the weights; what is done with them says a text beside it, ``deploy.prototxt``,
of which OpenCV has had several versions. They find different large faces: see
:class:`Description`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from deepface.detection.boxes import Suppression
from deepface.detection.canvas import Canvas, brought
from deepface.detection.cards.ssd import CARD, FILE
from deepface.detection.detector import Detector
from deepface.images.resample import PixelTable, mixed, resizing
from deepface.runtime.execution.fusion import FusedConv2d, FusedNorm, fused
from deepface.runtime.execution.network import Network, channels_first
from deepface.runtime.home import weights_folder
from deepface.runtime.weights.caffe_file import caffe_layers
from deepface.runtime.weights.damage import reading
from deepface.runtime.weights.store import ensure_weight
from deepface.types import FacialAreaRegion, Image, Rectangle

#: A layer's arrays by its name.
Blobs: TypeAlias = dict[str, list[Tensor]]

_SIZE = 300
_THRESHOLD = 0.9
_OVERLAP = 0.45
_VARIANCES = (0.1, 0.2)
#: Numbers per prior: logit, 4 of the box.
_NUMBERS = 5
#: Bytes of a description that are read; OpenCV's have 28,000.
_LONGEST = 1 << 20
#: A layer's name and what follows it, up to the next layer.
_LAYER = re.compile(r'^layer *{\s*name: *"(\w+)"(.*?)(?=^layer|\Z)', re.DOTALL | re.MULTILINE)


class _Map(NamedTuple):
    """A map that faces are looked for on, and its priors; sizes and stride in pixels.

    ``cells`` are those of a row without padding.
    """

    name: str
    cells: int
    stride: int
    smallest: int
    largest: int
    ratios: tuple[int, ...]


_MAPS = (
    _Map("conv4_3_norm", 38, 8, 30, 60, (2,)),
    _Map("fc7", 19, 16, 60, 111, (2, 3)),
    _Map("conv6_2", 10, 32, 111, 162, (2, 3)),
    _Map("conv7_2", 5, 64, 162, 213, (2, 3)),
    _Map("conv8_2", 3, 100, 213, 264, (2,)),
    _Map("conv9_2", 1, 300, 264, 315, (2,)),
)


class Description(NamedTuple):
    """What OpenCV's versions of ``deploy.prototxt`` differ in.

    The published library downloads that of OpenCV 3.4.0, whose values these are, and reads
    whichever lies beside the weights: versions from 2019 on have ``(0, 0)`` and ``True``.
    """

    #: Of the last two 3x3 convolutions, in cells.
    paddings: tuple[int, int] = (1, 1)
    #: Whether boxes end at the picture's edges before one suppresses another.
    clips: bool = False

    @classmethod
    def beside_weights(cls) -> Description:
        """That in the weights folder, or OpenCV 3.4.0's where there is none.

        Raises:
            WeightsError: it describes another network.
        """
        path = weights_folder() / "deploy.prototxt"
        if not path.exists():
            return cls()
        with reading(path, "description of OpenCV's face detector"), path.open("rb") as file:
            layers = dict(_LAYER.findall(file.read(_LONGEST).decode()))
            first, second = (
                int(re.findall(r"\bpad:\s*(\d)", layers[name])[0])
                for name in ("conv8_2_h", "conv9_2_h")
            )
            clips = re.search(r"\bclip:\s*(1|true)\b", layers["detection_out"])
            return cls((first, second), clips is not None)

    @property
    def cells(self) -> list[int]:
        """Of a row of each map."""
        last, further = self.paddings
        added = (0, 0, 0, 0, last, last + further)
        return [map_.cells + 2 * more for map_, more in zip(_MAPS, added, strict=True)]


class SsdDetector(Detector):
    """OpenCV's single-shot detector: quick, for faces that are large in their picture."""

    card = CARD
    takes_tensors = True
    by_core = True
    options = ("precision",)

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        super().__init__(device)
        description = Description.beside_weights()
        self._clips = description.clips
        with reading(ensure_weight(FILE), "OpenCV's face detector"):
            net = SsdNet(read_caffe(), description)
        priors = net.priors.clone()  # which stay what they are in any precision
        self.network = Network(net, device, precision, chunk_size=32)
        self.priors = priors.to(self.network.device)
        self._suppression = Suppression()

    @torch.inference_mode()
    def _detect_batch(self, canvases: Sequence[Canvas]) -> list[list[FacialAreaRegion]]:
        batch: Tensor | Image
        where = self.network.device
        if canvases[0].on_device or where.type == "cuda":
            shapes = [canvas.image.shape for canvas in canvases]
            sources = [canvas.rectangle for canvas in canvases]
            target = Rectangle(0, 0, _SIZE, _SIZE)
            arrays = resizing(shapes, sources, [target] * len(canvases), target[2:])
            images, (tables,) = brought(canvases, [arrays], where)
            batch = mixed(PixelTable(images), tables)
        else:
            batch = np.stack([cv2.resize(canvas.pixels(), (_SIZE, _SIZE)) for canvas in canvases])
        rows: Tensor = self.network(batch, channels_first)
        if rows.device.type == "mps":  # which has no float64
            rows = rows.cpu()
        priors = self.priors.to(rows.device)
        found = detections(rows, priors, _THRESHOLD, self._suppression, self._clips)
        faces: list[list[FacialAreaRegion]] = [[] for _ in canvases]
        for image, confidence, *corners in found.tolist():
            canvas = canvases[int(image)]
            # Whole pixels of the squeezed picture first, as in the published library.
            across, down = canvas.width / _SIZE, canvas.height / _SIZE
            x1, y1, x2, y2 = (
                int(int(corner) * factor)
                for corner, factor in zip(corners, (across, down) * 2, strict=True)
            )
            faces[int(image)].append(
                FacialAreaRegion(x1, y1, x2 - x1, y2 - y1, confidence=confidence)
            )
        return faces


def detections(
    rows: Tensor, priors: Tensor, threshold: float, suppression: Suppression, clips: bool
) -> NDArray[np.float64]:
    """Caffe's layer DetectionOutput, for faces.

    Its limits, the 400 best candidates and the 200 best results of a picture, are left out: no
    picture has as many above the detector's threshold.

    Args:
        rows: ``(N, priors, 5)`` of the network.
        priors: of the network.
        threshold: least confidence.
        suppression: chooses.
        clips: boxes end at the picture's edges.

    Returns:
        ``(n, 6)``: number of the picture, confidence, and corners in pixels of the squeezed
        picture; by picture, best first.
    """
    flat = rows.flatten(0, 1)
    confidences = flat[:, 0].sigmoid()
    place, growth = _VARIANCES

    def known(at: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        image, numbers, prior = at // len(priors), flat[at], priors[at % len(priors)]
        middle = prior[:, :2] + numbers[:, 1:3] * place * prior[:, 2:]
        half = (numbers[:, 3:] * growth).exp() * prior[:, 2:] / 2
        boxes = torch.cat([middle - half, middle + half], 1)
        if clips:
            boxes = boxes.clamp(0, 1)
        table = [image[:, None], confidences[at][:, None], boxes * _SIZE]
        return boxes, numbers[:, 0], image, torch.cat(table, 1)

    return suppression(confidences >= threshold, known, _OVERLAP)


class SsdNet(nn.Module):
    """The network, ready to run: ``(N, 3, 300, 300)`` BGR from 0 to 255 to ``(N, priors, 5)``.

    A row is a prior's logit (face against background) and box, in the order of ``priors``.

    Args:
        blobs: see :func:`read_caffe`.
        description: how the last layers are put together.
    """

    norm: Tensor
    priors: Tensor

    def __init__(self, blobs: Blobs, description: Description) -> None:
        super().__init__()
        self.description = description
        layers = _Layers(blobs)
        self.data = FusedNorm(layers.bn("data_{}"), relu=False)
        self.first = layers.unit("conv1_h", "conv1_{}_h", stride=2, padding=3)
        self.narrow = layers.unit("layer_64_1_conv1_h", "layer_64_1_{}2_h", padding=1)
        self.wide = layers.unit("layer_64_1_conv2_h", padding=1, slope=None)
        self.block_128 = _Block(
            layers, "layer_128_1_", ("{}1_h", "{}2"), ("conv1_h", "conv2", "conv_expand_h"), 2
        )
        self.block_256 = _Block(
            layers, "layer_256_1_", ("{}1", "{}2"), ("conv1", "conv2", "conv_expand"), 2
        )
        self.block_512 = _Block(
            layers,
            "layer_512_1_",
            ("{}1", "{}2_h"),
            ("conv1_h", "conv2_h", "conv_expand_h"),
            stride=1,
            dilation=2,
        )
        self.last = FusedNorm(layers.bn("last_{}_h"), relu=True)
        last, further = description.paddings
        self.extra = nn.ModuleList(
            nn.Sequential(
                layers.unit(f"conv{number}_1_h"),
                layers.unit(f"conv{number}_2_h", stride=stride, padding=padding),
            )
            for number, stride, padding in ((6, 2, 1), (7, 2, 1), (8, 1, last), (9, 1, further))
        )
        self.register_buffer("norm", blobs["conv4_3_norm"][0].view(1, -1, 1, 1))
        self.heads = nn.ModuleList(layers.head(map_) for map_ in _MAPS)
        self.register_buffer("priors", torch.cat([*map(_priors, _MAPS, description.cells)]))

    def forward(self, x: Tensor) -> Tensor:
        """Rows for pictures ``x``."""
        x = self.first(self.data(x))
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        x = self.wide(self.narrow(x), x)
        x, _ = self.block_128(x)
        x, before = self.block_256(x)
        x, _ = self.block_512(x)
        maps = [F.normalize(before, dim=1) * self.norm, self.last(x)]
        for layers in self.extra:
            maps.append(layers(maps[-1]))
        rows = [
            head(map_).permute(0, 2, 3, 1).reshape(len(x), -1, _NUMBERS)
            for head, map_ in zip(self.heads, maps, strict=True)
        ]
        return torch.cat(rows, 1)


class _Block(nn.Module):
    """A pre-activated residual block: gives its result and its first activation."""

    def __init__(
        self,
        layers: _Layers,
        prefix: str,
        norms: tuple[str, str],
        convs: tuple[str, str, str],
        stride: int,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        first, second, shortcut = (prefix + name for name in convs)
        self.before = FusedNorm(layers.bn(prefix + norms[0]), relu=True)
        self.first = layers.unit(first, prefix + norms[1], stride=stride, padding=1)
        self.second = layers.unit(second, slope=None, padding=dilation, dilation=dilation)
        self.shortcut = layers.unit(shortcut, slope=None, stride=stride)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        before = self.before(x)
        return self.second(self.first(before), self.shortcut(before)), before


class _Layers:
    """Layers made from the arrays of the Caffe file, by name."""

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs

    def conv(self, name: str, stride: int, padding: int, dilation: int) -> nn.Conv2d:
        """A convolution; its sizes are those of its weights."""
        weight, *bias = self.blobs[name]
        outputs, inputs, kernel, _ = weight.shape
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=bool(bias))
        conv.weight.data = weight
        if conv.bias is not None:
            conv.bias.data = bias[0].flatten()
        return conv

    def bn(self, pattern: str) -> nn.BatchNorm2d:
        """Caffe's layers BatchNorm and Scale; sums come with the factor to divide them by."""
        mean, variance, count = self.blobs[pattern.format("bn")]
        weight, bias = self.blobs[pattern.format("scale")]
        bn = nn.BatchNorm2d(len(mean), eps=1e-5)
        bn.running_mean, bn.running_var = mean.flatten() / count[0], variance.flatten() / count[0]
        bn.weight.data, bn.bias.data = weight.flatten(), bias.flatten()
        return bn

    def unit(
        self,
        name: str,
        norm: str | None = None,
        slope: float | None = 0.0,
        *,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
    ) -> FusedConv2d:
        """A convolution, maybe a batch norm, and ReLU or nothing."""
        conv = self.conv(name, stride, padding, dilation)
        return fused(conv, self.bn(norm) if norm else None, slope)

    def head(self, map_: _Map) -> FusedConv2d:
        """A map's two convolutions as one: logit and box of a prior together."""
        box = self.unit(f"{map_.name}_mbox_loc", slope=None, padding=1)
        score = self.unit(f"{map_.name}_mbox_conf", slope=None, padding=1)
        joint = []
        for scores, boxes in ((score.weight, box.weight), (score.bias, box.bias)):
            # Channels of score are background and face, prior by prior.
            logits = scores[1::2] - scores[::2]
            boxes = boxes.view(len(logits), 4, *boxes.shape[1:])
            joint.append(torch.cat([logits[:, None], boxes], 1).flatten(0, 1))
        weight, bias = joint
        return FusedConv2d(weight, bias, nn.Conv2d(1, 1, 3, padding=1))


def _priors(map_: _Map, cells: int) -> Tensor:
    """Centre x, y, width, height, in widths and heights of the picture: ``(n, 4)``."""
    sizes = [(map_.smallest, map_.smallest), (math.sqrt(map_.smallest * map_.largest),) * 2]
    for ratio in map_.ratios:
        longer, shorter = map_.smallest * math.sqrt(ratio), map_.smallest / math.sqrt(ratio)
        sizes += [(longer, shorter), (shorter, longer)]
    centres = (torch.arange(cells) + 0.5) * map_.stride
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    grid = torch.stack([x, y], -1)[:, :, None].expand(-1, -1, len(sizes), -1)
    size = torch.tensor(sizes).expand(*grid.shape)
    return torch.cat([grid, size], -1).reshape(-1, 4) / _SIZE


def read_caffe() -> Blobs:
    """The arrays of the Caffe file, layer by layer.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    path = ensure_weight(FILE)
    with reading(path, "Caffe model"):
        layers = caffe_layers(memoryview(path.read_bytes()))
        return {
            name: [torch.from_numpy(blob.array()) for blob in blobs]
            for name, blobs in layers.items()
        }
