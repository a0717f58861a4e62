"""The network runner: chunks, back-off, precision; devices; models built once."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepface.errors import UnimplementedError
from deepface.runtime.execution.batching import chunks, group_indices, powers_of_two, regrouped
from deepface.runtime.execution.device import cuda_is_running, resolve_device, resolve_precision
from deepface.runtime.execution.network import Network, concatenated
from deepface.runtime.models import cached_models, get_or_build


class Doubles(nn.Module):
    """Twice the input; notes the sizes of its batches and can run out of memory."""

    def __init__(self, room: int = 1000) -> None:
        super().__init__()
        self.room = room
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.room:
            raise torch.cuda.OutOfMemoryError("no room")
        self.sizes.append(len(x))
        return 2 * x


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, [0]), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])],
)
def test_chunks_and_order(count: int, sizes: list[int]) -> None:
    module = Doubles()
    batch = np.arange(count, dtype=np.float32).reshape(count, 1)
    np.testing.assert_array_equal(Network(module, "cpu", chunk_size=3)(batch), 2 * batch)
    assert module.sizes == sizes


def test_out_of_memory_halves_and_goes_on() -> None:
    module = Doubles(room=2)
    batch = np.arange(9, dtype=np.float32).reshape(9, 1)
    np.testing.assert_array_equal(Network(module, "cpu", chunk_size=8)(batch), 2 * batch)
    assert module.sizes == [2, 2, 2, 2, 1]
    with pytest.raises(torch.cuda.OutOfMemoryError):
        Network(Doubles(room=0), "cpu")(batch)


def test_preparation_and_precision() -> None:
    module = Doubles()
    bytes_ = np.full((2, 4, 4, 3), 255, np.uint8)
    found = Network(module, "cpu", "bf16")(bytes_, lambda x: x.permute(0, 3, 1, 2) / 255)
    assert found.dtype == torch.float32
    assert found.shape == (2, 3, 4, 4)
    assert not found.requires_grad
    assert float(found.max()) == 2


def test_groups_and_chunks() -> None:
    words = ["a", "bb", "c", "dd", "e"]
    assert group_indices(list(map(len, words))) == {1: [0, 2, 4], 2: [1, 3]}
    assert list(chunks(words, 2)) == [["a", "bb"], ["c", "dd"], ["e"]]
    assert regrouped(words, ["12", "", "123"]) == [["a", "bb"], [], ["c", "dd", "e"]]
    with pytest.raises(ValueError, match="at least 1"):
        list(chunks(words, 0))


def test_results_one_behind_the_other() -> None:
    one, two = torch.arange(3), torch.arange(3, 5)
    assert concatenated([one]) is one
    assert torch.equal(concatenated((one, two)), torch.arange(5))
    first, (second,) = concatenated([(one, [two]), (two, [one])])
    assert torch.equal(first, torch.arange(5)) and second.tolist() == [3, 4, 0, 1, 2]


@pytest.mark.parametrize("most", [1, 3, 8, 9])
def test_powers_of_two(most: int) -> None:
    for count in range(40):
        parts = list(powers_of_two(range(count), most))
        assert [item for part in parts for item in part] == list(range(count))
        sizes = [len(part) for part in parts]
        assert all(size & (size - 1) == 0 and size <= most for size in sizes)
        assert sizes == sorted(sizes, reverse=True)
        rest = [size for size in sizes if 2 * size <= most]
        assert len({*rest}) == len(rest), "only the largest comes more than once"


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_DEVICE", "cpu")
    assert resolve_device() == torch.device("cpu")
    with pytest.raises(UnimplementedError, match="unknown device 'gpu'"):
        resolve_device("gpu")
    with pytest.raises(RuntimeError, match="'cuda:99' is not available"):
        resolve_device("cuda:99")
    with pytest.raises(UnimplementedError, match="unknown precision 'int4'"):
        resolve_precision("int4")


def test_threads_build_a_model_once() -> None:
    built: list[int] = []

    def build() -> Any:
        built.append(1)
        time.sleep(0.05)
        return object()

    try:
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(get_or_build, "test-task", "m", build) for _ in range(4)]
            assert len({id(call.result()) for call in calls}) == 1
        assert len(built) == 1
        with pytest.raises(ZeroDivisionError):
            get_or_build("test-task", "broken", lambda: 1 / 0)
        assert "broken" not in cached_models["test-task"]
    finally:
        cached_models.pop("test-task", None)


def test_torch_is_not_imported_to_learn_that_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepface.runtime.execution import device

    assert device.may_have_cuda()  # torch is there already
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(sys, "platform", "linux")
    signs: set[str] = set()
    monkeypatch.setattr(Path, "exists", lambda path: str(path) in signs)
    assert not device.may_have_cuda()
    with monkeypatch.context() as patch:
        patch.setattr(device, "resolve_device", None)  # which imports it
        patch.delenv("DEEPFACE_DEVICE", raising=False)
        assert device.runs_on_cpu(None) and device.runs_on_cpu("auto") and device.runs_on_cpu("CPU")
    signs.add("/dev/dxg")
    assert device.may_have_cuda()
    signs.clear()
    monkeypatch.setattr(sys, "platform", "win32")
    assert device.may_have_cuda()


@pytest.mark.parametrize("imported", [None, "torch", "torch.cuda"])
def test_asking_for_cuda_while_another_thread_imports_torch(
    monkeypatch: pytest.MonkeyPatch, imported: str | None
) -> None:
    """There are modules then, and nothing yet in them."""
    half = ModuleType("torch")
    if imported == "torch.cuda":
        half.cuda = ModuleType("torch.cuda")  # type: ignore[attr-defined]
    if imported is None:
        monkeypatch.delitem(sys.modules, "torch")
    else:
        monkeypatch.setitem(sys.modules, "torch", half)
    assert not cuda_is_running()


_WHERE = """
import torch
from deepface.runtime.execution.network import Network
Network(torch.nn.Identity(), "cpu")
block = torch.empty(20 * 2**20, dtype=torch.uint8)
heap = next(line for line in open("/proc/self/maps") if "[heap]" in line)
low, high = (int(end, 16) for end in heap.split()[0].split("-"))
print(low <= block.data_ptr() < high)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's allocator")
def test_large_maps_are_not_mapped_anew_at_every_call() -> None:
    found = subprocess.run(
        [sys.executable, "-c", _WHERE], capture_output=True, check=True, text=True
    )
    assert found.stdout.strip() == "True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked on Windows")
def test_a_forked_child_does_not_wait_for_its_parents_threads() -> None:
    """As ``multiprocessing`` does it on Linux, after the parent has run networks."""
    script = """
import os, signal
import torch
from deepface.runtime.execution.network import Network
torch.set_num_threads(2)
network = Network(torch.nn.Conv2d(16, 16, 3), "cpu")
pictures = torch.ones(4, 16, 64, 64)
expected = network(pictures)
if (child := os.fork()) == 0:
    signal.alarm(60)  # which ends it where it waits
    os._exit(0 if torch.allclose(network(pictures), expected, atol=1e-5) else 1)
raise SystemExit(os.waitpid(child, 0)[1])
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=240).returncode == 0
