"""What users can name: every public function, class and published path, as one JSON value.

``python -m tests.public_api`` writes it into ``public_api.json``; ``test_public_api.py`` compares.
A change of it is a change of ``docs/changelog.md``.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("public_api.json")
CLASSES = (
    "deepface.pipeline:FacePipeline",
    "deepface.pipeline:GallerySearch",
    "deepface.pipeline:Query",
    "deepface.detection.detector:Detector",
    "deepface.recognition.model:FacialRecognition",
    "deepface.attributes.model:FacialAttribute",
    "deepface.types:FacialAreaRegion",
    "deepface.types:DetectedFace",
)


def surface() -> dict[str, Any]:
    """The surface as it is."""
    from deepface import DeepFace, compat, errors, results

    classes = {}
    for path in CLASSES:
        module, name = path.split(":")
        cls = getattr(importlib.import_module(module), name)
        classes[path] = {
            "fields": [f.name for f in dataclasses.fields(cls)]
            if dataclasses.is_dataclass(cls)
            else [],
            "members": sorted(
                f"{name}{inspect.signature(value)}" if inspect.isfunction(value) else name
                for name, value in inspect.getmembers(cls)
                if not name.startswith("_")
            ),
        }
    return {
        "functions": {
            name: str(inspect.signature(getattr(DeepFace, name)))
            for name in DeepFace.__all__
            if callable(getattr(DeepFace, name))
        },
        "classes": classes,
        "results": {
            name: sorted(value.__annotations__)
            for name, value in vars(results).items()
            if isinstance(value, type) and hasattr(value, "__required_keys__") and name[0] != "_"
        },
        "errors": sorted(
            name
            for name, value in vars(errors).items()
            if isinstance(value, type) and issubclass(value, BaseException)
        ),
        "published": {
            module: sorted(names) for module, names in sorted(compat.MODULES.items()) if names
        },
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(surface(), indent=1) + "\n")
