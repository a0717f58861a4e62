"""Fill a network from whichever of its weight files is on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from deepface.runtime.weights.checkpoints import load_into, load_state_dict
from deepface.runtime.weights.keras_h5 import read_state_dict
from deepface.runtime.weights.store import first_available
from deepface.runtime.weights.table import WeightFile


def load_weights(
    module: nn.Module,
    files: Sequence[WeightFile],
    keras_order: Sequence[str | None],
    flatten: Mapping[str, tuple[int, int, int]] | None = None,
    ignore: Sequence[str] = (),
) -> Path:
    """Load the first of ``files`` that is on disk; the first is downloaded when none is.

    Args:
        module: the network.
        files: alternatives, ``.pth`` or Keras ``.h5``, the preferred one first.
        keras_order: see :func:`deepface.runtime.weights.keras_h5.read_state_dict`.
        flatten: likewise.
        ignore: see :func:`deepface.runtime.weights.checkpoints.load_into`.

    Returns:
        The file that was taken.

    Raises:
        WeightsError: none can be had, or the file does not fit the network.
    """
    path = first_available(files)
    if path.suffix == ".h5":
        state = read_state_dict(module, path, keras_order, flatten)
    else:
        state = load_state_dict(path)
    load_into(module, state, path, ignore)
    return path
