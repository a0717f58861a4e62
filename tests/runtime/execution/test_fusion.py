from __future__ import annotations

import contextlib
import platform

import pytest
import torch
from torch import Tensor, nn

from deepface.runtime.execution import fusion
from deepface.runtime.execution.fusion import FusedNorm, fused, onednn_operators_exist
from deepface.runtime.execution.tf32 import exact_float32
from tests.interpreted import interpreted


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
        monkeypatch.setattr(fusion, "onednn_operators_exist", lambda: False)


def activated(x: Tensor, slope: float | None) -> Tensor:
    return x if slope is None else nn.functional.leaky_relu(x, slope)


def test_the_operators_of_onednn_are_there_and_right() -> None:
    """Else all runs on plain convolutions: right, and slowly."""
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        pytest.skip("no oneDNN for this processor")
    assert onednn_operators_exist()


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


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_kernel_for_bias_and_silu(
    monkeypatch: pytest.MonkeyPatch, layout: torch.memory_format, dtype: torch.dtype
) -> None:
    """By Triton's interpreter, what two operators give; the last block is not full."""
    module = interpreted("deepface.runtime.execution.silu_kernel", monkeypatch)
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn((3, 5, 17, 11), generator=generator) * 20).to(dtype)
    bias = torch.randn(5, generator=generator).to(dtype)
    expected = nn.functional.silu(x.float() + bias.float().view(1, 5, 1, 1)).to(dtype)
    x = x.contiguous(memory_format=layout)
    assert module.biased_silu_(x, bias) is x
    torch.testing.assert_close(x.contiguous(), expected)
    assert module.biased_silu_(x[:0], bias).shape == (0, 5, 17, 11)


@pytest.mark.gpu
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_convolutions_with_silu_on_a_gpu(layout: torch.memory_format) -> None:
    with torch.inference_mode():
        torch.manual_seed(0)
        conv = fusion.fused(nn.Conv2d(8, 24, 3, padding=1), silu=True)
        x = torch.randn(3, 8, 33, 29)
        expected = conv(x)
        there = conv.to("cuda", memory_format=layout)  # type: ignore[call-overload]
        with exact_float32():
            found = there(x.to("cuda").contiguous(memory_format=layout))
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)
        if torch.cuda.get_device_name() != "stand-in":
            assert fusion.silu_kernel(there.weight.device) is not None
