"""What a checkpoint may hold, and what happens with the others."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from deepface.detection.yolo import ultralytics_import
from deepface.detection.yolo.checkpoint import load_checkpoint
from deepface.detection.yolo.ultralytics_import import import_ultralytics
from deepface.errors import MissingPackageError, WeightsError
from tests.detection.yolo.checkpoints import SIZE, save, write_random
from tests.interleaved import at_once
from tests.runtime.weights.mutations import mutations


class Call:
    """Pickles as a call that happens when the file is opened."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def with_state(cls: type[nn.Module], **state: Any) -> nn.Module:
    """A module that has this state and nothing else."""
    module = cls.__new__(cls)
    module.__dict__.update(state)
    return module


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random(tmp_path_factory.mktemp("yolo") / "good.pt", "yolov11n")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that malicious checkpoints make when they get their way."""
    return tmp_path / "marker"


def refused(path: Path, match: str) -> None:
    with pytest.raises(WeightsError, match=match):
        load_checkpoint(path)


def test_a_good_one(good: Path) -> None:
    checkpoint = load_checkpoint(good)
    assert checkpoint.size == SIZE
    assert not checkpoint.graph.training
    parameters = dict(checkpoint.graph.named_parameters())
    assert {value.dtype for value in parameters.values()} == {torch.float32}
    assert not any(isinstance(m, nn.BatchNorm2d) for m in checkpoint.graph.modules())


def test_the_average_of_the_training_is_preferred(good: Path, tmp_path: Path) -> None:
    import_ultralytics()
    content = torch.load(good, weights_only=False)
    content["ema"], content["model"] = content["model"], None
    torch.save(content, tmp_path / "ema.pt")
    assert load_checkpoint(tmp_path / "ema.pt").size == SIZE


def test_numbers_paths_and_settings_of_a_training_do_not_matter(good: Path, tmp_path: Path) -> None:
    import numpy as np

    import_ultralytics()
    from ultralytics.nn.modules.head import Detect
    from ultralytics.utils import IterableSimpleNamespace

    content = torch.load(good, weights_only=False)
    content["best_fitness"] = np.float64(0.5)
    content["model"].args = IterableSimpleNamespace(data=Path("a/b"))
    content["model"].model[-1].detect = Call(getattr, Detect, "forward")
    torch.save(content, tmp_path / "trained.pt")
    assert load_checkpoint(tmp_path / "trained.pt").size == SIZE


@pytest.mark.parametrize("name", ["PosixPath", "WindowsPath"])
def test_paths_of_a_training_in_python_3_13(
    name: str, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_ultralytics()
    content = torch.load(good, weights_only=False)
    written = ModuleType("pathlib._local")
    kind = type(name, (), {"__module__": written.__name__})
    monkeypatch.setattr(written, name, kind, raising=False)
    monkeypatch.setitem(sys.modules, written.__name__, written)
    content["data"] = Call(kind, "a", "b")
    torch.save(content, tmp_path / "trained.pt")
    assert load_checkpoint(tmp_path / "trained.pt").size == SIZE


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda marker: Call(os.system, f"touch {marker}"), "system"),
        (lambda marker: Call(eval, f"open({str(marker)!r}, 'w')"), "builtins.eval"),
        (lambda marker: Call(exec, f"open({str(marker)!r}, 'w')"), "builtins.exec"),
        (lambda marker: Call(torch.load, str(marker)), "torch.serialization.load"),
        (lambda marker: Call(importlib.import_module, "antigravity"), "importlib.import_module"),
        (lambda marker: Call(Path.write_text, marker, "x"), "pathlib"),
    ],
)
def test_foreign_names_are_refused(
    call: Callable[[Path], Call], name: str, marker: Path, tmp_path: Path
) -> None:
    refused(save(tmp_path / "evil.pt", call(marker)), f"names .*{name}.*was not opened")
    assert not marker.exists()


def test_calls_of_allowed_classes_are_refused(marker: Path, tmp_path: Path) -> None:
    """The constructor of a real DetectionModel evaluates the activation that it is given."""
    import_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    yaml = {"activation": f"open({str(marker)!r}, 'w')", "backbone": [], "head": [], "nc": 1}
    evil = save(tmp_path / "evil.pt", Call(DetectionModel, yaml))
    refused(evil, "DetectionModel is called with arguments")
    assert not marker.exists()
    # Also when the program has allowed the real class for itself.
    with torch.serialization.safe_globals([DetectionModel]):
        refused(evil, "DetectionModel is called with arguments")
    assert not marker.exists()


def test_getattr_is_not_getattr(tmp_path: Path) -> None:
    """Its stand-in gives nothing that could be called."""
    inner = Call(getattr, nn.SiLU, "__init__")
    refused(save(tmp_path / "evil.pt", with_state(nn.Conv2d, a=inner)), "no YOLO network")
    import_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    refused(save(tmp_path / "evil.pt", with_state(DetectionModel, a=inner)), "incomplete")


def test_another_task_is_refused(tmp_path: Path) -> None:
    import_ultralytics()
    from ultralytics.nn.tasks import ClassificationModel

    network = ClassificationModel("yolov8n-cls.yaml", nc=2, verbose=False)  # type: ignore[no-untyped-call]
    path = save(tmp_path / "classes.pt", network)
    refused(path, "holds a ClassificationModel, and face detection needs a DetectionModel or")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"weight": torch.zeros(1)}, "no YOLO network"),
        ([1, 2], "no YOLO network"),
        ({"model": nn.Conv2d(1, 1, 1)}, "no YOLO network"),
    ],
)
def test_other_content_is_refused(content: Any, match: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    refused(tmp_path / "other.pt", match)


def itself() -> Any:
    """A list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "change",
    [
        {"ema": torch.zeros(3)},
        {"ema": itself()},
        {"ema": {"a": itself()}},
        {"ema": nn.Conv2d(1, 1, 1)},
        {"train_args": [1]},
        {"train_args": {"imgsz": 1 << 40}},
        {"train_args": {"imgsz": "640"}},
        {"train_args": {"imgsz": itself()}},
        {"model": itself(), "ema": None},
    ],
)
def test_what_surrounds_a_network_can_be_anything(
    good: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    import_ultralytics()
    content = torch.load(good, weights_only=False) | change
    torch.save(content, tmp_path / "odd.pt")
    refused(tmp_path / "odd.pt", r"odd\.pt.*(no YOLO network|incomplete)")


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("model.0.conv", "padding", (10**9, 10**9)),
        ("model.0.conv", "stride", (0.5, 0.5)),
        ("model.0.conv", "stride", None),
        ("model.0.conv", "groups", 7),
        ("model.0", "conv", None),
        ("model.0", "conv", itself()),
        ("model.0", "act", "sigmoid"),
        ("model.1", "f", 10**9),
        ("model.11", "scale_factor", 1e9),
        ("model.23", "stride", "a text"),
        ("model.23", "nc", -1),
        ("", "save", None),
        ("", "model", itself()),
    ],
)
def test_a_network_with_impossible_settings(
    good: Path, tmp_path: Path, path: str, name: str, value: Any
) -> None:
    import_ultralytics()
    content = torch.load(good, weights_only=False)
    module = content["model"].get_submodule(path)
    module._modules.pop(name, None)
    module.__dict__[name] = value
    torch.save(content, tmp_path / "odd.pt")
    try:
        load_checkpoint(tmp_path / "odd.pt")
    except WeightsError as error:
        assert str(tmp_path / "odd.pt") in str(error)
    else:
        assert name in ("nc", "act"), "this is not used, but the others are"


def test_damaged_copies_of_a_network(good: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(good) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (pickled,) = (name for name in members if name.endswith("data.pkl"))
    outcomes: Counter[str] = Counter()
    for number, copy in enumerate(mutations(members[pickled], 60)):
        path = tmp_path / f"{number}.pt"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in (members | {pickled: copy}).items():
                archive.writestr(name, content)
        try:
            load_checkpoint(path)
            outcomes["a network"] += 1
        except WeightsError as error:
            assert str(path) in str(error)
            outcomes["an error"] += 1
        path.unlink()
    assert outcomes["an error"] > 20, outcomes


def test_damaged_files_are_refused(good: Path, tmp_path: Path) -> None:
    content = good.read_bytes()
    for name, part in (
        ("empty", b""),
        ("truncated", content[: len(content) // 2]),
        ("page", b"<!DOCTYPE html>"),
    ):
        path = tmp_path / f"{name}.pt"
        path.write_bytes(part)
        refused(path, rf"{name}.pt \({len(part)} bytes\): it is damaged")


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none.pt")


def test_without_ultralytics(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ultralytics.nn.tasks", raising=False)
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(MissingPackageError, match='pip install "ultralytics>=') as caught:
        load_checkpoint(good)
    assert isinstance(caught.value, ImportError)


def test_with_an_old_ultralytics(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_ultralytics()
    from ultralytics.nn.modules import block

    monkeypatch.delattr(block, "C3k2")
    with pytest.raises(MissingPackageError, match=r"good\.pt.* C3k2, .* pip install --upgrade"):
        load_checkpoint(good)


SCRIPT = """
import json, os, sys, warnings
import cv2, numpy, PIL.Image, torch
import deepface.detection.yolo.checkpoint  # its own modules, compiled and loaded

def state():
    return {
        "environment": dict(os.environ),
        "threads": [cv2.getNumThreads(), torch.get_num_threads()],
        "functions": [id(f) for f in (PIL.Image.open, torch.save, cv2.imread, cv2.imwrite)],
        "printing": [str(numpy.get_printoptions()), str(torch.tensor([1 / 3]).expand(30))],
        "warnings": [str(f) for f in warnings.filters],
    }

torch.tensor([1.0]).expand(30).__repr__()
before, events = state(), []

def watch(event, arguments):
    if event == "open":
        _, mode, flags = arguments
        writes = any(c in (mode or "") for c in "wax+") or flags & (os.O_WRONLY | os.O_RDWR)
        if writes:
            events.append([event, str(arguments[0])])
    elif event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.fork")):
        events.append([event, str(arguments)])
    elif event in ("os.mkdir", "os.rename", "os.link", "os.symlink"):
        events.append([event, str(arguments[0])])

sys.addaudithook(watch)
deepface.detection.yolo.checkpoint.load_checkpoint(sys.argv[1])
print(json.dumps({"before": before, "after": state(), "events": events}))
"""


def test_nothing_is_written_asked_or_changed(good: Path, tmp_path: Path) -> None:
    """The import of ultralytics alone would do each of these things."""
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary)}
    for name in ("YOLO_CONFIG_DIR", "XDG_CONFIG_HOME", "OMP_NUM_THREADS"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(SCRIPT), str(good)],
        env=environment,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)  # nothing else was printed either
    assert result["before"] == result["after"]
    outside = [event for event in result["events"] if not event[1].startswith(str(temporary))]
    assert outside == []
    assert list(home.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_threads_import_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["ultralytics", "ultralytics.nn", "ultralytics.nn.tasks"]
    entered: list[str] = []

    class Folder(tempfile.TemporaryDirectory[str]):
        def __enter__(self) -> str:
            entered.append(self.name)
            for name in names:
                sys.modules[name] = ModuleType(name)
            return super().__enter__()

    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(tempfile, "TemporaryDirectory", Folder)
    try:
        at_once(lambda _: import_ultralytics(), ultralytics_import, threads=4)
    finally:
        for name in names:
            sys.modules.pop(name, None)  # what was there comes back
    assert len(entered) == 1
