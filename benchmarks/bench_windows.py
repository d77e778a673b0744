"""Random 16-step windows with two cameras: vantage's loader over stock LeRobotDataset with
`delta_timestamps`, in one run.

Both read the same dataset on disk (24 episodes of 120 frames, two 96-px cameras). Ours serves batches of 64
through its frame store at full size, prefetching off; the peer is indexed at the same kind of random anchors.
"""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.timing import Row, rate
from vantage.core.segments import last_of_segment
from vantage.data.episodes import Episode, save_episode
from vantage.data.frames import Raw, make_frames
from vantage.data.loader import WindowLoader
from vantage.data.v3.read import read_table
from vantage.data.v3.write import write_dataset

FPS, HORIZON, BATCH = 20, 16, 64


def record(journal: Path, episodes: int, length: int) -> None:
    """Write episodes of a moving scene into a journal."""
    generator = np.random.default_rng(0)
    for number in range(episodes):
        scene = generator.integers(0, 256, (12, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        pictures = np.stack([np.roll(scene, step, axis=1) for step in range(length)])
        action = generator.standard_normal((length, 4)).astype(np.float32)

        last = np.arange(length) == length - 1
        episode = Episode(
            state=generator.standard_normal((length, 4)).astype(np.float32),
            action=action,
            policy_action=action,
            intervention=np.zeros(length, bool),
            policy_version=np.zeros(length, np.int64),
            success=last,
            done=last,
            prompt="push the puck",
            images={"corner": pictures, "wrist": pictures},
        )
        save_episode(journal, number, episode)


def chunk_windows(episodes: int = 24, length: int = 120, seconds: float = 2.0) -> Row:
    """Windows per second of processor time; the peer's are counted for twice as long."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        record(folder / "journal", episodes, length)
        write_dataset(folder / "journal", range(episodes), folder / "data", FPS)

        table = read_table(folder / "data")
        store = make_frames(folder / "data", folder / "frames", storage=Raw())
        end = last_of_segment(np.zeros(len(table), np.int64), table.episode_index)
        loader = WindowLoader.over([table], end, HORIZON, [store], table.cameras)
        stock = LeRobotDataset(
            "local/bench",
            root=folder / "data",
            delta_timestamps={"action": [step / FPS for step in range(HORIZON)]},
            video_backend="pyav",
        )

        anchors = np.random.default_rng(1)
        ours = rate(BATCH, lambda: loader.batch(anchors.integers(0, len(table), BATCH)), seconds)
        peer = rate(1, lambda: stock[int(anchors.integers(0, len(table)))], 2 * seconds)
    return Row.of_rates(ours, peer)
