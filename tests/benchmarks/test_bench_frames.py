"""What the benchmark of large pictures measures with, and what it measures."""

import numpy as np

from benchmarks.bench_frames import STORAGES, measure, scene


def test_what_disk_it_takes_is_counted() -> None:
    found = measure((32, 48), episodes=1, length=10, seconds=0.02)
    assert found["raw MB"] * 10 * 1000 > 3 * 10 * 32 * 48 * 3
    assert found["raw MB"] > found["compressed MB"] > found["direct MB"] > 0
    assert all(found[f"{name} ms to make"] > 0 for name in STORAGES)


def test_scenes_are_pictures() -> None:
    picture = scene((48, 64), np.random.default_rng(0))
    assert picture.shape == (48, 64, 3) and 30 < picture.std() < 70 and np.isfinite(picture).all()
