"""``find``: whose faces are these, among the pictures of a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from deepface.cli.entries import ResultLine
from deepface.cli.options import (
    Command,
    Name,
    as_list,
    examples,
    given,
    made_by,
    null_option,
    options,
    output_file,
    written,
)

#: Of the options, those that say what is looked for; most others say how faces are embedded.
_QUERY = ("distance_metric", "threshold", "similarity_search", "k")


@click.command(
    cls=Command,
    epilog=examples(
        "find unknown.jpg people/",
        "find photos/ --db-path people/ --model-name ArcFace --output matches.csv",
    ),
)
@click.argument("inputs", nargs=-1, metavar="INPUTS... [DB_PATH]")
@click.option("--img-path", multiple=True, help="The same as INPUTS.")
@click.option("--db-path", type=Name(), help="The folder to look in; without it the last argument.")
@null_option
@click.option("--every", type=click.IntRange(min=1), default=1, help="Only every n-th video frame.")
@written
@options(
    *("model_name", "distance_metric", "enforce_detection", "detector_backend", "align"),
    *("similarity_search", "k", "expand_percentage", "threshold", "normalization"),
    *("refresh_database", "anti_spoofing", "datastore_format", "border", "min_face_size"),
    *("batch_size", "workers", "device", "precision", "silent"),
)
def find(inputs: tuple[str, ...], **values: Any) -> None:
    """Look for the faces of INPUTS among the pictures of a folder.

    The folder's vectors are kept in a file in it and brought up to date first.
    """
    from deepface.cli.inputs import Inputs
    from deepface.cli.run import Run
    from deepface.pipeline import FacePipeline, GallerySearch, Query
    from deepface.pipeline.options import DEFAULT_MODEL

    named = [*inputs, *(item for text in values.pop("img_path") for item in as_list(text))]
    db_path = values.pop("db_path") or (named.pop() if len(named) > 1 else None)
    if db_path is None:
        raise click.UsageError("no folder to look in: give it with --db-path or as last argument")
    every = values.pop("every")
    pictures = Inputs(named, every, values.pop("null"))
    output, resume, silent = (values.pop(name) for name in ("output", "resume", "silent"))
    output = output_file(output)
    wanted = given(values)
    wanted.setdefault("model_name", DEFAULT_MODEL)
    wanted.setdefault("enforce_detection", True if pictures.is_one_picture else "empty")
    folder = {
        name: wanted.pop(name)
        for name in ("refresh_database", "datastore_format")
        if name in wanted
    }
    asked = {name: wanted.pop(name) for name in _QUERY if name in wanted}
    try:
        query = Query(return_type="dict", judge=True, **asked)
        pipeline = FacePipeline(**wanted)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    place = os.path.normpath(db_path)
    made = made_by("find", pipeline, wanted, db_path=place, every=every, **asked)
    with Run(output, resume, made, silent=bool(silent)) as run:
        left = run.left(pictures.pictures(run.done()))
        search = GallerySearch(pipeline, db_path, query, silent=not run.shows_progress, **folder)
        total = pictures.total() if run.shows_progress else None
        stream = search.stream(left, on_error="yield")
        sys.exit(run.drive(_entries(stream), total))


def _entries(stream: Iterator[Any]) -> Iterator[ResultLine]:
    for found in stream:
        if found.error is not None:
            yield ResultLine.of_error(found.source, found.error)
            continue
        time = {} if found.seconds is None else {"seconds": found.seconds}
        yield ResultLine(found.source, {**time, "faces": [{"matches": m} for m in found.matches]})
