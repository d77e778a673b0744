import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.images import area_downsample


def test_by_hand() -> None:
    picture = np.zeros((1, 2, 2, 3), np.uint8)
    picture[0, :, :, 0] = [[0, 1], [1, 0]]  # mean 0.5, rounds up
    picture[0, :, :, 1] = [[0, 0], [1, 0]]  # mean 0.25
    picture[0, :, :, 2] = 255
    assert area_downsample(picture, 1)[0, 0, 0].tolist() == [1, 0, 255]


@given(factor=st.sampled_from([1, 2, 3, 4, 8, 16, 20]), seed=st.integers(0, 99))
def test_is_the_rounded_mean_of_every_block(factor: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (2, 3 * factor, 3 * factor, 3), dtype=np.uint8)
    blocks = images.reshape(2, 3, factor, 3, factor, 3).astype(np.int64).sum((2, 4))
    assert (area_downsample(images, 3) == (2 * blocks + factor**2) // (2 * factor**2)).all()


def test_white_stays_white_at_every_factor() -> None:
    for factor in (2, 15, 16, 30):
        assert (area_downsample(np.full((factor * 2, factor * 2, 3), 255, np.uint8), 2) == 255).all()


def test_refuses_a_side_that_does_not_divide() -> None:
    with pytest.raises(ValueError, match="96 pixels is not a multiple of 50"):
        area_downsample(np.zeros((96, 96, 3), np.uint8), 50)
