from __future__ import annotations

import inspect

import numpy as np
import pytest

from deepface.detection.canvas import Canvas
from deepface.detection.yolo.letterbox import GREY, Letterbox
from deepface.detection.yolo.ultralytics_import import import_ultralytics

rng = np.random.default_rng(11)
SIZES = [
    (640, 640),
    (480, 640),
    (1, 900),
    (901, 1),
    (31, 33),
    (1081, 1919),
    *((int(h), int(w)) for h, w in rng.integers(20, 1200, (60, 2))),
]


@pytest.mark.parametrize("side", [640, 320, 300])
def test_it_is_that_of_ultralytics(side: int) -> None:
    import_ultralytics()
    from ultralytics.data.augment import LetterBox

    theirs = LetterBox((-(-side // 32) * 32,) * 2, auto=True, stride=32)
    for height, width in SIZES:
        image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        fit = Letterbox(height, width, side)
        drawn = np.full((*fit.rectangle, 3), GREY, np.uint8)
        fit.draw(Canvas(image), drawn)
        np.testing.assert_array_equal(drawn, theirs(image=image), err_msg=f"{height}x{width}")


def test_the_border_of_a_canvas_is_black() -> None:
    canvas = Canvas.with_border(np.full((320, 320, 3), 255, np.uint8), 0.5)
    fit = Letterbox(*canvas.shape)
    drawn = np.full((*fit.rectangle, 3), GREY, np.uint8)
    fit.draw(canvas, drawn)
    assert drawn.shape == (640, 640, 3)
    assert (drawn[160:480, 160:480] == 255).all()
    assert drawn.sum() == 320 * 320 * 3 * 255


def test_the_way_back_is_that_of_ultralytics() -> None:
    import_ultralytics()
    import torch
    from ultralytics.utils.ops import scale_boxes

    if "new_h" not in inspect.getsource(scale_boxes):
        pytest.skip("an ultralytics of 2025 takes one scale for both sides, which are rounded")
    corners = rng.uniform(-20, 700, (50, 2, 2)).astype(np.float32)
    for height, width in SIZES:
        fit = Letterbox(height, width)
        boxes = torch.from_numpy(corners.reshape(-1, 4).copy())
        theirs = np.asarray(scale_boxes(fit.rectangle, boxes, (height, width)))
        np.testing.assert_allclose(fit.undo(corners).reshape(-1, 4), theirs, rtol=1e-6, atol=1e-4)
