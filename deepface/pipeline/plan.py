"""What will be done with the pictures of a call: decided, its models built, before the first."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepface.attributes.registry import ATTRIBUTES
from deepface.detection.registry import DETECTORS
from deepface.images.batch import WORKERS
from deepface.images.device_image import check_decoder
from deepface.pipeline.demography import estimate_attributes
from deepface.pipeline.extraction import (
    Seen,
    bring_crops,
    find_faces,
    judge_liveness,
    refuse_spoofs,
)
from deepface.pipeline.options import ACTIONS, Options
from deepface.pipeline.representation import embed_faces
from deepface.recognition.registry import RECOGNIZERS
from deepface.runtime.execution.batching import DEFAULT_BATCH_SIZE, automatic_batch_size
from deepface.runtime.execution.device import resolve_device
from deepface.spoofing.registry import LIVENESS

if TYPE_CHECKING:
    import torch

#: Threads that read and decode beside a device: those that launch its kernels need cores, too, and
#: each thread more makes them wait for Python's lock (on 16 cores 10 were faster than 8, 12 or 16).
_BESIDE_A_DEVICE = min(WORKERS, max(4, (os.cpu_count() or 1) * 5 // 8))


@dataclass(frozen=True)
class Step:
    """One thing that happens to the pictures of a batch; errors go into the pictures."""

    name: str
    run: Callable[[list[Seen]], None] = field(repr=False)

    def __call__(self, seen: Sequence[Seen]) -> Sequence[Seen]:
        """Take the step with pictures that have had no error; they are given back."""
        self.run([*seen])
        return seen


@dataclass(frozen=True)
class Lane:
    """The steps on one device: ``find``, which finds and cuts faces, and those that follow.

    ``device`` is where torch runs, ``None`` where no step needs it.
    """

    find: Step
    later: tuple[Step, ...]
    device: torch.device | None

    @classmethod
    def on(cls, options: Options) -> Lane:
        """What ``options``, which name one device, ask for; the models are built."""
        needs_torch, find = _finding(options)
        later = _later(options)
        needs_torch = needs_torch or options.decode == "device" or bool(later)
        return cls(find, later, resolve_device(options.one_device) if needs_torch else None)

    @property
    def is_apart(self) -> bool:
        """Whether its work leaves the processor's cores free for threads beside it."""
        return self.device is not None and self.device.type != "cpu"

    @property
    def is_cuda(self) -> bool:
        """Whether pictures are sent to it before its first step."""
        return self.device is not None and self.device.type == "cuda"


@dataclass(frozen=True)
class Plan:
    """How pictures become results. Printed, it says so in a line.

    There is a lane for each device; several share the batches. ``batch_size`` is the number of
    pictures per batch, ``workers`` that of the threads that read and decode; ``decodes`` says that
    JPEG files are decoded on the device. ``loads_ahead`` and ``finds_ahead`` say that loading and
    finding run one batch ahead of what follows them, each in a thread of its own.
    """

    lanes: tuple[Lane, ...]
    batch_size: int
    workers: int
    decodes: bool
    loads_ahead: bool
    finds_ahead: bool

    @classmethod
    def of(cls, options: Options, single: bool = False) -> Plan:
        """What ``options`` ask for; of one picture on the first of their devices.

        Raises:
            DeepFaceError: what no picture can do without is missing: a model, its weights, a
                package, a device or its decoder.
        """
        each = [options.on(device) for device in options.devices[: 1 if single else None]]
        decodes = options.decode == "device"
        for one in each if decodes else ():
            check_decoder(resolve_device(one.one_device))
        lanes = tuple(map(Lane.on, each))
        # While the device embeds one step, a thread detects and cuts the next, and another one has
        # the one after that decoded or sent, which only CUDA does. On a CPU they would all want the
        # same cores.
        apart = len(lanes) == 1 and lanes[0].is_apart
        return cls(
            lanes,
            batch_size=options.batch_size or min(map(_batch_size, each, lanes)),
            workers=options.workers or (_BESIDE_A_DEVICE if lanes[0].is_apart else WORKERS),
            decodes=decodes,
            loads_ahead=apart and lanes[0].is_cuda,
            finds_ahead=apart and bool(lanes[0].later),
        )

    def __str__(self) -> str:
        first = self.lanes[0]
        steps = " -> ".join(step.name for step in (first.find, *first.later))
        devices = ", ".join(str(lane.device) for lane in self.lanes if lane.device is not None)
        where = f" on {devices}" if devices else ""
        decoding = "JPEG decoded there" if self.decodes else f"{self.workers} threads decode"
        ahead = ["loading"] * self.loads_ahead + ["finding"] * self.finds_ahead
        threads = f", {' and '.join(ahead)} one batch ahead" if ahead else ""
        return f"{steps}{where}; {self.batch_size} pictures per batch, {decoding}{threads}"


def _batch_size(options: Options, lane: Lane) -> int:
    return DEFAULT_BATCH_SIZE if lane.device is None else automatic_batch_size(options.one_device)


def _finding(options: Options) -> tuple[bool, Step]:
    """The step that finds faces, and whether it needs torch."""

    def run(seen: list[Seen]) -> None:
        find_faces(seen, options)
        if options.model_name is None and options.actions is None:  # else crops stay there
            bring_crops(seen)

    name = options.detector_backend
    if options.skips_detection:
        return False, Step("whole pictures", run)
    DETECTORS.build(name, options.one_device, **options.detector_options())
    card = DETECTORS.find(name)  # there is none of what a script has put into cached_models
    return card is None or card.needs_torch, Step(f"find ({name})", run)


def _later(options: Options) -> tuple[Step, ...]:
    steps = []
    if options.anti_spoofing:
        steps.append(Step(f"judge ({LIVENESS})", lambda seen: judge_liveness(seen, options)))
        if options.model_name is not None or options.actions is not None:
            steps.append(Step("refuse spoofs", refuse_spoofs))
    if options.model_name is not None:
        model = RECOGNIZERS.build(
            options.model_name, options.one_device, precision=options.precision
        )
        steps.append(
            Step(f"embed ({options.model_name})", lambda seen: embed_faces(seen, model, options))
        )
    if options.actions is not None:
        networks = {
            name: ATTRIBUTES.build(name, options.one_device, precision=options.precision)
            for name in map(ACTIONS.__getitem__, options.actions)
        }
        names = ", ".join(options.actions)
        steps.append(Step(f"estimate ({names})", lambda seen: estimate_attributes(seen, networks)))
    return tuple(steps)
