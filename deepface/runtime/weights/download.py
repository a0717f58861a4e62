"""One URL to one file: timeouts, complete or an error, a progress bar on a terminal; unpacking."""

from __future__ import annotations

import bz2
import shutil
import threading
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import parse_qs, urlsplit

import requests
from tqdm import tqdm

#: Seconds to connect, and seconds without a byte before giving up.
TIMEOUT = (10.0, 30.0)

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


def fetch(url: str, target: Path, label: str, stop: threading.Event) -> None:
    """Write what ``url`` gives to ``target``, which is complete when this returns.

    Args:
        url: http(s); a Google Drive link is taken to its direct form.
        target: overwritten; removing it after an error is the caller's part.
        label: text before the progress bar, which appears only on a terminal.
        stop: set by another thread when the user interrupts; ends this one, too.

    Raises:
        DownloadError: the server's or the connection's fault.
        OSError: ``target`` cannot be written, e.g. the disk is full.
    """
    try:
        # A compressed transfer would hide the file's length.
        headers = {"Accept-Encoding": "identity"}
        with requests.get(_direct(url), stream=True, timeout=TIMEOUT, headers=headers) as response:
            if not response.ok:
                status = response.status_code
                reason = f"HTTP {status} {response.reason}".strip()
                raise DownloadError(reason, again=status >= 500 or status in (408, 429))
            with target.open("wb") as file:
                _copy(response, file, label, stop)
    except _TRANSIENT as error:
        raise DownloadError(str(error), again=True) from error
    except requests.RequestException as error:
        raise DownloadError(str(error)) from error


def _copy(response: requests.Response, file: IO[bytes], label: str, stop: threading.Event) -> None:
    length = response.headers.get("Content-Length", "")
    plain = "Content-Encoding" not in response.headers
    total = int(length) if plain and length.isdigit() else None
    received = 0
    # tqdm's "None" is: no bar unless stderr is a terminal.
    with tqdm(total=total, desc=label, unit="B", unit_scale=True, disable=None, leave=False) as bar:
        for chunk in response.iter_content(_CHUNK):
            if stop.is_set():
                raise KeyboardInterrupt
            if received == 0 and _is_html(response, chunk):
                raise DownloadError(
                    "a web page came instead of the file (login, quota, or the file has moved)"
                )
            file.write(chunk)
            received += len(chunk)
            bar.update(len(chunk))
    if total is not None and received != total:  # urllib3 before version 2 does not tell
        raise DownloadError(f"the connection ended after {received} of {total} bytes", again=True)


def _is_html(response: requests.Response, start: bytes) -> bool:
    kind = response.headers.get("Content-Type", "").lower()
    opening = start[:64].lstrip().lower()
    return kind.startswith("text/html") or opening.startswith((b"<!doctype html", b"<html"))


def _direct(url: str) -> str:
    """Google Drive shows a page of confirmation for large files; this form of a link does not."""
    parts = urlsplit(url)
    ids = parse_qs(parts.query).get("id")
    if parts.hostname != "drive.google.com" or not ids:
        return url
    return f"https://drive.usercontent.google.com/download?id={ids[0]}&export=download&confirm=t"


def unpack_zip(archive: Path, name: str, target: Path) -> None:
    """Write the member called ``name``, in whatever folder of the archive, to ``target``.

    No path of the archive is used, so no member can lead out of the weights folder.

    Raises:
        DownloadError: the archive is damaged or has no such member.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            names = [m for m in zipped.namelist() if PurePosixPath(m).name == name]
            if not names:
                raise DownloadError(f"the zip holds {zipped.namelist()[:10]}, but no {name}")
            with zipped.open(names[0]) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, _CHUNK)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DownloadError(f"the zip is damaged: {error}") from error


def unpack_bz2(archive: Path, target: Path) -> None:
    """Write the decompressed ``archive`` to ``target``.

    Raises:
        DownloadError: the archive is damaged.
    """
    # Read errors of bz2 are OSErrors like those of a full disk: tell them apart by where they rise.
    with bz2.open(archive) as source, target.open("wb") as file:
        while True:
            try:
                chunk = source.read(_CHUNK)
            except (OSError, EOFError) as error:
                raise DownloadError(f"the bz2 file is damaged: {error}") from error
            if not chunk:
                return
            file.write(chunk)
