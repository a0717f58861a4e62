"""Detectors by name. A detector's file is imported when it is first built."""

from __future__ import annotations

import importlib
from typing import Any

from deepface.detection.detector import Detector
from deepface.errors import UnimplementedError
from deepface.runtime.device import resolve_device
from deepface.runtime.models import get_or_build

TASK = "face_detector"

#: name -> "module:class", relative to this package; a third part is passed as ``variant``.
DETECTORS: dict[str, str] = {
    "opencv": "opencv:OpenCvDetector",
    "mtcnn": "mtcnn:MtcnnDetector",
    "fastmtcnn": "mtcnn:FastMtcnnDetector",
    "dlib": "dlib:DlibDetector",
    "mediapipe": "mediapipe:MediaPipeDetector",
    "yunet": "yunet:YuNetDetector",
    "centerface": "centerface:CenterFaceDetector",
}


def detector_class(name: str) -> type[Detector]:
    """The class behind a detector name.

    Raises:
        UnimplementedError: there is no such detector; the message lists those there are.
    """
    if name not in DETECTORS:
        raise UnimplementedError(
            f"Invalid model_name passed - {TASK}/{name}. Detectors: {', '.join(DETECTORS)}, skip"
        )
    module, cls = DETECTORS[name].split(":")
    return getattr(importlib.import_module(f"deepface.detection.{module}"), cls)  # type: ignore[no-any-return]


def build_detector(name: str, device: str | None = None, **options: Any) -> Detector:
    """The detector ``name``, built once per process, device and set of options.

    Args:
        name: one of :data:`DETECTORS`.
        device: where its network runs; ``None`` is the default device.
        options: the detector's own options, e.g. ``min_face_size``.
    """
    cls = detector_class(name)
    key = name
    if device is not None:
        key += f"@{resolve_device(device)}"
        options["device"] = device
    if options:
        key += "".join(f" {k}={v}" for k, v in sorted(options.items()) if k != "device")
    return get_or_build(TASK, key, lambda: cls(**options))  # type: ignore[no-any-return]
