"""Small episodes and datasets that every test of `data` builds on."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from vantage.data.episodes import Episode, save_episode
from vantage.data.v3.write import write_dataset

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

FPS = 20


def make_episode(
    length: int = 12,
    *,
    seed: int = 0,
    cameras: tuple[str, ...] = (),
    side: int | tuple[int, int] = 32,
    drivers: str | None = None,
    success: bool = True,
    prompt: str = "push the puck",
    truth: bool = False,
) -> Episode:
    """A random episode; `drivers` such as "PPHHP" says who drove each frame; `side`: of the pictures, or
    (height, width)."""
    draw = np.random.default_rng(seed)
    human = np.array([driver == "H" for driver in drivers]) if drivers else np.zeros(length, bool)
    length = len(human)
    height, width = (side, side) if isinstance(side, int) else side
    down, across = (np.linspace(0, 200, count).astype(np.uint8) for count in (height, width))
    scene = np.stack(np.broadcast_arrays(down[:, None], across[None], np.uint8(40 * (seed % 5))), axis=-1)
    last = np.arange(length) == length - 1
    return Episode(
        state=draw.standard_normal((length, 4)).astype(np.float32),
        environment_state=draw.standard_normal((length, 7)).astype(np.float32) if truth else None,
        action=draw.uniform(-1, 1, (length, 3)).astype(np.float32),
        policy_action=draw.uniform(-1, 1, (length, 3)).astype(np.float32),
        intervention=human,
        policy_version=np.full(length, 5, np.int64),
        success=last & success,
        done=last,
        prompt=prompt,
        images={
            camera: np.stack([np.roll(scene, 2 * t + place, axis=1) for t in range(length)])
            for place, camera in enumerate(cameras)
        },
        task="push-v3",
        seed=seed,
        info={"note": seed},
    )


@pytest.fixture(scope="session")
def episode() -> Callable[..., Episode]:
    return make_episode


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """Write episodes as a dataset: `dataset(episodes, images=False)` -> its folder; the journal stays beside
    it."""

    def write(episodes: Iterable[Episode], images: bool = False) -> Path:
        journal, root = tmp_path / "journal", tmp_path / "1-episodes"
        numbers = [save_episode(journal, number, one) and number for number, one in enumerate(episodes)]
        write_dataset(journal, numbers, root, FPS, images=images)
        return root

    return write
