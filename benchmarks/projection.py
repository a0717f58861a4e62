"""A projection, no measurement: what a batch would take on GPUs by counts and a roofline model.

A stand-in CUDA device runs the product and counts kernels, waits, copies, bytes and floating-point
operations. From those and from data sheets follows a time, by a model that is stated on the page.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.arguments import add_made_weights, add_pictures, names, numbers
from benchmarks.page import machine_name
from benchmarks.pictures import fill, pictures, read
from benchmarks.report import Row, table
from benchmarks.stand_in_home import recognition_stand_in
from benchmarks.stand_ins import stand_ins

HELP = "a projection (no measurement) of times on GPUs from counts on a stand-in device"
#: Seconds: the host's for a launch and for a wait; the least that a kernel takes.
_LAUNCH, _WAIT, _KERNEL = 5e-6, 20e-6, 2e-6
_PAGE = Path(__file__).with_name("projection.md")
_RESULTS = Path(__file__).with_name("results")
DETECTORS = (
    *("yolov8n", "yolov11n", "ssd", "retinaface", "retinaface-mobilenet0.25", "yunet"),
    *("centerface", "mtcnn", "fastmtcnn"),
)
_HEAD = """# Projection for GPUs

**Only the last column was measured**, and only where it has a number. `python -m benchmarks
projection` ran each network detector and model on a CUDA device that is simulated on the CPU
(`tests/standin`), counted what it was asked to do, and computed times by a roofline model. Use it
to see what bounds what, not to plan capacity: the measured times are those of `detect_faces` in
`benchmarks/results`, the median of what the newest run on such a card took for a batch.

- An operation takes the longest of its floating-point operations by the card's fp32 peak, the bytes
  that it reads and writes by the memory's bandwidth, and {kernel:.0f} µs per kernel. All peaks are
  those of data sheets; real kernels reach a part of them.
- The host takes {launch:.0f} µs per launch and {wait:.0f} µs per wait. Python between launches,
  decoding and what a face costs on the CPU come on top: where it was measured, a launch took the
  host 11 to 22 µs with them.
- A batch takes the longer of device (with copies) and host. "bound by" says which of these it is:
  `host`, `copies`, `kernels` (their number), `memory`, `arithmetic`.
- Counted are PyTorch's operators. On a real card the resampling, and a bias with its SiLU, run as
  kernels of our own, which is one launch for dozens; and from the second batch of a shape on, the
  forward pass of a network is one launch for the host (a CUDA graph).
- Pictures are {size} and equal. Where weights are not at hand, random ones stand in. The arithmetic
  of large layers is left out: no faces are found, and the little work that they cause is missing.

| card | fp32 TFLOP/s | memory GB/s | PCIe GB/s |
|---|---|---|---|
{cards}

"""


@dataclass(frozen=True)
class Card:
    """A GPU's peaks: operations, bytes of its memory, bytes to it, each per second."""

    name: str
    flops: float
    memory: float
    bus: float


CARDS = (
    Card("H100", 60e12, 3300e9, 50e9),
    Card("L4", 30e12, 300e9, 25e9),
    Card("T4", 8.1e12, 320e9, 12e9),
)


@dataclass(frozen=True)
class Cost:
    """What a batch asks of a device; ``work`` has launches, bytes, operations of each step."""

    launches: int
    waits: int
    copied: int
    work: Sequence[tuple[int, int, float]]


def projected(cost: Cost, card: Card) -> tuple[float, str]:
    """Seconds, and what bounds them."""
    spent = {"arithmetic": 0.0, "memory": 0.0, "kernels": 0.0}
    for launches, moved, flops in cost.work:
        seconds = (flops / card.flops, moved / card.memory, launches * _KERNEL)
        longest = max(range(3), key=seconds.__getitem__)
        spent[("arithmetic", "memory", "kernels")[longest]] += seconds[longest]
    spent["copies"] = cost.copied / card.bus
    device = sum(spent.values())
    host = cost.launches * _LAUNCH + cost.waits * _WAIT
    return max(device, host), "host" if host > device else max(spent, key=spent.__getitem__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--detector",
        type=names,
        default=list(DETECTORS),
        help=f"NAME[,NAME...]; default: {','.join(DETECTORS)}",
    )
    parser.add_argument("--model", type=names, default=[], help="recognition models")
    parser.add_argument("--batch", type=numbers, default=[1, 8, 32], help="default: 1,8,32")
    add_pictures(parser)
    add_made_weights(parser)
    parser.add_argument(
        "--page", type=Path, default=_PAGE, help="default: benchmarks/projection.md"
    )


def run(args: argparse.Namespace) -> int:
    """Count, compute, write the page."""
    from deepface.detection.registry import DETECTORS
    from deepface.recognition.registry import RECOGNIZERS
    from tests.standin import Standin

    rows: list[Row] = []
    with ExitStack() as stack:
        paths = stack.enter_context(pictures(args.images, args.limit or max(args.batch)))
        images = [fill(read(path), 1280, 720) for path in paths]
        stack.enter_context(stand_ins(args.detector))
        for model in args.model:
            stack.enter_context(recognition_stand_in(args.stand_ins, model))
        device = stack.enter_context(Standin())
        device.settings.skip_arithmetic = True
        # What is in a graph is one launch, whose kernels nobody would see.
        stack.enter_context(mock.patch.dict(os.environ, {"DEEPFACE_CUDA_GRAPHS": "0"}))
        for name in args.detector:
            detector: Any = DETECTORS.build(name, "cuda")
            batches = {n: (images * n)[:n] for n in args.batch}
            rows += _rows(name, detector.detect_faces, batches, device)
        for name in args.model:
            model = RECOGNIZERS.build(name, "cuda")
            width, height = model.input_shape
            faces = {n: np.zeros((n, height, width, 3), np.float32) for n in args.batch}
            rows += _rows(name, model.embed, faces, device)
    columns = {"name": "name", "batch": "batch", "counts": "launches / waits / copies"}
    columns |= {card.name: f"{card.name}, ms (bound by)" for card in CARDS}
    columns["measured"] = f"{CARDS[0].name} measured, ms"
    known = measured(_RESULTS, CARDS[0].name)
    for row in rows:
        if (row["name"], row["batch"]) in known:
            row["measured"] = f"{known[row['name'], row['batch']]:.1f}"
    cards = "\n".join(
        f"| {card.name} | {card.flops / 1e12:g} | {card.memory / 1e9:g} | {card.bus / 1e9:g} |"
        for card in CARDS
    )
    head = _HEAD.format(
        cards=cards, size="1280x720", launch=_LAUNCH * 1e6, wait=_WAIT * 1e6, kernel=_KERNEL * 1e6
    )
    args.page.write_text(head + table(rows, columns) + "\n")
    print(f"written: {args.page}")
    return 0


def measured(results: Path, card: str) -> dict[tuple[str, int], float]:
    """Milliseconds of ``detect_faces`` by detector and batch, of pictures as here: 1280x720."""
    found: dict[tuple[str, int], float] = {}
    for path in sorted(results.glob("*.json")):  # by date: the newest counts
        if path.stem.endswith("-no-graphs"):
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        if card not in machine_name(content):
            continue
        for row in content["rows"]:
            if content["benchmark"] == "detect":
                suits = content["settings"]["function"] == "detect_faces"
                suits = suits and row["sizes"] == "1280x720" and row["batch"]
            else:
                suits = content["benchmark"] == "retinaface" and row["run"] == "full"
            if suits:
                rate = row["images_per_second"]
                found[row["detector"], row["batch"]] = 1000 * row["batch"] / rate
    return found


def _rows(name: str, work: Callable[[Any], Any], batches: dict[int, Any], device: Any) -> list[Row]:
    rows: list[Row] = []
    for count, batch in batches.items():
        work(batch)  # fills caches
        device.counts.reset()
        work(batch)
        seen = device.counts
        cost = Cost(seen.launches, seen.waits, seen.up_bytes + seen.down_bytes, list(seen.work))
        row: Row = {"name": name, "batch": count}
        row["counts"] = f"{seen.launches} / {seen.waits} / {seen.up + seen.down}"
        for card in CARDS:
            seconds, bound = projected(cost, card)
            row[card.name] = f"{seconds * 1e3:.2f} ({bound})"
        rows.append(row)
        print(row, flush=True)
    return rows
