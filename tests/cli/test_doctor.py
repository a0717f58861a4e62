"""``doctor`` on machines that lack one thing or another, and ``models`` on one without weights."""

from __future__ import annotations

import builtins
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepface import __version__
from deepface.cli import doctor as clinic
from deepface.cli import models as shelf
from deepface.cli.doctor import Finding
from deepface.runtime import engine
from deepface.runtime.home import weights_folder
from tests.cli.command import lines, run
from tests.data import weight

YUNET = "face_detection_yunet_2023mar.onnx"
ONNX_USES = "models SFace, Buffalo_L; .onnx weights; small networks on a CPU"


def findings(check: str) -> list[Finding]:
    return list(getattr(clinic, check)())


def refuse(monkeypatch: pytest.MonkeyPatch, module: str, error: str) -> None:
    """``import module`` fails."""
    real = builtins.__import__

    def imported(name: str, *arguments: Any, **named: Any) -> Any:
        if name == module:
            raise ImportError(error)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", imported)


def test_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    (finding,) = findings("check_python")
    assert finding.state == "ok"
    assert finding.what.startswith(f"deepface {__version__}, Python 3.")
    assert finding.what.endswith(", 7 processors")


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("libGL.so.1: cannot open", "apt-get install libgl1 libglib2.0-0"),
        ("no such module", "pip uninstall -y opencv-python opencv-contrib-python "
         "opencv-python-headless opencv-contrib-python-headless && "
         'pip install "opencv-python>=4.11,<5"'),
    ],
)  # fmt: skip
def test_an_opencv_that_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, error: str, fix: str
) -> None:
    monkeypatch.setattr(clinic, "installed", {"opencv-python": "4.11.0"}.get)
    refuse(monkeypatch, "cv2", error)
    (finding,) = findings("check_opencv")
    assert finding == Finding("broken", f"opencv-python 4.11.0: {error}", fix)


def test_an_opencv_that_lacks_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clinic, "installed", {"opencv-python-headless": "4.11.0"}.get)
    assert findings("check_opencv") == [Finding("ok", "opencv-python-headless 4.11.0")]
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(imdecode=1))  # type: ignore[arg-type]
    (finding,) = findings("check_opencv")
    assert finding.state == "broken"
    assert finding.what == "opencv-python-headless 4.11.0 lacks CascadeClassifier"
    assert finding.fix is not None and finding.fix.startswith("pip uninstall -y opencv-python ")


@pytest.mark.parametrize("version", ["4.10.0.84", "4.11.0.86", "4.13.0", "5.0.0", "5.1", "10.0"])
def test_versions_of_opencv(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(clinic, "installed", {"opencv-python": version}.get)
    (finding,) = findings("check_opencv")
    assert finding.state == ("ok" if version[:4] in ("4.11", "4.13") else "broken")
    if finding.fix is not None:
        requirements = Path(__file__).parents[2].joinpath("requirements.txt").read_text("utf-8")
        assert any(f'"{needed}"' in finding.fix for needed in requirements.split())


def test_optional_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clinic, "installed", {"dlib": "19.24", "pandas": "2.1"}.get)
    found = {finding.what.split()[0]: finding for finding in findings("check_optional")}
    assert set(found) == {"ultralytics", "dlib", "mediapipe", "pandas", "pyarrow"}
    assert [name for name, finding in found.items() if finding.state == "ok"] == [
        "dlib",
        "pandas",
    ]
    assert found["dlib"].what == "dlib 19.24 (detector dlib, recognition Dlib)"
    assert found["pyarrow"].fix == "pip install pyarrow"
    assert found["pandas"].fix is None


def test_onnx_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clinic, "installed", {}.get)
    assert findings("check_onnx") == [
        Finding("absent", f"onnxruntime ({ONNX_USES})", "pip install onnxruntime")
    ]
    monkeypatch.setattr(clinic, "installed", {"onnxruntime": "1", "onnxruntime-gpu": "1"}.get)
    assert findings("check_onnx") == [
        Finding(
            "broken",
            "onnxruntime and onnxruntime-gpu overwrite each other's files",
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime",
        )
    ]
    monkeypatch.setattr(clinic, "installed", {"onnxruntime-gpu": "1.17"}.get)
    providers = SimpleNamespace(get_available_providers=lambda: ["CUDA", "CPU"])
    monkeypatch.setitem(sys.modules, "onnxruntime", providers)  # type: ignore[arg-type]
    assert findings("check_onnx") == [
        Finding("ok", f"onnxruntime-gpu 1.17 ({ONNX_USES}): CUDA, CPU")
    ]
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace())  # type: ignore[arg-type]
    (finding,) = findings("check_onnx")
    assert finding.state == "broken"
    assert finding.fix == "pip install --force-reinstall onnxruntime-gpu"


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("DEEPFACE_DEVICE", "cpu")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert findings("check_device") == [Finding("ok", "device cpu, 3 threads")]
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    for built, reason in ((None, "is built without CUDA"), ("12.1", "is built for CUDA 12.1")):
        monkeypatch.setattr(torch.version, "cuda", built)
        _, driver = findings("check_device")
        assert driver.state == "absent"
        assert driver.what.endswith(reason)
        assert driver.fix is not None and "pytorch.org/get-started" in driver.fix
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert len(findings("check_device")) == 1
    monkeypatch.setenv("DEEPFACE_DEVICE", "abacus")
    (broken,) = findings("check_device")
    assert (broken.state, broken.fix) == ("broken", "unset DEEPFACE_DEVICE")
    refuse(monkeypatch, "torch", "no torch")
    (absent,) = findings("check_device")
    assert absent.fix == "pip install torch" and "no torch" in absent.what


def test_a_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from deepface.runtime.execution import device

    monkeypatch.setattr(device, "resolve_device", lambda: torch.device("cuda:1"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda place: f"a card at {place}")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda place: (3_000_000_000, 8_000_000_000))
    monkeypatch.setattr(torch.version, "cuda", "12.1")
    assert findings("check_device") == [
        Finding("ok", "device cuda:1: a card at cuda:1, CUDA 12.1, 3.0 of 8.0 GB free")
    ]


def test_the_weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "new"))
    monkeypatch.delenv("DEEPFACE_OFFLINE")
    for free, state in ((1_000_000_000, "ok"), (999_999_999, "broken")):
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, usage=usage: usage)
        first, *rest = findings("check_weights")
        assert first.state == state
        assert first.what.startswith(f"weights folder {weights_folder()}: 1.0 GB free, weights of ")
        assert (first.fix is None) == (state == "ok")
        assert all(finding.state == "ok" for finding in rest)
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused = findings("check_weights")[0]
    assert refused.what == f"the weights folder {weights_folder()} cannot be written"
    assert refused.fix == "export DEEPFACE_HOME=A_FOLDER_OF_YOURS"
    monkeypatch.undo()
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    assert findings("check_weights")[0].state == "broken"
    monkeypatch.setenv("DEEPFACE_OFFLINE", "yes")
    assert findings("check_weights")[-1] == Finding("ok", "DEEPFACE_OFFLINE=yes: no downloads")


def test_models_of_a_home_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    result = run("models")
    assert result.exit_code == 0
    assert result.stderr == f"weights folder: {weights_folder()}, 0.0 MB\n"
    rows = {(row["kind"], row["name"]): row for row in lines(result)}
    known = {(kind, name) for kind, cards in shelf.kinds().items() for name in cards}
    assert set(rows) == known
    opencv = rows["detector", "opencv"]
    assert (opencv["state"], opencv["MB"], opencv["weights"]) == ("ready", None, None)
    for (_, name), row in rows.items():
        if row["state"] == "ready":
            assert row["weights"] is None or str(tmp_path) not in row["weights"]
        else:
            assert row["state"] == "not downloaded" or row["state"].startswith("needs: pip "), name


def test_the_size_of_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = weight(YUNET)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    weights_folder().mkdir(parents=True)
    shutil.copy(real, weights_folder() / YUNET)
    (weights_folder() / "deep").mkdir()
    (weights_folder() / "deep" / "other").write_bytes(bytes(2_000_000))
    result = run("models")
    assert result.stderr == f"weights folder: {weights_folder()}, 2.2 MB\n"
    row = next(row for row in lines(result) if row["name"] == "yunet")
    assert row["MB"] == 0.2 and row["state"] == "ready"


@pytest.mark.parametrize(
    ("model", "package"),
    [
        ("yolov8n", "ultralytics"), ("yolov12l", "ultralytics"), ("mediapipe", "mediapipe"),
        ("dlib", "dlib"), ("Dlib", "dlib"), ("SFace", "onnxruntime"), ("Buffalo_L", "onnxruntime"),
    ],
)  # fmt: skip
def test_packages_of_models(model: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def find_spec(name: str) -> object | None:
        asked.append(name)
        return None

    (card,) = (cards[model] for cards in shelf.kinds().values() if model in cards)
    monkeypatch.setattr("deepface.runtime.card.find_spec", find_spec)
    assert (shelf.missing_package(card) or "").startswith("pip install")
    assert asked == [package]
    monkeypatch.setattr("deepface.runtime.card.find_spec", lambda name: object())
    assert shelf.missing_package(card) is None
    assert shelf.missing_package(shelf.kinds()["detector"]["opencv"]) is None


def test_downloads_take_one_file_of_each_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other kind of a file that is there already."""

    def names(wanted: str) -> list[str]:
        return [file.name for file in shelf.files_of(wanted)]

    assert names(YUNET) == names("yunet") == [YUNET]
    monkeypatch.setattr(engine, "file_on_disk", lambda file: None)
    assert names("Facenet") == ["facenet_weights.pth"]
    assert len(names("Fasnet")) == 2
    assert names("opencv") == []
    there = weights_folder() / "facenet_weights.h5"
    monkeypatch.setattr(
        engine, "file_on_disk", lambda file: there if file.name == there.name else None
    )
    assert names("Facenet") == ["facenet_weights.h5"]
