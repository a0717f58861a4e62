"""The faces of a folder of pictures, embedded by the walk and kept beside the pictures."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepface.cropping.face_crops import LANDMARKS_ALIGNMENT, PUBLISHED_BORDER
from deepface.detection.registry import DETECTORS
from deepface.errors import DataTypeError, EmptyDatasource, PathNotFound, fault_of
from deepface.images.batch import open_batch
from deepface.logger import get_logger
from deepface.pipeline.extraction import Seen, box_of
from deepface.pipeline.options import Options
from deepface.pipeline.plan import Plan
from deepface.pipeline.walk import one_by_one, walk
from deepface.recognition.registry import RECOGNIZERS
from deepface.search.folder import Datastore, Face, Gallery, refresh
from deepface.search.folder.formats import check_format
from deepface.search.folder.signature import signer

if TYPE_CHECKING:
    from deepface.search.folder.remote import RemoteFolder


def open_gallery(
    options: Options,
    db_path: str | PathLike[str],
    *,
    refresh_database: bool = True,
    silent: bool = False,
    datastore_format: str = "npz",
    credentials: Any = None,
) -> Gallery:
    """The faces of a folder, as its datastore has them once it was brought up to date.

    Args:
        options: how faces are found and embedded.
        db_path: the folder, and the other arguments: as for :func:`deepface.DeepFace.find`.

    Raises:
        ValueError: as ``find``, where the folder or its datastore is to blame.
    """
    folder, remote = _folder(db_path)
    check_format(datastore_format)
    credentials = signer(credentials)
    model = RECOGNIZERS.build(
        str(options.model_name), options.one_device, precision=options.precision
    )
    name, length = datastore_name(options), model.output_shape
    store = Datastore(folder, name, datastore_format, length, credentials, remote)
    if refresh_database:
        if not silent:
            _tell_of_pickle(store.path)
        embedding = replace(options, anti_spoofing=False, progress=not silent)
        gallery = refresh(store, lambda files: _embed(files, embedding, remote), silent)
    else:
        if not silent:
            get_logger().info(
                "refresh_database is off: changes in %s since the last refresh are not seen", folder
            )
        gallery = store.load()
        if not len(gallery):
            raise EmptyDatasource(
                f"Nothing is found in {store.path}: call find with refresh_database=True once"
            )
    if not gallery.has_embedding.any():
        raise EmptyDatasource(
            f"no face was found in any of the {len(gallery)} pictures of {store.folder}. Another "
            "detector_backend may find some; enforce_detection=False takes whole pictures, once "
            f"{store.path} is deleted."
        )
    return gallery


def _tell_of_pickle(path: Path) -> None:
    pickled = path.with_suffix(".pkl")
    if pickled.exists() and not path.exists():
        get_logger().info(
            "%s of an older version is left alone and not read: a pickle can run any program. "
            "The gallery is built anew.",
            pickled,
        )


def datastore_name(options: Options) -> str:
    """The published name of a gallery's file, without its ending.

    Settings that the published library does not have are added where they are not its own.
    """
    card = DETECTORS.find(options.detector_backend)
    detector = card.name if card is not None else options.detector_backend
    aligned = "aligned" if options.align else "unaligned"
    own = {
        f"border_{options.border:g}": options.align and options.border != PUBLISHED_BORDER,
        f"minfacesize_{options.min_face_size}": options.min_face_size is not None,
        f"maxfaces_{options.max_faces}": options.max_faces is not None,
        "l2normalize": options.l2_normalize,
        "minmaxnormalize": options.minmax_normalize,
        f"precision_{options.precision}": options.precision is not None,
        f"decode_{options.decode}": options.decode != "cpu",
    }
    parts = [
        f"ds_model_{options.model_name}",
        f"detector_{detector}",
        LANDMARKS_ALIGNMENT if options.align == LANDMARKS_ALIGNMENT else aligned,
        f"normalization_{options.normalization}",
        f"expand_{options.expand_percentage}",
        *(part for part, is_used in own.items() if is_used),
    ]
    return "_".join(parts).replace("-", "").lower()


def _folder(db_path: str | PathLike[str]) -> tuple[str, RemoteFolder | None]:
    """The folder's name, and what opens it where it is not on this machine."""
    try:
        folder = str(os.fsdecode(db_path))  # the system takes a text of numpy for bytes
    except TypeError:
        raise DataTypeError(f"db_path must be a folder's path, but it is {db_path!r}") from None
    if "://" in folder:
        from deepface.search.folder.remote import RemoteFolder

        remote = RemoteFolder(folder)
        return remote.name, remote
    try:
        is_folder = stat.S_ISDIR(os.stat(folder).st_mode)  # noqa: PTH116
        Path(folder).absolute()  # raises where the working folder is gone
    except (FileNotFoundError, NotADirectoryError):
        is_folder = False
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be entered
        reason = getattr(error, "strerror", None) or error
        raise PathNotFound(f"db_path {folder!r} cannot be opened: {reason}") from error
    if not is_folder:
        raise PathNotFound(f"Passed path {folder} does not exist! db_path must be a folder.")
    return folder, None


def _embed(
    files: Sequence[str], options: Options, remote: RemoteFolder | None
) -> Iterator[tuple[str, list[Face]]]:
    """Picture files with their faces; none where the picture is to blame.

    A file for which something else is to blame (a disk, the memory) is left out: it is tried again
    the next time.
    """
    done = False
    failure: Exception | None = None
    pictures: Any = files if remote is None else [remote.open(file) for file in files]
    for item in one_by_one(walk(open_batch(pictures), Plan.of(options), options.progress)):
        file = files[item.index]
        if item.error is None:
            done = True
            yield file, faces_of(item)
            continue
        reason = item.error.__cause__ or item.error
        if fault_of(item.error) == "picture":
            get_logger().error("Exception while extracting faces from %s: %s", file, reason)
            if remote is not None or Path(file).exists():
                done = True
                yield file, []
        else:
            get_logger().error("%s is left out this time: %s", file, reason)
            failure = failure or item.error
    if failure is not None and not done:
        raise failure


def faces_of(item: Seen) -> list[Face]:
    """A picture's faces, once it has been through the walk."""
    areas = map(box_of, item.areas())
    return [Face(area, vector) for area, vector in zip(areas, item.vectors, strict=True)]
