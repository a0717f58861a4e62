"""One page of all results, with plots: runs what this machine can run, and writes it anew.

Without ``--no-run`` the suites below run first, each in a process of its own; one that fails is
named on the page. The page shows the newest figures of each kind, from whatever machine: those of a
GPU stand beside those of a processor.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import (
    analyze,
    border,
    decode,
    detect,
    differences,
    find,
    haar,
    imports,
    index,
    lfw,
    memory,
    pipeline,
    plots,
    precision,
    profiling,
    represent,
    retinaface,
    soak,
)
from benchmarks.arguments import add_pictures, names, positive
from benchmarks.report import RESULTS, Row, table, validate

HELP = "run the suites that this machine can run, and write one page with tables and plots"
PAGE = "README.md"
#: Ends of the names of results that only stand beside others: of what was before, or without.
COMPARISONS = ("-before", "-first", "-no-graphs")


@dataclass(frozen=True)
class Section:
    """A part of the page: the rows of one benchmark.

    Attributes:
        title: its heading.
        benchmark: the command that measured it.
        columns: as in the command's own table.
        kinds: columns whose values tell kinds of rows apart; the newest result that has a kind
            shows it.
        text: what a reader must know.
        plot: draws the rows into a file.
        keep: which rows are shown in the table.
    """

    title: str
    benchmark: str
    columns: dict[str, str]
    kinds: tuple[str, ...] = ()
    text: str = ""
    plot: Callable[[Sequence[Row], Path], None] | None = None
    keep: Callable[[Row], bool] = lambda row: True


SECTIONS = (
    Section(
        "End to end: files in, vectors out",
        "pipeline",
        pipeline.COLUMNS,
        ("detector", "model"),
        "The stream against the published library's loop over `represent`. *In networks*: share of "
        "wall time in the detector and the recognition network.",
        plots.end_to_end,
    ),
    Section(
        "Detection: throughput against batch size",
        "detect",
        {"function": "function", **detect.COLUMNS},
        ("detector", "sizes", "function"),
        "*× loop*: against the same detector one by one; *× published*: against the published "
        "library's loop on the same files. Random weights find no faces: only their timing counts.",
        plots.detection,
    ),
    Section(
        "RetinaFace: the stride-8 level and the four speed-ups",
        "retinaface",
        retinaface.COLUMNS,
        ("detector",),
        "Pictures of 1280x720. The gain is that over the full network at the same batch.",
        plots.retinaface,
    ),
    Section(
        "Recognition: milliseconds per face",
        "represent",
        represent.COLUMNS,
        ("model", "threads", "batch"),
        "Networks on random faces, against the published library's engines.",
        plots.recognition,
    ),
    Section("Attributes", "analyze", analyze.COLUMNS, ("faces_per_picture",)),
    Section(
        "Galleries",
        "find",
        find.COLUMNS,
        ("task",),
        "Building a gallery, searching a large one, rank-1 identification on LFW people.",
    ),
    Section("Search by an index", "index", index.COLUMNS, ("database",)),
    Section(
        "The Haar cascade in PyTorch",
        "haar",
        haar.COLUMNS,
        (),
        "Against OpenCV one by one and in threads. It is made for a GPU.",
    ),
    Section(
        "JPEG files decoded on the device",
        "decode",
        decode.COLUMNS,
        (),
        '`decode="device"` against `decode="cpu"`. On a CPU both decode with the same library: '
        "the row shows that results are the same, and what the detour costs there.",
    ),
    Section("A long run", "soak", soak.COLUMNS, (), "", plots.memory, lambda row: "images" in row),
    Section("Memory against the number of pictures", "memory", memory.COLUMNS),
    Section(
        "Batch against single pictures",
        "differences",
        differences.COLUMNS,
        (),
        "A batch is a speed-up, never a different answer: all of it should be 0, vectors within "
        "1e-5.",
    ),
    Section("What the black border costs", "border", border.COLUMNS, ("detector",)),
    Section("Verification on LFW pairs", "lfw", lfw.COLUMNS, ("detector", "model")),
    Section("Import", "import", imports.COLUMNS),
    Section("Share of the networks in the device's time", "profile", profiling.COLUMNS),
    Section(
        "What lower precision does to boxes",
        "precision",
        precision.COLUMNS,
        ("detector", "precision"),
        "Against float32 on the same machine.",
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--no-run", action="store_true", help="only write the page")
    parser.add_argument("--only", type=names, help="suites to run: NAME[,NAME...]")
    add_pictures(parser)
    parser.add_argument("--published", metavar="PYTHON", help="Python of its environment")
    parser.add_argument(
        "--stand-ins", type=Path, metavar="FILE", help="reference_weights.py (recognition models)"
    )
    parser.add_argument("--minutes", type=positive, default=20, help="limit per suite (default 20)")
    parser.add_argument("--device")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--tag", help="end of the result files' names, e.g. gpu")


def run(args: argparse.Namespace) -> int:
    """Run the suites, write the page; exit code 1 when a suite failed."""
    failed = [] if args.no_run else _run_suites(args)
    documents = read_documents(args.out)
    if not documents:
        print(f"there are no results in {args.out}", file=sys.stderr)
        return 1
    path = write_page(documents, args.out, failed)
    print(f"written: {path}")
    return 1 if failed else 0


def suites(args: argparse.Namespace) -> dict[str, list[str]]:
    """What runs, and with which options."""
    images = ["--images", str(args.images)] if args.images else []
    limit = str(args.limit or 32)
    published = ["--published", args.published] if args.published else []
    made = ["--stand-ins", str(args.stand_ins)] if args.stand_ins else []
    device = ["--device", args.device] if args.device else []
    detectors = "opencv,ssd,mtcnn,fastmtcnn,dlib,yunet,yolov8n,yolov11n,retinaface-mobilenet0.25"
    found = {
        "import": [],
        "differences": [*images, "--limit", "12", *made, *device],
        "decode": ["--limit", limit, *images, *made, *device],
        "detect": [
            *("--detector", detectors, "--batch", "1,8,20,32", "--sizes", "mixed,equal"),
            *("--repeat", "3", "--stand-ins", "--limit", limit, *images, *published, *device),
        ],
        "retinaface": ["--repeat", "3", "--limit", limit, *images, *device],
        "represent": ["--repeat", "3", *made, *published, *device],
        "pipeline": [*images, "--limit", "128", "--published-limit", "32", *made, *published],
        "memory": ["--counts", "20,200", "--public-counts", "20,100", *images],
        "soak": ["--count", "5000", *images, "--limit", limit],
    }
    return {name: found[name] for name in found if not args.only or name in args.only}


def _run_suites(args: argparse.Namespace) -> list[str]:
    failed = []
    for name, options in suites(args).items():
        command = [sys.executable, "-m", "benchmarks", name, *options, "--out", str(args.out)]
        if args.tag:
            command += ["--tag", args.tag]
        start = time.monotonic()
        print(f"== {name}", flush=True)
        try:
            code: int | str = subprocess.run(
                command, timeout=60 * args.minutes, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = f"no end after {args.minutes} minutes"
        print(f"== {name}: {time.monotonic() - start:.0f} s", flush=True)
        if code:
            failed.append(f"{name} ({code})")
    return failed


def read_documents(folder: Path) -> list[Row]:
    """The results in a folder, newest first, without comparisons."""
    found = []
    for path in folder.glob("*.json"):
        if path.stem.endswith(COMPARISONS):
            continue
        document = json.loads(path.read_text())
        validate(document)
        found.append(document)
    return sorted(found, key=lambda document: str(document["date"]), reverse=True)


def machine_name(document: Row) -> str:
    """A machine in a few words: its GPU, or its processor."""
    machine = document["machine"]
    device = str((document["settings"] or {}).get("device") or "")
    if machine["gpu"] and not device.startswith("cpu"):
        return str(machine["gpu"]).split(",")[0]
    threads = machine.get("omp_num_threads")
    name = f"{machine['cpu']}, {machine['cores']} cores"
    return f"{name}, {threads} thread(s)" if threads else name


def newest_rows(documents: Sequence[Row], section: Section) -> list[Row]:
    """A section's rows: of each machine and kind those of the newest result that has it."""
    taken: dict[tuple[Any, ...], int] = {}
    rows = []
    for number, document in enumerate(documents):
        if document["benchmark"] != section.benchmark:
            continue
        settings = {k: v for k, v in document["settings"].items() if isinstance(v, str)}
        for row in document["rows"]:
            full = settings | row
            kind = (machine_name(document), *(full.get(key) for key in section.kinds))
            if taken.setdefault(kind, number) == number:
                rows.append(full | {"machine": kind[0], "date": document["date"][:10]})
    return rows


def losses(rows: Sequence[Row]) -> list[Row]:
    """Rows in which something of ours is slower than what it is compared with."""
    found = []
    for row in rows:
        for key, other in (
            ("to_published", "published"),
            ("to_loop", "one by one"),
            ("ours_faster", str(row.get("run"))),
        ):
            if isinstance(row.get(key), float) and row[key] < 1 and row.get("run") != "published":
                found.append(row | {"against": other, "ratio": row[key]})
    return found


def write_page(documents: Sequence[Row], folder: Path, failed: Sequence[str] = ()) -> Path:
    """The page and its plots; gives the page's path."""
    parts = [
        "# Results",
        "Written by `python -m benchmarks report` from the files beside it; how it is measured is "
        "said in [benchmarks/README.md](../README.md). Each row is the newest measurement of its "
        "kind. Machines differ, and so do days: compare rows of one machine and one date.",
    ]
    if failed:
        parts.append(f"Suites that failed in the last run: {', '.join(failed)}.")
    slower: list[Row] = []
    for section in SECTIONS:
        rows = newest_rows(documents, section)
        if not rows:
            continue
        slower += [row | {"what": section.benchmark} for row in losses(rows)]
        parts.append(f"## {section.title}")
        if section.text:
            parts.append(section.text)
        if section.plot is not None:
            picture = folder / "plots" / f"{section.benchmark}.png"
            picture.parent.mkdir(exist_ok=True)
            section.plot(rows, picture)
            if picture.exists():
                parts.append(f"![{section.title}](plots/{picture.name})")
        shown = [row for row in rows if section.keep(row)]
        parts.append(table(shown, section.columns | {"machine": "machine", "date": "date"}))
    parts.append("## Where we are slower")
    columns = {
        "what": "benchmark", "detector": "detector", "model": "model", "sizes": "sizes",
        "batch": "batch", "run": "run", "against": "against", "ratio": "times as fast",
        "machine": "machine", "date": "date",
    }  # fmt: skip
    parts.append(table(slower, columns) if slower else "Nowhere in these results.")
    path = folder / PAGE
    path.write_text("\n\n".join(parts) + "\n")
    return path
