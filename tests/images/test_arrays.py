from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deepface.errors import DataTypeError
from deepface.images.arrays import to_bgr
from tests.images.pictures import picture

BGR = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@given(BGR)
def test_bgr_uint8_is_not_copied(image: NDArray[np.uint8]) -> None:
    assert np.shares_memory(to_bgr(image), image)
    np.testing.assert_array_equal(to_bgr(image), image)


@given(BGR, st.sampled_from(["f2", "f4", "f8", ">f4"]))
def test_floats_between_0_and_1(image: NDArray[np.uint8], dtype: str) -> None:
    np.testing.assert_array_equal(to_bgr((image / 255).astype(dtype)), image)


@given(BGR, st.sampled_from(["f2", "f4", "f8", "i2", "i4", "i8", "u2", ">u2", "u4", "u8"]))
def test_numbers_between_0_and_255(image: NDArray[np.uint8], dtype: str) -> None:
    image[0, 0] = 255  # or floats of a black picture would be taken as [0, 1]
    np.testing.assert_array_equal(to_bgr(image.astype(dtype)), image)


@given(hnp.arrays(np.uint16, (5, 4, 3)))
def test_16_bits_keep_their_upper_8(image: NDArray[np.uint16]) -> None:
    image[0, 0] = 0xFFFF
    np.testing.assert_array_equal(to_bgr(image), image >> 8)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_grey_is_repeated(grey: NDArray[np.uint8]) -> None:
    for given_ in (grey, grey[:, :, None]):
        result = to_bgr(given_)
        assert result.shape == (*grey.shape, 3)
        for channel in range(3):
            np.testing.assert_array_equal(result[:, :, channel], grey)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(4))))
def test_alpha_is_dropped(image: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(to_bgr(image), image[:, :, :3])


@given(
    hnp.arrays(
        st.one_of(
            hnp.boolean_dtypes(),
            hnp.integer_dtypes(endianness="?"),
            hnp.unsigned_integer_dtypes(endianness="?"),
            hnp.floating_dtypes(endianness="?"),
            hnp.complex_number_dtypes(),
            hnp.unicode_string_dtypes(),
        ),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
)
def test_any_array_gives_a_picture_or_a_clear_error(array: NDArray[Any]) -> None:
    try:
        result = to_bgr(array)
    except DataTypeError as error:
        assert str(array.dtype) in str(error) and str(array.shape) in str(error)
    else:
        assert result.dtype == np.uint8 and result.flags.c_contiguous
        assert result.shape == (*array.shape[:2], 3)


def test_bools_are_black_and_white() -> None:
    mask = np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(to_bgr(mask)[:, :, 0], [[255, 0], [0, 255]])


@pytest.mark.parametrize("view", [np.s_[:, :, ::-1], np.s_[::-1], np.s_[::2, 1::3], np.s_[:, 5:9]])
def test_views_become_contiguous(view: Any) -> None:
    image = picture()[view]
    result = to_bgr(image)
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, image)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.005, 1.005, (0, 255)),
        (-2.0, 257.0, (0, 255)),
        (0.0, 2.0, (0, 2)),
        (0.0, 0.0, (0, 0)),
        (-0.01, 1.01, (0, 255)),
        (-0.02, 1.02, (0, 1)),
        (-2.55, 257.55, (0, 255)),
    ],
)
def test_floats_slightly_out_of_range_are_clipped(
    low: float, high: float, expected: tuple[int, int]
) -> None:
    array = np.full((2, 2, 3), low)
    array[0] = high
    result = to_bgr(array)
    assert (result.min(), result.max()) == expected


def _floats(*values: float) -> NDArray[np.float64]:
    array = np.zeros((2, 2, 3))
    array.flat[: len(values)] = values
    return array


@pytest.mark.parametrize(
    ("array", "fragment"),
    [
        (_floats(np.nan), "NaN or infinity"),
        (_floats(np.inf), "NaN or infinity"),
        (_floats(1, -np.inf), "NaN or infinity"),
        (_floats(-1, 1), "from -1 to 1"),
        (_floats(-0.0101, 1), "from -0.0101 to 1"),
        (_floats(-2.56, 255), "from -2.56 to 255"),
        (_floats(0, 257.56), "from 0 to 257.56"),
        (_floats(-20, 200), "from -20 to 200"),
        (_floats(0, 300), "from 0 to 300"),
        (np.full((2, 2, 3), -1, np.int8), "0 ... 255"),
        (np.full((2, 2, 3), 256, np.int32), "0 ... 255"),
        (np.full((2, 2, 3), 256, np.uint32), "0 ... 255"),
        (np.full((2, 2, 3), None, object), "integers, floats or bools"),
        (np.full((2, 2, 3), "a"), "integers, floats or bools"),
        (np.zeros((2, 2, 3), complex), "integers, floats or bools"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.zeros((4, 0), np.uint8), "no pixels"),
        (np.zeros((4, 4, 2), np.uint8), "channels last"),
        (np.zeros((4, 4, 5), np.uint8), "channels last"),
        (np.zeros((3, 40, 50), np.uint8), "channels last"),
        (np.zeros(12, np.uint8), "channels last"),
        (np.array(7), "channels last"),
        (np.zeros((1, 4, 4, 3), np.uint8), "channels last"),
    ],
)
def test_what_is_no_picture_is_refused(array: NDArray[Any], fragment: str) -> None:
    with pytest.raises(DataTypeError, match="cannot be taken as an image") as error:
        to_bgr(array)
    assert fragment in str(error.value)
