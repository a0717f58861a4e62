from __future__ import annotations

import pytest
import torch
from torch import nn

from deepface.recognition.vgg_face import VggTrunk
from deepface.runtime.execution import fusion
from deepface.runtime.execution.winograd import WinogradConv2d, pays

pytestmark = pytest.mark.skipif(
    not fusion.onednn_operators_exist(), reason="needs a PyTorch with oneDNN"
)


@pytest.mark.parametrize(("channels", "outputs"), [(128, 128), (64, 96), (3, 5)])
@pytest.mark.parametrize("size", [(28, 28), (14, 14), (1, 1), (5, 30), (4, 3), (17, 9)])
@torch.inference_mode()
def test_a_layer(channels: int, outputs: int, size: tuple[int, int]) -> None:
    torch.manual_seed(channels)
    conv = nn.Conv2d(channels, outputs, 3, padding=1)
    assert conv.bias is not None
    x = torch.randn(3, channels, *size).to(memory_format=torch.channels_last)
    layer = WinogradConv2d(conv.weight, conv.bias, *size)
    found = layer(x)
    expected = conv.double()(x.double()).relu()
    assert (found - expected).abs().max() <= 3e-5 * expected.abs().max()
    assert found.shape == expected.shape and found.is_contiguous(memory_format=torch.channels_last)
    for position in range(3):
        assert torch.equal(layer(x[position : position + 1])[0], found[position])


@torch.inference_mode()
def test_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = nn.Conv2d(16, 16, 3, padding=1)
    assert conv.bias is not None
    x = torch.randn(1, 16, 48, 48).to(memory_format=torch.channels_last)
    whole = WinogradConv2d(conv.weight, conv.bias, 48, 48)
    monkeypatch.setattr("deepface.runtime.execution.winograd._BUDGET", 1)
    by_row = WinogradConv2d(conv.weight, conv.bias, 48, 48)
    assert (whole.rows, by_row.rows) == (12, 1)
    torch.testing.assert_close(by_row(x), whole(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("conv", "size", "expected"),
    [
        (nn.Conv2d(128, 128, 3, padding=1), 14, True),
        (nn.Conv2d(128, 128, 3, padding=1), 12, False),
        (nn.Conv2d(64, 128, 3, padding=1), 112, False),
        (nn.Conv2d(128, 128, 3, padding=1, stride=2), 112, False),
        (nn.Conv2d(128, 128, 3), 112, False),
        (nn.Conv2d(128, 128, 3, padding=2, dilation=2), 112, False),
        (nn.Conv2d(128, 128, 3, padding=1, groups=2), 112, False),
        (nn.Conv2d(128, 128, 1), 112, False),
    ],
)
def test_the_rule(conv: nn.Conv2d, size: int, expected: bool) -> None:
    assert pays(conv, size, size) is expected


@pytest.mark.heavy
@torch.inference_mode()
def test_the_trunk_of_vgg_face() -> None:
    torch.manual_seed(0)
    trunk = VggTrunk().eval().to(memory_format=torch.channels_last)
    faces = torch.rand(3, 3, 224, 224).to(memory_format=torch.channels_last)
    plain = trunk(faces).double()
    fast = trunk.for_cpu()
    found = fast(faces).double()
    assert 1 - torch.cosine_similarity(plain, found).min() <= 1e-11
    alone = torch.cat([fast(face[None]) for face in faces])
    assert (alone - found).norm() <= 1e-6 * found.norm()
    steps = [type(fast.get_submodule(f"conv{g}_2")) for g in range(1, 6)]
    assert steps == [fusion.FusedConv2d, *[WinogradConv2d] * 4]


@pytest.mark.parametrize("result", [None, 1.0])
def test_operators_that_changed_are_not_used(
    result: float | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def changed(*args: object) -> torch.Tensor:
        if result is None:
            raise RuntimeError("no such overload")
        return torch.full((1, 8, 5, 5), result)

    monkeypatch.setattr(torch.ops.mkldnn._convolution_pointwise, "default", changed)
    fusion.onednn_operators_exist.cache_clear()
    try:
        with caplog.at_level("INFO"):
            assert not fusion.onednn_operators_exist()
            assert not fusion.onednn_operators_exist()
        assert caplog.text.count("oneDNN's fused convolutions are not used") == 1
        conv = fusion.fused(nn.Conv2d(4, 4, 3, padding=1), slope=0)
        conv.pack((1, 4, 6, 6))
        assert conv(torch.ones(1, 4, 6, 6)).shape == (1, 4, 6, 6)
    finally:
        fusion.onednn_operators_exist.cache_clear()
