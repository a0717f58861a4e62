"""``python -m deepface.server.health``: exits with 0 if the server of this machine is ready.

For containers, which need no other program for it. The port is that of the environment.
"""

from __future__ import annotations

import http.client
import os
import sys


def main() -> int:
    """The exit code."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(os.environ.get("DEEPFACE_SERVER_PORT", "5005")), timeout=4
    )
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        sys.stdout.write(answer.read().decode())
    except OSError as error:
        sys.stdout.write(f"no answer: {error}\n")
        return 1
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
