"""Small YOLO checkpoints with random weights, for machines without the published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepface.detection.ultralytics_import import import_ultralytics

#: Longest side of their inputs.
SIZE = 256

#: Each generation; with and without key points, with one and several classes.
KINDS = {
    "yolov8n": ("yolov8n-pose.yaml", 1, 5),
    "yolov11n": ("yolo11n.yaml", 1, 0),
    "yolov12n": ("yolo12n.yaml", 3, 0),
}


def write_random(path: Path, kind: str) -> Path:
    """A checkpoint as ultralytics writes it.

    Its network takes a fair share of the anchors of any picture for things of various sizes.
    """
    yaml, classes, points = KINDS[kind]
    network = _network(yaml, classes, points)
    head = network.model[-1]
    for boxes, scores in zip(head.cv2, head.cv3, strict=True):
        nn.init.normal_(boxes[-1].weight, std=0.3)
        nn.init.normal_(scores[-1].weight, std=0.2)
    save(path, network.half(), "pose" if points else "detect")
    return path


def save(path: Path, network: object, task: str = "detect") -> Path:
    """Save ``network`` within what else a checkpoint holds."""
    settings = {"imgsz": SIZE, "task": task}
    torch.save({"model": network, "ema": None, "train_args": settings, "epoch": -1}, path)
    return path


@torch.no_grad()
def _network(yaml: str, classes: int, points: int) -> Any:
    """A random network whose batch norms have the statistics of some input."""
    import_ultralytics()
    from ultralytics.nn import tasks

    torch.manual_seed(7)
    network = (
        tasks.PoseModel(yaml, nc=classes, data_kpt_shape=(points, 3), verbose=False)
        if points
        else tasks.DetectionModel(yaml, nc=classes, verbose=False)
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    network.train()
    network(torch.rand(4, 3, 96, 96))
    return network.eval()
