"""The files of a classifier on the trunk of VGG-Face; see ``attributes/vgg.py`` for the network."""

from __future__ import annotations

from deepface.runtime.weights.table import WeightFile, published

_LICENCE = "non-commercial (Oxford VGG-Face)"


def vgg_files(
    stem: str, classes: int, sha256: str, size: int | None = None
) -> tuple[WeightFile, ...]:
    """Alternatives that hold the same; hash and size are those of the ``.h5``."""
    tensors = {"backbone.conv1_1.weight": (64, 3, 3, 3), "predictions.bias": (classes,)}
    return (
        published(f"{stem}.pth", _LICENCE, tensors=tensors),
        published(f"{stem}.h5", _LICENCE, size=size, sha256=sha256, layers=16),
        published(f"{stem}.onnx", _LICENCE),
    )
