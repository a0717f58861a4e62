"""``python -m deepface.server.prepare``: downloads and builds the models that the server starts
with, so that an image of a container has them. What they are is told as to the server.
"""

from __future__ import annotations

import sys

from deepface.server.service import Service
from deepface.server.settings import Settings


def main() -> int:
    """The exit code: 1 where a model cannot be had."""
    service = Service(Settings.load())
    service.prepare()
    reason = service.waits_for
    service.close()
    if reason:
        sys.stderr.write(f"{reason}\n")
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
