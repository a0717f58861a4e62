"""Who of a folder of pictures is this: the folder is opened once, for any number of pictures."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np

from deepface.arguments import truth
from deepface.errors import ImgNotFound, InvalidArgument
from deepface.images.batch import Batch, OnError, open_batch
from deepface.images.load import item_name
from deepface.images.sources import open_sources
from deepface.logger import get_logger
from deepface.matching.confidence import find_confidence
from deepface.matching.ranking import Ranked
from deepface.matching.thresholds import find_threshold
from deepface.pipeline.extraction import Seen
from deepface.pipeline.face_pipeline import FacePipeline, check_on_error
from deepface.pipeline.open_gallery import faces_of, open_gallery
from deepface.pipeline.walk import checked
from deepface.search.folder import Face
from deepface.search.query import Query
from deepface.search.table import FIND, table


@dataclass(frozen=True)
class Found:
    """What looking for the faces of one picture gave.

    ``matches`` has a table per face, as :func:`deepface.DeepFace.find` gives for one picture; it is
    empty where there is an ``error``. ``index``, ``source`` and ``seconds`` are those of
    :class:`deepface.pipeline.StreamItem`.
    """

    index: int
    source: str
    matches: list[Any]
    error: Exception | None = None
    seconds: float | None = None


class GallerySearch:
    """A folder of pictures in which others are looked for.

    The folder is opened here, and its datastore brought up to date first; later changes to the
    folder are not seen. Its vectors are made ready for the first comparison, for all that follow.

    Args:
        pipeline: how faces are found and embedded, in the folder and in what is looked for.
        db_path: the folder, and the arguments after ``query``: as for
            :func:`deepface.DeepFace.find`.
        query: what is looked for.

    Raises:
        ValueError: as ``find``, where the folder or its datastore is to blame.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        db_path: str | PathLike[str],
        query: Query | None = None,
        *,
        silent: bool = False,
        refresh_database: bool = True,
        datastore_format: str = "npz",
        credentials: Any = None,
    ) -> None:
        if pipeline.model_name is None:
            raise InvalidArgument("a search compares vectors: give the pipeline a model_name")
        self._pipeline = replace(pipeline, skip_rounds=False)
        self._query = query = query or Query()
        self._threshold = (
            find_threshold(pipeline.model_name, query.distance_metric, align=pipeline.align)
            if query.threshold is None
            else query.threshold
        )
        self._gallery = open_gallery(
            self._pipeline,
            db_path,
            refresh_database=truth("refresh_database", refresh_database),
            silent=truth("silent", silent),
            datastore_format=datastore_format,
            credentials=credentials,
        )

    def __len__(self) -> int:
        """How many faces the gallery has; a picture without one counts as one."""
        return len(self._gallery)

    def __call__(self, img_path: Any) -> list[Any]:
        """Look for the faces of one picture, or of many: what ``find`` gives."""
        batch = open_batch(img_path)
        results = [found.matches for found in self._search(batch, "raise")]
        return results[0] if batch.single else results

    def stream(self, sources: Any, on_error: OnError = "raise", every: int = 1) -> Iterator[Found]:
        """One item per picture, in input order, as soon as its batch is done.

        The arguments are those of :meth:`deepface.pipeline.FacePipeline.stream`, and so are its
        errors. Memory does not grow with the number of pictures.
        """
        check_on_error(on_error)
        return self._search(open_sources(sources, every), on_error)

    def _search(self, batch: Batch, on_error: OnError) -> Iterator[Found]:
        with closing(self._pipeline.walk(batch)) as lists:
            for probes in map(_probes, lists):  # of the pictures only vectors are needed now
                found = self._compared(probes)
                yield from map(checked, found) if on_error == "raise" else found

    def _compared(self, probes: list[tuple[Found, list[Face]]]) -> Iterator[Found]:
        """All faces of a step are compared at once; a picture's tables are made at its turn."""
        query = self._query
        vectors = [face.embedding for _, faces in probes for face in faces]
        ranked = self._gallery.ranking.closest(
            np.stack(vectors) if vectors else np.zeros((0, self._gallery.dimensions)),
            query.distance_metric,
            math.inf if query.similarity_search else self._threshold,
            query.k,
            self._pipeline.one_device,
            stacked=query.return_type == "dict",
        )
        for found, faces in probes:
            yield replace(found, matches=[self._table(next(ranked), face) for face in faces])

    def _table(self, ranked: Ranked, face: Face) -> Any:
        query, gallery = self._query, self._gallery
        # As published: dicts of a similarity search are judged by no threshold at all.
        unjudged = query.similarity_search and query.return_type == "dict" and not query.judge
        threshold = math.inf if unjudged else self._threshold
        rows, distances = ranked
        count = len(rows)
        areas = zip("xywh", gallery.area[rows].T, face.area, strict=True)
        values: dict[str, Any] = {
            "identity": gallery.identity[rows],
            "hash": gallery.hash[rows],
            "threshold": [threshold] * count,
            "distance": distances,
            "confidence": [
                find_confidence(
                    distance,
                    str(self._pipeline.model_name),
                    distance <= threshold,
                    query.distance_metric,
                    align=self._pipeline.align,
                )
                for distance in distances.tolist()
            ],
        }
        for side, there, here in areas:
            values[f"target_{side}"], values[f"source_{side}"] = there, [here] * count
        return table(FIND, values, str(query.return_type))


def _probes(seen: list[Seen]) -> list[tuple[Found, list[Face]]]:
    """What remains of pictures when their faces are embedded: all but matches, and the faces."""
    return [
        (
            Found(item.index, item.name, [], item.error, item.seconds),
            [] if item.error is not None else faces_of(item),
        )
        for item in seen
    ]


def find(
    pipeline: FacePipeline,
    img_path: Any,
    db_path: str | PathLike[str],
    query: Query,
    *,
    silent: bool,
    refresh_database: bool,
    datastore_format: str = "npz",
    credentials: Any = None,
) -> list[Any]:
    """See :func:`deepface.DeepFace.find`; ``pipeline`` embeds the pictures."""
    start = time.perf_counter()
    silent = truth("silent", silent)
    if img_path is None:
        raise ImgNotFound("img_path is None: there is nothing to look for")
    single = open_batch(img_path).single  # what is no picture is refused before the folder is read
    search = GallerySearch(
        replace(pipeline, progress=not silent),
        db_path,
        query,
        silent=silent,
        refresh_database=refresh_database,
        datastore_format=datastore_format,
        credentials=credentials,
    )
    if not silent:
        what = item_name(img_path) if single else "pictures"
        get_logger().info("Searching %s in %d length datastore", what, len(search))
    results = search(img_path)
    if not silent:
        get_logger().info("find function duration %s seconds", time.perf_counter() - start)
    return results
