"""The one object that everything else is underneath: options in, results of pictures out."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

from deepface.arguments import one_of, truth
from deepface.images.batch import Batch, OnError, open_batch
from deepface.images.sources import open_sources
from deepface.pipeline.demography import describe_attributes
from deepface.pipeline.extraction import Seen, describe_faces
from deepface.pipeline.options import Options
from deepface.pipeline.plan import Plan
from deepface.pipeline.representation import describe_embeddings
from deepface.pipeline.walk import checked, named, one_by_one, walk
from deepface.types import Image


@dataclass(frozen=True)
class StreamItem:
    """What one picture of a stream gave.

    ``index`` counts the pictures from 0; ``source`` is the picture's path, URL or kind (a video's
    frames are ``clip.mp4#120``). ``faces`` has a dict per face, as calling the pipeline gives them.
    ``error`` is what went wrong, and ``faces`` is empty then. ``seconds`` is the time of a video's
    frame. ``image`` is the picture, BGR ``uint8`` ``(H, W, 3)``, where it was asked for.
    """

    index: int
    source: str
    faces: list[dict[str, Any]]
    error: Exception | None = None
    seconds: float | None = None
    image: Image | None = None


@dataclass(frozen=True)
class FacePipeline(Options):
    """Pictures to faces, vectors and attributes, in batches; see :class:`Options` for all fields.

    It holds no model: networks are built when the first picture comes, once per process, whichever
    pipeline asks. So it is cheap to make and can be pickled.

    What a face's dict holds depends on what was asked for: with neither model nor actions that of
    :func:`deepface.DeepFace.extract_faces`, with ``model_name`` that of ``represent``, with
    ``actions`` that of ``analyze``; with both, that of ``represent`` and the attributes.
    """

    def __call__(self, img_path: Any) -> list[Any]:
        """The faces of one picture, or of many.

        Args:
            img_path: as for :func:`deepface.DeepFace.extract_faces`.

        Returns:
            A list of faces for one picture; for a batch a list with one such list per picture.

        Raises:
            FaceNotDetected: a picture has no face and ``enforce_detection`` is on.
            SpoofDetected: a face is not real, and vectors or attributes of it were asked for.
            DeepFaceError: a picture cannot be loaded, or a step fails for it. Of a batch, each
                message names the picture.
            ValueError: base of all of them.
        """
        batch = open_batch(img_path)
        results = [item.faces for item in self.items(batch)]
        return results[0] if batch.single else results

    def stream(
        self,
        sources: Any,
        on_error: OnError = "raise",
        every: int = 1,
        return_image: bool = False,
    ) -> Iterator[StreamItem]:
        """One item per picture, in input order, as soon as its batch is done.

        Decoding goes on in threads while the caller and the networks work. Nothing keeps what was
        yielded: memory does not grow with the number of pictures. An iterator is walked in a thread
        of its own, and where it blocks, a step goes on with the pictures that are there.

        Args:
            sources: any iterable of pictures as in ``__call__``, finite or not; a 4-D array; a
                folder (its pictures and those of the folders below) or a video file. Folders and
                videos may stand among the pictures, too.
            on_error: ``"yield"`` makes an error that belongs to one picture (a corrupt or missing
                file, a dead URL, no face where ``enforce_detection`` is on) that picture's item;
                ``"raise"`` raises it.
            every: only every n-th frame of a video.
            return_image: give the decoded picture with each item.

        Raises:
            ValueError: as calling the pipeline does, when the picture's turn has come; a wrong
                ``on_error`` or ``every`` at once.
        """
        check_on_error(on_error)
        return_image = truth("return_image", return_image)
        return self.items(open_sources(sources, every), on_error, return_image)

    def items(
        self, batch: Batch, on_error: OnError = "raise", return_image: bool = False
    ) -> Iterator[StreamItem]:
        """One item per picture of ``open_batch``, in its order, as :meth:`stream` gives them.

        A path that names a folder or a video is a picture that cannot be read.
        """
        with closing(self.pictures(batch, "yield")) as pictures:
            describe = partial(self._item, single=batch.single, return_image=return_image)
            items = map(describe, pictures)
            yield from map(checked, items) if on_error == "raise" else items

    def _item(self, seen: Seen, single: bool, return_image: bool) -> StreamItem:
        faces: list[dict[str, Any]] = []
        if seen.error is None:
            try:
                faces = self._described(seen)
            except Exception as error:  # a caller's cryptosystem, say
                seen.error = named(error, seen, single)
        image = seen.image
        return StreamItem(
            index=seen.index,
            source=seen.name,
            faces=faces,
            error=seen.error,
            seconds=seen.seconds,
            image=image.host if image is not None and return_image else None,
        )

    def plan(self, single: bool = False) -> Plan:
        """How pictures become results here, or one does; its models are built. Print it to read it.

        Raises:
            DeepFaceError: a model, its weights, a package or a device is missing.
        """
        return Plan.of(self, single)

    def walk(self, batch: Batch) -> Generator[list[Seen], None, None]:
        """How pictures take the walk; every function that is given a pipeline goes through here.

        See :func:`deepface.pipeline.walk.walk`. A server's pipeline sends them to a queue where
        the pictures of all callers meet.
        """
        if batch.total != 0:
            yield from walk(batch, self.plan(batch.single), self.progress)

    def pictures(self, batch: Batch, on_error: OnError = "raise") -> Generator[Seen, None, None]:
        """The pictures one by one; with ``"raise"`` the first error that one has is raised."""
        with closing(self.walk(batch)) as lists:
            pictures = one_by_one(lists)
            yield from map(checked, pictures) if on_error == "raise" else pictures

    def _described(self, item: Seen) -> list[dict[str, Any]]:
        if self.model_name is None and self.actions is None:
            return describe_faces(item, self)
        if self.model_name is None:
            return describe_attributes(item)
        described = describe_embeddings(item, self)
        for result, attributes in zip(described, item.attributes, strict=False):
            for attribute in attributes:
                result.update(attribute)
        return described


def check_on_error(on_error: str) -> None:
    """Raise an error for what ``stream`` does not know, at once and not at the first picture."""
    one_of("on_error", on_error, get_args(OnError))
