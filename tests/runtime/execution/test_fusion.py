from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deepface.runtime.execution import fusion
from deepface.runtime.execution.fusion import FusedNorm, fused


def norm(channels: int) -> nn.BatchNorm2d:
    bn = nn.BatchNorm2d(channels, eps=1e-3).eval()
    for values in (bn.weight.data, bn.running_var):
        assert values is not None
        values.uniform_(0.1, 2)
    for values in (bn.bias.data, bn.running_mean):
        assert values is not None
        values.normal_()
    return bn


@pytest.fixture(params=["oneDNN", "plain"], autouse=True)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    if request.param == "plain":
        monkeypatch.setattr(fusion, "_has_onednn", lambda x: False)


def activated(x: Tensor, slope: float | None) -> Tensor:
    return x if slope is None else nn.functional.leaky_relu(x, slope)


@pytest.mark.parametrize("slope", [None, 0.0, 0.1])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 4])
@torch.inference_mode()
def test_convolution_norm_sum_activation(slope: float | None, bias: bool, groups: int) -> None:
    conv, bn = nn.Conv2d(4, 8, 3, 2, padding=2, dilation=2, groups=groups, bias=bias), norm(8)
    x = torch.randn(2, 4, 11, 9).contiguous(memory_format=torch.channels_last)
    expected = bn(conv(x))
    layer = fused(conv, bn, slope)
    torch.testing.assert_close(layer(x), activated(expected, slope))
    add = torch.randn_like(expected)
    torch.testing.assert_close(layer(x, add.clone()), activated(expected + add, slope))
    torch.testing.assert_close(fused(conv, slope=slope)(x), activated(conv(x), slope))


@torch.inference_mode()
def test_packed_weights_do_for_any_size() -> None:
    conv = nn.Conv2d(3, 8, 3, padding=1)
    layer = fused(conv, slope=0.0)
    layer.pack((1, 3, 20, 20))
    for size in (20, 7):
        x = torch.randn(2, 3, size, size)
        torch.testing.assert_close(layer(x), conv(x).relu(), check_stride=False)


@pytest.mark.parametrize("packed", [False, True])
@torch.inference_mode()
def test_silu_in_the_same_step(packed: bool) -> None:
    conv = nn.Conv2d(8, 16, 3, padding=1)
    step = fused(conv, silu=True)
    if packed:
        step.pack((1, 8, 20, 20))
    for size in (20, 7):
        x = torch.randn(2, 8, size, size)
        torch.testing.assert_close(step(x), nn.functional.silu(conv(x)), check_stride=False)


@torch.inference_mode()
def test_norm_alone() -> None:
    bn, x = norm(5), torch.randn(2, 5, 3, 4)
    torch.testing.assert_close(FusedNorm(bn, relu=False)(x), bn(x))
    torch.testing.assert_close(FusedNorm(bn, relu=True)(x), bn(x).relu())


def test_a_fused_convolution_can_be_traced() -> None:
    """An export to ONNX traces a network; oneDNN's own operators would stop it."""
    conv = fusion.fused(nn.Conv2d(2, 3, 3), slope=0)
    x = torch.randn(1, 2, 8, 8)
    with torch.inference_mode():
        traced = torch.jit.trace(conv, (x,))  # type: ignore[no-untyped-call]
        torch.testing.assert_close(traced(x), conv(x), rtol=1e-5, atol=1e-5)
