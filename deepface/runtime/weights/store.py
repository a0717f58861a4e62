"""Weight files on disk: found in the weights folder, or downloaded there, verified either way.

A file appears under its name only when it is complete and verified. A download goes to a hidden
file beside it, under a lock (another one) that other threads and processes wait for. A killed
process leaves at most the hidden files: they are never opened, and the next try replaces them.

Before its path is first given out, a file on disk is verified: by its published hash where one is
known; else by its structure (``structure.py``) and, if it was downloaded, by the hash of the first
download (``pins.py``). One that is too short counts as an interrupted download of an older program:
it is downloaded anew and kept as ``NAME.bad``. Any other difference is refused, and the file left
alone.

Environment, read at each call:

``DEEPFACE_HOME``
    the folder that holds ``.deepface/weights`` (default: the home directory).
``DEEPFACE_OFFLINE``
    ``1``: never download.
``DEEPFACE_ALLOW_UNKNOWN_WEIGHTS``
    for weights of your own under a published name: ``1`` accepts any hash of every file on disk,
    names separated by commas any of these files. Their structure is still verified.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal

from filelock import Timeout

from deepface._opencv import path_for_opencv
from deepface.arguments import means_yes
from deepface.errors import DeepFaceError, UnimplementedError, WeightsError
from deepface.logger import get_logger
from deepface.runtime import safe_files
from deepface.runtime.home import weights_folder
from deepface.runtime.packages import package_file
from deepface.runtime.weights import pins
from deepface.runtime.weights.damage import repair_command
from deepface.runtime.weights.download import LARGEST, DownloadError, fetch, unpack
from deepface.runtime.weights.structure import check_structure
from deepface.runtime.weights.table import WEIGHT_FILES, WeightFile

#: Rounds over a file's URLs, and seconds of pause after the first; each further pause is double.
TRIES = 3
PAUSE = 1.0


def ensure_weight(file: str | WeightFile) -> Path:
    """The path of a weight file, which is downloaded when it is not on disk.

    Args:
        file: a model's file, or a key of :data:`deepface.runtime.weights.table.WEIGHT_FILES`.

    Raises:
        WeightsError: it cannot be downloaded, or the file on disk is not the published one; the
            message says what to do.
    """
    return _ensure(_known(file), threading.Event())


def first_available(files: Sequence[str | WeightFile]) -> Path:
    """The first of several alternatives (``.pth``, ``.h5``) that is on disk.

    When none is, the first is downloaded.
    """
    folder, known = weights_folder(), [*map(_known, files)]
    there = (file for file in known if (folder / file.name).is_file())
    return ensure_weight(next(there, known[0]))


def download_all(names: Iterable[str | WeightFile] | None = None) -> list[Path]:
    """Bring weight files to disk, four at a time.

    Args:
        names: which; ``None`` is all of the table but the ``.h5`` and ``.onnx`` files that have a
            ``.pth`` counterpart.

    Returns:
        Their paths, in order.

    Raises:
        WeightsError: some could not be had. The others are on disk then; the message has the
            reasons for each.
    """
    if names is None:
        names = [
            name
            for name in WEIGHT_FILES
            if not name.endswith(".h5") and f"{name.removesuffix('.onnx')}.pth" not in WEIGHT_FILES
        ]
    files = [_known(name) for name in names]
    paths, failures = [], []
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=4) as pool:
        try:
            for future in [pool.submit(_ensure, file, stop) for file in files]:
                try:
                    paths.append(future.result())
                except WeightsError as error:
                    failures.append(str(error))
        except BaseException:  # Ctrl-C above all: it must not wait for gigabytes
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        raise WeightsError(
            f"{len(failures)} of {len(files)} weight files are not available: "
            + "; ".join(failures)
        )
    return paths


def download_all_models_in_one_shot() -> None:
    """The published name of :func:`download_all`."""
    download_all()


def download_weights_if_necessary(
    file_name: str,
    source_url: str | Sequence[str],
    compress_type: Literal["zip", "bz2"] | None = None,
) -> str:
    """The path of a file of the weights folder, downloaded from ``source_url`` when missing.

    Args:
        file_name: its path below the weights folder.
        source_url: one URL, or several that are tried in order.
        compress_type: how the download is packed; from a zip the member called ``file_name`` is
            taken.

    Raises:
        UnimplementedError: another ``compress_type``.
        WeightsError: as :func:`ensure_weight`.
    """
    if compress_type not in (None, "zip", "bz2"):
        raise UnimplementedError(f"compress_type must be None, 'zip' or 'bz2': {compress_type!r}")
    urls = (source_url,) if isinstance(source_url, str) else tuple(source_url)
    known = WEIGHT_FILES.get(file_name, WeightFile(file_name, (), opened=False))
    file = WeightFile(
        file_name, urls, known.licence, known.size, known.sha256, compress_type, opened=known.opened
    )
    return str(_ensure(file, threading.Event()))


def file_on_disk(file: WeightFile) -> Path | None:
    """Where a file is: in the weights folder, or with a package that brings it, too."""
    path = weights_folder() / file.name
    if path.is_file() or file.package is None:
        return path if path.is_file() else None
    package, _, relative = file.package.partition("/")
    return package_file(package, relative)


def _known(file: str | WeightFile) -> WeightFile:
    if isinstance(file, WeightFile):
        return WEIGHT_FILES.get(file.name, file)
    if file not in WEIGHT_FILES:
        raise WeightsError(f"{file!r} is no known weight file; known: {', '.join(WEIGHT_FILES)}")
    return WEIGHT_FILES[file]


def _ensure(file: WeightFile, stop: threading.Event) -> Path:
    path = weights_folder() / file.name
    try:
        path_for_opencv(path)
    except DeepFaceError as error:
        raise WeightsError(f"{error}, or set DEEPFACE_HOME to another folder") from None
    if Path(file.name).is_absolute() or ".." in Path(file.name).parts:
        raise WeightsError(f"weight file {file.name!r} leads out of {weights_folder()}")
    try:
        brought = None if path.is_file() else file_on_disk(file)
        if brought is not None:
            if not _is_allowed(file.name):
                _check_hash(file, brought)
            return brought
        if not _is_usable(file, path):
            _download(file, path, stop)
    except OSError as error:
        reason = f"{error.filename or path.parent} cannot be read or written: {error.strerror}"
        raise _failure(file, path, [reason]) from error
    return path


def _is_usable(file: WeightFile, path: Path) -> bool:
    """Whether ``path`` can be opened; ``False`` when it is missing or incomplete.

    Raises:
        WeightsError: it is a file, but not the right one.
    """
    if not path.is_file():
        return False
    if file.equals and sha256(path) in file.equals:
        return True
    if not _is_allowed(file.name):
        if path.stat().st_size < (file.size or 1):
            return False
        _check_hash(file, path)
    if file.sha256 is None or _is_allowed(file.name):
        check_structure(path, file)
    return True


def _check_hash(file: WeightFile, path: Path) -> None:
    """Raise where the hash is not the published one, or that of the first download."""
    if file.sha256 is None:
        pinned, status = pins.pins().get(file.name), path.stat()
        if pinned is None or (pinned.size, pinned.modified) == (status.st_size, status.st_mtime_ns):
            return
        if (found := sha256(path)) != pinned.sha256:
            raise pins.changed(file.name, pinned, found, str(path))
    elif (found := sha256(path)) != file.sha256:
        raise WeightsError(
            f"{path} is not the published {file.name}: it has {path.stat().st_size} bytes and "
            f"sha256 {found} instead of {file.size or 'some'} bytes and {file.sha256}. If it is "
            f"damaged, delete it and get it again: {repair_command(path)}. If it is a file of "
            "your own, allow it: set the environment variable "
            f"DEEPFACE_ALLOW_UNKNOWN_WEIGHTS={file.name} (several names: with commas; all: 1)."
        )


def has_known_hash(file: WeightFile, path: Path) -> bool:
    """Whether a file on disk is one that is known to be sound."""
    known = (file.sha256, *file.equals)
    return known != (None,) and sha256(path) in known


def fault_of(file: WeightFile) -> str | None:
    """What is wrong with a known file on disk, if that can be told in no time.

    Its size and its structure are looked at, its hash is not.
    """
    path = file_on_disk(file) or weights_folder() / file.name
    try:
        size = path.stat().st_size
        exact = file.size is not None and not file.equals and not _is_allowed(file.name)
        if exact and size != file.size:
            return f"{path} has {size} bytes instead of {file.size}"
        check_structure(path, file)
    except WeightsError as error:
        return str(error)
    except OSError as error:
        return f"{path} cannot be opened: {error.strerror}"
    return None


def verification_of(file: WeightFile) -> str:
    """How a known file on disk is verified before it is opened, in words."""
    if _is_allowed(file.name):
        return "structure (any hash is allowed)"
    if file.sha256 is not None:
        return "published hash"
    return "hash of the first download, structure" if file.name in pins.pins() else "structure"


def _is_allowed(name: str) -> bool:
    setting = os.environ.get("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "")
    return means_yes(setting) or name in [part.strip() for part in setting.split(",")]


def sha256(path: Path) -> str:
    """A file's hash, computed once per process as long as the file looks the same."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@cache
def _digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return safe_files.digest(file)


def _download(file: WeightFile, path: Path, stop: threading.Event) -> None:
    if means_yes(os.environ.get("DEEPFACE_OFFLINE", "")):
        raise _failure(file, path, ["DEEPFACE_OFFLINE is set: nothing is downloaded"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path), _scratch(path, "part") as part, _scratch(path, "unpacked") as unpacked:
        if _is_usable(file, path):  # another thread or process was faster
            return
        complete, url = _from_any_url(file, path, part, unpacked, stop)
        with safe_files.open_existing(complete, "r+b") as written:
            os.fsync(written.fileno())  # a power failure must not leave a name without content
        if file.sha256 is None:
            _pin(file, complete, url)
        if path.exists():
            aside = path.with_name(f"{path.name}.bad")
            get_logger().warning("%s was incomplete; it is %s now", path, aside.name)
            path.replace(aside)
        complete.replace(path)


def _pin(file: WeightFile, complete: Path, url: str) -> None:
    found, status = sha256(complete), complete.stat()
    pinned = pins.pins().get(file.name)
    if pinned is None:
        pins.pin(file.name, found, status.st_size, url, status.st_mtime_ns)
        get_logger().info("no hash of %s is published: later ones are compared to it", file.name)
    elif pinned.sha256 != found:
        raise pins.changed(file.name, pinned, found, f"what {url} gives now")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = path.with_name(f".{path.name}.lock")
    with ExitStack() as held:
        try:
            held.enter_context(safe_files.locked(lock, timeout=1))
        except Timeout:
            get_logger().info("waiting for %s, which is being downloaded already", path.name)
            held.enter_context(safe_files.locked(lock))
        yield


@contextmanager
def _scratch(path: Path, ending: str) -> Iterator[Path]:
    """A file name beside ``path``, gone at the end. Its owner is whoever holds the lock."""
    scratch = path.with_name(f".{path.name}.{ending}")
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def _from_any_url(
    file: WeightFile, path: Path, part: Path, unpacked: Path, stop: threading.Event
) -> tuple[Path, str]:
    """The verified file, and which URL gave it.

    URLs are tried in order, those that may recover again after a pause.
    """
    get_logger().info(
        "downloading %s (licence: %s) to %s", file.name, file.licence or "not stated", path.parent
    )
    limit = file.size or LARGEST
    reasons: dict[str, str] = {}
    urls = list(file.urls)
    for attempt in range(TRIES):
        if attempt and stop.wait(PAUSE * 2 ** (attempt - 1)):
            raise KeyboardInterrupt
        for url in tuple(urls):
            try:
                if file.archive is None:
                    fetch(url, part, path.name, stop, limit)
                    return _checked(file, part), url
                fetch(url, part, path.name, stop)
                unpack(part, file.archive, path.name, unpacked, limit)
                return _checked(file, unpacked), url
            except DownloadError as error:
                reasons[url] = f"{url}: {error}"
                if not error.again:
                    urls.remove(url)
        if not urls:
            break
    raise _failure(file, path, reasons.values())


def _checked(file: WeightFile, complete: Path) -> Path:
    size = complete.stat().st_size
    if size == 0 or (file.size is not None and size != file.size):
        raise DownloadError(f"it gives {size} bytes instead of {file.size or 'some'}")
    if file.sha256 is None:
        try:
            check_structure(complete, file)
        except WeightsError as error:
            raise DownloadError(str(error)) from error
    elif (found := sha256(complete)) != file.sha256:
        raise DownloadError(f"it gives a file with sha256 {found} instead of {file.sha256}")
    return complete


def _failure(file: WeightFile, path: Path, reasons: Iterable[str]) -> WeightsError:
    urls = file.urls[0] if len(file.urls) == 1 else list(file.urls)
    why = list(reasons)
    with suppress(OSError):
        size = path.stat().st_size
        why.insert(
            0,
            f"{path} is there, but incomplete: {size} of {file.size or '?'} bytes (if it is a "
            f"file of your own, set DEEPFACE_ALLOW_UNKNOWN_WEIGHTS={file.name})",
        )
    unpacked = f", unpack the {file.archive}," if file.archive else ""
    return WeightsError(
        f"An exception occurred while downloading {file.name} from {urls}: {'; '.join(why)}. To "
        f"put it there by hand: download one of these URLs{unpacked} and save it as {path}"
    )
