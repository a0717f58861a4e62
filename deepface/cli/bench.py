"""``bench``: how many pictures a second this machine does, with the chosen models."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from deepface.cli.entries import Row
from deepface.cli.options import Command, given, options, values_checked
from deepface.cli.outcome import stdout

#: Pictures with faces that some packages bring.
_PACKAGED = (
    ("skimage", "data/astronaut.png"),
    ("ultralytics", "assets/zidane.jpg"),
    ("ultralytics", "assets/bus.jpg"),
)
_BATCH_SIZES = (1, 8, 32)


@click.command(cls=Command)
@click.argument("inputs", nargs=-1)
@click.option(
    "--seconds", type=click.FloatRange(0.1, 3600), default=5.0, help="For each figure. [default: 5]"
)
@options(
    *("detector_backend", "model_name", "actions", "align", "border", "min_face_size"),
    *("batch_size", "workers", "decode", "device", "precision"),
    model_name="The recognition model; see: deepface models. [default: none]",
    actions="What to estimate: age, gender, emotion, race, with commas. [default: nothing]",
    batch_size="Most pictures per step. [default: 1, 8 and 32 in turn]",
)
def bench(inputs: tuple[str, ...], seconds: float, **values: Any) -> None:
    """Measure pictures a second from files to results, at batch sizes 1, 8 and 32.

    Without INPUTS it takes the pictures that come with scikit-image and ultralytics, if these are
    installed. Without --model-name and --actions it measures decoding and detection alone.
    """
    from deepface.cli.printed import print_rows
    from deepface.images.batch import open_batch
    from deepface.pipeline import FacePipeline

    out = stdout()
    pictures = default_pictures(inputs)
    sizes = _BATCH_SIZES if values["batch_size"] is None else (values["batch_size"],)
    wanted = {**given(values), "enforce_detection": "empty"}
    with values_checked():
        pipelines = {size: FacePipeline(**{**wanted, "batch_size": size}) for size in sizes}
    what = [pipelines[sizes[0]].detector_backend, *filter(None, [values["model_name"]])]
    what += values["actions"] or []

    def decode() -> None:
        for chunk in open_batch(pictures).chunks(workers=values["workers"]):
            del chunk

    rows = [_row("decoding", None, len(pictures), timed(decode, seconds))]
    for size, pipeline in pipelines.items():
        batch = pictures * -(-size // len(pictures))

        def run(pipeline: FacePipeline = pipeline, batch: list[str] = batch) -> int:
            return sum(map(len, pipeline(batch)))

        rows.append(_row(" + ".join(what), size, len(batch), timed(run, seconds)))
    print_rows(rows, out)


def _row(what: str, size: int | None, count: int, measured: tuple[float, int | None]) -> Row:
    duration, faces = measured
    return {
        "what": what,
        "batch_size": size,
        "images_per_s": round(count / duration, 2),
        "ms_per_image": round(1000 * duration / count, 2),
        "faces_per_image": None if faces is None else round(faces / count, 2),
    }


def timed(call: Callable[[], int | None], seconds: float) -> tuple[float, int | None]:
    """Median duration of a call, after one that builds the models; and what it gives."""
    result = call()
    durations: list[float] = []
    while not durations or sum(durations) < seconds:
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return sorted(durations)[len(durations) // 2], result


def default_pictures(inputs: tuple[str, ...]) -> list[str]:
    """Those of the inputs, or what a package brings where nothing is given."""
    from deepface.cli.inputs import Inputs
    from deepface.cli.journal import DoneCounts
    from deepface.runtime.packages import package_file

    if inputs:
        files = [p for p in Inputs(inputs).pictures(DoneCounts()) if isinstance(p, str)]
        if not files:
            raise click.UsageError("there is no picture in INPUTS")
        return files
    packaged = [str(path) for place in _PACKAGED if (path := package_file(*place)) is not None]
    if not packaged:
        raise click.UsageError(
            "give pictures: neither scikit-image nor ultralytics is installed, whose could be taken"
        )
    return packaged
