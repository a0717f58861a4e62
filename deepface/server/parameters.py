"""The parameters of each function: names, defaults and conversions, for REST and gRPC.

Published names and defaults first. Text is understood in place of numbers and booleans, because
forms know nothing else; what cannot be understood is an error that names the field. Keys that are
not listed are ignored, as published.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from deepface.pipeline.options import ACTIONS, DEFAULT_DETECTOR, DEFAULT_MODEL

_TRUTHS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off", ""), False),
}


def _flag(value: Any) -> Any:
    if isinstance(value, str):
        value = _TRUTHS.get(value.strip().lower(), value)
    if value is None or isinstance(value, (int, float)):
        return bool(value)
    raise ValueError("must be true or false")


def _whole(value: Any) -> Any:
    if value == "":
        return None
    with suppress(TypeError, ValueError, OverflowError):
        if not isinstance(value, bool):
            return int(value)
    raise ValueError("must be a whole number")


def _actions(value: Any) -> Any:
    """A list, or text like ``[age, "gender"]``, as published; each is estimated once."""
    if isinstance(value, str):
        value = re.sub(r"[\[\]()\"'\s]", "", value).split(",")
    if isinstance(value, list) and all(isinstance(action, str) for action in value):
        return list(dict.fromkeys(value))
    return value


#: Of the largest id that a database counts up to.
_ID_DIGITS = len(str(2**63))


def _identity(value: Any) -> Any:
    """A number in text is a number: forms know only text."""
    if isinstance(value, bool):
        raise ValueError("must be an id")
    if not isinstance(value, str) or not (value.isascii() and value.isdecimal()):
        return value
    if len(value) > _ID_DIGITS:
        raise ValueError("must be an id, which has fewer digits")
    return int(value)


#: A picture's text: a data URI, or a URL or a path where the server was told to take them.
_PICTURE = {
    "anyOf": [
        {
            "type": "string",
            "description": "`data:image/...;base64,` text; or a URL or a path, where the server "
            "takes them; or an uploaded file",
        },
        {"type": "array", "items": {"type": "string"}, "description": "many pictures"},
    ]
}
_VECTOR = {"type": "array", "items": {"type": "number"}, "description": "an embedding"}

_FLAGS = ["true", "false", "1", "0", "yes", "no"]

Flag = Annotated[
    bool,
    BeforeValidator(_flag),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": _FLAGS}]}),
]
Enforced = Annotated[
    bool | Literal["empty"],
    BeforeValidator(lambda v: v if v == "empty" else _flag(v)),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": [*_FLAGS, "empty"]}]}),
]
Picture = Annotated[Any, WithJsonSchema(_PICTURE)]
PictureOrVector = Annotated[Any, WithJsonSchema({"anyOf": [*_PICTURE["anyOf"], _VECTOR]})]
Count = Annotated[int | None, BeforeValidator(_whole)]
Percent = Annotated[int, BeforeValidator(lambda v: _whole(v) or 0), Field(ge=-1000, le=1000)]
Actions = Annotated[
    list[str],
    BeforeValidator(_actions),
    WithJsonSchema(
        {"anyOf": [{"type": "array", "items": {"enum": [*ACTIONS]}}, {"type": "string"}]}
    ),
]
Identity = Annotated[int | str, BeforeValidator(_identity)]
Metric = Literal["cosine", "euclidean", "euclidean_l2", "angular"]


class Parameters(BaseModel):
    """What all functions have in common."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    detector_backend: str = Field(DEFAULT_DETECTOR, description="Detector, or `skip`.")
    align: Flag = Field(True, description="Rotate faces so that their eyes are level.")

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, data: Any) -> Any:
        """As published, ``null`` stands for false, or for a value that was not given."""
        flags = {key for key, field in cls.model_fields.items() if isinstance(field.default, bool)}
        return {key: value for key, value in data.items() if value is not None or key in flags}


class _Detection(Parameters):
    enforce_detection: Enforced = Field(
        True,
        description="A picture without a face is an error; `false`: a face; `empty`: neither.",
    )
    anti_spoofing: Flag = Field(False, description="Judge whether faces are real.")
    expand_percentage: Percent = Field(0, description="Enlarge boxes by so many percent.")
    max_faces: Count = Field(None, ge=1, description="Only so many faces, the largest first.")


class _Many(_Detection):
    on_error: Literal["raise", "yield"] = Field(
        "raise", description="`yield`: of many pictures, one that fails costs itself only."
    )


class _Vectors(BaseModel):
    vectors: Literal["list", "base64", "binary"] = Field(
        "list",
        description="Vectors as numbers, or as their little-endian float32 bytes: in base64, or as "
        "they are, which only answers in msgpack can hold, where it is the default.",
    )


class _Recognition(_Detection):
    model_name: str = Field(DEFAULT_MODEL, description="Recognition model.")
    normalization: str = Field("base", description="How pixel values are scaled.")


class _Ranking(BaseModel):
    distance_metric: Metric = "cosine"
    similarity_search: Flag = Field(False, description="Also those beyond the threshold.")
    k: Count = Field(None, ge=0, description="At most so many rows per face; 0 for all.")


class ExtractFaces(_Many):
    """Find faces and cut them out."""

    img: Picture = None
    faces: Literal["png", "jpeg", "none"] = Field(
        "png", description="How `face` comes, base64; `none` leaves it out."
    )


class Represent(_Recognition, _Many, _Vectors):
    """Turn faces into vectors."""

    img: Picture = None
    l2_normalize: Flag = Field(False, description="Scale vectors to length 1.")
    minmax_normalize: Flag = Field(False, description="Scale vectors to [0, 1].")


class Analyze(_Many):
    """Estimate attributes of faces."""

    img: Picture = None
    actions: Actions = Field(
        default_factory=lambda: ["age", "gender", "emotion", "race"],
        description="What to estimate, as a list or as text.",
    )


class Verify(_Recognition):
    """Decide whether two pictures show the same person."""

    img1: PictureOrVector = None
    img2: PictureOrVector = None
    distance_metric: Metric = "cosine"
    threshold: float | None = Field(None, description="The published one unless given.")


class _Stored(_Recognition):
    l2_normalize: Flag = Field(False, description="Scale vectors to length 1.")


class Register(_Stored):
    """Store faces in the database."""

    img: Picture = None
    img_name: str | list[str] | None = Field(None, description="What the records are called.")


class Search(_Stored, _Ranking):
    """Look for faces in the database."""

    img: PictureOrVector = None
    search_method: str = Field("exact", description="`exact`, or `ann` with an index.")


class Identify(_Stored):
    """Decide whether a picture shows the person of one record."""

    img: Picture = None
    identity_id: Identity
    distance_metric: Metric = "cosine"


class BuildIndex(Parameters):
    """Make searches with `ann` possible."""

    model_name: str = DEFAULT_MODEL
    l2_normalize: Flag = False


class ListFaces(BuildIndex):
    """What is registered."""


class DeleteFaces(ListFaces):
    """Delete records by id, or all that have a name."""

    identity_id: Identity | None = None
    img_name: str | None = None


class Unregister(_Stored):
    """Delete records by id, by name, or those of the very same faces as in pictures."""

    identity_id: Identity | list[Identity] | None = None
    img_name: str | list[str] | None = None
    img: Picture = None


class Find(_Recognition, _Ranking):
    """Look for faces among the pictures of a folder that the server was started with."""

    img: Picture = None
    gallery: str = Field(description="Name of the folder.")
    threshold: float | None = None
    refresh_database: Flag = Field(False, description="Look for changes in the folder first.")
