"""`vantage audit` and `vantage label` of a million frames without pictures, each in a process of its own.

Start-up, reading and writing are all counted, in seconds of processor time (which a busy neighbour hardly
changes; the wall clock goes aside), and the memory at its peak. There is no peer: the aim is under 10 seconds
and 2 GB for each. The dataset: 2,000 episodes of 500 frames of a six-jointed arm, with hand-overs.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.timing import Row
from vantage.data.episodes import Episode, save_episode
from vantage.data.v3.write import write_dataset

FPS, JOINTS = 30, 6
GIGABYTE = 1e9
SECONDS, MEMORY = 10.0, 2.0
"""The aim."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one command."""

    seconds: float
    """Of processor time."""
    wall: float
    """Seconds on the clock."""
    gigabytes: float
    """Resident memory at its peak."""


def record(root: Path, episodes: int, length: int) -> Path:
    """Write the dataset and a csv of its outcomes; returns the csv."""
    generator = np.random.default_rng(0)
    last = np.arange(length) == length - 1
    for number in range(episodes):
        path = generator.standard_normal((length, JOINTS)).astype(np.float32).cumsum(0)
        handed = np.zeros(length, bool)
        if number % 3 == 0:
            handed[length // 2 : 3 * length // 4] = True
        episode = Episode(
            state=path,
            action=path + 0.1,
            policy_action=path + 0.1,
            intervention=handed,
            policy_version=np.zeros(length, np.int64),
            success=last & (number % 2 == 0),
            done=last,
            prompt="put the cube into the box",
            images={},
        )
        save_episode(root / "journal", number, episode)
    write_dataset(root / "journal", range(episodes), root / "data", FPS)

    outcomes = root / "outcomes.csv"
    lines = [f"{number},{int(number % 2 == 0)}" for number in range(episodes)]
    outcomes.write_text("\n".join(["episode_index,success", *lines]) + "\n")
    return outcomes


def cost(words: list[str]) -> Cost:
    """What one command costs. Raises RuntimeError where it fails."""
    program = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)\n"
        "if done.returncode: sys.exit(done.stderr)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss)\n"
    )
    start = time.perf_counter()
    # A process between them has no other children, so their peak is the command's.
    done = subprocess.run(
        [sys.executable, "-c", program, sys.executable, "-m", "vantage", *words],
        capture_output=True,
        text=True,
    )
    wall = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"vantage {' '.join(words)}: {done.stderr}")
    seconds, kibibytes = map(float, done.stdout.split())
    return Cost(seconds, wall, kibibytes * 1024 / GIGABYTE)


def measure(episodes: int = 2000, length: int = 500) -> dict[str, Cost]:
    """Both commands on one dataset."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        outcomes = record(root, episodes, length)
        own = [str(root / "data"), "--outcomes", str(outcomes)]
        return {
            "audit": cost(["audit", *own]),
            "label": cost(["label", *own, "--out", str(root / "labels.parquet")]),
        }


def million_frames(episodes: int = 2000, length: int = 500) -> Row:
    """The slower command's seconds beside its aim; the peak memory, as a share of its aim, goes aside."""
    found = measure(episodes, length)
    slowest = max(taken.seconds for taken in found.values())
    aside = {f"{name}_memory_of_2_GB": taken.gigabytes / MEMORY for name, taken in found.items()}
    aside |= {f"{name}_clock_of_10_s": taken.wall / SECONDS for name, taken in found.items()}
    return Row(ours=slowest, peer=SECONDS, ratio=slowest / SECONDS, aside=aside)
