"""The front door: ``from deepface import DeepFace``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface import __version__, modeling, pipeline
from deepface.detection.faces import PUBLISHED_BORDER
from deepface.logger import get_logger
from deepface.runtime.batching import DEFAULT_BATCH_SIZE

__all__ = ["__version__", "build_model", "detectFace", "extract_faces"]


def build_model(model_name: str, task: str = "facial_recognition") -> Any:
    """Build a model, or get the one that this process has built already.

    Args:
        model_name: a name of the task's list; an unknown one raises an error with that list.
        task: ``"facial_recognition"`` or ``"face_detector"``.

    Returns:
        The model's client. A detector has ``detect_faces(img)``, a recognition model
        ``forward(img)``.

    Raises:
        UnimplementedError: an unknown task or name.
        WeightsError: its weights are not on disk and cannot be downloaded.
        ImportError: an optional package is missing; the message has the install command.
    """
    return modeling.build_model(task=task, model_name=model_name)


def extract_faces(
    img_path: Any,
    detector_backend: str = "opencv",
    enforce_detection: bool = True,
    align: bool = True,
    expand_percentage: int = 0,
    grayscale: bool = False,
    color_face: str = "rgb",
    normalize_face: bool = True,
    anti_spoofing: bool = False,
    *,
    border: float = PUBLISHED_BORDER,
    min_face_size: int | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    device: str | None = None,
    progress: bool = False,
) -> list[dict[str, Any]] | list[list[dict[str, Any]]]:
    """Find the faces of one picture, or of many in batches, and cut them out.

    Args:
        img_path: one picture: a path, URL, ``data:image/`` base64 text, ``bytes``, an open file,
            a PIL image or a BGR array ``(H, W, 3)``. Many: a list, tuple, iterator or generator
            of these, or a 4-D array ``(N, H, W, 3)``.
        detector_backend: the detector's name, or ``"skip"`` to take each picture as a face.
        enforce_detection: raise an error where a picture has no face. When off, such a picture
            gives one item that is the whole picture, with confidence 0.
        align: rotate each face so that its eyes are level.
        expand_percentage: enlarge each box by so many percent.
        grayscale: deprecated, use ``color_face="gray"``.
        color_face: order of the channels in the result: ``"rgb"``, ``"bgr"`` or ``"gray"``.
        normalize_face: give faces as float64 in [0, 1] instead of ``uint8``.
        anti_spoofing: add ``is_real`` and ``antispoof_score`` to each face.
        border: width of the black border that ``align=True`` puts around a picture before
            detection, as a fraction of its height and width. 0.5 gives the published library's
            boxes; 0 finds small faces better and is faster.
        min_face_size: faces smaller than this many pixels are not needed; detectors that have
            this option then do less work.
        batch_size: most pictures per step. It changes speed and memory, never the result.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``; the default is
            ``$DEEPFACE_DEVICE``, else CUDA where there is one.
        progress: show a progress bar.

    Returns:
        For one picture a list with a dict per face:

        - ``face``: the crop ``(h, w, 3)`` (``(h, w)`` for gray), not resized;
        - ``facial_area``: ``x``, ``y``, ``w``, ``h`` in pixels, ``left_eye`` and ``right_eye``
          (the person's own) as ``(x, y)`` or ``None``, and ``nose``, ``mouth_left``,
          ``mouth_right`` where the detector gives them;
        - ``confidence``: the detector's score, rounded to two digits.

        For many pictures a list with one such list per picture, also for one or none.

    Raises:
        FaceNotDetected: a picture has no face and ``enforce_detection`` is on.
        ImgNotFound: a path does not exist.
        DataTypeError: an item is nothing that can be a picture.
        ValueError: base of all of them. For many pictures the message names the item.
    """
    return pipeline.extract_faces(
        img_path=img_path,
        detector_backend=detector_backend,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        grayscale=grayscale,
        color_face=color_face,
        normalize_face=normalize_face,
        anti_spoofing=anti_spoofing,
        border=border,
        min_face_size=min_face_size,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )


def detectFace(  # noqa: N802 - a published name
    img_path: Any,
    target_size: tuple[int, int] = (224, 224),
    detector_backend: str = "opencv",
    enforce_detection: bool = True,
    align: bool = True,
) -> NDArray[np.float32] | None:
    """The first face of one picture, letterboxed. Deprecated: use :func:`extract_faces`.

    Args:
        img_path: one picture, as for :func:`extract_faces`.
        target_size: ``(height, width)`` of the result.
        detector_backend: as for :func:`extract_faces`.
        enforce_detection: as for :func:`extract_faces`.
        align: as for :func:`extract_faces`.

    Returns:
        ``(1, height, width, 3)`` RGB float32 in [0, 1], or ``None`` when there is no face.
    """
    from deepface.recognition.preprocessing import resize_image

    get_logger().warning("detectFace is deprecated; use extract_faces")
    faces = extract_faces(
        img_path,
        detector_backend=detector_backend,
        enforce_detection=enforce_detection,
        align=align,
    )
    return resize_image(faces[0]["face"], target_size) if faces else None  # type: ignore[call-overload]
