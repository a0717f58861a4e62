"""Models by name, built once per process and device, also when threads ask at the same time."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from deepface.errors import UnimplementedError
from deepface.runtime.execution.device import requested_device, resolve_device

M = TypeVar("M")

#: ``cached_models[task][name]``: what has been built. Scripts read it and put stubs into it.
cached_models: dict[str, dict[str, Any]] = {}

_guard = threading.Lock()
_locks: dict[tuple[str, str], threading.Lock] = {}


def get_or_build(task: str, name: str, build: Callable[[], M]) -> M:
    """The cached model, or the result of ``build``; nothing is cached when ``build`` raises."""
    models = cached_models.setdefault(task, {})
    if name in models:
        return models[name]  # type: ignore[no-any-return]
    with _guard:
        lock = _locks.setdefault((task, name), threading.Lock())
    with lock:
        if name not in models:
            models[name] = build()
        return models[name]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Entry:
    """Where a model's class is (``"package.module:Class"``) and what its constructor is given."""

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> type[Any]:
        """Import the class."""
        module, name = self.path.split(":")
        cls = getattr(importlib.import_module(module), name)
        assert isinstance(cls, type)
        return cls


def _place(device: str | None) -> str:
    """What tells models on another device than the automatic one apart from those on that."""
    wanted = requested_device(device)
    if wanted == "auto" or (where := resolve_device(wanted)) == resolve_device("auto"):
        return ""
    return f"@{where}"


class Registry(Generic[M]):
    """The models of one task. A model's file is imported when it is first asked for."""

    def __init__(
        self,
        task: str,
        entries: Mapping[str, Entry],
        extra_names: str = "",
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.task = task
        self.entries = dict(entries)
        self.aliases = dict(aliases or {})
        self._extra_names = extra_names

    def check(self, name: str) -> None:
        """Raise ``UnimplementedError`` for a name that cannot be built."""
        if name not in cached_models.get(self.task, {}):
            self.entry(name)

    def entry(self, name: str) -> Entry:
        """The entry of a name.

        Raises:
            UnimplementedError: there is no such model; the message lists those there are.
        """
        name = self.aliases.get(name, name)
        if name not in self.entries:
            known = ", ".join(self.entries) + self._extra_names
            raise UnimplementedError(
                f"Invalid model_name passed - {self.task}/{name}. Known names: {known}"
            )
        return self.entries[name]

    def build(self, name: str, device: str | None = None, **options: Any) -> M:
        """The model ``name``, built once per process, device and set of options.

        Args:
            name: one of ``entries``.
            device: where its network runs; ``None`` is the default device, for which the
                environment is asked each time. Whoever names the device that would be chosen
                without being named gets the same model.
            options: the model's own options; those that are ``None`` count as not given.

        Raises:
            UnimplementedError: an unknown name, or an option that this model does not have.
        """
        name = self.aliases.get(name, name)
        if name not in self.entries and name in cached_models.get(self.task, {}):
            return cached_models[self.task][name]  # type: ignore[no-any-return]
        entry = self.entry(name)
        options = {k: v for k, v in options.items() if v is not None}
        return get_or_build(
            self.task,
            self.key(name, device, **options),
            lambda: self._construct(name, entry, device, options),
        )

    def key(self, name: str, device: str | None = None, **options: Any) -> str:
        """Where ``cached_models`` has what :meth:`build` gives for the same arguments."""
        given = sorted((k, v) for k, v in options.items() if v is not None)
        return name + _place(device) + "".join(f" {k}={v}" for k, v in given)

    def _construct(self, name: str, entry: Entry, device: str | None, options: Any) -> M:
        cls = entry.load()
        allowed: tuple[str, ...] = getattr(cls, "options", ())
        for option in options:
            if option not in allowed:
                has = f"it has {', '.join(allowed)}" if allowed else "it has none"
                raise UnimplementedError(f"{name} has no option {option!r}: {has}")
        model: M = cls(device=device, **entry.arguments, **options)
        return model
