from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from deepface.recognition.vgg_face import VggTrunk
from deepface.runtime.execution import fusion, winograd
from deepface.runtime.execution.winograd import (
    WinogradConv2d,
    WinogradWhereItPays,
    pays,
    tiles,
    with_winograd,
)
from tests.interleaved import at_once

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
    layer = WinogradConv2d(conv.weight, conv.bias, tiles(size[0]) * tiles(size[1]))
    found = layer(x)
    expected = conv.double()(x.double()).relu()
    assert (found - expected).abs().max() <= 3e-5 * expected.abs().max()
    assert found.shape == expected.shape and found.is_contiguous(memory_format=torch.channels_last)
    for position in range(3):
        assert torch.equal(layer(x[position : position + 1])[0], found[position])


@pytest.mark.parametrize("block", [1, 5, 64, 703, 1000])
@torch.inference_mode()
def test_blocks_and_rows_change_nothing(block: int) -> None:
    """Nor that the last rows overlap those before."""
    conv = nn.Conv2d(16, 16, 3, padding=1)
    assert conv.bias is not None
    x = torch.randn(1, 16, 76, 148).to(memory_format=torch.channels_last)
    layer = WinogradConv2d(conv.weight, conv.bias, block)
    for budget in (1, 600_000, 2**30):
        layer.budget = budget
        torch.testing.assert_close(layer(x), conv(x).relu(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [128, 512, 4096])
@pytest.mark.parametrize("block", [64, 196])
def test_rows_are_in_the_fewest_blocks(channels: int, block: int) -> None:
    layer = WinogradConv2d(torch.zeros(1, channels, 3, 3), torch.zeros(1), block)
    most = (8 << 20) // (36 * channels * 4)
    for across, down in itertools.product(range(1, 90), range(1, 40)):
        rows = layer.rows_at_a_time(down, across)
        assert rows == 1 or rows * across <= most
        blocks = {
            some: math.ceil(down / some) * math.ceil(some * across / block)
            for some in range(1, down + 1)
            if some == 1 or some * across <= most
        }
        assert blocks[rows] == min(blocks.values())


@torch.inference_mode()
def test_another_number_of_threads() -> None:
    conv = nn.Conv2d(32, 32, 3, padding=1)
    assert conv.bias is not None
    x = torch.randn(1, 32, 40, 40).to(memory_format=torch.channels_last)
    layer = WinogradConv2d(conv.weight, conv.bias, 64)
    expected, before = layer(x), torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            torch.testing.assert_close(layer(x), expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("slope", [None, 0.0, 0.1, "silu"])
@pytest.mark.parametrize("packed", [False, True])
@torch.inference_mode()
def test_maps_of_any_size(slope: float | str | None, packed: bool) -> None:
    """Those of few tiles, or that fill blocks badly, go through the convolution itself."""
    torch.manual_seed(1)
    conv = nn.Conv2d(160, 128, 3, padding=1)
    silu = slope == "silu"
    direct = fusion.fused(conv, slope=None if isinstance(slope, str) else slope, silu=silu)
    layer = WinogradWhereItPays(direct.to(memory_format=torch.channels_last))
    if packed:
        direct.pack((1, 160, 40, 40))
    for size in [(32, 32), (5, 130), (29, 33), (33, 33), (31, 7), (1, 300), (1, 1)]:
        x = torch.randn(2, 160, *size).to(memory_format=torch.channels_last)
        found, plain = layer(x), direct(x)
        assert found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found, plain, rtol=0, atol=3e-5 * float(plain.abs().max()))
        assert torch.equal(layer(x[1:]), found[1:])
        count = -(-size[0] // 4) * -(-size[1] // 4)
        assert torch.equal(found, plain) is (count < 0.8 * 64 * math.ceil(count / 64))


def test_the_first_large_maps_of_threads_at_once() -> None:
    layer = WinogradWhereItPays(fusion.fused(nn.Conv2d(128, 128, 3, padding=1), slope=0))
    x = torch.randn(1, 128, 32, 32).to(memory_format=torch.channels_last)
    found: dict[int, torch.Tensor] = {}

    def run(number: int) -> None:
        with torch.inference_mode():
            found[number] = layer(x)

    at_once(run, winograd, torch.nn.modules.module, threads=4)
    assert all(torch.equal(one, found[0]) for one in found.values())


def test_which_convolutions_of_a_network_change() -> None:
    steps = [
        nn.Conv2d(128, 128, 3, padding=1),
        nn.Conv2d(128, 128, 3),
        nn.Conv2d(128, 128, 1),
        nn.Conv2d(128, 64, 3, padding=1),
        nn.Conv2d(192, 128, 3, padding=1),
    ]
    network = nn.Sequential(*(fusion.fused(conv, slope=0) for conv in steps))
    with_winograd(network)
    assert [isinstance(step, WinogradWhereItPays) for step in network] == [
        *(True, False, False, False, True)
    ]


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


def test_no_operators_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    fusion.onednn_operators_exist.cache_clear()
    try:
        assert not fusion.onednn_operators_exist()
    finally:
        fusion.onednn_operators_exist.cache_clear()
