from typing import Any

from benchmarks.profiling import shares


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
