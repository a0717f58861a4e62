"""The PyTorch family against what its original finds, and each switch against the other way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models._utils import IntermediateLayerGetter

from deepface.detection.canvas import Canvas
from deepface.detection.retinaface.base import RetinaFace
from deepface.detection.retinaface.frame import Placement
from deepface.detection.retinaface.pytorch import (
    MobileNetLayers,
    Net,
    PyTorchLayers,
    ResNet50Layers,
    RetinaFaceMobileNetDetector,
    RetinaFaceResNet50Detector,
)
from deepface.errors import WeightsError
from deepface.runtime.weights.checkpoints import load_state_dict
from deepface.types import FacialAreaRegion, Image
from tests.data import data, golden, read, weight
from tests.detection.goldens import telling
from tests.laws import same_regions

FILE = "mobilenet0.25_Final.pth"
SOME = (
    "photos/img10.jpg",
    "photos/img11.jpg",
    "wider/0_Parade_marchingband_1_104.jpg",
    "wider/0_Parade_Parade_0_873.jpg",
    "crowd/linzaer_11.jpg",
    "crowd/linzaer_25.jpg",
)
#: Small ones among them, of equal size.
SQUARES = SOME[2:4]
WITHOUT_STRIDE_8 = 48


def goldens() -> dict[str, Any]:
    return golden("retinaface_mobilenet.json")["images"]  # type: ignore[no-any-return]


def names() -> list[str]:
    return telling({name: len(found["full"]["faces"]) for name, found in goldens().items()})


def picture(name: str) -> Image:
    return read(data("images", *name.split("/")))


def detector(**options: Any) -> RetinaFaceMobileNetDetector:
    weight(FILE)
    return RetinaFaceMobileNetDetector("cpu", **options)


@pytest.fixture(scope="module")
def whole() -> RetinaFaceMobileNetDetector:
    return detector()


@pytest.fixture(scope="module")
def coarse() -> RetinaFaceMobileNetDetector:
    return detector(min_face_size=WITHOUT_STRIDE_8)


def rows(detector: RetinaFace, canvas: Canvas) -> Tensor:
    """The network's numbers, ``(1, anchors, 15)``."""
    found: list[Tensor] = []
    with detector.network.module.register_forward_hook(lambda _, __, rows: found.append(rows)):
        detector.detect_canvases([canvas])
    return found[0]


@cache
def found_by(detector: RetinaFace, name: str) -> Sequence[FacialAreaRegion]:
    """Each of the two detectors looks at a picture once, whatever is asked about its faces."""
    (faces,) = detector.detect_faces([picture(name)])
    return faces


def assert_as_original(detector: RetinaFace, name: str, key: str) -> None:
    expected = goldens()[name][key]
    found = found_by(detector, name)
    assert len(found) == len(expected["faces"])
    for face, wanted in zip(found, expected["faces"], strict=True):
        assert face.five_points is not None
        assert face.confidence == pytest.approx(wanted["score"], abs=1e-5)
        np.testing.assert_allclose(np.ravel(face.five_points), wanted["landmarks"], atol=2e-3)
        corners = (face.x, face.y, face.x + face.w, face.y + face.h)
        for corner, value in zip(corners, wanted["box"], strict=True):
            # The stored value is rounded: a coordinate just below a whole number counts as one.
            assert corner in (int(value), int(value - 1e-3)), (face, wanted)


@pytest.mark.parametrize("name", SOME)
def test_faces_of_the_original(whole: RetinaFace, coarse: RetinaFace, name: str) -> None:
    for detector, key in ((whole, "full"), (coarse, "without_stride8")):
        assert_as_original(detector, name, key)
        anchors = goldens()[name][key]["anchors"]
        assert rows(detector, Canvas(picture(name))).shape == (1, anchors, 15)


@pytest.mark.heavy
def test_faces_of_the_original_in_all_pictures(whole: RetinaFace, coarse: RetinaFace) -> None:
    for name in names():
        assert_as_original(whole, name, "full")
        assert_as_original(coarse, name, "without_stride8")


def test_anchors_at_1280_by_720(whole: RetinaFace, coarse: RetinaFace) -> None:
    canvas = Canvas(np.zeros((720, 1280, 3), np.uint8))
    assert rows(whole, canvas).shape[1] == 37_840
    assert rows(coarse, canvas).shape[1] == 9_040


def test_stride_8_is_not_computed(coarse: RetinaFace, whole: RetinaFace) -> None:
    ran = []
    for found in (whole, coarse):
        pyramid = found.network.module.pyramid
        assert isinstance(pyramid, nn.Module)
        parts = dict(pyramid.named_modules())
        hooks = [
            parts[name].register_forward_hook(lambda m, i, o, name=name: ran.append(name))
            for name in ("laterals.0", "merges.0", "contexts.0", "contexts.1")
        ]
        found.detect_faces(np.zeros((64, 64, 3), np.uint8))
        for hook in hooks:
            hook.remove()
    assert ran == ["contexts.1", "laterals.0", "merges.0", "contexts.0", "contexts.1"]


@pytest.mark.parametrize(("size", "smallest"), [(None, True), (20, True), (47, True), (48, False)])
def test_min_face_size_decides_about_stride_8(size: float | None, smallest: bool) -> None:
    view = detector(min_face_size=size).view(Canvas(np.zeros((90, 160, 3), np.uint8)))
    assert view.smallest == smallest


def overlap(a: FacialAreaRegion, b: FacialAreaRegion) -> float:
    width = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    height = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    shared = max(0, width) * max(0, height)
    return shared / (a.w * a.h + b.w * b.h - shared)


def lost(
    names: list[str], whole: RetinaFace, coarse: RetinaFace
) -> dict[tuple[int, int], tuple[int, int]]:
    """Faces by their shorter side: how many there are, and how many ``min_face_size=48`` loses."""
    counts = {(0, 32): [0, 0], (32, 40): [0, 0], (40, 48): [0, 0], (48, 10**6): [0, 0]}
    for name in names:
        still = found_by(coarse, name)
        for face in found_by(whole, name):
            side = min(face.w, face.h)
            count = next(c for (low, high), c in counts.items() if low <= side < high)
            count[0] += 1
            count[1] += all(overlap(face, f) < 0.5 for f in still)
    return {sides: (count[0], count[1]) for sides, count in counts.items()}


def test_min_face_size_keeps_larger_faces(whole: RetinaFace, coarse: RetinaFace) -> None:
    counts = lost([*SOME, "wider/0_Parade_marchingband_1_765.jpg"], whole, coarse)
    assert counts[40, 48][0] + counts[48, 10**6][0] >= 20
    assert counts[40, 48][1] == counts[48, 10**6][1] == 0


@pytest.mark.heavy
def test_min_face_size_keeps_larger_faces_in_all_pictures(
    whole: RetinaFace, coarse: RetinaFace
) -> None:
    counts = lost(names(), whole, coarse)
    assert counts[48, 10**6][0] > 100
    assert counts[40, 48][1] == counts[48, 10**6][1] == 0


@pytest.mark.parametrize(
    "switch", ["cache_anchors", "device_preprocessing", "device_postprocessing"]
)
def test_each_switch_changes_no_face(whole: RetinaFace, switch: str) -> None:
    off = detector(**{switch: False})
    images = [picture(name) for name in SQUARES]
    canvases = [Canvas.with_border(image, border) for image in images for border in (0, 0.5)]
    canvases.append(canvases[0])
    for found, expected in zip(
        off.detect_canvases(canvases), whole.detect_canvases(canvases), strict=True
    ):
        assert expected
        same_regions(found, expected)


def test_the_border_is_seen_as_if_it_were_there(whole: RetinaFace) -> None:
    for name in SQUARES:
        canvas = Canvas.with_border(picture(name), 0.5)
        assert whole.view(canvas).frame != Placement.none(canvas.shape)
        (found,) = whole.detect_canvases([canvas])
        (expected,) = whole.detect_canvases([Canvas(canvas.pixels())])
        assert found
        same_regions(found, expected)


def test_a_batch_of_several_steps(whole: RetinaFace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "step", 2 * 416 * 416)
    images = [picture(name) for name in SQUARES]
    images += [(0.9 * image).astype(np.uint8) for image in images] + images[:1]
    images.insert(2, picture("photos/img10.jpg"))
    for found, one in zip(whole.detect_faces(images), images, strict=True):
        assert found
        same_regions(found, whole.detect_faces(one))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 9)])
def test_tiny_pictures(whole: RetinaFace, shape: tuple[int, int]) -> None:
    assert whole.detect_faces(np.full((*shape, 3), 127, np.uint8)) == []


@pytest.mark.parametrize(
    "options",
    [{"threshold": -0.1}, {"threshold": 1.5}, {"threshold": math.nan}, {"min_face_size": 0}],
)
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        RetinaFaceMobileNetDetector("cpu", **options)  # type: ignore[arg-type]


def save(state: dict[str, Tensor], file: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / ".deepface" / "weights"
    folder.mkdir(parents=True)
    torch.save(state, folder / file)
    monkeypatch.setenv("DEEPFACE_HOME", str(home))
    monkeypatch.setenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", file)


def test_names_with_a_prefix(
    whole: RetinaFace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = load_state_dict(weight(FILE))
    save({f"module.{k}": v for k, v in state.items()}, FILE, tmp_path, monkeypatch)
    image = picture("photos/img11.jpg")
    same_regions(
        RetinaFaceMobileNetDetector("cpu").detect_faces(image),  # type: ignore[arg-type]
        whole.detect_faces(image),  # type: ignore[arg-type]
    )


def test_weights_of_the_other_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = load_state_dict(weight(FILE))
    save(state, "Resnet50_Final.pth", tmp_path, monkeypatch)
    with pytest.raises(WeightsError, match=r"Resnet50_Final\.pth.*missing"):
        RetinaFaceResNet50Detector("cpu")


def randomised(build: Callable[[], PyTorchLayers]) -> PyTorchLayers:
    """Layers as after training: batch norms do something."""
    with torch.device("meta"):
        layers = build()
    layers = layers.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(2)
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            limit = (3 / layer.weight[0].numel()) ** 0.5
            layer.weight.data.uniform_(-limit, limit, generator=generator)
            if layer.bias is not None:
                layer.bias.data.uniform_(-limit, limit, generator=generator)
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(0, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
            layer.weight.data.uniform_(0.4, 0.9, generator=generator)
            layer.bias.data.normal_(0, 0.2, generator=generator)
    return layers.eval()


def as_written(layers: PyTorchLayers, x: Tensor) -> Tensor:
    """The network as its paper's PyTorch code describes it, layer by layer."""
    x = x - torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)
    leaky = nn.LeakyReLU(layers.slope)
    body: Any = layers.body
    maps: list[Tensor] = []
    if isinstance(layers, ResNet50Layers):
        getter = IntermediateLayerGetter(body, {"layer2": 1, "layer3": 2, "layer4": 3})
        maps = list(getter(x).values())
    else:
        for stage in (body.stage1, body.stage2, body.stage3):
            for block in stage:
                x = leaky(block[1](block[0](x)))
                if len(block) > 2:
                    x = leaky(block[4](block[3](x)))
            maps.append(x)
    fpn: Any = layers.fpn
    one, two, three = (
        leaky(part(m))
        for part, m in zip((fpn.output1, fpn.output2, fpn.output3), maps, strict=True)
    )
    two = leaky(fpn.merge2(two + F.interpolate(three, size=two.shape[2:])))
    one = leaky(fpn.merge1(one + F.interpolate(two, size=one.shape[2:])))
    out = []
    for number, x in enumerate((one, two, three)):
        ssh: Any = layers.get_submodule(f"ssh{number + 1}")
        inner = leaky(ssh.conv5X5_1(x))
        far = ssh.conv7x7_3(leaky(ssh.conv7X7_2(inner)))
        x = torch.cat([ssh.conv3X3(x), ssh.conv5X5_2(inner), far], 1).relu()
        heads = (layers.ClassHead, layers.BboxHead, layers.LandmarkHead)
        classes, boxes, points = (
            head[number].conv1x1(x).permute(0, 2, 3, 1).reshape(len(x), -1, size)  # type: ignore[union-attr, operator]
            for head, size in zip(heads, (2, 4, 10), strict=True)
        )
        out.append(torch.cat([classes.log_softmax(-1).diff(dim=-1), boxes, points], -1))
    return torch.cat(out, 1)


@pytest.mark.parametrize("build", [MobileNetLayers, ResNet50Layers])
@torch.inference_mode()
def test_the_fused_network_is_the_one_described(build: Callable[[], PyTorchLayers]) -> None:
    layers = randomised(build)
    torch.manual_seed(0)
    x = torch.randint(0, 256, (2, 3, 75, 131)).float()
    expected = as_written(layers, x)
    net, frame = Net(layers).eval(), Placement.none((75, 131))
    scale = expected.abs().max()
    torch.testing.assert_close(net(x, frame, True) / scale, expected / scale, rtol=0, atol=2e-6)
    finest = 2 * -(-75 // 8) * -(-131 // 8)
    torch.testing.assert_close(
        net(x, frame, False) / scale, expected[:, finest:] / scale, rtol=0, atol=2e-6
    )


def test_sizes_of_the_published_resnet50_file() -> None:
    """There is no such file here; its numbers must fill it, but for names and structure."""
    state = ResNet50Layers().state_dict()
    size = sum(value.numel() * value.element_size() for value in state.values())
    assert 150 < (109_497_761 - size) / len(state) < 250
