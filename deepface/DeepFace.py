"""The front door: ``from deepface import DeepFace``."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface import __version__, compat, modeling
from deepface.detection.faces import PUBLISHED_BORDER, Align
from deepface.logger import get_logger
from deepface.matching.distance import Metric
from deepface.pipeline import FacePipeline
from deepface.pipeline.options import EnforceDetection
from deepface.pipeline.verification import verify as _verify

__all__ = [
    "__version__",
    "analyze",
    "build_model",
    "detectFace",
    "extract_faces",
    "represent",
    "verify",
]

if (_engine := os.environ.get("DEEPFACE_BACKEND_ENGINE", "pytorch").lower()) != "pytorch":
    get_logger().info("DEEPFACE_BACKEND_ENGINE=%s has no effect: PyTorch is the engine", _engine)


def __getattr__(name: str) -> Any:
    """The published modules that scripts reach through this one, e.g. ``DeepFace.modeling``."""
    for package in ("deepface.modules", "deepface.commons"):
        if f"{package}.{name}" in compat.MODULES:
            return importlib.import_module(f"{package}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def build_model(model_name: str, task: str = "facial_recognition") -> Any:
    """Build a model, or get the one that this process has built already.

    Args:
        model_name: a name of the task's list; an unknown one raises an error with that list.
        task: ``"facial_recognition"``, ``"face_detector"``, ``"facial_attribute"`` or
            ``"spoofing"``.

    Returns:
        The model's client. A detector has ``detect_faces(img)``, a recognition model
        ``forward(img)``, an attribute model ``predict(img)``, an anti-spoofing model
        ``analyze(img, facial_area)``.

    Raises:
        UnimplementedError: an unknown task or name.
        WeightsError: its weights are not on disk and cannot be downloaded.
        ImportError: an optional package is missing; the message has the install command.
    """
    return modeling.build_model(task=task, model_name=model_name)


def extract_faces(
    img_path: Any,
    detector_backend: str = "opencv",
    enforce_detection: EnforceDetection = True,
    align: bool = True,
    expand_percentage: int = 0,
    grayscale: bool = False,
    color_face: str = "rgb",
    normalize_face: bool = True,
    anti_spoofing: bool = False,
    *,
    max_faces: int | None = None,
    border: float = PUBLISHED_BORDER,
    min_face_size: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    progress: bool = False,
) -> list[Any]:
    """Find the faces of one picture, or of many in batches, and cut them out.

    Args:
        img_path: one picture: a path, URL, ``data:image/`` base64 text, ``bytes``, an open file,
            a PIL image or a BGR array ``(H, W, 3)``. Many: a list, tuple, iterator or generator
            of these, or a 4-D array ``(N, H, W, 3)``.
        detector_backend: the detector's name, or ``"skip"`` to take each picture as a face.
        enforce_detection: raise an error where a picture has no face. When off, such a picture
            gives one item that is the whole picture, with confidence 0; ``"empty"`` gives none.
        align: rotate each face so that its eyes are level.
        expand_percentage: enlarge each box by so many percent.
        grayscale: deprecated, use ``color_face="gray"``.
        color_face: order of the channels in the result: ``"rgb"``, ``"bgr"`` or ``"gray"``.
        normalize_face: give faces as float64 in [0, 1] instead of ``uint8``.
        anti_spoofing: add ``is_real`` and ``antispoof_score`` to each face.
        max_faces: only so many faces per picture, the largest first.
        border: width of the black border that ``align=True`` puts around a picture before
            detection, as a fraction of its height and width. 0.5 gives the published library's
            boxes; 0 finds small faces better and is faster.
        min_face_size: faces smaller than this many pixels are not needed; detectors that have
            this option then do less work.
        batch_size: most pictures per step; by default 32, and on CUDA what fits. It changes speed
            and memory, never the result.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``; the default is
            ``$DEEPFACE_DEVICE``, else CUDA where there is one.
        progress: show a progress bar.

    Returns:
        For one picture a list with a dict per face:

        - ``face``: the crop ``(h, w, 3)`` (``(h, w)`` for gray), not resized;
        - ``facial_area``: ``x``, ``y``, ``w``, ``h`` in pixels, ``left_eye`` and ``right_eye``
          (the person's own) as ``(x, y)`` or ``None``, and ``nose``, ``mouth_left``,
          ``mouth_right`` where the detector gives them;
        - ``confidence``: the detector's score, rounded to two digits;
        - with ``anti_spoofing``: ``is_real`` and ``antispoof_score`` (0 to 1).

        For many pictures a list with one such list per picture, also for one or none.

    Raises:
        FaceNotDetected: a picture has no face and ``enforce_detection`` is on.
        ImgNotFound: a path does not exist.
        DataTypeError: an item is nothing that can be a picture.
        ValueError: base of all of them. For many pictures the message names the item.
    """
    if grayscale:
        get_logger().warning("grayscale is deprecated; use color_face='gray'")
        color_face = "gray"
    return FacePipeline(
        detector_backend,
        anti_spoofing=anti_spoofing,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        color_face=color_face,
        normalize_face=normalize_face,
        max_faces=max_faces,
        border=border,
        min_face_size=min_face_size,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )(img_path)


def represent(
    img_path: Any,
    model_name: str = "VGG-Face",
    enforce_detection: EnforceDetection = True,
    detector_backend: str = "opencv",
    align: Align = True,
    expand_percentage: int = 0,
    normalization: str = "base",
    anti_spoofing: bool = False,
    max_faces: int | None = None,
    l2_normalize: bool = False,
    minmax_normalize: bool = False,
    return_face: bool = False,
    *,
    cryptosystem: Any = None,
    border: float = PUBLISHED_BORDER,
    min_face_size: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    progress: bool = False,
) -> list[Any]:
    """Turn the faces of one picture, or of many in batches, into vectors.

    Args:
        img_path: one picture or many, as for :func:`extract_faces`.
        model_name: the recognition model.
        enforce_detection: as for :func:`extract_faces`.
        detector_backend: as for :func:`extract_faces`; ``"skip"`` embeds each picture as it is.
        align: as for :func:`extract_faces`; ``"landmarks"`` cuts each face as the model's training
            did, by five landmarks, which makes some models much more accurate.
        expand_percentage: as for :func:`extract_faces`.
        normalization: how pixel values are scaled: ``"base"``, ``"raw"``, ``"Facenet"``,
            ``"Facenet2018"``, ``"VGGFace"``, ``"VGGFace2"`` or ``"ArcFace"``.
        anti_spoofing: raise an error where a face is not real.
        max_faces: only so many faces per picture, the largest first.
        l2_normalize: scale each vector to length 1.
        minmax_normalize: scale each vector to [0, 1] by the model's known range.
        return_face: add ``face``, the network's input.
        cryptosystem: a ``lightphe.LightPHE`` object; adds ``encrypted_embedding``.
        border: as for :func:`extract_faces`.
        min_face_size: as for :func:`extract_faces`.
        batch_size: as for :func:`extract_faces`.
        device: as for :func:`extract_faces`.
        precision: ``"fp32"`` (default), ``"bf16"`` or ``"fp16"`` for the recognition network.
        progress: show a progress bar.

    Returns:
        For one picture a list with a dict per face: ``embedding`` (a list of floats),
        ``facial_area``, ``face_confidence`` and, if asked for, ``face`` ``(H, W, 3)`` float32
        BGR. For many pictures a list with one such list per picture, also for one or none.

    Raises:
        FaceNotDetected: a picture has no face and ``enforce_detection`` is on.
        SpoofDetected: ``anti_spoofing`` is on and a face is not real.
        UnimplementedError: an unknown model or detector.
        WeightsError: the model's weights are missing or damaged.
        ValueError: base of all of them. For many pictures the message names the item.
    """
    return FacePipeline(
        detector_backend,
        model_name,
        anti_spoofing=anti_spoofing,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        normalization=normalization,
        max_faces=max_faces,
        l2_normalize=l2_normalize,
        minmax_normalize=minmax_normalize,
        return_face=return_face,
        cryptosystem=cryptosystem,
        border=border,
        min_face_size=min_face_size,
        batch_size=batch_size,
        device=device,
        precision=precision,
        progress=progress,
    )(img_path)


def verify(
    img1_path: Any,
    img2_path: Any,
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    distance_metric: str | Metric = "cosine",
    enforce_detection: bool = True,
    align: Align = True,
    expand_percentage: int = 0,
    normalization: str = "base",
    silent: bool = False,
    threshold: float | None = None,
    anti_spoofing: bool = False,
    *,
    border: float = PUBLISHED_BORDER,
    min_face_size: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> Any:
    """Decide whether two pictures show the same person, for one pair or for many in batches.

    Args:
        img1_path: one picture as for :func:`extract_faces`, or its embedding as a list of floats.
            Or a list of these, for many pairs.
        img2_path: the other one, or a list of the same length.
        model_name: the recognition model.
        detector_backend: as for :func:`extract_faces`.
        distance_metric: ``"cosine"``, ``"euclidean"``, ``"euclidean_l2"``, ``"angular"``, or a
            function of two arrays, which needs ``threshold``.
        enforce_detection: as for :func:`extract_faces`.
        align: as for :func:`represent`.
        expand_percentage: as for :func:`extract_faces`.
        normalization: as for :func:`represent`.
        silent: no progress bar for lists.
        threshold: the distance up to which two faces are the same person; the default is the
            published one for the model and metric.
        anti_spoofing: raise an error where a face is not real.
        border: as for :func:`extract_faces`.
        min_face_size: as for :func:`extract_faces`.
        batch_size: as for :func:`extract_faces`.
        device: as for :func:`extract_faces`.
        precision: as for :func:`represent`.

    Returns:
        A dict: ``verified``, ``distance``, ``threshold``, ``confidence`` (percent), ``model``,
        ``detector_backend``, ``similarity_metric``, ``facial_areas`` (``img1``, ``img2``) and
        ``time`` in seconds. With several faces in a picture the closest pair counts. For lists a
        list of such dicts.

    Raises:
        ValueError: "Exception while processing img1_path" (or ``img2_path``), with the reason as
            its ``__cause__``; or an argument that is wrong.
        DimensionMismatchError: an embedding of another length than the model's.
        DataTypeError: an embedding that holds something else than floats.
    """
    pipeline = FacePipeline(
        detector_backend,
        model_name,
        anti_spoofing=anti_spoofing,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        normalization=normalization,
        border=border,
        min_face_size=min_face_size,
        batch_size=batch_size,
        device=device,
        precision=precision,
        progress=not silent,
    )
    return _verify(pipeline, img1_path, img2_path, distance_metric, threshold)


def analyze(
    img_path: Any,
    actions: str | Sequence[str] = ("emotion", "age", "gender", "race"),
    enforce_detection: EnforceDetection = True,
    detector_backend: str = "opencv",
    align: bool = True,
    expand_percentage: int = 0,
    silent: bool = False,
    anti_spoofing: bool = False,
    *,
    border: float = PUBLISHED_BORDER,
    min_face_size: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> list[Any]:
    """Estimate age, gender, emotion and race of the faces of one picture, or of many in batches.

    Args:
        img_path: one picture or many, as for :func:`extract_faces`.
        actions: what to estimate: one or several of ``"emotion"``, ``"age"``, ``"gender"``,
            ``"race"``.
        enforce_detection: as for :func:`extract_faces`.
        detector_backend: as for :func:`extract_faces`.
        align: as for :func:`extract_faces`.
        expand_percentage: as for :func:`extract_faces`.
        silent: no progress bar for lists.
        anti_spoofing: raise an error where a face is not real.
        border: as for :func:`extract_faces`.
        min_face_size: as for :func:`extract_faces`.
        batch_size: as for :func:`extract_faces`.
        device: as for :func:`extract_faces`.
        precision: as for :func:`represent`.

    Returns:
        For one picture a list with a dict per face: ``emotion``, ``gender`` and ``race``
        (percent per label), ``dominant_emotion``, ``dominant_gender``, ``dominant_race``,
        ``age`` (years), as far as asked for, with ``region`` (the facial area) and
        ``face_confidence``. For many pictures a list with one such list per picture. All values
        are plain Python numbers.

    Raises:
        UnimplementedError: an unknown action.
        FaceNotDetected: a picture has no face and ``enforce_detection`` is on.
        ValueError: base of all of them. For many pictures the message names the item.
    """
    return FacePipeline(
        detector_backend,
        actions=() if actions is None else actions,
        anti_spoofing=anti_spoofing,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        border=border,
        min_face_size=min_face_size,
        batch_size=batch_size,
        device=device,
        precision=precision,
        progress=not silent,
    )(img_path)


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
