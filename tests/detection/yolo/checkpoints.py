"""Small YOLO checkpoints with random weights, for machines without the published ones."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from deepface.detection.yolo.network import YoloNetwork
from deepface.detection.yolo.ultralytics_import import import_ultralytics
from deepface.types import Image
from tests.data import package_pictures, read

#: Longest side of their inputs.
SIZE = 256

#: Each generation; with and without key points, with one and several classes.
KINDS = {
    "yolov8n": ("yolov8n-pose.yaml", 1, 5),
    "yolov11n": ("yolo11n.yaml", 1, 0),
    "yolov12n": ("yolo12n.yaml", 3, 0),
}


def write_random(path: Path, kind: str) -> Path:
    """A checkpoint as ultralytics writes it, which finds dozens of things in any picture."""
    network = _network(*KINDS[kind])
    save(path, network.half(), "pose" if KINDS[kind][2] else "detect")
    return path


def save(path: Path, network: object, task: str = "detect") -> Path:
    """Save ``network`` within what else a checkpoint holds."""
    settings = {"imgsz": SIZE, "task": task}
    torch.save({"model": network, "ema": None, "train_args": settings, "epoch": -1}, path)
    return path


@torch.no_grad()
def _network(yaml: str, classes: int, points: int) -> Any:
    import_ultralytics()
    tasks: Any = importlib.import_module("ultralytics.nn.tasks")
    torch.manual_seed(7)
    network = (
        tasks.PoseModel(yaml, nc=classes, data_kpt_shape=(points, 3), verbose=False)
        if points
        else tasks.DetectionModel(yaml, nc=classes, verbose=False)
    )
    _calibrate(network)
    return network


def pictures() -> list[Image]:
    """One scene in many sizes, smaller and larger than the inputs of any network; one black."""
    scene = read(package_pictures()[1])
    shapes = [(1280, 720), (640, 640), (300, 200), (97, 97), (90, 333), (301, 400), (200, 300)]
    resized = [cv2.resize(scene, (width, height)) for height, width in shapes]
    return [scene, *resized, np.zeros((120, 160, 3), np.uint8)]  # type: ignore[list-item]


def _calibrate(network: Any) -> None:
    """Give batch norms the statistics of the scene, and scores and sizes a wide spread."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    scene = [cv2.resize(picture, (SIZE, 160)) for picture in pictures()[:3]]
    inputs = torch.from_numpy(np.stack(scene)).permute(0, 3, 1, 2).flip(1) / 255
    network.train()
    network(inputs)
    sides, logits, _ = YoloNetwork(network.eval())(inputs)
    head = network.model[-1]
    # Two anchors of a hundred get more than 0.5, and none comes near 1, where scores are equal.
    best = logits.flatten().quantile(0.98)
    for boxes, scores in zip(head.cv2, head.cv3, strict=True):
        boxes[-1].weight /= sides.std()
        scores[-1].weight *= 0.1 / logits.std()
        scores[-1].bias.copy_((scores[-1].bias - best) * 0.1 / logits.std())
