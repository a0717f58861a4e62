"""``find``: whose faces are these, among the pictures of a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from deepface.cli.entries import Entry
from deepface.cli.options import Command, as_list, given, options

#: Pictures per call: each call opens the folder's vectors once.
_AT_A_TIME = 256


@click.command(cls=Command)
@click.argument("inputs", nargs=-1, metavar="INPUTS... [DB_PATH]")
@click.option("--img-path", multiple=True, help="The same as INPUTS.")
@click.option("--db-path", help="The folder to look in; without it the last argument.")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Only every n-th video frame.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="A file for the results: .jsonl, .json, .csv or .parquet. [default: stdout]",
)
@click.option("--resume", is_flag=True, help="Go on with a run for --output that was cut off.")
@options(
    *("model_name", "distance_metric", "enforce_detection", "detector_backend", "align"),
    *("similarity_search", "k", "expand_percentage", "threshold", "normalization"),
    *("refresh_database", "anti_spoofing", "datastore_format", "border", "min_face_size"),
    *("batch_size", "device", "precision", "silent"),
)
def find(inputs: tuple[str, ...], **values: Any) -> None:
    """Look for the faces of INPUTS among the pictures of a folder.

    The folder's vectors are kept in a file in it and brought up to date first.
    """
    from deepface import DeepFace
    from deepface.cli.attempts import attempts
    from deepface.cli.inputs import Inputs, Picture
    from deepface.cli.run import Run
    from deepface.images.load import item_name

    named = [*inputs, *(item for text in values.pop("img_path") for item in as_list(text))]
    db_path = values.pop("db_path") or (named.pop() if len(named) > 1 else None)
    if db_path is None:
        raise click.UsageError("no folder to look in: give it with --db-path or as last argument")
    pictures = Inputs(named, values.pop("every"))
    output, resume = values.pop("output"), values.pop("resume")
    arguments = given(values, "silent")
    arguments.setdefault("enforce_detection", True if pictures.is_one_picture else "empty")
    made_by = {"command": "find", "db_path": db_path}
    made_by |= given(values, "batch_size", "device", "silent", "refresh_database")
    run = Run(output, resume, made_by, silent=bool(values["silent"]))
    done = run.skip_done()
    if done is None:
        return
    total = pictures.total() if run.shows_progress else None

    def call(some: Sequence[Picture]) -> list[Any]:
        # A video's frame goes as its pixels.
        images = [getattr(picture, "pixels", picture) for picture in some]
        found = DeepFace.find(
            images, db_path, return_type="dict", silent=not run.shows_progress, **arguments
        )
        arguments["refresh_database"] = False  # once a run
        return found

    def entries() -> Iterator[Entry]:
        for picture, result in attempts(pictures.pictures(done), call, _AT_A_TIME):
            name = item_name(picture)
            if isinstance(result, Exception):
                reason = result.__cause__ or result
                yield Entry(name, error=str(reason) or type(reason).__name__)
            else:
                yield Entry(name, {"faces": [{"matches": matches} for matches in result]})

    sys.exit(run.drive(entries(), total))
