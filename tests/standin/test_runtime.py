"""What the network runner does on CUDA alone: graphs, fused convolutions."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepface.runtime.execution.batching import halving
from deepface.runtime.execution.cuda_graphs import batch_size_of_a_pass
from deepface.runtime.execution.cudnn import CudnnConvRelu
from deepface.runtime.execution.device import runs_on_cpu
from deepface.runtime.execution.fusion import fused
from deepface.runtime.execution.network import Network
from deepface.runtime.execution.tf32 import exact_float32
from tests.standin import Standin
from tests.standin.tensors import COUNTS


class Small(nn.Module):
    """Two outputs, of which one is changed in place."""

    def __init__(self, waits: bool = False) -> None:
        super().__init__()
        self.first, self.second, self.waits = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1), waits

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.first(x).relu_()
        if self.waits and x.sum() < 0:
            x = x + 1
        return self.second(x), x.mean((2, 3))


def batch(seed: int, count: int = 2) -> Tensor:
    return torch.rand((count, 3, 8, 8), generator=torch.Generator().manual_seed(seed))


def outputs(network: Network, x: Tensor) -> list[Tensor]:
    return [part.cpu() for part in network(x.to(network.device))]


def counted() -> bool:
    """A real GPU does not count."""
    return torch.cuda.get_device_name() == "stand-in"


def test_what_runs_on_the_cpu(cuda: str) -> None:
    assert [runs_on_cpu(name) for name in ("cpu", cuda, "cuda:0", "auto")] == [True] + [False] * 3


def test_graphs_give_what_the_module_gives(cuda: str) -> None:
    torch.manual_seed(0)
    plain = Small().eval()
    network = Network(Small(), cuda)
    network.module.load_state_dict(plain.state_dict())
    kept = []
    for seed in range(5):
        for count in (2, 3):
            COUNTS.reset()
            found = outputs(network, batch(seed, count))
            with torch.inference_mode():
                expected = plain(batch(seed, count))
            kept.append((found, expected))
            if seed > 1 and counted():  # input, graph, two outputs
                assert COUNTS.launches == 4, COUNTS.where("launches")
    for found, expected in kept:  # no later run has written over them
        for one, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(one, wanted)


def test_a_graph_is_used_by_several_streams(cuda: str) -> None:
    network = Network(Small(), cuda)
    x = batch(0).to(cuda)
    torch.cuda.synchronize()
    expected = outputs(network, batch(0))
    for _ in range(4):
        with torch.cuda.stream(torch.cuda.Stream(cuda)):  # type: ignore[no-untyped-call]
            found = network(x)
            for one, wanted in zip(found, expected, strict=True):
                assert torch.equal(one.cpu(), wanted)


def test_passes_come_in_few_batch_sizes() -> None:
    sizes = [batch_size_of_a_pass(count) for count in range(1, 1025)]
    assert all(count <= size <= 1.25 * count for count, size in enumerate(sizes, 1))
    assert [batch_size_of_a_pass(size) for size in sizes] == sizes
    assert len(set(sizes[:64])) == 20 and len(set(sizes)) == 36


def test_what_fills_a_batch_up_is_in_no_result(cuda: str) -> None:
    """Not even what an earlier batch left there."""
    network = Network(Small(), cuda)
    known = {count: outputs(network, batch(1, count)) for count in (9, 10)}
    for _ in range(3):
        outputs(network, torch.full((10, 3, 8, 8), float("nan")))
        for count, expected in known.items():
            for one, wanted in zip(outputs(network, batch(1, count)), expected, strict=True):
                assert len(one) == count
                torch.testing.assert_close(one, wanted)


@pytest.mark.parametrize("where", ["in a network", "elsewhere"])
def test_graphs_go_where_memory_is_out(where: str, cuda: str) -> None:
    """Those of other networks, too: any of them may have taken it."""

    class Full(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return x + 1

    network: Any = Network(Small(), cuda)
    expected = outputs(network, batch(0))
    for _ in range(2):
        outputs(network, batch(0))
    assert any(network.passes.shapes.values())
    if where == "in a network":
        found = Network(Full(), cuda)(batch(0).to(cuda)).cpu()
    else:
        found = torch.cat(halving(lambda part: [Full()(torch.stack([*part]))], [*batch(0)]))
    torch.testing.assert_close(found, batch(0) + 1)
    assert not network.passes.shapes
    for one, wanted in zip(outputs(network, batch(0)), expected, strict=True):
        torch.testing.assert_close(one, wanted)


def test_large_inputs_are_not_captured(device: Standin) -> None:
    network: Any = Network(Small(), "cuda:0")
    network.passes.part = 0
    for _ in range(3):
        outputs(network, batch(0))
    assert [*network.passes.shapes.values()] == [False]


def test_what_cannot_be_captured_runs_as_ever(device: Standin) -> None:
    network = Network(Small(waits=True), "cuda:0")
    for seed in range(4):
        assert len(outputs(network, batch(seed))) == 2
    assert len(device.settings.refused) == 1  # it is tried once
    device.settings.refused.clear()


def test_graphs_of_few_shapes_are_kept(device: Standin) -> None:
    network: Any = Network(Small(), "cuda:0")
    network.passes.max_shapes = 2
    for count in (1, 1, 2, 2, 3, 3, 1):
        outputs(network, batch(0, count))
    assert [shape[0] for shape in network.passes.shapes] == [3, 1]


def test_no_graphs_where_they_are_unwanted_or_elsewhere(
    device: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPFACE_CUDA_GRAPHS", "0")
    network: Any = Network(Small(), "cuda:0")
    for _ in range(3):
        outputs(network, batch(0))
    assert not network.passes.shapes
    monkeypatch.delenv("DEEPFACE_CUDA_GRAPHS")
    assert Network(Small(), "cpu").passes is None


@pytest.mark.parametrize("fault", [None, "raises", "wrong"])
@pytest.mark.parametrize("adds", [False, True])
def test_fused_convolutions(
    fault: str | None, adds: bool, cuda: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cuDNN does not have, or has wrong, is done in single steps, whatever it says later."""
    torch.manual_seed(1)
    layer = fused(nn.Conv2d(3, 4, 3, padding=1), None, 0.0)
    x, add = batch(3), torch.rand(2, 4, 8, 8) if adds else None
    with torch.inference_mode():
        expected = layer(x, None if add is None else add.clone())
    there = layer.to(cuda)
    names = ("cudnn_convolution_relu", "cudnn_convolution_add_relu")
    for name in names if fault else ():
        right = getattr(torch, name)

        def broken(*arguments: Any, right: Any = right) -> Tensor:
            if fault == "raises":
                raise RuntimeError("unable to find an engine to execute this computation")
            return right(*arguments) * 1.01  # type: ignore[no-any-return]

        monkeypatch.setattr(torch, name, broken)
    for _ in range(2):
        COUNTS.reset()
        with torch.inference_mode(), exact_float32():
            moved = None if add is None else add.to(cuda)
            torch.testing.assert_close(there(x.to(cuda), moved).cpu(), expected)
    if counted():
        assert COUNTS.launches == (1 if fault is None else 3 + adds)
    if counted() or fault is not None:
        assert there.cudnn.fits == {(torch.float32, not adds): fault is None}


def test_memory_that_is_out_is_no_missing_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", full)
    with pytest.raises(torch.OutOfMemoryError):
        CudnnConvRelu()(batch(0), torch.ones(1, 3, 1, 1), torch.zeros(1), None, ())


_ENGINES = "TORCH_CUDNN_USE_HEURISTIC_MODE_B", "CUDNN_ERRATA_JSON_FILE"


def test_cudnn_is_told_which_engines_to_leave_out(
    monkeypatch: pytest.MonkeyPatch, cuda: str
) -> None:
    for name in _ENGINES:
        monkeypatch.setenv(name, "mine")
        monkeypatch.delenv(name)
    Network(Small(), "cpu")
    assert not any(name in os.environ for name in _ENGINES)
    Network(Small(), cuda)
    assert os.environ[_ENGINES[0]] == "1"
    rules = json.loads(Path(os.environ[_ENGINES[1]]).read_text())["rules"]
    assert {(rule["operation"], rule["engine"]) for rule in rules} == {
        ("ConvFwd", 3),
        ("ConvFwd", 4),
    }


def test_who_has_chosen_engines_keeps_them(monkeypatch: pytest.MonkeyPatch, cuda: str) -> None:
    for name in _ENGINES:
        monkeypatch.setenv(name, "mine")
    Network(Small(), cuda)
    assert [os.environ[name] for name in _ENGINES] == ["mine", "mine"]


@pytest.mark.parametrize(
    ("precision", "channels_last"),
    [
        *(("fp32", False), ("tf32", True), ("bf16", True), ("fp16", True)),
        *(("FP32", False), (" Tf32", True), (torch.float32, False), (torch.bfloat16, True)),
    ],
)
def test_the_memory_format_follows_the_precision(
    cuda: str, precision: str | torch.dtype, channels_last: bool
) -> None:
    seen: list[bool] = []

    class Looks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.is_contiguous(memory_format=torch.channels_last))
            return x

    pixels = batch(0).to(cuda)
    Network(Looks(), cuda, precision)(pixels)
    Network(Looks(), cuda, precision, channels_last=True)(pixels)
    Network(Looks(), "cpu", precision)(batch(0))
    assert seen == [channels_last, True, True]
