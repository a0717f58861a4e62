"""How commands end: errors in one line, exit codes, and the option that shows more."""

from __future__ import annotations

import errno
import sys
from typing import TextIO

import click

from deepface.errors import (
    DataTypeError,
    InvalidArgument,
    PathNotFound,
    UnimplementedError,
    reason_of,
)
from deepface.logger import printable

#: Ctrl-C, and a reader (``| head``) that has seen enough: as other programs, 128 + the signal.
INTERRUPTED, BROKEN_PIPE = 130, 141
#: What a command's context has under these names: whether tracebacks are shown, and the
#: :class:`deepface.cli.app.StderrHandler`.
DEBUG, LOG = "deepface.debug", "deepface.log"
#: What the system says where nothing more can be written.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: Errors for which the command line is to blame, and not a picture or the machine.
_WRONG_USE = (UnimplementedError, InvalidArgument, PathNotFound, DataTypeError)


class WrongUse(click.ClickException):
    """As ``click.UsageError``, without the reminder of how to write the command."""

    exit_code = 2


class Failure(click.ClickException):
    """An error that ends a command: one line, and an exit code of its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__(one_line(error))
        self.exit_code = 2 if isinstance(error, _WRONG_USE) else 1  # type: ignore[misc]


def stdout() -> TextIO:
    """Where results go.

    Raises:
        WrongUse: whoever started the command closed it; results would be lost without a word.
    """
    if sys.stdout is None:
        raise WrongUse("there is no stdout to write to")
    return sys.stdout


def name_stdout(error: BaseException) -> None:
    """Give the error of a disk that is full a name: what is written elsewhere has one."""
    if isinstance(error, OSError) and error.filename is None and error.errno in _FULL:
        error.filename = "stdout"


def one_line(error: BaseException) -> str:
    """What went wrong, and the reason behind it where the message does not hold it."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    elif not isinstance(error, ValueError):
        text = f"{type(error).__name__}: {text}" if str(error) else text
    cause = error.__cause__
    if cause is not None and str(cause) and reason_of(cause) not in text:
        text += f": {cause}"
    return printable(text)


def _set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[DEBUG] = value or ctx.meta.get(DEBUG, False)


#: For the group and for each command.
debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_set_debug,
    help="Show the whole traceback of an error.",
)
