"""Ray Data on a local cluster of two nodes gives what one process gives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deepface import DeepFace
from deepface.distributed import FaceRows, decode
from deepface.errors import DataTypeError, MissingPackageError, WeightsError
from deepface.recognition.registry import RECOGNIZERS
from deepface.results import Embedding
from tests.data import package_pictures

pa = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install deepface[ray]")

OPTIONS: dict[str, Any] = {"detector_backend": "mtcnn", "model_name": "Dlib"}
#: Set in the process that the cluster's test has for itself.
ALONE = "DEEPFACE_TEST_ALONE"
#: No words home, no package manager, one thread per worker.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(autouse=True, scope="module")
def dlib_is_here() -> None:
    try:
        RECOGNIZERS.build("Dlib")
    except (MissingPackageError, WeightsError) as error:
        pytest.skip(str(error))


def paths() -> list[str]:
    return [*map(str, package_pictures()), "no/such.jpg"]


@cache
def expected_rows() -> list[tuple[str, int, Embedding]]:
    found = DeepFace.represent(paths()[:-1], **OPTIONS, enforce_detection="empty")
    return [
        (path, n, face)
        for path, faces in zip(paths(), found, strict=False)
        for n, face in enumerate(faces)
    ]


def assert_rows(rows: list[dict[str, Any]]) -> None:
    [failed] = [row for row in rows if row["error"] is not None]
    assert failed["path"] == "no/such.jpg"
    assert failed["error"] == "Confirm that no/such.jpg exists"
    assert failed["embedding"] is None
    assert {row["path"] for row in rows} <= {*paths()}
    assert_faces(rows)


def assert_faces(rows: list[dict[str, Any]]) -> None:
    """Those of the pictures, wherever these lie."""
    faces = {(Path(row["path"]).name, row["face"]): row for row in rows if row["error"] is None}
    assert len(rows) - 1 == len(faces) == len(expected_rows()) >= 3
    for path, number, face in expected_rows():
        row = faces[Path(path).name, number]
        assert [row[side] for side in "xywh"] == list(face["facial_area"].values())[:4]
        wanted = np.array(face["embedding"])
        assert np.linalg.norm(row["embedding"] - wanted) <= 1e-5 * np.linalg.norm(wanted)


@pytest.mark.parametrize("decoded_before", [False, True])
def test_without_ray(decoded_before: bool) -> None:
    batch = pa.table({"path": paths()})
    rows = FaceRows(**OPTIONS)(decode(batch) if decoded_before else batch)
    assert_rows(rows.to_pylist())


def test_columns_do_not_depend_on_what_is_found() -> None:
    rows = FaceRows(**OPTIONS)
    empty = rows(pa.table({"path": pa.array([], pa.string())}))
    failed = rows(pa.table({"path": ["no/such.jpg"]}))
    assert empty.schema == failed.schema
    assert failed.column_names == [
        "path", "face", "x", "y", "w", "h", "confidence", "embedding", "error",
    ]  # fmt: skip
    assert (len(empty), len(failed)) == (0, 1)


@pytest.mark.parametrize("decoded_before", [False, True])
def test_whatever_a_path_names_has_rows_of_its_own_alone(
    decoded_before: bool, tmp_path: Path
) -> None:
    """A folder and a video, which a stream opens up, are each one picture that cannot be read."""
    video = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"mp4v"), 5.0, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    (tmp_path / "folder").mkdir()
    picture = str(package_pictures()[0])
    for name in ("a.png", "b.png"):
        (tmp_path / "folder" / name).symlink_to(picture)
    names = [str(video), picture, str(tmp_path / "folder"), "", picture]
    batch = pa.table({"path": names})
    rows = FaceRows(detector_backend="skip")(decode(batch) if decoded_before else batch).to_pylist()
    assert [row["path"] for row in rows] == names
    assert [row["error"] is None for row in rows] == [False, True, False, False, True]


def test_wrong_batches() -> None:
    with pytest.raises(DataTypeError, match="needs a column 'path'; this one has file"):
        FaceRows()(pa.table({"file": ["a.jpg"]}))
    with pytest.raises(DataTypeError, match="batch_format='pyarrow'"):
        FaceRows()({"path": np.array(["a.jpg"])})  # type: ignore[arg-type]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two nodes on this machine, with a CPU for each worker and one for what decodes."""
    ray = pytest.importorskip("ray", reason="needs Ray: pip install deepface[ray]")
    pytest.importorskip("ray.data")
    from ray.cluster_utils import Cluster

    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    nodes = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    nodes.add_node(num_cpus=2)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
    nodes.shutdown()  # type: ignore[no-untyped-call]


@pytest.mark.heavy
def test_a_cluster() -> None:
    """In a process of its own: Ray forks, and hangs where threads of other tests are in gRPC."""
    pytest.importorskip("ray", reason="needs Ray: pip install deepface[ray]")
    if ALONE in os.environ:
        pytest.skip("this is that process")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", __file__, "-k", "two_workers"],
        env={**os.environ, ALONE: "1"},
        capture_output=True,
        text=True,
        timeout=900,  # more than a busy machine takes
    )
    assert result.returncode == 0 and "1 passed" in result.stdout, result.stdout


@pytest.mark.skipif(ALONE not in os.environ, reason="test_a_cluster runs this in a process alone")
@pytest.mark.usefixtures("cluster")
def test_two_workers_give_the_vectors_of_one_process() -> None:
    """Of pictures that were decoded before; the example below leaves that to the worker."""
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    assert len([node for node in nodes if node["Alive"]]) == 2
    pictures: ray.data.Dataset = ray.data.from_items([{"path": path} for path in paths()])
    decoded = pictures.map_batches(decode, batch_format="pyarrow", batch_size=2)
    faces = decoded.map_batches(
        FaceRows,
        fn_constructor_kwargs=OPTIONS,
        batch_format="pyarrow",
        batch_size=2,
        compute=ray.data.ActorPoolStrategy(size=2),
    )
    assert_rows(faces.take_all())


@pytest.mark.heavy
def test_the_example(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install deepface[ray]")
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in package_pictures():
        (photos / path.name).write_bytes(path.read_bytes())
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff but no picture")
    example = Path(__file__).parents[1] / "examples" / "folder_to_parquet.py"
    output = tmp_path / "faces"
    arguments = [
        str(photos),
        str(output),
        "--detector",
        "mtcnn",
        "--model",
        "Dlib",
        "--actors",
        "1",
    ]
    result = subprocess.run(
        [sys.executable, str(example), *arguments],
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        timeout=900,  # more than a busy machine takes
    )
    assert result.returncode == 0, result.stderr
    assert "1 pictures failed" in result.stdout
    assert "bad.jpg: " in result.stdout
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(output).to_pylist()
    assert_faces(rows)
