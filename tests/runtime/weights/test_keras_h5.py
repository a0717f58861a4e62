from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepface.errors import WeightsError
from deepface.modeling import TASKS
from deepface.runtime.weights.checkpoints import load_into
from deepface.runtime.weights.keras_h5 import Layout, open_layers, read_state_dict
from deepface.runtime.weights.structure import check_structure
from deepface.runtime.weights.table import WEIGHT_FILES, WeightFile
from tests.goldens import networks as reference

SMALL = ["OpenFace", "DeepID", "GhostFaceNet", "Emotion", "MiniFASNetV2", "MiniFASNetV1SE"]


def load(
    module: nn.Module,
    path: Path,
    order: Sequence[str | None],
    flatten: dict[str, tuple[int, int, int]] | None = None,
) -> None:
    load_into(module, read_state_dict(module, path, order, flatten), path)


class LocallyConnected(nn.Module):
    """Weights ``(places, outputs, inputs * k * k)``, bias ``(outputs, h, w)``."""

    def __init__(self, weight: list[int], bias: list[int], patch: tuple[int, int, int]) -> None:
        super().__init__()
        self.patch = patch
        self.weight = nn.Parameter(torch.empty(weight))
        self.bias = nn.Parameter(torch.empty(bias))

    def keras_layout(self) -> Layout:
        def kernel(values: Tensor) -> Tensor:
            places, _, outputs = values.shape
            return values.reshape(places, *self.patch, outputs).permute(0, 4, 3, 1, 2).flatten(2)

        return {"kernel": ("weight", kernel), "bias": ("bias", lambda b: b.permute(2, 0, 1))}


def module_of(layer: dict[str, Any], shapes: dict[str, list[int]]) -> nn.Module:
    shape = shapes[f"{layer['pth']}.weight"]
    bias = f"{layer['pth']}.bias" in shapes
    match layer["kind"]:
        case "conv":
            groups = shape[0] if "depthwise" in layer["weights"][0][0] else 1
            inputs = shape[1] * groups
            kernel = (shape[2], shape[3])
            return nn.Conv2d(inputs, shape[0], kernel, groups=groups, bias=bias)
        case "bn":
            return nn.BatchNorm2d(shape[0])
        case "prelu":
            return nn.PReLU(shape[0])
        case "dense":
            return nn.Linear(shape[1], shape[0], bias=bias)
        case _:
            return LocallyConnected(shape, shapes[f"{layer['pth']}.bias"], tuple(layer["patch"]))


def skeleton(model: str) -> tuple[nn.Module, list[str | None], dict[str, tuple[int, int, int]]]:
    """A module tree with the network's weights (and no forward), its order and its flattenings."""
    description = reference.LAYOUTS[model]
    shapes = dict(description["state_dict"])
    root = nn.Module()
    order: list[str | None] = []
    flatten = {}
    for layer in description["layers"]:
        order.append(layer["pth"])
        if layer["pth"] is None:
            continue
        if "flatten_hwc_to_chw" in layer:
            flatten[layer["pth"]] = tuple(layer["flatten_hwc_to_chw"])
        *parents, leaf = layer["pth"].split(".")
        parent = root
        for name in parents:
            if not hasattr(parent, name):
                parent.add_module(name, nn.Module())
            parent = parent.get_submodule(name)
        parent.add_module(leaf, module_of(layer, shapes))
    assert {k: list(v.shape) for k, v in root.state_dict().items()} == shapes
    return root, order, flatten


@pytest.mark.parametrize("model", SMALL)
def test_h5_gives_the_state_dict_of_the_pth(tmp_path: Path, model: str) -> None:
    layers = reference.keras_weights(model)
    path = reference.write_h5(model, tmp_path / "net.h5", layers)
    with torch.device("meta"):
        net, order, flatten = skeleton(model)
    state = read_state_dict(net, path, order, flatten)
    wanted = reference.state_dict(model, layers)
    assert state.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(state.pop(name).numpy(), value, err_msg=name)


def network() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, 4, (3, 2)),
            bn=nn.BatchNorm2d(4),
            act=nn.PReLU(4),
            deep=nn.Conv2d(4, 8, 3, groups=4, bias=False),
            flat=nn.Flatten(),
            fc=nn.Linear(8 * 2 * 3, 5),
        )
    )


ORDER = ["conv", "bn", "act", "deep", "fc"]
FLATTEN = {"fc": (2, 3, 8)}
ARRAYS = {
    "a": {"kernel:0": (3, 2, 3, 4), "bias:0": (4,)},
    "b": {"beta:0": (4,), "moving_mean:0": (4,), "moving_variance:0": (4,)},
    "pool": {},
    "c": {"alpha:0": (1, 1, 4)},
    "d": {"depthwise_kernel:0": (3, 3, 4, 2)},
    "e": {"kernel:0": (2 * 3 * 8, 5), "bias:0": (5,)},
}


def write(path: Path, arrays: Any = ARRAYS, group: str = "/", **attributes: Any) -> Path:
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        root = file.require_group(group)
        root.attrs["layer_names"] = list(arrays)
        root.attrs.update(attributes)
        for layer, weights in arrays.items():
            part = root.create_group(layer)
            part.attrs["weight_names"] = [f"{layer}_1/{name}" for name in weights]
            for name, shape in weights.items():
                part[f"{layer}_1/{name}"] = generator.random(shape, dtype=np.float32)
    return path


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f4", "<i4", "u1"])
def test_kinds_of_numbers(tmp_path: Path, kind: str) -> None:
    """Floats of any size, in the order of bytes of ordinary machines; no others."""
    path, values = write(tmp_path / "net.h5"), np.arange(5).astype(kind)
    with h5py.File(path, "r+") as file:
        del file["e/e_1/bias:0"]
        file["e/e_1/bias:0"] = values
    if kind not in ("<f2", "<f4", "<f8"):
        with pytest.raises(WeightsError, match="floats"):
            load(network(), path, ORDER, FLATTEN)
        return
    net = network()
    load(net, path, ORDER, FLATTEN)
    assert net.get_parameter("fc.bias").tolist() == values.tolist()


@pytest.mark.parametrize("group", ["/", "model_weights"])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_layouts_root_and_saved_models(tmp_path: Path, group: str, device: str) -> None:
    path = write(tmp_path / "net.h5", group=group)
    with torch.device(device):
        net = network()
    load(net, path, ORDER, FLATTEN)
    with open_layers(path) as layers:
        arrays = [[array.read() for array in layer.weights.values()] for layer in layers]
    (conv, bias), (beta, mean, variance), (alpha,), (deep,), (dense, _) = arrays
    got = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    assert got["conv.weight"][1, 2, 0, 1] == conv[0, 1, 2, 1]
    assert (got["conv.bias"] == bias).all()
    assert (got["bn.weight"] == 1).all() and (got["bn.bias"] == beta).all()
    assert (got["bn.running_mean"] == mean).all() and (got["bn.running_var"] == variance).all()
    assert (got["act.weight"] == alpha[0, 0]).all()
    assert got["deep.weight"][2 * 3 + 1, 0, 2, 1] == deep[2, 1, 3, 1]
    # Input (c=7, h=1, w=2) of the PyTorch layer is input (h, w, c) of the Keras one.
    assert got["fc.weight"][4, 7 * 6 + 1 * 3 + 2] == dense[(1 * 3 + 2) * 8 + 7, 4]
    net.eval()(torch.zeros(1, 3, 6, 6))


def without(layer: str) -> dict[str, Any]:
    return {name: weights for name, weights in ARRAYS.items() if name != layer}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (without("c"), ["4 layers with weights", "Sequential 5", "another network"]),
        (
            {**ARRAYS, "d": {"depthwise_kernel:0": (5, 5, 4, 2)}},
            ["layer 4, 'd'", "'deep' (Conv2d)", "(5, 5, 4, 2)", "(8, 1, 3, 3)"],
        ),
        (
            {**ARRAYS, "a": {"kernel:0": (2, 3, 3, 4), "bias:0": (4,)}},
            ["layer 1, 'a'", "(2, 3, 3, 4)", "(4, 3, 3, 2)"],
        ),
        ({**ARRAYS, "a": {"kernel:0": (3, 2, 3, 4)}}, ["layer 1, 'a'", "'kernel', 'bias'"]),
        (
            {**ARRAYS, "b": {"gamma:0": (4,), "moving_mean:0": (4,), "moving_variance:0": (4,)}},
            ["layer 2, 'b'", "gamma:0", "'beta', 'moving_mean'"],
        ),
    ],
)
def test_files_of_other_networks(tmp_path: Path, arrays: Any, said: list[str]) -> None:
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(WeightsError, match=r"loading the pre-trained weights from .*net\.h5") as e:
        load(net, write(tmp_path / "net.h5", arrays), ORDER, FLATTEN)
    assert all(part in str(e.value) for part in said), str(e.value)
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())


def test_layers_that_the_network_does_not_have(tmp_path: Path) -> None:
    net = network()
    path = write(tmp_path / "net.h5", {**ARRAYS, "head": {"kernel:0": (9, 9)}})
    load(net, path, [*ORDER, None], FLATTEN)
    with pytest.raises(WeightsError, match=r"2 missing: act\.weight"):
        load(net, write(path), ["conv", "bn", None, None, "fc"], FLATTEN)


def test_unusual_names_are_matched_by_position(tmp_path: Path) -> None:
    renamed = {"a": {"a_W:0": (3, 2, 3, 4), "kernel_b_2:0": (4,)}}
    path = write(tmp_path / "net.h5", {**ARRAYS, **renamed})
    load(network(), path, ORDER, FLATTEN)


@pytest.mark.parametrize("backend", ["theano", b"cntk"])
def test_other_backends_are_refused(tmp_path: Path, backend: Any) -> None:
    path = write(tmp_path / "net.h5", backend=backend)
    with pytest.raises(WeightsError, match=r"backend '(theano|cntk)'"):
        load(network(), path, ORDER, FLATTEN)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def no_keras(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers"] = 1


def lost_array(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["a"]["a_1/bias:0"]


def group_for_array(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["a"]["a_1/bias:0"]
        file["a"].create_group("a_1/bias:0")


def bytes_of_another_file(path: Path) -> None:
    secret = path.with_name("secret")
    secret.write_bytes(bytes(16))
    with h5py.File(path, "a") as file:
        del file["a"]["a_1/bias:0"]
        file["a"].create_dataset("a_1/bias:0", (4,), "f4", external=[(str(secret), 0, 16)])


def array_of_another_file(path: Path) -> None:
    write(path.with_name("other.h5"))
    with h5py.File(path, "a") as file:
        del file["a"]["a_1/bias:0"]
        file["a"]["a_1/bias:0"] = h5py.ExternalLink("other.h5", "a/a_1/bias:0")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "damaged or no HDF5 file"),
        (lambda path: path.write_text("<html>quota</html>"), "damaged or no HDF5 file"),
        (no_keras, r"no Keras weights, but \['layers'\]"),
        (lost_array, "a_1/bias:0' is missing"),
        (group_for_array, "a_1/bias:0': a group instead of an array"),
        (bytes_of_another_file, "a_1/bias:0': an array whose numbers lie in another file"),
        (array_of_another_file, "no group, or one with links to other files"),
    ],
)
def test_damaged_and_malicious_files(
    tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    path = write(tmp_path / "net.h5")
    damage(path)
    with pytest.raises(WeightsError, match=said):
        load(network(), path, ORDER, FLATTEN)


def test_huge_array_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "net.h5")
    with h5py.File(path, "a") as file:
        del file["a"]["a_1/bias:0"]
        file["a"].create_dataset("a_1/bias:0", (1 << 40,), "f4", chunks=(1024,))  # 4 TB of nothing
    assert path.stat().st_size < 1 << 20
    with pytest.raises(WeightsError, match="bias:0': an array in chunks"):
        load(network(), path, ORDER, FLATTEN)


def test_layers_without_weights_are_skipped(tmp_path: Path) -> None:
    with open_layers(write(tmp_path / "net.h5")) as layers:
        assert [layer.name for layer in layers] == ["a", "b", "c", "d", "e"]
        assert list(layers[0].weights) == ["a_1/kernel:0", "a_1/bias:0"]


def test_the_number_of_layers_with_weights_tells_networks_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "net.h5")
    check_structure(path, WeightFile("net.h5", (), layers=5))
    for count in (1, 4, 6):
        with pytest.raises(WeightsError, match=f"5 layers with weights instead of {count}"):
            check_structure(path, WeightFile("net.h5", (), layers=count))


@pytest.mark.parametrize("model", reference.LAYOUTS)
def test_what_cards_tell_of_files_is_so_in_the_published_ones(model: str) -> None:
    cards = [card for registry in TASKS.values() for card in registry.own.values()]
    files = [file for card in cards if card.name == model for file in card.weight_files()]
    files = files or [file for file in WEIGHT_FILES.values() if model in file.name]
    [layers] = [file.layers for file in files if file.name.endswith(".h5")]
    assert layers == len(reference.LAYOUTS[model]["layers"])
    shapes = {name: tuple(shape) for name, shape in reference.LAYOUTS[model]["state_dict"]}
    for file in files:
        if file.name.endswith(".pth"):
            told = {name.removeprefix("module."): shape for name, shape in file.tensors.items()}
            assert told.items() <= shapes.items()


def test_module_of_unknown_type_is_a_mistake_of_the_network(tmp_path: Path) -> None:
    net = nn.Sequential(OrderedDict(conv=nn.ConvTranspose2d(3, 4, 3)))
    path = write(tmp_path / "net.h5", {"a": ARRAYS["a"]})
    with pytest.raises(TypeError, match="ConvTranspose2d"):
        load(net, path, ["conv"])
