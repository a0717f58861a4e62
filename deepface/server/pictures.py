"""From what a request holds to encoded pictures: bytes capped, header read, nothing decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from deepface.errors import (
    DataTypeError,
    DeepFaceError,
    ImageFetchError,
    ImageTooLarge,
    ImgNotFound,
    as_ours,
)
from deepface.images.decode import Encoded
from deepface.images.fetch import fetch
from deepface.images.load import item_name, read_item
from deepface.images.video import BrokenVideo
from deepface.server.batching import current_call
from deepface.server.failures import PictureRefused, TooMuch
from deepface.server.settings import Settings

Fields: TypeAlias = dict[str, Any]
_URL = re.compile(r"https?://", re.IGNORECASE)
_LONGEST_FILE_NAME = 100


@dataclass(frozen=True)
class Upload:
    """A file of a request, with the name that its sender gave it."""

    name: str
    data: bytes = field(repr=False)


@dataclass
class Body:
    """The fields of a request. Where files were sent, pictures must be among them, as published.

    Fields that a route does not have are ignored, as published, unless it is ``strict``.
    """

    fields: Fields = field(default_factory=dict)
    has_files: bool = False
    strict: bool = False

    def picture(self, name: str) -> Any:
        """A picture's field, as it came.

        Raises:
            PictureRefused: files were sent, but not under this name.
        """
        value = self.fields.get(name)
        if self.has_files and not _is_upload(value):
            raise PictureRefused(f"Request form data doesn't have {name}")
        return value


def _is_upload(value: Any) -> bool:
    return isinstance(value, Upload) or (
        isinstance(value, list) and all(isinstance(item, Upload) for item in value)
    )


@dataclass(frozen=True)
class PictureReader:
    """Opens pictures within the limits; reads paths and URLs where the server was told so."""

    settings: Settings

    def open(self, value: Any, field: str, *, tolerant: bool = False) -> Any:
        """A picture, or a list of them.

        Args:
            value: an upload, bytes, text, or a list of these.
            field: its name in the request, for messages.
            tolerant: a picture of a list that cannot be opened stands there as an error to come,
                instead of failing the list.

        Raises:
            PictureRefused: it is missing, or an upload is no picture.
            ImageTooLarge: above the limit on bytes or pixels.
            TooMuch: more pictures than a request may hold.
            DeepFaceError: text that leads to no picture.
        """
        if value is None:
            raise PictureRefused(f"'{field}' not found in either json or form data request")
        if not isinstance(value, list):
            return self._open(value, field)
        if len(value) > self.settings.max_items:
            raise TooMuch(
                f"{field} has {len(value)} pictures, but a request may hold "
                f"{self.settings.max_items}"
            )
        opened: list[Encoded | BrokenVideo] = []
        for number, item in enumerate(value):
            try:
                opened.append(self._open(item, f"{field}[{number}]"))
            except ValueError as error:
                if not tolerant:
                    raise
                opened.append(BrokenVideo(f"{field}[{number}]", error))
        return opened

    def _open(self, value: Any, field: str) -> Encoded:
        if isinstance(value, Upload):
            name = f"{field} ({_printable(value.name)})" if value.name else field
            self._check_bytes(len(value.data), name)
            try:
                opened = Encoded.open(value.data, name)
            except ImageTooLarge:
                raise
            except DeepFaceError as error:
                raise PictureRefused(str(error)) from None
        elif isinstance(value, str):
            opened = self._text(value, field)
        else:
            raise DataTypeError(f"img must be numpy array or str but it is {type(value)}: {field}")
        if opened.width * opened.height > self.settings.max_pixels:
            raise ImageTooLarge(
                f"{opened.name} has {opened.width} x {opened.height} pixels, above this server's "
                f"limit of {self.settings.max_pixels}"
            )
        return opened

    def _text(self, text: str, field: str) -> Encoded:
        if text.startswith("data:image/"):
            self._check_bytes(len(text) * 3 // 4, field)
        elif _URL.match(text):
            if not self.settings.urls:
                raise DeepFaceError(
                    f"{field} is a URL, and this server fetches none: send the picture itself, or "
                    "start the server with --urls"
                )
            return self._fetched(text)
        else:
            return self._path(text, field)
        opened = read_item(text, item_name(text))
        assert isinstance(opened, Encoded)
        self._check_bytes(len(opened.data), opened.name)
        return opened

    def _fetched(self, url: str) -> Encoded:
        """What a URL gives, in the time that its request has left."""
        call = current_call.get()
        try:
            data = fetch(url, call.left(), self.settings.max_file)
        except ImageFetchError:
            call.left()  # there may be none: the deadline is the reason
            raise
        return Encoded.open(data, item_name(url))

    def _path(self, text: str, field: str) -> Encoded:
        """A file below the root folder. What lies elsewhere is refused whether it exists or not."""
        name = item_name(text)
        if self.settings.root is None:
            raise DeepFaceError(
                f"{field} is a path, and this server opens none: send the picture as a file or as "
                "data:image/...;base64 text, or start the server with --root"
            )
        root = self.settings.root.resolve()
        try:
            path = (root / text).resolve()
            inside = path.is_relative_to(root)
            exists = inside and path.is_file()
        except (OSError, ValueError):  # a name too long, or with a null byte
            raise ImgNotFound(f"Confirm that {name} exists") from None
        if not inside:
            raise DeepFaceError(f"{name} is outside of the folder whose pictures may be named")
        if not exists:
            raise ImgNotFound(f"Confirm that {name} exists")
        self._check_bytes(path.stat().st_size, name)
        try:
            return Encoded.open(path.read_bytes(), name)
        except OSError as error:
            raise as_ours(error, f"Exception while loading {name}") from None

    def _check_bytes(self, count: int, name: str) -> None:
        if count > self.settings.max_file:
            raise ImageTooLarge(
                f"{name} has {count} bytes, above this server's limit of {self.settings.max_file}"
            )


def _printable(name: str) -> str:
    """A sender's file name for messages and logs."""
    return "".join(c if c.isprintable() else "?" for c in name[:_LONGEST_FILE_NAME])
