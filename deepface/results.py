"""What the public functions give, as types: an editor completes ``face["facial_area"]["x"]``.

At run time these are plain dicts; nothing is checked or converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    cast,
    overload,
)

import numpy as np
from numpy.typing import NDArray

from deepface.types import Point

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

#: One picture that is no array: a path, a URL, base64 text, the bytes of a file, an open file.
OnePicture: TypeAlias = (
    "str | PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | PilImage"
)
_OneOfAPair: TypeAlias = "OnePicture | NDArray[Any] | list[float]"


class _MoreLandmarks(TypedDict, total=False):
    nose: Point | None
    mouth_left: Point | None
    mouth_right: Point | None


class FacialArea(_MoreLandmarks):
    """A face's box and landmarks in pixels of its picture; left and right are the person's own.

    ``nose`` and the corners of the mouth are there with the detectors that find them.
    """

    x: int
    y: int
    w: int
    h: int
    left_eye: Point | None
    right_eye: Point | None


class _Liveness(TypedDict, total=False):
    is_real: bool
    antispoof_score: float


class ExtractedFace(_Liveness):
    """A face of :func:`deepface.DeepFace.extract_faces`.

    ``is_real`` and ``antispoof_score`` are there with ``anti_spoofing``.
    """

    face: NDArray[Any]
    facial_area: FacialArea
    confidence: float


class _OnRequest(TypedDict, total=False):
    face: NDArray[np.float32]
    encrypted_embedding: Any


class Embedding(_OnRequest):
    """A face of :func:`deepface.DeepFace.represent`.

    ``face`` is there with ``return_face``, ``encrypted_embedding`` with a ``cryptosystem``.
    """

    embedding: list[float]
    facial_area: FacialArea
    face_confidence: float


class ComparedAreas(TypedDict):
    """The two faces that :func:`deepface.DeepFace.verify` compared; ``None`` for embeddings."""

    img1: FacialArea | None
    img2: FacialArea | None


class Verification(TypedDict):
    """The decision of :func:`deepface.DeepFace.verify`; ``confidence`` in percent."""

    verified: bool
    distance: float
    threshold: float
    confidence: float | None
    model: str
    detector_backend: str
    similarity_metric: str
    facial_areas: ComparedAreas
    time: float


class Identification(Verification):
    """The decision of :func:`deepface.DeepFace.identify`, with the record compared with."""

    id: Any
    img_name: str


Gender: TypeAlias = Literal["Woman", "Man"]
Emotion: TypeAlias = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
Race: TypeAlias = Literal["asian", "indian", "black", "white", "middle eastern", "latino hispanic"]


class Analysis(TypedDict):
    """A face of :func:`deepface.DeepFace.analyze`: percent per label, age in years.

    All keys are there with the default ``actions``; with others, those that were asked for.
    """

    region: FacialArea
    face_confidence: float
    age: int
    gender: dict[Gender, float]
    dominant_gender: Gender
    emotion: dict[Emotion, float]
    dominant_emotion: Emotion
    race: dict[Race, float]
    dominant_race: Race


class Match(TypedDict):
    """A row of :func:`deepface.DeepFace.find` with ``return_type="dict"``."""

    identity: str
    hash: str
    target_x: int
    target_y: int
    target_w: int
    target_h: int
    threshold: float
    source_x: int
    source_y: int
    source_w: int
    source_h: int
    distance: float
    confidence: float


class StoredFace(TypedDict):
    """A row of :func:`deepface.DeepFace.list_faces` with ``return_type="dict"``.

    Databases count their records, or call them by texts.
    """

    id: Any
    img_name: str
    model_name: str
    detector_backend: str
    aligned: bool
    l2_normalized: bool


class StoredMatch(StoredFace):
    """A row of :func:`deepface.DeepFace.search` with ``return_type="dict"``.

    The ``target_`` box is that of the face that was looked for; an embedding has none.
    """

    search_method: str
    target_x: int | None
    target_y: int | None
    target_w: int | None
    target_h: int | None
    threshold: float
    distance_metric: str
    distance: float
    confidence: float


#: A table: a ``pandas.DataFrame``, or a list of rows such as :class:`Match`, as was asked for. Type
#: checkers take it for either.
TABLE: type[Any] = object

P = ParamSpec("P")
Face = TypeVar("Face")


class OneOrMany(Protocol[P, Face]):
    """One picture gives a list of faces; many give such a list each.

    Type checkers cannot tell a 4-D array from one picture, since the types of most arrays do not
    name their dimensions: every array counts as one here. ``list(array)`` is typed as it is.
    """

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a path can be iterated over, too
        self, img_path: OnePicture | NDArray[Any], *args: P.args, **kwargs: P.kwargs
    ) -> list[Face]: ...
    @overload
    def __call__(
        self, img_path: Iterable[Any], *args: P.args, **kwargs: P.kwargs
    ) -> list[list[Face]]: ...


class FaceOrMany(Protocol[P, Face]):
    """As :class:`OneOrMany`, of functions whose picture is called ``img`` or is an embedding."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, img: _OneOfAPair, *args: P.args, **kwargs: P.kwargs
    ) -> list[Face]: ...
    @overload
    def __call__(
        self, img: Iterable[Any], *args: P.args, **kwargs: P.kwargs
    ) -> list[list[Face]]: ...


class PairOrPairs(Protocol[P, Face]):
    """One pair gives one decision; two lists give a list."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        img1_path: _OneOfAPair,
        img2_path: _OneOfAPair,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Face: ...
    @overload
    def __call__(
        self,
        img1_path: Iterable[Any],
        img2_path: Iterable[Any],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> list[Face]: ...


def one_or_many(
    face: type[Face],
) -> Callable[[Callable[Concatenate[Any, P], list[Any]]], OneOrMany[P, Face]]:
    """Tell type checkers what a function gives; the function itself stays as it is."""
    return lambda function: cast(Any, function)


def face_or_many(
    face: type[Face],
) -> Callable[[Callable[Concatenate[Any, P], list[Any]]], FaceOrMany[P, Face]]:
    """As :func:`one_or_many`, of functions that take embeddings, too."""
    return lambda function: cast(Any, function)


def pair_or_pairs(
    face: type[Face],
) -> Callable[[Callable[Concatenate[Any, Any, P], Any]], PairOrPairs[P, Face]]:
    """As :func:`one_or_many`, for functions of two pictures."""
    return lambda function: cast(Any, function)
