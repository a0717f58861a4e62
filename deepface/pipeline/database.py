"""Faces in a database: ``register``, ``search``, ``identify`` and ``build_index``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from deepface.arguments import in_order, one_of, whole
from deepface.cropping.face_crops import LANDMARKS_ALIGNMENT
from deepface.errors import (
    DataTypeError,
    DeepFaceError,
    DuplicateEntryError,
    FaceNotDetected,
    InvalidArgument,
    UnimplementedError,
)
from deepface.images.batch import Batch, open_batch
from deepface.images.files import record_name
from deepface.logger import get_logger
from deepface.matching.confidence import find_confidence
from deepface.matching.distance import METRICS, find_distance
from deepface.matching.thresholds import find_threshold
from deepface.pipeline.extraction import Seen
from deepface.pipeline.face_pipeline import FacePipeline
from deepface.pipeline.representation import describe_embeddings
from deepface.pipeline.verification import given_embedding, is_embedding
from deepface.pipeline.walk import checked
from deepface.results import Identification
from deepface.search.database.base import Criteria, Database, NearestQuery, Record, Vectors
from deepface.search.database.nearest import (
    Hit,
    check_length,
    find_approximately,
    find_exactly,
)
from deepface.search.database.spool import spooled
from deepface.search.query import Query
from deepface.search.table import FACES, SEARCH, table

#: Faces that are stored at a time.
_CHUNK = 100

#: Opens the database, for a ``with`` block.
Open = Callable[[], AbstractContextManager[Database]]


def metric_of(query: Query, l2_normalized: bool) -> str:
    """The metric that is used, as published: an index has one, and so have unit vectors."""
    one_of("distance_metric", query.distance_metric, METRICS)
    metric = str(query.distance_metric)
    if query.search_method == "ann":
        metric = "cosine" if l2_normalized else "euclidean"
    elif l2_normalized and metric == "euclidean":
        metric = "euclidean_l2"
    if metric != query.distance_metric:
        get_logger().warning(
            "Overwriting distance_metric to %r since vectors are %sL2-normalized",
            metric,
            "" if l2_normalized else "not ",
        )
    return metric


def criteria_of(pipeline: FacePipeline) -> Criteria:
    """Which records a pipeline's vectors are compared with."""
    if pipeline.align == LANDMARKS_ALIGNMENT:
        raise UnimplementedError(
            "databases know align=True and align=False: vectors of faces that were cut by "
            "landmarks would mix with others. Use find, which keeps them apart."
        )
    return Criteria(
        str(pipeline.model_name),
        pipeline.detector_backend,
        bool(pipeline.align),
        pipeline.l2_normalize,
    )


def register(
    pipeline: FacePipeline, img: Any, img_name: str | Sequence[str] | None, opened: Open
) -> dict[str, int]:
    """See :func:`deepface.DeepFace.register`; ``pipeline`` embeds, with ``return_face``."""
    criteria = criteria_of(pipeline)
    with opened() as database:
        batch = open_batch(img)
        names = _checked_names(img_name, batch)
        portions = _portions(pipeline.pictures(batch), names)
        records = next(portions, [])
        if len(records) < _CHUNK:  # all of the call
            try:
                return {"inserted": database.insert_all(criteria, [records] if records else [])}
            except DuplicateEntryError as error:
                if len(records) > 1:
                    raise
                get_logger().warning("%s", error)  # as published
                return {"inserted": 0}
        with spooled(_checked(chain([records], portions), database, criteria)) as waiting:
            return {"inserted": database.insert_all(criteria, waiting)}


def _checked(
    portions: Iterable[list[Record]], database: Database, criteria: Criteria
) -> Iterator[list[Record]]:
    """The same, each looked for in the database: not after all others are made."""
    for records in portions:
        database.check(criteria, records)
        yield records


def _portions(
    pictures: Iterator[Seen], img_name: str | Sequence[str] | None
) -> Iterator[list[Record]]:
    """The faces of all pictures, :data:`_CHUNK` at a time."""
    waiting: list[Record] = []
    for item in pictures:
        assert item.inputs is not None
        name = _name(item, img_name)
        for face, vector in zip(item.inputs, item.vectors, strict=True):
            waiting.append(Record(name, face, np.asarray(vector, dtype=np.float64)))
        while len(waiting) > _CHUNK:
            yield waiting[:_CHUNK]
            del waiting[:_CHUNK]
    if waiting:
        yield waiting


def _checked_names(img_name: Any, batch: Batch) -> str | list[str] | None:
    if img_name is None or isinstance(img_name, str):
        return img_name
    if not in_order(img_name):
        raise DataTypeError(f"img_name must be a text or a list of texts, but is {img_name!r}")
    names = list(img_name)
    for number, name in enumerate(names):
        if not isinstance(name, str):
            raise DataTypeError(f"img_name[{number}] must be a text, but is {name!r}")
    if batch.single or batch.total != len(names):
        raise InvalidArgument(
            f"img_name has {len(names)} names, but img "
            f"{'is one picture' if batch.single else f'has {batch.total} pictures'}: pass one name "
            "for all, or a list of pictures and as many names"
        )
    return names


def _name(item: Seen, img_name: str | Sequence[str] | None) -> str:
    if isinstance(img_name, str):
        return img_name
    if img_name is not None:
        return img_name[item.index]
    return record_name(item.name)


def search(pipeline: FacePipeline, img: Any, query: Query, opened: Open) -> list[Any]:
    """See :func:`deepface.DeepFace.search`."""
    criteria = criteria_of(pipeline)
    metric = metric_of(query, criteria.l2_normalized)
    threshold = find_threshold(criteria.model_name, metric)
    limit = math.inf if query.similarity_search else threshold
    approximate = query.search_method == "ann"
    find = find_approximately if approximate else find_exactly
    same = {
        **criteria.columns,
        "search_method": query.search_method,
        "threshold": threshold,
        "distance_metric": metric,
    }
    results: list[Any] = []
    with opened() as database:
        columns = {**SEARCH, "id": database.id_type}
        if is_embedding(img):  # tables mark what is not there by a float
            columns |= {f"target_{side}": float for side in "xywh"}
        for pictures in _probes(pipeline, img):
            vectors = _vectors([face["embedding"] for faces in pictures for face in faces])
            ranked = iter(find(database, criteria, NearestQuery(vectors, metric, limit, query.k)))
            for faces in pictures:
                found = [(next(ranked), face["facial_area"]) for face in faces]
                tables = [
                    table(columns, _values(hits, area, same), str(query.return_type))
                    for hits, area in found
                    if hits or not approximate  # as published
                ]
                results.append(tables)
    return results[0] if is_embedding(img) or open_batch(img).single else results


def _probes(pipeline: FacePipeline, img: Any) -> Iterator[list[list[dict[str, Any]]]]:
    """The faces that are looked for, a list per picture; a vector is a face without an area."""
    if is_embedding(img):
        vector = given_embedding(img, "img", "img", str(pipeline.model_name))
        yield [[{"embedding": vector, "facial_area": dict.fromkeys("xywh")}]]
        return
    with closing(pipeline.walk(open_batch(img))) as lists:
        for seen in lists:
            yield [describe_embeddings(checked(item), pipeline) for item in seen]


def _vectors(embeddings: list[list[float]]) -> Vectors:
    return np.array(embeddings, dtype=np.float64) if embeddings else np.zeros((0, 0))


def _values(hits: list[Hit], area: dict[str, Any], same: dict[str, Any]) -> dict[str, list[Any]]:
    """The columns of a face's table; ``same`` has those that all rows of a search share."""
    model, metric, threshold = same["model_name"], same["distance_metric"], same["threshold"]
    target = {f"target_{side}": area[side] for side in "xywh"}
    return {
        **{name: [value] * len(hits) for name, value in {**same, **target}.items()},
        "id": [hit.id for hit in hits],
        "img_name": [hit.name for hit in hits],
        "distance": [hit.distance for hit in hits],
        "confidence": [
            find_confidence(hit.distance, model, hit.distance <= threshold, metric) for hit in hits
        ],
    }


def identify(
    pipeline: FacePipeline, img: Any, identity_id: Any, distance_metric: str, opened: Open
) -> Identification:
    """See :func:`deepface.DeepFace.identify`."""
    start = time.perf_counter()
    criteria = criteria_of(pipeline)
    one_of("distance_metric", distance_metric, METRICS)
    batch = open_batch(img)
    if batch.total != 1:
        raise InvalidArgument(
            "identify expects a single image: call it for each, or use search for many"
        )
    threshold = find_threshold(criteria.model_name, distance_metric)
    with opened() as database:
        stored = database.get(criteria, identity_id)
        if stored is None:
            raise DeepFaceError(
                f"No embedding found in the database for identity_id={identity_id} ({criteria})"
            )
        _check_comparable(identity_id, stored.criteria, criteria)
        (item,) = pipeline.pictures(batch)
        faces = describe_embeddings(item, pipeline)
    if not faces:
        raise FaceNotDetected("the picture has no face: nothing to compare")
    distances = []
    for face in faces:
        vector = np.asarray(face["embedding"], dtype=np.float64)
        check_length(vector, len(stored.embedding))
        distances.append(float(find_distance(stored.embedding, vector, distance_metric)))
    distance, closest = min(zip(distances, faces, strict=True), key=itemgetter(0))
    verified = distance <= threshold
    return {
        "verified": verified,
        "distance": distance,
        "threshold": threshold,
        "confidence": find_confidence(distance, criteria.model_name, verified, distance_metric),
        "model": criteria.model_name,
        "detector_backend": criteria.detector_backend,
        "similarity_metric": distance_metric,
        "id": stored.id,
        "img_name": stored.img_name,
        "facial_areas": {"img1": closest["facial_area"], "img2": None},
        "time": round(time.perf_counter() - start, 2),
    }


def _check_comparable(identity_id: Any, stored: Criteria, asked: Criteria) -> None:
    for name, theirs, ours in (
        ("model_name", stored.model_name, asked.model_name),
        ("l2_normalize", stored.l2_normalized, asked.l2_normalized),
    ):
        if theirs != ours:
            raise DeepFaceError(
                f"Embedding of identity_id={identity_id} was registered with {name}={theirs} while "
                f"{ours} is requested: their vectors cannot be compared"
            )
    if stored != asked:
        get_logger().warning(
            "Embedding of identity_id=%s was registered with %s while %s are requested. "
            "This may affect the distance.",
            *(identity_id, stored, asked),
        )


def build_index(
    criteria: Criteria, opened: Open, max_neighbors_per_node: int = 32, batch_size: int = 1000
) -> None:
    """See :func:`deepface.DeepFace.build_index`."""
    whole("max_neighbors_per_node", max_neighbors_per_node)
    whole("batch_size", batch_size)
    with opened() as database:
        database.build_index(criteria, max_neighbors_per_node, batch_size)


def list_faces(criteria: Criteria, opened: Open, return_type: str | None) -> Any:
    """See :func:`deepface.DeepFace.list_faces`."""
    wanted = str(Query(return_type=return_type).return_type)
    with opened() as database:
        entries = list(database.entries(criteria))
        columns = {**FACES, "id": database.id_type}
    same = {name: [value] * len(entries) for name, value in criteria.columns.items()}
    values = {
        "id": [id_ for id_, _ in entries],
        "img_name": [name for _, name in entries],
        **same,
    }
    return table(columns, values, wanted)


def unregister(
    pipeline: FacePipeline, identity_id: Any, img_name: Any, img: Any, opened: Open
) -> dict[str, int]:
    """See :func:`deepface.DeepFace.unregister`; ``pipeline`` embeds, with ``return_face``."""
    criteria = criteria_of(pipeline)
    if sum(given is not None for given in (identity_id, img_name, img)) != 1:
        raise InvalidArgument("say which faces: pass one of identity_id, img_name and img")
    with opened() as database:
        if identity_id is not None:
            ids = _several(identity_id)
        elif img_name is not None:
            ids = database.ids_of_names(criteria, _names_of(img_name))
        else:
            ids = [
                id_
                for records in _portions(pipeline.pictures(open_batch(img)), "")
                for id_ in database.ids_of_faces(criteria, records)
            ]
        return {"deleted": database.delete(criteria, ids)}


def _several(given: Any) -> list[Any]:
    """One value, or many: a list, or a column of a table or an array."""
    if isinstance(given, np.ndarray):
        given = given.tolist()
    single = isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable)
    return [given] if single else list(given)


def _names_of(given: Any) -> list[str]:
    names = _several(given)
    for name in names:
        if not isinstance(name, str):
            raise DataTypeError(f"img_name must be a text or a list of texts, but has {name!r}")
    return names
