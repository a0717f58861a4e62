"""Made weights in place of files that are not at hand: good for timing, for nothing else.

They have the names and the layout of the published files, which the published library reads, too.
Scores of detectors are low everywhere: no faces are found, and the little work that faces cause is
missing.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest import mock

from deepface.runtime.home import weights_folder

if TYPE_CHECKING:
    from deepface.recognition.network_model import NetworkModel

_FILES = {
    "retinaface": ("retinaface.pth", "retinaface.h5"),
    "retinaface-resnet50": ("Resnet50_Final.pth",),
    "retinaface-mobilenet0.25": ("mobilenet0.25_Final.pth",),
}


def weight_files(detector: str) -> tuple[str, ...]:
    """Files that hold a detector's weights, any of which will do; none: no stand-in is made."""
    if detector.startswith("yolo"):
        return (f"{detector}-face.pt",)
    return _FILES.get(detector, ())


@contextmanager
def stand_ins(detectors: Sequence[str]) -> Iterator[set[str]]:
    """A home for the block in which no weights of RetinaFace and YOLO detectors are missing.

    It has links to all files of the weights folder, and random ones for the missing. Yields the
    names of the random ones.
    """
    present = {path.name: path for path in weights_folder().glob("*") if path.is_file()}
    with TemporaryDirectory(prefix="benchmarks-") as home:
        folder = Path(home, ".deepface", "weights")
        folder.mkdir(parents=True)
        for name, path in present.items():
            (folder / name).symlink_to(path.resolve())
        made = set()
        for detector in detectors:
            files = weight_files(detector)
            if files and not present.keys() & set(files):
                _write(detector, folder / files[0])
                made.add(files[0])
        variables = {"DEEPFACE_HOME": home}
        if os.environ.get("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS") != "1" and made:
            allowed = os.environ.get("DEEPFACE_ALLOW_UNKNOWN_WEIGHTS", "").split(",")
            variables["DEEPFACE_ALLOW_UNKNOWN_WEIGHTS"] = ",".join({*allowed, *made})
        with mock.patch.dict(os.environ, variables):
            yield made


def _write(detector: str, path: Path) -> None:
    import torch

    torch.manual_seed(0)
    content = _yolo(detector) if detector.startswith("yolo") else _retinaface(detector)
    torch.save(content, path)


def _yolo(detector: str) -> dict[str, Any]:
    """A checkpoint as ultralytics writes it; its heads begin with low scores."""
    from deepface.detection.yolo.ultralytics_import import import_ultralytics

    import_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    # ultralytics writes version 8 with a v, later ones without.
    name = detector if detector.startswith("yolov8") else detector.replace("yolov", "yolo")
    build: Any = DetectionModel
    model = build(f"{name}.yaml", nc=1, verbose=False)
    return {"model": model.half(), "train_args": {"imgsz": 640, "task": "detect"}}


def _retinaface(detector: str) -> dict[str, Any]:
    import torch

    from deepface.detection.retinaface import detector as retinaface
    from deepface.detection.retinaface import pytorch as retinaface_pytorch

    layers: torch.nn.Module
    if detector == "retinaface":
        layers, head, background = retinaface.ResNet50V2Layers(), "cls_score", [1, 1, -1, -1]
    elif detector == "retinaface-resnet50":
        layers, head, background = retinaface_pytorch.ResNet50Layers(), "ClassHead", [1, -1, 1, -1]
    else:
        layers, head, background = retinaface_pytorch.MobileNetLayers(), "ClassHead", [1, -1, 1, -1]
    for name, parameter in layers.named_parameters():
        if head in name:
            is_bias = parameter.ndim == 1
            parameter.data.copy_(5 * torch.tensor(background) if is_bias else torch.zeros(()))
    return dict(layers.state_dict())


def write_recognition(reference: Path, model: str, folder: Path, onnx: bool) -> None:
    """A recognition model's ``.pth``, ``.h5`` where h5py is, and maybe ``.onnx``: one network.

    Args:
        reference: the file ``reference_weights.py``, which knows the first two layouts.
        model: its name.
        folder: for the files.
        onnx: whether the third is written; it takes the package ``onnx``.
    """
    spec = importlib.util.spec_from_file_location("reference_weights", reference)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cls = _network_model(model)
    pth, h5, _ = (folder / file.name for file in cls.card.files[0])
    module.write_pth(model, pth)
    if importlib.util.find_spec("h5py") is not None:  # the published library reads no other
        module.write_h5(model, h5)
    if onnx:
        _write_onnx(cls, pth)


def _network_model(model: str) -> type[NetworkModel]:
    from deepface.recognition.network_model import NetworkModel
    from deepface.recognition.registry import RECOGNIZERS

    cls = RECOGNIZERS.entry(model).load()
    if not issubclass(cls, NetworkModel):
        raise SystemExit(f"--stand-ins has no weights for {model}")
    return cls


def _write_onnx(cls: type[NetworkModel], pth: Path) -> None:
    """The network with the weights of ``pth``, beside it."""
    import torch

    from deepface.runtime.execution.exported import onnx_bytes
    from deepface.runtime.weights.checkpoints import load_into, load_state_dict

    with torch.device("meta"):
        network = cls.__new__(cls).network()
    load_into(network, load_state_dict(pth), pth, cls.ignore)
    width, height = cls.input_shape
    pth.with_suffix(".onnx").write_bytes(onnx_bytes(network, (height, width, 3)))
