import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.images import area_downsample, divides


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
    with pytest.raises(ValueError, match="96 x 96 pixels do not shrink to 50 x 50 by whole factors"):
        area_downsample(np.zeros((96, 96, 3), np.uint8), 50)


@given(down=st.integers(1, 6), across=st.integers(1, 6), seed=st.integers(0, 99))
def test_height_and_width_shrink_by_factors_of_their_own(down: int, across: int, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (2, 3 * down, 4 * across, 3), dtype=np.uint8)
    blocks = images.reshape(2, 3, down, 4, across, 3).astype(np.int64).sum((2, 4))
    area = down * across
    assert (area_downsample(images, (3, 4)) == (2 * blocks + area) // (2 * area)).all()


def test_refuses_to_enlarge_and_to_distort() -> None:
    assert (
        divides((480, 640), (240, 160))
        and not divides((480, 640), (512, 512))
        and not divides((480, 640), (240, 300))
    )
    with pytest.raises(ValueError, match="640 x 480 pixels do not shrink to 300 x 240"):
        area_downsample(np.zeros((480, 640, 3), np.uint8), (240, 300))
