"""RetinaFace as in the widely used PyTorch implementation, with two backbones.

RetinaFace: Deng et al., CVPR 2020, https://arxiv.org/abs/1905.00641. Code and weights by
https://github.com/biubug6/Pytorch_Retinaface, MIT. Backbones: MobileNet (Howard et al., 2017,
https://arxiv.org/abs/1704.04861) of a quarter of its width, and torchvision's ResNet-50.

The network sees the whole picture at its own size.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck

from deepface.detection.canvas import Canvas
from deepface.detection.cards.retinaface import MOBILENET, RESNET50
from deepface.detection.ragged import Edges
from deepface.detection.retinaface.base import Anchors, InputView, RetinaFace, padded
from deepface.detection.retinaface.feature_pyramid import ANCHORS, Pyramid, StrideLayers, Unit
from deepface.detection.retinaface.frame import FramedLayers, Placement
from deepface.runtime.execution.fusion import FusedConv2d, fused
from deepface.runtime.weights.checkpoints import load_into, load_state_dict
from deepface.runtime.weights.store import ensure_weight

#: Subtracted from blue, green and red.
_MEAN = (104.0, 117.0, 123.0)


class _PyTorchRetinaFace(RetinaFace):
    anchors = (
        Anchors(8, (16, 32), 4.0),
        Anchors(16, (64, 128), 8.0),
        Anchors(32, (256, 512), 16.0),
    )
    variances = (0.1, 0.2)
    inclusive = 0
    clips = False
    overlap = 0.4

    def _build(self) -> nn.Module:
        with torch.device("meta"):
            layers = self._layers()
        path = ensure_weight(self.card.files[0][0])
        load_into(layers, load_state_dict(path), path)
        return Net(layers)

    @abstractmethod
    def _layers(self) -> PyTorchLayers:
        """The layers, without weights."""

    def _shape(self, canvas: Canvas) -> tuple[int, int, float]:
        return canvas.height, canvas.width, 1.0

    def host_input(self, canvas: Canvas, view: InputView) -> NDArray[Any]:
        return canvas.pixels()[view.frame.rows, view.frame.columns].astype(np.float32)

    def device_input(
        self, pictures: Tensor, canvas: Canvas, view: InputView, tables: Sequence[Tensor]
    ) -> Tensor:
        return padded(pictures, canvas, view.frame.rows, view.frame.columns).permute(0, 3, 1, 2)


class RetinaFaceMobileNetDetector(_PyTorchRetinaFace):
    """RetinaFace, MobileNet 0.25, of the PyTorch implementation: small and quick.

    What ``min_face_size`` loses was counted with this detector, on 89 photographs, WIDER FACE and
    crowd pictures, among faces with a confidence of 0.5 or more: of shorter sides below 32 pixels
    all (1,149), from 32 to 40 pixels 22 of 56, from 40 pixels on none of 176.
    """

    card = MOBILENET
    by_core = True
    ragged = True
    steps = (2**20, 2**26)  # it takes little memory

    def _layers(self) -> PyTorchLayers:
        return MobileNetLayers()


class RetinaFaceResNet50Detector(_PyTorchRetinaFace):
    """RetinaFace, ResNet-50, of the PyTorch implementation."""

    card = RESNET50

    def _layers(self) -> PyTorchLayers:
        return ResNet50Layers()


class Net(nn.Module):
    """The network, ready to run: BGR from 0 to 255."""

    mean: Tensor

    def __init__(self, layers: PyTorchLayers) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.stages = nn.ModuleList(layers.stages())
        self.pyramid = Pyramid(layers.levels(), layers.slope, faces=(1, 3))

    def forward(
        self, pictures: Tensor, frame: Placement, smallest: bool, edges: Edges | None = None
    ) -> Tensor:
        """Rows for inputs that have ``pictures`` in ``frame``, or that end at ``edges``."""
        if edges is not None:
            return self._ragged(pictures, smallest, edges)
        x = frame.around(pictures).through(lambda pixels: pixels - self.mean)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x.whole())
        return self.pyramid(maps, smallest, Edges())  # type: ignore[no-any-return]

    def _ragged(self, pictures: Tensor, smallest: bool, edges: Edges) -> Tensor:
        x, stride, maps = pictures - self.mean, 1, []
        for stage in self.stages:
            for layer in stage[0].layers:  # type: ignore[index, union-attr]
                if layer.padding[0]:  # it looks sideways
                    x = edges.clear(x, stride)
                x = layer(x)
                stride *= layer.stride[0]
            maps.append(x)
        return self.pyramid(maps, smallest, edges)  # type: ignore[no-any-return]


class PyTorchLayers(nn.Module):
    """The layers under their published names.

    Args:
        channels: of the backbone at strides 8, 16 and 32.
        inner: channels of the pyramid.
        slope: of its activations below zero.
    """

    def __init__(self, channels: Sequence[int], inner: int, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.fpn = nn.Module()
        for number, inputs in enumerate(channels, 1):
            self.fpn.add_module(f"output{number}", _conv_bn(inputs, inner, 1))
        for number in (1, 2):
            self.fpn.add_module(f"merge{number}", _conv_bn(inner, inner, 3))
        for number in (1, 2, 3):
            self.add_module(f"ssh{number}", _context(inner))
        self.ClassHead = _heads(inner, 2)
        self.BboxHead = _heads(inner, 4)
        self.LandmarkHead = _heads(inner, 10)

    def stages(self) -> Iterable[nn.Sequential]:
        """The backbone to stride 8, from there to 16 and to 32, fused, of framed layers.

        They do not write over what they are given.
        """
        raise NotImplementedError

    def levels(self) -> list[StrideLayers]:
        """What belongs to strides 8, 16 and 32."""
        return [
            StrideLayers(
                lateral=_units(self.fpn.get_submodule(f"output{number}"))[0],
                merge=_units(self.fpn.get_submodule(f"merge{number}"))[0] if number < 3 else None,
                context=_units(self.get_submodule(f"ssh{number}")),
                heads=[
                    conv
                    for head in (self.ClassHead, self.BboxHead, self.LandmarkHead)
                    for conv in head[number - 1].children()
                    if isinstance(conv, nn.Conv2d)
                ],
            )
            for number in (1, 2, 3)
        ]


def _conv_bn(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def _context(inner: int) -> nn.Module:
    context, quarter = nn.Module(), inner // 4
    context.add_module("conv3X3", _conv_bn(inner, inner // 2, 3))
    context.add_module("conv5X5_1", _conv_bn(inner, quarter, 3))
    for name in ("conv5X5_2", "conv7X7_2", "conv7x7_3"):
        context.add_module(name, _conv_bn(quarter, quarter, 3))
    return context


def _heads(inner: int, numbers: int) -> nn.ModuleList:
    heads = [nn.Module() for _ in range(3)]
    for head in heads:
        head.add_module("conv1x1", nn.Conv2d(inner, ANCHORS * numbers, 1))
    return nn.ModuleList(heads)


def _units(module: nn.Module) -> list[Unit]:
    """The convolutions below ``module``, each with the batch norm that comes next."""
    found = list(module.modules())
    convs = [layer for layer in found if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in found if isinstance(layer, nn.BatchNorm2d)]
    return list(zip(convs, norms, strict=True))


class MobileNetLayers(PyTorchLayers):
    """With MobileNetV1, 8 to 256 channels wide."""

    def __init__(self) -> None:
        super().__init__((64, 128, 256), inner=64, slope=0.1)
        self.body = nn.Module()
        inputs = 8
        for number, blocks in enumerate(
            (
                ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1)),
                ((128, 2), *[(128, 1)] * 5),
                ((256, 2), (256, 1)),
            ),
            1,
        ):
            stage = [_conv_bn(3, 8, 3, stride=2)] if number == 1 else []
            for outputs, stride in blocks:
                stage.append(
                    nn.Sequential(
                        *_conv_bn(inputs, inputs, 3, stride, groups=inputs),
                        nn.LeakyReLU(),  # counts in the published names
                        *_conv_bn(inputs, outputs, 1),
                    )
                )
                inputs = outputs
            self.body.add_module(f"stage{number}", nn.Sequential(*stage))

    def stages(self) -> Iterable[nn.Sequential]:
        sight = ((1 + 2 + 2 + 4 + 4 + 8, 8), (1 + 5 * 2, 2), (1 + 2, 2))
        for stage, (reach, stride) in zip(self.body.children(), sight, strict=True):
            units = (fused(*unit, self.slope) for unit in _units(stage))
            yield nn.Sequential(FramedLayers(*units, reach=reach, stride=stride))


class ResNet50Layers(PyTorchLayers):
    """With torchvision's ResNet-50."""

    def __init__(self) -> None:
        super().__init__((512, 1024, 2048), inner=256, slope=0.0)
        self.body = resnet50()
        del self.body.fc

    def stages(self) -> Iterable[nn.Sequential]:
        body = self.body
        first = fused(body.conv1, body.bn1, 0.0)
        stem = (first, nn.MaxPool2d(3, 2, padding=1), *_blocks(body.layer1))
        yield nn.Sequential(
            FramedLayers(*stem, reach=3 + 2 + 3 * 4, stride=4),
            FramedLayers(*_blocks(body.layer2), reach=1 + 3 * 2, stride=2),
        )
        for layer in (body.layer3, body.layer4):
            halves, *others = _blocks(layer)
            yield nn.Sequential(
                FramedLayers(halves, reach=1, stride=2),
                *(FramedLayers(block, reach=1) for block in others),
            )


def _blocks(layer: nn.Sequential) -> list[_Block]:
    return [_Block(block) for block in layer if isinstance(block, Bottleneck)]


class _Block(nn.Module):
    """A bottleneck, activated after the sum."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.narrow = fused(block.conv1, block.bn1, 0.0)
        self.middle = fused(block.conv2, block.bn2, 0.0)
        self.wide = fused(block.conv3, block.bn3, 0.0)
        self.shortcut: FusedConv2d | None = None
        if block.downsample is not None:
            self.shortcut = fused(*_units(block.downsample)[0])

    def forward(self, x: Tensor) -> Tensor:
        inner = self.middle(self.narrow(x))
        # The sum is written over the block's input: so no block reads what another one gives
        # twice, but for the first of a stage, which has a shortcut.
        return self.wide(inner, x if self.shortcut is None else self.shortcut(x))  # type: ignore[no-any-return]
