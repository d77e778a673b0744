"""What the tests of every task of two arms do: hold still, play at random, follow the expert's stages."""

from typing import Any

import numpy as np

from vantage.worlds.metaworld.experts.style import CLEAN


def held_still(world: Any, steps: int) -> bool:
    """Both arms where they are; whether the last step was a success."""
    hold = world.environment_state()[14:28]
    return [world.step(hold) for _ in range(steps)][-1]


def trajectory(world: Any, seed: int, steps: int = 15) -> np.ndarray:
    """The true states of an episode of random targets, a function of the seed."""
    world.reset(seed)
    states = [world.environment_state()]
    for action in np.random.default_rng(seed).uniform(world.action_low, world.action_high, (steps, 14)):
        world.step(action.astype(np.float32))
        states.append(world.environment_state())
    return np.stack(states)


def check_the_seed_alone_decides(world: Any, another: Any) -> None:
    """The same trajectory after another episode and in a new world; another start for another seed."""
    first, other = trajectory(world, 3), trajectory(world, 4)
    assert np.array_equal(trajectory(world, 3), first), "after another episode"
    assert np.array_equal(trajectory(another, 3), first), "in a new world"
    assert not np.array_equal(first[0], other[0])


def by_the_expert(world: Any, expert: Any, limit: int) -> tuple[bool, list[int], list[float]]:
    """Whether the expert succeeds from the start of seed 0, and its stage and progress at every step."""
    expert.reset(np.random.default_rng(0), CLEAN)
    world.reset(0)
    stages: list[int] = []
    progress: list[float] = []
    done = False
    while not done and len(stages) < limit:
        state = world.environment_state()
        stages.append(expert.stage(state))
        progress.append(expert.progress(state))
        done = world.step(expert.act(state))
    return done, stages, progress
