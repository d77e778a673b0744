"""Simulated worlds and their pictures: ours over stock, each pair in one run."""

import importlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import gymnasium
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from benchmarks.timing import Row, median_interval, seconds_per_call
from vantage.worlds.bimanual.build import build_expert, build_world
from vantage.worlds.bimanual.spec import TASKS
from vantage.worlds.gymnasium.spec import Gymnasium
from vantage.worlds.gymnasium.world import make
from vantage.worlds.metaworld.tasks import MT10
from vantage.worlds.metaworld.world import MetaWorld
from vantage.worlds.render import FastRenderer

FETCH = Gymnasium("FetchReach-v4", package="gymnasium_robotics", limit=50, fps=25)
CUBE = Gymnasium(
    "gym_aloha/AlohaTransferCube-v0",
    package="gym_aloha",
    kwargs={"obs_type": "pixels_agent_pos"},
    limit=400,
    fps=50,
    truth=("qpos",),
    cameras=("top",),
)
ACTIONS = np.random.default_rng(0).uniform(-1, 1, (400, 4)).astype(np.float32)


def stock(task: str, **options: object) -> Any:
    """MetaWorld's own environment, reset, with a goal from every reset and without a limit."""
    make: Any = ALL_V3_ENVIRONMENTS[task]
    env = make(**options)
    env._freeze_rand_vec, env._set_task_called, env.max_path_length = False, True, 10**9
    env.reset()
    return env


def _over(tasks: Sequence[str], ours: Callable[[str], float], peer: Callable[[str], float]) -> Row:
    """Calls per second, the mean time over tasks."""
    own, theirs = (statistics.mean(seconds(task) for task in tasks) for seconds in (ours, peer))
    return Row.of_rates(1 / own, 1 / theirs)


def metaworld_step(tasks: Sequence[str] = MT10, calls: int = 200) -> Row:
    """Control steps per second without reward and pictures, over stock env.step; mean over MT10."""

    def ours(task: str) -> float:
        world = MetaWorld(task)
        world.reset(0)
        return seconds_per_call(lambda number: world.step(ACTIONS[number]), calls)

    def peer(task: str) -> float:
        env = stock(task)
        return seconds_per_call(lambda number: env.step(ACTIONS[number]), calls)

    return _over(tasks, ours, peer)


def metaworld_reset(tasks: Sequence[str] = MT10, calls: int = 40) -> Row:
    """Seeded resets per second over stock env.reset, of which there are fewer; mean over MT10."""

    def ours(task: str) -> float:
        world = MetaWorld(task)
        return seconds_per_call(world.reset, calls)

    def peer(task: str) -> float:
        env = stock(task)
        return seconds_per_call(lambda _: env.reset(), max(calls // 5, 1), repeats=3)

    return _over(tasks, ours, peer)


def render_96px(calls: int = 60) -> Row:
    """Pictures per second of corner4 at 96 px, over gymnasium's render() of the same task (pick-place)."""
    scene = stock("pick-place-v3")
    renderer = FastRenderer(scene.model, 96, flipped=("corner4",))
    fast = seconds_per_call(lambda _: renderer(scene.model, scene.data, "corner4"), calls)
    renderer.close()

    env = stock("pick-place-v3", render_mode="rgb_array", camera_name="corner4", width=96, height=96)
    slow = seconds_per_call(lambda _: env.render(), max(calls // 10, 1), repeats=3)
    env.close()
    return Row.of_rates(1 / fast, 1 / slow)


def gymnasium_step(calls: int = 100, pairs: int = 15) -> Row:
    """Seconds of a control step of Fetch as a world, with both states that the loop asks for, over the bare
    env.step of the same environment; pairs taken in turn."""
    world, env = FETCH(), make(FETCH)
    world.reset(0)
    env.reset(seed=0)

    def ours(number: int) -> None:
        world.step(ACTIONS[number])
        world.environment_state()
        world.proprioception()

    ratios: list[float] = []
    own = theirs = 0.0
    for _ in range(pairs):
        theirs = seconds_per_call(lambda number: env.step(ACTIONS[number]), calls, repeats=1)
        own = seconds_per_call(ours, calls, repeats=1)
        ratios.append(own / theirs)
    return Row(ours=own, peer=theirs, ratio=statistics.median(ratios), interval=median_interval(ratios))


def aloha_frames(calls: int = 40, size: tuple[int, int] = (96, 128)) -> Row:
    """Steps of gym-aloha's cube with a picture of its top camera, per second, over its stock step, which
    draws three large ones."""
    spec = replace(CUBE, image_size=size)
    world = spec()
    world.reset(0)

    def ours(number: int) -> None:
        world.step(np.zeros(14, np.float32))
        world.images()

    fast = seconds_per_call(ours, calls)
    world.close()

    return Row.of_rates(1 / fast, 1 / _stock_aloha(max(calls // 20, 1)))


def two_arms_and_cloth(tasks: Sequence[str] = TASKS, calls: int = 160, chunk: int = 8) -> Row:
    """Control steps of the bimanual worlds with three 96 px pictures at every chunk's start, the operator's
    actions, per second, mean time over tasks; over gym-aloha's stock step, which draws three large pictures
    of a rigid cube."""

    def ours(task: str) -> float:
        world, expert = build_world(task), build_expert(task)
        world.reset(0)
        actions: list[np.ndarray] = []
        for _ in range(calls):
            actions.append(expert.act(world.environment_state()))
            world.step(actions[-1])

        def step(number: int) -> None:
            if number == 0:
                world.reset(0)
            if number % chunk == 0:
                world.images()
            world.step(actions[number])

        seconds = seconds_per_call(step, calls)
        world.close()
        return seconds

    return _over(tasks, ours, lambda _: _stock_aloha(2))


@cache
def _stock_aloha(calls: int) -> float:
    """Seconds of a stock step of gym-aloha's cube."""
    importlib.import_module(CUBE.package)  # which registers it
    env: Any = gymnasium.make(CUBE.id, obs_type="pixels_agent_pos", disable_env_checker=True)
    env.reset(seed=0)
    seconds = seconds_per_call(lambda _: env.step(np.zeros(14, np.float32)), calls, repeats=1)
    env.close()
    return seconds
