"""Records that wait in a temporary file until all of a call are made.

So the transaction that stores them is short, whatever the networks take, and memory does not grow.
"""

from __future__ import annotations

import gzip
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from deepface.errors import MachineError, reason_of
from deepface.search.database.base import Record


@contextmanager
def spooled(portions: Iterable[list[Record]]) -> Iterator[Iterator[list[Record]]]:
    """The same portions, once all of them have been made.

    Raises:
        MachineError: there is no room for them.
    """
    with tempfile.TemporaryFile() as file:
        count = 0
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:
            for records in portions:
                try:
                    pickle.dump(records, packed)
                except OSError as error:
                    raise MachineError(
                        f"the faces of one call wait in {tempfile.gettempdir()}, which cannot be "
                        f"written: {reason_of(error)}. Make room, let TMPDIR name another folder, "
                        "or register fewer at a time."
                    ) from error
                count += 1
        file.seek(0)
        with gzip.GzipFile(fileobj=file) as packed:
            # What this process has just written to a file without a name.
            yield (pickle.load(packed) for _ in range(count))  # noqa: S301
