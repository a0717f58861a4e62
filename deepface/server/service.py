"""What the service does, whichever protocol asks: parameters and pictures in, plain answers out."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import cv2
import numpy as np

from deepface.errors import UnimplementedError
from deepface.logger import get_logger
from deepface.modeling import TASKS, cached_models
from deepface.pipeline import FacePipeline, GallerySearch, Query
from deepface.pipeline import database as stored
from deepface.pipeline.verification import verify
from deepface.search.database.base import Database
from deepface.search.database.registry import DEFAULT, known_databases, open_database
from deepface.server import parameters as p
from deepface.server.batching import Batcher, Call, DeadlineExceeded, SharedPipeline, current_call
from deepface.server.database_pool import ConnectionPool
from deepface.server.failures import Refused, TooMuch, item_error
from deepface.server.metrics import Metrics
from deepface.server.pictures import Body, PictureReader
from deepface.server.settings import Settings

Answer = dict[str, Any]
_WARM_UP = np.zeros((256, 256, 3), np.uint8)
#: Open galleries that are kept, each with its vectors.
_GALLERIES = 8


class Service:
    """The functions of a server. Each runs in a thread of its own, within a :class:`Call`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.read = PictureReader(settings)
        self.batcher = Batcher(
            settings.workers,
            settings.batch_size,
            settings.max_wait_ms / 1000,
            settings.max_queue,
        )
        self.metrics = Metrics(self.batcher)
        self.batcher.observe = self.metrics.observe
        self._databases = ConnectionPool(
            lambda: open_database(settings.database_type, settings.connection_details),
            settings.database_connections,
        )
        self._galleries: dict[Any, GallerySearch] = {}
        self._opening = {name: threading.Lock() for name in settings.galleries}
        self._guard = threading.Lock()
        #: Why the server cannot work yet; empty when it can.
        self.waits_for = "its models are being built"
        self._tell_ready: list[Callable[[], object]] = []

    def call(self, seconds: float | None = None) -> Call:
        """A request, with the time that it asks for, at most what the server grants."""
        granted = self.settings.timeout
        return Call(self.batcher, granted if seconds is None else max(0, min(seconds, granted)))

    def prepare(self) -> None:
        """Build the models that the settings name and run them once, on each worker's device."""
        try:
            self._warm_up()
        except Exception as error:
            self.waits_for = f"its models cannot be built: {type(error).__name__}; see its log"
            get_logger().exception("the server does not become ready")
            return
        self.waits_for = ""
        for tell in self._tell_ready:
            tell()

    def when_ready(self, tell: Callable[[], object]) -> None:
        """Call this once :meth:`prepare` is done."""
        self._tell_ready.append(tell)
        if not self.waits_for:
            tell()

    def _warm_up(self) -> None:
        chosen = self.settings
        actions = tuple(name.lower() for name in chosen.attribute_models)
        for device in chosen.workers:
            for detector in chosen.detection_models:
                FacePipeline(detector, enforce_detection="empty", device=device)(_WARM_UP)
            for model in chosen.recognition_models:
                FacePipeline("skip", model, device=device)(_WARM_UP)
            if actions:
                FacePipeline("skip", actions=actions, device=device)(_WARM_UP)

    def close(self) -> None:
        """Finish what waits."""
        self.waits_for = "it is shutting down"
        self.batcher.close(self.settings.drain)
        self._databases.close()

    def extract_faces(self, asked: p.ExtractFaces, body: Body) -> Answer:
        """Boxes, landmarks and, unless not wanted, crops."""

        def finish(face: Answer) -> None:
            pixels = face.pop("face")
            if asked.faces != "none":
                _, encoded = cv2.imencode(f".{asked.faces}", pixels)
                face["face"] = _text(encoded.tobytes())

        pipeline = self._pipeline(asked, color_face="bgr", normalize_face=False)
        return self._faces(pipeline, body, asked, finish)

    def represent(self, asked: p.Represent, body: Body) -> Answer:
        """Vectors."""

        def finish(face: Answer) -> None:
            if asked.vectors == "list":
                return
            data = np.asarray(face["embedding"], "<f4").tobytes()
            face["embedding"] = data if asked.vectors == "binary" else _text(data)

        return self._faces(self._pipeline(asked), body, asked, finish)

    def analyze(self, asked: p.Analyze, body: Body) -> Answer:
        """Attributes."""
        return self._faces(self._pipeline(asked), body, asked)

    def verify(self, asked: p.Verify, body: Body) -> Answer:
        """A decision, or a list of them for lists of pictures."""
        images = [self._picture(body, name, vectors=True) for name in ("img1", "img2")]
        pipeline = self._pipeline(asked, skip_rounds=False)  # as verify has it
        _look_ahead(pipeline, *images)  # one after the other they would make two batches
        result = verify(pipeline, images[0], images[1], asked.distance_metric, asked.threshold)
        return {"results": result} if isinstance(result, list) else result

    def register(self, asked: p.Register, body: Body) -> Answer:
        """The number of faces stored."""
        pipeline, picture = self._asked_of_database(asked, body, return_face=True)
        return stored.register(pipeline, picture, asked.img_name, self._open_database)

    def search(self, asked: p.Search, body: Body) -> Answer:
        """A table per face."""
        pipeline, picture = self._asked_of_database(asked, body, vectors=True)
        query = Query(
            distance_metric=asked.distance_metric,
            similarity_search=asked.similarity_search,
            k=asked.k or None,
            return_type="dict",
            search_method=asked.search_method,
        )
        return {"results": stored.search(pipeline, picture, query, self._open_database)}

    def identify(self, asked: p.Identify, body: Body) -> Answer:
        """A decision."""
        pipeline, picture = self._asked_of_database(asked, body)
        found = stored.identify(
            pipeline, picture, asked.identity_id, asked.distance_metric, self._open_database
        )
        return {**found}

    def build_index(self, asked: p.BuildIndex, body: Body) -> Answer:
        """A message, as published."""
        self._need_database()
        criteria = stored.criteria_of(self._pipeline(asked))
        stored.build_index(criteria, self._open_database)
        return {"message": "Index built successfully"}

    def list_faces(self, asked: p.ListFaces, body: Body) -> Answer:
        """A row per record."""
        self._need_database()
        criteria = stored.criteria_of(self._pipeline(asked))
        return {"results": stored.list_faces(criteria, self._open_database, "dict")}

    def delete_faces(self, asked: p.DeleteFaces, body: Body) -> Answer:
        """The number of records deleted."""
        self._need_database()
        return stored.unregister(
            self._pipeline(asked), asked.identity_id, asked.img_name, None, self._open_database
        )

    def unregister(self, asked: p.Unregister, body: Body) -> Answer:
        """The number of records deleted."""
        self._need_database()
        pipeline, picture = self._pipeline(asked, return_face=True), None
        if body.has_files or body.fields.get("img") is not None:
            picture = self._picture(body, "img")
            _look_ahead(pipeline, picture)
        return stored.unregister(
            pipeline, asked.identity_id, asked.img_name, picture, self._open_database
        )

    def find(self, asked: p.Find, body: Body) -> Answer:
        """A table per face; ``identity`` is a file's place in its gallery."""
        folder = self.settings.galleries.get(asked.gallery)
        if folder is None:
            known = ", ".join(self.settings.galleries) or "none"
            raise UnimplementedError(f"unknown gallery {asked.gallery!r}. Galleries: {known}")
        picture = self._picture(body, "img")
        query = Query(
            asked.distance_metric, asked.threshold, asked.similarity_search, asked.k or None, "dict"
        )
        pipeline = self._pipeline(asked)
        search = self._gallery(asked.gallery, pipeline, query, asked.refresh_database)
        results = search(picture)
        for tables in results if isinstance(picture, list) else [results]:
            for row in (row for table in tables for row in table):
                row["identity"] = os.path.relpath(row["identity"], folder)
        return {"results": results}

    def models(self) -> Answer:
        """The names of all models, and which of them are in memory."""
        return {
            task: [{"name": name, "loaded": _is_loaded(task, name)} for name in registry.entries]
            for task, registry in TASKS.items()
        }

    def _pipeline(self, asked: p.Parameters, **more: Any) -> SharedPipeline:
        """The options that a request asks for; what it does not know keeps its default."""
        names = set(SharedPipeline.__dataclass_fields__) & set(type(asked).model_fields)
        return SharedPipeline(
            **{name: getattr(asked, name) for name in names}, **more, batcher=self.batcher
        )

    def _picture(self, body: Body, name: str, vectors: bool = False) -> Any:
        value = body.picture(name)
        if vectors and isinstance(value, list) and value and _is_number(value[0]):
            return value
        return self.read.open(value, name)

    def _asked_of_database(
        self, asked: p.Parameters, body: Body, vectors: bool = False, **more: Any
    ) -> tuple[SharedPipeline, Any]:
        """The pipeline and the picture, which is in the queue before the database is opened."""
        self._need_database()
        pipeline, picture = self._pipeline(asked, **more), self._picture(body, "img", vectors)
        _look_ahead(pipeline, picture)
        return pipeline, picture

    def _faces(
        self,
        pipeline: SharedPipeline,
        body: Body,
        asked: Any,
        finish: Callable[[Answer], None] = lambda face: None,
    ) -> Answer:
        """The faces of one picture, or a list per picture, in which an error may stand."""
        tolerant = asked.on_error == "yield"
        pictures = self.read.open(body.picture("img"), "img", tolerant=tolerant)
        if not (tolerant and isinstance(pictures, list)):
            results = pipeline(pictures)
            for faces in results if isinstance(pictures, list) else [results]:
                self._finish(faces, finish)
            return {"results": results}
        results = []
        for item in pipeline.stream(pictures, on_error="yield"):
            try:
                if item.error is not None:
                    raise item.error
                self._finish(item.faces, finish)
                results.append(item.faces)
            except ValueError as error:
                results.append(item_error(error))
        return {"results": results}

    def _finish(self, faces: list[Answer], finish: Callable[[Answer], None]) -> None:
        if len(faces) > self.settings.max_faces:
            raise TooMuch(
                f"the picture has {len(faces)} faces, above this server's limit of "
                f"{self.settings.max_faces}: ask for max_faces"
            )
        for face in faces:
            finish(face)

    def _open_database(self) -> AbstractContextManager[Database]:
        """A connection, which is not held while the pictures ahead wait for their batch."""
        call = current_call.get()
        call.settle()
        return self._databases.borrow(call.deadline)

    def _need_database(self) -> None:
        kind = self.settings.database_type
        named = self.settings.connection_details or known_databases()[kind].details()
        if not named and kind not in (DEFAULT, "sqlite"):  # which need nothing
            raise Refused(
                500,
                "Database connection details must be provided in `DEEPFACE_CONNECTION_DETAILS` "
                "environment variables",
                code="not_configured",
            )

    def _gallery(
        self, name: str, pipeline: SharedPipeline, query: Query, refresh: bool
    ) -> GallerySearch:
        key = (name, pipeline, query)
        with _held_in_time(self._opening[name]):  # others may be at it, for as long as it is new
            with self._guard:
                search = self._galleries.pop(key, None)
            if search is None or refresh:
                search = GallerySearch(pipeline, self.settings.galleries[name], query, silent=True)
            with self._guard:
                self._galleries[key] = search  # the latest used last
                while len(self._galleries) > _GALLERIES:
                    del self._galleries[next(iter(self._galleries))]
        return search


@contextmanager
def _held_in_time(lock: threading.Lock) -> Iterator[None]:
    """Hold a lock for which the present request waits no longer than it has time."""
    if not lock.acquire(timeout=min(current_call.get().left(), threading.TIMEOUT_MAX)):
        raise DeadlineExceeded("the gallery was not free in time")
    try:
        yield
    finally:
        lock.release()


def _look_ahead(pipeline: SharedPipeline, *images: Any) -> None:
    """Queue all pictures of a request at once."""
    pictures = [
        picture
        for image in images
        for picture in (image if isinstance(image, list) else [image])
        if not _is_number(picture)
    ]
    current_call.get().submit_ahead(pipeline.kind, pictures)


def exact(value: Any) -> Any:
    """An answer in dicts, lists and plain values, with whole numbers that readers would round as
    text, which requests take in place of numbers (ids of Milvus, e.g.).

    JavaScript and the ``Struct`` of gRPC know doubles only, which are exact below 2**53.
    """
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [exact(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return str(value) if isinstance(value, int) and abs(value) >= 2**53 else value


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _is_number(value: Any) -> bool:
    return isinstance(value, (float, int)) and not isinstance(value, bool)


def _is_loaded(task: str, name: str) -> bool:
    return any(key.split("@")[0].split(" ")[0] == name for key in cached_models.get(task, {}))
