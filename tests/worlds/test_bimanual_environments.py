"""The tasks of two arms as environments of gymnasium's: its own checker, and the same episodes as ours."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from vantage.errors import VantageError
from vantage.worlds.bimanual import environments
from vantage.worlds.bimanual.spec import LIMITS, TASKS, BimanualSpec
from vantage.worlds.gymnasium.spec import Gymnasium


@pytest.mark.filterwarnings("ignore:.*A Box observation space m:UserWarning")  # a true state has no bounds
@pytest.mark.filterwarnings("ignore:.*we recommend using a symmetric:UserWarning")  # radians are not -1 to 1
@pytest.mark.parametrize("obs_type", ["state", "pixels_agent_pos"])
@pytest.mark.parametrize("task", TASKS)
def test_gymnasiums_own_checker_finds_nothing(task: str, obs_type: str) -> None:
    env = gymnasium.make(environments.IDS[task], obs_type=obs_type, image_size=32, render_mode="rgb_array")
    check_env(env.unwrapped)
    assert env.spec is not None and env.spec.max_episode_steps == LIMITS[task]


@pytest.mark.parametrize("task", TASKS)
def test_an_episode_is_that_of_the_world_with_the_same_seed(task: str) -> None:
    env = gymnasium.make(environments.IDS[task], obs_type="state", max_episode_steps=5)
    world = BimanualSpec(task)()
    rng = np.random.default_rng(0)
    seen, info = env.reset(seed=6)
    world.reset(6)
    ends: list[bool] = []
    for _ in range(5):
        assert np.array_equal(seen["environment_state"], world.environment_state())
        assert np.array_equal(seen["agent_pos"], world.proprioception())
        assert info == {"is_success": False, "stage": 0}
        action = rng.uniform(world.action_low, world.action_high).astype(np.float32)
        seen, reward, terminated, truncated, info = env.step(action)
        assert world.step(action) == terminated == bool(reward) == False  # noqa: E712 - all three
        ends.append(truncated)
    assert ends == [False] * 4 + [True]

    begun = [env.reset()[0]["environment_state"] for _ in range(2)]
    env.reset(seed=6)
    assert np.array_equal(env.reset()[0]["environment_state"], begun[0])
    assert not np.array_equal(*begun), "without a seed the next episode is another"


def test_our_own_wrapper_takes_it_too() -> None:
    spec = Gymnasium(
        environments.IDS["bag-bottle"],
        package=environments.__name__,
        kwargs={"obs_type": "state"},
        limit=400,
        fps=25,
        robot="aloha",
        state=("agent_pos",),
        truth=("environment_state",),
    )
    inputs = spec.inputs
    bag = BimanualSpec("bag-bottle")
    assert (inputs.state_dim, inputs.environment_dim) == (bag.state_dim, bag.environment_dim)


def test_what_does_not_exist_is_said() -> None:
    for words, settings in {
        "there is no bimanual task 'pouch'": {"task": "pouch"},
        "there is no obs_type 'depth'; there is pixels_agent_pos, state": {"obs_type": "depth"},
        "there is no render_mode 'human'; there is rgb_array": {"render_mode": "human"},
    }.items():
        with pytest.raises(VantageError, match=words):
            environments.BimanualEnv(**({"task": "bag-bottle"} | settings))
