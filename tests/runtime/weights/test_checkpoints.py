from __future__ import annotations

import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from deepface.errors import WeightsError
from deepface.runtime.weights.checkpoints import load_into, load_state_dict
from tests.data import weight


def network() -> nn.Module:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4)))


def saved(tmp_path: Path, content: Any, **kwargs: Any) -> Path:
    path = tmp_path / "net.pth"
    torch.save(content, path, **kwargs)
    return path


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapped", [False, True])
def test_forms_of_a_checkpoint(
    tmp_path: Path, new_format: bool, prefix: str, wrapped: bool
) -> None:
    net = network()
    state: Any = {prefix + name: value for name, value in net.state_dict().items()}
    content = {"state_dict": state, "epoch": 3} if wrapped else state
    path = saved(tmp_path, content, _use_new_zipfile_serialization=new_format)
    read = load_state_dict(path)
    assert list(read) == list(net.state_dict())
    assert all(torch.equal(read[name], value) for name, value in net.state_dict().items())


def test_prefix_stays_when_only_some_names_have_it(tmp_path: Path) -> None:
    path = saved(tmp_path, {"module.a": torch.zeros(1), "b": torch.zeros(1)})
    assert list(load_state_dict(path)) == ["module.a", "b"]


def test_published_checkpoint_with_module_prefix() -> None:
    state = load_state_dict(weight("2.7_80x80_MiniFASNetV2.pth"))
    assert "conv1.conv.weight" in state and "prob.weight" in state


class Bomb:
    """Runs code when it is unpickled blindly."""

    def __reduce__(self) -> Any:
        return (shutil.copy, (__file__, "bomb-went-off"))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([torch.zeros(2)], "a list, not a state dict"),
        (torch.zeros(2), "a Tensor, not a state dict"),
        ({}, "nothing, not a state dict"),
        ({"a": torch.zeros(1), "lr": 0.1}, "'lr' is a float"),
    ],
)
def test_no_state_dict(tmp_path: Path, content: Any, found: str) -> None:
    with pytest.raises(WeightsError, match=r"loading the pre-trained weights from .*net\.pth") as e:
        load_state_dict(saved(tmp_path, content))
    assert found in str(e.value)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"shutil.copy, and code in weight files is not run"):
        load_state_dict(saved(tmp_path, {"a": Bomb()}))
    assert not Path("bomb-went-off").exists()


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_truncated_file(tmp_path: Path, new_format: bool, keep: float) -> None:
    path = saved(tmp_path, network().state_dict(), _use_new_zipfile_serialization=new_format)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(WeightsError, match="loading the pre-trained weights"):
        load_state_dict(path)


def test_web_page_instead_of_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_text("<!DOCTYPE html><html>quota exceeded</html>")
    with pytest.raises(WeightsError, match=r"net.pth \(42 bytes\)"):
        load_state_dict(path)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_loading_takes_the_tensors_over(device: str) -> None:
    source = network().state_dict()
    del source["bn.num_batches_tracked"]  # files of old PyTorch versions have no counters
    with torch.device(device):
        net = network()
    load_into(net, source, "net.pth")
    assert not any(value.is_meta for value in net.state_dict().values())
    assert all(torch.equal(net.state_dict()[name], value) for name, value in source.items())
    assert net.get_parameter("conv.weight").data_ptr() == source["conv.weight"].data_ptr()
    net.eval()(torch.zeros(1, 3, 8, 8))


def test_half_precision_files_become_float32() -> None:
    net = network()
    load_into(net, {k: v.half() for k, v in network().state_dict().items()}, "net.pth")
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_misfits_are_listed_and_change_nothing() -> None:
    net, state = network(), network().state_dict()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state["conv.weight"] = torch.zeros(4, 3, 5, 5)
    state["head.weight"] = torch.zeros(2, 2)
    del state["bn.bias"]
    with pytest.raises(WeightsError) as error:
        load_into(net, state, "net.pth")
    message = str(error.value)
    assert "net.pth" in message
    assert "1 missing: bn.bias" in message
    assert "1 unexpected: head.weight" in message
    assert "1 of another shape: conv.weight (4, 3, 5, 5) instead of (4, 3, 3, 3)" in message
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())


def test_long_lists_are_cut() -> None:
    with pytest.raises(WeightsError, match=r"9 unexpected: x0, x1, x2, x3, x4 \.\.\.$"):
        load_into(
            network(),
            {**network().state_dict(), **{f"x{i}": torch.zeros(1) for i in range(9)}},
            "net.pth",
        )


def test_ignored_names() -> None:
    net = network()
    state = {**net.state_dict(), "fc8.weight": torch.zeros(1), "fc8.bias": torch.zeros(1)}
    load_into(net, state, "net.pth", ignore=("fc8.",))
    with pytest.raises(WeightsError, match="2 unexpected"):
        load_into(net, state, "net.pth")
