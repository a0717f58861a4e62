"""One model per device, however the device was named."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from deepface.runtime import models
from deepface.runtime.card import Card
from deepface.runtime.execution.device import resolve_device
from deepface.runtime.models import Registry, cached_models
from tests.interleaved import at_once
from tests.standin import Standin


class Model:
    options = ("precision",)

    def __init__(self, device: str | None = None, precision: str | None = None) -> None:
        self.device = resolve_device(device)


CARD = Card(name="a", model=f"{__name__}:Model", summary="")


@pytest.fixture
def registry() -> Any:
    yield Registry("test-task", [CARD], Card)
    cached_models.pop("test-task", None)


def test_the_default_and_its_name_share_a_model(
    registry: Registry[Model, Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEEPFACE_DEVICE", raising=False)
    automatic = str(resolve_device())
    assert registry.build("a") is registry.build("a", automatic)
    monkeypatch.setenv("DEEPFACE_DEVICE", automatic)
    assert registry.build("a") is registry.build("a", automatic)
    assert list(cached_models["test-task"]) == ["a"], "where scripts look for it"
    assert registry.build("a", precision="bf16") is not registry.build("a")


def test_any_device_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPFACE_DEVICE", raising=False)
    if torch.cuda.device_count() >= 2:
        _any_device_has_its_own(monkeypatch)
        return
    with Standin():
        _any_device_has_its_own(monkeypatch)


def _any_device_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[Model, Card] = Registry("test-task", [CARD], Card)
    names = ("cpu", "cuda:0", "cuda:1")
    models = {name: registry.build("a", name) for name in names}
    assert [str(models[name].device) for name in names] == list(names)
    assert registry.build("a") is registry.build("a", "cuda") is models["cuda:0"]
    for name in (*names, *names[::-1]):
        monkeypatch.setenv("DEEPFACE_DEVICE", name)
        assert registry.build("a") is models[name], "what the environment says now"
        assert registry.build("a", "cuda:1") is models["cuda:1"], "an argument is stronger"
    cached_models.pop("test-task", None)


def test_threads_share_what_the_first_builds(
    registry: Registry[Model, Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Model] = []
    monkeypatch.setattr(Model, "__init__", lambda self, **_: built.append(self))
    at_once(lambda _: registry.build("a", "cpu"), models)
    assert built == [registry.build("a", "cpu")]


def test_torch_is_not_imported_for_the_key() -> None:
    script = (
        "import sys; from deepface.detection.registry import DETECTORS; "
        "assert DETECTORS.key('opencv') == 'opencv'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=100)
