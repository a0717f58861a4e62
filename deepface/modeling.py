"""Models of every task by name."""

from __future__ import annotations

from functools import cache, partialmethod
from typing import Any

from deepface.attributes.registry import ATTRIBUTES
from deepface.detection.registry import DETECTORS
from deepface.errors import UnimplementedError
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime.models import Registry, cached_models
from deepface.spoofing.registry import SPOOF_DETECTORS

__all__ = ["AVAILABLE_MODELS", "TASKS", "build_model", "cached_models", "get_model_class"]

TASKS: dict[str, Registry[Any]] = {
    registry.task: registry for registry in (RECOGNIZERS, SPOOF_DETECTORS, ATTRIBUTES, DETECTORS)
}

#: ``AVAILABLE_MODELS[task]``: the names of a task's models.
AVAILABLE_MODELS: dict[str, list[str]] = {
    task: list(registry.entries) for task, registry in TASKS.items()
}


def build_model(task: str, model_name: str) -> Any:
    """The model ``model_name`` of ``task``, built once per process.

    Raises:
        UnimplementedError: an unknown task or name; the message lists the known ones.
    """
    return _registry(task).build(model_name)


@cache
def get_model_class(task: str, model_name: str) -> type[Any]:
    """The class of a model, without building it; ``cls()`` builds that model."""
    entry = _registry(task).entry(model_name)
    cls = entry.load()
    if not entry.arguments:
        return cls
    bound = {"__init__": partialmethod(cls.__init__, **entry.arguments)}
    return type(cls.__name__, (cls,), bound)


def _registry(task: str) -> Registry[Any]:
    if task not in TASKS:
        raise UnimplementedError(f"unimplemented task - {task}. Tasks: {', '.join(TASKS)}")
    return TASKS[task]
