from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.profiling import network_ranges, shares
from deepface.runtime.execution.cuda_graphs import Passes


def event(cat: str, name: str, ts: float, dur: float, **args: Any) -> dict[str, Any]:
    return {"cat": cat, "name": name, "ts": ts, "dur": dur, "tid": 1, "args": args}


def test_kernels_belong_to_the_pass_that_launched_them() -> None:
    trace = [
        event("user_annotation", "benchmarks: call", 0, 10_000),
        event("user_annotation", "benchmarks: network", 1000, 100),
        event("gpu_user_annotation", "benchmarks: network", 1500, 6000),
        event("cuda_runtime", "cudaLaunchKernel", 1050, 5, correlation=7),
        event("cuda_runtime", "cudaLaunchKernel", 1200, 5, correlation=8),
        event("kernel", "convolution", 1500, 6000, correlation=7),  # runs later, launched inside
        event("kernel", "nms", 7500, 1500, correlation=8),
        event("gpu_memcpy", "Memcpy HtoD", 500, 500, correlation=9),
    ]
    assert shares(trace) == {
        "wall_ms": 10.0,
        "busy_ms": 8.0,
        "network_ms": 6.0,
        "network_of_busy": 0.75,
        "network_of_wall": 0.6,
        "others": "nms 1.50; Memcpy HtoD 0.50",
    }


def test_launches_of_another_thread_are_not_the_networks() -> None:
    trace = [
        event("user_annotation", "benchmarks: call", 0, 1000),
        event("user_annotation", "benchmarks: network", 0, 1000),
        event("cuda_runtime", "cudaLaunchKernel", 500, 5, correlation=1) | {"tid": 2},
        event("kernel", "other", 500, 100, correlation=1),
    ]
    assert shares(trace)["network_of_busy"] == 0


def test_without_a_gpu_the_forward_passes_count() -> None:
    trace = [
        event("user_annotation", "benchmarks: call", 0, 1000),
        event("user_annotation", "benchmarks: call", 2000, 1000),
        event("user_annotation", "benchmarks: network", 100, 800),
        event("user_annotation", "benchmarks: network", 2100, 700),
    ]
    found = shares(trace)
    assert found["wall_ms"] == 1.0
    assert found["network_of_wall"] == 0.75


def test_a_pass_is_marked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a graph no module is called, of another pass one is, inside it."""
    monkeypatch.setenv("DEEPFACE_CUDA_GRAPHS", "0")
    passes = Passes(nn.Sequential(nn.Conv2d(1, 2, 3)), torch.contiguous_format, torch.float32)
    with torch.profiler.profile() as profiler, network_ranges():
        passes(torch.zeros(1, 1, 5, 5))
        nn.Conv2d(1, 2, 3)(torch.zeros(1, 1, 5, 5))
    names = [event.name for event in profiler.events() or []]
    assert names.count("benchmarks: network") == 2
