"""The device refuses what CUDA refuses, and counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from tests.standin import Standin


def ones(device: str = "cuda", count: int = 3) -> torch.Tensor:
    return torch.ones(count, device=device)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ones() + ones("cpu"), "at least two devices"),
        (lambda: ones() + ones("cuda:1"), "cuda:0 and cuda:1"),
        (lambda: ones().numpy(), "can't convert cuda:0"),
        (lambda: np.asarray(ones("cuda:1")), "can't convert cuda:1"),
        (lambda: ones().pin_memory(), "cannot pin"),
        (lambda: ones("cpu")[ones().long()], "indices on the device"),
        (lambda: ones().long()[None] @ ones().long()[:, None], "not implemented for torch.int64"),
        (lambda: torch.cat([ones(), ones("cpu")]), "at least two devices"),
        (lambda: torch.nn.Conv2d(1, 1, 1)(torch.ones(1, 1, 2, 2, device="cuda")), "two devices"),
    ],
)
def test_refused(device: Standin, wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises((RuntimeError, TypeError), match=message), torch.inference_mode():
        wrong()
    assert len(device.settings.refused) == 1


def test_results_are_those_of_the_cpu(device: Standin) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).eval()
    x = torch.randn(2, 3, 8, 8)
    boxes, scores = torch.rand(9, 4).cumsum(1), torch.rand(9)
    with torch.inference_mode():
        expected = layer(x)
        moved = layer.to("cuda:1").to(memory_format=torch.channels_last)
        found = moved(x.to("cuda:1").contiguous(memory_format=torch.channels_last))
        assert found.device == torch.device("cuda:1")
        torch.testing.assert_close(found.cpu(), expected)
        kept = torchvision.ops.nms(boxes.cuda(), scores.cuda(), 0.5).cpu()
        assert torch.equal(kept, torchvision.ops.nms(boxes, scores, 0.5))
    view = (whole := torch.zeros(4, device="cuda"))[1:]
    view.fill_(2)
    whole[whole > 1] = 5
    assert whole.tolist() == [0, 5, 5, 5]


@pytest.mark.parametrize(
    ("work", "launches", "waits", "up", "down"),
    [
        (lambda x: x + 1, 1, 0, 0, 0),
        (lambda x: x[1:].view(-1, 1).expand(2, 5), 0, 0, 0, 0),
        (lambda x: x.cpu(), 0, 1, 0, 1),
        (lambda x: x.tolist(), 0, 1, 0, 1),
        (lambda x: x.sum().item(), 1, 1, 0, 1),
        (lambda x: bool((x > 0).all()), 2, 1, 0, 1),
        (lambda x: x[[1, 0]], 1, 1, 1, 0),
        (lambda x: x.new_tensor([1.0]), 0, 1, 1, 0),
        (lambda x: torch.ones(3).pin_memory().to("cuda", non_blocking=True), 0, 0, 1, 0),
        (lambda x: torch.ones(3).to("cuda"), 0, 1, 1, 0),
        (lambda x: x.nonzero(), 5, 1, 0, 1),
    ],
)
def test_counts(
    device: Standin, work: Callable[[Any], Any], launches: int, waits: int, up: int, down: int
) -> None:
    x = torch.ones(3, device="cuda")
    device.counts.reset()
    work(x)
    counts = device.counts
    assert (counts.launches, counts.waits, counts.up, counts.down) == (launches, waits, up, down)


def test_streams_must_wait_for_one_another(device: Standin) -> None:
    other = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    x = ones()
    with pytest.raises(RuntimeError, match="another stream"), torch.cuda.stream(other):
        x * 2
    with torch.cuda.stream(other):
        other.wait_stream(torch.cuda.current_stream("cuda:0"))
        other.wait_event(torch.cuda.default_stream().record_event())
        y = x * 2
    with pytest.raises(RuntimeError, match="another stream"):
        y + 1
    torch.cuda.current_stream().wait_event(other.record_event())
    assert (y + 1).tolist() == [3, 3, 3]


def test_what_is_copied_without_waiting_is_garbage_until_then(device: Standin) -> None:
    found = (ones() * 3).to("cpu", non_blocking=True)
    assert found.tolist() != [3, 3, 3]
    torch.cuda.synchronize()
    assert found.tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    "layer", [torch.nn.Conv2d(96, 64, 3, 2), torch.nn.ConvTranspose2d(96, 64, 2, 2)]
)
def test_without_arithmetic_results_have_their_shapes(
    layer: torch.nn.Module, device: Standin
) -> None:
    x = torch.ones(1, 96, 64, 64)
    with torch.inference_mode():
        expected = layer(x).shape
        device.settings.skip_arithmetic = True
        assert layer.to("cuda")(x.cuda()).shape == expected
    assert device.counts.flops > 5e7


def test_memory(device: Standin) -> None:
    device.settings.limits[1] = 100
    ones("cuda:0", 1000)
    ones("cuda:1", 25)
    with pytest.raises(torch.OutOfMemoryError):
        ones("cuda:1", 26)


def test_threads_have_it_too(device: Standin) -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(ones("cuda:1").device))
    thread.start()
    thread.join()
    assert found == [torch.device("cuda:1")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a real one")
def test_it_is_gone_afterwards() -> None:
    with Standin():
        pass
    assert not torch.cuda.is_available()
    with pytest.raises((RuntimeError, AssertionError)):
        torch.ones(1, device="cuda")
