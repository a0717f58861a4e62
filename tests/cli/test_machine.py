"""``models``, ``doctor`` and ``bench``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepface.cli import bench
from deepface.cli import doctor as clinic
from deepface.cli.models import kinds
from deepface.modeling import AVAILABLE_MODELS
from deepface.runtime.home import weights_folder
from deepface.runtime.weights.table import WEIGHT_FILES
from tests.cli.command import lines, run
from tests.data import package_pictures, weight
from tests.stand_ins import ColorModel, cached

YUNET = "face_detection_yunet_2023mar.onnx"
WHEELS = {"opencv-python": "4.14.0.94"}


def test_every_model_is_listed() -> None:
    assert [list(cards) for cards in kinds().values()] == [
        AVAILABLE_MODELS[task]
        for task in ("face_detector", "facial_recognition", "facial_attribute", "spoofing")
    ]


def test_list_of_models() -> None:
    weight(YUNET)
    rows = {row["name"]: row for row in lines(run("models"))}
    assert rows["opencv"]["state"] == "ready"
    assert rows["yunet"]["state"] == "ready"
    assert rows["yunet"]["weights"] == str(weights_folder() / YUNET)
    assert rows["yunet"]["MB"] == 0.2
    assert rows["yolov12l"]["state"] == "not downloaded"


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepface.runtime.card.find_spec", lambda package: None)
    rows = {row["name"]: row for row in lines(run("models"))}
    assert rows["yolov8n"]["state"] == "needs: pip install ultralytics"


def test_download() -> None:
    weight(YUNET)
    result = run("models", "download", "yunet", YUNET)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == [str(weights_folder() / YUNET)]
    result = run("models", "download", "Facenet")
    assert result.exit_code == 1
    assert "DEEPFACE_OFFLINE" in result.stderr


def test_doctor_finds_nothing_broken_here() -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.stdout
    assert result.stderr == "all is well\n"
    assert "opencv-python" in result.stdout


def _findings(check: str) -> list[clinic.Finding]:
    return list(getattr(clinic, check)())


@pytest.mark.parametrize(
    ("wheels", "what"),
    [
        ({}, "missing"),
        ({**WHEELS, "opencv-contrib-python": "4.13"}, "2 OpenCV wheels overwrite"),
        ({"opencv-python": "5.0.0"}, "version 5"),
    ],
)
def test_doctor_on_opencv(
    wheels: dict[str, str], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clinic, "installed", wheels.get)
    (finding,) = _findings("check_opencv")
    assert finding.state == "broken"
    assert what in finding.what
    assert finding.fix is not None and finding.fix.endswith('pip install "opencv-python>=4.11,<5"')
    result = run("doctor")
    assert result.exit_code == 1
    assert f"broken  {finding.what}\n        -> {finding.fix}\n" in result.stdout
    assert result.stderr == f"{len(re.findall('^broken ', result.stdout, re.MULTILINE))} broken\n"


def test_doctor_reads_requirements_from_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = ["numpy>=2", "h5py>=3.8", "opencv-python<5", 'ray; extra == "ray"', "torch>=2.6"]
    metadata += ['tomli; python_version < "3"']
    monkeypatch.setattr(clinic, "requires", lambda name: metadata)
    monkeypatch.setattr(clinic, "installed", {"torch": "2.5.1+cpu", "numpy": "2.5.0rc1"}.get)
    *broken, good = _findings("check_required")
    fixes = ['pip install "h5py>=3.8"', 'pip install "torch>=2.6"']
    assert [(finding.state, finding.fix) for finding in broken] == [("broken", f) for f in fixes]
    assert good == clinic.Finding("ok", "numpy 2.5.0rc1")


def test_doctor_where_deepface_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(clinic, "requires", requires)
    (finding,) = _findings("check_required")
    assert finding.state == "broken"
    assert "not installed" in finding.what


def test_doctor_on_two_onnx_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clinic, "installed", {"onnxruntime": "1", "onnxruntime-gpu": "1"}.get)
    assert _findings("check_onnx")[0].state == "broken"


def test_doctor_on_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_DEVICE", "abacus")
    (finding,) = _findings("check_device")
    assert finding.state == "broken"
    assert "abacus" in finding.what


def test_doctor_on_damaged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    weights_folder().mkdir(parents=True)
    (weights_folder() / YUNET).write_bytes(b"half")
    (broken,) = [found for found in _findings("check_weights") if found.state == "broken"]
    assert "4 bytes instead of 232589" in broken.what
    assert broken.fix is not None and broken.fix.endswith(f"deepface models download {YUNET}")


#: What stands in the place of weights after a download that went wrong.
JUNK = {
    "nothing": b"",
    "a page": b"<!DOCTYPE html><html>You have exceeded your quota</html>",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 232589\n",
    "zeros": bytes(5000),
    "an empty archive": b"PK\x05\x06" + bytes(18),
    "the start of an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(88),
}


@pytest.mark.parametrize("content", JUNK.values(), ids=JUNK)
def test_junk_is_never_called_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "a home; it's"))
    monkeypatch.delenv("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS")
    for name in WEIGHT_FILES:
        path = weights_folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for row in lines(run("models")):
        assert row["weights"] is None or row["state"].startswith(("damaged: ", "needs: ")), row
    broken = [found for found in _findings("check_weights") if found.state == "broken"]
    told = {shlex.split(found.fix or "")[-1]: found for found in broken}
    assert set(told) == set(WEIGHT_FILES) and len(broken) == len(WEIGHT_FILES)
    for name, found in told.items():
        path = weights_folder() / name
        assert str(path) in found.what
        words = ["rm", str(path), "&&", "deepface", "models", "download", name]
        assert shlex.split(found.fix or "") == words


def test_doctor_says_how_weights_are_verified() -> None:
    weight(YUNET)
    told = [found.what for found in _findings("check_weights") if YUNET in found.what]
    assert told == [f"{weights_folder() / YUNET}, verified before it is opened by: published hash"]


def test_bench() -> None:
    portrait = package_pictures()[0]
    result = run("bench", portrait, "--seconds", "0.1", "--batch-size", "2")
    assert result.exit_code == 0, result.stderr
    decoding, detecting = lines(result)
    assert decoding["what"] == "decoding"
    assert detecting["what"] == "opencv"
    assert detecting["batch_size"] == 2
    assert detecting["faces_per_image"] == 1
    assert detecting["images_per_s"] > 0 and decoding["images_per_s"] > 0


def test_rows_of_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure for decoding, and one for each batch size, for as many pictures as fill it."""
    portrait = str(package_pictures()[0])
    measured: list[int | None] = []

    def once(call: Callable[[], int | None], seconds: float) -> tuple[float, int | None]:
        assert seconds == 5
        measured.append(call())
        return 0.7, measured[-1] and 2

    monkeypatch.setattr(bench, "timed", once)
    result = run("bench", portrait, portrait, portrait, "--detector-backend", "skip")
    assert result.exit_code == 0, result.stderr
    decoding, *detecting = lines(result)
    assert decoding == {
        "what": "decoding", "batch_size": None, "images_per_s": 4.29, "ms_per_image": 233.33,
        "faces_per_image": None,
    }  # fmt: skip
    assert [row["batch_size"] for row in detecting] == [1, 8, 32]
    assert [row["images_per_s"] for row in detecting] == [4.29, 12.86, 47.14]
    assert [row["faces_per_image"] for row in detecting] == [0.67, 0.22, 0.06]
    assert measured == [None, 3, 9, 33]


def test_seconds_of_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    portrait = str(package_pictures()[0])
    asked: list[float] = []
    monkeypatch.setattr(
        bench,
        "timed",
        lambda call, seconds: (asked.append(seconds) or 1.0, None),  # type: ignore[func-returns-value]
    )
    skip = ("--detector-backend", "skip", "--batch-size", "1")
    assert run("bench", portrait, *skip, "--seconds", "0.1").exit_code == 0
    assert set(asked) == {0.1}
    for seconds in ("0.09", "0", "-1", "x"):
        assert run("bench", portrait, *skip, "--seconds", seconds).exit_code == 2


def test_what_bench_measures_is_named() -> None:
    portrait = str(package_pictures()[0])
    with cached("facial_recognition", "colors", ColorModel()):
        result = run(
            *("bench", portrait, "--seconds", "0.1", "--batch-size", "1"),
            *("--detector-backend", "skip", "--model-name", "colors"),
        )
    assert [row["what"] for row in lines(result)] == ["decoding", "skip + colors"]


def test_durations_are_medians_without_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 5.0, 10.0, 11.0, 20.0, 22.0])
    monkeypatch.setattr(bench, "time", SimpleNamespace(perf_counter=clock.__next__))
    calls: list[int] = []

    def call() -> int:
        calls.append(1)
        return len(calls)

    assert bench.timed(call, 8.0) == (2.0, 1)  # of 5, 1 and 2 seconds
    assert len(calls) == 4


def test_pictures_of_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("")
    empty = run("bench", tmp_path)
    assert empty.exit_code == 2 and "there is no picture in INPUTS" in empty.stderr
    assert bench.default_pictures(()) == [str(path) for path in package_pictures()]
    monkeypatch.setattr("deepface.runtime.packages.package_file", lambda *names: None)
    none = run("bench")
    assert none.exit_code == 2 and "give pictures" in none.stderr
    wrong = run("bench", package_pictures()[0], "--model-name", "nobody")
    assert wrong.exit_code == 2 and "nobody" in wrong.stderr


@pytest.mark.parametrize("seconds", ["inf", "1e400", "0", "-1", "x"])
def test_bench_ends(seconds: str) -> None:
    refused = run("bench", package_pictures()[0], "--seconds", seconds)
    assert refused.exit_code == 2 and "--seconds" in refused.stderr
