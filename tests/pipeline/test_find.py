"""``find``: what it gives, for one picture and for many, and what goes wrong."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import weakref
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepface import DeepFace
from deepface.errors import (
    DataTypeError,
    DeepFaceError,
    DimensionMismatchError,
    EmptyDatasource,
    FaceNotDetected,
    ImgNotFound,
    PathNotFound,
    UnimplementedError,
)
from deepface.matching.confidence import find_confidence
from deepface.matching.distance import METRICS
from deepface.matching.ranking import Ranking
from deepface.matching.thresholds import find_threshold
from deepface.pipeline import FacePipeline, GallerySearch, Query
from deepface.pipeline.open_gallery import datastore_name
from deepface.recognition.model import FacialRecognition
from deepface.runtime.models import cached_models
from deepface.search.folder import datastore
from tests.data import data, package_pictures
from tests.pipeline.test_ranges import Tilted
from tests.stand_ins import cached

COLUMNS = [
    "identity", "hash", "target_x", "target_y", "target_w", "target_h", "threshold",
    "source_x", "source_y", "source_w", "source_h", "distance", "confidence",
]  # fmt: skip
NPZ = "ds_model_dlib_detector_skip_aligned_normalization_base_expand_0.npz"
needs_dlib = pytest.mark.skipif(
    not (find_spec("dlib") and find_spec("face_recognition_models")), reason="needs dlib"
)
needs_pandas = pytest.mark.skipif(not find_spec("pandas"), reason="needs pandas")


class StandIn(FacialRecognition):
    """Sixteen grey values of a picture, under the name of a model that has thresholds."""

    model_name = "Dlib"
    input_shape = (32, 32)
    output_shape = 16
    model = None

    def __init__(self) -> None:
        self.count = 0
        self.breaks_on: int | None = None

    def embed(self, batch: NDArray[np.float32]) -> NDArray[Any]:
        if self.breaks_on is not None and len(batch) >= self.breaks_on:
            raise RuntimeError("the network does not run")
        self.count += len(batch)
        cells: NDArray[Any] = batch.mean(axis=3).reshape(-1, 4, 8, 4, 8).mean(axis=(2, 4))
        return cells.reshape(-1, 16)


@pytest.fixture
def model() -> Iterator[StandIn]:
    models = cached_models.setdefault("facial_recognition", {})
    before = models.get("Dlib")
    models["Dlib"] = stand_in = StandIn()
    datastore.forget()
    yield stand_in
    datastore.forget()
    del models["Dlib"]
    if before is not None:
        models["Dlib"] = before


def picture(seed: int) -> NDArray[np.uint8]:
    """Coarse noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_NEAREST)  # type: ignore[return-value]


@pytest.fixture
def folder(tmp_path: Path, model: StandIn) -> Path:
    """Nine pictures, 3 of them nearly like number 0."""
    path = tmp_path / "gallery"
    (path / "sub").mkdir(parents=True)
    for number in range(6):
        cv2.imwrite(str(path / f"{number}.png"), picture(number))
    for number in range(3):
        near = np.clip(picture(0).astype(int) + 3 * (number + 1), 0, 255)
        cv2.imwrite(str(path / f"sub/near{number}.png"), near)
    return path


def find(img: Any, folder: Any, **arguments: Any) -> list[Any]:
    defaults = {
        "model_name": "Dlib", "detector_backend": "skip", "silent": True, "return_type": "dict",
    }  # fmt: skip
    return DeepFace.find(img, folder, **{**defaults, **arguments})


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [Path(row["identity"]).name for row in rows]


def test_rows(folder: Path) -> None:
    (rows,) = find(picture(0), folder)
    assert names(rows)[0] == "0.png"
    assert sorted(names(rows)) == ["0.png", "near0.png", "near1.png", "near2.png"]
    assert all(list(row) == COLUMNS for row in rows)
    distances = [row["distance"] for row in rows]
    assert distances == sorted(distances) and distances[0] == 0 and max(distances) <= 0.07
    first = rows[0]
    assert first["identity"] == str(folder / "0.png")
    assert len(first["hash"]) == 40
    box = {"x": 0, "y": 0, "w": 63, "h": 63}
    for side in ("target", "source"):
        assert {name: first[f"{side}_{name}"] for name in "xywh"} == box
    assert first["threshold"] == 0.07 and first["confidence"] == 100
    assert {type(value) for row in rows for value in row.values()} == {str, int, float}


@needs_pandas
def test_frames(folder: Path) -> None:
    (frame,) = find(picture(0), folder, return_type=None)
    assert list(frame.columns) == COLUMNS
    assert frame.to_dict("records") == find(picture(0), folder)[0]
    assert list(frame.index) == [0, 1, 2, 3]
    (empty,) = find(picture(0), folder, return_type="pandas", k=0)
    assert list(empty.columns) == COLUMNS and len(empty) == 0


@needs_pandas
def test_types_do_not_depend_on_the_number_of_rows(folder: Path) -> None:
    frames = [
        find(picture(0), folder, return_type="pandas", **wanted)[0]
        for wanted in ({}, {"k": 0}, {"k": 1}, {"threshold": -1}, {"similarity_search": True})
    ]
    assert [len(frame) for frame in frames] == [4, 0, 1, 0, 9]
    for frame in frames:
        assert frame.dtypes.to_dict() == frames[0].dtypes.to_dict()
        assert frame["identity"].str.endswith(".png").all()


@needs_pandas
@pytest.mark.parametrize("kind", ["npz", "feather", "parquet"])
def test_names_that_are_no_utf_8(folder: Path, kind: str, model: StandIn) -> None:
    if kind != "npz":
        pytest.importorskip("pyarrow")
    try:
        (folder / "0.png").rename(folder / os.fsdecode(b"caf\xe9 \xff.png"))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    for _ in range(2):
        (frame,) = find(picture(0), folder, return_type="pandas", datastore_format=kind)
        assert Path(frame["identity"][0]).exists() and frame["distance"][0] == 0
        count, model.count = model.count, 0
        datastore.forget()
    assert count == 1, "it is known the second time"


@needs_pandas
def test_ways_to_ask_for_dicts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = find(picture(0), folder)
    assert find(picture(0), folder, return_type=None, batched=True) == expected
    (frame,) = find(picture(0), folder, return_type="pandas", batched=True)
    assert hasattr(frame, "columns")
    monkeypatch.setattr("deepface.search.query.find_spec", lambda name: None)
    assert find(picture(0), folder, return_type=None) == expected
    with pytest.raises(ImportError, match="pip install pandas"):
        find(picture(0), folder, return_type="pandas")


@pytest.mark.parametrize("metric", METRICS)
def test_as_verify(folder: Path, metric: str) -> None:
    """The rows are those that a loop over ``verify`` verifies, with the same numbers."""
    (rows,) = find(picture(0), folder, distance_metric=metric)
    found = {row["identity"]: row for row in rows}
    for file in folder.rglob("*.png"):
        verdict = DeepFace.verify(
            picture(0), file, "Dlib", detector_backend="skip", distance_metric=metric
        )
        assert (str(file) in found) == verdict["verified"]
        if verdict["verified"]:
            row = found[str(file)]
            for name in ("distance", "threshold", "confidence"):
                assert row[name] == verdict[name]


def test_faces_cut_by_landmarks_are_judged_as_such(folder: Path) -> None:
    with cached("face_detector", "tilted", Tilted()):
        options: Any = {"detector_backend": "tilted", "align": "landmarks"}
        probe = picture(9)  # neither near to one of them nor far
        ((row, *_), *_) = find(probe, folder, **options)
        pair = DeepFace.verify(probe, row["identity"], "Dlib", **options)
    for found in (row, pair):
        assert found["threshold"] == find_threshold("Dlib", align="landmarks")
        judged = found["distance"], "Dlib", True
        assert found["confidence"] == find_confidence(*judged, align="landmarks")
        assert found["confidence"] != find_confidence(*judged)


@needs_pandas
def test_similarity_search(folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (frame,) = find(picture(0), folder, similarity_search=True, return_type="pandas")
    assert len(frame) == 10
    assert set(frame.threshold) == {0.07}
    last = frame.iloc[-1]
    assert Path(last.identity).name == "broken.png"
    assert last.distance == np.inf and last.confidence == 0
    assert (last.target_x, last.target_y, last.target_w, last.target_h) == (0, 0, 0, 0)
    assert (frame.confidence[frame.distance > 0.07] <= 49).all()
    (best,) = find(picture(0), folder, similarity_search=True, k=6, return_type="pandas")
    assert best.equals(frame.head(6))


def test_similarity_search_in_dicts_knows_no_threshold(folder: Path) -> None:
    """As published: every row counts as verified."""
    (rows,) = find(picture(0), folder, similarity_search=True, k=9)
    assert len(rows) == 9
    assert {row["threshold"] for row in rows} == {np.inf}
    assert all(row["confidence"] >= 51 for row in rows)


def test_threshold_and_k(folder: Path) -> None:
    (rows,) = find(picture(0), folder)
    assert find(picture(0), folder, k=2)[0] == rows[:2]
    limit = rows[1]["distance"]
    (within,) = find(picture(0), folder, threshold=limit)
    assert [row["distance"] for row in within] == [row["distance"] for row in rows[:2]]
    assert {row["threshold"] for row in within} == {limit}
    assert names(find(picture(0), folder, threshold=0)[0]) == ["0.png"]
    assert find(picture(9), folder, threshold=0) == [[]]


def test_a_metric_of_ones_own(folder: Path) -> None:
    """As published: for frames pair by pair, for dicts the gallery and the queries at once."""
    cv2.imwrite(str(folder / "plain.png"), np.zeros((64, 64, 3), np.uint8))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")  # a row without a vector
    shapes: list[tuple[Any, ...]] = []

    def city_block(gallery: NDArray[Any], queries: NDArray[Any]) -> Any:
        shapes.append((gallery.shape, queries.shape))
        if gallery.ndim == 1:
            return np.abs(gallery - queries).sum()
        return np.abs(gallery[None] - queries[:, None]).sum(axis=2)

    wanted = {"distance_metric": city_block, "threshold": 0.5}
    pictures = [picture(0), picture(3)]
    found = find(pictures, folder, **wanted)
    assert shapes == [((10, 16), (2, 16))]
    assert [names(rows)[0] for (rows,) in found] == ["0.png", "3.png"]
    for (rows,) in found:
        assert all(row["distance"] <= 0.5 and row["confidence"] in (51, 100) for row in rows)
    shapes.clear()
    if find_spec("pandas"):
        frames = find(pictures, folder, return_type="pandas", **wanted)
        assert set(shapes) == {((16,), (16,))} and len(shapes) == 20
        for (frame,), (rows,) in zip(frames, found, strict=True):
            assert list(frame.identity) == [row["identity"] for row in rows]
            np.testing.assert_allclose(frame.distance, [row["distance"] for row in rows], atol=1e-5)
    (ranked,) = find(picture(0), folder, similarity_search=True, **wanted)
    assert len(ranked) == 11 and ranked[-1]["distance"] == np.inf
    with pytest.raises(ValueError, match="Threshold must be specified"):
        find(picture(0), folder, distance_metric=city_block)


@pytest.mark.parametrize("return_type", ["dict", pytest.param("pandas", marks=needs_pandas)])
def test_a_metric_may_change_what_it_is_given(folder: Path, return_type: str) -> None:
    """Neither the gallery, in memory and on disk, nor other faces notice."""

    def careless(gallery: NDArray[Any], queries: NDArray[Any]) -> Any:
        assert gallery.dtype == queries.dtype == np.float64  # as of lists of floats, as published
        gallery *= 3
        queries += gallery.mean()
        return np.zeros(queries.shape[:-1] + gallery.shape[:-1])[()]

    def euclidean() -> Any:
        return find(picture(0), folder, distance_metric="euclidean", similarity_search=True)

    before = euclidean()
    found = find(
        [picture(0)] * 2, folder, distance_metric=careless, threshold=1, return_type=return_type
    )
    assert [len(rows) for (rows,) in found] == [9, 9]
    assert euclidean() == before
    cv2.imwrite(str(folder / "new.png"), picture(7))  # the datastore is written anew
    euclidean()
    datastore.forget()
    assert [row for row in euclidean()[0] if "new.png" not in row["identity"]] == before[0]


@pytest.mark.parametrize(
    "metric",
    [lambda a, b: 0.0, lambda a, b: np.zeros((len(a), len(b) + 1)), lambda a, b: [["x"] * 9]],
)
def test_a_metric_that_gives_something_else(metric: Any, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"it must give an array of numbers of shape \(1, 9\)"):
        find(picture(0), folder, distance_metric=metric, threshold=1)


def test_many_pictures(folder: Path) -> None:
    pictures = [picture(number) for number in (0, 9, 3)]
    singles = [find(one, folder, similarity_search=True) for one in pictures]
    assert [names(single[0])[0] for single in singles] == [
        "0.png",
        names(singles[1][0])[0],
        "3.png",
    ]
    assert find([pictures[0]], folder, similarity_search=True) == singles[:1]
    for many in (pictures, tuple(pictures), iter(pictures), np.stack(pictures)):
        assert find(many, folder, similarity_search=True) == singles
    assert find(pictures, folder, similarity_search=True, batch_size=1) == singles
    assert find(pictures[::-1], folder, similarity_search=True) == singles[::-1]
    assert find([], folder) == []


def search(folder: Path, batch_size: int | None = None, **query: Any) -> GallerySearch:
    pipeline = FacePipeline("skip", "Dlib", batch_size=batch_size)
    return GallerySearch(pipeline, folder, Query(**{"return_type": "dict", **query}), silent=True)


def test_a_stream_gives_what_a_list_gives(folder: Path) -> None:
    numbers = [0, 9, 3, 0, 5, 2, 7]
    for batch_size in (1, 2, 32):
        open_search = search(folder, batch_size, k=4, similarity_search=True)
        found = list(open_search.stream(map(picture, numbers)))
        assert [item.index for item in found] == list(range(7))
        assert {item.source for item in found} == {"numpy array"}
        expected = find([picture(n) for n in numbers], folder, k=4, similarity_search=True)
        assert [item.matches for item in found] == expected
        assert open_search(picture(9)) == expected[1] and open_search([picture(9)]) == expected[1:2]
    assert len(open_search) == 9


def test_the_gallery_is_opened_once(
    folder: Path, model: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def count(kind: type) -> None:
        original = kind.__init__  # type: ignore[misc]

        def counted(*args: Any, **kwargs: Any) -> None:
            made.append(kind.__name__)
            original(*args, **kwargs)

        monkeypatch.setattr(kind, "__init__", counted)

    count(datastore.Datastore)
    count(Ranking)
    open_search = search(folder, batch_size=2)
    assert made == ["Datastore"] and model.count == 9
    datastore.forget()  # nobody else keeps it
    for item in open_search.stream(itertools.repeat(picture(0), 9)):
        assert len(item.matches[0]) == 4
    open_search(picture(1))
    assert made == ["Datastore", "Ranking"] and model.count == 19


def test_a_broken_picture_is_an_item(folder: Path) -> None:
    probes = [picture(0), "nowhere.jpg", picture(3), b"broken", picture(1)]
    found = list(search(folder, batch_size=2).stream(probes, on_error="yield"))
    assert [item.error is None for item in found] == [True, False, True, False, True]
    assert [names(item.matches[0])[0] for item in found[::2]] == ["0.png", "3.png", "1.png"]
    assert found[1].source == "nowhere.jpg" and found[1].matches == []
    assert "item 1 (nowhere.jpg): Confirm that nowhere.jpg exists" in str(found[1].error)
    stream = search(folder, batch_size=1).stream(probes)
    assert next(stream).index == 0
    with pytest.raises(DeepFaceError, match=r"item 1 \(nowhere.jpg\)"):
        next(stream)


def test_memory_is_that_of_some_batches(folder: Path) -> None:
    alive: set[int] = set()

    def probes() -> Iterator[Any]:  # without an end
        for number in itertools.count():
            one = picture(number % 9)
            alive.add(number)
            weakref.finalize(one, alive.remove, number)
            yield one
            del one

    most = 0
    for _ in itertools.islice(search(folder, batch_size=4).stream(probes()), 200):
        most = max(most, len(alive))
    assert 0 < most <= 2 * 4 + 1


def test_frames_of_a_video_have_times(folder: Path, tmp_path: Path) -> None:
    clip = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(clip, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for number in range(6):
        writer.write(picture(number))
    writer.release()
    found = list(search(folder, threshold=1).stream(clip, every=2))
    assert [item.source for item in found] == [f"{clip}#{number}" for number in (0, 2, 4)]
    assert [item.seconds for item in found] == pytest.approx([0, 0.2, 0.4])
    assert [names(item.matches[0])[0] for item in found] == ["0.png", "2.png", "4.png"]


def test_wrong_use_of_a_search(folder: Path) -> None:
    with pytest.raises(ValueError, match="give the pipeline a model_name"):
        GallerySearch(FacePipeline("skip"), folder)
    with pytest.raises(UnimplementedError, match="unknown on_error 'ignore'"):
        search(folder).stream([], on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="every must be at least 1"):
        search(folder).stream("clip.avi", every=0)


def test_kinds_of_pictures(folder: Path) -> None:
    expected = find(picture(3), folder)
    encoded = cv2.imencode(".png", picture(3))[1].tobytes()
    for kind in (folder / "3.png", str(folder / "3.png"), encoded, io.BytesIO(encoded)):
        assert find(kind, folder) == expected


def test_kinds_of_folders(folder: Path) -> None:
    expected = find(picture(3), str(folder))
    for kind in (folder, os.fsencode(folder), np.str_(folder), np.array([str(folder)])[0]):
        assert find(picture(3), kind) == expected


@pytest.mark.skipif(os.name == "nt", reason="the working folder cannot be removed there")
def test_in_a_working_folder_that_is_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = find(picture(3), folder)
    (gone := folder.parent / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert find(picture(3), folder) == expected
    with pytest.raises(PathNotFound, match=r"Passed path \. does not exist"):
        find(picture(3), ".")


def test_only_changes_are_embedded(folder: Path, model: StandIn) -> None:
    find(picture(0), folder)
    assert model.count == 10
    find(picture(0), folder)
    assert model.count == 11
    cv2.imwrite(str(folder / "1.png"), picture(0))
    (folder / "sub/near0.png").rename(folder / "moved.png")
    (folder / "0.png").unlink()
    (rows,) = find(picture(0), folder)
    assert model.count == 14
    assert sorted(names(rows)) == ["1.png", "moved.png", "near1.png", "near2.png"]


def test_without_refresh(folder: Path, model: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(EmptyDatasource, match="Nothing is found in"):
        find(picture(0), folder, refresh_database=False)
    before = find(picture(0), folder)
    content = (folder / NPZ).read_bytes()
    (folder / "0.png").unlink()
    assert find(picture(0), folder, refresh_database=False, silent=False) == before
    assert "refresh_database is off" in caplog.text
    assert (folder / NPZ).read_bytes() == content


def test_one_bad_file_costs_one_file(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = find(picture(0), folder)
    (folder / NPZ).unlink()
    (folder / "sub/bad.png").write_bytes(b"\x89PNG\r\n\x1a\n bad")
    assert find(picture(0), folder) == expected
    assert f"Exception while extracting faces from {folder / 'sub/bad.png'}" in caplog.text
    caplog.clear()
    find(picture(0), folder)
    assert not caplog.text, "it is not tried again while it is the same"


def test_a_network_that_does_not_run_is_no_bad_file(
    folder: Path, model: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    model.breaks_on = 1
    with pytest.raises(ValueError, match="the network does not run"):
        find(picture(0), folder)
    assert not (folder / NPZ).exists()
    model.breaks_on = 2  # in batches only: each picture alone goes through
    (rows,) = find(picture(0), folder)
    assert len(rows) == 4


def test_pictures_without_a_face(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(EmptyDatasource, match="no face was found in any of the 9 pictures"):
        find(picture(0), folder, detector_backend="opencv")
    assert caplog.text.count("Face could not be detected") == 9
    (folder / NPZ.replace("skip", "opencv")).unlink()
    (rows,) = find(picture(0), folder, detector_backend="opencv", enforce_detection=False)
    assert len(rows) == 4
    with pytest.raises(FaceNotDetected):
        find(picture(0), folder, detector_backend="opencv")
    assert find(picture(0), folder, detector_backend="opencv", enforce_detection="empty") == []


def test_an_old_pickle_is_left_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    pickled = folder / NPZ.replace(".npz", ".pkl")
    pickled.write_bytes(b"cposix\nsystem\n(S'false'\ntR.")
    find(picture(0), folder, silent=False)
    assert caplog.text.count("older version is left alone") == 1
    assert pickled.read_bytes().startswith(b"cposix")
    caplog.clear()
    find(picture(0), folder, silent=False)
    assert "older version" not in caplog.text


def test_silence(folder: Path, caplog: pytest.LogCaptureFixture, capsys: Any) -> None:
    find(picture(0), folder, silent=True)
    assert not caplog.text and not "".join(capsys.readouterr())
    find(picture(0), folder, silent=False)
    assert "Searching numpy array in 9 length datastore" in caplog.text
    assert "find function duration" in caplog.text


def test_a_datastore_of_another_model(folder: Path, model: StandIn) -> None:
    find(picture(0), folder)
    model.output_shape = 128
    datastore.forget()
    with pytest.raises(DimensionMismatchError, match="has vectors of 16 dimensions"):
        find(picture(0), folder)


def test_credentials(folder: Path) -> None:
    lightdsa = pytest.importorskip("lightdsa")
    key = lightdsa.LightDSA(algorithm_name="eddsa")
    assert find(picture(0), folder, credentials=key) == find(picture(0), folder, credentials=key)
    with pytest.raises(DeepFaceError, match="by these credentials"):
        find(picture(0), folder, credentials=lightdsa.LightDSA(algorithm_name="eddsa"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"folder": "nowhere"}, PathNotFound, "Passed path nowhere does not exist!"),
        ({"folder": "nothing://bucket"}, PathNotFound, "Protocol not known: nothing"),
        ({"img": None}, ImgNotFound, "img_path is None"),  # as published
        ({"img": 5}, DataTypeError, "img must be numpy array or str"),
        ({"img": "nowhere.jpg"}, DeepFaceError, "nowhere.jpg"),
        ({"distance_metric": "cosinus"}, ValueError, "cosinus"),
        ({"return_type": "list"}, UnimplementedError, "unknown return_type 'list'; use one of pan"),
        ({"datastore_format": "pkl"}, ValueError, "unknown datastore_format 'pkl'"),
        ({"k": -1}, ValueError, "k must be at least 0"),
        ({"k": 1.5}, ValueError, "k must be a whole number, but it is 1.5"),
        ({"k": "3"}, ValueError, "k must be a whole number, but it is '3'"),
        ({"threshold": float("nan")}, ValueError, "threshold must be a number, but it is nan"),
        ({"threshold": "0.4"}, ValueError, "threshold must be a number, but it is '0.4'"),
        ({"distance_metric": None}, UnimplementedError, "unknown distance_metric None"),
        ({"credentials": {"key": 1}}, ValueError, "algorithm_name"),
        ({"credentials": "secret"}, DataTypeError, "credentials"),
        ({"model_name": "Nobody"}, UnimplementedError, "Nobody"),
        ({"detector_backend": "nobody"}, UnimplementedError, "nobody"),
    ],
)
def test_wrong_arguments(
    arguments: dict[str, Any],
    error: type[Exception],
    message: str,
    folder: Path,
    model: StandIn,
) -> None:
    """They are refused before the folder is worked on."""
    with pytest.raises(error, match=message):
        find(**{"img": picture(0), "folder": folder, **arguments})
    assert model.count == 0 or "img" in arguments


def test_an_empty_folder(tmp_path: Path, model: StandIn) -> None:
    with pytest.raises(EmptyDatasource, match="No item found in"):
        find(picture(0), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({}, "ds_model_vggface_detector_opencv_aligned_normalization_base_expand_0"),
        (
            {"align": False, "normalization": "Facenet2018", "expand_percentage": 10},
            "ds_model_vggface_detector_opencv_unaligned_normalization_facenet2018_expand_10",
        ),
        (
            {"detector_backend": "yolov8", "align": "landmarks", "border": 0, "min_face_size": 20},
            "ds_model_vggface_detector_yolov8n_landmarks_normalization_base_expand_0_border_0"
            "_minfacesize_20",
        ),
        (
            {"precision": "bf16", "border": 0.25},
            "ds_model_vggface_detector_opencv_aligned_normalization_base_expand_0_border_0.25"
            "_precision_bf16",
        ),
        (
            {"max_faces": 1, "l2_normalize": True, "minmax_normalize": True, "decode": "device"},
            "ds_model_vggface_detector_opencv_aligned_normalization_base_expand_0_maxfaces_1"
            "_l2normalize_minmaxnormalize_decode_device",
        ),
        (
            {"precision": "fp32", "align": False, "border": 0},
            "ds_model_vggface_detector_opencv_unaligned_normalization_base_expand_0",
        ),
    ],
)
def test_names_of_datastores(arguments: dict[str, Any], name: str) -> None:
    assert datastore_name(FacePipeline(model_name="VGG-Face", **arguments)) == name


@needs_dlib
def test_with_the_real_network(tmp_path: Path) -> None:
    """Faces of pictures that come with packages, several in a picture."""
    for path in package_pictures():
        shutil.copy(path, tmp_path)
    crowd = tmp_path / "bus.jpg"
    results = find(crowd, tmp_path, detector_backend="mtcnn")
    assert len(results) > 1
    for rows in results:
        assert rows[0]["identity"] == str(crowd) and rows[0]["distance"] == 0
        for name in "xywh":
            assert rows[0][f"target_{name}"] == rows[0][f"source_{name}"]


#: What version 0.0.103 gave for Abel_Pacheco_0001.jpg among these pictures of LFW (Dlib, opencv).
PUBLISHED = [
    ("Abel_Pacheco_0001.jpg", (69, 70, 113, 113), 0.0, 100.0),
    ("Abel_Pacheco_0002.jpg", (65, 65, 120, 120), 0.057361, 61.20),
    ("Abel_Pacheco_0004.jpg", (70, 66, 114, 114), 0.065257, 54.54),
    ("Alan_Dershowitz_0001.jpg", (64, 66, 120, 120), 0.086426, 23.22),
    ("Akhmed_Zakayev_0002.jpg", (73, 69, 114, 114), 0.095547, 21.17),
    ("Ahmad_Jbarah_0001.jpg", (75, 76, 105, 105), 0.110081, 17.97),
    ("Akhmed_Zakayev_0003.jpg", (62, 61, 128, 128), 0.124540, 14.88),
    ("Akhmed_Zakayev_0001.jpg", (65, 67, 119, 119), 0.127288, 14.30),
    ("Abdel_Madi_Shabneh_0001.jpg", (65, 64, 116, 116), 0.129316, 13.87),
    ("Alanis_Morissette_0001.jpg", (71, 72, 109, 109), 0.152284, 9.18),
    ("Afton_Smith_0001.jpg", (62, 65, 132, 132), 0.162950, 7.07),
    ("Abdul_Rahman_0001.jpg", (67, 67, 117, 117), 0.166589, 6.36),
]


@needs_dlib
@needs_pandas
def test_as_published(tmp_path: Path) -> None:
    for name, *_ in PUBLISHED:
        shutil.copy(data("images", "lfw", name.rsplit("_", 1)[0], name), tmp_path)
    query = tmp_path / PUBLISHED[0][0]
    arguments = {"detector_backend": "opencv", "return_type": "pandas"}
    (frame,) = find(query, tmp_path, similarity_search=True, **arguments)
    assert names(frame.to_dict("records")) == [name for name, *_ in PUBLISHED]
    for row, (_, box, distance, confidence) in zip(frame.itertuples(), PUBLISHED, strict=True):
        assert (row.target_x, row.target_y, row.target_w, row.target_h) == box
        assert (row.source_x, row.source_y, row.source_w, row.source_h) == PUBLISHED[0][1]
        assert row.distance == pytest.approx(distance, abs=2e-6)
        # Two digits of a number that follows from the distance: the last one may turn.
        assert row.confidence == pytest.approx(confidence, abs=0.011)
        assert row.threshold == 0.07
    (matches,) = find(query, tmp_path, **arguments)
    assert matches.equals(frame.head(3))


def failing(error: BaseException) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [
        OSError(24, "Too many open files"),
        OSError(23, "Too many open files in system"),
        OSError(5, "Input/output error"),
        OSError(12, "Cannot allocate memory"),
        OSError(116, "Stale file handle"),
        MemoryError(),
        cv2.error("OpenCV(4) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9"),
        RuntimeError("can't start new thread"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("where", ["cv2.imdecode", "the network"])
def test_a_failure_of_the_machine_is_no_property_of_a_picture(
    error: BaseException, where: str, folder: Path, monkeypatch: pytest.MonkeyPatch, model: StandIn
) -> None:
    """Nothing of it is stored, and the next call finds what it should."""
    expected = find(picture(0), folder)
    (folder / NPZ).unlink()
    datastore.forget()
    if where.startswith("cv2"):
        monkeypatch.setattr(where, failing(error))
    else:
        model.embed = failing(error)  # type: ignore[method-assign]
    with pytest.raises(ValueError):
        find(folder / "0.png", folder)
    monkeypatch.undo()
    vars(model).pop("embed", None)
    datastore.forget()
    assert find(picture(0), folder) == expected
    with np.load(folder / NPZ) as arrays:
        assert arrays["has_embedding"].all() and len(arrays["identity"]) == 9


def test_a_pipe_is_no_picture(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """To open it would be to wait for whoever writes into it."""
    expected = find(picture(0), folder)
    os.mkfifo(folder / "x.jpg")
    os.mkfifo(folder / NPZ.replace("skip", "opencv"))
    assert find(picture(0), folder) == expected
    assert caplog.text.count("x.jpg") == 1
    with pytest.raises(DeepFaceError, match="no regular file"):
        find(picture(0), folder, detector_backend="opencv")


def test_a_wrong_format_is_told_before_the_model_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))  # which has no weights
    monkeypatch.setenv("DEEPFACE_OFFLINE", "1")
    monkeypatch.setitem(cached_models, "facial_recognition", {})
    with pytest.raises(DeepFaceError, match="datastore_format"):
        DeepFace.find(picture(0), tmp_path, datastore_format="csv")
