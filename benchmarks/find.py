"""Galleries: building and searching them, and whether the first one found is the right one.

Building and searching run against the published library. The large gallery holds random vectors:
how long a search takes does not depend on them, and neither does it on the model's weights.
"""

from __future__ import annotations

import argparse
import os
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.arguments import add_output, add_rounds, folder, names, positive
from benchmarks.measure import Spread, alternate, in_fresh_process, speed_up
from benchmarks.process import Worker
from benchmarks.report import Report, Row
from benchmarks.stand_ins import write_recognition
from benchmarks.worker import peak_memory_mb
from deepface.detection.registry import DETECTORS

HELP = "speed of building and searching a gallery, and rank-1 identification"
OURS, PUBLISHED = "ours", "published"
COLUMNS = {
    "task": "task",
    "run": "run",
    "align": "align",
    "seconds": "s (quartiles)",
    "cpu_seconds": "CPU s",
    "ours_faster": "ours × faster",
    "memory_mb": "peak MB",
    "rows": "rows",
    "rank1": "rank-1",
    "without_face": "no face",
}
#: Queries in a list, for this library.
_QUERIES = 32
#: Pictures of the gallery that a stream is looked for in, and which of the stream are broken.
_STREAM_GALLERY, _BROKEN = 300, slice(50, None, 100)
#: The model of the large gallery, whose vectors have 512 numbers.
_STAND_IN = "Facenet512"
_MOST_SIMILAR = {"similarity_search": True, "k": 10, "return_type": "dict"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--images",
        type=folder,
        required=True,
        metavar="DIR",
        help="pictures in a folder per person, as in LFW",
    )
    parser.add_argument(
        "--limit", type=positive, default=1000, metavar="N", help="pictures of the gallery built"
    )
    parser.add_argument("--model", default="Dlib", help="default: Dlib")
    parser.add_argument(
        "--detector", type=names, default=["opencv", "mtcnn"], help="default: opencv,mtcnn"
    )
    parser.add_argument(
        "--stored", type=positive, default=100_000, metavar="N", help="faces of the one searched"
    )
    parser.add_argument(
        "--probes", type=positive, default=500, metavar="N", help="pictures of the stream"
    )
    parser.add_argument(
        "--stand-ins",
        type=Path,
        metavar="FILE",
        help="reference_weights.py: also search, and build with Facenet512, with its weights",
    )
    parser.add_argument("--published", metavar="PYTHON", help="Python of its environment")
    parser.add_argument("--device", help="ours only")
    add_rounds(parser, default=3)
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    report = Report("find", settings={"model": args.model, "rounds": args.repeat})
    for detector in args.detector:
        report.rows += _identify(args, detector)
        report.save(args.out, args.tag)
        report.rows += _build(args, detector, args.model)
        report.rows += _stream(args, detector)
        report.save(args.out, args.tag)
    if args.stand_ins:
        report.note(f"{_STAND_IN}: stand-in weights")
        with TemporaryDirectory(prefix="benchmarks-") as home:
            weights = Path(home, ".deepface", "weights")
            weights.mkdir(parents=True)
            write_recognition(args.stand_ins, _STAND_IN, weights, onnx=False)
            os.environ["DEEPFACE_HOME"] = home
            report.rows += _search(args)
            report.save(args.out, args.tag)
            for detector in args.detector:
                report.rows += _build(args, detector, _STAND_IN)
                report.save(args.out, args.tag)
    return report.finish(args, COLUMNS)


def _identify(args: argparse.Namespace, detector: str) -> list[Row]:
    """Each picture of somebody with several, looked for among all the others."""
    has_landmarks = DETECTORS.entry(detector).load().landmarks == 5
    rows = []
    with TemporaryDirectory(prefix="benchmarks-") as gallery:
        paths = _link(args.images, Path(gallery))
        people: dict[Path, list[str]] = {}
        for path in paths:
            people.setdefault(Path(path).parent, []).append(path)
        probes = [path for some in people.values() if len(some) > 1 for path in some]
        task = f"{detector}, {args.model}: who is it, {len(probes)} times among {len(people)}"
        for align in (True, "landmarks") if has_landmarks else (True,):
            rank1, without_face = _rank1(args, detector, align, probes, gallery)
            row: Row = {"task": task, "run": OURS, "align": str(align), "rank1": rank1}
            rows.append(row | {"without_face": without_face})
    return rows


def _rank1(
    args: argparse.Namespace, detector: str, align: Any, probes: list[str], gallery: str
) -> tuple[float, int]:
    """The fraction of probes whose closest face is the same person's, and those without a face."""
    from deepface import DeepFace

    results = DeepFace.find(
        probes,
        gallery,
        model_name=args.model,
        detector_backend=detector,
        enforce_detection="empty",
        align=align,
        similarity_search=True,
        k=20,  # the picture itself is among them, with all its faces
        return_type="dict",
        silent=True,
        device=args.device,
    )
    right = without_face = 0
    for probe, tables in zip(probes, results, strict=True):
        if not tables:
            without_face += 1
            continue
        rows = max(tables, key=lambda rows: rows[0]["source_w"] * rows[0]["source_h"])
        first = next(row["identity"] for row in rows if row["identity"] != probe)
        right += Path(first).parent == Path(probe).parent
    return round(right / len(probes), 4), without_face


def _build(args: argparse.Namespace, detector: str, model: str) -> list[Row]:
    """From nothing to a gallery on disk, with one query at the end."""
    with (
        TemporaryDirectory(prefix="benchmarks-") as temporary,
        Worker(None, args.device) as ours,
        Worker(args.published) as published,
    ):
        folder = Path(temporary)
        workers = {OURS: ours, **({PUBLISHED: published} if args.published else {})}
        _link(args.images, folder / "tiny", 2)
        for name, worker in workers.items():
            query = _link(args.images, folder / name, args.limit)[0]
            for db_path, warmup in ((folder / "tiny", 1), (folder / name, 0)):
                arguments = {
                    "model_name": model,
                    "db_path": str(db_path),
                    "enforce_detection": False,
                    **_MOST_SIMILAR,
                }
                _prepare(worker, detector, [query], arguments, warmup)

        def build(name: str) -> Row:
            for file in (folder / name).glob("ds_*"):
                file.unlink()
            return workers[name].ask("run")

        answers = alternate({name: partial(build, name) for name in workers}, args.repeat)
        return _rows(f"{detector}, {model}: build, {args.limit} pictures", answers, workers)


def _stream(args: argparse.Namespace, detector: str) -> list[Row]:
    """Many pictures in one stream, a hundredth of them broken; for ours only."""
    with TemporaryDirectory(prefix="benchmarks-") as temporary:
        folder = Path(temporary)
        _link(args.images, folder / "gallery", _STREAM_GALLERY)
        probes = _link(args.images, folder / "probes", args.probes)
        for probe in probes[_BROKEN]:
            Path(probe).unlink()
            Path(probe).write_bytes(b"broken")
        answers = in_fresh_process(
            _streamed, probes, str(folder / "gallery"), detector, args.model, args.device,
            args.repeat,
        )  # fmt: skip
    memory = max(answer["memory_mb"] for answer in answers)
    task = f"{detector}, {args.model}: {args.probes} in a stream among {_STREAM_GALLERY}"
    return [row | {"memory_mb": memory} for row in _rows(task, {OURS: answers}, {})]


def _streamed(
    probes: list[str], gallery: str, detector: str, model: str, device: str | None, rounds: int
) -> list[Row]:
    """Each round's time and rows; the gallery is opened, and the models are warm, before."""
    from deepface.pipeline import FacePipeline, GallerySearch, Query

    pipeline = FacePipeline(detector, model, enforce_detection="empty", device=device)
    search = GallerySearch(pipeline, gallery, Query(return_type="dict"), silent=True)
    answers = []
    for _ in range(rounds):
        start, cpu_start = time.perf_counter(), time.process_time()
        rows = sum(
            len(table)
            for found in search.stream(probes, on_error="yield")
            for table in found.matches
        )
        answers.append(
            {
                "seconds": time.perf_counter() - start,
                "cpu_seconds": time.process_time() - cpu_start,
                "memory_mb": round(peak_memory_mb()),
                "faces": rows,
            }
        )
    return answers


def _search(args: argparse.Namespace) -> list[Row]:
    """One query at a time among random vectors; in ours also a list of queries."""
    with (
        TemporaryDirectory(prefix="benchmarks-") as temporary,
        Worker(None, args.device) as ours,
        Worker(args.published) as published,
    ):
        folder = Path(temporary)
        workers = {OURS: ours, **({PUBLISHED: published} if args.published else {})}
        _write_random(folder / "few", 2)
        _write_random(folder / "many", args.stored)
        query = _link(args.images, folder / "query", 1)
        first = {}
        for name, worker in workers.items():
            for size, warmup in (("few", 1), ("many", 0)):
                arguments = {
                    "model_name": _STAND_IN,
                    "db_path": str(folder / size),
                    "refresh_database": False,
                    **_MOST_SIMILAR,
                }
                _prepare(worker, "skip", query, arguments, warmup)
            first[name] = [worker.ask("run")]
        what = f"among {args.stored} x 512"
        rows = _rows(f"first query {what}", first, {})
        rounds = max(5, args.repeat)
        runs = {name: partial(worker.ask, "run") for name, worker in workers.items()}
        rows += _rows(f"query {what}", alternate(runs, rounds), workers)
        _prepare(ours, "skip", query * _QUERIES, arguments, 0, _QUERIES)
        answers = alternate({OURS: partial(ours.ask, "run")}, rounds)
        return rows + _rows(f"{_QUERIES} queries in a list {what}", answers, {})


def _prepare(
    worker: Worker,
    detector: str,
    paths: list[str],
    arguments: dict[str, Any],
    warmup: int,
    batch: int | None = None,
) -> None:
    worker.ask(
        "prepare",
        function="find",
        detector=detector,
        paths=paths,
        batch=batch,
        arguments=arguments,
        warmup=warmup,
    )


def _rows(task: str, answers: dict[str, list[Row]], workers: dict[str, Worker]) -> list[Row]:
    rows = []
    for name, given in answers.items():
        row: Row = {"task": task, "run": name}
        for column in ("seconds", "cpu_seconds"):
            row |= Spread.of([answer[column] for answer in given]).columns(column, 4)
        if name == PUBLISHED:
            theirs, ours = ([answer["seconds"] for answer in answers[key]] for key in (name, OURS))
            row |= speed_up(theirs, ours).columns("ours_faster")
        if name in workers:
            row["memory_mb"] = round(workers[name].ask("peak")["memory_mb"])
        rows.append(row | {"rows": given[-1]["faces"]})
    return rows


def _link(source: Path, folder: Path, count: int | None = None) -> list[str]:
    """Links to the pictures of a folder, its own folders kept; some again where it has too few."""
    from deepface.images.files import list_images

    found = list_images(source)
    count = len(found) if count is None else count
    links = []
    for number in range(count):
        original = Path(found[number % len(found)])
        again = f"{number // len(found)}-" if number >= len(found) else ""
        link = folder / original.relative_to(source).with_name(again + original.name)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(original.resolve())
        links.append(str(link))
    return links


def _write_random(folder: Path, count: int) -> None:
    """A datastore that both libraries read, without the pictures."""
    from deepface.pipeline import FacePipeline
    from deepface.pipeline.open_gallery import datastore_name
    from deepface.search.folder import Datastore, Gallery

    folder.mkdir()
    generator = np.random.default_rng(0)
    gallery = Gallery(
        identity=np.array([f"{folder}/{number:08}.jpg" for number in range(count)]),
        hash=np.array([f"{number:040x}" for number in range(count)]),
        area=generator.integers(1, 200, (count, 4)),
        embedding=generator.standard_normal((count, 512), dtype=np.float32),
        has_embedding=np.ones(count, bool),
    )
    name = datastore_name(FacePipeline("skip", _STAND_IN))
    Datastore(str(folder), name, "npz", 512).save(gallery)
