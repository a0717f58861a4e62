"""Where the time of one batch goes: the networks, other work of the device, nothing.

A trace of ``torch.profiler`` says which kernel ran when and which call launched it. Kernels that
were launched inside a network's forward pass are the network's; the rest (upload, resize,
normalisation, decoding, suppression, download) is what surrounds it.
"""

from __future__ import annotations

import argparse
import bisect
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from benchmarks.arguments import (
    add_output,
    add_pictures,
    add_rounds,
    add_stand_ins,
    names,
    positive,
)
from benchmarks.pictures import fill, pictures, read
from benchmarks.report import Report, Row
from benchmarks.stand_ins import stand_ins, weight_files
from benchmarks.worker import synchronize

HELP = "share of the device's time that the networks take, by torch.profiler"
COLUMNS = {
    "detector": "detector",
    "weights": "weights",
    "batch": "batch",
    "device": "device",
    "wall_ms": "wall ms",
    "busy_ms": "device busy ms",
    "network_ms": "network ms",
    "network_of_busy": "network / busy",
    "network_of_wall": "network / wall",
    "others": "largest other work (ms)",
}
_NETWORK, _CALL = "benchmarks: network", "benchmarks: call"
_DEVICE_WORK = {"kernel", "gpu_memcpy", "gpu_memset"}
_LAUNCHES = {"cuda_runtime", "cuda_driver"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--detector", type=names, required=True, help="NAME[,NAME...]")
    add_pictures(parser)
    parser.add_argument("--batch", type=positive, default=32)
    parser.add_argument("--device")
    add_stand_ins(parser)
    add_rounds(parser, default=5)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    from deepface.detection.registry import DETECTORS
    from deepface.runtime.execution.device import resolve_device

    device = str(resolve_device(args.device))
    report = Report("profile", settings={"size": "1280x720", "rounds": args.repeat})
    with pictures(args.images, args.limit or args.batch) as paths:
        images = [fill(read(path), 1280, 720) for path in paths][: args.batch]
    with ExitStack() as stack:
        missing = stack.enter_context(stand_ins(args.detector)) if args.stand_ins else set()
        for name in args.detector:
            random = bool(missing & set(weight_files(name)))
            try:
                detector = DETECTORS.build(name, device)
                detector.detect_faces(images)
            except (ValueError, ImportError) as error:
                report.note(f"{name} skipped: {error}")
                continue
            events = _trace(detector, images, args.repeat, device)
            row = {"detector": name, "weights": "random" if random else "real"}
            row |= {"batch": len(images), "device": device}
            report.rows.append(row | shares(events))
            report.save(args.out, args.tag)
    return report.finish(args, COLUMNS)


def _trace(detector: Any, images: list[Any], rounds: int, device: str) -> list[dict[str, Any]]:
    from torch.profiler import ProfilerActivity, profile, record_function

    activities = [ProfilerActivity.CPU]
    if device.startswith("cuda"):
        activities.append(ProfilerActivity.CUDA)
    with network_ranges(), TemporaryDirectory(prefix="benchmarks-") as folder:
        detector.detect_faces(images)
        synchronize()
        with profile(activities=activities) as profiler:
            for _ in range(rounds):
                with record_function(_CALL):
                    detector.detect_faces(images)
                    synchronize()
        path = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(path))
        events: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    return events


@contextmanager
def network_ranges() -> Iterator[None]:
    """Mark each forward pass in the trace; modules inside a module belong to its pass.

    So do CUDA graphs, which are replayed without a call of a module.
    """
    from torch.nn.modules.module import (
        register_module_forward_hook,
        register_module_forward_pre_hook,
    )
    from torch.profiler import record_function

    from deepface.runtime.execution.cuda_graphs import Passes

    running: list[ExitStack] = []  # the outermost module first; only it is marked

    def enter(*_: Any) -> None:
        running.append(ExitStack())
        if len(running) == 1:
            running[0].enter_context(record_function(_NETWORK))

    def leave(*_: Any) -> None:
        running.pop().close()

    def marked(passes: Passes, x: Any) -> Any:
        enter()
        try:
            return passed(passes, x)
        finally:
            leave()

    passed = Passes.__call__
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Passes, "__call__", marked))
        stack.callback(register_module_forward_pre_hook(enter).remove)
        stack.callback(register_module_forward_hook(leave).remove)
        yield


def shares(events: Sequence[dict[str, Any]]) -> Row:
    """Milliseconds per call of a Chrome trace: wall clock, device busy, its networks' part.

    Without a GPU the device is the processor: it is busy all the time, and the network's part is
    the time inside its forward passes.
    """
    ranges = {name: _intervals(events, name) for name in (_NETWORK, _CALL)}
    calls = len(ranges[_CALL])
    wall = sum(end - start for _, start, end in ranges[_CALL])
    others: Counter[str] = Counter()
    if any(event.get("cat") in _DEVICE_WORK for event in events):
        launches = {
            event["args"]["correlation"]: (event["tid"], event["ts"])
            for event in events
            if event.get("cat") in _LAUNCHES and "correlation" in event.get("args", {})
        }
        inside = _membership(ranges[_NETWORK])
        busy = network = 0.0
        for event in events:
            if event.get("cat") not in _DEVICE_WORK:
                continue
            busy += event["dur"]
            launch = launches.get(event["args"].get("correlation"))
            if launch is not None and inside(*launch):
                network += event["dur"]
            else:
                others[event["name"][:60]] += event["dur"]
    else:
        busy, network = wall, sum(end - start for _, start, end in ranges[_NETWORK])
    scale = 1000 * calls
    return {
        "wall_ms": round(wall / scale, 3),
        "busy_ms": round(busy / scale, 3),
        "network_ms": round(network / scale, 3),
        "network_of_busy": round(network / busy, 3),
        "network_of_wall": round(network / wall, 3),
        "others": "; ".join(f"{k} {v / scale:.2f}" for k, v in others.most_common(3)) or None,
    }


def _intervals(events: Sequence[dict[str, Any]], name: str) -> list[tuple[Any, float, float]]:
    return [
        (event["tid"], event["ts"], event["ts"] + event["dur"])
        for event in events
        if event.get("cat") == "user_annotation" and event.get("name") == name
    ]


def _membership(intervals: Sequence[tuple[Any, float, float]]) -> Any:
    """A function ``(thread, time) → bool``: does it lie within one of the intervals?"""
    by_thread: dict[Any, list[tuple[float, float]]] = defaultdict(list)
    for thread, start, end in sorted(intervals, key=lambda interval: interval[1]):
        by_thread[thread].append((start, end))

    def inside(thread: Any, moment: float) -> bool:
        spans = by_thread.get(thread, [])
        position = bisect.bisect_right(spans, (moment, float("inf"))) - 1
        return position >= 0 and moment <= spans[position][1]

    return inside
