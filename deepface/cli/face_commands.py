"""``extract``, ``represent`` and ``analyze``: pictures in, faces out."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deepface.cli.entries import THUMBNAIL, PictureNotWritten, ResultLine
from deepface.cli.options import (
    STDOUT,
    Command,
    Name,
    examples,
    given,
    is_folder_name,
    made_by,
    options,
    output_file,
    pictures_in,
    values_checked,
    written,
)
from deepface.images.paths import is_folder

if TYPE_CHECKING:
    from deepface.cli.run import Run
    from deepface.pipeline import StreamItem

F = TypeVar("F", bound=Callable[..., Any])

_DETECTION = (
    *("detector_backend", "enforce_detection", "align", "expand_percentage", "max_faces"),
    *("anti_spoofing", "border", "min_face_size"),
)
_MACHINE = ("batch_size", "workers", "decode", "device", "precision", "silent")
#: What a cut-out face's file is called; see :func:`deepface.cli.annotate.file_stem`.
_CROP = re.compile(r"[^/\\]+-[0-9a-f]{8}(-\d+)?-\d+\.png")


_inputs = click.argument("inputs", nargs=-1)
_annotate_option = click.option(
    "--annotate", type=Name(), help="A folder for copies of the pictures, faces marked."
)
_sheet_option = click.option(
    "--contact-sheet", type=Name(), help="A picture with all faces, small: FILE.jpg or .png."
)


def _places(function: F) -> F:
    """Where pictures come from and results go."""
    return _inputs(pictures_in(written(_annotate_option(_sheet_option(function)))))


@click.command(
    cls=Command,
    epilog=examples(
        "extract photos/ --output faces/",
        "extract clip.mp4 --every 25 --detector-backend yunet --annotate marked/",
        'extract "photos/**/*.webp" --output faces.csv --contact-sheet faces.jpg',
    ),
)
@_places
@options(*_DETECTION, "color_face", *_MACHINE)
def extract(**values: Any) -> None:
    """Find the faces of INPUTS: boxes, landmarks, confidences.

    With a folder as --output (faces/) the faces are cut out into it, as PNG files, with a list of
    them, faces.jsonl.
    """
    name = values["output"]
    folder = None
    if name not in (None, STDOUT) and _names_a_folder(name):
        folder = Path(name)
        values["output"] = str(folder / "faces.jsonl")
    color = values.pop("color_face") or "bgr"
    wanted = {"color_face": "gray" if color == "gray" else "bgr", "normalize_face": False}
    _run("extract", values, wanted, crops=folder)


def _names_a_folder(name: str) -> bool:
    if is_folder_name(name) or is_folder(name):
        return True
    return not Path(name).suffix and not os.path.lexists(name)  # as /dev/null is


@click.command(
    cls=Command,
    epilog=examples(
        "represent a.jpg --model-name ArcFace",
        "represent photos/ --model-name Facenet --output vectors.parquet",
        "represent photos/ --model-name Facenet --output vectors.parquet --resume",
    ),
)
@_places
@options(
    "model_name",
    *_DETECTION,
    *("normalization", "l2_normalize", "minmax_normalize"),
    *_MACHINE,
)
def represent(**values: Any) -> None:
    """Turn the faces of INPUTS into vectors."""
    from deepface.pipeline.options import DEFAULT_MODEL

    values["model_name"] = values["model_name"] or DEFAULT_MODEL
    _run("represent", values, {})


@click.command(
    cls=Command,
    epilog=examples("analyze photos/ --actions age,emotion --output people.csv"),
)
@_places
@options("actions", *_DETECTION, *_MACHINE)
def analyze(**values: Any) -> None:
    """Estimate age, gender, emotion and race of the faces of INPUTS."""
    from deepface.pipeline.options import ACTIONS

    values["actions"] = values["actions"] or [*ACTIONS]
    _run("analyze", values, {})


@dataclass
class _Pictures:
    """Which files with pictures are wanted, and how many of a name there are already."""

    crops: Path | None
    annotate: Path | None
    thumbnails: bool
    named: Counter[str] = field(default_factory=Counter)
    stale: set[str] = field(default_factory=set)

    def prepare(self, run: Run, done: Counter[str]) -> None:
        """Make the folders; see which faces of an earlier run have no place in this one's list."""
        for folder in (self.crops, self.annotate):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        self.named = Counter(done)
        if self.crops is not None and run.journal is not None:
            self.stale = run.journal.files_before()

    def stem(self, source: str) -> str:
        """The name for a source's files. Several can have one: URLs are named without queries."""
        from deepface.cli.annotate import file_stem

        self.named[source] += 1
        count = self.named[source]
        return file_stem(source) + (f"-{count}" if count > 1 else "")

    def write(self, item: StreamItem, crops: list[Any]) -> None:
        """Before the entry is: what has an entry has its files, too."""
        from deepface.cli.annotate import write_annotated, write_crops
        from deepface.cli.sheet import thumbnail

        stem = self.stem(item.source)
        if self.annotate is not None:
            assert item.image is not None
            write_annotated(self.annotate / f"{stem}.jpg", item.image, item.faces)
        if self.crops is not None:
            for face, name in zip(item.faces, write_crops(self.crops, stem, crops), strict=True):
                face["file"] = name
                self.stale.discard(name)
        if self.thumbnails:
            assert item.image is not None
            for face in item.faces:
                face[THUMBNAIL] = thumbnail(item.image, face.get("facial_area") or face["region"])

    def remove_stale(self) -> None:
        """Faces that an earlier run cut out into the folder, and that are no longer listed."""
        for name in self.stale:
            if self.crops is not None and _CROP.fullmatch(name):  # no other file, nor elsewhere
                (self.crops / name).unlink(missing_ok=True)


def _run(
    command: str, values: dict[str, Any], fixed: dict[str, Any], crops: Path | None = None
) -> None:
    from deepface.cli.inputs import Inputs
    from deepface.cli.run import Run
    from deepface.pipeline import FacePipeline

    named = [*values.pop("inputs"), *values.pop("img_path")]
    inputs = Inputs(named, values["every"], values.pop("null"))
    output, resume = output_file(values.pop("output")), values.pop("resume")
    annotate, sheet = (
        None if (name := values.pop(place)) is None else Path(name)
        for place in ("annotate", "contact_sheet")
    )
    wanted = given(values, "every", "silent")
    with values_checked():
        pipeline = FacePipeline(
            **{"enforce_detection": True if inputs.is_one_picture else "empty", **wanted, **fixed}
        )
    made = made_by(
        *(command, pipeline, wanted),
        every=values["every"],
        annotate=bool(annotate),
        contact_sheet=bool(sheet),
    )
    files = _Pictures(crops, annotate, sheet is not None)
    silent = bool(values["silent"])
    with Run(output, resume, made, contact_sheet=sheet, silent=silent) as run:
        done = run.done()
        files.prepare(run, done)
        total = inputs.total() if run.shows_progress else None
        stream = pipeline.stream(
            run.left(inputs.pictures(done)),
            on_error="yield",
            return_image=files.annotate is not None or files.thumbnails,
        )
        sys.exit(run.drive(_entries(stream, files), total))


def _entries(stream: Iterator[StreamItem], files: _Pictures) -> Iterator[ResultLine]:
    for item in stream:
        crops = [face.pop("face", None) for face in item.faces]
        try:
            if item.error is None:
                files.write(item, crops)
            yield ResultLine.of(item, item.faces)
        except PictureNotWritten as error:
            yield ResultLine.of_error(item.source, error)
    files.remove_stale()
