"""Files that can be downloaded: name, origin, licence and, where it is published, the hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from deepface.runtime.weights.shape import Shape

Archive = Literal["zip", "bz2"]


@dataclass(frozen=True)
class WeightFile:
    """One file of the weights folder.

    Its URLs are those of the published library or of the model's authors: releases and commits,
    where there are any, because branches change. Size and hash are those of the file on disk,
    after unpacking; they are given where they are known for certain: from the authors, from a
    package that brings the same file, or from several who verified their downloads independently.

    Attributes:
        name: path below the weights folder, with ``/``.
        urls: where to get it; the first that gives it wins.
        licence: as its origin states it; ``None`` where it states none.
        size: bytes on disk, where they are known.
        sha256: of the file on disk; ``None`` where none is published.
        archive: how the download is packed.
        package: which brings the file, too, and where in it: ``"package/folder/file"``.
        equals: ``sha256`` of files that hold the same and may be on disk instead.
        tensors: some of its tensors by name, of a ``.pth`` or ``.onnx`` file; enough to tell it
            from others. Those of a Keras file have no names that last.
        layers: how many layers with weights a Keras file has.
        opened: whether a model here opens it; what only a caller opens is taken as it is.
    """

    name: str
    urls: tuple[str, ...]
    licence: str | None = None
    size: int | None = None
    sha256: str | None = None
    archive: Archive | None = None
    package: str | None = None
    equals: tuple[str, ...] = ()
    tensors: Mapping[str, Shape] = field(default_factory=dict)
    layers: int | None = None
    opened: bool = True


_RELEASES = "https://github.com/serengil/deepface_models/releases/download/v1.0"
#: A branch, whose files can change: asked only for those whose hash is known.
_HUGGING_FACE = "https://huggingface.co/serengil/deepface/resolve/main"


def published(
    name: str,
    licence: str | None,
    *,
    size: int | None = None,
    sha256: str | None = None,
    tensors: Mapping[str, Shape] | None = None,
    layers: int | None = None,
) -> WeightFile:
    """A file of the published library's release, and of its mirror."""
    urls = (f"{_RELEASES}/{name}", *([f"{_HUGGING_FACE}/{name}"] if sha256 else []))
    return WeightFile(name, urls, licence, size, sha256, tensors=dict(tensors or {}), layers=layers)


#: Every known file by its name; the models' registries put in those of their cards.
WEIGHT_FILES: dict[str, WeightFile] = {}
