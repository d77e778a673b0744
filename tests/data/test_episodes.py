import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from vantage.data.episodes import Episode, episode_path, journalled, load_episode, save_episode
from vantage.types import VantageError


def same(a: Episode, b: Episode) -> bool:
    columns = (
        "state",
        "environment_state",
        "action",
        "policy_action",
        "intervention",
        "policy_version",
        "success",
        "done",
    )
    return (
        all(np.array_equal(getattr(a, name), getattr(b, name)) for name in columns)
        and all(np.array_equal(a.images[camera], b.images[camera]) for camera in a.images | b.images)
        and (a.prompt, a.task, a.seed, a.info, tuple(a.images))
        == (b.prompt, b.task, b.seed, b.info, tuple(b.images))
    )


def test_round_trip_is_bit_for_bit(tmp_path: Path, episode: Callable[..., Episode]) -> None:
    for number, one in enumerate(
        (episode(), episode(cameras=("wrist", "corner"), truth=True), episode(1, prompt="größer"))
    ):
        save_episode(tmp_path, number, one)
        assert same(load_episode(tmp_path, number), one)
    assert journalled(tmp_path) == {0, 1, 2}
    assert load_episode(tmp_path, 1, pixels=False).images == {}


def test_the_header_is_json_and_the_bytes_are_deterministic(
    tmp_path: Path, episode: Callable[..., Episode]
) -> None:
    first = save_episode(tmp_path, 0, episode(cameras=("a", "b"))).read_bytes()
    assert save_episode(tmp_path, 0, episode(cameras=("a", "b"))).read_bytes() == first
    with safe_open(episode_path(tmp_path, 0), framework="np") as file:
        assert json.loads(file.metadata()["vantage"])["prompt"] == "push the puck"


def test_the_trace_is_the_episode_without_pixels(episode: Callable[..., Episode]) -> None:
    trace = episode(drivers="PPHP", success=False).trace()
    assert (
        trace.intervention.tolist() == [False, False, True, False]
        and trace.outcome is False
        and not trace.demo
    )
    assert trace.policy_version.tolist() == [5] * 4 and not trace.cut.any()


def test_an_episode_without_frames_is_refused(episode: Callable[..., Episode]) -> None:
    with pytest.raises(VantageError, match="columns of one length above zero"):
        episode(0)


def test_missing_and_damaged_episodes_are_one_sentence(
    tmp_path: Path, episode: Callable[..., Episode]
) -> None:
    with pytest.raises(VantageError, match="episode 3 is not in the journal"):
        load_episode(tmp_path, 3)
    path = save_episode(tmp_path, 3, episode())
    whole = path.read_bytes()
    for damaged in (whole[:-5], whole[:50], b""):
        path.write_bytes(damaged)
        with pytest.raises(VantageError, match="not a whole episode"):
            load_episode(tmp_path, 3)


RECORDER = """
import sys
from pathlib import Path
import numpy as np
from vantage.data.episodes import Episode, save_episode
folder, first = Path(sys.argv[1]), int(sys.argv[2])
for number in range(first, 10**6, 2):
    value = np.full((60, 4), number, np.float32)
    flags = np.zeros(60, bool)
    save_episode(folder, number, Episode(
        state=value, action=value, policy_action=value,
        intervention=flags, policy_version=np.zeros(60, np.int64),
        success=flags, done=flags,
        prompt="p", seed=number, images={"wrist": np.full((60, 64, 64, 3), number % 256, np.uint8)}))
    print(number, flush=True)
"""


def test_killed_recorders_lose_only_the_episode_they_were_in(tmp_path: Path) -> None:
    """Two processes write odd and even episodes and are killed with SIGKILL at a random moment: all that was
    announced is there, whole."""
    logs = [(tmp_path / f"log{first}").open("w+") for first in (0, 1)]
    journal = tmp_path / "journal"
    children = [
        subprocess.Popen([sys.executable, "-c", RECORDER, str(journal), str(first)], stdout=logs[first])
        for first in (0, 1)
    ]
    deadline = time.monotonic() + 60
    while len(journalled(journal)) < 12 and time.monotonic() < deadline:
        time.sleep(0.01)
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    announced = {int(line) for log in logs for line in Path(log.name).read_text().split()}
    safe = journalled(journal)
    assert len(safe) >= 12 and announced <= safe and len(safe - announced) <= 2
    for number in safe:
        one = load_episode(journal, number)
        assert (
            one.seed == number and (one.state == number).all() and (one.images["wrist"] == number % 256).all()
        )
