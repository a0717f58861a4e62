"""``register``, ``search``, ``identify`` and ``build_index`` through the front door."""

from __future__ import annotations

import errno
import inspect
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from deepface import DeepFace
from deepface.errors import (
    DataTypeError,
    DimensionMismatchError,
    DuplicateEntryError,
    EmptyDatasource,
    FaceNotDetected,
    MachineError,
    MissingPackageError,
    UnimplementedError,
)
from deepface.matching.confidence import find_confidence
from deepface.matching.distance import METRICS, find_distance
from deepface.matching.thresholds import find_threshold
from deepface.recognition.model import FacialRecognition
from deepface.runtime.models import cached_models
from tests import laws
from tests.data import data

COLUMNS = [
    "id", "img_name", "model_name", "detector_backend", "aligned", "l2_normalized",
    "search_method", "target_x", "target_y", "target_w", "target_h", "threshold",
    "distance_metric", "distance", "confidence",
]  # fmt: skip


class StandIn(FacialRecognition):
    """The pixels of every fifth row and column: quick, and the same in every batch."""

    model_name = "Facenet"
    input_shape = (40, 40)
    output_shape = 192
    model = None

    def embed(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        return 10 * batch[:, ::5, ::5].reshape(len(batch), -1).astype(np.float64)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cached_models.setdefault("facial_recognition", {}), "Facenet", StandIn())


def face(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def close_to(number: int, other: int = 1000) -> NDArray[np.uint8]:
    """A face a little like another."""
    mixed = 0.8 * face(number) + 0.2 * face(other)
    return mixed.astype(np.uint8)


class Doors:
    """The four functions with a database of the test's own."""

    def __init__(self, details: Any) -> None:
        same: dict[str, Any] = {
            "model_name": "Facenet",
            "detector_backend": "skip",
            "database_type": "sqlite",
            "connection_details": details,
        }
        self.register: Callable[..., Any] = partial(DeepFace.register, **same)
        self.search: Callable[..., Any] = partial(DeepFace.search, return_type="dict", **same)
        self.identify: Callable[..., Any] = partial(DeepFace.identify, **same)
        self.build_index: Callable[..., Any] = partial(DeepFace.build_index, **same)
        self.list_faces: Callable[..., Any] = partial(
            DeepFace.list_faces, return_type="dict", **same
        )
        self.unregister: Callable[..., Any] = partial(DeepFace.unregister, **same)


@pytest.fixture
def doors(tmp_path: Path) -> Doors:
    return Doors(str(tmp_path / "faces.db"))


@pytest.fixture
def filled(doors: Doors) -> Doors:
    """Twelve faces."""
    names = [f"person {number}" for number in range(12)]
    assert doors.register([face(n) for n in range(12)], img_name=names) == {"inserted": 12}
    return doors


def test_a_column_of_faces_and_one_of_names(doors: Doors) -> None:
    """By their order, not by their labels."""
    labels = [2, 0, 1]
    faces = pd.Series([face(n) for n in range(3)], index=labels)
    names = pd.Series(["zero", "one", "two"], index=labels)
    assert doors.register(faces, img_name=names) == {"inserted": 3}
    found = doors.search(list(faces))
    assert [tables[0][0]["img_name"] for tables in found] == [*names]


def names_of(rows: list[dict[str, Any]]) -> list[str]:
    return [row["img_name"] for row in rows]


def test_signatures_begin_as_published() -> None:
    published_signatures: dict[Callable[..., Any], str] = {
        DeepFace.register: "img, img_name=None, model_name='VGG-Face', detector_backend='opencv', "
        "enforce_detection=True, align=True, l2_normalize=False, expand_percentage=0, "
        "normalization='base', anti_spoofing=False, database_type='postgres', "
        "connection_details=None, connection=None",
        DeepFace.search: "img, model_name='VGG-Face', detector_backend='opencv', "
        "distance_metric='cosine', enforce_detection=True, align=True, l2_normalize=False, "
        "expand_percentage=0, normalization='base', anti_spoofing=False, similarity_search=False, "
        "k=None, database_type='postgres', connection_details=None, connection=None, "
        "search_method='exact', return_type=None",
        DeepFace.identify: "img, identity_id, model_name='VGG-Face', detector_backend='opencv', "
        "distance_metric='cosine', enforce_detection=True, align=True, l2_normalize=False, "
        "expand_percentage=0, normalization='base', anti_spoofing=False, database_type='postgres', "
        "connection_details=None, connection=None",
        DeepFace.build_index: "model_name='VGG-Face', detector_backend='opencv', align=True, "
        "l2_normalize=False, database_type='postgres', connection=None, connection_details=None, "
        "max_neighbors_per_node=32",
    }
    for function, expected in published_signatures.items():
        parameters = inspect.signature(function).parameters.values()
        published = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        text = ", ".join(
            p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in published
        )
        assert text == expected


@pytest.mark.parametrize("method", ["exact", "ann"])
def test_search_finds_whom_it_should(filled: Doors, method: str) -> None:
    filled.build_index()
    (rows,) = filled.search(close_to(3), search_method=method, similarity_search=True, k=5)
    assert rows[0]["img_name"] == "person 3"
    assert len(rows) == 5
    assert list(rows[0]) == COLUMNS
    json.dumps(rows)
    row = rows[0]
    metric = "cosine" if method == "exact" else "euclidean"
    threshold = find_threshold("Facenet", metric)
    assert (row["search_method"], row["distance_metric"]) == (method, metric)
    assert (row["threshold"], row["aligned"], row["l2_normalized"]) == (threshold, True, False)
    # Width and height of a skipped picture, as represent gives them.
    assert [row[f"target_{name}"] for name in "xywh"] == [0, 0, 40, 40]
    for row in rows:
        assert row["confidence"] == find_confidence(
            row["distance"], "Facenet", row["distance"] <= threshold, metric
        )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("normalized", [False, True])
def test_exact_search_is_the_loop_over_all(doors: Doors, metric: str, normalized: bool) -> None:
    faces = [face(n) for n in range(12)]
    doors.register(faces, img_name=[str(n) for n in range(12)], l2_normalize=normalized)
    used = "euclidean_l2" if normalized and metric == "euclidean" else metric

    def vector(picture: NDArray[Any]) -> Any:
        (found,) = DeepFace.represent(
            picture, "Facenet", detector_backend="skip", l2_normalize=normalized
        )
        return found["embedding"]

    probe = close_to(4)
    distances = {
        str(n): float(find_distance(vector(f), vector(probe), used)) for n, f in enumerate(faces)
    }
    order = sorted(distances, key=lambda name: distances[name])
    threshold = find_threshold("Facenet", used)
    search = partial(doors.search, probe, distance_metric=metric, l2_normalize=normalized)
    (everyone,) = search(similarity_search=True)
    assert names_of(everyone) == order
    assert [row["distance"] for row in everyone] == pytest.approx(
        [distances[name] for name in order], abs=1e-6
    )
    assert names_of(search(similarity_search=True, k=3)[0]) == order[:3]
    assert names_of(search()[0]) == [name for name in order if distances[name] <= threshold]
    assert {row["distance_metric"] for row in everyone} == {used}


def test_one_entry_per_picture(filled: Doors) -> None:
    """Law: ``f([x])[0] == f(x)``, for lists, tuples, iterators and arrays."""
    filled.build_index()
    pictures = [close_to(n) for n in range(4)]
    for method in ("exact", "ann"):
        search = partial(filled.search, search_method=method, similarity_search=True, k=3)
        single = [search(picture) for picture in pictures]
        assert [search([picture])[0] for picture in pictures] == single
        assert search(pictures) == single
        assert search(tuple(pictures), batch_size=3) == single
        assert search(iter(pictures)) == single
        assert search(np.stack(pictures)) == single
        assert search(pictures[::-1]) == single[::-1]
        assert search([]) == []


def test_register_takes_what_represent_takes(doors: Doors) -> None:
    assert doors.register(np.stack([face(1), face(2)])) == {"inserted": 2}
    assert doors.register(face(n) for n in range(3, 6)) == {"inserted": 3}
    assert doors.register((face(6),)) == {"inserted": 1}
    assert doors.register([]) == {"inserted": 0}
    (rows,) = doors.search(face(1), similarity_search=True)
    assert len(rows) == 6
    assert len({len(row["img_name"]) for row in rows}) == 1  # random UUIDs


def test_names(doors: Doors, tmp_path: Path) -> None:
    from PIL import Image

    for number, name in enumerate(("a.jpg", "b.JPEG", "c.png", "d.bmp")):
        Image.fromarray(face(number)).save(tmp_path / name)
    files = [str(tmp_path / name) for name in ("a.jpg", "b.JPEG", "c.png", "d.bmp")]
    doors.register(files)
    doors.register(face(9), img_name="nine")
    doors.register([face(10), face(11)], img_name="both")
    (rows,) = doors.search(face(0), similarity_search=True)
    names = set(names_of(rows))
    assert {*files[:3], "nine", "both"} <= names
    assert files[3] not in names
    with pytest.raises(ValueError, match="2 names, but img has 3 pictures"):
        doors.register([face(20), face(21), face(22)], img_name=["x", "y"])
    with pytest.raises(ValueError, match="is one picture"):
        doors.register(face(20), img_name=["x"])


def test_duplicates(doors: Doors, caplog: pytest.LogCaptureFixture) -> None:
    """Also in a call of more faces than are stored at a time, which are a hundred."""
    assert doors.register(face(0)) == {"inserted": 1}
    assert doors.register(face(0)) == {"inserted": 0}  # a warning only
    assert "is registered already" in caplog.text
    assert doors.register([face(0)]) == {"inserted": 0}
    for known in (0, 1):  # of before, of the same call
        with pytest.raises(DuplicateEntryError, match="is registered already"):
            doors.register([*map(face, range(1, 104)), face(known), face(104)])
        assert len(doors.list_faces()) == 1
    assert doors.register([face(n) for n in range(1, 105)]) == {"inserted": 104}
    assert len(doors.list_faces()) == 105
    assert doors.register([]) == {"inserted": 0}
    with pytest.raises(DuplicateEntryError, match="twin"):
        doors.register([face(17), face(17)], img_name="twin")


def test_a_duplicate_is_told_before_all_others_are_embedded(filled: Doors) -> None:
    taken = 0

    def pictures() -> Iterator[NDArray[np.uint8]]:
        nonlocal taken
        for taken in range(1, 1001):
            yield face(5 if taken == 2 else 1000 + taken)

    with pytest.raises(DuplicateEntryError, match="is registered already"):
        filled.register(pictures(), batch_size=3)
    assert taken < 500
    assert len(filled.list_faces()) == 12


@pytest.mark.parametrize("id_", [2**53 + 1, 2**62 + 1, 2**63 - 1])
def test_ids_that_are_no_exact_floats(filled: Doors, id_: int) -> None:
    import sqlite3

    connection = sqlite3.connect(filled.search.keywords["connection_details"])  # type: ignore[attr-defined]
    connection.execute("UPDATE embeddings SET id = ? WHERE img_name = 'person 7'", [id_])
    connection.commit()
    connection.close()
    filled.build_index()
    for method in ("exact", "ann"):
        (rows,) = filled.search(face(7), search_method=method)
        assert rows[0]["id"] == id_ and json.loads(json.dumps(rows))[0]["id"] == id_
        (frame,) = filled.search(face(7), search_method=method, return_type="pandas")
        assert frame["id"].tolist()[0] == id_
    assert filled.identify(face(7), identity_id=str(id_))["id"] == id_
    assert id_ in filled.list_faces(return_type="pandas")["id"].tolist()
    assert filled.unregister(identity_id=id_ - 1) == {"deleted": 0}
    assert filled.unregister(identity_id=id_) == {"deleted": 1}


def test_a_face_is_the_same_in_any_batch(doors: Doors) -> None:
    """Also with a network whose last bits depend on the batch."""

    class Unsteady(StandIn):
        def embed(self, batch: NDArray[np.float32]) -> NDArray[Any]:
            return super().embed(batch) * (1 + 1e-9 * len(batch))

    cached_models["facial_recognition"]["Facenet"] = Unsteady()
    doors.register([face(0), face(1)])
    assert doors.register(face(0)) == {"inserted": 0}


def test_ann_finds_what_is_newer_and_not_what_is_gone(filled: Doors) -> None:
    import sqlite3

    ann = partial(filled.search, search_method="ann", similarity_search=True)
    with pytest.raises(ValueError, match=r"No Embeddings index found .*build_index"):
        ann(face(0))
    filled.build_index()
    filled.register(face(50), img_name="new")
    assert names_of(ann(close_to(50), k=1)[0]) == ["new"]
    connection = sqlite3.connect(filled.search.keywords["connection_details"])  # type: ignore[attr-defined]
    connection.execute("DELETE FROM embeddings WHERE img_name IN ('person 3', 'person 4')")
    connection.commit()
    connection.close()
    (rows,) = ann(close_to(3), k=2)
    assert len(rows) == 2 and "person 3" not in names_of(rows)
    filled.build_index()
    assert len(ann(face(0))[0]) == 11


def test_faces_without_hits(filled: Doors) -> None:
    """As published: an empty table of an exact search, none of an index."""
    filled.build_index()
    stranger = np.zeros((40, 40, 3), np.uint8)
    stranger[:5, :5] = 255
    assert filled.search(stranger, distance_metric="angular") == [[]]
    assert filled.search(stranger, search_method="ann") == []
    assert filled.search([stranger, face(2)], search_method="ann")[0] == []


def test_nothing_registered(doors: Doors) -> None:
    for act in (
        partial(doors.search, face(0)),
        doors.build_index,
        partial(doors.search, face(0), l2_normalize=True),
    ):
        with pytest.raises(EmptyDatasource, match="No embeddings found in the database for the"):
            act()
    doors.register(face(0))
    with pytest.raises(EmptyDatasource, match="l2_normalize=True"):
        doors.search(face(0), l2_normalize=True)


def test_pandas(filled: Doors) -> None:
    pd = pytest.importorskip("pandas")
    tables = filled.search(face(2), return_type=None)
    assert [type(table) for table in tables] == [pd.DataFrame]
    assert list(tables[0].columns) == COLUMNS
    assert tables[0]["img_name"].tolist()[0] == "person 2"
    (empty,) = filled.search(face(2), k=0, return_type="pandas")
    assert list(empty.columns) == COLUMNS and not len(empty)


def test_types_do_not_depend_on_the_number_of_rows(filled: Doors) -> None:
    pytest.importorskip("pandas")
    frames = [
        filled.search(face(2), return_type="pandas", **wanted)[0]
        for wanted in ({}, {"k": 0}, {"k": 1}, {"similarity_search": True})
    ]
    assert [len(frame) for frame in frames[1:]] == [0, 1, 12]
    frames += [frame[:0] for frame in frames]
    for frame in frames:
        assert frame.dtypes.to_dict() == frames[0].dtypes.to_dict()
        assert frame["img_name"].str.startswith("person").all()
    listed = filled.list_faces(return_type="pandas")
    none = filled.list_faces(return_type="pandas", align=False)
    assert (len(listed), len(none)) == (12, 0)
    assert listed.dtypes.to_dict() == none.dtypes.to_dict()


def test_faces_are_listed_and_deleted(filled: Doors) -> None:
    filled.build_index()
    filled.register(face(20), img_name="person 3")
    filled.register(face(21), img_name="other", align=False)
    rows = filled.list_faces()
    assert [row["img_name"] for row in rows] == [*(f"person {n}" for n in range(12)), "person 3"]
    assert list(rows[0]) == COLUMNS[:6]
    assert {row["aligned"] for row in rows} == {True} and len({row["id"] for row in rows}) == 13
    assert filled.unregister(rows[0]["id"]) == {"deleted": 1}
    assert filled.unregister([rows[0]["id"], rows[1]["id"], str(rows[2]["id"]), 999]) == {
        "deleted": 2
    }
    assert filled.unregister(img_name="person 3") == {"deleted": 2}
    assert filled.unregister(img_name=["person 4", "nobody", "person 5", "PERSON 6", "%"]) == {
        "deleted": 2
    }
    assert filled.unregister(img=face(6)) == {"deleted": 1}
    assert filled.unregister(img=[face(7), face(6), face(21), close_to(8)]) == {"deleted": 1}
    left = [f"person {n}" for n in range(8, 12)]
    assert [row["img_name"] for row in filled.list_faces()] == left
    assert [row["img_name"] for row in filled.list_faces(align=False)] == ["other"]
    for method in ("exact", "ann"):
        (found,) = filled.search(face(0), search_method=method, similarity_search=True, k=9)
        assert sorted(names_of(found)) == sorted(left)
    filled.build_index()
    assert filled.register(face(6)) == {"inserted": 1}


@pytest.mark.parametrize("several", [list, tuple, set, iter, dict.fromkeys, np.array, "pandas"])
@pytest.mark.parametrize("key", ["id", "img_name"])
def test_many_are_unregistered_whatever_holds_them(filled: Doors, several: Any, key: str) -> None:
    """Also a column of the table that list_faces gives: none is left out silently."""
    if several == "pandas":
        several = pytest.importorskip("pandas").Series
    values = [row[key] for row in filled.list_faces()]
    option = "identity_id" if key == "id" else "img_name"
    wanted = several(values[:3])
    if isinstance(wanted, dict):
        wanted = wanted.keys()
    deleted = filled.unregister(**{option: wanted})["deleted"]
    assert deleted == sum(value in values[:3] for value in values) >= 3
    assert len(filled.list_faces()) == len(values) - deleted


@pytest.mark.parametrize(
    "which", [{}, {"identity_id": 1, "img_name": "x"}, {"img": face(0), "img_name": "x"}]
)
def test_what_is_deleted_is_said_once(filled: Doors, which: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pass one of identity_id, img_name and img"):
        filled.unregister(**which)
    assert len(filled.list_faces()) == 12


def test_names_that_a_database_cannot_hold(doors: Doors, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 become escapes; the others of the call are stored as ever."""
    from PIL import Image

    files = [os.path.join(os.fsencode(tmp_path), name) for name in (b"a.jpg", b"caf\xe9.jpg")]  # noqa: PTH118
    for number, file in enumerate(files):
        try:
            with open(file, "wb") as opened:  # noqa: PTH123
                Image.fromarray(face(number)).save(opened, "JPEG")
        except OSError:
            pytest.skip("this file system takes UTF-8 only")
    assert doors.register([os.fsdecode(file) for file in files]) == {"inserted": 2}
    assert doors.register(face(9), img_name="nul\0") == {"inserted": 1}
    stored = [row["img_name"] for row in doors.list_faces()]
    assert stored == [str(tmp_path / "a.jpg"), str(tmp_path / "caf\\xe9.jpg"), "nul\\x00"]
    assert doors.unregister(img_name=os.fsdecode(files[1])) == {"deleted": 1}


@pytest.mark.parametrize("names", [[1, "b"], ["a", None], [b"a", "b"], 5, {"a": 1, "b": 2}])
def test_names_that_are_none(doors: Doors, names: Any) -> None:
    with pytest.raises(DataTypeError, match=r"img_name"):
        doors.register([face(0), face(1)], img_name=names)
    assert doors.list_faces() == []


def test_a_bad_picture_leaves_nothing_of_its_call(doors: Doors) -> None:
    pictures: list[Any] = [*map(face, range(105)), "nowhere.jpg"]
    with pytest.raises(ValueError, match=r"item 105 "):
        doors.register(pictures, batch_size=1)
    assert doors.list_faces() == []


def test_no_room_for_the_faces_of_a_call(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("deepface.search.database.spool.pickle.dump", full)
    with pytest.raises(MachineError, match=r"No space left .*TMPDIR"):
        doors.register([face(n) for n in range(105)])
    assert doors.list_faces() == []


def test_without_pandas(filled: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setattr("deepface.search.query.find_spec", lambda name: None)
    assert isinstance(filled.search(face(2), return_type=None)[0], list)
    with pytest.raises(MissingPackageError, match="pip install pandas"):
        filled.search(face(2), return_type="pandas")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"search_method": "guess"}, UnimplementedError, "unknown search_method .guess."),
        ({"return_type": "x"}, UnimplementedError, "unknown return_type .x."),
        ({"distance_metric": "foo"}, UnimplementedError, "unknown distance_metric .foo."),
        ({"distance_metric": len}, UnimplementedError, "unknown distance_metric"),
        ({"k": -1}, ValueError, "k must be at least 0"),
        ({"database_type": "foo"}, UnimplementedError, "Unsupported database type: foo"),
        ({"model_name": "foo"}, UnimplementedError, "foo"),
        ({"detector_backend": "foo"}, UnimplementedError, "foo"),
        ({"align": "landmarks"}, UnimplementedError, "landmarks"),
        ({"detector_backend": "opencv"}, FaceNotDetected, "Face could not be detected"),
    ],
)
def test_wrong_arguments(
    filled: Doors, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    blank = np.zeros((60, 60, 3), np.uint8)
    with pytest.raises(error, match=text):
        filled.search(blank, **arguments)


@pytest.mark.parametrize("metric", ["foo", "Cosine", "", None, 3, len])
def test_a_metric_that_databases_do_not_know(filled: Doors, metric: Any) -> None:
    """Whoever compares with it is told, not answered by a threshold of no metric."""
    for ask in (filled.search, partial(filled.identify, identity_id="nobody")):
        with pytest.raises(UnimplementedError, match="unknown distance_metric"):
            ask(face(0), distance_metric=metric)


def test_a_bad_picture_is_named(doors: Doors) -> None:
    with pytest.raises(DataTypeError):
        doors.register(None)
    with pytest.raises(ValueError, match="item 1"):
        doors.register([face(0), b"no picture"])
    with pytest.raises(ValueError, match="item 1"):
        doors.search([face(0), b"no picture"])


@pytest.mark.parametrize("arguments", [{"max_neighbors_per_node": 0}, {"batch_size": 0}])
def test_index_of_nonsense(filled: Doors, arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        filled.build_index(**arguments)


def test_another_network_under_the_same_name(filled: Doors) -> None:
    class Longer(StandIn):
        output_shape = 768

        def embed(self, batch: NDArray[np.float32]) -> NDArray[Any]:
            return np.repeat(super().embed(batch), 4, axis=1)

    filled.build_index()
    cached_models["facial_recognition"]["Facenet"] = Longer()
    for act in (
        partial(filled.search, face(0)),
        partial(filled.search, face(0), search_method="ann"),
        partial(filled.register, face(99)),
        partial(filled.identify, face(0), 1),
    ):
        with pytest.raises(DimensionMismatchError):
            act()


def test_identify(filled: Doors) -> None:
    for given in (3, "3"):
        found = filled.identify(close_to(2), given)
        assert list(found) == [
            "verified", "distance", "threshold", "confidence", "model", "detector_backend",
            "similarity_metric", "id", "img_name", "facial_areas", "time",
        ]  # fmt: skip
        assert (found["id"], found["img_name"], found["verified"]) == (3, "person 2", True)
        assert found["facial_areas"]["img2"] is None
        json.dumps(found)
    verified = DeepFace.verify(close_to(2), face(2), "Facenet", detector_backend="skip")
    for key in ("verified", "distance", "threshold", "confidence", "similarity_metric"):
        assert found[key] == verified[key]
    strict = filled.identify(close_to(2), 3, distance_metric="euclidean_l2")
    assert strict["threshold"] == find_threshold("Facenet", "euclidean_l2")


def test_identify_refuses(filled: Doors, caplog: pytest.LogCaptureFixture) -> None:
    for unknown in (999, "x", None, "line\nend\0"):
        with pytest.raises(ValueError, match="in the database for identity_id") as told:
            filled.identify(face(0), unknown)
        assert str(told.value).isprintable()
    with pytest.raises(ValueError, match="registered with l2_normalize=False"):
        filled.identify(face(0), 1, l2_normalize=True)
    cached_models["facial_recognition"]["Facenet512"] = StandIn()
    try:
        with pytest.raises(ValueError, match="registered with model_name=Facenet "):
            filled.identify(face(0), 1, model_name="Facenet512")
    finally:
        del cached_models["facial_recognition"]["Facenet512"]
    with pytest.raises(ValueError, match="single image"):
        filled.identify([face(0), face(1)], 1)
    caplog.clear()
    assert filled.identify(face(0), 1, align=False)["verified"]
    assert "align=False, l2_normalize=False are requested" in caplog.text


def test_threads(filled: Doors) -> None:
    filled.build_index()
    laws.threads_agree(
        partial(filled.search, similarity_search=True, search_method="ann"),
        [face(1), face(2)],
        lambda found, expected: None if found == expected else pytest.fail("differs"),
    )
    inserted: list[int] = []
    threads = [
        threading.Thread(
            target=lambda n=n: inserted.append(filled.register(face(100 + n))["inserted"])
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inserted == [1] * 4


def test_published_module() -> None:
    from deepface.modules.datastore import build_index, identify, register, search

    assert (build_index, identify) == (DeepFace.build_index, DeepFace.identify)
    assert (register, search) == (DeepFace.register, DeepFace.search)


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("DEEPFACE_POSTGRES_URI", "DEEPFACE_SQLITE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    return tmp_path


def test_with_nothing_to_set_up(nothing_set: Path) -> None:
    same: dict[str, Any] = {"model_name": "Facenet", "detector_backend": "skip"}
    DeepFace.register([face(n) for n in range(3)], img_name=["a", "b", "c"], **same)
    DeepFace.build_index(**same)
    for method in ("exact", "ann"):
        ((row, *_),) = DeepFace.search(face(1), search_method=method, return_type="dict", **same)
        assert row["img_name"] == "b"
    assert (nothing_set / ".deepface" / "faces.db").exists()


@pytest.mark.heavy
def test_real_faces(tmp_path: Path) -> None:
    """Dlib's network: people are found by another photograph, as a loop over verify finds them."""
    pytest.importorskip("dlib", reason="pip install dlib-bin")
    albums = [sorted(folder.glob("*.jpg")) for folder in sorted(data("images", "lfw").iterdir())]
    pairs = [[str(file) for file in album[:2]] for album in albums if len(album) >= 2][:4]
    how: dict[str, Any] = {"model_name": "Dlib", "detector_backend": "mtcnn"}
    where: dict[str, Any] = {
        "database_type": "sqlite",
        "connection_details": str(tmp_path / "faces.db"),
    }
    known = [first for first, _ in pairs]
    assert DeepFace.register(known, **how, **where)["inserted"] >= len(pairs)
    probes = [second for _, second in pairs]
    found = DeepFace.search(probes, similarity_search=True, return_type="dict", **how, **where)
    for (first, second), (rows, *_) in zip(pairs, found, strict=True):
        assert rows[0]["img_name"] == first
        assert rows[0]["distance"] == pytest.approx(
            DeepFace.verify(first, second, **how)["distance"], abs=2e-6
        )
        identified = DeepFace.identify(second, rows[0]["id"], **how, **where)
        assert identified["img_name"] == first
        assert identified["distance"] == round(rows[0]["distance"], 6)
