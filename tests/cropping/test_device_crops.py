"""Crops made on a device are those that OpenCV makes, whatever the box."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepface.cropping.alignment import aligned_crop
from deepface.cropping.device_crops import aligned_crops
from deepface.types import FacialAreaRegion

PICTURES = [
    np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    for seed, shape in enumerate([(60, 80, 3), (1, 1, 3), (90, 40, 3)])
]
point = st.tuples(st.integers(-20, 100), st.integers(-20, 100))
regions = st.builds(
    FacialAreaRegion,
    x=st.integers(-50, 100),
    y=st.integers(-50, 100),
    w=st.integers(0, 70),
    h=st.integers(0, 70),
    left_eye=st.none() | point,
    right_eye=st.none() | point,
)


def assert_equal(found: list[list[FacialAreaRegion]], device: str) -> None:
    crops = aligned_crops([torch.from_numpy(image).to(device) for image in PICTURES], found)
    for image, faces, own in zip(PICTURES, found, crops, strict=True):
        for face, crop in zip(faces, own, strict=True):
            np.testing.assert_array_equal(crop.cpu().numpy(), aligned_crop(image, face))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(regions, max_size=3), min_size=3, max_size=3))
def test_any_box_and_any_eyes(found: list[list[FacialAreaRegion]]) -> None:
    assert_equal(found, "cpu")


@pytest.mark.gpu
@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(regions, max_size=3), min_size=3, max_size=3))
def test_any_box_and_any_eyes_on_a_gpu(found: list[list[FacialAreaRegion]]) -> None:
    assert_equal(found, "cuda")
