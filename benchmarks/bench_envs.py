"""MetaWorld and its pictures: ours over stock, each pair in one run, by CPU time of this process (median of repeats)."""

import statistics
import time
from collections.abc import Callable

import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from vantage.worlds.metaworld.tasks import MT10
from vantage.worlds.metaworld.world import MetaWorld

ACTIONS = np.random.default_rng(0).uniform(-1, 1, (400, 4)).astype(np.float32)


def seconds_per_call(work: Callable[[int], object], calls: int, repeats: int = 5) -> float:
    work(0)
    found = []
    for _ in range(repeats):
        start = time.process_time()
        for i in range(calls):
            work(i)
        found.append((time.process_time() - start) / calls)
    return statistics.median(found)


def stock(task: str, **options: object):
    env = ALL_V3_ENVIRONMENTS[task](**options)
    env._freeze_rand_vec, env._set_task_called, env.max_path_length = False, True, 10**9
    env.reset()
    return env


def _over_mt10(ours: Callable[[str], float], peer: Callable[[str], float]) -> dict[str, float]:
    """Calls per second, the mean time over the ten MT10 tasks."""
    mine, theirs = (statistics.mean(of(task) for task in MT10) for of in (ours, peer))
    return {"ours": 1 / mine, "peer": 1 / theirs, "ratio": theirs / mine}


def metaworld_step() -> dict[str, float]:
    """Control steps per second without reward and pictures, over stock env.step; mean over MT10."""

    def ours(task: str) -> float:
        world = MetaWorld(task)
        world.reset(0)
        return seconds_per_call(lambda i: world.step(ACTIONS[i]), 200)

    def peer(task: str) -> float:
        env = stock(task)
        return seconds_per_call(lambda i: env.step(ACTIONS[i]), 200)

    return _over_mt10(ours, peer)


def metaworld_reset() -> dict[str, float]:
    """Seeded resets per second over stock env.reset; mean over MT10."""

    def ours(task: str) -> float:
        world = MetaWorld(task)
        return seconds_per_call(world.reset, 40)

    def peer(task: str) -> float:
        env = stock(task)
        return seconds_per_call(lambda _: env.reset(), 8, repeats=3)

    return _over_mt10(ours, peer)


def render_96px() -> dict[str, float]:
    """Pictures per second of corner4 at 96 px, over gymnasium's render() of the same task (pick-place)."""
    world = MetaWorld("pick-place-v3")
    world.reset(0)
    world.images()
    fast = seconds_per_call(lambda _: world._renderer(world._model, world._data, "corner4"), 60)
    world.close()
    env = stock("pick-place-v3", render_mode="rgb_array", camera_name="corner4", width=96, height=96)
    slow = seconds_per_call(lambda _: env.render(), 6, repeats=3)
    env.close()
    return {"ours": 1 / fast, "peer": 1 / slow, "ratio": slow / fast}
