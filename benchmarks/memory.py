"""Whether peak memory depends on the number of pictures: a short list against a long one.

Every measurement has a process of its own. The files are enlarged copies of a few photographs,
listed again and again: each listing is read and decoded anew.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.arguments import add_output, add_pictures, numbers, size
from benchmarks.measure import in_fresh_process, seconds
from benchmarks.pictures import pictures, write_filled
from benchmarks.report import Report, Row
from benchmarks.worker import peak_memory_mb

HELP = "peak memory of long lists of large photographs against short ones"
COLUMNS = {
    "walk": "walk",
    "images": "images",
    "memory_mb": "peak MB",
    "more_mb": "MB more than the shortest",
    "images_per_second": "images/s",
}
#: What is run → how. The crops that ``extract_faces`` returns are the caller's: they grow with the
#: list, so the first two walks drop them, as a caller does who handles chunk after chunk.
WALKS: dict[str, dict[str, Any]] = {
    "decode and crop (skip)": {"detector_backend": "skip"},
    "detect (yunet, border=0)": {"detector_backend": "yunet", "border": 0.0},
}
#: The public function with all its results; measured on the shorter lists.
PUBLIC = "extract_faces (yunet, border=0), crops kept"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_pictures(parser)
    parser.add_argument("--size", type=size, default=(4000, 3000), help="default: 4000x3000")
    parser.add_argument("--counts", type=numbers, default=[20, 1000], help="default: 20,1000")
    parser.add_argument(
        "--public-counts",
        type=numbers,
        default=[20, 200],
        help="list lengths for extract_faces, which keeps its crops (default: 20,200)",
    )
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report("memory", settings={"size": "{}x{}".format(*args.size)})
    with (
        TemporaryDirectory(prefix="benchmarks-") as temporary,
        pictures(args.images, args.limit or 10) as originals,
    ):
        files = write_filled(originals, Path(temporary), *args.size)
        report.settings["files"] = len(set(files))
        for walk in (*WALKS, PUBLIC):
            counts = args.public_counts if walk == PUBLIC else args.counts
            rows: list[Row] = []
            for count in counts:
                paths = [str(files[i % len(files)]) for i in range(count)]
                peak, elapsed = in_fresh_process(_walk, walk, paths)
                rows.append(
                    {
                        "walk": walk,
                        "images": count,
                        "memory_mb": round(peak),
                        "more_mb": round(peak) - (rows[0]["memory_mb"] if rows else round(peak)),
                        "images_per_second": round(count / elapsed, 2),
                    }
                )
            report.rows += rows
            report.save(args.out, args.tag)
    return report.finish(args, COLUMNS)


def _walk(walk: str, paths: list[str]) -> tuple[float, float]:
    run_once = partial(_extract, paths) if walk == PUBLIC else partial(_stream, walk, paths)
    elapsed = seconds(run_once)
    return peak_memory_mb(), elapsed


def _extract(paths: list[str]) -> None:
    from deepface import DeepFace

    DeepFace.extract_faces(
        paths,
        detector_backend="yunet",
        border=0.0,
        enforce_detection=False,
        normalize_face=False,
    )


def _stream(walk: str, paths: list[str]) -> None:
    from deepface.images.batch import open_batch
    from deepface.pipeline import FacePipeline

    pipeline = FacePipeline(enforce_detection=False, **WALKS[walk])
    for seen in pipeline.walk(open_batch(paths)):
        del seen
