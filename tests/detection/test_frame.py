from __future__ import annotations

import pytest
import torch
from torch import nn

from deepface.detection.frame import Frame

#: Stride 8, odd and even kernels, biases: black is not zero inside, and edges are felt.
REACH = 24


@pytest.fixture(scope="module")
def layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 7, 2, padding=3),
        nn.MaxPool2d(3, 2, padding=1),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Sigmoid(),
        nn.Conv2d(6, 5, 3, 2, padding=1),
    )


@pytest.mark.parametrize(
    ("shape", "rows", "columns", "is_whole"),
    [
        ((400, 520), (180, 220), (200, 330), False),
        ((401, 523), (180, 220), (200, 330), False),
        ((407, 519), (1, 9), (500, 519), False),
        ((405, 333), (0, 405), (100, 130), False),
        ((70, 900), (20, 40), (400, 440), False),  # too low for two edges and a middle
        ((300, 400), (0, 300), (0, 400), True),
        ((300, 400), (10, 290), (10, 390), True),  # a border too thin to pay
        ((5, 7), (0, 5), (0, 7), True),
    ],
)
def test_the_map_is_that_of_the_whole_input(
    layers: nn.Module,
    shape: tuple[int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
    is_whole: bool,
) -> None:
    x = torch.zeros(2, 3, *shape)
    x[:, :, slice(*rows), slice(*columns)] = torch.rand(
        2, 3, rows[1] - rows[0], columns[1] - columns[0]
    )
    frame = Frame.around(shape, rows, columns, REACH, 8)
    part = x[:, :, frame.rows, frame.columns]
    assert (part.shape == x.shape) == is_whole
    with torch.inference_mode():
        torch.testing.assert_close(
            frame.complete(layers, part), layers(x), rtol=0, atol=1e-6, check_stride=False
        )


def test_most_of_a_published_border_is_left_out() -> None:
    frame = Frame.around((1024, 1820), (256, 768), (455, 1365), 48, 8)
    height, width = (part.stop - part.start for part in (frame.rows, frame.columns))
    assert height * width < 0.45 * 1024 * 1820
