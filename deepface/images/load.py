"""One image of any kind, from what a caller passes to pixels."""

from __future__ import annotations

import base64
import binascii
import contextlib
import inspect
import io
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepface.errors import DataTypeError, DeepFaceError, InvalidImage, as_ours
from deepface.images.decode import Encoded
from deepface.images.header import detect_image_format
from deepface.images.limits import check_bytes, read_limited
from deepface.images.paths import DATA_URI, descriptor, path_name, path_of
from deepface.images.pil import is_pil_image, pil_to_bgr
from deepface.images.video import BrokenVideo, Frame
from deepface.types import Image


def load_image(img: Any) -> tuple[NDArray[Any], str]:
    """Load one image.

    Args:
        img: a path (``str`` or ``os.PathLike``), an http(s) URL, a ``data:image/`` URI (base64,
            JPEG or PNG), encoded ``bytes``, an object with ``read()`` that gives bytes, a Pillow
            image, or an array.

    Returns:
        The picture and its name for messages. An array is returned as it is, unchecked, with the
        name ``"numpy array"``; everything else is decoded to BGR ``uint8`` ``(H, W, 3)``, EXIF
        orientation applied.

    Raises:
        ImgNotFound: there is no such file.
        DataTypeError: an object of another type, or a data URI with another format.
        ImageTooLarge: above one of the limits in :mod:`deepface.images.limits`.
        ImageFetchError: the URL is refused or does not answer with a file.
        InvalidImage: what was read is no picture, or a damaged one.
        MachineError: the memory or a disk failed.
        DeepFaceError: it may not be read.
    """
    name = item_name(img)
    try:
        content = read_item(img, name)
        return (content.decode() if isinstance(content, Encoded) else content), name
    except DeepFaceError:
        raise
    except Exception as error:
        raise as_ours(error, f"Exception while loading {name}") from error


def load_image_from_base64(uri: str) -> Image:
    """Decode a ``data:image/...;base64,...`` URI; see :func:`load_image`."""
    return Encoded.open(_read_base64(uri, _BASE64_NAME), _BASE64_NAME).decode()


def load_image_from_web(url: str) -> Image:
    """Fetch and decode an http(s) URL; see :func:`load_image`."""
    return _read_url(url, item_name(url)).decode()


def load_image_from_io_object(obj: Any) -> Image:
    """Decode what a binary file object holds, from its start; see :func:`load_image`."""
    return Encoded.open(_read_stream(obj, _IO_NAME), _IO_NAME).decode()


def load_image_from_file_storage(file: Any) -> Image:
    """Decode an upload (``werkzeug.FileStorage``); see :func:`load_image`."""
    return load_image_from_io_object(file)


_BASE64_NAME = "base64 encoded string"
_IO_NAME = "io object"


def item_name(img: Any) -> str:
    """What messages call an image: its path, its URL without secrets, or its kind."""
    if isinstance(img, np.ndarray):
        return "numpy array"
    if isinstance(img, Encoded):
        return img.name
    if (text := path_of(img)) is not None:
        return _BASE64_NAME if text.startswith(DATA_URI) else path_name(text)
    if isinstance(img, (bytes, bytearray, memoryview)):
        return "encoded bytes"
    if is_pil_image(img):
        return "PIL image"
    if isinstance(img, (Frame, BrokenVideo)):
        return img.name
    return _IO_NAME if _is_stream(img) else type(img).__name__


def read_item(img: Any, name: str) -> Encoded | NDArray[Any]:
    """First half of loading: an array as it is, or an encoded picture whose header was read.

    Raises:
        DeepFaceError: its subclasses as in :func:`load_image`.
    """
    if isinstance(img, (np.ndarray, Encoded)):
        return img
    if (text := path_of(img)) is not None:
        if _is_url(text):
            return _read_url(text, name)
        if text.startswith(DATA_URI):
            return Encoded.open(_read_base64(text, name), name)
        return Encoded.open(_read_file(text, name), name)
    if isinstance(img, (bytes, bytearray, memoryview)):
        return Encoded.open(bytes(img), name)
    if is_pil_image(img):
        return pil_to_bgr(img, name)
    if _is_stream(img):
        return Encoded.open(_read_stream(img, name), name)
    if isinstance(img, Frame):
        return img.pixels
    if isinstance(img, BrokenVideo):
        raise img.error
    raise DataTypeError(
        f"img must be numpy array or str but it is {type(img)}. An image can also be a path "
        "object, bytes, a binary file object or a PIL image; several images come as a list, a "
        "tuple, a column of a table, an iterator or a 4-D array"
    )


def reads_from_elsewhere(img: Any) -> bool:
    """Whether reading an image waits for a disk or a network: a path, a URL (or a data URI)."""
    return path_of(img) is not None


def _is_url(text: str) -> bool:
    return text[:8].lower().startswith(("http://", "https://"))


def _is_stream(img: Any) -> bool:
    return callable(getattr(img, "read", None))


def _read_file(path: str, name: str) -> bytes:
    # A handful of system calls, no more: after each one a thread waits for Python's lock again.
    file, status = descriptor(path)
    try:
        check_bytes(status.st_size, name)
        return read_limited(partial(os.read, file), name, status.st_size)
    except OSError as error:
        raise as_ours(error, f"Exception while loading {name}") from error
    finally:
        os.close(file)


def _read_url(url: str, name: str) -> Encoded:
    from deepface.images.fetch import fetch  # imported when needed: HTTP and TLS take their time

    return Encoded.open(fetch(url), name)


def _read_base64(uri: str, name: str) -> bytes:
    comma = uri.find(",")
    if comma < 0:
        raise InvalidImage(f"format error in {name}: there is no comma before the data")
    filling = uri.count("=", max(comma, len(uri) - 2))
    check_bytes((len(uri) - comma - 1) * 3 // 4 - filling, name)
    try:
        data = base64.b64decode(uri[comma + 1 :])
    except (binascii.Error, ValueError) as error:
        raise InvalidImage(f"format error in {name}: {error}") from error
    if detect_image_format(data) is None:
        raise DataTypeError(f"Input image can be jpg or png, but it is {data[:8]!r}... in {name}")
    return data


def _read_stream(stream: Any, name: str) -> bytes:
    if isinstance(stream, io.TextIOBase):
        raise DataTypeError(f"img requires bytes and cannot be a text stream: {type(stream)}")
    if callable(getattr(stream, "seek", None)):
        with contextlib.suppress(OSError):  # a pipe or a socket: read from where it stands
            stream.seek(0)
    return read_limited(_sized_read(stream), name)


def _sized_read(stream: Any) -> Callable[[int], Any]:
    """``stream.read``; where that takes no size, a reader of all that it gives."""
    try:
        inspect.signature(stream.read).bind(1)
    except ValueError:  # written in C, without a signature
        return stream.read  # type: ignore[no-any-return]
    except TypeError:
        content = stream.read()
        return io.BytesIO(content).read if isinstance(content, bytes) else lambda size: content
    return stream.read  # type: ignore[no-any-return]
