"""One URL to one file: timeouts, complete or an error, a progress bar on a terminal; unpacking."""

from __future__ import annotations

import bz2
import re
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import parse_qs, urlsplit

import requests

from deepface.runtime import safe_files
from deepface.runtime.progress import progress_bar
from deepface.runtime.weights.table import Archive

#: Seconds to connect, and seconds without a byte before giving up.
TIMEOUT = (10.0, 30.0)

#: Bytes of a file, and of an archive, whose size is not known beforehand.
LARGEST = 1 << 30

_CHUNK = 1 << 15
_TRANSIENT = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


class DownloadError(Exception):
    """Why a URL did not give the file; ``again``: whether another try may help."""

    def __init__(self, reason: str, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


def fetch(url: str, target: Path, label: str, stop: threading.Event, limit: int = LARGEST) -> None:
    """Write what ``url`` gives to the new file ``target``, which is complete when this returns.

    Args:
        url: http(s); a Google Drive link is taken to its direct form.
        target: what has the name is removed; removing it after an error is the caller's part.
        label: text before the progress bar, which appears only on a terminal.
        stop: set by another thread when the user interrupts; ends this one, too.
        limit: most bytes that are taken.

    Raises:
        DownloadError: the server's or the connection's fault.
        OSError: ``target`` cannot be written, e.g. the disk is full.
    """
    try:
        # A compressed transfer would hide the file's length.
        headers = {"Accept-Encoding": "identity"}
        with requests.get(direct(url), stream=True, timeout=TIMEOUT, headers=headers) as response:
            if not response.ok:
                status = response.status_code
                reason = f"HTTP {status} {response.reason}".strip()
                raise DownloadError(reason, again=status >= 500 or status in (408, 429))
            if url.startswith("https:") and not response.url.startswith("https:"):
                raise DownloadError(f"it leads to {response.url}, which is not encrypted")
            with safe_files.create(target) as file:
                _copy(response, file, label, stop, limit)
    except _TRANSIENT as error:
        raise DownloadError(str(error), again=True) from error
    except requests.RequestException as error:
        raise DownloadError(str(error)) from error


def _copy(
    response: requests.Response, file: IO[bytes], label: str, stop: threading.Event, limit: int
) -> None:
    length = response.headers.get("Content-Length", "")
    plain = "Content-Encoding" not in response.headers
    total = int(length) if plain and re.fullmatch("[0-9]{1,18}", length) else None
    received = 0
    if total is not None and total > limit:
        raise DownloadError(f"it gives {total} bytes instead of at most {limit}")
    shown = sys.stderr is not None and sys.stderr.isatty()
    with progress_bar(shown, total=total, desc=label, unit="B", unit_scale=True) as bar:
        for chunk in response.iter_content(_CHUNK):
            if stop.is_set():
                raise KeyboardInterrupt
            if received == 0 and _is_html(response, chunk):
                raise DownloadError(
                    "a web page came instead of the file (login, quota, or the file has moved)"
                )
            received += len(chunk)
            if received > limit:
                raise DownloadError(f"it gives more than {limit} bytes")
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and received != total:  # urllib3 before version 2 does not tell
        raise DownloadError(f"the connection ended after {received} of {total} bytes", again=True)


def _is_html(response: requests.Response, start: bytes) -> bool:
    kind = response.headers.get("Content-Type", "").lower()
    opening = start[:64].lstrip().lower()
    return kind.startswith("text/html") or opening.startswith((b"<!doctype html", b"<html"))


def direct(url: str) -> str:
    """Google Drive shows a page of confirmation for large files; this form of a link does not."""
    parts = urlsplit(url)
    ids = parse_qs(parts.query).get("id")
    if parts.hostname != "drive.google.com" or not ids:
        return url
    return f"https://drive.usercontent.google.com/download?id={ids[0]}&export=download&confirm=t"


def unpack(archive: Path, kind: Archive, name: str, target: Path, limit: int = LARGEST) -> None:
    """Write what is in ``archive`` to the new file ``target``.

    Args:
        archive: the download.
        kind: how it is packed.
        name: the member to take from a zip, in whatever folder of it. No path of the archive is
            used, so no member can lead out of the weights folder.
        target: as that of :func:`fetch`.
        limit: most bytes that are unpacked.

    Raises:
        DownloadError: the archive is damaged, has no such member, or unpacks to too much.
    """
    with safe_files.create(target) as file:
        for chunk in _unpacked(archive, kind, name):
            if file.tell() + len(chunk) > limit:
                raise DownloadError(f"the {kind} unpacks to more than {limit} bytes")
            file.write(chunk)


def _unpacked(archive: Path, kind: Archive, name: str) -> Iterator[bytes]:
    """The content of an archive; whatever reading it raises is the archive's fault."""
    try:
        with ExitStack() as opened:
            if kind == "bz2":
                source: IO[bytes] = opened.enter_context(bz2.open(archive))
            else:
                zipped = opened.enter_context(zipfile.ZipFile(archive))
                members = [m for m in zipped.namelist() if PurePosixPath(m).name == name]
                if not members:
                    raise DownloadError(f"the zip holds {zipped.namelist()[:10]}, but no {name}")
                source = opened.enter_context(zipped.open(members[0]))
            yield from iter(partial(source.read, _CHUNK), b"")
    except DownloadError:
        raise
    except Exception as error:
        raise DownloadError(f"the {kind} is damaged: {error}") from error
