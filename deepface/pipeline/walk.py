"""The walk: pictures to faces to vectors and attributes, one batch after the other, in order."""

from __future__ import annotations

import contextlib
import queue
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from deepface.attributes.registry import ATTRIBUTES
from deepface.detection.registry import DETECTORS
from deepface.errors import as_ours, fault_of, with_item
from deepface.images.batch import Attempt, Batch, OnError
from deepface.images.jpeg import check_decoder, decoded, on_device
from deepface.pipeline.demography import estimate_attributes
from deepface.pipeline.faces import Seen, bring_crops, find_faces, judge_liveness, refuse_spoofs
from deepface.pipeline.options import ACTIONS, Options
from deepface.pipeline.representation import embed_faces
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime.concurrency.prefetch import ahead
from deepface.runtime.execution.batching import DEFAULT_BATCH_SIZE, halving
from deepface.runtime.execution.device import automatic_batch_size, resolve_device

if TYPE_CHECKING:
    import torch

_Step = Callable[[list[Seen]], None]
#: Detectors that run without torch: their users need not wait for its import.
_WITHOUT_TORCH = ("skip", "opencv", "dlib", "mediapipe", "yunet")


def walk(batch: Batch, options: Options, on_error: OnError = "raise") -> Iterator[list[Seen]]:
    """The pictures of a batch with all that ``options`` ask for, a list per step, in order.

    Nothing keeps what was yielded: memory is that of two steps, of three where a GPU decodes,
    however many pictures come.

    Args:
        batch: the pictures.
        options: what is wanted of them.
        on_error: ``"raise"`` raises the first picture's error when its turn has come. ``"yield"``
            leaves errors in the pictures they belong to; a step that fails for a batch is then
            repeated for each picture alone. What no picture can do without (a model, its weights)
            is an error before the first one.

    Raises:
        FaceNotDetected: a picture has no face and ``enforce_detection`` is on.
        SpoofDetected: a face is not real, and vectors or attributes of it were asked for.
        DeepFaceError: a picture cannot be loaded. Of a batch, each message names the picture.
    """
    if batch.total == 0:
        return
    if len(options.devices) > 1:
        if not batch.single:
            yield from _shared(batch, options, on_error)
            return
        options = options.on(options.one_device)
    if on_error == "yield" and options.detector_backend != "skip":
        DETECTORS.build(
            options.detector_backend, options.one_device, min_face_size=options.min_face_size
        )
    decodes_there = options.decode == "device"
    if decodes_there:
        check_decoder(resolve_device(options.one_device))
    later = _later_steps(options)
    needs_torch = decodes_there or bool(later) or options.detector_backend not in _WITHOUT_TORCH
    size = options.batch_size
    if size is None:
        size = automatic_batch_size(options.one_device) if needs_torch else DEFAULT_BATCH_SIZE
    where = resolve_device(options.one_device) if needs_torch else None
    loaded = _loaded(batch, options, size, where)
    # While the device embeds one step, a thread detects and cuts the next, and another one has the
    # one after that decoded. On a CPU they would all want the same cores.
    apart = where is not None and where.type != "cpu" and (decodes_there or bool(later))
    if apart and decodes_there:
        loaded = ahead(loaded)
    found = _with_faces(loaded, options, on_error, batch.single)
    if apart and later:
        found = ahead(found)
    with closing(found), _progress_bar(batch, options) as bar:  # type: ignore[type-var]
        for seen in found:
            for step in later:
                _apply(step, seen, on_error, batch.single)
            count = len(seen)
            yield seen
            del seen
            bar.update(count)


def _loaded(
    batch: Batch, options: Options, size: int, where: torch.device | None
) -> Iterator[list[Seen]]:
    device = where if options.decode == "device" else None
    for chunk in batch.attempts(size, options.workers, leave_jpeg=device is not None):
        seen = _seen(chunk, where, device is not None, batch.single)
        del chunk
        yield seen
        del seen


def _seen(
    chunk: Sequence[Attempt], where: torch.device | None, decode: bool, single: bool
) -> list[Seen]:
    images = decoded(chunk, where if decode else None, single)
    if where is not None and where.type == "cuda":
        images = on_device(images, where)
    return [Seen.of(image) for image in images]


#: Steps of a walk over several devices that are under way on each of them: while one waits for the
#: host, the other one has something to do.
_AT_ONCE = 2


def _shared(batch: Batch, options: Options, on_error: OnError) -> Iterator[list[Seen]]:
    """The walk over several devices: each takes the next step when it is free."""
    each = [options.on(device) for device in options.devices]
    for one in each:
        if one.detector_backend != "skip":  # what none can do without is told before the first
            DETECTORS.build(one.detector_backend, one.one_device, min_face_size=one.min_face_size)
    later = [_later_steps(one) for one in each]
    places = [resolve_device(one.one_device) for one in each]
    decodes_there = options.decode == "device"
    for place in places if decodes_there else ():
        check_decoder(place)
    size = options.batch_size or min(automatic_batch_size(one.one_device) for one in each)
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in [*range(len(each))] * _AT_ONCE:
        free.put(number)

    def work(chunk: Sequence[Attempt]) -> list[Seen]:
        number = free.get()
        try:
            seen = _seen(chunk, places[number], decodes_there, batch.single)
            _apply(lambda some: find_faces(some, each[number]), seen, on_error, batch.single)
            if options.model_name is None and options.actions is None:
                bring_crops(seen)
            for step in later[number]:
                _apply(step, seen, on_error, batch.single)
            return seen
        finally:
            free.put(number)

    most = _AT_ONCE * len(each)
    under_way: deque[Future[list[Seen]]] = deque()
    chunks = batch.attempts(size, options.workers, leave_jpeg=decodes_there)
    with (
        closing(chunks),  # type: ignore[type-var]
        _progress_bar(batch, options) as bar,
        ThreadPoolExecutor(most, thread_name_prefix="deepface-device") as pool,
    ):
        try:
            for chunk in chunks:
                under_way.append(pool.submit(work, chunk))
                del chunk
                if len(under_way) == most:
                    yield from _done(under_way.popleft(), bar)
            while under_way:
                yield from _done(under_way.popleft(), bar)
        finally:
            for future in under_way:
                future.cancel()


def _done(future: Future[list[Seen]], bar: Any) -> Iterator[list[Seen]]:
    seen = future.result()
    count = len(seen)
    yield seen
    bar.update(count)


def _with_faces(
    loaded: Iterator[list[Seen]], options: Options, on_error: OnError, single: bool
) -> Iterator[list[Seen]]:
    with closing(loaded):  # type: ignore[type-var]
        for seen in loaded:
            _apply(lambda some: find_faces(some, options), seen, on_error, single)
            if options.model_name is None and options.actions is None:  # else crops stay there
                bring_crops(seen)
            yield seen
            del seen


def _later_steps(options: Options) -> list[_Step]:
    """What happens to faces once they are found; the models are built here."""
    steps: list[_Step] = []
    if options.anti_spoofing:
        steps.append(lambda seen: judge_liveness(seen, options))
        if options.model_name is not None or options.actions is not None:
            steps.append(refuse_spoofs)
    if options.model_name is not None:
        model = RECOGNIZERS.build(
            options.model_name, options.one_device, precision=options.precision
        )
        steps.append(lambda seen: embed_faces(seen, model, options))
    if options.actions is not None:
        networks = [
            ATTRIBUTES.build(ACTIONS[action], options.one_device, precision=options.precision)
            for action in options.actions
        ]
        steps.append(lambda seen: estimate_attributes(seen, networks))
    return steps


def _apply(step: _Step, seen: list[Seen], on_error: OnError, single: bool) -> None:
    """One step for the pictures that have had no error.

    A step that fails for a batch is repeated for each picture alone: one of them is to blame.
    """
    well = [item for item in seen if item.error is None]
    failed = len(seen) - len(well)
    if failed and on_error == "raise":  # one that could not be loaded, before or after the others
        well = well[: next(i for i, item in enumerate(seen) if item.error is not None)]
    if well:
        try:
            halving(_returning(step), well)
        except Exception as error:
            if fault_of(error) == "call":
                raise
            if len(well) == 1:
                well[0].error = error
            else:
                _apply_to_each(step, well, on_error)
    for item in well:
        if item.error is not None:
            item.error = _named(item.error, item, single)
    if on_error == "raise":
        for item in seen:
            if item.error is not None:
                raise item.error


def _returning(step: _Step) -> Callable[[Sequence[Seen]], Sequence[Seen]]:
    def run(seen: Sequence[Seen]) -> Sequence[Seen]:
        step([*seen])
        return seen

    return run


def _apply_to_each(step: _Step, well: list[Seen], on_error: OnError) -> None:
    for item in well:
        try:
            step([item])
        except Exception as error:
            item.error = error
            if on_error == "raise":
                return


def _named(error: Exception, item: Seen, single: bool) -> Exception:
    if single:
        return as_ours(error, f"Exception while processing {item.name}")
    return with_item(error, item.index, item.name)


def _progress_bar(batch: Batch, options: Options) -> contextlib.AbstractContextManager[Any]:
    from tqdm.auto import tqdm

    bar: contextlib.AbstractContextManager[Any] = tqdm(
        total=batch.total,
        desc="Images",
        unit="image",
        disable=batch.single or not options.progress,
        leave=False,
    )
    return bar
