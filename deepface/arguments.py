"""What callers pass for an option: taken for what it can only mean, or refused by its name.

Plain numbers and truth values of numpy count as those of Python. A text is no truth value:
``"False"`` would be true.
"""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any

import numpy as np

from deepface.errors import InvalidArgument, UnimplementedError


def truth(option: str, value: Any) -> bool:
    """A truth value; 0, 1 and ``None`` (false) are some, too.

    Raises:
        InvalidArgument: it is anything else.
    """
    value = _plain(value)
    if value is None or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise InvalidArgument(f"{option} must be True or False, but it is {shown(value)}")


def means_yes(text: str) -> bool:
    """Whether the text of a variable, which is often empty, switches something on."""
    return text.strip().lower() in ("1", "true", "yes", "on")


def whole(option: str, value: Any, least: int = 1) -> int:
    """A whole number.

    Raises:
        InvalidArgument: it is something else, or below ``least``.
    """
    try:
        count = operator.index(_plain(value))
    except TypeError:
        raise InvalidArgument(
            f"{option} must be a whole number, but it is {shown(value)}"
        ) from None
    if count < least:
        raise InvalidArgument(f"{option} must be at least {least}, but it is {shown(value)}")
    return count


def pair(option: str, value: Any) -> tuple[int, int]:
    """Two whole numbers of at least 1.

    Raises:
        InvalidArgument: it is something else.
    """
    items = list(value) if in_order(value) else []
    if len(items) != 2:
        raise InvalidArgument(f"{option} must be two whole numbers, but it is {shown(value)}")
    return whole(option, items[0]), whole(option, items[1])


def in_order(value: Any) -> bool:
    """Whether these are things in an order: a list, a tuple, the values of a dict, a column of a
    table, a 1-D array.
    """
    if isinstance(value, (str, bytes, bytearray, memoryview, Mapping, set, frozenset)):
        return False
    return isinstance(value, Collection) and getattr(value, "ndim", 1) == 1


def is_vector(value: Any) -> bool:
    """Whether this is a 1-D array, or a column of a table, of numbers."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return getattr(value, "ndim", 0) == 1 and kind in ("f", "i", "u")


def number(option: str, value: Any, above: float = -math.inf) -> float:
    """A number, maybe infinite; an ``int`` stays one.

    Raises:
        InvalidArgument: it is something else, not a number (NaN), or not greater than ``above``.
    """
    value = _plain(value)
    try:
        plain = float(value) if isinstance(value, Real) else math.nan
    except OverflowError:
        plain = math.nan
    if math.isnan(plain):
        raise InvalidArgument(f"{option} must be a number, but it is {shown(value)}")
    if not plain > above:
        raise InvalidArgument(f"{option} must be above {above}, but it is {shown(value)}")
    return value if isinstance(value, int) else plain


def one_of(option: str, value: Any, known: Collection[str]) -> str:
    """A name that is known.

    Raises:
        UnimplementedError: it is none of them.
    """
    if not isinstance(value, str) or value not in known:
        raise UnimplementedError(f"unknown {option} {shown(value)}; use one of {', '.join(known)}")
    return value


def shown(value: Any) -> str:
    """A value for messages, cut where it is long."""
    return reprlib.repr(value)


def _plain(value: Any) -> Any:
    """What a number or truth value of numpy is in Python."""
    if isinstance(value, (np.generic, np.ndarray)) and value.ndim == 0:
        return value.item()
    return value
