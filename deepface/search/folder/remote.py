"""Galleries in object stores and on servers (``s3://``, ``gs://``, ``ftp://`` ...), by fsspec.

The datastore is kept on this machine, below ``DEEPFACE_HOME``. Which pictures are new is told by
what the listing says of them: size, and ETag, checksum or time.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import fsspec

from deepface.errors import (
    DeepFaceError,
    InvalidImage,
    MissingPackageError,
    PathNotFound,
    reason_of,
)
from deepface.images.files import OTHER_SUFFIXES, SUFFIXES
from deepface.images.header import detect_image_format
from deepface.runtime.home import get_deepface_home
from deepface.search.folder.scan import TAKEN, Scan, place

#: What tells one version of a file from the next, where a store gives it.
_VERSION = (
    *("ETag", "etag", "md5Hash", "md5", "checksum", "sha256", "LastModified", "last_modified"),
    *("updated", "mtime", "modify", "created"),
)


class RemoteFile:
    """A file that is fetched when it is read."""

    def __init__(self, files: Any, path: str) -> None:
        self._files = files
        self._path = path
        self._opened: Any = None
        self._begin = b""

    def read(self, size: int = -1) -> bytes:
        """So many of the next bytes, or all."""
        if self._opened is None:
            self._opened = self._files.open(self._path, "rb")
            self._begin = self._opened.read(8)
            if detect_image_format(self._begin) is None:
                raise InvalidImage("its content is neither JPEG nor PNG")
        begin, self._begin = self._begin, b""
        rest: bytes = self._opened.read(size if size < 0 else max(0, size - len(begin)))
        return begin + rest


class RemoteFolder:
    """A folder by its address.

    Args:
        url: e.g. ``s3://bucket/people/``. Where it has a user and a password, they are no part of
            the names of pictures. Those of FTP are ``DEEPFACE_FTP_USER`` and
            ``DEEPFACE_FTP_PASSWORD`` otherwise, as published; stores take theirs from their own
            variables and files.

    Raises:
        MissingPackageError: what opens such addresses is not installed.
        PathNotFound: nothing does. Whether the folder is there is asked when it is looked into.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.name = re.sub(r"://[^/@]*@", "://", url).rstrip("/")
        try:
            fsspec.get_filesystem_class(self._scheme)
        except ImportError as error:
            raise MissingPackageError(f"db_path {self.name}: {error} with pip") from error
        except ValueError as error:
            raise PathNotFound(f"db_path {self.name} is no folder: {error}") from error

    @property
    def _scheme(self) -> str:
        return self._url.partition("://")[0]

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """What reads the store, and what the folder is called in it: connects."""
        options = {}
        if self._scheme == "ftp" and "@" not in self._url:
            variables = {"username": "DEEPFACE_FTP_USER", "password": "DEEPFACE_FTP_PASSWORD"}
            options = {k: os.environ[v] for k, v in variables.items() if os.environ.get(v)}
        files, root = fsspec.core.url_to_fs(self._url, skip_instance_cache=True, **options)
        return files, root.rstrip("/")

    def cache(self) -> Path:
        """The folder for the datastore."""
        name = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        return Path(get_deepface_home(), ".deepface", "stores", name)

    def scan(self, stored: Mapping[str, str]) -> Scan:
        """The pictures that are there now.

        Raises:
            PathNotFound: the store cannot be reached, or has no such folder.
        """
        found = Scan(self.name)
        try:
            files, root = self._opened
            files.invalidate_cache()
            listed = _all_below(files, root)
        except Exception as error:  # of a driver, which may be any
            raise self._unreachable(error) from error
        if set(listed) == {root}:
            raise PathNotFound(f"Passed path {self.name} is a file: db_path must be a folder.")
        for path, info in sorted(listed.items(), key=lambda item: place(item[0], "/")):
            identity = f"{self.name}/{path.removeprefix(root).lstrip('/')}"
            if path.lower().endswith(SUFFIXES):
                if info.get("type") == "other" and not files.isfile(path):
                    # Who opens a pipe waits for ever.
                    found.left_out.setdefault("they are no regular files", []).append(identity)
                elif info.get("size") == 0:
                    found.left_out.setdefault("they are empty", []).append(identity)
                else:
                    found.files[identity] = _hash(info)
            elif path.lower().endswith(OTHER_SUFFIXES):
                found.left_out.setdefault(TAKEN, []).append(identity)
        return found

    def open(self, identity: str) -> RemoteFile:
        """One of the pictures."""
        files, root = self._opened
        return RemoteFile(files, root + identity.removeprefix(self.name))

    def _unreachable(self, error: Exception) -> DeepFaceError:
        rights = "those that the store's own tools take"
        if self._scheme == "ftp":
            rights = "DEEPFACE_FTP_USER and DEEPFACE_FTP_PASSWORD"
        return PathNotFound(
            f"Passed path {self.name} does not exist or cannot be reached: "
            f"{reason_of(error).rstrip('.')}. Nothing of what is known of it is lost. Check the "
            f"address, and user and password: {rights}."
        )


def _all_below(files: Any, root: str) -> dict[str, Any]:
    """Path -> what the store says of it; an error where a folder cannot be listed.

    Stores that list all at once say so themselves. Of others fsspec's ``find`` leaves such a
    folder out, and what is known of it would be forgotten.
    """
    found: dict[str, Any] = {}
    if files.async_impl:
        found = files.find(root, detail=True)
    elif files.isfile(root):
        found[root] = {}
    else:
        folders = [root]
        for folder in folders:  # grows on the way
            for info in files.ls(folder, detail=True):
                path = info["name"].rstrip("/")
                if info["type"] != "directory":
                    found[path] = info
                elif path != folder:
                    folders.append(path)
    return found


def _hash(info: Mapping[str, Any]) -> str:
    parts = [str(info.get("size")), *(str(info[key]) for key in _VERSION if key in info)]
    return hashlib.sha1("-".join(parts).encode(), usedforsecurity=False).hexdigest()
