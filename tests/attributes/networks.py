"""Attribute models for tests: the real networks with stand-in weights, and small ones."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from deepface.attributes.model import FacialAttribute
from deepface.attributes.registry import ATTRIBUTES
from deepface.runtime.execution.network import Network
from tests.goldens import networks as reference

#: Name of the weight files, without their endings.
STEMS = {
    "Emotion": "facial_expression_model_weights",
    "Age": "age_model_weights",
    "Gender": "gender_model_weights",
    "Race": "race_model_single_batch",
}
#: Those on the trunk of VGG-Face: half a gigabyte each.
VGG = ("Age", "Gender", "Race")


def write_weights(
    name: str, home: Path, ending: str = ".pth", layers: reference.Layers | None = None
) -> Path:
    """The stand-in weights of a network where the library looks for them."""
    path = home / ".deepface" / "weights" / f"{STEMS[name]}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write = {".pth": reference.write_pth, ".h5": reference.write_h5}[ending]
    write(name, path, layers)
    return path


def small_model(name: str) -> FacialAttribute:
    """The model of that name on a network of one layer, the same one every time."""
    cls = ATTRIBUTES.entry(name).load()

    class Small(cls):  # type: ignore[misc, valid-type]
        def _build(self, device: str | None, precision: str | None) -> Network:
            classes = len(self.labels) or 101
            numbers = 64 if name == "Emotion" else 192  # which takes grey faces
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(classes)
                module = nn.Sequential(
                    nn.AdaptiveAvgPool2d(8),
                    nn.Flatten(),
                    nn.Linear(numbers, classes),
                    nn.Softmax(1),
                )
            return Network(module, device, precision)

    model: FacialAttribute = Small()
    return model
