"""Approximate search: recall, time, memory; and search in a database.

The vectors are made, not photographed: people are random points on the unit sphere, the faces of a
person lie around his point, ten each. ``--cosine`` is how alike two of them are on average;
strangers have a cosine of about 0. Queries are further faces of people who are in the index.
Recall is the share of the ten nearest vectors (by brute force) that are among the ten found.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import add_output, positive
from benchmarks.measure import Spread, in_fresh_process
from benchmarks.report import Report, Row

HELP = "approximate nearest neighbours: recall, build time, memory, query time"
COLUMNS = {
    "what": "what",
    "vectors": "vectors",
    "dimensions": "dimensions",
    "seconds": "s",
    "cpu_seconds": "CPU s",
    "memory_mb": "MB in memory",
    "stored_mb": "MB stored",
    "recall_at_10": "recall@10",
    "recall_at_1": "recall@1",
    "ms": "ms/query (quartiles)",
}
_PEOPLE = 1000  # per chunk, with ten faces each
_CHUNK = 10 * _PEOPLE
_K = 10

Matrix = NDArray[np.float32]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--vectors", type=positive, default=1_000_000, metavar="N")
    parser.add_argument("--dimensions", type=positive, default=512, metavar="D")
    parser.add_argument(
        "--stored", type=positive, default=100_000, metavar="N", help="faces in the database"
    )
    parser.add_argument(
        "--database",
        metavar="TYPE",
        help="measure only this database_type, or the package lancedb, for which there is none "
        "(default: the index alone, then sqlite)",
    )
    parser.add_argument(
        "--details",
        metavar="ADDRESS",
        help="of an empty database of that type, or of one that an earlier run has filled; or a "
        "dict, as JSON",
    )
    parser.add_argument("--queries", type=positive, default=200, metavar="N", help="at most 200")
    parser.add_argument(
        "--cosine", type=float, default=0.6, help="mean cosine of one person's faces (default 0.6)"
    )
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, save."""
    keys = ("vectors", "dimensions", "stored", "queries", "cosine", "database")
    settings = {key: getattr(args, key) for key in keys}
    report = Report("index", settings=settings)
    report.note("vectors are made: clusters of ten on the unit sphere, as faces of people")
    if args.database is None:
        report.rows += in_fresh_process(_index, settings)
        report.save(args.out, args.tag)
    measured = _database
    if args.database == "lancedb":
        measured = _lancedb
        report.note(f"lancedb {version('lancedb')}")
    report.rows += in_fresh_process(measured, {**settings, "details": args.details})
    return report.finish(args, COLUMNS)


class Crowd:
    """Faces of people, made chunk by chunk, the same each time."""

    def __init__(self, count: int, dimensions: int, cosine: float) -> None:
        self.count = count
        self.dimensions = dimensions
        # A point of length 1 plus noise of length r: cosine of two such is 1 / (1 + r^2).
        self._spread = (1 / cosine - 1) ** 0.5 / dimensions**0.5

    def chunks(self) -> Iterator[tuple[NDArray[np.int64], Matrix]]:
        """Ids and vectors of length 1, in random order within a chunk."""
        for number, start in enumerate(range(0, self.count, _CHUNK)):
            rng = np.random.default_rng((1, number))
            points = self._points(number)
            size = min(_CHUNK, self.count - start)
            people = rng.permutation(np.repeat(np.arange(_PEOPLE), 10))[:size]
            ids = np.arange(start, start + size, dtype=np.int64)
            yield ids, self._around(points[people], rng)

    def queries(self, count: int) -> Matrix:
        """New faces of people who are there."""
        rng = np.random.default_rng(2)
        chunks = rng.integers(0, -(-self.count // _CHUNK), count)
        points = [self._points(int(chunk))[rng.integers(_PEOPLE)] for chunk in chunks]
        return self._around(np.array(points), rng)

    def _points(self, number: int) -> Matrix:
        rng = np.random.default_rng((0, number))
        return _unit(rng.standard_normal((_PEOPLE, self.dimensions), dtype=np.float32))

    def _around(self, points: Matrix, rng: np.random.Generator) -> Matrix:
        noise = rng.standard_normal(points.shape, dtype=np.float32)
        return _unit(points + np.float32(self._spread) * noise)


def _unit(vectors: Matrix) -> Matrix:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # type: ignore[no-any-return]


def _nearest(crowd: Crowd, queries: Matrix) -> tuple[NDArray[np.int64], float]:
    """Ids of the ten nearest ``(m, 10)`` by brute force, and seconds of the work per query."""
    best = np.full((len(queries), _K), -np.inf, np.float32)
    names = np.full((len(queries), _K), -1, np.int64)
    seconds = 0.0
    for ids, vectors in crowd.chunks():
        start = time.perf_counter()
        for row, query in enumerate(queries):
            cosines = np.concatenate([best[row], vectors @ query])
            known = np.concatenate([names[row], ids])
            order = np.argpartition(-cosines, _K - 1)[:_K]
            order = order[np.argsort(-cosines[order])]
            best[row], names[row] = cosines[order], known[order]
        seconds += time.perf_counter() - start
    return names, seconds / len(queries)


def _index(settings: Row) -> list[Row]:
    """The index alone."""
    import psutil

    from deepface.search.index import NeighbourIndex

    memory = psutil.Process().memory_info
    crowd = Crowd(settings["vectors"], settings["dimensions"], settings["cosine"])
    queries = crowd.queries(settings["queries"])
    size = {"vectors": crowd.count, "dimensions": crowd.dimensions}
    next(crowd.chunks())  # what making vectors takes is there before
    NeighbourIndex.empty(1)  # what importing takes, too
    before, made = memory().rss, 0.0
    start, cpu = time.perf_counter(), time.process_time()
    index = NeighbourIndex.empty(crowd.dimensions)
    chunks = crowd.chunks()
    while True:
        making = time.process_time()
        chunk = next(chunks, None)
        made += time.process_time() - making
        if chunk is None:
            break
        index.add(*chunk)
    seconds = time.perf_counter() - start - made
    rows: list[Row] = [
        {
            "what": "index: build",
            **size,
            "seconds": round(seconds, 1),
            "cpu_seconds": round(time.process_time() - cpu - made, 1),
            "memory_mb": round((memory().rss - before) / 1e6),
        }
    ]
    written: list[int] = []
    start = time.perf_counter()
    index.write(lambda part: written.append(len(part)))
    rows.append(
        {
            "what": "index: write",
            **size,
            "seconds": round(time.perf_counter() - start, 1),
            "stored_mb": round(sum(written) / 1e6),
        }
    )
    exact, brute = _nearest(crowd, queries)

    def search(number: int) -> tuple[float, list[int]]:
        start = time.perf_counter()
        found = index.search(queries[number][None], _K)[0]
        return 1000 * (time.perf_counter() - start), found

    rows.append({"what": "index: one query", **size, **_asked(search, exact)})
    start = time.perf_counter()
    index.search(queries, _K)
    together = 1000 * (time.perf_counter() - start) / len(queries)
    rows.append({"what": f"index: {len(queries)} queries at once", **size, "ms": together})
    rows.append({"what": "brute force in memory, one query", **size, "ms": 1000 * brute})
    return rows


def _database(settings: Row) -> list[Row]:
    """``search`` of the public door, in a database; in a file where nothing else is said."""
    import psutil

    from deepface import DeepFace
    from deepface.runtime.models import cached_models
    from deepface.search.database.base import Criteria, Record
    from deepface.search.database.registry import open_database

    crowd = Crowd(settings["stored"], settings["dimensions"], settings["cosine"])
    size = {"vectors": crowd.count, "dimensions": crowd.dimensions}
    queries = crowd.queries(min(settings["queries"], 50))
    cached_models.setdefault("facial_recognition", {})["Facenet512"] = _scripted(queries)
    kind, name = settings["database"] or "sqlite", settings["database"] or "database"
    rows: list[Row] = []
    nearest, _ = _nearest(crowd, queries)
    memory = psutil.Process().memory_info
    before = memory().rss

    def timed(what: str, seconds: float) -> None:
        row = {"what": f"{name}: {what}", **size, "seconds": round(seconds, 1)}
        if Path(str(details)).exists():
            row["stored_mb"] = round(Path(details).stat().st_size / 1e6)
        rows.append(row)

    with TemporaryDirectory(prefix="benchmarks-") as folder:
        details = settings["details"] or str(Path(folder, "faces.db"))
        details = json.loads(details) if details.startswith("{") else details
        criteria = Criteria("Facenet512", "skip", aligned=True, l2_normalized=False)
        seconds, number = 0.0, 0
        with open_database(kind, details) as database:
            is_full = database.dimensions(criteria) is not None
            for ids, vectors in () if is_full else crowd.chunks():
                records = [
                    Record(str(id_), np.full((1, 1, 3), id_, np.float32), vector.astype(np.float64))
                    for id_, vector in zip(ids, vectors, strict=True)
                ]
                start = time.perf_counter()
                for number in range(0, len(records), 100):
                    database.insert(criteria, records[number : number + 100])
                seconds += time.perf_counter() - start
        if not is_full:
            timed("insert", seconds)
        where: dict[str, Any] = {"database_type": kind, "connection_details": details}
        start = time.perf_counter()
        DeepFace.build_index("Facenet512", "skip", **where)
        timed("build_index", time.perf_counter() - start)

        def search(number: int, method: str) -> tuple[float, list[int]]:
            start = time.perf_counter()
            (found,) = DeepFace.search(
                np.full((8, 8, 3), _FIRST + number, np.uint8),
                "Facenet512",
                "skip",
                distance_metric="euclidean",
                similarity_search=True,
                k=_K,
                search_method=method,
                return_type="dict",
                **where,
            )
            ms = 1000 * (time.perf_counter() - start)
            return ms, [int(row["img_name"]) for row in found]

        first, _ = search(0, "ann")
        rows.append({"what": f"{name}: first ann search (reads the index)", **size, "ms": first})
        for method, count in (("ann", len(queries)), ("exact", min(3, len(queries)))):
            row: Row = {"what": f"{name}: {method} search", **size}
            row |= _asked(partial(search, method=method), nearest[:count])
            rows.append(row | {"memory_mb": round((memory().rss - before) / 1e6)})
    return rows


def _asked(search: Callable[[int], tuple[float, list[int]]], nearest: NDArray[np.int64]) -> Row:
    """How long queries take, and how many of the nearest they find."""
    times, found = zip(*(search(number) for number in range(len(nearest))), strict=True)
    hits = [len(set(own) & set(row.tolist())) for own, row in zip(found, nearest, strict=True)]
    first = [own[0] == row[0] for own, row in zip(found, nearest, strict=True)]
    return {
        "recall_at_10": round(sum(hits) / nearest.size, 4),
        "recall_at_1": round(sum(first) / len(nearest), 4),
        **Spread.of(times).columns("ms"),
    }


def _lancedb(settings: Row) -> list[Row]:
    """The same faces in another embedded engine, for which there is no adapter."""
    import psutil

    lancedb, arrow = import_module("lancedb"), import_module("pyarrow")
    crowd = Crowd(settings["stored"], settings["dimensions"], settings["cosine"])
    size = {"vectors": crowd.count, "dimensions": crowd.dimensions}
    queries = crowd.queries(settings["queries"])
    nearest, _ = _nearest(crowd, queries)
    memory = psutil.Process().memory_info
    before, seconds = memory().rss, 0.0
    vectors = arrow.list_(arrow.float32(), crowd.dimensions)
    schema = arrow.schema([("id", arrow.int64()), ("vector", vectors)])
    rows: list[Row] = []
    with TemporaryDirectory(prefix="benchmarks-") as folder:
        faces = lancedb.connect(folder).create_table("faces", schema=schema)

        def timed(what: str, seconds: float) -> None:
            stored = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
            row = {"what": f"lancedb: {what}", **size, "seconds": round(seconds, 1)}
            row |= {"stored_mb": round(stored / 1e6)}
            rows.append(row | {"memory_mb": round((memory().rss - before) / 1e6)})

        for ids, chunk in crowd.chunks():
            start = time.perf_counter()
            made = arrow.FixedSizeListArray.from_arrays(chunk.ravel(), type=vectors)
            faces.add(arrow.table([arrow.array(ids), made], schema=schema))
            seconds += time.perf_counter() - start
        timed("insert", seconds)
        start = time.perf_counter()
        faces.create_index(metric="l2")
        timed("build_index (IVF_PQ)", time.perf_counter() - start)

        def search(number: int, probes: int) -> tuple[float, list[int]]:
            start = time.perf_counter()
            asked = faces.search(queries[number]).nprobes(probes).refine_factor(30).limit(_K)
            found = asked.to_arrow()["id"].to_pylist()
            return 1000 * (time.perf_counter() - start), found

        for probes in (50, 200):
            what = f"lancedb: ann search, nprobes={probes}, refine_factor=30"
            row: Row = {"what": what, **size}
            row |= _asked(partial(search, probes=probes), nearest)
            rows.append(row | {"memory_mb": round((memory().rss - before) / 1e6)})
    return rows


#: Grey value of the picture of the first query.
_FIRST = 10


def _scripted(queries: Matrix) -> Any:
    """A recognition model that knows a grey picture's vector by its grey."""
    from deepface.recognition.model import FacialRecognition

    class Scripted(FacialRecognition):
        model_name = "Facenet512"
        input_shape = (8, 8)
        output_shape = queries.shape[1]
        model = None

        def embed(self, batch: NDArray[np.float32]) -> NDArray[Any]:
            greys = np.rint(batch.mean(axis=(1, 2, 3)) * 255).astype(int)
            found: Matrix = queries[greys - _FIRST]
            return found

    return Scripted()
