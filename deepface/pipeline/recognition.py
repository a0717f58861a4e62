"""Who of a folder of pictures is this: ``find``."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from deepface.detection.faces import LANDMARKS_ALIGNMENT, PUBLISHED_BORDER
from deepface.detection.registry import DETECTORS
from deepface.errors import (
    DeepFaceError,
    EmptyDatasource,
    MissingPackageError,
    PathNotFound,
    WeightsError,
)
from deepface.images.batch import open_batch
from deepface.images.load import item_name
from deepface.logger import get_logger
from deepface.matching.confidence import find_confidence
from deepface.matching.distance import Metric
from deepface.matching.gallery import Datastore, Face, Gallery, refresh
from deepface.matching.ranking import Ranked
from deepface.matching.thresholds import find_threshold
from deepface.pipeline.face_pipeline import FacePipeline
from deepface.pipeline.faces import Seen, facial_area
from deepface.pipeline.options import Options
from deepface.pipeline.walk import walk
from deepface.recognition.registry import RECOGNIZERS

RETURN_TYPES = ("pandas", "dict")


@dataclass(frozen=True)
class Query:
    """What is looked for, and how it is given back; the arguments of ``find``."""

    distance_metric: str | Metric = "cosine"
    threshold: float | None = None
    similarity_search: bool = False
    k: int | None = None
    return_type: str | None = None

    def __post_init__(self) -> None:
        if callable(self.distance_metric) and self.threshold is None:
            raise ValueError(
                "Threshold must be specified when using custom distance metrics: pass threshold="
            )
        if self.k is not None and self.k < 0:
            raise ValueError(f"k must be at least 0, but it is {self.k}")
        if self.return_type is None:
            kind = "pandas" if find_spec("pandas") else "dict"
            object.__setattr__(self, "return_type", kind)
        elif self.return_type not in RETURN_TYPES:
            raise ValueError(
                f"unknown return_type {self.return_type!r}; use one of {', '.join(RETURN_TYPES)}"
            )
        elif self.return_type == "pandas" and not find_spec("pandas"):
            raise MissingPackageError(
                "return_type='pandas' needs pandas: pip install pandas (or use return_type='dict')"
            )


def find(
    pipeline: FacePipeline,
    img_path: Any,
    db_path: str | PathLike[str],
    query: Query,
    silent: bool = False,
    refresh_database: bool = True,
    datastore_format: str = "npz",
    credentials: Any = None,
) -> list[Any]:
    """See :func:`deepface.DeepFace.find`; ``pipeline`` embeds the pictures."""
    start = time.perf_counter()
    threshold = query.threshold
    if threshold is None:
        threshold = find_threshold(
            str(pipeline.model_name), query.distance_metric, align=pipeline.align
        )
    model = RECOGNIZERS.build(
        str(pipeline.model_name), pipeline.device, precision=pipeline.precision
    )
    store = Datastore(
        _folder(db_path),
        datastore_name(pipeline),
        datastore_format,
        model.output_shape,
        credentials,
    )
    gallery = _gallery(store, pipeline, refresh_database, silent)
    batch = open_batch(img_path)
    if not silent:
        what = item_name(img_path) if batch.single else "pictures"
        get_logger().info("Searching %s in %d length datastore", what, len(gallery))
    results: list[Any] = []
    for seen in walk(batch, replace(pipeline, progress=not silent)):
        results += _matches(seen, gallery, pipeline, query, threshold)
    if not silent:
        get_logger().info("find function duration %s seconds", time.perf_counter() - start)
    return results[0] if batch.single else results


def datastore_name(options: Options) -> str:
    """The published name of a gallery's file, without its ending.

    Settings that the published library does not have are added where they are not its own.
    """
    detector = DETECTORS.aliases.get(options.detector_backend, options.detector_backend)
    aligned = "aligned" if options.align else "unaligned"
    parts = [
        f"ds_model_{options.model_name}",
        f"detector_{detector}",
        LANDMARKS_ALIGNMENT if options.align == LANDMARKS_ALIGNMENT else aligned,
        f"normalization_{options.normalization}",
        f"expand_{options.expand_percentage}",
    ]
    if options.align and options.border != PUBLISHED_BORDER:
        parts.append(f"border_{options.border:g}")
    if options.min_face_size is not None:
        parts.append(f"minfacesize_{options.min_face_size}")
    if options.precision not in (None, "fp32"):
        parts.append(f"precision_{options.precision}")
    return "_".join(parts).replace("-", "").lower()


def _folder(db_path: str | PathLike[str]) -> str:
    folder = fspath(db_path)
    if "://" in folder:
        raise ValueError(
            f"db_path {folder} is an address: pictures are read from folders only. Copy them into "
            "one, or mount it."
        )
    if not Path(folder).is_dir():
        raise PathNotFound(f"Passed path {folder} does not exist! db_path must be a folder.")
    return folder


def _gallery(
    store: Datastore, pipeline: FacePipeline, refresh_database: bool, silent: bool
) -> Gallery:
    if refresh_database:
        pickled = store.path.with_suffix(".pkl")
        if not silent and pickled.exists() and not store.path.exists():
            get_logger().info(
                "%s of an older version is left alone and not read: a pickle can run any program. "
                "The gallery is built anew.",
                pickled,
            )
        options = replace(pipeline, anti_spoofing=False, progress=not silent)
        gallery = refresh(store, lambda files: _embed(files, options), silent)
    else:
        if not silent:
            get_logger().info(
                "refresh_database is off: changes in %s since the last refresh are not seen",
                store.folder,
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


def _embed(files: Sequence[str], options: Options) -> Iterator[tuple[str, list[Face]]]:
    """Picture files with their faces; none where the picture is to blame.

    A file for which something else is to blame (a disk, the memory) is left out: it is tried again
    the next time.
    """
    done = False
    failure: Exception | None = None
    for seen in walk(open_batch(files), options, on_error="yield"):
        for item in seen:
            file = files[item.index]
            if item.error is None:
                done = True
                yield file, _faces(item)
                continue
            reason = item.error.__cause__ or item.error
            if _is_picture_to_blame(reason):
                get_logger().error("Exception while extracting faces from %s: %s", file, reason)
                if Path(file).exists():
                    done = True
                    yield file, []
            else:
                get_logger().error("%s is left out this time: %s", file, reason)
                failure = failure or item.error
    if failure is not None and not done:
        raise failure


def _is_picture_to_blame(reason: BaseException) -> bool:
    return isinstance(reason, DeepFaceError) and not isinstance(
        reason, (WeightsError, MissingPackageError)
    )


def _faces(item: Seen) -> list[Face]:
    assert item.embeddings is not None
    faces = []
    for face, vector in zip(item.faces, item.embeddings, strict=True):
        area = facial_area(face.facial_area, item.source)
        faces.append(Face((area["x"], area["y"], area["w"], area["h"]), np.asarray(vector)))
    return faces


def _matches(
    seen: list[Seen], gallery: Gallery, options: Options, query: Query, threshold: float
) -> Iterator[list[Any]]:
    """Per picture a table for each of its faces; all faces are compared at once."""
    faces = [_faces(item) for item in seen]
    probes = [face.embedding for found in faces for face in found]
    # As published: dicts of a similarity search are judged by no threshold at all.
    judged_by = math.inf if query.similarity_search and query.return_type == "dict" else threshold
    ranked = gallery.ranking.closest(
        np.stack(probes) if probes else np.zeros((0, gallery.dimensions)),
        query.distance_metric,
        math.inf if query.similarity_search else threshold,
        query.k,
        options.device,
    )
    for found in faces:
        yield [
            _table(
                _columns(gallery, next(ranked), face, judged_by, query, options),
                str(query.return_type),
            )
            for face in found
        ]


def _columns(
    gallery: Gallery,
    ranked: Ranked,
    face: Face,
    threshold: float,
    query: Query,
    options: Options,
) -> dict[str, Any]:
    rows, distances = ranked
    count = len(rows)
    columns: dict[str, Any] = {"identity": gallery.identity[rows], "hash": gallery.hash[rows]}
    for name, values in zip("xywh", gallery.area[rows].T, strict=True):
        columns[f"target_{name}"] = values
    columns["threshold"] = np.full(count, threshold)
    for name, value in zip("xywh", face.area, strict=True):
        columns[f"source_{name}"] = np.full(count, value, dtype=np.int64)
    columns["distance"] = distances
    columns["confidence"] = np.array(
        [
            find_confidence(
                distance,
                str(options.model_name),
                distance <= threshold,
                query.distance_metric,
                align=options.align,
            )
            for distance in distances.tolist()
        ],
        dtype=np.float64,
    )
    return columns


def _table(columns: dict[str, Any], return_type: str) -> Any:
    if return_type == "pandas":
        import pandas as pd

        return pd.DataFrame(
            {
                name: values.tolist() if values.dtype.kind == "U" else values
                for name, values in columns.items()
            }
        )
    values = [column.tolist() for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]
