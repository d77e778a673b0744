"""Small datasets whose pictures say which frame they are."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vantage.data.episodes import Episode, save_episode
from vantage.data.fingerprints import fingerprints
from vantage.data.judgements import Journal
from vantage.data.v3.read import read_table
from vantage.data.v3.write import write_dataset

FPS = 20
LENGTHS = (24, 30, 20, 26)


def episode(number: int, length: int, cameras: tuple[str, ...]) -> Episode:
    """Frame t of episode n is grey level 20 + 40 n + 4 t, at the wrist 8 less; odd ones were corrected."""
    draw = np.random.default_rng(number)
    human = np.zeros(length, bool)
    human[8:14] = number % 2 == 1
    action = draw.uniform(-1, 1, (length, 3)).astype(np.float32)
    grey = [np.full((48, 64, 3), 20 + 40 * number + 4 * t, np.uint8) for t in range(length)]
    last = np.arange(length) == length - 1
    return Episode(
        state=draw.standard_normal((length, 4)).astype(np.float32),
        action=action,
        policy_action=action,
        intervention=human,
        policy_version=np.zeros(length, np.int64),
        success=np.zeros(length, bool),
        done=last,
        prompt="put <b>the cube</b> into the bin",
        images={camera: np.stack(grey) - np.uint8(8 * place) for place, camera in enumerate(cameras)},
    )


def level(number: int, frame: int) -> int:
    """What the first camera shows."""
    return 20 + 40 * number + 4 * frame


def record(
    root: Path,
    *,
    images: bool = False,
    cameras: tuple[str, ...] = ("front", "wrist"),
    which: Sequence[int] = range(len(LENGTHS)),
) -> Path:
    """Write a dataset of the episodes `which`, numbered anew."""
    for place, number in enumerate(which):
        save_episode(root.parent / "journal", place, episode(number, LENGTHS[number], cameras))
    write_dataset(root.parent / "journal", range(len(which)), root, FPS, images=images)
    return root


@dataclass
class Page:
    """A running `vantage outcomes`."""

    process: subprocess.Popen[str]
    address: str

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def open_journal(root: Path) -> Journal:
    """The journal of a dataset, without a page."""
    table = read_table(root, videos=False)
    contents = fingerprints(table.action, table.state, table.starts)
    return Journal(root, contents.tolist(), np.diff(table.starts).tolist(), who="ben", fps=FPS)
