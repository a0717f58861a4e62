"""RetinaFace with a ResNet-50 of pre-activated units, as in the package ``retina-face``.

RetinaFace: Deng et al., CVPR 2020, https://arxiv.org/abs/1905.00641; ResNet v2: He et al., ECCV
2016, https://arxiv.org/abs/1603.05027. Weights by InsightFace, ported by
https://github.com/StanislasBertrand/RetinaFace-tf2; MIT.

A picture is scaled to 1024 pixels at its shorter side, or less so that the longer has at most 1980.
The pyramid taps the second activation of the first units of stages 3 and 4, which is one stride
finer than their ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import cv2
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepface.detection.canvas import Canvas
from deepface.detection.cards.retinaface import RETINAFACE
from deepface.detection.ragged import Edges
from deepface.detection.retinaface.base import Anchors, InputView, RetinaFace, padded
from deepface.detection.retinaface.feature_pyramid import Pyramid, StrideLayers, Unit
from deepface.detection.retinaface.frame import FramedLayers, FramedMap, Placement
from deepface.images.resample import PixelTable, mixed, resizing
from deepface.runtime.execution.device import resolve_device
from deepface.runtime.execution.fusion import FusedNorm, fused
from deepface.runtime.weights.load import load_weights
from deepface.types import Rectangle

#: Units and inner channels of each stage.
_STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
#: Convolutions of an SSH module: channels in and out.
_CONTEXT = {
    "conv1": (256, 256),
    "context_conv1": (256, 128),
    **dict.fromkeys(("context_conv2", "context_conv3_1", "context_conv3_2"), (128, 128)),
}
#: Heads of a stride: numbers for the anchors of a cell.
_HEADS = {"cls_score": 4, "bbox_pred": 8, "landmark_pred": 20}
_SHORTER, _LONGER = 1024, 1980

M = TypeVar("M", bound=nn.Module)


class RetinaFaceDetector(RetinaFace):
    """RetinaFace, ResNet-50, as the package ``retina-face`` runs it.

    Args:
        threshold: as there, 0.9 by default.
        device_preprocessing: by default on CUDA; on a CPU OpenCV is faster.
            Both make the same input.
        others: see :class:`deepface.detection.retinaface.base.RetinaFace`.
    """

    card = RETINAFACE
    anchors = (
        Anchors(8, (32, 16), 7.5),
        Anchors(16, (128, 64), 7.5),
        Anchors(32, (512, 256), 7.5),
    )
    variances = (1.0, 1.0)
    inclusive = 1
    clips = True
    # Suppression begins at 0.4 there; here it is what is above the number before.
    overlap = math.nextafter(0.4, 0)

    def __init__(
        self,
        device: str | None = None,
        threshold: float = 0.9,
        device_preprocessing: bool | None = None,
        **others: Any,
    ) -> None:
        if device_preprocessing is None:
            device_preprocessing = resolve_device(device).type == "cuda"
        super().__init__(
            device, threshold=threshold, device_preprocessing=device_preprocessing, **others
        )

    def _build(self) -> nn.Module:
        with torch.device("meta"):
            layers = ResNet50V2Layers()
        load_weights(layers, self.card.files[0], keras_order())
        return ResNetV2(layers)

    def _shape(self, canvas: Canvas) -> tuple[int, int, float]:
        shorter, longer = sorted(canvas.shape)
        scale = _SHORTER / shorter
        if round(scale * longer) > _LONGER:
            scale = _LONGER / longer
        height, width = (max(1, round(side * scale)) for side in canvas.shape)
        return height, width, scale

    def host_input(self, canvas: Canvas, view: InputView) -> NDArray[Any]:
        pixels = canvas.pixels()
        if view.scale != 1:
            # By the scale, as published, unless that leaves nothing of the shorter side.
            size = None if min(canvas.shape) * view.scale > 0.5 else view.shape[::-1]
            pixels = cv2.resize(pixels, size, fx=view.scale, fy=view.scale)  # type: ignore[assignment]
        return pixels[view.frame.rows, view.frame.columns]

    def tables(self, canvas: Canvas, view: InputView, count: int) -> list[NDArray[Any]]:
        if view.scale == 1:
            return []
        frame = view.frame
        target = Rectangle(-frame.rows.start, -frame.columns.start, *view.shape)
        size = frame.rows.stop - frame.rows.start, frame.columns.stop - frame.columns.start
        shapes = [canvas.image.shape] * count
        return resizing(shapes, [canvas.rectangle] * count, [target] * count, size, view.scale)

    def device_input(
        self, pictures: Tensor, canvas: Canvas, view: InputView, tables: Sequence[Tensor]
    ) -> Tensor:
        frame, count = view.frame, len(pictures)
        if view.scale == 1:
            return padded(pictures, canvas, frame.rows, frame.columns).permute(0, 3, 1, 2)
        pixels = mixed(PixelTable(pictures.unbind(0)), [table[:count] for table in tables])
        return pixels.permute(0, 3, 1, 2)


class ResNetV2(nn.Module):
    """The network, ready to run: BGR from 0 to 255."""

    def __init__(self, layers: ResNet50V2Layers) -> None:
        super().__init__()
        self.data = FusedNorm(layers.bn_data, relu=False)
        self.first = fused(layers.conv0, layers.bn0, 0.0)
        # The published network takes RGB.
        self.data.scale, self.data.shift = self.data.scale.flip(1), self.data.shift.flip(1)
        self.first.weight = self.first.weight.flip(1)
        stage_1, stage_2, stage_3, stage_4 = (
            [_Unit(unit) for unit in layers.stage(number)] for number in range(1, 5)
        )
        stem = (self.data, self.first, nn.MaxPool2d(3, 2, padding=1))
        self.stages_1_2 = nn.Sequential(
            FramedLayers(*stem, *stage_1, reach=3 + 2 + 3 * 4, stride=4),
            FramedLayers(*stage_2, reach=1 + 3 * 2, stride=2),
        )
        self.stage_3, self.stage_4 = _Stage(*stage_3), _Stage(*stage_4)
        self.last = FusedNorm(layers.bn1, relu=True)
        self.pyramid = Pyramid(layers.levels(), slope=0.0, faces=(2, 3))

    def forward(self, pictures: Tensor, frame: Placement, smallest: bool) -> Tensor:
        """Rows for inputs that have ``pictures`` in ``frame``."""
        x = self.stages_1_2(frame.around(pictures))
        stride_8, x = self.stage_3(x)
        stride_16, x = self.stage_4(x)
        maps = [stride_8, stride_16, self.last(x.whole())]
        rows: Tensor = self.pyramid(maps, smallest, Edges())
        return rows


class _Stage(nn.Module):
    """Gives the second activation of its first unit, and its result."""

    def __init__(self, first: _Unit, *others: _Unit) -> None:
        super().__init__()
        self.first = first
        self.others = nn.Sequential(*(FramedLayers(unit, reach=1) for unit in others))

    def forward(self, x: FramedMap) -> tuple[Tensor, FramedMap]:
        before = x.through(self.first.before)
        inner = before.through(self.first.narrow)
        tapped = inner.whole()
        x = before.through(self.first.after, reach=1, stride=2, others=(inner,))
        return tapped, self.others(x)


class _Unit(nn.Module):
    """A pre-activated bottleneck."""

    def __init__(self, unit: UnitLayers) -> None:
        super().__init__()
        self.before = FusedNorm(unit.bn1, relu=True)
        self.narrow = fused(unit.conv1, unit.bn2, 0.0)
        self.middle = fused(unit.conv2, unit.bn3, 0.0)
        self.wide = fused(unit.conv3)
        self.shortcut = None if unit.sc is None else fused(unit.sc)

    def forward(self, x: Tensor) -> Tensor:
        before = self.before(x)
        return self.after(x if self.shortcut is None else before, self.narrow(before))

    def after(self, x: Tensor, inner: Tensor) -> Tensor:
        """The rest of the unit behind its second activation ``inner``."""
        if self.shortcut is not None:
            x = self.shortcut(x)
        return self.wide(self.middle(inner), x)  # type: ignore[no-any-return]


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)


def _bn(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1.9999999494757503e-05)


def _add_unit(module: nn.Module, name: str, conv: nn.Conv2d) -> None:
    module.add_module(name, conv)
    module.add_module(f"{name}_bn", _bn(conv.out_channels))


def _unit(module: nn.Module, name: str) -> Unit:
    return _named(module, name, nn.Conv2d), _named(module, f"{name}_bn", nn.BatchNorm2d)


def _named(module: nn.Module, name: str, kind: type[M]) -> M:
    found = module.get_submodule(name)
    assert isinstance(found, kind)
    return found


class UnitLayers(nn.Module):
    """A residual unit's layers under their published names."""

    def __init__(self, inputs: int, inner: int, stride: int, first: bool) -> None:
        super().__init__()
        self.bn1 = _bn(inputs)
        self.conv1 = _conv(inputs, inner, 1, bias=False)
        self.bn2 = _bn(inner)
        self.conv2 = _conv(inner, inner, 3, stride, bias=False)
        self.bn3 = _bn(inner)
        self.conv3 = _conv(inner, 4 * inner, 1, bias=False)
        self.sc = _conv(inputs, 4 * inner, 1, stride, bias=False) if first else None


class ContextLayers(nn.Module):
    """An SSH module's layers under their published names."""

    def __init__(self) -> None:
        super().__init__()
        for name, (inputs, outputs) in _CONTEXT.items():
            _add_unit(self, name, _conv(inputs, outputs, 3))


class HeadLayers(nn.Module):
    """A stride's heads under their published names."""

    def __init__(self) -> None:
        super().__init__()
        for name, outputs in _HEADS.items():
            self.add_module(name, _conv(512, outputs, 1))


class ResNet50V2Layers(nn.Module):
    """All layers under the names of ``retinaface.pth``."""

    def __init__(self) -> None:
        super().__init__()
        self.bn_data = _bn(3)
        self.conv0 = _conv(3, 64, 7, stride=2, bias=False)
        self.bn0 = _bn(64)
        inputs = 64
        for number, (units, inner) in enumerate(_STAGES, 1):
            stage = nn.Module()
            for unit in range(1, units + 1):
                stride = 2 if unit == 1 and number > 1 else 1
                stage.add_module(f"unit{unit}", UnitLayers(inputs, inner, stride, unit == 1))
                inputs = 4 * inner
            self.add_module(f"stage{number}", stage)
        self.bn1 = _bn(2048)
        for name, inputs, kernel in (
            ("ssh_c3_lateral", 2048, 1),
            ("ssh_c2_lateral", 512, 1),
            ("ssh_c2_aggr", 256, 3),
            ("ssh_m1_red_conv", 256, 1),
            ("ssh_c1_aggr", 256, 3),
        ):
            _add_unit(self, name, _conv(inputs, 256, kernel))
        for name in ("ssh_m3_det", "ssh_m2_det", "ssh_m1_det"):
            self.add_module(name, ContextLayers())
        for stride in (32, 16, 8):
            self.add_module(f"face_rpn_stride{stride}", HeadLayers())

    def stage(self, number: int) -> list[UnitLayers]:
        """The units of stage 1 to 4."""
        units = self.get_submodule(f"stage{number}").children()
        return [unit for unit in units if isinstance(unit, UnitLayers)]

    def levels(self) -> list[StrideLayers]:
        """What belongs to strides 8, 16 and 32."""
        return [
            StrideLayers(
                lateral=_unit(self, lateral),
                merge=_unit(self, merge) if merge else None,
                context=[_unit(self, f"{context}.{name}") for name in _CONTEXT],
                heads=[
                    _named(self, f"face_rpn_stride{stride}.{name}", nn.Conv2d) for name in _HEADS
                ],
            )
            for stride, lateral, merge, context in (
                (8, "ssh_m1_red_conv", "ssh_c1_aggr", "ssh_m1_det"),
                (16, "ssh_c2_lateral", "ssh_c2_aggr", "ssh_m2_det"),
                (32, "ssh_c3_lateral", None, "ssh_m3_det"),
            )
        ]


def keras_order() -> list[str]:
    """The layers with weights of ``retinaface.h5``, in its order, by their names here."""
    order = ["bn_data", "conv0", "bn0"]
    for stage, (units, _) in enumerate(_STAGES, 1):
        for unit in range(1, units + 1):
            names = ["bn1", "conv1", "bn2", "conv2", "bn3", "conv3"] + ["sc"] * (unit == 1)
            order += [f"stage{stage}.unit{unit}.{name}" for name in names]
    order.append("bn1")
    for name in ("c3_lateral", "c2_lateral", "c2_aggr", "m1_red_conv", "c1_aggr"):
        order += [f"ssh_{name}", f"ssh_{name}_bn"]
    for name in ("context_conv1", "context_conv3_1"):
        for ending in ("", "_bn"):
            order += [f"ssh_m{level}_det.{name}{ending}" for level in (3, 2, 1)]
    for ending in ("", "_bn"):
        for level in (3, 2, 1):
            for name in ("conv1", "context_conv2", "context_conv3_2"):
                order.append(f"ssh_m{level}_det.{name}{ending}")
    order += [f"face_rpn_stride{stride}.cls_score" for stride in (32, 16, 8)]
    for stride in (32, 16, 8):
        order += [f"face_rpn_stride{stride}.{name}_pred" for name in ("bbox", "landmark")]
    return order
