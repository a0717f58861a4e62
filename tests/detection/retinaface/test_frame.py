from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deepface.detection.retinaface.frame import Placement


@pytest.fixture(scope="module")
def layers() -> list[tuple[nn.Module, int, int]]:
    """With reach and stride; biases and strides: black is not zero inside, and edges are felt."""
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 4, 7, 2, padding=3), nn.MaxPool2d(3, 2, padding=1))
    return [
        (stem, 5, 4),
        (nn.Sigmoid(), 0, 1),
        (nn.Conv2d(4, 6, 3, 2, padding=1), 1, 2),
        (nn.Conv2d(6, 6, 3, padding=1), 1, 1),
        (nn.Conv2d(6, 3, 1, 2), 0, 2),
        (nn.Conv2d(3, 5, 5, padding=2), 2, 1),
    ]


@pytest.mark.parametrize(
    ("shape", "rows", "columns"),
    [
        ((400, 520), (180, 220), (200, 330)),
        ((401, 523), (180, 220), (200, 330)),
        ((407, 519), (1, 9), (500, 519)),
        ((405, 333), (0, 405), (100, 130)),
        ((419, 901), (251, 252), (448, 449)),
        ((70, 900), (20, 40), (400, 440)),  # too low for two edges and a middle
        ((300, 400), (0, 300), (0, 400)),
        ((300, 400), (10, 290), (10, 390)),  # a border too thin to pay
        ((5, 7), (0, 5), (0, 7)),
        ((5, 7), (2, 3), (3, 5)),
    ],
)
@torch.inference_mode()
def test_maps_are_those_of_the_whole_input(
    layers: list[tuple[nn.Module, int, int]],
    shape: tuple[int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> None:
    x = torch.zeros(2, 3, *shape)
    x[:, :, slice(*rows), slice(*columns)] = torch.rand(
        2, 3, rows[1] - rows[0], columns[1] - columns[0]
    )
    frame = Placement(shape, slice(*rows), slice(*columns))
    framed = frame.around(x[:, :, frame.rows, frame.columns])
    torch.testing.assert_close(framed.whole(), x)
    for layer, reach, stride in layers:
        framed, x = framed.through(layer, reach, stride), layer(x)
        torch.testing.assert_close(framed.whole(), x, rtol=0, atol=1e-6, check_stride=False)


@torch.inference_mode()
def test_layers_that_take_two_maps() -> None:
    x = torch.zeros(1, 2, 60, 80)
    x[:, :, 30:40, 20:30] = 1
    first = Placement((60, 80), slice(30, 40), slice(20, 30)).around(x[:, :, 30:40, 20:30])
    second = first.through(torch.cos)
    both = first.through(torch.add, others=(second,))
    torch.testing.assert_close(both.whole(), x + x.cos())


def test_most_of_a_published_border_is_left_out() -> None:
    shares = []

    def count(x: Tensor) -> Tensor:
        if len(x) == 2:  # not the black map
            shares.append(x.shape[2] * x.shape[3] / (1024 * 1820))
        return nn.functional.avg_pool2d(x, 4)

    frame = Placement((1024, 1820), slice(256, 768), slice(455, 1365))
    framed = frame.around(torch.zeros(2, 1, 512, 910)).through(count, reach=17, stride=4)
    framed.through(count, reach=7)
    assert shares[0] < 0.31 and shares[1] * 16 < 0.4
