"""The package's logger: standard ``logging`` under the name ``deepface``.

``DEEPFACE_LOG_LEVEL`` sets its level, as a number or a name. Without it the logger shows ``INFO``
on stdout, as published, until the program sets up logging: from then on the program's handlers and
levels count. Whatever is logged is one line: of file names, line ends and what would steer a
terminal are shown as escapes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys

_NAME = "deepface"


class _StdoutHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the ``sys.stdout`` of the moment, so that redirection and capture work."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)
        self.setFormatter(logging.Formatter("%(asctime)s - %(message)s", "%y-%m-%d %H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:  # the application logs itself: do not print twice
            return
        self.stream = sys.stdout
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """With escapes for what this stdout cannot show."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        return super().format(record).encode(encoding, "backslashreplace").decode(encoding)


def printable(text: str) -> str:
    """A text on one line, such as a file name: line ends, control characters etc. as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def is_encodable(text: str, encoding: str = "utf-8") -> bool:
    """Whether an encoding has all characters of a text; that of a file name may be no UTF-8."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _on_one_line(record: logging.LogRecord) -> bool:
    with contextlib.suppress(Exception):  # handlers tell that a message does not fit its arguments
        record.msg, record.args = printable(record.getMessage()), None
    return True


class _Own(int):
    """A level that this module has set; any other is the program's."""


def get_logger() -> logging.Logger:
    """The logger ``deepface``."""
    logger = logging.getLogger(_NAME)
    is_new = not any(isinstance(handler, _StdoutHandler) for handler in logger.handlers)
    if is_new:
        logger.addHandler(_StdoutHandler())
        logger.addFilter(_on_one_line)
    if isinstance(logger.level, _Own) or logger.level == logging.NOTSET:
        text = os.environ.get("DEEPFACE_LOG_LEVEL", "").strip()
        level = _level(text)
        if level is None:
            is_set_up = bool(logging.getLogger().handlers)
            level = logging.NOTSET if is_set_up and not text else logging.INFO
            if is_new and text:
                logger.warning("DEEPFACE_LOG_LEVEL=%r is no level; using 20 (INFO)", text)
        if level != logger.level:
            logger.setLevel(_Own(level))
    return logger


def _level(text: str) -> int | None:
    """The level that a text names, if it names one; 0 is everything."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return max(1, int(text))
    level = logging.getLevelName(text.upper())
    return max(1, level) if isinstance(level, int) else None


#: The published name: ``Logger()`` gives the one logger.
Logger = get_logger
