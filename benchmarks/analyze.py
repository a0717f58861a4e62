"""Age, gender, emotion and race: milliseconds per picture, and the published library.

The weights are those of the weights folder: the published ``.pth`` files, or any others of their
layout, because networks take as long with one as with the other. Both libraries read the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from benchmarks.arguments import add_output, add_rounds, names, numbers, positive
from benchmarks.measure import Spread, alternate, speed_up
from benchmarks.pictures import read
from benchmarks.process import Worker, WorkerError
from benchmarks.report import Report, Row
from deepface.types import Image

HELP = "speed of analyze, one by one and in batches, against the published library"
COLUMNS = {
    "faces_per_picture": "faces/picture",
    "run": "run",
    "pictures": "pictures",
    "ms": "ms/picture (quartiles)",
    "cpu_ms": "CPU ms/picture",
    "memory_mb": "peak MB",
    "device_memory_mb": "GPU MB",
    "to_loop": "× one by one",
    "to_published": "× published",
    "faces": "faces",
}
LOOP = "one by one"
PUBLISHED = "published"
#: Pictures are grids of so many portraits across and down.
_GRID = (4, 2)
_TILE = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--faces", type=numbers, default=[1, 8], help="per picture (default: 1,8)")
    parser.add_argument("--batch", type=numbers, default=[32], help="default: 32")
    parser.add_argument(
        "--loop-pictures",
        type=positive,
        default=4,
        metavar="N",
        help="pictures per round of the loops, whose time per picture does not depend on it",
    )
    parser.add_argument(
        "--actions", type=names, default=["emotion", "age", "gender", "race"], help="default: all"
    )
    parser.add_argument("--detector", default="opencv", help="default: opencv")
    parser.add_argument("--device", help="ours only")
    parser.add_argument("--published", metavar="PYTHON", help="Python of its environment")
    add_rounds(parser, default=3)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report(
        "analyze",
        settings={
            "actions": args.actions,
            "detector": args.detector,
            "device": args.device,
            "rounds": args.repeat,
        },
    )
    for faces in args.faces:
        if faces > _GRID[0] * _GRID[1]:
            raise SystemExit(f"a picture has room for {_GRID[0] * _GRID[1]} faces, not {faces}")
        with TemporaryDirectory(prefix="benchmarks-") as folder:
            paths = []
            for number, picture in enumerate(draw_faces(max(args.batch), faces)):
                paths.append(str(Path(folder, f"{number:04}.png")))
                cv2.imwrite(paths[-1], picture)
            rows = _measure(args, paths, report)
        report.rows += [{"faces_per_picture": faces} | row for row in rows]
        report.save(args.out, args.tag)
    return report.finish(args, COLUMNS)


def draw_faces(count: int, faces: int) -> Iterator[Image]:
    """Pictures of 1024×512 with ``faces`` portraits each, every second one mirrored."""
    tile = _portrait()
    for number in range(count):
        picture = np.full((_GRID[1] * _TILE, _GRID[0] * _TILE, 3), 100 + number % 50, np.uint8)
        for place in range(faces):
            row, column = divmod(place, _GRID[0])
            face = tile[:, ::-1] if (number + place) % 2 else tile
            top, left = row * _TILE, column * _TILE
            picture[top : top + _TILE, left : left + _TILE] = face
        yield picture


def _portrait() -> Image:
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("needs the portrait of scikit-image: pip install scikit-image")
    return read(Path(spec.origin).parent / "data" / "astronaut.png")[:_TILE, 96 : 96 + _TILE]


def _measure(args: argparse.Namespace, paths: list[str], report: Report) -> list[Row]:
    batches: dict[str, int | None] = {LOOP: None}
    batches |= {f"batch {size}": size for size in args.batch}
    if args.published:
        batches[PUBLISHED] = None
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for name, batch in batches.items():
            python = args.published if name == PUBLISHED else None
            workers[name] = stack.enter_context(Worker(python, args.device))
            workers[name].send(
                "prepare",
                function="analyze",
                detector=args.detector,
                paths=_chosen(paths, batch, args.loop_pictures),
                batch=batch,
                arguments={"actions": args.actions, "silent": True},
                warmup=1,
            )
        for name in batches:
            try:
                workers[name].answer()
            except WorkerError as error:
                if name != PUBLISHED:
                    raise
                report.note(f"no figures of the published library: {error}")
                del workers[name]
        answers = alternate(
            {name: partial(worker.ask, "run") for name, worker in workers.items()}, args.repeat
        )
        peaks = {name: worker.ask("peak") for name, worker in workers.items()}
    counts = {name: len(_chosen(paths, batches[name], args.loop_pictures)) for name in workers}
    return [_row(name, counts, answers, peaks[name]) for name in workers]


def _chosen(paths: list[str], batch: int | None, loop_pictures: int) -> list[str]:
    return paths[: batch or loop_pictures]


def _row(
    name: str,
    counts: dict[str, int],
    answers: dict[str, list[dict[str, Any]]],
    peak: dict[str, float | None],
) -> Row:
    def each(key: str, run: str) -> list[float]:
        return [1000 * answer[key] / counts[run] for answer in answers[run]]

    row: Row = {"run": name, "pictures": counts[name]}
    row |= Spread.of(each("seconds", name)).columns("ms", 1)
    row |= Spread.of(each("cpu_seconds", name)).columns("cpu_ms", 1)
    row |= {key: None if mb is None else round(mb) for key, mb in peak.items()}
    for other, column in ((LOOP, "to_loop"), (PUBLISHED, "to_published")):
        if other in answers and other != name:
            row |= speed_up(each("seconds", other), each("seconds", name)).columns(column)
    return row | {"faces": answers[name][-1]["faces"]}
