"""MetaWorld and its pictures: ours over stock, each pair in one run."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from benchmarks.timing import Row, seconds_per_call
from vantage.worlds.metaworld.tasks import MT10
from vantage.worlds.metaworld.world import MetaWorld
from vantage.worlds.render import FastRenderer

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
