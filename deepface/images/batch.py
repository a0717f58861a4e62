"""The one place that tells a single image from many, and streams the many in bounded chunks."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from deepface.arguments import in_order, is_vector, whole
from deepface.errors import as_ours, with_item
from deepface.images.arrays import WHITE, to_picture
from deepface.images.containers.jpeg import is_plain_jpeg
from deepface.images.decode import Encoded
from deepface.images.load import item_name, read_item, reads_from_elsewhere
from deepface.images.pil import is_pil_image
from deepface.images.video import Frame
from deepface.runtime.concurrency.prefetch import PATIENCE, ending_before_python
from deepface.runtime.execution.batching import DEFAULT_BATCH_SIZE
from deepface.types import Image

#: OpenCV decodes without Python's lock. More threads than cores, because URLs and disks wait.
WORKERS = min(16, 2 + (os.cpu_count() or 1))
#: What becomes of an error of one image of a batch: it is raised, or it takes the image's place.
OnError: TypeAlias = Literal["raise", "yield"]


@dataclass(frozen=True)
class LoadedImage:
    """One image of a batch.

    ``index`` is its position in the caller's batch (0 for a single image), ``name`` its path, URL
    or kind for messages; ``pixels``, ``source`` and ``full_scale`` are those of
    :class:`deepface.types.Picture`. ``seconds`` is the time of a video's frame.
    """

    index: int
    name: str
    pixels: Image
    source: NDArray[Any]
    full_scale: float = WHITE
    seconds: float | None = None

    @property
    def host(self) -> Image:
        """The pixels on the CPU, where they are."""
        return self.pixels

    known = host


@dataclass(frozen=True)
class EncodedImage:
    """A JPEG file that was read and is left to a device to decode; fields as above."""

    index: int
    name: str
    content: Encoded


@dataclass(frozen=True)
class FailedImage:
    """An image of a batch that could not be loaded; ``error`` names it."""

    index: int
    name: str
    error: Exception


#: What :meth:`Batch.attempts` gives.
Attempt: TypeAlias = LoadedImage | EncodedImage | FailedImage


@dataclass(eq=False, repr=False)
class Batch:
    """The images of one call.

    Attributes:
        items: the images.
        total: how many; ``None`` for an iterator, which can be walked once only.
        single: one image was passed, not a batch of one; results are un-nested at the very end.
        kept: nothing changes the images while they are walked. An iterator may fill one array anew
            for each of its images; those are copied when they come.
        live: the source may block. It is walked in a thread of its own, and a list of images ends
            where the next one is not there within ``patience``.
    """

    #: Most pixels in a chunk (192 MB), unless its only image has more.
    chunk_pixels = 64_000_000
    #: Seconds that an image of a live source may take to come, and to be read and decoded.
    patience, reading = PATIENCE, 0.5

    items: Iterable[Any]
    total: int | None
    single: bool = False
    kept: bool = field(default=True, kw_only=True)
    live: bool = field(default=False, kw_only=True)
    _ahead: _ReadAhead | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[Any]:
        """The images as the caller passed them."""
        return iter(self.items) if self.kept else map(_own, self.items)

    def chunks(
        self, batch_size: int = DEFAULT_BATCH_SIZE, workers: int | None = None
    ) -> Iterator[list[LoadedImage]]:
        """The images in order, in lists of at most ``batch_size`` images.

        A list also ends where the next image would make it exceed ``chunk_pixels``. While
        the caller works on one list, threads load the next; one list more than the caller holds
        and one image is all that is ever decoded. Iterators, file objects and Pillow images are
        read in the caller's thread, at most one list ahead. Drop a list to free its pixels.

        Args:
            batch_size: most images in a list.
            workers: how many threads load images; :data:`WORKERS` of them unless told.

        Raises:
            DeepFaceError: an image cannot be loaded, when its turn has come. In a batch, the
                message names its index and name; the class is that of the single image's error.
        """
        with closing(self.attempts(batch_size, workers)) as attempts:
            # What yields here keeps no list, or its pixels would live until the next is asked for.
            yield from map(_all_loaded, attempts)

    @overload
    def attempts(
        self, batch_size: int = ..., workers: int | None = ...
    ) -> Generator[list[LoadedImage | FailedImage], None, None]: ...

    @overload
    def attempts(
        self, batch_size: int = ..., workers: int | None = ..., *, leave_jpeg: bool
    ) -> Generator[list[Attempt], None, None]: ...

    def attempts(
        self,
        batch_size: int = DEFAULT_BATCH_SIZE,
        workers: int | None = None,
        *,
        leave_jpeg: bool = False,
    ) -> Generator[Any, None, None]:
        """As :meth:`chunks`, with a :class:`FailedImage` where an image cannot be loaded.

        An error of the caller's own iterator is raised: nothing can come after it.

        Args:
            batch_size: as there.
            workers: as there.
            leave_jpeg: give JPEG files that any decoder can be given as :class:`EncodedImage`.
        """
        for name, value in (("batch_size", batch_size), ("workers", workers)):
            if value is not None:
                whole(name, value)
        if self.single:
            return self._one(leave_jpeg)
        return self._many(batch_size, workers or WORKERS, leave_jpeg)

    def interrupt(self) -> None:
        """End :meth:`attempts` for a thread that waits there for a live source."""
        if self._ahead is not None:
            self._ahead.interrupt()

    def _one(self, leave_jpeg: bool) -> Generator[list[Attempt], None, None]:
        for item in self.items:
            name = item_name(item)
            try:
                image: Attempt = _loaded(0, item, name, read_item(item, name), leave_jpeg)
            except Exception as error:
                image = FailedImage(0, name, as_ours(error, f"Exception while loading {name}"))
            yield [image]

    def _many(
        self, batch_size: int, workers: int, leave_jpeg: bool
    ) -> Generator[list[Attempt], None, None]:
        kind = _LiveReadAhead if self.live else _ReadAhead
        with closing(kind(self, workers, leave_jpeg)) as ahead:
            self._ahead = ahead
            # Nor is one kept here.
            yield from iter(partial(ahead.next_chunk, batch_size), [])


def open_batch(img: Any) -> Batch:
    """Tell apart what a caller passed.

    Args:
        img: images in an order (see :func:`deepface.arguments.in_order`), an iterator or generator
            of them, or a 4-D array ``(N, H, W, C)``: a batch, also with one image or none. Anything
            else is a single image; see :func:`deepface.images.load.load_image` for what that is.
    """
    many = in_order(img) and not is_vector(img) and not is_image(img)
    if many or (isinstance(img, np.ndarray) and img.ndim == 4):
        return Batch(img, total=len(img), kept=holds_its_items(img))
    if isinstance(img, Iterator) and not is_image(img):
        return Batch(img, total=None, kept=False)
    return Batch([img], total=1, single=True)


def holds_its_items(images: Iterable[Any]) -> bool:
    """Whether images are there already and stay as they are, and are not made one by one."""
    return isinstance(images, (list, tuple, np.ndarray))


def _all_loaded(images: list[LoadedImage | FailedImage]) -> list[LoadedImage]:
    """The same; raises the error of the first that could not be loaded."""
    for image in images:
        if isinstance(image, FailedImage):
            raise image.error
    return images  # type: ignore[return-value]


def _own(image: Any) -> Any:
    return np.array(image) if isinstance(image, np.ndarray) else image


def is_image(img: object) -> bool:
    """Whether ``img`` is one image although it can be iterated over, as strings and files can."""
    return (
        isinstance(img, (str, bytes, bytearray, memoryview))
        or is_pil_image(img)
        or callable(getattr(img, "read", None))
    )


def _loaded(
    index: int, image: Any, name: str, content: Encoded | NDArray[Any], leave_jpeg: bool
) -> LoadedImage | EncodedImage:
    if isinstance(content, Encoded):
        if leave_jpeg and is_plain_jpeg(content.data):
            return EncodedImage(index, name, content)
        pixels = content.decode()
        return LoadedImage(index, name, pixels, pixels)
    seconds = image.seconds if isinstance(image, Frame) else None
    return LoadedImage(index, name, *to_picture(content), seconds)


#: What was read of an image, or why it could not be.
_Content: TypeAlias = "Encoded | NDArray[Any] | Exception"


@dataclass(frozen=True)
class _Item:
    """An image that was requested, and the promise of its pixels."""

    index: int
    image: Any
    name: str
    result: Future[Attempt]

    def load(self, content: _Content, leave_jpeg: bool) -> None:
        if isinstance(content, Exception):
            self.fail(content)
            return
        try:
            loaded = _loaded(self.index, self.image, self.name, content, leave_jpeg)
            self.result.set_result(loaded)
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        named = with_item(error, self.index, self.name)
        self.result.set_result(FailedImage(self.index, self.name, named))


class _ReadAhead:
    """Loads images in threads, in the order of the input, before they are asked for.

    An image is *requested* (taken from the input), *read* (its bytes; its size is known then),
    *admitted* to decoding in the order of the input while the pixels admitted are fewer than
    the batch's ``chunk_pixels``, *taken* into a chunk, and *released* with it. No thread ever waits
    for room: what is not admitted is put down, so no thread can be left hanging.
    """

    def __init__(self, batch: Batch, workers: int, leave_jpeg: bool) -> None:
        self._batch, self._items = batch, iter(batch)
        self._pulled = 0  # images that were requested
        self._leave_jpeg = leave_jpeg
        self._pending: deque[tuple[Future[Attempt], int]] = deque()
        self._held = 0  # pixels of those pending that were read when they were requested
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="deepface-images")
        self._lock = threading.Lock()  # for what follows
        self._read: dict[int, tuple[_Item, _Content]] = {}
        self._next = 0  # index of the first image that is not admitted
        self._sizes: dict[int, int] = {}  # pixels of the images admitted and not released
        self._admitted = 0  # their sum
        self._closed = False

    def request(self, count: int) -> None:
        """Take images from the input until ``count``, or pixels enough, are pending."""
        while self._has_room(count) and (pulled := self._pull()) is not None:
            self._append(*pulled)

    def _has_room(self, count: int) -> bool:
        return len(self._pending) < count and self._held < self._batch.chunk_pixels

    def _append(self, result: Future[Attempt], pixels: int) -> None:
        self._pending.append((result, pixels))
        self._held += pixels

    def _pull(self) -> tuple[Future[Attempt], int] | None:
        """The next image of the input, and its pixels if it was read already."""
        result: Future[Attempt] = Future()
        try:
            image = next(self._items)
        except StopIteration:
            return None
        except Exception as error:  # the caller's iterator fails: its turn has yet to come
            self._items = iter(())
            result.set_exception(error)
            return result, 0
        item = _Item(self._pulled, image, item_name(image), result)
        self._pulled += 1
        if reads_from_elsewhere(image):
            self._pool.submit(self._read_and_load, item)
            return result, 0
        # Here, not in the pool: the same file object may stand in a list twice, or be filled anew
        # by the iterator that yields it.
        content = _read(item)
        for ready in self._admit((item, content)):
            self._pool.submit(self._load, *ready)
        return result, _pixel_count(content)

    def _refill(self, count: int) -> None:
        self.request(count)

    def _is_late(self, result: Future[Attempt]) -> bool:
        """Whether an image takes so long that those before it go on without it."""
        return False

    def next_chunk(self, count: int) -> list[Attempt]:
        """The next images, which belong to the caller now; those after them are requested."""
        chunk = self._take(count)
        if chunk:
            self.request(count)
            self._release(chunk)
        return chunk

    def _take(self, count: int) -> list[Attempt]:
        """The next images, at most ``count`` and as many as fit; none at the end."""
        chunk: list[Attempt] = []
        pixels, max_pixels = 0, self._batch.chunk_pixels
        self._refill(count)
        while self._pending and len(chunk) < count and pixels < max_pixels:
            result, held = self._pending[0]
            if chunk and self._is_late(result):
                break
            if chunk and result.done() and result.exception() is not None:
                break  # the caller's iterator failed here: first what it gave before
            image = result.result()
            size = self._sizes.get(image.index, 0)
            if chunk and pixels + size > max_pixels:
                break
            chunk.append(image)
            pixels += size
            self._forget(held)
            self._refill(count - len(chunk))
        return chunk

    def _forget(self, held: int) -> None:
        self._pending.popleft()
        self._held -= held

    def _release(self, chunk: list[Attempt]) -> None:
        """Let as many pixels be decoded as this chunk has, which now belongs to the caller."""
        with self._lock:
            self._admitted -= sum(self._sizes.pop(image.index, 0) for image in chunk)
        for ready in self._admit():
            self._pool.submit(self._load, *ready)

    def interrupt(self) -> None:
        """Nobody waits here for a source but the source's own reader."""

    def close(self) -> None:
        """Drop what is pending; loads that are under way end in their threads."""
        with self._lock:
            self._closed = True
            self._read.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pending.clear()

    def _read_and_load(self, item: _Item) -> None:
        """In a thread of the pool. What is admitted first is loaded here: handing on costs time."""
        ready = self._admit((item, _read(item)))
        for other in ready[1:]:
            self._pool.submit(self._load, *other)
        for first in ready[:1]:
            self._load(*first)

    def _load(self, item: _Item, content: _Content) -> None:
        item.load(content, self._leave_jpeg)

    def _admit(self, read: tuple[_Item, _Content] | None = None) -> list[tuple[_Item, _Content]]:
        """Those for whose pixels there is room now, ``read`` perhaps among them."""
        ready, max_pixels = [], self._batch.chunk_pixels
        with self._lock:
            if read is not None:
                self._read[read[0].index] = read
            while not self._closed and self._next in self._read and self._admitted < max_pixels:
                item, content = self._read.pop(self._next)
                self._next += 1
                if not isinstance(content, Exception):
                    self._sizes[item.index] = _pixel_count(content)
                    self._admitted += self._sizes[item.index]
                ready.append((item, content))
        return ready


class _LiveReadAhead(_ReadAhead):
    """The same for a source that may block: a thread of its own takes images from it."""

    def __init__(self, batch: Batch, workers: int, leave_jpeg: bool) -> None:
        super().__init__(batch, workers, leave_jpeg)
        self._changed = threading.Condition()  # for what is pending and what follows
        self._wanted = 0
        self._ended = False  # there is no more to come, or nobody wants it
        self._asked: float | None = None  # since when the source is asked for an image
        self._feeder = threading.Thread(target=self._feed, name="deepface-source", daemon=True)
        self._feeder.start()

    def request(self, count: int) -> None:
        """Let ``count`` images, or pixels enough, be pending as soon as the source has them."""
        with self._changed:
            self._wanted = count
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Take no more images from the source, and wait for none."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """As that of the base class. Where the source blocks, its thread ends when it goes on."""
        self.interrupt()
        super().close()
        self._feeder.join(self._batch.patience)

    def _feed(self) -> None:
        with ending_before_python(self.interrupt):
            while not self._ended:
                # A function of its own, which keeps no image while the source blocks.
                self._feed_one()

    def _feed_one(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._has_room(self._wanted))
            if self._ended:
                return
            self._asked = time.monotonic()
        try:
            pulled = self._pull()
        except BaseException as error:  # whoever takes images would wait for ever
            pulled = Future(), 0
            pulled[0].set_exception(error)
            self._items = iter(())
        with self._changed:
            self._asked = None
            if pulled is None:
                self._ended = True
            elif not self._ended:
                self._append(*pulled)
            if self._ended or len(self._pending) == 1 or not self._has_room(self._wanted):
                self._changed.notify_all()

    def _take(self, count: int) -> list[Attempt]:
        self.request(count)
        with self._changed:
            while not self._ended and self._has_room(count):
                rest = None  # there is nothing yet that could wait
                if self._pending:
                    rest = self._batch.patience
                    if self._asked is not None:
                        rest += self._asked - time.monotonic()
                    if rest <= 0:
                        break
                self._changed.wait(rest)
        return super()._take(count)

    def _refill(self, count: int) -> None:
        """Its thread does that."""

    def _is_late(self, result: Future[Attempt]) -> bool:
        return not wait([result], self._batch.reading).done

    def _forget(self, held: int) -> None:
        with self._changed:
            super()._forget(held)


def _read(item: _Item) -> _Content:
    try:
        return read_item(item.image, item.name)
    except Exception as error:
        return error


def _pixel_count(content: _Content) -> int:
    if isinstance(content, Encoded):
        return content.width * content.height
    if isinstance(content, np.ndarray) and content.ndim > 1:
        return int(content.shape[0] * content.shape[1])
    return 0
