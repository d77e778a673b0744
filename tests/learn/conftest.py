"""Labelled episodes on disk, small enough to train on in a second."""

import numpy as np
import pytest

from vantage.data.episodes import Episode, save_episode
from vantage.data.experience import Experience, load_experience
from vantage.data.v3.write import write_dataset
from vantage.disk.layout import Source
from vantage.stages.label import label


def episode(number: int) -> Episode:
    """Twenty to thirty steps of a robot that sees its state alone; every third one fails."""
    draw = np.random.default_rng(number)
    length = 20 + number % 11
    last = np.arange(length) == length - 1
    return Episode(
        state=draw.standard_normal((length, 4)).astype(np.float32),
        environment_state=draw.standard_normal((length, 39)).astype(np.float32),
        action=draw.uniform(-1, 1, (length, 4)).astype(np.float32),
        policy_action=draw.uniform(-1, 1, (length, 4)).astype(np.float32),
        intervention=np.zeros(length, dtype=bool),
        policy_version=np.zeros(length, np.int64),
        success=last & (number % 3 != 0),
        done=last,
        prompt=("push it", "pull it")[number % 2],
        images={},
        task="toy",
        seed=number,
        info={},
    )


@pytest.fixture(scope="session")
def experience(tmp_path_factory: pytest.TempPathFactory) -> Experience:
    """Sixteen labelled episodes of two tasks, played by a policy."""
    folder = tmp_path_factory.mktemp("experience")
    for number in range(16):
        save_episode(folder / "journal", number, episode(number))
    write_dataset(folder / "journal", range(16), folder / "1-episodes", 20, images=False)
    label(folder / "1-episodes", folder / "2-labels.parquet")
    return load_experience([Source(1, folder / "1-episodes", folder / "2-labels.parquet", None)])
