"""The options of all commands, under the names of the functions' parameters.

An option that is not given is not passed on: defaults have one place, the functions.

The published library's form is understood as well: ``--img_path a.jpg``, ``--align=False``,
``--noalign``, ``--max_faces None``.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from deepface.cli.outcome import debug_option

F = TypeVar("F", bound=Callable[..., Any])

_YES = ("true", "yes", "on", "1")
_NO = ("false", "no", "off", "0")


class Switch(click.ParamType):  # type: ignore[type-arg] # generic from click 8.3 on
    """True or False, or a third word; given alone it is True."""

    name = "switch"

    def __init__(self, *words: str) -> None:
        self.words = words

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help shows."""
        return f"[{'|'.join(('true', 'false', *self.words))}]"

    def takes(self, text: str) -> bool:
        """Whether ``text`` is a value, and not the next argument."""
        return text.lower() in (*_YES, *_NO, *self.words)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> bool | str:
        """To a bool, or the word."""
        text = str(value).lower()
        if text in _YES:
            return True
        if text in _NO:
            return False
        if text not in self.words:
            self.fail(f"{value!r} is none of True, False{''.join(f', {w}' for w in self.words)}")
        return text


class Maybe(click.ParamType):  # type: ignore[type-arg]
    """A value, or ``None``."""

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.kind = kind
        self.name = kind.name.removesuffix(" range")

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """What the help shows: the values there are, where they can be counted."""
        return self.kind.get_metavar(param, ctx)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """``None`` is as not given."""
        return None if value == "None" else self.kind.convert(value, param, ctx)


class Words(click.ParamType):  # type: ignore[type-arg]
    """Words: ``age,gender``, or a list as Python writes it."""

    name = "words"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """To a list, which has some."""
        parts = (part.strip(" '\"") for part in value.strip("[]()").split(","))
        return [word for word in parts if word] or self.fail("there is no word in it")


class Name(click.ParamType):  # type: ignore[type-arg]
    """The name of a file or folder, as it was written: a slash at the end says that it is a folder.

    An empty one, as an unset variable of a shell gives, would name the working directory.
    """

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Not empty."""
        return str(value) if value else self.fail("the name is empty")


_TEXT, _INTEGER, _NUMBER = Maybe(click.STRING), Maybe(click.INT), Maybe(click.FLOAT)
_POSITIVE = Maybe(click.IntRange(min=1))

_OPTIONS: dict[str, tuple[click.ParamType[Any], str]] = {
    "detector_backend": (
        _TEXT,
        "The detector, or skip to take each picture as a face; see: deepface models. "
        "[default: opencv]",
    ),
    "model_name": (_TEXT, "The recognition model; see: deepface models. [default: VGG-Face]"),
    "enforce_detection": (
        Switch("empty"),
        "A picture without a face is a failure (true), counts as a face (false), or has no face "
        "(empty). [default: true for one picture, empty for many]",
    ),
    "align": (
        Switch("landmarks"),
        "Rotate each face so that its eyes are level; landmarks: cut it as the recognition "
        "model's training did. [default: true]",
    ),
    "expand_percentage": (_INTEGER, "Enlarge each box by so many percent. [default: 0]"),
    "border": (
        _NUMBER,
        "Width of the black border around a picture before detection, as a fraction of its size; "
        "0 is faster and finds small faces better. [default: 0.5]",
    ),
    "min_face_size": (_INTEGER, "Faces below so many pixels are not needed (RetinaFace)."),
    "max_faces": (_POSITIVE, "Only so many faces per picture, the largest first."),
    "anti_spoofing": (Switch(), "Judge whether each face is real. [default: false]"),
    "color_face": (Maybe(click.Choice(["rgb", "bgr", "gray"])), "gray: cut out faces in grey."),
    "actions": (
        Words(),
        "What to estimate: age, gender, emotion, race, with commas. [default: all]",
    ),
    "normalization": (
        _TEXT,
        "How pixels are scaled: base, raw, Facenet, Facenet2018, VGGFace, VGGFace2, ArcFace. "
        "[default: base]",
    ),
    "l2_normalize": (Switch(), "Scale each vector to length 1. [default: false]"),
    "minmax_normalize": (
        Switch(),
        "Scale each vector to [0, 1] by the model's known range. [default: false]",
    ),
    "distance_metric": (
        Maybe(click.Choice(["cosine", "euclidean", "euclidean_l2", "angular"])),
        "How vectors are compared. [default: cosine]",
    ),
    "threshold": (
        _NUMBER,
        "Up to which distance two faces are the same person. [default: the published one]",
    ),
    "similarity_search": (Switch(), "Give the most similar faces, also other persons'."),
    "k": (_INTEGER, "At most so many matches per face."),
    "refresh_database": (Switch(), "Look for changes in the folder first. [default: true]"),
    "datastore_format": (
        Maybe(click.Choice(["npz", "feather", "parquet"])),
        "How the folder's vectors are kept. [default: npz]",
    ),
    "batch_size": (_POSITIVE, "Most pictures per step. [default: 32; on CUDA what fits]"),
    "decode": (
        Maybe(click.Choice(["cpu", "device"])),
        "device: decode JPEG files there and leave them there; pixels differ by a few 255ths. "
        "[default: cpu]",
    ),
    "device": (_TEXT, "cpu, cuda, cuda:N or mps. [default: $DEEPFACE_DEVICE, else CUDA, else CPU]"),
    "precision": (
        Maybe(click.Choice(["fp32", "tf32", "bf16", "fp16"])),
        "Precision of the networks, detectors in PyTorch included. [default: fp32]",
    ),
    "workers": (_POSITIVE, "Threads that read pictures. [default: processors + 2]"),
    "silent": (Switch(), "No progress bar, no summary. [default: false]"),
}


class Command(click.Command):
    """A command that takes the published form of arguments, too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = {
            "token_normalize_func": lambda name: name.replace("_", "-"),
            "help_option_names": ["-h", "--help"],
        }
        super().__init__(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give switches a value, and split off none that is the next argument."""
        return super().parse_args(ctx, self._with_values(args))

    def _with_values(self, args: list[str]) -> list[str]:
        switches = {
            opt: param.type
            for param in self.params
            for opt in param.opts
            if isinstance(param.type, Switch)
        }
        rewritten: list[str] = []
        rest = list(args)
        while rest:
            token = rest.pop(0)
            if token == "--":  # noqa: S105 - no password
                return [*rewritten, token, *rest]
            name = token.replace("_", "-")
            negated = "--" + name.removeprefix("--no").removeprefix("-")
            if name in switches:
                given = bool(rest) and switches[name].takes(rest[0])
                rewritten.append(f"{name}={rest.pop(0) if given else True}")
            elif name.startswith("--no") and negated in switches:
                rewritten.append(f"{negated}=False")
            else:
                rewritten.append(token)
        return rewritten


def options(*names: str, **helps: str) -> Callable[[F], F]:
    """Options of the table, and ``--debug``; ``helps`` replaces texts of the table."""

    def decorate(function: F) -> F:
        function = debug_option(function)
        for name in reversed(names):
            kind, text = _OPTIONS[name]
            flag = f"--{name.replace('_', '-')}"
            function = click.option(flag, name, type=kind, help=helps.get(name, text))(function)
        return function

    return decorate


#: For commands that take a list on stdin.
null_option = click.option(
    "--null", "-0", is_flag=True, help="Names on stdin end with a NUL, as find -print0 writes them."
)

#: Stands for it as the name of an output.
STDOUT = "-"
_output_option = click.option(
    "--output",
    "-o",
    type=Name(),
    help="A file for the results: .jsonl, .json, .csv or .parquet. [default: -, stdout]",
)
_resume_option = click.option(
    "--resume",
    is_flag=True,
    help="Go on with a run for --output that was cut off, or add to one that is finished what is "
    "new and what failed.",
)


def written(function: F) -> F:
    """``--output`` and ``--resume``."""
    return _output_option(_resume_option(function))


_img_path_option = click.option(
    "--img-path",
    multiple=True,
    callback=lambda ctx, param, texts: [item for text in texts for item in as_list(text)],
    help="The same as INPUTS.",
)
_every_option = click.option(
    "--every", type=click.IntRange(min=1), default=1, help="Only every n-th video frame."
)


def pictures_in(function: F) -> F:
    """``--img-path``, ``--null`` and ``--every``, beside INPUTS."""
    return _img_path_option(null_option(_every_option(function)))


def output_file(name: str | None) -> Path | None:
    """The file of ``--output``; ``None`` is stdout."""
    if name and is_folder_name(name):
        raise click.UsageError(f"--output {name} names a folder: give a file")
    return None if name in (None, STDOUT) else Path(str(name))


def is_folder_name(name: str) -> bool:
    """Whether it can only be a folder's."""
    return name.endswith((os.sep, os.altsep or os.sep))


def examples(*commands: str) -> str:
    """The end of a command's help."""
    return "\n".join(["\b", "Examples:", *(f"  deepface {command}" for command in commands)])


def given(values: dict[str, Any], *without: str) -> dict[str, Any]:
    """The options that were given."""
    return {k: v for k, v in values.items() if v is not None and k not in without}


def split_off(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those of these names that are there; they are no longer in ``values``."""
    return {name: values.pop(name) for name in names if name in values}


@contextmanager
def values_checked() -> Iterator[None]:
    """What the block finds wrong with the value of an option is wrong use."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


#: Of a pipeline's options, those that change speed or what is shown, but no result.
_NO_RESULT = ("batch_size", "workers", "device", "progress", "cryptosystem")


def made_by(command: str, pipeline: Any, wanted: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What decides what results are, given or not: a run goes on only with the same.

    What a picture without a face is does not, where nobody said so: it depends on how many
    pictures there are, and that may change.
    """
    options = {field.name: getattr(pipeline, field.name) for field in fields(pipeline)}
    if "enforce_detection" not in wanted:
        del options["enforce_detection"]
    return {"command": command, **more, **{k: options[k] for k in options if k not in _NO_RESULT}}


def literal(text: str) -> Any:
    """``False`` is a bool, ``0.4`` a number, ``a.jpg`` a text."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return text


def as_list(text: str) -> list[str]:
    """What ``--img_path`` names: one picture, or a list as Python writes it."""
    if text.startswith("[") and isinstance(items := literal(text), list):
        return [str(item) for item in items]
    return [text]
