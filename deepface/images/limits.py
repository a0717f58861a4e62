"""Limits on what comes from outside. Environment variables, read at each use, change them.

==============================  ===========================================  ==================
variable                        limit                                        default
==============================  ===========================================  ==================
``DEEPFACE_MAX_IMAGE_BYTES``    bytes of one encoded picture (file, URL,     256 MiB
                                stream, base64)
``DEEPFACE_MAX_IMAGE_PIXELS``   width times height of one picture, known     178,956,970
                                before it is decoded
``DEEPFACE_MAX_EXPANSION``      bytes of memory that decoding may take, for   256
                                each byte of the encoded picture; those of
                                less than 1 MiB count as 1 MiB
``DEEPFACE_URL_TIMEOUT``        seconds for one URL, redirects included      60
``DEEPFACE_ALLOW_PRIVATE_URLS``  ``1`` lets URLs reach private addresses     off
==============================  ===========================================  ==================

178,956,970 is where Pillow refuses too, by its own ``Image.MAX_IMAGE_PIXELS``. What only Pillow
decodes has both limits; to go beyond, raise both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from deepface.arguments import means_yes, shown
from deepface.errors import DataTypeError, ImageTooLarge, InvalidArgument

BYTES_VARIABLE = "DEEPFACE_MAX_IMAGE_BYTES"
PIXELS_VARIABLE = "DEEPFACE_MAX_IMAGE_PIXELS"
EXPANSION_VARIABLE = "DEEPFACE_MAX_EXPANSION"
TIMEOUT_VARIABLE = "DEEPFACE_URL_TIMEOUT"
PRIVATE_VARIABLE = "DEEPFACE_ALLOW_PRIVATE_URLS"

_BLOCK = 1 << 20


def max_bytes() -> int:
    """Most bytes that one encoded picture may have."""
    return int(_positive(BYTES_VARIABLE, 256 << 20))


def max_pixels() -> int:
    """Most pixels that one picture may have."""
    return int(_positive(PIXELS_VARIABLE, 178_956_970))


def url_timeout() -> float:
    """Seconds that fetching one URL may take."""
    return _positive(TIMEOUT_VARIABLE, 60)


def private_urls_allowed() -> bool:
    """Whether URLs may lead to private, loopback and other addresses that are not public."""
    return means_yes(os.environ.get(PRIVATE_VARIABLE, ""))


def check_bytes(count: int, name: str, most: int | None = None) -> None:
    """Raise ``ImageTooLarge`` for one of more bytes than :func:`max_bytes`, or than ``most``."""
    limit = max_bytes()
    if most is not None and count > most:
        raise ImageTooLarge(f"{name} has {count} bytes or more, above the limit of {most}")
    if count > limit:
        raise ImageTooLarge(
            f"{name} has {count} bytes or more, above the limit of {limit} "
            f"(environment variable {BYTES_VARIABLE})"
        )


def check_pixels(width: int, height: int, name: str) -> None:
    """Raise ``ImageTooLarge`` for a picture of more than :func:`max_pixels`."""
    limit = max_pixels()
    if width * height > limit:
        raise ImageTooLarge(
            f"{name} has {width} x {height} = {width * height} pixels, above the limit of {limit} "
            f"(environment variable {PIXELS_VARIABLE})"
        )


def check_memory(memory: int, size: tuple[int, int], count: int, name: str) -> None:
    """Raise ``ImageTooLarge`` where ``count`` bytes take far more ``memory`` than photographs do.

    A file of a few bytes can say that it has millions of pixels, all of one colour.
    """
    limit = int(_positive(EXPANSION_VARIABLE, 256) * max(count, 1 << 20))
    if memory > limit:
        raise ImageTooLarge(
            f"{name} says in {count} bytes that it has {size[0]} x {size[1]} pixels, which would "
            f"take {memory >> 20} MiB to decode, above the limit of {limit >> 20} MiB for so small "
            f"a file (environment variable {EXPANSION_VARIABLE})"
        )


def read_limited(
    read: Callable[..., Any], name: str, size: int | None = None, most: int | None = None
) -> bytes:
    """Everything that ``read(size)`` gives until it gives nothing, within :func:`max_bytes`, and
    within ``most`` where that is given.

    ``size`` is what a file says it has: it ends where that is there and no more comes at once.

    Raises:
        ImageTooLarge: as soon as the limit is passed; no more is read then.
        DataTypeError: ``read`` gives something that is not bytes.
    """
    blocks: list[bytes] = []
    count, asked = 0, _BLOCK if size is None else size + 1
    while True:
        block = read(asked)
        if not isinstance(block, (bytes, bytearray, memoryview)):
            raise DataTypeError(f"img requires bytes, but reading {name} gave {type(block)}")
        if not block:
            return b"".join(blocks)
        blocks.append(bytes(block))
        count += len(block)
        check_bytes(count, name, most)
        if size is not None and len(block) < asked and count >= size:
            return b"".join(blocks)
        asked = _BLOCK


def _positive(variable: str, default: float) -> float:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise InvalidArgument(
            f"environment variable {variable}={shown(text)} is not a positive number"
        )
    return value
