"""The command ``deepface``: its sub-commands, and what becomes of errors."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

import click

from deepface import __version__
from deepface.cli.outcome import (
    BROKEN_PIPE,
    DEBUG,
    INTERRUPTED,
    LOG,
    Failure,
    debug_option,
    name_stdout,
    one_line,
)
from deepface.logger import get_logger, printable
from deepface.runtime.sigterm import sigterm_interrupts

#: Command -> the module that has it under its name, and what the list of commands says about it.
_COMMANDS = {
    "extract": ("cli.face_commands", "Find faces; cut them out into a folder."),
    "represent": ("cli.face_commands", "Turn faces into vectors."),
    "analyze": ("cli.face_commands", "Estimate age, gender, emotion and race."),
    "verify": ("cli.verify", "Decide whether two pictures show the same person."),
    "find": ("cli.find", "Look for faces among the pictures of a folder."),
    "serve": ("server.command", "Serve REST and gRPC; see docs/server.md."),
    "models": ("cli.models", "List models and their weights; download weights."),
    "bench": ("cli.bench", "Measure the throughput of this machine."),
    "doctor": ("cli.doctor", "Check the installation; say what repairs it."),
}
#: The published library calls its functions' names.
_PUBLISHED = {"extract-faces": "extract"}
#: Functions of the front door that are commands as they are, whose flags are their parameters.
FUNCTIONS = {
    "register": ("register", "Store faces in a database."),
    "search": ("search", "Look for faces among those of a database."),
    "identify": ("identify", "Compare with one record of a database."),
    "build-index": ("build_index", "Make searching a database fast."),
    "list-faces": ("list_faces", "List the faces of a database."),
    "unregister": ("unregister", "Delete faces from a database."),
    "stream": ("stream", "Show a webcam or video with its faces analysed."),
    "build-model": ("build_model", "Build a model, to see that it works."),
    "detectface": ("detectFace", "Cut out a face, as older versions did."),
}


class App(click.Group):
    """Imports a command when it is called, and turns errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """By name, with dashes or underscores."""
        name = cmd_name.replace("_", "-")
        name = _PUBLISHED.get(name, name)
        if name in _COMMANDS:
            module = importlib.import_module(f"deepface.{_COMMANDS[name][0]}")
            command: click.Command = getattr(module, name)
            return command
        if name.lower() in FUNCTIONS:
            from deepface.cli.function_commands import published_command

            door = importlib.import_module("deepface.DeepFace")  # by name: none imports another
            return published_command(cmd_name, getattr(door, FUNCTIONS[name.lower()][0]))
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The lists of commands, without importing any."""
        for title, entries in (("Commands", _COMMANDS), ("Other functions", FUNCTIONS)):
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in entries.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = printable(error.message)  # type: ignore[misc] # it may hold file names
            raise
        except (click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            # What is left in the buffer must not raise again when Python flushes it at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(BROKEN_PIPE) from None
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as error:
            if ctx.meta.get(DEBUG):
                raise
            name_stdout(error)
            raise Failure(error) from error


class StderrHandler(logging.Handler):
    """Writes above a progress bar, to the ``sys.stderr`` of the moment.

    Attributes:
        errors: how many errors were among what was written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        self.errors = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        from tqdm import tqdm

        self.errors += record.levelno >= logging.ERROR
        tqdm.write(self.format(record), file=sys.stderr)


def _log_to_stderr(ctx: click.Context) -> None:
    """The package's logger writes to stdout unless the program has set up logging itself."""
    before = get_logger().level
    handler = ctx.meta[LOG] = StderrHandler()
    root = logging.getLogger()
    root.addHandler(handler)
    if get_logger().level == logging.NOTSET:  # the root's is WARNING, for the sake of others
        get_logger().setLevel(logging.INFO)

    @ctx.call_on_close
    def put_back() -> None:
        root.removeHandler(handler)
        get_logger().setLevel(before)


@click.group("deepface", cls=App, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deepface")
@debug_option
@click.pass_context
def app(ctx: click.Context) -> None:
    """Faces in pictures: find, compare and describe them, in batches.

    INPUTS of the commands are files, folders, globs, URLs, videos, or - for a list on stdin.
    Results are a table on a terminal, JSON lines in a pipe, and what the suffix of --output says
    in a file. Options may be written with dashes or underscores.

    The other functions take their parameters: deepface register --img a.jpg --img_name Ann

    Exit codes: 0 all done, 1 something failed, 2 wrong use, 130 interrupted.
    """
    _log_to_stderr(ctx)


def _fill_standard_numbers() -> None:
    """Give no file of ours the number of a standard stream that is closed.

    Libraries in C write warnings to 1 and 2: they would be among the results.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


def main() -> None:
    """The entry point."""
    _fill_standard_numbers()
    if sys.stderr is None:  # whoever started the command closed it, and wants to hear nothing
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    try:
        with sigterm_interrupts():
            app.main(prog_name="deepface")
    except OSError as error:  # of the help, which is written before any command runs
        name_stdout(error)
        raise SystemExit(f"Error: {one_line(error)}") from None
