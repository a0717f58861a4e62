from __future__ import annotations

import base64
import gc
import io
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import PIL.Image
import PIL.ImageSequence
import pytest
import torch
from numpy.typing import NDArray

from deepface import DeepFace
from deepface.errors import DataTypeError, DeepFaceError, ImageTooLarge, ImgNotFound
from deepface.images import batch
from deepface.images.batch import LoadedImage, open_batch
from deepface.images.decode import Encoded
from deepface.images.sources import open_sources
from deepface.types import Image
from tests.images.pictures import encoded, folder_of, picture
from tests.interleaved import interleaved

PNG = encoded(picture())


def flat(img: Any, batch_size: int = 4) -> list[LoadedImage]:
    return [image for chunk in open_batch(img).chunks(batch_size) for image in chunk]


def sizes(img: Any, batch_size: int) -> list[int]:
    return [len(chunk) for chunk in open_batch(img).chunks(batch_size)]


def loading_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("deepface-images")]


def no_threads_are_left() -> bool:
    deadline = time.monotonic() + 10
    while loading_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not loading_threads()


@pytest.mark.parametrize(
    ("img", "single", "total"),
    [
        (picture(), True, 1),
        (picture()[:, :, 0], True, 1),
        (PNG, True, 1),
        (bytearray(PNG), True, 1),
        (memoryview(PNG), True, 1),
        (io.BytesIO(PNG), True, 1),
        (PIL.Image.new("RGB", (4, 4)), True, 1),
        (f"data:image/png;base64,{base64.b64encode(PNG).decode()}", True, 1),
        ([picture()], False, 1),
        ((picture(), PNG), False, 2),
        (deque([PNG, PNG]), False, 2),
        (picture()[None], False, 1),
        (np.stack([picture()] * 3), False, 3),
        (np.stack([picture()] * 3)[..., :1], False, 3),
        (iter([picture(), PNG]), False, None),
        ((image for image in [PNG, PNG]), False, None),
        (map(bytes, [PNG]), False, None),
        ([], False, 0),
        ((), False, 0),
        (iter([]), False, None),
        (np.zeros((0, 4, 4, 3), np.uint8), False, 0),
    ],
)
def test_one_and_many_are_told_apart(img: Any, single: bool, total: int | None) -> None:
    opened = open_batch(img)
    assert (opened.single, opened.total) == (single, total)
    images = [image for chunk in opened.chunks(2) for image in chunk]
    assert total is None or len(images) == total
    assert [image.index for image in images] == list(range(len(images)))


def test_a_path_is_one_image(tmp_path: Path) -> None:
    [path] = folder_of(tmp_path, 1)
    for img in (path, str(path)):
        assert open_batch(img).single
        [image] = flat(img)
        assert (image.index, image.name) == (0, str(path))
        np.testing.assert_array_equal(image.pixels, picture(seed=0))


@pytest.mark.parametrize("img", [3, None, {"a": 1}, {PNG}, object()])
def test_other_types_are_refused_as_single_images(img: Any) -> None:
    with pytest.raises(DataTypeError, match="img must be numpy array or str but it is <class"):
        flat(img)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
def test_order_and_sizes(tmp_path: Path, batch_size: int) -> None:
    files: list[Any] = list(folder_of(tmp_path, 20))
    files[3] = files[3].read_bytes()
    files[5] = picture(seed=5)
    files[8] = io.BytesIO(files[8].read_bytes())
    files[13] = PIL.Image.open(files[13])
    images = flat(iter(files), batch_size)
    for index, image in enumerate(images):
        assert image.index == index
        np.testing.assert_array_equal(image.pixels, picture(seed=index))
    full, rest = divmod(20, batch_size)
    assert sizes(files, batch_size) == [batch_size] * full + [rest] * bool(rest)
    assert no_threads_are_left()


def test_a_batch_of_a_list_can_be_walked_twice(tmp_path: Path) -> None:
    opened = open_batch(folder_of(tmp_path, 3))
    assert [len(c) for c in opened.chunks(2)] == [len(c) for c in opened.chunks(2)] == [2, 1]


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_is_checked_at_once(batch_size: int) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        open_batch([PNG]).attempts(batch_size)


def test_a_4d_array_is_its_images_uncopied() -> None:
    array = np.stack([picture(seed=seed) for seed in range(5)])
    for image in flat(array, 2):
        assert np.shares_memory(image.pixels, array)
        assert image.source is image.pixels
        np.testing.assert_array_equal(image.pixels, array[image.index])


def test_arrays_of_a_list_are_not_copied() -> None:
    arrays = [picture(seed=seed) for seed in range(5)]
    for held in (arrays, tuple(arrays)):
        assert all(np.shares_memory(i.pixels, arrays[i.index]) for i in flat(held, 2))


class Refilled(Sequence[NDArray[Any]]):
    """Makes its images when they are asked for, all in one array."""

    def __init__(self, images: list[NDArray[Any]], buffer: NDArray[Any]) -> None:
        self._images, self._buffer = images, buffer

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        np.copyto(self._buffer, self._images[index])
        return self._buffer


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.uint16, bool])
@pytest.mark.parametrize("size", [1, 3, 64])
@pytest.mark.parametrize("kind", ["generator", "sequence", "view", "stream", "objects"])
def test_an_image_is_as_it_was_when_it_was_yielded(dtype: Any, size: int, kind: str) -> None:
    """A camera's buffer is filled anew for each frame."""
    images = [np.full((6, 8, 3), number % 2 + number / 9).astype(dtype) for number in range(9)]
    expected = flat(images)
    buffer = np.zeros((2, 6, 8, 3), dtype)
    filled = Refilled(images, buffer[0])
    given_: Any = filled if kind == "sequence" else (filled[n] for n in range(9))
    if kind == "view":
        given_ = (filled[n][:, ::-1] for n in range(9))
        expected = flat([image[:, ::-1] for image in images])
    if kind == "objects":
        content = bytearray()
        given_ = (_refilled(content, image) for image in images)
        expected = flat([bytes(_refilled(bytearray(), image)) for image in images])
    opened = open_sources(given_) if kind == "stream" else open_batch(given_)
    found = [image for chunk in opened.chunks(size) for image in chunk]
    buffer[:] = 0
    assert len(found) == 9
    for image, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(image.pixels, other.pixels)
        np.testing.assert_array_equal(image.source, other.source)


def test_the_frames_of_an_animation_are_one_object() -> None:
    frames = [PIL.Image.new("RGB", (8, 6), (80 * number, 0, 0)) for number in range(3)]
    file = io.BytesIO()
    frames[0].save(file, "png", save_all=True, append_images=frames[1:])
    with PIL.Image.open(file) as animation:
        found = flat(iter(PIL.ImageSequence.Iterator(animation)))
    assert [int(image.pixels[0, 0, 2]) for image in found] == [0, 80, 160]


def _refilled(content: bytearray, image: NDArray[Any]) -> bytearray:
    content[:] = encoded(np.asarray(image, np.uint8))
    return content


@pytest.mark.parametrize(
    ("array", "kept"),
    [
        (picture(), False),
        ((picture() / 255).astype(np.float32), True),
        (picture().astype(np.float64), True),
        (picture().astype(np.int64), False),
        (np.dstack([picture(), picture()[..., :1]]), False),
        (picture()[..., 0] / 255, False),
        ((picture() / 255)[..., :1], False),
    ],
)
def test_the_source_of_crops(array: NDArray[Any], kept: bool) -> None:
    for img in (array, [array], *([array[None]] if array.ndim == 3 else [])):
        [image] = flat(img)
        assert image.pixels.dtype == np.uint8 and image.pixels.shape == (24, 32, 3)
        assert image.pixels.flags.c_contiguous
        if kept:
            assert image.source.dtype == array.dtype
            np.testing.assert_array_equal(image.source, array)
        else:
            assert image.source is image.pixels


def chunks_of(img: Any, pixels: int, count: int) -> Iterator[list[LoadedImage]]:
    """Of at most so many pixels and images."""
    batch = open_batch(img)
    batch.chunk_pixels = pixels
    return batch.chunks(count)


def test_a_chunk_ends_before_it_has_too_many_pixels(tmp_path: Path) -> None:
    widths = [30, 30, 40, 10, 200, 5, 100, 5, 5, 5, 99]  # times 10
    paths = []
    for index, width in enumerate(widths):
        paths.append(tmp_path / f"{index}.png")
        paths[-1].write_bytes(encoded(picture(10, width, seed=index)))
    arrays = [picture(10, width, seed=index) for index, width in enumerate(widths)]
    for img in (paths, iter(paths), arrays, iter(arrays), [p.read_bytes() for p in paths]):
        chunks = list(chunks_of(img, 1000, 4))
        assert [[len(i.pixels[0]) for i in chunk] for chunk in chunks] == [
            [30, 30, 40],
            [10],
            [200],
            [5],
            [100],
            [5, 5, 5],
            [99],
        ]
        for index, image in enumerate(image for chunk in chunks for image in chunk):
            np.testing.assert_array_equal(image.pixels, picture(10, widths[index], seed=index))


class Counted:
    """An iterator that counts what was taken from it."""

    def __init__(self, items: Any) -> None:
        self._items = iter(items)
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self._items)
        self.taken += 1
        return item


def test_an_iterator_is_walked_one_chunk_ahead(tmp_path: Path) -> None:
    [path] = folder_of(tmp_path, 1)
    items = Counted(path for _ in range(100))
    chunks = open_batch(items).chunks(5)
    assert items.taken == 0
    for number in range(1, 4):
        next(chunks)
        assert items.taken == 5 * number + 5


def test_an_iterator_of_large_arrays_is_held_back_by_their_pixels() -> None:
    items = Counted(picture() for _ in range(100))
    chunks = chunks_of(items, 3 * 24 * 32, 50)
    for number in range(1, 6):
        assert len(next(chunks)) == 3
        assert items.taken <= 3 * number + 3


class Live:
    """Counts pixels of decoded pictures that are alive, and the most there ever were."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._lock = threading.Lock()
        self.now = self.most = self.decoded = 0
        live = self

        def decode(self: Encoded) -> Image:
            image = np.zeros((self.height, self.width, 3), np.uint8)
            live.add(self.width * self.height)
            weakref.finalize(image, live.add, -self.width * self.height)
            return image

        monkeypatch.setattr(Encoded, "decode", decode)

    def add(self, pixels: int) -> None:
        with self._lock:
            self.now += pixels
            self.most = max(self.most, self.now)
            self.decoded += pixels > 0


def test_memory_is_bounded_by_the_chunk_and_not_by_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(monkeypatch)
    each = 24 * 32
    [path] = folder_of(tmp_path, 1)
    for chunk in chunks_of([path] * 200, 5 * each, 64):
        assert len(chunk) == 5
        del chunk
        time.sleep(0.003)  # the loading threads could run away now
    assert live.decoded == 200
    assert live.most <= 2 * 5 * each  # this chunk and the next
    gc.collect()
    assert live.now == 0


def test_a_chunk_that_the_caller_dropped_is_gone_while_the_next_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[weakref.ref[Image]] = []
    gone: list[bool] = []

    def decode(self: Encoded) -> Image:
        deadline = time.monotonic() + 5
        if self.name == "encoded bytes":  # the second chunk
            while not (first and first[0]() is None) and time.monotonic() < deadline:
                time.sleep(0.001)
            gone.append(first[0]() is None)
        return picture()

    monkeypatch.setattr(Encoded, "decode", decode)
    [path] = folder_of(tmp_path, 1)
    chunks = open_batch([path, PNG]).chunks(1)
    first.append(weakref.ref(next(chunks)[0].pixels))
    next(chunks)
    assert gone == [True]


def test_a_chunk_that_the_caller_dropped_is_gone_at_once(tmp_path: Path) -> None:
    chunks = open_batch(folder_of(tmp_path, 3)).chunks(1)
    for _ in range(3):
        pixels = weakref.ref(next(chunks)[0].pixels)
        assert pixels() is None


def test_a_large_picture_after_small_ones_is_not_decoded_ahead_in_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(monkeypatch)
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    small.write_bytes(encoded(picture(10, 10)))
    large.write_bytes(encoded(picture(100, 100)))
    for chunk in chunks_of([small] * 40 + [large] * 40, 10_000, 20):
        time.sleep(0.003)
        assert live.now <= 20_000 + 10_000 + 2_000  # held, ahead, and one image over the budget
        del chunk


def test_decoding_goes_on_while_the_caller_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(monkeypatch)
    chunks = open_batch(folder_of(tmp_path, 1) * 9).chunks(3)
    next(chunks)
    deadline = time.monotonic() + 10
    while live.decoded < 6:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    chunks.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_a_corrupt_file_in_the_middle(tmp_path: Path, batch_size: int) -> None:
    files = folder_of(tmp_path, 9)
    files[4].write_bytes(b"garbage")
    seen = []
    with pytest.raises(DeepFaceError) as error:
        for chunk in open_batch(files).chunks(batch_size):
            seen += [image.index for image in chunk]
    assert seen == list(range(4 // batch_size * batch_size))
    assert str(error.value).startswith(f"item 4 ({files[4]}): ")
    assert "Failed to decode image" in str(error.value)
    assert isinstance(error.value.__cause__, DeepFaceError)
    assert no_threads_are_left()


@pytest.mark.parametrize(
    ("bad", "error", "fragment"),
    [
        ("no/such.jpg", ImgNotFound, "item 2 (no/such.jpg): Confirm that no/such.jpg exists"),
        (3, DataTypeError, "item 2 (int): img must be numpy array or str but it is <class 'int'>"),
        ([PNG], DataTypeError, "item 2 (list): "),
        (picture()[None], DataTypeError, "item 2 (numpy array): a uint8 array of shape (1, 24"),
        (np.full((2, 2, 3), np.nan), DataTypeError, "item 2 (numpy array): a float64 array"),
        (b"", DeepFaceError, "item 2 (encoded bytes): "),
        (io.BytesIO(b""), DeepFaceError, "item 2 (io object): "),
        (PIL.Image.new("L", (2000, 2000)), ImageTooLarge, "item 2 (PIL image): "),
        (PNG[:16] + b"\0\0\xff\xff" * 2 + PNG[24:], ImageTooLarge, "item 2 (encoded bytes): "),
    ],
)
def test_an_error_keeps_its_class_and_names_the_item(
    monkeypatch: pytest.MonkeyPatch, bad: Any, error: type[Exception], fragment: str
) -> None:
    monkeypatch.setenv("DEEPFACE_MAX_IMAGE_PIXELS", "1000000")
    for img in ([PNG, PNG, bad, "no/other.jpg"], iter([PNG, PNG, bad, None])):
        with pytest.raises(error) as caught:
            flat(img)
        assert fragment in str(caught.value)
    with pytest.raises(error) as caught:
        flat(iter([bad]), 1)
    assert str(caught.value).startswith("item 0 ")


def test_a_single_image_fails_without_an_index() -> None:
    with pytest.raises(ImgNotFound, match=r"^Confirm that no/such.jpg exists$"):
        flat("no/such.jpg")


def test_the_error_of_an_iterator_comes_in_its_turn() -> None:
    def items() -> Iterator[bytes]:
        yield PNG
        yield PNG
        raise KeyError("the caller's own")

    chunks = open_batch(items()).chunks(2)
    assert len(next(chunks)) == 2
    with pytest.raises(KeyError, match="the caller's own"):
        next(chunks)
    assert no_threads_are_left()


@pytest.mark.parametrize("size", [2, 3, 32])
def test_what_an_iterator_gave_before_it_failed_is_not_lost(size: int) -> None:
    def items() -> Iterator[bytes]:
        for _ in range(5):
            yield PNG
        raise KeyError("the caller's own")

    chunks = open_batch(items()).chunks(size)
    given = 0
    with pytest.raises(KeyError, match="the caller's own"):
        for chunk in chunks:
            given += len(chunk)
    assert given == 5


def test_one_file_object_twice_and_one_that_is_filled_anew() -> None:
    stream = io.BytesIO(PNG)
    for image in flat([stream] * 20):
        np.testing.assert_array_equal(image.pixels, picture())

    def reused() -> Iterator[io.BytesIO]:
        buffer = io.BytesIO()
        for seed in range(20):
            buffer.seek(0)
            buffer.truncate()
            buffer.write(encoded(picture(seed=seed)))
            yield buffer

    for image in flat(reused()):
        np.testing.assert_array_equal(image.pixels, picture(seed=image.index))


def test_one_pil_image_twice(tmp_path: Path) -> None:
    [path] = folder_of(tmp_path, 1)
    with PIL.Image.open(path) as pil:
        for image in flat([pil] * 20):
            np.testing.assert_array_equal(image.pixels, picture())


def test_an_iterator_runs_in_the_callers_thread(tmp_path: Path) -> None:
    [path] = folder_of(tmp_path, 1)
    threads = set()

    def items() -> Iterator[Path]:
        for _ in range(20):
            threads.add(threading.current_thread())
            yield path

    flat(items())
    assert threads == {threading.current_thread()}


def test_threads_end_when_the_caller_stops_early(tmp_path: Path) -> None:
    chunks = open_batch(folder_of(tmp_path, 50)).chunks(2)
    next(chunks)
    assert loading_threads()
    chunks.close()  # type: ignore[attr-defined]
    assert no_threads_are_left()


def test_pictures_that_are_read_at_the_same_time(tmp_path: Path) -> None:
    files = [str(path) for path in folder_of(tmp_path, 40)]
    with interleaved(batch):
        assert [image.name for image in flat(files)] == files


def test_two_threads_at_once(tmp_path: Path) -> None:
    files = folder_of(tmp_path, 30)
    results: list[list[LoadedImage]] = []
    threads = [threading.Thread(target=lambda: results.append(flat(files))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    for result in results:
        for image, seed in zip(result, range(30), strict=True):
            np.testing.assert_array_equal(image.pixels, picture(seed=seed))


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30
    )


def test_an_abandoned_walk_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    [path] = folder_of(tmp_path, 1)
    result = _run(f"""
        from deepface.images.batch import open_batch
        batch = open_batch([{str(path)!r}] * 100)
        batch.chunk_pixels = 800
        chunks = batch.chunks(10)
        print(len(next(chunks)))
    """)
    assert (result.returncode, result.stdout, result.stderr) == (0, "1\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_ends_the_walk(tmp_path: Path) -> None:
    [path] = folder_of(tmp_path, 1)
    result = _run(f"""
        import os, signal, threading, time
        from deepface.images.batch import open_batch
        from deepface.images.decode import Encoded

        first = threading.Lock()

        def slow(self):
            if first.acquire(blocking=False):
                time.sleep(0.3)
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)

        Encoded.decode = slow
        try:
            for chunk in open_batch([{str(path)!r}] * 1000).chunks(100):
                pass
        except KeyboardInterrupt:
            print("interrupted")
    """)
    assert (result.returncode, result.stdout, result.stderr) == (0, "interrupted\n", "")


ROWS: dict[str, Any] = {
    "tuple": tuple,
    "deque": deque,
    "column": lambda items: pd.Series(items, index=range(len(items), 0, -1), dtype=object),
    "column of texts": lambda items: pd.Series(items, dtype=str),
    "index": lambda items: pd.Index(items, dtype=object),
    "values": lambda items: dict(enumerate(items)).values(),
    "keys": lambda items: dict.fromkeys(items).keys(),
    "objects": lambda items: np.array([*items, None], object)[:-1],
    "texts": lambda items: np.array(items, str),
}


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("kind", ROWS)
def test_things_in_a_row(kind: str, count: int, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{number}.png") for number in range(count)]
    for number, path in enumerate(paths):
        cv2.imwrite(path, np.full((4, 5, 3), number, np.uint8))
    row = ROWS[kind](paths)
    batch = open_batch(row)
    assert (batch.single, batch.total) == (False, count)
    assert [int(image.pixels[0, 0, 0]) for image in flat(row)] == [*range(count)]
    assert open_sources(row).total == count
    found = DeepFace.extract_faces(row, "skip")
    assert [faces[0]["facial_area"]["w"] for faces in found] == [4] * count


@pytest.mark.parametrize(
    "value",
    [
        {"a.jpg": 1},
        {"a.jpg"},
        pd.DataFrame({"path": ["a.jpg"]}),
        np.zeros(3),
        pd.Series([0.5, 1]),
        np.array([["a.jpg"]]),
        torch.zeros(4, 5, 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_order_or_more_than_one_is_no_row(value: Any) -> None:
    assert open_batch(value).single
    with pytest.raises(DataTypeError):
        DeepFace.extract_faces(value, "skip")
