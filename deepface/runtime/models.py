"""Models by name, built once per process and device, also when threads ask at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Generic, TypeVar

from deepface.arguments import shown
from deepface.errors import UnimplementedError
from deepface.runtime.additions import additions
from deepface.runtime.card import Card
from deepface.runtime.execution.device import requested_device, resolve_device
from deepface.runtime.weights.table import WEIGHT_FILES

M = TypeVar("M")
C = TypeVar("C", bound=Card)

#: ``cached_models[task][name]``: what has been built. Scripts read it and put stubs into it.
cached_models: dict[str, dict[str, Any]] = {}

_locks: dict[tuple[str, str], threading.Lock] = {}


def get_or_build(task: str, name: str, build: Callable[[], M]) -> M:
    """The cached model, or the result of ``build``; nothing is cached when ``build`` raises."""
    models = cached_models.setdefault(task, {})
    if name in models:
        return models[name]  # type: ignore[no-any-return]
    with _locks.setdefault((task, name), threading.Lock()):  # atomic
        if name not in models:
            models[name] = build()
        return models[name]  # type: ignore[no-any-return]


def _place(device: str | None) -> str:
    """What tells models on another device than the automatic one apart from those on that."""
    wanted = requested_device(device)
    if wanted == "auto" or (where := resolve_device(wanted)) == resolve_device("auto"):
        return ""
    return f"@{where}"


class Registry(Generic[M, C]):
    """The models of one task. A model's file is imported when it is first asked for.

    Args:
        task: the published name of the task.
        cards: our models, in the order in which they are listed.
        kind: the class of the cards.
        group: the group of entry points by which other packages add theirs.
        extra_names: what the message about an unknown name adds to the known ones.
    """

    def __init__(
        self,
        task: str,
        cards: Iterable[C],
        kind: type[C],
        group: str | None = None,
        extra_names: str = "",
    ) -> None:
        self.task = task
        self.own: dict[str, C] = {}
        self.aliases: dict[str, str] = {}
        self._kind, self._group, self._extra_names = kind, group, extra_names
        for card in cards:
            self._add(card, self.own)

    def _add(self, card: C, where: dict[str, C]) -> None:
        where[card.name] = card
        for alias in card.aliases:  # another package's takes none from ours
            self.aliases.setdefault(alias, card.name)
        for file in card.weight_files():
            WEIGHT_FILES.setdefault(file.name, file)

    @property
    def entries(self) -> dict[str, C]:
        """The cards of all models by name, those of other packages included."""
        return {**self.own, **self._others}

    @cached_property
    def _others(self) -> dict[str, C]:
        found: dict[str, C] = {}
        if self._group is not None:
            taken = {*self.own, *self.aliases}
            for card in additions(self._group, self._kind, taken).values():
                self._add(card, found)
        return found

    def check(self, name: object) -> None:
        """Raise ``UnimplementedError`` for a name that cannot be built."""
        if not isinstance(name, str) or name not in cached_models.get(self.task, {}):
            self.entry(name)

    def find(self, name: object) -> C | None:
        """The card of a name; ``None`` if there is no such model."""
        if not isinstance(name, str):
            return None

        def named(cards: dict[str, C]) -> C | None:
            return cards.get(name) or cards.get(self.aliases.get(name, ""))

        return named(self.own) or named(self._others)

    def entry(self, name: object) -> C:
        """The card of a name.

        Raises:
            UnimplementedError: there is no such model; the message lists those there are.
        """
        card = self.find(name)
        if card is None:
            known = ", ".join(self.entries) + self._extra_names
            printed = name if isinstance(name, str) else shown(name)
            raise UnimplementedError(
                f"Invalid model_name passed - {self.task}/{printed}. Known names: {known}"
            )
        return card

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
        card = self.find(name)
        if card is None:  # what a script has put there, or nothing
            self.check(name)
            return cached_models[self.task][name]  # type: ignore[no-any-return]
        options = {k: v for k, v in options.items() if v is not None}
        return get_or_build(
            self.task,
            self.key(card.name, device, **options),
            lambda: self._construct(card, device, options),
        )

    def key(self, name: str, device: str | None = None, **options: Any) -> str:
        """Where ``cached_models`` has what :meth:`build` gives for the same arguments."""
        given = sorted((k, v) for k, v in options.items() if v is not None)
        return name + _place(device) + "".join(f" {k}={v}" for k, v in given)

    def _construct(self, card: C, device: str | None, options: Any) -> M:
        cls = card.load()
        allowed: tuple[str, ...] = getattr(cls, "options", ())
        for option in options:
            if option not in allowed:
                has = f"it has {', '.join(allowed)}" if allowed else "it has none"
                raise UnimplementedError(f"{card.name} has no option {option!r}: {has}")
        model: M = cls(device=device, **card.arguments, **options)
        return model
