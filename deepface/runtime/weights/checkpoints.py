"""PyTorch state dicts: read without running anything, loaded strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from deepface.runtime.weights.damage import damaged
from deepface.runtime.weights.pytorch_file import Inert, StoredTensor, open_pytorch

#: How many keys of each kind an error lists.
_LISTED = 5


def load_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` file by name, on the CPU.

    A dict under the key ``"state_dict"`` is unwrapped, and a prefix ``module.`` that all names
    have (left by ``DataParallel``) removed.

    Raises:
        WeightsError: the file is damaged, is no state dict, or needs code to be opened.
    """
    with open_pytorch(path) as checkpoint:
        if checkpoint.names:
            names = ", ".join(sorted(checkpoint.names)[:_LISTED])
            reason = f"it is a pickle that calls {names}, and code in weight files is not run"
            raise damaged(path, reason)
        state = checkpoint.saved
        if not isinstance(state, dict) or not state:
            raise damaged(path, f"it holds {_what(state)}, not a state dict")
        for name, value in state.items():
            if not (isinstance(name, str) and isinstance(value, StoredTensor)):
                raise damaged(path, f"it is no state dict, {name!r:.50} is {_what(value)}")
        prefix = "module." if all(name.startswith("module.") for name in state) else ""
        return {
            name.removeprefix(prefix): checkpoint.tensor(value) for name, value in state.items()
        }


def load_into(
    module: nn.Module, state: Mapping[str, Tensor], path: str | Path, ignore: Sequence[str] = ()
) -> None:
    """Make ``state`` the parameters and buffers of ``module``, all of them and nothing else.

    The tensors are taken over, not copied: a module built under ``torch.device("meta")`` costs
    neither memory nor time for numbers that are thrown away.

    Args:
        module: a network whose names are those of the state dict.
        state: its tensors; counters of batch normalisation may be missing.
        path: the file they come from, for messages.
        ignore: beginnings of names that the network does not have, e.g. ``("fc8.",)``.

    Raises:
        WeightsError: names or shapes differ; the module is unchanged then.
    """
    own = module.state_dict()
    state = {name: value for name, value in state.items() if not name.startswith(tuple(ignore))}
    needed = (name for name in own if not name.endswith("num_batches_tracked"))
    lists = {
        "missing": [name for name in needed if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": [
            f"{name} {tuple(value.shape)} instead of {tuple(own[name].shape)}"
            for name, value in state.items()
            if name in own and value.shape != own[name].shape
        ],
    }
    faults = [
        f"{len(names)} {what}: {', '.join(names[:_LISTED])}{' ...' * (len(names) > _LISTED)}"
        for what, names in lists.items()
        if names
    ]
    if faults:
        raise damaged(
            path,
            f"it does not fit {type(module).__name__} "
            f"({len(state)} tensors in the file, {len(own)} in the network); {'; '.join(faults)}",
        )
    module.load_state_dict(
        {name: value.to(own[name].dtype) for name, value in state.items()}, assign=True
    )


def _what(value: object) -> str:
    if value is None or value == {}:
        return "nothing"
    if isinstance(value, Inert):
        return f"a {value.path}"
    return f"a {type(value).__name__.removeprefix('Stored')}"
