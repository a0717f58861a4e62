"""What goes wrong, as the status codes and bodies that callers see.

The caller's errors are 400, as published, with the published keys: ``exception`` where the request
holds no usable picture, ``error`` where the library refused, ``message`` for tokens. What the
published server gives 400 or 500 for and is not the caller's fault has a status of its own.
"""

from __future__ import annotations

import re
import uuid
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

from deepface.errors import (
    DatabaseError,
    DeepFaceError,
    DeviceNotAvailable,
    ImageTooLarge,
    MachineError,
    MissingPackageError,
    WeightsError,
)
from deepface.logger import get_logger
from deepface.server.batching import DeadlineExceeded, Overloaded, ShuttingDown

_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
#: The request was dropped because nobody waits for its answer; nginx's number.
GONE = 499


@dataclass(eq=False)
class Refused(Exception):
    """A request that ends with this status; ``key`` is the published name of its text."""

    status: int
    text: str
    key: str = "error"
    code: str = "bad_request"
    headers: dict[str, str] = field(default_factory=dict)


class PictureRefused(ValueError):
    """A picture that cannot be taken from the request: missing, no picture, or not allowed."""

    key = "exception"


class TooMuch(ValueError):
    """More items, bytes, pixels or faces than the server takes."""


#: An error, its status, and what callers are told in its place where its text has addresses and
#: paths of the server.
_KINDS: tuple[tuple[type[BaseException], int, str], ...] = (
    (Overloaded, 429, ""),
    (DeadlineExceeded, 504, ""),
    (ShuttingDown, 503, ""),
    (CancelledError, GONE, ""),
    (ImageTooLarge, 413, ""),
    (TooMuch, 413, ""),
    (DatabaseError, 503, "the database cannot be used now"),
    (WeightsError, 503, "the weights of a model cannot be used now"),
    (MachineError, 503, "the server's machine failed"),
    (DeviceNotAvailable, 503, "the server's device cannot be used now"),
    (MissingPackageError, 501, ""),
    (ValueError, 400, ""),
)


def request_id_of(given: str | None) -> str:
    """The caller's name of a request, where it is one that a log can hold, else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def refusal(error: BaseException, doing: str, request_id: str) -> Refused:
    """What an exception becomes.

    Args:
        error: what was raised.
        doing: what was being done, e.g. ``"representing"``.
        request_id: under which the log has the details of what is no ValueError.
    """
    if isinstance(error, Refused):
        return error
    chain = _chain(error)
    # A database that is down is not the caller's fault, also where it is another error's reason.
    kinds = [(status, told) for e in chain for kind, status, told in _KINDS if isinstance(e, kind)]
    statuses = [status for status, _ in kinds]
    server_faults = [status for status in statuses if status != 400]
    status = (server_faults or statuses or [500])[0]
    if status == 500:
        get_logger().error("request %s failed while %s", request_id, doing, exc_info=error)
        text = "internal error: the server's log has it under the request_id"
        return Refused(500, f"Exception while {doing}: {text}", code="internal")
    headers = {}
    private = next((told for _, told in kinds if told), "")
    if private:
        get_logger().warning("request %s failed while %s: %s", request_id, doing, text_of(error))
    if status in (429, 503):
        headers["Retry-After"] = str(getattr(error, "retry_after", 1))
    if isinstance(error, PictureRefused):
        return Refused(status, str(error), error.key, code_of(error), headers)
    stored = "".join(f". {e.stored}" for e in chain if isinstance(e, DatabaseError) and e.stored)
    told = f"{private}; the server's log says why under the request_id{stored}"
    text = f"Exception while {doing}: {told if private else text_of(error)}"
    return Refused(status, text, code=code_of(chain[-1]), headers=headers)


def _chain(error: BaseException) -> list[BaseException]:
    """An error, its reason, the reason of that, and so on; some lead in a circle."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and all(cause is not known for known in chain):
        chain.append(cause)
        cause = cause.__cause__
    return chain


def text_of(error: BaseException) -> str:
    """An error's text, with its reasons where the text does not hold them."""
    text = str(error)
    for cause in _chain(error)[1:]:
        if str(cause) not in text:
            text += f": {cause}"
    return text


def code_of(error: BaseException) -> str:
    """A word for programs: the class's name in snake case."""
    name = type(error).__name__
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("value_error", "bad_request")


def item_error(error: Exception) -> dict[str, Any]:
    """What stands in the place of one picture of many, which tells its number."""
    if isinstance(error.__cause__, DeepFaceError) and str(error).startswith("item "):
        error = error.__cause__
    return {"error": text_of(error), "code": code_of(error)}
