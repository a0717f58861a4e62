"""``verify``: two pictures, or pairs on stdin."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import click

from deepface.cli.entries import ResultLine, innermost
from deepface.cli.options import (
    Command,
    Switch,
    examples,
    given,
    made_by,
    null_option,
    options,
    output_file,
    split_off,
    values_checked,
    written,
)
from deepface.cli.outcome import one_line
from deepface.errors import DataTypeError

Pair: TypeAlias = tuple[str, str]


class _NoPair(NamedTuple):
    """What stdin has instead of a pair, and what is wrong with it."""

    text: str
    reason: str


@click.command(
    cls=Command,
    epilog=examples("verify a.jpg b.jpg", "verify - --output pairs.csv < pairs.tsv"),
)
@click.argument("pictures", nargs=-1, metavar="IMG1 IMG2 | -")
@click.option("--img1-path", help="The same as IMG1.")
@click.option("--img2-path", help="The same as IMG2.")
@null_option
@written
@click.option(
    "--enforce-detection",
    type=Switch(),
    help="A picture without a face is a failure. [default: true]",
)
@options(
    *("model_name", "detector_backend", "distance_metric", "threshold", "align"),
    *("expand_percentage", "normalization", "anti_spoofing", "border", "min_face_size"),
    *("batch_size", "device", "precision", "silent"),
)
def verify(pictures: tuple[str, ...], **values: Any) -> None:
    """Decide whether two pictures show the same person.

    With - a list of pairs is read from stdin: two paths or URLs per line with a tab between them,
    or, with --null, one after the other.
    """
    from deepface.cli.attempts import attempts
    from deepface.cli.run import Run
    from deepface.pipeline import FacePipeline
    from deepface.pipeline.options import DEFAULT_MODEL
    from deepface.pipeline.verification import verify as compare
    from deepface.runtime.execution.batching import DEFAULT_BATCH_SIZE

    many = pictures == ("-",)
    pairs: Iterator[Pair | _NoPair]
    pairs = _pairs_of_stdin(values["null"]) if many else iter([_pair(pictures, values)])
    wanted = given(values, "img1_path", "img2_path", "null", "output", "resume", "silent")
    wanted.setdefault("model_name", DEFAULT_MODEL)
    query = split_off(wanted, "distance_metric", "threshold")
    with values_checked():
        pipeline = FacePipeline(**wanted)

    def call(group: Sequence[Pair | _NoPair]) -> list[Any]:
        compared = iter(())
        if both := [pair for pair in group if not isinstance(pair, _NoPair)]:
            first, second = (list(side) for side in zip(*both, strict=True))
            compared = iter(compare(pipeline, first, second, **query))
        return [
            DataTypeError(pair.reason) if isinstance(pair, _NoPair) else next(compared)
            for pair in group
        ]

    made = made_by("verify", pipeline, wanted, **query)
    output, silent = output_file(values["output"]), bool(values["silent"])
    with Run(output, values["resume"], made, silent=silent, unit="pair") as run:
        done = run.done()
        left = run.left(pair for pair in pairs if not done.take(ResultLine(_source(pair)).key))
        compared = attempts(left, call, values["batch_size"] or DEFAULT_BATCH_SIZE)
        entries = (_entry(pair, result) for pair, result in compared)
        sys.exit(run.drive(entries, None if many else 1))


def _entry(pair: Pair | _NoPair, result: Any) -> ResultLine:
    if not isinstance(result, Exception):
        return ResultLine(_source(pair), result)
    reason = innermost(result)  # those between count the pictures of a batch
    which = f"{result}: " if reason is not result else ""
    return ResultLine(_source(pair), error=which + one_line(reason))


def _pair(pictures: tuple[str, ...], values: dict[str, Any]) -> Pair:
    named = [values[name] for name in ("img1_path", "img2_path") if values[name] is not None]
    named = [*pictures, *named] if values["img1_path"] is None else [*named, *pictures]
    if len(named) != 2:
        raise click.UsageError(f"two pictures are needed, IMG1 and IMG2, but {len(named)} given")
    return named[0], named[1]


def _pairs_of_stdin(null: bool) -> Iterator[Pair | _NoPair]:
    from deepface.cli.inputs import records_of_stdin

    records = enumerate(records_of_stdin(null), 1)
    for number, record in records:
        if null:
            first, second = record, next(records, (0, ""))[1]
            reason = f"name {number} of stdin or the one after it is empty"
        elif record.strip():
            first, _, second = record.partition("\t")
            reason = f"line {number} of stdin is no pair: two names with a tab between them"
        else:
            continue
        yield (first, second) if first and second else _NoPair(record, reason)


def _source(pair: Pair | _NoPair) -> str | list[str]:
    return pair.text if isinstance(pair, _NoPair) else list(pair)
