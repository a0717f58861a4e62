"""``find`` on real people: the matches of a loop over ``verify``, and who comes first."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from deepface import DeepFace
from deepface.matching.distance import METRICS
from tests.data import data
from tests.stand_ins import found_once

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(
        not (find_spec("dlib") and find_spec("face_recognition_models")), reason="needs dlib"
    ),
]
ARGUMENTS: dict[str, Any] = {
    "model_name": "Dlib",
    "detector_backend": "mtcnn",
    "enforce_detection": False,
}


@pytest.fixture(scope="module", autouse=True)
def each_picture_once() -> Iterator[None]:
    """Who is found matters here, not where."""
    with found_once("mtcnn"):
        yield


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first pictures of 20 people who have several."""
    folder = tmp_path_factory.mktemp("people")
    several = [
        pictures
        for person in sorted(data("images", "lfw").iterdir())
        if person.is_dir() and len(pictures := sorted(person.iterdir())) > 1
    ]
    for pictures in several[:20]:
        for picture in pictures[:2]:
            (folder / picture.name).symlink_to(picture)
    return folder


def test_the_same_matches_as_a_loop_over_verify(people: Path) -> None:
    files = sorted(str(path) for path in people.glob("*.jpg"))
    vectors = {
        file: [face["embedding"] for face in faces]
        for file, faces in zip(files, DeepFace.represent(files, **ARGUMENTS), strict=True)
    }
    queries = files[:6]
    for metric in METRICS:
        found = DeepFace.find(
            queries, people, distance_metric=metric, return_type="dict", silent=True, **ARGUMENTS
        )
        for file, tables in zip(queries, found, strict=True):
            assert len(tables) == len(vectors[file])
            for probe, rows in zip(vectors[file], tables, strict=True):
                assert matches(rows) == brute_force(probe, vectors, metric)


def matches(rows: list[dict[str, Any]]) -> list[tuple[float, str, float]]:
    return sorted((row["distance"], row["identity"], row["confidence"]) for row in rows)


def brute_force(
    probe: list[float], vectors: dict[str, list[list[float]]], metric: str
) -> list[tuple[float, str, float]]:
    pairs = [(file, vector) for file, stored in vectors.items() for vector in stored]
    verdicts = DeepFace.verify(
        [probe] * len(pairs),
        [vector for _, vector in pairs],
        model_name="Dlib",
        distance_metric=metric,
        silent=True,
    )
    return sorted(
        (verdict["distance"], file, verdict["confidence"] or 0.0)
        for (file, _), verdict in zip(pairs, verdicts, strict=True)
        if verdict["verified"]
    )


@pytest.mark.parametrize(("align", "least"), [(True, 0.75), ("landmarks", 0.95)])
def test_who_comes_first(people: Path, align: Any, least: float) -> None:
    """Among 20 people, each with one other picture; all of fold 1 is in ``benchmarks find``.

    The published way to cut faces suits Dlib badly; see ``benchmarks lfw``.
    """
    files = sorted(str(path) for path in people.glob("*.jpg"))
    queries = files[::2]
    found = DeepFace.find(
        queries,
        people,
        align=align,
        similarity_search=True,
        return_type="dict",
        silent=True,
        **ARGUMENTS,
    )
    right = 0
    for file, tables in zip(queries, found, strict=True):
        rows = max(tables, key=lambda rows: rows[0]["source_w"])
        first = next(row["identity"] for row in rows if row["identity"] != file)
        right += person(first) == person(file)
    assert right / len(queries) >= least


def person(file: str) -> str:
    return Path(file).name.rsplit("_", 1)[0]


def test_as_verify_from_files(people: Path) -> None:
    """A few of the pairs from files to verdicts, so that nothing is taken from ``represent``."""
    files = sorted(str(path) for path in people.glob("*.jpg"))[:5]
    found = DeepFace.find(files, people, return_type="dict", silent=True, **ARGUMENTS)
    pairs = list(product(range(5), files))
    verdicts = DeepFace.verify(
        [files[query] for query, _ in pairs],
        [file for _, file in pairs],
        **ARGUMENTS,
        silent=True,
    )
    for (query, file), verdict in zip(pairs, verdicts, strict=True):
        distances = [r["distance"] for rows in found[query] for r in rows if r["identity"] == file]
        assert bool(distances) == verdict["verified"]
        if distances:
            assert min(distances) == pytest.approx(verdict["distance"], abs=2e-6)
