"""The queue: batches across callers, the same answers, bounds, deadlines, dropped callers."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from deepface.errors import DeepFaceError, FaceNotDetected, UnimplementedError
from deepface.pipeline import FacePipeline
from deepface.server.app import create_app
from deepface.server.batching import (
    Batcher,
    BatchReport,
    Call,
    DeadlineExceeded,
    Overloaded,
    SharedPipeline,
    ShuttingDown,
    current_call,
)
from deepface.server.settings import Settings
from tests.data import WEIGHTS, package_pictures, read
from tests.stand_ins import ColorModel, cached

GREY = np.full((60, 80, 3), 128, np.uint8)
SKIP: dict[str, Any] = {"detector_backend": "skip", "model_name": "colors"}


class Gate(ColorModel):
    """A model that waits for a permit per batch, and notes how many faces came at once."""

    def __init__(self) -> None:
        super().__init__()
        self.permits = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.sizes: list[int] = []

    @contextmanager
    def callers(self, count: int) -> Iterator[ThreadPoolExecutor]:
        """Threads that ask. At the end all is let through, so that a test that fails ends, too."""
        with ThreadPoolExecutor(count) as pool:
            try:
                yield pool
            finally:
                self.permits.release(10_000)

    def embed(self, batch: Any) -> Any:
        self.entered.release()
        assert self.permits.acquire(timeout=120)
        self.sizes.append(len(batch))
        return super().embed(batch)


@pytest.fixture
def gate() -> Iterator[Gate]:
    model = Gate()
    with cached("facial_recognition", "colors", model):
        yield model
        model.permits.release(1000)


@pytest.fixture
def batcher(gate: Gate) -> Iterator[Batcher]:
    made = Batcher(batch_size=8, max_wait=5, max_queue=20)
    yield made
    gate.permits.release(1000)
    made.close(5)


def ask(batcher: Batcher, img: Any, seconds: float = 120, **options: Any) -> Any:
    with Call(batcher, seconds) as call:
        current_call.set(call)
        return SharedPipeline(**options, batcher=batcher)(img)


def waiting_for(condition: Any) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_what_comes_while_a_batch_is_computed_leaves_as_one_batch(
    batcher: Batcher, gate: Gate
) -> None:
    with gate.callers(12) as pool:
        first = pool.submit(ask, batcher, GREY, **SKIP)
        assert gate.entered.acquire(timeout=60)  # alone, without waiting for anybody
        others = [pool.submit(ask, batcher, GREY + n, **SKIP) for n in range(10)]
        waiting_for(lambda: len(batcher) == 10)
        gate.permits.release(1000)
        results = [f.result() for f in (first, *others)]
    assert gate.sizes == [1, 8, 2]  # 8 is the most
    alone = FacePipeline(**SKIP)
    for picture, result in zip([GREY, *(GREY + n for n in range(10))], results, strict=True):
        assert result == alone(picture)


def test_kinds_do_not_mix_and_the_oldest_goes_first(batcher: Batcher, gate: Gate) -> None:
    kinds = [SKIP, SKIP | {"l2_normalize": True}, SKIP | {"normalization": "raw"}]
    with gate.callers(12) as pool:
        first = pool.submit(ask, batcher, GREY, **SKIP)
        assert gate.entered.acquire(timeout=60)
        jobs = []
        for count, kind in zip((2, 3, 1), kinds, strict=True):
            for _ in range(count):
                jobs.append((kind, pool.submit(ask, batcher, GREY, **kind)))
            waiting_for(lambda: len(batcher) == len(jobs))
        gate.permits.release(1000)
        first.result()
        results = [job.result() for _, job in jobs]
    assert gate.sizes == [1, 2, 3, 1]
    assert results == [FacePipeline(**kind)(GREY) for kind, _ in jobs]


def test_a_batch_waits_for_callers_on_the_way_and_not_longer_than_told(gate: Gate) -> None:
    gate.permits.release(1000)
    batcher = Batcher(batch_size=8, max_wait=0.05)
    with Call(batcher), gate.callers(2) as pool:  # somebody who never comes
        assert pool.submit(ask, batcher, GREY, **SKIP).result(timeout=60)
    batcher.close(5)
    batcher = Batcher(batch_size=8, max_wait=300)
    gate.sizes.clear()
    with gate.callers(2) as pool, Call(batcher) as late:
        first = pool.submit(ask, batcher, GREY, **SKIP)
        waiting_for(lambda: len(batcher) == 1)
        kind = SharedPipeline(**SKIP, batcher=batcher).kind
        (second,) = late.submit(kind, [GREY])
        assert first.result(timeout=60) and late.result(second).embeddings is not None
    assert gate.sizes == [2]
    batcher.close(5)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(
    batcher: Batcher, gate: Gate
) -> None:
    with gate.callers(4) as pool:
        first = pool.submit(ask, batcher, GREY, **SKIP)
        assert gate.entered.acquire(timeout=60)
        full = pool.submit(ask, batcher, [GREY] * 20, **SKIP)
        waiting_for(batcher.is_full)
        with pytest.raises(Overloaded) as refused:
            ask(batcher, GREY, **SKIP)
        assert 1 <= refused.value.retry_after <= 60
        gate.permits.release(1000)
        assert len(full.result()) == 20 and first.result()
    assert len(ask(batcher, GREY, **SKIP)) == 1
    assert gate.faces == 22


def test_all_of_a_request_or_nothing_is_queued(batcher: Batcher, gate: Gate) -> None:
    with pytest.raises(Overloaded):
        ask(batcher, [GREY] * 21, **SKIP)
    assert len(batcher) == 0 and gate.sizes == []


def test_expired_and_cancelled_pictures_are_never_computed(batcher: Batcher, gate: Gate) -> None:
    with gate.callers(8) as pool:
        first = pool.submit(ask, batcher, GREY, **SKIP)
        assert gate.entered.acquire(timeout=60)
        late = [pool.submit(ask, batcher, GREY, 0.05, **SKIP) for _ in range(3)]
        gone = Call(batcher)
        futures = gone.submit(SharedPipeline(**SKIP, batcher=batcher).kind, [GREY, GREY])
        kept = pool.submit(ask, batcher, GREY, **SKIP)
        waiting_for(lambda: len(batcher) == 6)
        gone.cancel()
        for job in late:
            with pytest.raises(DeadlineExceeded):
                job.result()
        for future in futures:
            with pytest.raises(CancelledError):
                gone.result(future)
        gate.permits.release(1000)
        assert first.result() == kept.result()
    assert gate.faces == 2
    with pytest.raises(CancelledError):
        gone.submit(SharedPipeline(**SKIP, batcher=batcher).kind, [GREY])


def test_who_leaves_while_pictures_are_queued_drops_them() -> None:
    queued: Future[Any] = Future()

    class Slow:
        """A queue whose caller goes away at this moment."""

        def expect(self, more: int) -> None: ...

        def submit(self, *_: object) -> list[Future[Any]]:
            leaving.start()
            leaving.join(0.2)  # it waits for us
            return [queued]

    call = Call(cast("Batcher", Slow()))
    leaving = threading.Thread(target=call.cancel)
    assert call.submit(cast("FacePipeline", None), [GREY]) == [queued]
    leaving.join()
    assert queued.cancelled()


def test_places_of_callers_who_are_gone_are_free_again(batcher: Batcher, gate: Gate) -> None:
    with gate.callers(4) as pool:
        first = pool.submit(ask, batcher, GREY, **SKIP)
        assert gate.entered.acquire(timeout=60)
        with Call(batcher) as gone:
            gone.submit(SharedPipeline(**SKIP, batcher=batcher).kind, [GREY] * 20)
        full = pool.submit(ask, batcher, [GREY] * 20, **SKIP)
        waiting_for(lambda: len(batcher) == 20)
        gate.permits.release(1000)
        assert first.result() and len(full.result()) == 20


def test_a_bad_picture_costs_itself_and_errors_are_those_of_a_single_call(
    batcher: Batcher, gate: Gate
) -> None:
    gate.permits.release(1000)
    bad: list[Any] = [b"nonsense", "missing.jpg", 5, np.zeros((3, 3), np.uint8)]
    with gate.callers(12) as pool:
        jobs = [pool.submit(ask, batcher, x, **SKIP) for x in [*bad, GREY, *bad, GREY]]
        for picture, job in zip([*bad, GREY, *bad, GREY], jobs, strict=True):
            alone = FacePipeline(**SKIP)
            try:
                expected = alone(picture)
            except DeepFaceError as error:
                with pytest.raises(type(error)) as failed:
                    job.result()
                assert str(failed.value) == str(error)
            else:
                assert job.result() == expected


def test_a_list_names_its_own_items(batcher: Batcher, gate: Gate) -> None:
    gate.permits.release(1000)
    ask(batcher, [GREY] * 3, **SKIP)
    with pytest.raises(DeepFaceError, match=r"^item 1 \(missing.jpg\): Confirm that"):
        ask(batcher, [GREY, "missing.jpg", GREY], **SKIP)


def test_a_model_that_cannot_be_built_fails_everybody_who_wants_it(
    batcher: Batcher, gate: Gate, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    gate.permits.release(1000)
    with gate.callers(4) as pool:
        wanted: dict[str, Any] = {"detector_backend": "skip", "model_name": "Facenet"}
        jobs = [pool.submit(ask, batcher, GREY, **wanted) for _ in range(3)]
        for job in jobs:
            with pytest.raises(DeepFaceError, match="facenet"):
                job.result(timeout=60)
    assert ask(batcher, GREY, **SKIP) == FacePipeline(**SKIP)(GREY)


def test_unknown_names_never_reach_the_queue(batcher: Batcher) -> None:
    with pytest.raises(UnimplementedError):
        ask(batcher, GREY, detector_backend="nope")


def test_closing_finishes_what_waits_and_takes_no_more(gate: Gate) -> None:
    batcher = Batcher(batch_size=2, max_wait=5)
    with gate.callers(8) as pool:
        jobs = [pool.submit(ask, batcher, GREY, **SKIP) for _ in range(6)]
        assert gate.entered.acquire(timeout=60)
        closing = pool.submit(batcher.close, 30)
        gate.permits.release(1000)
        closing.result()
        answers = [job.exception() or job.result() for job in jobs]
    assert sum(isinstance(a, list) for a in answers) >= 1
    assert all(isinstance(a, (list, ShuttingDown)) for a in answers)
    with pytest.raises(ShuttingDown):
        ask(batcher, GREY, **SKIP)


def test_closing_gives_up_when_its_time_is_over(gate: Gate) -> None:
    batcher = Batcher(batch_size=1, max_wait=0)
    with gate.callers(4) as pool:
        stuck = pool.submit(ask, batcher, GREY, **SKIP)
        assert gate.entered.acquire(timeout=60)
        behind = pool.submit(ask, batcher, GREY, **SKIP | {"l2_normalize": True})
        waiting_for(lambda: len(batcher) == 1)
        batcher.close(0.05)
        with pytest.raises(ShuttingDown):
            behind.result(timeout=60)
        gate.permits.release(1000)
        assert stuck.result()


def test_it_tells_of_each_batch(gate: Gate) -> None:
    gate.permits.release(1000)
    told: list[BatchReport] = []
    batcher = Batcher(observe=told.append)
    ask(batcher, [GREY, GREY], **SKIP)
    batcher.close(5)
    (done,) = told
    assert len(done.queued) == 2 and done.faces == 2 and done.errors == 0
    assert done.seconds > 0 and min(done.queued) >= 0 and done.kind.model_name == "colors"


@pytest.mark.parametrize("count", [2, 5])
def test_each_device_has_a_worker_and_none_works_ahead_while_another_is_free(
    gate: Gate, count: int
) -> None:
    batcher = Batcher(devices=(None,) * count, batch_size=1)
    with gate.callers(count) as pool:
        for turn in range(3):
            jobs = [pool.submit(ask, batcher, GREY, **SKIP) for _ in range(count)]
            for _ in jobs:
                assert gate.entered.acquire(timeout=60)
            gate.permits.release(count)
            assert all(job.result() for job in jobs), turn
            waiting_for(lambda: batcher._idle == count)
    batcher.close(5)


@pytest.mark.skipif(
    not (WEIGHTS / "face_detection_yunet_2023mar.onnx").exists(), reason="needs YuNet's weights"
)
def test_many_callers_of_different_kinds_get_what_they_would_have_had_alone() -> None:
    photos = [cv2.resize(read(path), (280, 200)) for path in package_pictures()]
    pictures = [p[: 40 + 53 * n, : 47 + 77 * n] for p in photos for n in (1, 2, 3)]
    kinds: list[dict[str, Any]] = [
        {"detector_backend": "yunet", "enforce_detection": False},
        {"detector_backend": "yunet", "model_name": "colors"},
        {"detector_backend": "opencv", "model_name": "colors", "enforce_detection": "empty"},
    ]
    with cached("facial_recognition", "colors", ColorModel()):
        expected: dict[tuple[int, int], Any] = {}
        work = [(p, k) for p in range(len(pictures)) for k in range(len(kinds))] * 2
        for p, k in work[: len(work) // 2]:
            try:
                expected[p, k] = FacePipeline(**kinds[k])(pictures[p])
            except FaceNotDetected as error:
                expected[p, k] = error
        np.random.default_rng(7).shuffle(work)
        batcher = Batcher(batch_size=4, max_wait=0.01)

        def one(job: tuple[int, int]) -> Any:
            try:
                return ask(batcher, pictures[job[0]], **kinds[job[1]])
            except FaceNotDetected as error:
                return error

        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(one, work))
        batcher.close(10)
    for job, result in zip(work, results, strict=True):
        assert _plain(result) == _plain(expected[job])


def _plain(result: Any) -> Any:
    if isinstance(result, Exception):
        return type(result), str(result)
    return [
        {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in face.items()}
        for face in result
    ]


def test_an_expired_picture_whose_caller_leaves_at_that_moment_ends_no_worker() -> None:
    """Both happen to a picture at the end of its time, in two threads."""
    batcher, kind = Batcher(), FacePipeline("skip")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        left = []
        for _ in range(40_000):
            call = Call(batcher, 0)
            left += call.submit(kind, [GREY])
            call.cancel()
        assert not wait(left, timeout=30).not_done
    finally:
        sys.setswitchinterval(interval)
    assert ask(batcher, GREY, seconds=30, detector_backend="skip")
    batcher.close(5)


def test_what_is_made_and_not_used_has_no_threads(tmp_path: Path) -> None:
    """They would stay behind where the process forks, as ``gunicorn --preload`` does."""
    before = threading.enumerate()
    settings = Settings.load(galleries=f"people={tmp_path}", database_type="sqlite")
    app = create_app(settings)
    assert threading.enumerate() == before
    app.state.service.close()
