"""The front door: ``from deepface import DeepFace``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface import __version__, compat, modeling
from deepface.arguments import one_of, pair, truth
from deepface.cropping.face_crops import PUBLISHED_BORDER, Align
from deepface.errors import DataTypeError
from deepface.images.batch import open_batch
from deepface.logger import get_logger
from deepface.matching.distance import METRICS, Metric
from deepface.pipeline import FacePipeline
from deepface.pipeline import database as _database
from deepface.pipeline.find import find as _find
from deepface.pipeline.options import Decode, EnforceDetection
from deepface.pipeline.verification import verify as _verify
from deepface.recognition.registry import RECOGNIZERS
from deepface.results import (
    TABLE,
    Analysis,
    Embedding,
    ExtractedFace,
    Identification,
    Verification,
    face_or_many,
    one_or_many,
    pair_or_pairs,
)
from deepface.search.database.registry import open_database
from deepface.search.query import Query

__all__ = [
    "__version__",
    "analyze",
    "build_index",
    "build_model",
    "cli",
    "detectFace",
    "extract_faces",
    "find",
    "identify",
    "list_faces",
    "register",
    "represent",
    "search",
    "stream",
    "unregister",
    "verify",
]


def __getattr__(name: str) -> Any:
    """What scripts reach through this module: published ones, e.g. ``DeepFace.detection``, and the
    ``logger``.
    """
    if name == "logger":
        return get_logger()
    for package in ("deepface.modules", "deepface.commons"):
        if f"{package}.{name}" in compat.MODULES:
            return importlib.import_module(f"{package}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _door(name: str) -> Any:
    """Another door, for what the published library has here. By name: no door needs another."""
    return importlib.import_module(f"deepface.{name}")


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


@one_or_many(ExtractedFace)
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
    decode: Decode = "cpu",
    device: str | None = None,
    precision: str | None = None,
    progress: bool = False,
) -> list[Any]:
    """Find the faces of one picture, or of many in batches, and cut them out.

    Args:
        img_path: one picture: a path, URL, ``data:image/`` base64 text, ``bytes``, an open file,
            a PIL image or a BGR array ``(H, W, 3)``. Many: a list, tuple, column of a table,
            iterator or generator of these, or a 4-D array ``(N, H, W, 3)``.
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
        min_face_size: faces smaller than this many pixels are not needed, which saves RetinaFace's
            detectors work. The other detectors refuse it.
        batch_size: most pictures per step; by default 32, and on CUDA what fits. It changes speed
            and memory, never the result.
        decode: ``"device"`` decodes JPEG files on the device and leaves the pictures there;
            their pixels then differ by a few 255ths. See the page on GPUs.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``; the default is
            ``$DEEPFACE_DEVICE``, else CUDA where there is one.
        precision: as for :func:`represent`, of the detector.
        progress: show a progress bar.

    Returns:
        For one picture a list with a dict per face:

        - ``face``: the crop ``(h, w, 3)`` (``(h, w)`` for gray), not resized;
        - ``facial_area``: ``x``, ``y``, ``w``, ``h`` in pixels; ``left_eye``, ``right_eye`` and,
            where the detector gives them, ``nose``, ``mouth_left``, ``mouth_right`` as ``(x, y)``
            or ``None``; left and right are the person's own;
        - ``confidence``: the detector's score, rounded to two digits;
        - with ``anti_spoofing``: ``is_real`` and ``antispoof_score`` (0 to 1).

        For many pictures a list with one such list per picture, also for one or none.

    Raises:
        FaceNotDetected: a picture has no face and ``enforce_detection`` is on.
        ImgNotFound: a path does not exist.
        DataTypeError: an item is nothing that can be a picture.
        ValueError: base of all of them. For many pictures the message names the item.
    """
    if truth("grayscale", grayscale):
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
        decode=decode,
        device=device,
        precision=precision,
        progress=progress,
    )(img_path)


@one_or_many(Embedding)
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
    decode: Decode = "cpu",
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
        decode: as for :func:`extract_faces`.
        device: as for :func:`extract_faces`.
        precision: of the networks: ``"fp32"`` (default), ``"tf32"`` (on CUDA), ``"bf16"`` or
            ``"fp16"``. It moves vectors a little, and the boxes of detectors that run in PyTorch.
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
    RECOGNIZERS.check(model_name)
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
        decode=decode,
        device=device,
        precision=precision,
        progress=progress,
    )(img_path)


@pair_or_pairs(Verification)
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
        img1_path: one picture as for :func:`extract_faces`, or its embedding as a list of floats
            or a 1-D array. Or a list of these, for many pairs.
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
        progress=not truth("silent", silent),
    )
    return _verify(pipeline, img1_path, img2_path, distance_metric, threshold)


@one_or_many(Analysis)
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
    decode: Decode = "cpu",
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
        decode: as for :func:`extract_faces`.
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
        decode=decode,
        device=device,
        precision=precision,
        progress=not truth("silent", silent),
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
    size = pair("target_size", target_size)
    if not open_batch(img_path).single:
        raise DataTypeError("detectFace takes one picture; extract_faces takes many")
    faces = extract_faces(
        img_path,
        detector_backend=detector_backend,
        enforce_detection=enforce_detection,
        align=align,
    )
    return resize_image(faces[0]["face"], size) if faces else None


@one_or_many(TABLE)
def find(
    img_path: Any,
    db_path: str | PathLike[str],
    model_name: str = "VGG-Face",
    distance_metric: str | Metric = "cosine",
    enforce_detection: EnforceDetection = True,
    detector_backend: str = "opencv",
    align: Align = True,
    similarity_search: bool = False,
    k: int | None = None,
    expand_percentage: int = 0,
    threshold: float | None = None,
    normalization: str = "base",
    silent: bool = False,
    refresh_database: bool = True,
    anti_spoofing: bool = False,
    datastore_format: str = "npz",
    return_type: str | None = None,
    *,
    batched: bool = False,
    credentials: Any = None,
    border: float = PUBLISHED_BORDER,
    min_face_size: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> list[Any]:
    """Look for the faces of one picture, or of many in batches, among the pictures of a folder.

    The vectors of the folder's faces are kept in a datastore file in it, which is brought up to
    date first: pictures that are new, changed, moved or deleted since are noticed, and only those
    are embedded. A picture that cannot be read or has no face is reported and left out. Building a
    gallery can be cut off at any time; the next call goes on from there. Processes that work on
    one folder wait for each other.

    Args:
        img_path: one picture or many, as for :func:`extract_faces`.
        db_path: a folder; its JPEG and PNG files and those of the folders below are the gallery.
            Or the address of one that ``fsspec`` opens: ``s3://bucket/people``, ``ftp://...``.
        model_name: as for :func:`represent`.
        distance_metric: as for :func:`verify`.
        enforce_detection: as for :func:`extract_faces`. Pictures of the folder without a face are
            left out when it is on, and taken as a whole when it is off.
        detector_backend: as for :func:`extract_faces`.
        align: as for :func:`represent`.
        similarity_search: give the most similar faces, also those beyond the threshold.
        k: at most so many rows per face.
        expand_percentage: as for :func:`extract_faces`.
        threshold: as for :func:`verify`.
        normalization: as for :func:`represent`.
        silent: no progress bar and no messages but warnings.
        refresh_database: look for changes in the folder; when off, the datastore is used as it is.
        anti_spoofing: raise an error where a face of ``img_path`` is not real.
        datastore_format: ``"npz"``, or ``"feather"`` or ``"parquet"``, which need ``pyarrow``.
        return_type: ``"pandas"`` or ``"dict"``; the default is pandas where it is installed.
        batched: another way to ask for ``return_type="dict"``.
        credentials: a ``lightdsa.LightDSA`` object, or a dict of ``algorithm_name``, keys and what
            else makes one: the datastore is signed by it, and used only where the signature is
            valid; a signed one is refused without. A signed build that is cut off starts over.
        border: as for :func:`extract_faces`.
        min_face_size: as for :func:`extract_faces`.
        batch_size: as for :func:`extract_faces`.
        device: as for :func:`extract_faces`.
        precision: as for :func:`represent`.

    Returns:
        For one picture a list with a table per face, closest first: a ``pandas.DataFrame``, or a
        list of dicts. Its columns: ``identity`` (the file), ``hash`` (of its size and times),
        ``target_x``, ``target_y``, ``target_w``, ``target_h`` (the face there), ``threshold``,
        ``source_x``, ``source_y``, ``source_w``, ``source_h`` (the face in ``img_path``),
        ``distance`` and ``confidence`` (percent). Rows at most at the threshold, unless
        ``similarity_search`` is on; then pictures without a face come last, at distance infinity,
        and in dicts the threshold is infinite, as published. For many pictures a list with one
        such list per picture.

    Raises:
        ImgNotFound: ``img_path`` is ``None``, or a path that does not exist.
        PathNotFound: the folder does not exist.
        EmptyDatasource: it has no picture, or none with a face; or nothing is stored and
            ``refresh_database`` is off.
        DimensionMismatchError: the datastore was made by another model.
        DeepFaceError: the datastore is damaged, is something else, or is not signed by these
            credentials. It is left as it is.
        FaceNotDetected: a picture of ``img_path`` has no face and ``enforce_detection`` is on.
        SpoofDetected: ``anti_spoofing`` is on and a face is not real.
        ValueError: base of all of them; or an argument that is wrong.
    """
    query = Query(
        distance_metric=distance_metric,
        threshold=threshold,
        similarity_search=similarity_search,
        k=k,
        return_type="dict" if batched and return_type is None else return_type,
    )
    pipeline = FacePipeline(
        detector_backend,
        model_name,
        anti_spoofing=anti_spoofing,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        border=border,
        min_face_size=min_face_size,
        normalization=normalization,
        batch_size=batch_size,
        device=device,
        precision=precision,
    )
    return _find(
        pipeline,
        img_path,
        db_path,
        query,
        silent=silent,
        refresh_database=refresh_database,
        datastore_format=datastore_format,
        credentials=credentials,
    )


def stream(
    db_path: str = "",
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    distance_metric: str | Metric = "cosine",
    enable_face_analysis: bool = True,
    source: int | str = 0,
    time_threshold: float = 5,
    frame_threshold: int = 5,
    anti_spoofing: bool = False,
    output_path: str | PathLike[str] | None = None,
    debug: bool = False,
    *,
    device: str | None = None,
) -> None:
    """Show a webcam or a video with its faces analysed and recognised, until ``q`` is pressed.

    When faces have been there for some frames, the picture stands still for some seconds with
    what was found out about them. A file's faces are found in batches of frames.

    Args:
        db_path: a folder of pictures, as for :func:`find`; without it nobody is recognised.
        model_name: as for :func:`represent`.
        detector_backend: as for :func:`extract_faces`. Faces up to 130 pixels wide are ignored.
        distance_metric: as for :func:`verify`.
        enable_face_analysis: estimate age, gender and emotion.
        source: a webcam's number, a video file, or the URL of a stream that OpenCV opens. One that
            cannot be opened is logged as an error.
        time_threshold: seconds that results stand still.
        frame_threshold: frames in a row with a face until it is analysed.
        anti_spoofing: mark faces that are not real.
        output_path: write what is shown to this ``.mp4`` file; works without a display, too.
        debug: write the faces that are analysed to the working directory.
        device: as for :func:`extract_faces`.

    Raises:
        PathNotFound: ``db_path`` does not exist.
        DeepFaceError: there is no display and no ``output_path``, or it cannot be written.
        MissingPackageError: OpenCV was built without windows, and there is no ``output_path``.
        WeightsError: a model's weights are not on disk and cannot be downloaded.
    """
    live = _door("live")
    analysis = live.StreamAnalysis(
        detector_backend=detector_backend,
        model_name=model_name,
        distance_metric=distance_metric,
        db_path=db_path,
        enable_face_analysis=enable_face_analysis,
        time_threshold=time_threshold,
        frame_threshold=frame_threshold,
        anti_spoofing=anti_spoofing,
        device=device,
        debug=debug,
    )
    live.stream(analysis, source, output_path)


def register(
    img: Any,
    img_name: str | Sequence[str] | None = None,
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    enforce_detection: EnforceDetection = True,
    align: bool = True,
    l2_normalize: bool = False,
    expand_percentage: int = 0,
    normalization: str = "base",
    anti_spoofing: bool = False,
    database_type: str = "postgres",
    connection_details: Any = None,
    connection: Any = None,
    *,
    border: float = PUBLISHED_BORDER,
    min_face_size: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    progress: bool = False,
) -> dict[str, int]:
    """Store the faces of one picture, or of many in batches, in a database.

    Nothing needs to be set up: without connection details and without ``DEEPFACE_POSTGRES_URI``,
    the default ``database_type`` stands for a SQLite file, ``$DEEPFACE_SQLITE_PATH`` or
    ``$DEEPFACE_HOME/.deepface/faces.db``, whose place is logged once.

    Args:
        img: one picture or many, as for :func:`extract_faces`.
        img_name: what the records are called: one name for all, or a list with a name per picture.
            The default is a picture's path where it ends in ``.jpg``, ``.jpeg`` or ``.png``, else
            a random UUID.
        model_name: as for :func:`represent`.
        detector_backend: as for :func:`extract_faces`.
        enforce_detection: as for :func:`extract_faces`.
        align: as for :func:`extract_faces`.
        l2_normalize: as for :func:`represent`. Faces are found again only with the same
            ``model_name``, ``detector_backend``, ``align`` and ``l2_normalize``.
        expand_percentage: as for :func:`extract_faces`.
        normalization: as for :func:`represent`.
        anti_spoofing: raise an error where a face is not real.
        database_type: ``"postgres"``, ``"pgvector"``, ``"sqlite"``, ``"mysql"``, ``"oracle"``,
            ``"mssql"``, ``"db2"``, ``"mongo"``, ``"redis"``, ``"cassandra"``, ``"qdrant"``,
            ``"milvus"``, ``"neo4j"``, ``"weaviate"`` or ``"pinecone"``.
        connection_details: where the database is: an address, for SQLite and Milvus also a file, or
            a dict of what the driver takes. A folder of Qdrant is refused unless the dict has
            ``"allow_pickle": True``: its files can run any program. The default is the type's
            environment variable: ``DEEPFACE_SQLITE_PATH``, ``DEEPFACE_PINECONE_API_KEY``, for the
            others ``DEEPFACE_MYSQL_URI`` and so on; pgvector has that of PostgreSQL.
        connection: an open connection of the database's driver to use instead; it stays open.
        border: as for :func:`extract_faces`.
        min_face_size: as for :func:`extract_faces`.
        batch_size: as for :func:`extract_faces`.
        device: as for :func:`extract_faces`.
        precision: as for :func:`represent`.
        progress: show a progress bar.

    Returns:
        ``{"inserted": n}``: the number of faces stored, of all pictures together, as published.

    Raises:
        DuplicateEntryError: a face is registered already, or twice among these. Of a call all
            faces are stored, or none. When it has one face only, there is a warning instead, and
            0 is returned.
        DatabaseError: the database cannot be reached, opened, read or written.
        DimensionMismatchError: vectors of another length are stored under this model's name.
        MissingPackageError: the database's driver is not installed.
        ValueError: base of all of them, and of what :func:`represent` raises.
    """
    pipeline = FacePipeline(
        detector_backend,
        model_name,
        anti_spoofing=anti_spoofing,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        border=border,
        min_face_size=min_face_size,
        normalization=normalization,
        l2_normalize=l2_normalize,
        return_face=True,
        batch_size=batch_size,
        device=device,
        precision=precision,
        progress=progress,
    )
    opened = partial(open_database, database_type, connection_details, connection)
    return _database.register(pipeline, img, img_name, opened)


@face_or_many(TABLE)
def search(
    img: Any,
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    distance_metric: str = "cosine",
    enforce_detection: EnforceDetection = True,
    align: bool = True,
    l2_normalize: bool = False,
    expand_percentage: int = 0,
    normalization: str = "base",
    anti_spoofing: bool = False,
    similarity_search: bool = False,
    k: int | None = None,
    database_type: str = "postgres",
    connection_details: Any = None,
    connection: Any = None,
    search_method: str = "exact",
    return_type: str | None = None,
    *,
    border: float = PUBLISHED_BORDER,
    min_face_size: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    progress: bool = False,
) -> list[Any]:
    """Look for the faces of one picture, or of many in batches, among those of :func:`register`.

    Args:
        img: one picture or many, as for :func:`extract_faces`; or one face's embedding as a list of
            floats or a 1-D array, whose rows have no ``target_`` box.
        model_name: as for :func:`represent`.
        detector_backend: as for :func:`extract_faces`.
        distance_metric: as for :func:`verify`, but no function. Where ``l2_normalize`` is on,
            ``"euclidean"`` becomes ``"euclidean_l2"``; an index has one metric only, ``"cosine"``
            where ``l2_normalize`` is on and else ``"euclidean"``. A warning says so.
        enforce_detection: as for :func:`extract_faces`.
        align: as for :func:`extract_faces`.
        l2_normalize: as for :func:`register`.
        expand_percentage: as for :func:`extract_faces`.
        normalization: as for :func:`represent`.
        anti_spoofing: raise an error where a face is not real.
        similarity_search: give the most similar faces, also those beyond the threshold.
        k: at most so many rows per face; all by default, 20 with an index.
        database_type: as for :func:`register`.
        connection_details: as for :func:`register`.
        connection: as for :func:`register`.
        search_method: ``"exact"`` compares with every record; ``"ann"`` with the neighbours that
            an index finds (see :func:`build_index`), which is fast and may miss some.
        return_type: ``"pandas"`` or ``"dict"``; the default is pandas where it is installed.
        border: as for :func:`extract_faces`.
        min_face_size: as for :func:`extract_faces`.
        batch_size: as for :func:`extract_faces`.
        device: as for :func:`extract_faces`.
        precision: as for :func:`represent`.
        progress: show a progress bar.

    Returns:
        For one picture a list with a table per face, closest first: a ``pandas.DataFrame``, or a
        list of dicts. Its columns: ``id``, ``img_name``, ``model_name``, ``detector_backend``,
        ``aligned``, ``l2_normalized``, ``search_method``, ``target_x``, ``target_y``,
        ``target_w``, ``target_h`` (the face in ``img``, a published name), ``threshold``,
        ``distance_metric``, ``distance`` and ``confidence`` (percent). A face that nothing matches
        has an empty table, with an index none at all, as published. For many pictures a list with
        one such list per picture.

    Raises:
        EmptyDatasource: no face was registered with these arguments.
        DatabaseError: there is no index, or as for :func:`register`.
        DimensionMismatchError: the database or its index holds vectors of another length.
        ValueError: base of all of them, and of what :func:`represent` raises.
    """
    pipeline = FacePipeline(
        detector_backend,
        model_name,
        anti_spoofing=anti_spoofing,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        border=border,
        min_face_size=min_face_size,
        normalization=normalization,
        l2_normalize=l2_normalize,
        batch_size=batch_size,
        device=device,
        precision=precision,
        progress=progress,
    )
    one_of("distance_metric", distance_metric, METRICS)
    query = Query(
        distance_metric,
        similarity_search=similarity_search,
        k=k,
        return_type=return_type,
        search_method=search_method,
    )
    opened = partial(open_database, database_type, connection_details, connection)
    return _database.search(pipeline, img, query, opened)


def identify(
    img: Any,
    identity_id: Any,
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    distance_metric: str = "cosine",
    enforce_detection: EnforceDetection = True,
    align: bool = True,
    l2_normalize: bool = False,
    expand_percentage: int = 0,
    normalization: str = "base",
    anti_spoofing: bool = False,
    database_type: str = "postgres",
    connection_details: Any = None,
    connection: Any = None,
    *,
    border: float = PUBLISHED_BORDER,
    min_face_size: int | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> Identification:
    """Decide whether a picture shows the person of one registered record.

    Args:
        img: one picture, as for :func:`extract_faces`. The face closest to the record counts.
        identity_id: the record's ``id``, as :func:`search` gives it.
        model_name: as for :func:`represent`; that of the record.
        detector_backend: as for :func:`extract_faces`.
        distance_metric: as for :func:`verify`, but no function.
        enforce_detection: as for :func:`extract_faces`.
        align: as for :func:`extract_faces`.
        l2_normalize: as for :func:`register`; that of the record.
        expand_percentage: as for :func:`extract_faces`.
        normalization: as for :func:`represent`.
        anti_spoofing: raise an error where a face is not real.
        database_type: as for :func:`register`.
        connection_details: as for :func:`register`.
        connection: as for :func:`register`.
        border: as for :func:`extract_faces`.
        min_face_size: as for :func:`extract_faces`.
        device: as for :func:`extract_faces`.
        precision: as for :func:`represent`.

    Returns:
        A dict as of :func:`verify`, with ``id`` and ``img_name`` of the record;
        ``facial_areas["img2"]`` is ``None``.

    Raises:
        ValueError: there is no such record, or its vector was made in another way; base of all
            that :func:`search` raises.
    """
    pipeline = FacePipeline(
        detector_backend,
        model_name,
        anti_spoofing=anti_spoofing,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        border=border,
        min_face_size=min_face_size,
        normalization=normalization,
        l2_normalize=l2_normalize,
        device=device,
        precision=precision,
    )
    opened = partial(open_database, database_type, connection_details, connection)
    return _database.identify(pipeline, img, identity_id, distance_metric, opened)


def list_faces(
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    align: bool = True,
    l2_normalize: bool = False,
    database_type: str = "postgres",
    connection_details: Any = None,
    connection: Any = None,
    return_type: str | None = None,
) -> Any:
    """What was registered: the ids and names of the faces in a database.

    Args:
        model_name: as for :func:`register`; only faces registered with these four are listed.
        detector_backend: as for :func:`register`.
        align: as for :func:`register`.
        l2_normalize: as for :func:`register`.
        database_type: as for :func:`register`.
        connection_details: as for :func:`register`.
        connection: as for :func:`register`.
        return_type: as for :func:`search`.

    Returns:
        A table with a row per face: ``id``, ``img_name``, ``model_name``, ``detector_backend``,
        ``aligned`` and ``l2_normalized``; a ``pandas.DataFrame``, or a list of dicts.

    Raises:
        DatabaseError: as for :func:`register`.
    """
    pipeline = FacePipeline(detector_backend, model_name, align=align, l2_normalize=l2_normalize)
    opened = partial(open_database, database_type, connection_details, connection)
    return _database.list_faces(_database.criteria_of(pipeline), opened, return_type)


def unregister(
    identity_id: Any = None,
    img_name: str | Sequence[str] | None = None,
    img: Any = None,
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    enforce_detection: EnforceDetection = True,
    align: bool = True,
    l2_normalize: bool = False,
    expand_percentage: int = 0,
    normalization: str = "base",
    database_type: str = "postgres",
    connection_details: Any = None,
    connection: Any = None,
    *,
    border: float = PUBLISHED_BORDER,
    min_face_size: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> dict[str, int]:
    """Delete faces from a database: by id, by name, or those of pictures.

    Searches no longer find them, with an index neither; :func:`build_index` makes the index small
    again. All are deleted or, where this raises, none: in databases with transactions.

    Args:
        identity_id: an id, or a list of them, as :func:`search` and :func:`list_faces` give them.
        img_name: a name, or a list of them, to the letter; all records that have it.
        img: one picture or many, as for :func:`extract_faces`: the records of the very same faces.
        model_name: as for :func:`register`; names and faces are looked for among the records made
            with these four.
        detector_backend: as for :func:`register`.
        enforce_detection: as for :func:`register`.
        align: as for :func:`register`.
        l2_normalize: as for :func:`register`.
        expand_percentage: as for :func:`register`.
        normalization: as for :func:`register`.
        database_type: as for :func:`register`.
        connection_details: as for :func:`register`.
        connection: as for :func:`register`.
        border: as for :func:`register`.
        min_face_size: as for :func:`register`.
        batch_size: as for :func:`register`.
        device: as for :func:`register`.
        precision: as for :func:`register`.

    Returns:
        ``{"deleted": n}``: how many records there were.

    Raises:
        DatabaseError: as for :func:`register`.
        ValueError: none or several of ``identity_id``, ``img_name`` and ``img`` are given.
    """
    pipeline = FacePipeline(
        detector_backend,
        model_name,
        enforce_detection=enforce_detection,
        align=align,
        expand_percentage=expand_percentage,
        border=border,
        min_face_size=min_face_size,
        normalization=normalization,
        l2_normalize=l2_normalize,
        return_face=True,
        batch_size=batch_size,
        device=device,
        precision=precision,
    )
    opened = partial(open_database, database_type, connection_details, connection)
    return _database.unregister(pipeline, identity_id, img_name, img, opened)


def build_index(
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    align: bool = True,
    l2_normalize: bool = False,
    database_type: str = "postgres",
    connection: Any = None,
    connection_details: Any = None,
    max_neighbors_per_node: int = 32,
    *,
    batch_size: int = 1000,
) -> None:
    """Make ``search(..., search_method="ann")`` possible: index what was registered.

    The index is kept in the database. Faces that are registered later are found, too; calling this
    again adds them to the stored index, and rebuilds it where records were deleted. Databases that
    keep an index themselves (pgvector, Qdrant, Milvus) need no call.

    Args:
        model_name: as for :func:`register`.
        detector_backend: as for :func:`register`.
        align: as for :func:`register`.
        l2_normalize: as for :func:`register`.
        database_type: as for :func:`register`.
        connection: as for :func:`register`.
        connection_details: as for :func:`register`.
        max_neighbors_per_node: published; for databases that other packages add. Of those here none
            heeds it: what is built has no graph, and servers have settings of their own.
        batch_size: records that are read at a time.

    Raises:
        EmptyDatasource: no face was registered with these arguments.
        MissingPackageError: ``faiss-cpu`` is not installed.
        DatabaseError: as for :func:`register`.
    """
    pipeline = FacePipeline(detector_backend, model_name, align=align, l2_normalize=l2_normalize)
    opened = partial(open_database, database_type, connection_details, connection)
    _database.build_index(
        _database.criteria_of(pipeline), opened, max_neighbors_per_node, batch_size
    )


def cli() -> None:
    """Run the command line on ``sys.argv``: what the console script ``deepface`` does.

    Raises:
        SystemExit: always, with the exit code: 0 all done, 1 some pictures failed, 2 wrong use.
    """
    _door("cli.app").main()
