"""Models of every task by name."""

from __future__ import annotations

from functools import cache, partialmethod
from typing import Any

from deepface.arguments import shown
from deepface.attributes.registry import ATTRIBUTES
from deepface.detection.registry import DETECTORS
from deepface.errors import UnimplementedError
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime.models import Registry, cached_models
from deepface.spoofing.registry import SPOOF_DETECTORS

__all__ = [
    "AVAILABLE_MODELS",
    "TASKS",
    "build_model",
    "cached_models",
    "get_model_class",
]

#: Published functions of the weights' room, served from here: they know the files of the registries
#: that are imported above, and need not be imported before they are asked for.
_OF_WEIGHTS = ("download_all_models_in_one_shot", "download_weights_if_necessary")

TASKS: dict[str, Registry[Any, Any]] = {
    registry.task: registry for registry in (RECOGNIZERS, SPOOF_DETECTORS, ATTRIBUTES, DETECTORS)
}

#: ``AVAILABLE_MODELS[task]``: the names of a task's models.
AVAILABLE_MODELS: dict[str, list[str]] = {
    task: list(registry.own) for task, registry in TASKS.items()
}


def build_model(task: str, model_name: str) -> Any:
    """The model ``model_name`` of ``task``, built once per process.

    Raises:
        UnimplementedError: an unknown task or name; the message lists the known ones.
    """
    return _registry(task).build(model_name)


def get_model_class(task: str, model_name: str) -> type[Any]:
    """The class of a model, without building it; ``cls()`` builds that model."""
    return _model_class(task, _registry(task).entry(model_name).name)


@cache
def _model_class(task: str, name: str) -> type[Any]:
    card = TASKS[task].entry(name)
    cls: type[Any] = card.load()
    if not card.arguments:
        return cls
    bound = {"__init__": partialmethod(cls.__init__, **card.arguments)}
    return type(cls.__name__, (cls,), bound)


def __getattr__(name: str) -> Any:
    if name not in _OF_WEIGHTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from deepface.runtime.weights import store

    return getattr(store, name)


def _registry(task: str) -> Registry[Any, Any]:
    if not isinstance(task, str) or task not in TASKS:
        shown_task = task if isinstance(task, str) else shown(task)
        raise UnimplementedError(f"unimplemented task - {shown_task}. Tasks: {', '.join(TASKS)}")
    return TASKS[task]
