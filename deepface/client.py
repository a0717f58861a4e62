"""The functions of a running server, under the library's names: ``pip install "deepface[client]"``.

    from deepface.client import Client

    with Client("http://127.0.0.1:5005", token="...") as faces:
        faces.represent("ann.jpg", model_name="Facenet")

Faces are looked for nowhere but on the server: this module imports no network.
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepface import errors
from deepface.arguments import in_order, is_vector
from deepface.errors import DeepFaceError, MissingPackageError
from deepface.images.arrays import to_bgr
from deepface.images.batch import open_batch
from deepface.images.decode import Encoded
from deepface.images.files import record_name
from deepface.images.header import detect_image_format
from deepface.images.load import item_name, read_item

try:
    import httpx
except ModuleNotFoundError as error:
    raise MissingPackageError(
        f'the client needs httpx ({error}): pip install "deepface[client]"'
    ) from error

#: What a list of embeddings starts with.
_NUMBERS = (float, int, np.floating)


class Client:
    """A connection to a server; usable from several threads.

    Every function takes the fields of its route, which are listed under ``/docs``, as keywords. A
    picture is what the library takes for one, floats rounded to 8 bits; a URL goes to the server,
    which may not take it. Where the function takes many, so does this. A field that the route does
    not have is an ``InvalidArgument``.

    Args:
        url: where the server is.
        token: a bearer token.
        timeout: seconds for an answer, also told to the server.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:5005", token: str | None = None, timeout: float = 60
    ) -> None:
        headers: dict[str, str | bytes] = {
            "X-Request-Timeout": str(timeout),
            "Prefer": "handling=strict",  # RFC 7240; here: a field that the route lacks is an error
        }
        if token is not None:
            headers["Authorization"] = f"Bearer {token}".encode()
        # The server says when the time is up; the connection is patient a little longer.
        self._http = httpx.Client(
            base_url=url,
            headers=headers,  # type: ignore[arg-type]
            timeout=timeout + 5,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def represent(self, img_path: Any, **options: Any) -> list[Any]:
        """As :func:`deepface.DeepFace.represent`."""
        return self._results("/represent", img=picture(img_path), **options)

    def verify(self, img1_path: Any, img2_path: Any, **options: Any) -> Any:
        """As :func:`deepface.DeepFace.verify`; either may be an embedding."""
        answer = self._ask(
            "POST", "/verify", img1=picture(img1_path), img2=picture(img2_path), **options
        )
        return answer.get("results", answer)

    def analyze(self, img_path: Any, **options: Any) -> list[Any]:
        """As :func:`deepface.DeepFace.analyze`."""
        return self._results("/analyze", img=picture(img_path), **options)

    def extract_faces(self, img_path: Any, **options: Any) -> list[Any]:
        """As :func:`deepface.DeepFace.extract_faces`; ``face`` is RGB in [0, 1], too."""
        results = self._results("/extract_faces", img=picture(img_path), **options)
        for entry in results:
            for face in entry if isinstance(entry, list) else [entry]:
                if "face" in face:
                    face["face"] = _pixels(face["face"])
        return results

    def find(self, img_path: Any, gallery: str, **options: Any) -> list[Any]:
        """As :func:`deepface.DeepFace.find`, in a folder that the server knows by this name."""
        return self._results("/find", img=picture(img_path), gallery=gallery, **options)

    def register(self, img: Any, **options: Any) -> dict[str, int]:
        """As :func:`deepface.DeepFace.register`, also in what records are called by default."""
        batch = open_batch(img)
        items = list(batch)
        if options.get("img_name") is None:
            names = [record_name(item_name(item)) for item in items]
            options["img_name"] = names[0] if batch.single else names
        return self._ask(
            "POST", "/register", img=picture(items[0] if batch.single else items), **options
        )

    def search(self, img: Any, **options: Any) -> list[Any]:
        """As :func:`deepface.DeepFace.search`; ``img`` may be an embedding."""
        return self._results("/search", img=picture(img), **options)

    def identify(self, img: Any, identity_id: int | str, **options: Any) -> dict[str, Any]:
        """As :func:`deepface.DeepFace.identify`."""
        return self._ask("POST", "/identify", img=picture(img), identity_id=identity_id, **options)

    def build_index(self, **options: Any) -> None:
        """As :func:`deepface.DeepFace.build_index`."""
        self._ask("POST", "/build/index", **options)

    def list_faces(self, **options: Any) -> list[Any]:
        """As :func:`deepface.DeepFace.list_faces`."""
        return self._results("/faces", "GET", **options)

    def unregister(self, img: Any = None, **options: Any) -> dict[str, int]:
        """As :func:`deepface.DeepFace.unregister`."""
        img = None if img is None else picture(img)
        return self._ask("POST", "/unregister", img=img, **options)

    def _results(self, route: str, method: str = "POST", **fields: Any) -> list[Any]:
        results: list[Any] = self._ask(method, route, **fields)["results"]
        return results

    def _ask(self, method: str, route: str, **fields: Any) -> dict[str, Any]:
        fields = {name: value for name, value in fields.items() if value is not None}
        sent: dict[str, Any] = {"params": fields}
        if method == "POST":
            sent = {
                "content": json.dumps(fields, default=_plain, allow_nan=False),
                "headers": {"Content-Type": "application/json"},
            }
        try:
            answer = self._http.request(method, route, **sent)
        except httpx.HTTPError as error:
            raise DeepFaceError(f"{self._http.base_url}: {error}") from error
        try:
            body: dict[str, Any] = answer.json()
        except ValueError:
            text = f"{answer.url} answers {answer.status_code}, and no JSON: {answer.text[:200]}"
            raise DeepFaceError(text) from None
        if answer.is_error:
            raise _error(body)
        return body


def picture(value: Any) -> Any:
    """What JSON holds for a picture, an embedding, or a list of pictures.

    Raises:
        DeepFaceError: as the library says of what it cannot read.
    """
    if is_vector(value):
        return np.asarray(value).tolist()
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], _NUMBERS):
        return [float(number) for number in value]
    batch = open_batch(value)
    if not batch.single:
        return [picture(item) for item in batch]
    if isinstance(value, str) and value.lower().startswith(("data:image/", "http://", "https://")):
        return value
    content = read_item(value, item_name(value))
    kind = detect_image_format(content.data) if isinstance(content, Encoded) else None
    if isinstance(content, Encoded) and kind is not None:
        data = content.data
    else:
        pixels = content.decode() if isinstance(content, Encoded) else to_bgr(content)
        kind, data = "png", cv2.imencode(".png", pixels)[1].tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _plain(value: Any) -> Any:
    """A field that JSON does not know."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if in_order(value):
        return list(value)
    raise errors.DataTypeError(f"a field cannot be sent: {value!r}")


def _pixels(text: str) -> NDArray[np.float64]:
    encoded = np.frombuffer(base64.b64decode(text), np.uint8)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., ::-1] / 255


def _error(body: dict[str, Any]) -> DeepFaceError:
    """The library's error that the server met."""
    name = str(body.get("code")).title().replace("_", "")
    kind = getattr(errors, name, DeepFaceError)
    text = body.get("error") or body.get("exception") or body.get("message") or str(body)
    return kind(text)  # type: ignore[no-any-return]
