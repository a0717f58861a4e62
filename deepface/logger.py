"""The package's logger: standard ``logging`` under the name ``deepface``.

``DEEPFACE_LOG_LEVEL`` sets the level, as a number or a name (default 20, ``INFO``). A handler is
added only when the application has configured none, so a program's own logging set-up wins.
"""

from __future__ import annotations

import logging
import os
import sys

_NAME = "deepface"


class _StdoutHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the ``sys.stdout`` of the moment, so that redirection and capture work."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:  # the application logs itself: do not print twice
            return
        self.stream = sys.stdout
        super().emit(record)


def _level() -> int | None:
    """The level that ``DEEPFACE_LOG_LEVEL`` names, or ``None`` when it names none."""
    text = os.environ.get("DEEPFACE_LOG_LEVEL", "").strip() or "INFO"
    level = int(text) if text.isdigit() else logging.getLevelName(text.upper())
    return level if isinstance(level, int) else None


def get_logger() -> logging.Logger:
    """The logger ``deepface``, configured once."""
    logger = logging.getLogger(_NAME)
    if not any(isinstance(handler, _StdoutHandler) for handler in logger.handlers):
        handler = _StdoutHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s - %(message)s", "%y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
        level = _level()
        logger.setLevel(logging.INFO if level is None else level)
        if level is None:
            logger.warning(
                "DEEPFACE_LOG_LEVEL=%r is no level; using 20 (INFO)",
                os.environ["DEEPFACE_LOG_LEVEL"],
            )
    return logger


#: The published name: ``Logger()`` gives the one logger.
Logger = get_logger
