"""``extract``, ``represent`` and ``analyze``: pictures in, faces out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from deepface.cli.entries import THUMBNAIL, Entry
from deepface.cli.options import Command, as_list, examples, given, options

F = TypeVar("F", bound=Callable[..., Any])

_DETECTION = (
    *("detector_backend", "enforce_detection", "align", "expand_percentage", "max_faces"),
    *("anti_spoofing", "border", "min_face_size"),
)
_MACHINE = ("batch_size", "workers", "decode", "device", "precision", "silent")
#: Options that change speed or what is shown, but no result.
_NO_RESULT = ("batch_size", "workers", "device", "silent")


def _places(function: F) -> F:
    """Where pictures come from and results go."""
    path = click.Path(path_type=Path)
    for decorate in (
        click.option(
            "--contact-sheet", type=path, help="A picture with all faces, small: FILE.jpg or .png."
        ),
        click.option(
            "--annotate", type=path, help="A folder for copies of the pictures, faces marked."
        ),
        click.option(
            "--resume", is_flag=True, help="Go on with a run for --output that was cut off."
        ),
        click.option(
            "--output",
            "-o",
            type=path,
            help="A file for the results: .jsonl, .json, .csv or .parquet (extract: or a folder "
            "for the faces, with faces.jsonl). [default: stdout]",
        ),
        click.option(
            "--every", type=click.IntRange(min=1), default=1, help="Only every n-th video frame."
        ),
        click.option("--img-path", multiple=True, help="The same as INPUTS."),
        click.argument("inputs", nargs=-1),
    ):
        function = decorate(function)
    return function


@click.command(
    cls=Command,
    epilog=examples(
        "extract photos/ --output faces/",
        "extract clip.mp4 --every 25 --detector-backend yunet --annotate marked/",
        'extract "photos/**/*.webp" --output faces.csv --contact-sheet faces.jpg',
    ),
)
@_places
@options(*_DETECTION, "color_face", *(name for name in _MACHINE if name != "precision"))
def extract(**values: Any) -> None:
    """Find the faces of INPUTS: boxes, landmarks, confidences.

    With a folder as --output the faces are cut out into it, as PNG files.
    """
    output = values["output"]
    folder = None
    if output is not None and (output.is_dir() or not output.suffix):
        folder = output
        values["output"] = folder / "faces.jsonl"
    color = values.pop("color_face") or "bgr"
    wanted = {"color_face": "gray" if color == "gray" else "bgr", "normalize_face": False}
    _run("extract", values, wanted, crops=folder)


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
    values["model_name"] = values["model_name"] or "VGG-Face"
    _run("represent", values, {})


@click.command(
    cls=Command,
    epilog=examples("analyze photos/ --actions age,emotion --output people.csv"),
)
@_places
@options("actions", *_DETECTION, *_MACHINE)
def analyze(**values: Any) -> None:
    """Estimate age, gender, emotion and race of the faces of INPUTS."""
    values["actions"] = values["actions"] or ["emotion", "age", "gender", "race"]
    _run("analyze", values, {})


@dataclass
class _Pictures:
    """Which files with pictures are wanted, and how many of a name there are already."""

    crops: Path | None
    annotate: Path | None
    thumbnails: bool
    named: Counter[str] = field(default_factory=Counter)

    def make_folders(self, done: Counter[str]) -> None:
        for folder in (self.crops, self.annotate):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        self.named = Counter(done)

    def stem(self, source: str) -> str:
        """The name for a source's files. Several can have one: URLs are named without queries."""
        from deepface.cli.annotate import file_stem

        self.named[source] += 1
        count = self.named[source]
        return file_stem(source) + (f"-{count}" if count > 1 else "")


def _run(
    command: str, values: dict[str, Any], fixed: dict[str, Any], crops: Path | None = None
) -> None:
    from deepface.cli.inputs import Inputs
    from deepface.cli.run import Run
    from deepface.pipeline import FacePipeline

    named = [item for text in values.pop("img_path") for item in as_list(text)]
    inputs = Inputs([*values.pop("inputs"), *named], values["every"])
    places = {name: values.pop(name) for name in ("output", "resume", "annotate", "contact_sheet")}
    wanted = given(values, "every", "silent")
    wanted.setdefault("enforce_detection", True if inputs.is_one_picture else "empty")
    try:
        pipeline = FacePipeline(**wanted, **fixed)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    files = _Pictures(crops, places["annotate"], places["contact_sheet"] is not None)
    made_by = {"command": command, "every": values["every"]}
    made_by |= {**given(wanted, *_NO_RESULT), **fixed}
    made_by |= {name: True for name in ("annotate", "contact_sheet") if places[name] is not None}
    with Run(
        places["output"],
        places["resume"],
        made_by,
        contact_sheet=places["contact_sheet"],
        silent=bool(values["silent"]),
    ) as run:
        done = run.skip_done()
        if done is None:
            return
        files.make_folders(done)
        total = inputs.total() if run.shows_progress else None
        stream = pipeline.stream(
            inputs.pictures(done),
            on_error="yield",
            return_image=files.annotate is not None or files.thumbnails,
        )
        sys.exit(run.drive(_entries(stream, files), total))


def _entries(stream: Iterator[Any], files: _Pictures) -> Iterator[Entry]:
    for item in stream:
        if item.error is not None:
            yield Entry.of_error(item.source, item.error)
            continue
        crops = [face.pop("face", None) for face in item.faces]
        _write_pictures(item, crops, files)
        time = {} if item.seconds is None else {"seconds": item.seconds}
        yield Entry(item.source, {**time, "faces": item.faces})


def _write_pictures(item: Any, crops: list[Any], files: _Pictures) -> None:
    """Before the entry is: what has an entry has its files, too."""
    from deepface.cli.annotate import write_annotated, write_crops
    from deepface.cli.sheet import thumbnail

    stem = files.stem(item.source)
    if files.annotate is not None:
        write_annotated(files.annotate / f"{stem}.jpg", item.image, item.faces)
    if files.crops is not None:
        names = write_crops(files.crops, stem, crops)
        for face, name in zip(item.faces, names, strict=True):
            face["file"] = name
    if files.thumbnails:
        for face in item.faces:
            face[THUMBNAIL] = thumbnail(item.image, face.get("facial_area") or face["region"])
