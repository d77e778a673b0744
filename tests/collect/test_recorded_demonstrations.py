"""Demonstrations that somebody recorded: which of them are copied, and what is refused."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
from line_world import LineSpec

from vantage.collect.observe import interface_in
from vantage.collect.operators import DemonstrateFrom
from vantage.collect.pool import play_here
from vantage.collect.recorded import check_recorded
from vantage.config import from_json, to_json
from vantage.core.images import area_downsample
from vantage.data.episodes import Episode, save_episode
from vantage.data.frames import open_frames
from vantage.data.v3.meta import read_episodes, read_info
from vantage.data.v3.pictures import read_pictures
from vantage.data.v3.read import read_table
from vantage.data.v3.write import write_dataset
from vantage.disk.layout import Round
from vantage.errors import VantageError
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.protocol import Interface
from vantage.policies.small.gaussian import GaussianConfig
from vantage.stages.collect import Demonstrations, Rollouts, collect_demonstrations


@dataclass(frozen=True, slots=True)
class OneNumber(LineSpec):
    """The line, which says what it offers."""

    state_dim: ClassVar[int] = 1
    environment_dim: ClassVar[int] = 2
    action_dim: ClassVar[int] = 1


WORLD = OneNumber(task="line", limit=24)
POLICY = GaussianConfig(
    net=NetConfig(sight=TrueState(dim=2, width=16), state_dim=1, action_dim=1, chunk=4, execute=2, width=16)
)
LENGTHS = (6, 9, 7, 8, 5)


def recorded(
    folder: Path,
    *,
    fps: int = WORLD.fps,
    failed: tuple[int, ...] = (),
    others: tuple[int, ...] = (),
    pictures: tuple[int, int] | None = None,
    dim: int = 1,
    true_state: bool = True,
) -> Path:
    """A data set of five episodes; `failed` of them did not work, `others` are of another task."""
    prompt = _prompt()
    rng = np.random.default_rng(0)
    for number, steps in enumerate(LENGTHS):
        success = np.zeros(steps, np.bool_)
        success[-1] = number not in failed
        shape = (steps, *(pictures or (1, 1)), 3)
        episode = Episode(
            state=rng.normal(size=(steps, 1)).astype(np.float32),
            environment_state=rng.normal(size=(steps, 2)).astype(np.float32) if true_state else None,
            action=rng.uniform(-1, 1, (steps, dim)).astype(np.float32),
            policy_action=np.zeros((steps, dim), np.float32),
            intervention=np.zeros(steps, np.bool_),
            policy_version=np.zeros(steps, np.int64),
            success=success,
            done=np.arange(steps) == steps - 1,
            prompt="something else" if number in others else prompt,
            images={"top": rng.integers(0, 255, shape, dtype=np.uint8)} if pictures else {},
        )
        save_episode(folder / "journal", number, episode)
    write_dataset(folder / "journal", list(range(len(LENGTHS))), folder / "data-set", fps, "line")
    return folder / "data-set"


def _prompt() -> str:
    world = WORLD()
    prompt = world.prompt
    world.close()
    return prompt


def collect(run: Path, operator: DemonstrateFrom, count: int, cameras: dict | None = None) -> Round:
    current = Round.of(run, 0)
    demonstrations = Demonstrations(per_world=count, operator=operator)
    collect_demonstrations(current, (WORLD,), demonstrations, seed=0, cameras=cameras or {}, pool=play_here)
    return current


def test_the_first_that_worked_are_copied_as_demonstrations(tmp_path: Path) -> None:
    root = recorded(tmp_path, failed=(1,), others=(3,))
    current = collect(tmp_path / "run", DemonstrateFrom(root), 3)

    theirs, ours = read_table(root, demos=True), read_table(current.episodes)
    kept = [theirs.slices[number] for number in (0, 2, 4)]
    for name in ("state", "environment_state", "action"):
        assert np.array_equal(getattr(ours, name), np.concatenate([getattr(theirs, name)[s] for s in kept]))
    assert ours.policy_action is not None and np.array_equal(ours.policy_action, ours.action)
    assert ours.intervention.all() and (ours.policy_version == -1).all()
    assert ours.success is not None and ours.success.sum() == 3
    where = pq.read_table(current.episodes / "meta" / "vantage_episodes.parquet").to_pylist()
    assert [row["task"] for row in where] == ["line"] * 3


def test_episodes_are_named_and_the_run_does_not_need_the_data_set_again(tmp_path: Path) -> None:
    root = recorded(tmp_path)
    operator = DemonstrateFrom(root, episodes="3,1")
    current = collect(tmp_path / "run", operator, 2)
    assert np.bincount(read_table(current.episodes).episode_index).tolist() == [LENGTHS[1], LENGTHS[3]]
    root.rename(tmp_path / "elsewhere")
    collect(tmp_path / "run", operator, 2)  # it is there


def test_pictures_are_kept_at_the_size_that_the_policy_is_given(tmp_path: Path) -> None:
    root = recorded(tmp_path, pictures=(16, 16))
    current = collect(tmp_path / "run", DemonstrateFrom(root), 2, {"top": (8, 8)})
    kept = open_frames(current.frames({"top": (8, 8)})).gather(np.arange(15))["top"]
    theirs = [read_pictures(read_episodes(read_info(root)), number)["top"] for number in (0, 1)]
    assert np.array_equal(kept, [area_downsample(one, (8, 8)) for one in np.concatenate(theirs)])


@pytest.mark.parametrize(
    ("made", "settings", "words"),
    [
        ({}, {"episodes": "0-9"}, "there is no episode 9 in .*: it has 0 to 4"),
        ({"failed": (0, 1)}, {}, r"holds 3 demonstrations that worked \(of 5\) of .*fewer than the 4 wanted"),
        ({"others": (0, 1, 2, 3, 4)}, {}, "tasks of its episodes are 'something else'; .* word for word"),
        ({"fps": 7}, {}, "recorded at 7 Hz and line is controlled at"),
        ({"dim": 2}, {}, "action of .* has 2 dimensions, and line has 1"),
        ({"true_state": False}, {}, "looks at the true state, and .* has no observation.environment_state"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_copied(
    tmp_path: Path, made: dict, settings: dict, words: str
) -> None:
    operator = DemonstrateFrom(recorded(tmp_path, **made), **settings)
    with pytest.raises(VantageError, match=words):
        check_recorded(operator, (WORLD,), interface_in(POLICY, WORLD), 4)


def test_a_camera_that_is_missing_or_of_another_size_is_said(tmp_path: Path) -> None:
    operator = DemonstrateFrom(recorded(tmp_path, pictures=(16, 16)))
    sees = replace(interface_in(POLICY, WORLD), cameras={"top": (5, 5)}, environment_dim=None)
    assert isinstance(sees, Interface)
    with pytest.raises(VantageError, match=r"top of .* 16 x 16"):
        check_recorded(operator, (WORLD,), sees, 2)
    with pytest.raises(VantageError, match="front"):
        check_recorded(operator, (WORLD,), replace(sees, cameras={"front": (8, 8)}), 2)
    with pytest.raises(VantageError, match="16 x 16 px and that of line missing"):
        check_recorded(operator, (WORLD,), replace(sees, cameras={"top": None}), 2)


def test_an_episode_longer_than_the_worlds_limit_is_said(tmp_path: Path) -> None:
    operator = DemonstrateFrom(recorded(tmp_path))
    with pytest.raises(VantageError, match="lasts 9 control steps, and an episode of line may last 8"):
        check_recorded(operator, (replace(WORLD, limit=8),), interface_in(POLICY, WORLD), 4)


def test_recorded_episodes_neither_rescue_nor_drive(tmp_path: Path) -> None:
    operator = DemonstrateFrom(tmp_path)
    with pytest.raises(VantageError, match="rescue nobody"):
        Rollouts(operator=operator)
    with pytest.raises(VantageError, match="cannot drive line"):
        operator("line", 9, np.random.default_rng(0))
    with pytest.raises(VantageError, match="names no episode"):
        DemonstrateFrom(tmp_path, episodes="none")
    assert from_json(Demonstrations, to_json(Demonstrations(2, operator))).operator == operator
