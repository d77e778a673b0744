"""Operators solve their tasks, from the start and from anywhere, and show honest progress."""

import itertools

import numpy as np
import pytest

from vantage.types import VantageError
from vantage.worlds.experts import expert_for
from vantage.worlds.metaworld.experts import CLEAN, DEMONSTRATOR, OPERATED, RESCUER, Expert
from vantage.worlds.metaworld.experts.stock import PATIENCE, RISE, StockOperator
from vantage.worlds.metaworld.tasks import MT10
from vantage.worlds.metaworld.world import MetaWorld


def solve(world: MetaWorld, expert: Expert | StockOperator, limit: int = 500) -> int | None:
    """Steps to success; None if it fails."""
    return next((t + 1 for t in range(limit) if world.step(expert.act(world.environment_state()))), None)


def test_the_promised_tasks_have_an_operator() -> None:
    assert {*MT10, "bin-picking-v3", "basketball-v3"} <= set(OPERATED)


@pytest.mark.parametrize("task", OPERATED)
def test_demonstrator_and_rescuer_solve_it(task: str) -> None:
    world, expert = MetaWorld(task), Expert(task)
    results = []
    for seed in range(100, 106):
        for style, detour in ((DEMONSTRATOR, 0), (RESCUER, 40)):
            rng = np.random.default_rng(seed)
            world.reset(seed)
            expert.reset(rng, style)
            for _ in range(detour):
                world.step(rng.uniform(-1, 1, 4).astype(np.float32))
            results.append(solve(world, expert) is not None)
    assert sum(results) >= 9, f"{sum(results)} of 12"


@pytest.mark.parametrize("task", ["assembly-v3", "hammer-v3", "hand-insert-v3", "stick-pull-v3"])
def test_where_no_plan_is_ours_metaworlds_policy_rescues(task: str) -> None:
    """These are the tasks that it does not solve from anywhere without rising when it is stuck."""
    world, expert = MetaWorld(task), expert_for(task)
    assert isinstance(expert, StockOperator)
    solved = 0
    for seed in range(100, 106):
        rng = np.random.default_rng(seed)
        world.reset(seed)
        expert.reset(rng, RESCUER)
        for _ in range(40):
            world.step(rng.uniform(-1, 1, 4).astype(np.float32))
        before = expert.progress(world.environment_state())
        solved += solve(world, expert) is not None
        assert 0 <= before < expert.progress(world.environment_state()) <= 2
    assert solved >= 5


def test_a_hand_that_gets_nowhere_opens_and_rises() -> None:
    expert = StockOperator("hammer-v3")
    state = MetaWorld("hammer-v3")
    state.reset(0)
    seen = state.environment_state()  # and the same again and again
    actions = [expert.act(seen) for _ in range(PATIENCE + RISE + 5)]
    rising = [action[2] > 0.5 and action[3] == -1 and not action[:2].any() for action in actions]
    assert rising == [PATIENCE <= t < PATIENCE + RISE for t in range(len(actions))]


@pytest.mark.parametrize("task", ["reach-v3", "push-v3", "pick-place-v3"])
def test_the_shared_scene_is_solved_too(task: str) -> None:
    world, expert = MetaWorld(task, alike=True), Expert(task)
    steps = []
    for seed in range(10):
        world.reset(seed)
        expert.reset(np.random.default_rng(seed), DEMONSTRATOR)
        steps.append(solve(world, expert, 160))
    assert sum(s is not None for s in steps) >= 9
    assert 30 < np.mean([s for s in steps if s is not None]) < 130


@pytest.mark.parametrize("task", ["drawer-open-v3", "drawer-close-v3", "window-open-v3", "window-close-v3"])
def test_half_open_furniture_is_opened_and_closed(task: str) -> None:
    world, expert = MetaWorld(task, half_open=True), Expert(task)
    solved = 0
    for seed in range(5):
        world.reset(seed)
        expert.reset(np.random.default_rng(seed), DEMONSTRATOR)
        solved += solve(world, expert) is not None
    assert solved >= 4


def test_progress_grows_along_a_clean_episode_and_falls_with_the_puck() -> None:
    world, expert = MetaWorld("pick-place-v3", alike=True), Expert("pick-place-v3")
    world.reset(1)
    expert.reset(np.random.default_rng(0), CLEAN)
    trail = [expert.progress(world.environment_state())]
    while expert.stage(world.environment_state()) < 3 or world.environment_state()[6] < 0.06:
        world.step(expert.act(world.environment_state()))
        trail.append(expert.progress(world.environment_state()))
    assert max(a - b for a, b in itertools.pairwise(trail)) < 0.15, "it never slips back by much"
    held = trail[-1]
    for _ in range(25):
        world.step(np.array([0, 0, 0.5, -1], dtype=np.float32))
    assert expert.progress(world.environment_state()) < held - 0.9, "a dropped puck loses a stage"


def test_the_same_generator_makes_the_same_human() -> None:
    states = np.random.default_rng(0).uniform(0, 0.5, (50, 39)).astype(np.float32)
    runs = []
    for _ in range(2):
        expert = Expert("push-v3")
        expert.reset(np.random.default_rng(7), DEMONSTRATOR)
        runs.append([expert.act(state) for state in states])
    assert np.array_equal(*runs)
    assert all((np.abs(a) <= 1).all() and a.dtype == np.float32 for a in runs[0])


def test_a_task_that_does_not_exist_is_not_said_to_lack_an_operator() -> None:
    with pytest.raises(VantageError, match=r"there is no MetaWorld task 'nothing-v3'; there are asse"):
        expert_for("nothing-v3")
