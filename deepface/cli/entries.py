"""What one picture (or pair of pictures) gave, as JSON lines and as rows of a table."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from deepface.errors import DeepFaceError
from deepface.logger import is_encodable
from deepface.types import LANDMARKS

if TYPE_CHECKING:
    from deepface.pipeline import Found, StreamItem

#: Keys of boxes: their values become columns without a prefix.
_AREAS = ("facial_area", "region")
#: A face's small picture for the contact sheet; never part of a result.
THUMBNAIL = "thumbnail"
Row: TypeAlias = dict[str, Any]


class PictureNotWritten(DeepFaceError):
    """A picture has no room in a file's format."""


def innermost(error: BaseException) -> BaseException:
    """The first of our errors: those that were raised from it say of which item it is."""
    while isinstance(error.__cause__, DeepFaceError):
        error = error.__cause__
    return error


@dataclass
class ResultLine:
    """One line of the result.

    ``source`` is the picture's name, or the names of a pair. ``result`` is what the function gave,
    in plain Python values: ``{"faces": [...]}``, or the dict of ``verify``. ``error`` says why
    there is none.
    """

    source: str | list[str]
    result: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    @classmethod
    def of(cls, item: StreamItem | Found, faces: list[dict[str, Any]]) -> ResultLine:
        """What a picture gave: its error, or these faces."""
        if item.error is not None:
            return cls.of_error(item.source, item.error)
        time = {} if item.seconds is None else {"seconds": item.seconds}
        return cls(item.source, {**time, "faces": faces})

    @classmethod
    def of_error(cls, source: str, error: Exception) -> ResultLine:
        """What failed, and why. Errors name the picture, too, which the entry does itself."""
        reason = innermost(error)
        named = (
            rf"\A(item \d+ \({re.escape(source)}\)|Exception while loading {re.escape(source)}): "
        )
        return cls(source, error=re.sub(named, "", str(reason)) or type(reason).__name__)

    @property
    def key(self) -> str:
        """The source as one text."""
        return self.source if isinstance(self.source, str) else "\t".join(self.source)

    @property
    def faces(self) -> list[dict[str, Any]]:
        """The faces, where there can be any."""
        return self.result.get("faces", [])  # type: ignore[no-any-return]

    def to_json(self, encoding: str = "utf-8") -> str:
        """One line, without its end; escapes where ``encoding`` does not have its characters.

        Numbers that JSON does not have become null.
        """
        values = {"source": self.source, **self.result}
        if self.error is not None:
            values["error"] = self.error
        plain = _plain(values)
        line = json.dumps(plain, ensure_ascii=False)
        if not is_encodable(line, encoding):  # always so of a file name that is no UTF-8
            line = json.dumps(plain)
        return line

    @classmethod
    def from_json(cls, line: str | bytes) -> ResultLine:
        """The opposite of :meth:`to_json`.

        Raises:
            ValueError: the line holds something else.
        """
        try:
            values = json.loads(line)
        except RecursionError as reason:
            raise ValueError("it is nested too deeply") from reason
        if not isinstance(values, dict):
            raise ValueError("it is no entry of a result")
        source, error = values.pop("source", None), values.pop("error", None)
        faces = values.get("faces", [])
        is_pair = isinstance(source, list) and list(map(type, source)) == [str, str]
        if not (
            (isinstance(source, str) or is_pair)
            and (error is None or isinstance(error, str))
            and isinstance(faces, list)
            and all(isinstance(face, dict) for face in faces)
        ):
            raise ValueError("it is no entry of a result")
        return cls(source, error=error, result=values)

    def outline(self) -> ResultLine:
        """What is remembered of it: its source, its error, and as many faces, without results."""
        kept = ("file", THUMBNAIL)
        faces = [{key: face[key] for key in kept if key in face} for face in self.faces]
        return ResultLine(
            self.source, {"faces": faces} if "faces" in self.result else {}, self.error
        )

    def rows(self) -> Iterator[Row]:
        """One row per face or match, one for a pair; none without a result."""
        if self.error is not None:
            return
        rest = {k: v for k, v in self.result.items() if k != "faces"}
        if isinstance(self.source, list):
            first, second = self.source
            yield {"img1_path": first, "img2_path": second, **_flat(rest)}
            return
        for number, face in enumerate(self.faces):
            row = {"source": self.source, **rest, "face": number}
            if "matches" in face:
                yield from ({**row, **_flat(match)} for match in face["matches"])
            else:
                yield {**row, **_flat(face)}


def _flat(values: dict[str, Any], prefix: str = "") -> Row:
    row: Row = {}
    for key, value in values.items():
        if key == THUMBNAIL:
            continue
        if isinstance(value, dict):
            row.update(_flat(value, prefix if key in _AREAS else f"{prefix}{key}_"))
        elif key in LANDMARKS:
            row[f"{prefix}{key}_x"], row[f"{prefix}{key}_y"] = value or (None, None)
        else:
            row[f"{prefix}{key}"] = value
    return row


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@dataclass
class KeptRows(ResultLine):
    """Rows of a table that was written before, to be written again as they are."""

    kept: list[Row] = field(default_factory=list)

    def rows(self) -> Iterator[Row]:
        """The rows."""
        return iter(self.kept)
