"""The other functions of ``DeepFace`` as commands, as the published library has them.

``deepface register --img a.jpg --img_name Anna``: flags are parameters, values are Python literals
where they can be, and texts otherwise; what comes back is printed as JSON.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import click

from deepface.cli.app import WrongUse, debug_option


def published_command(name: str) -> click.Command | None:
    """The command for a public function; ``None`` if there is none of this name."""
    from deepface import DeepFace

    public = {known.lower(): known for known in DeepFace.__all__}
    function = getattr(DeepFace, public.get(name.replace("-", "_").lower(), ""), None)
    if not inspect.isfunction(function) or function is DeepFace.cli:
        return None

    @click.command(
        name,
        context_settings={"ignore_unknown_options": True},
        help=_help(function),
        short_help="",
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        result = call(function, arguments)
        if result is not None:
            click.echo(json.dumps(result, default=_plain))

    if "debug" in inspect.signature(function).parameters:
        return command  # which has that flag for itself
    return debug_option(command)


def _help(function: Callable[..., Any]) -> str:
    """What the function is for, and a line per parameter, as the command line takes it."""
    purpose = inspect.cleandoc(function.__doc__ or "").split("\n\n")[0]
    plain = re.sub(r":\w+:`([^`]*)`|``([^`]*)``", r"\1\2", purpose)
    lines = [
        f"  --{name}" + ("" if parameter.default is parameter.empty else f" {parameter.default!r}")
        for name, parameter in inspect.signature(function).parameters.items()
    ]
    return "\n".join([plain, "", "\b", "Parameters, with their defaults:", *lines])


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
        signature.bind(*positional, **named)
    except TypeError as error:
        raise WrongUse(f"{function.__name__}{signature}: {error}") from error
    return function(*positional, **named)


def literal(text: str) -> Any:
    """``False`` is a bool, ``0.4`` a number, ``a.jpg`` a text."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):  # a table
        return value.to_dict("records")
    return value.tolist() if hasattr(value, "tolist") else repr(value)
