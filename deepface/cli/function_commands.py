"""The other functions of ``DeepFace`` as commands, as the published library has them.

``deepface register --img a.jpg --img_name Anna``: flags are parameters, values are Python literals
where they can be, and texts otherwise; what comes back is printed as JSON.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import click

from deepface.cli.options import literal
from deepface.cli.outcome import LOG, WrongUse, debug_option, stdout

#: Parameters that are objects of Python, which no text stands for.
_OBJECTS = ("connection", "credentials", "cryptosystem")
#: What a default stands for, where it is not what it says.
_DEFAULTS = {"database_type": "postgres where DEEPFACE_POSTGRES_URI is set, else sqlite"}
#: "as for :func:`represent`" at the start of what a docstring says of a parameter.
_SEE = re.compile(r"as for :func:`(\w+)`")


class _Function(click.Command):
    """A command whose options are the parameters of ``function``."""

    function: Callable[..., Any]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What each parameter means, as the function's docstring says."""
        rows = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            if name not in _OBJECTS:
                text = explanation(self.function, name)
                if parameter.default is parameter.empty:
                    text += " [required]"
                elif parameter.default not in (None, ""):
                    text += f" [default: {_DEFAULTS.get(name, parameter.default)}]"
                rows.append((f"--{name}", text))
        with formatter.section("Parameters"):
            formatter.write_dl(rows)
        super().format_options(ctx, formatter)


def published_command(name: str, function: Callable[..., Any]) -> click.Command:
    """The command for a public function."""

    @click.command(
        name,
        cls=_Function,
        context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
        help=_plain(re.split(r"\n\n(?:Args|Returns|Raises):", inspect.getdoc(function) or "")[0])
        + "\n\nValues are as Python writes them, False, 0.4 or ['a.jpg', 'b.jpg'], and texts "
        "otherwise. The result is printed as JSON.",
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[--PARAMETER VALUE]...")
    @click.pass_context
    def command(ctx: click.Context, arguments: tuple[str, ...]) -> None:
        gives_something = inspect.signature(function).return_annotation not in ("None", None)
        out = stdout() if gives_something else None
        result = call(function, arguments)
        if result is not None:
            click.echo(json.dumps(result, default=_as_json), out)
        if ctx.meta[LOG].errors:  # as published, some failures are only logged
            ctx.exit(1)

    assert isinstance(command, _Function)
    command.function = function
    if "debug" in inspect.signature(function).parameters:
        return command  # which has that flag for itself
    return debug_option(command)


def explanation(function: Callable[..., Any], name: str) -> str:
    """What a function's docstring says of a parameter, with what it refers to put in."""
    docstring = inspect.getdoc(function) or ""
    said = re.search(rf"^    {name}: (.+(?:\n {{8}}.+)*)", docstring, re.MULTILINE)
    text = " ".join(said[1].split()) if said else ""
    if see := _SEE.match(text):
        other = explanation(function.__globals__[see[1]], name)
        text = other.removesuffix(".") + text[see.end() :]
    return _plain(text)


def _plain(text: str) -> str:
    """A docstring's text without its markup."""
    return re.sub(r":\w+:`([^`]*)`|``([^`]*)``", r"\1\2", text)


def call(function: Callable[..., Any], arguments: Sequence[str]) -> Any:
    """Call a function with arguments as they stand on a command line."""
    signature = inspect.signature(function)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        token = rest.pop(0)
        if not token.startswith("--"):
            positional.append(literal(token))
            continue
        flag, equals, value = token[2:].partition("=")
        flag = flag.replace("-", "_")
        if equals:
            named[flag] = literal(value)
        elif rest and not rest[0].startswith("--"):
            named[flag] = literal(rest.pop(0))
        elif flag.startswith("no") and flag not in signature.parameters:
            named[flag[2:]] = False
        else:
            named[flag] = True
    try:
        bound = signature.bind(*positional, **named)
    except TypeError as error:
        raise WrongUse(f"{function.__name__}{signature}: {error}") from error
    for name, value in bound.arguments.items():
        is_flag = isinstance(signature.parameters[name].default, bool)
        if is_flag and value in ("true", "false"):  # as the other commands have it
            bound.arguments[name] = value == "true"
    return function(*bound.args, **bound.kwargs)


def _as_json(value: Any) -> Any:
    if hasattr(value, "to_dict"):  # a table
        return value.to_dict("records")
    return value.tolist() if hasattr(value, "tolist") else repr(value)
