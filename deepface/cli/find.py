"""``find``: whose faces are these, among the pictures of a folder."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from deepface.cli.entries import ResultLine
from deepface.cli.options import (
    Command,
    Name,
    examples,
    given,
    made_by,
    options,
    output_file,
    pictures_in,
    split_off,
    values_checked,
    written,
)

#: Of the options, those that say what is looked for and how the folder's vectors are kept; most
#: others say how faces are embedded.
_QUERY = ("distance_metric", "threshold", "similarity_search", "k")
_FOLDER = ("refresh_database", "datastore_format")


@click.command(
    cls=Command,
    epilog=examples(
        "find unknown.jpg people/",
        "find photos/ --db-path people/ --model-name ArcFace --output matches.csv",
    ),
)
@click.argument("inputs", nargs=-1, metavar="INPUTS... [DB_PATH]")
@click.option("--db-path", type=Name(), help="The folder to look in; without it the last argument.")
@pictures_in
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

    named = [*inputs, *values.pop("img_path")]
    db_path = values.pop("db_path") or (named.pop() if len(named) > 1 else None)
    if db_path is None:
        raise click.UsageError("no folder to look in: give it with --db-path or as last argument")
    every = values.pop("every")
    pictures = Inputs(named, every, values.pop("null"))
    output, resume = output_file(values.pop("output")), values.pop("resume")
    silent = bool(values.pop("silent"))
    wanted = given(values)
    wanted.setdefault("model_name", DEFAULT_MODEL)
    wanted.setdefault("enforce_detection", True if pictures.is_one_picture else "empty")
    folder, asked = split_off(wanted, *_FOLDER), split_off(wanted, *_QUERY)
    with values_checked():
        query = Query(return_type="dict", judge=True, **asked)
        pipeline = FacePipeline(**wanted)
    place = os.path.normpath(db_path)
    made = made_by("find", pipeline, wanted, db_path=place, every=every, **asked)
    with Run(output, resume, made, silent=silent) as run:
        left = run.left(pictures.pictures(run.done()))
        search = GallerySearch(pipeline, db_path, query, silent=not run.shows_progress, **folder)
        total = pictures.total() if run.shows_progress else None
        entries = (
            ResultLine.of(found, [{"matches": table} for table in found.matches])
            for found in search.stream(left, on_error="yield")
        )
        sys.exit(run.drive(entries, total))
