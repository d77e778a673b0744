"""The benchmark of large pictures runs, at toy size."""

import numpy as np

from benchmarks.bench_frames import STORAGES, large_windows, measure, scene


def test_the_row_of_the_benchmark() -> None:
    row = large_windows((48, 64), episodes=2, length=6, seconds=0.05)
    assert row["ratio"] == row["ours"] / row["peer"] > 0 and row["raw_ratio"] > row["direct_ratio"] > 0


def test_what_disk_it_takes_is_counted() -> None:
    found = measure((32, 48), episodes=1, length=10, seconds=0.02)
    assert found["raw MB"] * 10 * 1000 > 3 * 10 * 32 * 48 * 3 and found["raw MB"] > found["compressed MB"] > found["direct MB"] > 0
    assert all(found[f"{name} ms to make"] > 0 for name in STORAGES)


def test_scenes_are_pictures() -> None:
    picture = scene((48, 64), np.random.default_rng(0))
    assert picture.shape == (48, 64, 3) and 30 < picture.std() < 70 and np.isfinite(picture).all()
