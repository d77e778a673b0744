"""Random 16-step windows with two cameras: vantage's loader over stock LeRobotDataset with
`delta_timestamps`, in one run.

Both read the same dataset on disk (24 episodes of 120 frames, two 96-px cameras). Ours serves batches of 64
through its frame store at full size, prefetching off; the peer is indexed at the same kind of random anchors.
Units: samples per second.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vantage.core.segments import last_of_segment
from vantage.data.episodes import Episode, save_episode
from vantage.data.frames import Raw, make_frames
from vantage.data.loader import WindowLoader
from vantage.data.v3.read import read_table
from vantage.data.v3.write import write_dataset

FPS, SIDE, HORIZON, BATCH = 20, 96, 16, 64


def record(journal: Path, episodes: int = 24, length: int = 120) -> None:
    generator = np.random.default_rng(0)
    for number in range(episodes):
        scene = generator.integers(0, 256, (12, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        action = generator.standard_normal((length, 4)).astype(np.float32)
        last = np.arange(length) == length - 1
        save_episode(
            journal,
            number,
            Episode(
                state=generator.standard_normal((length, 4)).astype(np.float32),
                action=action,
                policy_action=action,
                intervention=np.zeros(length, bool),
                policy_version=np.zeros(length, np.int64),
                success=last,
                done=last,
                prompt="push the puck",
                images={camera: np.stack([np.roll(scene, t, axis=1) for t in range(length)]) for camera in ("corner", "wrist")},
            ),
        )


def rate(samples: int, work: Callable[[], object], seconds: float = 2.0) -> float:
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        work()
        done += samples
    return done / spent


def chunk_windows() -> dict[str, float]:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        record(folder / "journal")
        write_dataset(folder / "journal", range(24), folder / "data", FPS)
        table = read_table(folder / "data")
        store = make_frames(folder / "data", folder / "frames", storage=Raw())
        end = last_of_segment(np.zeros(len(table), np.int64), table.episode_index)
        loader = WindowLoader.over([table], end, HORIZON, [store], table.cameras)
        stock = LeRobotDataset(
            "local/bench",
            root=folder / "data",
            delta_timestamps={"action": [i / FPS for i in range(HORIZON)]},
            video_backend="pyav",
        )
        anchors = np.random.default_rng(1)
        ours = rate(BATCH, lambda: loader.batch(anchors.integers(0, len(table), BATCH)))
        peer = rate(1, lambda: stock[int(anchors.integers(0, len(table)))], 4.0)
    return {"ours": ours, "peer": peer, "ratio": ours / peer}


if __name__ == "__main__":
    result = chunk_windows()
    print(f"bench chunk_windows ours={result['ours']:.0f} peer={result['peer']:.0f} ratio={result['ratio']:.1f}")
