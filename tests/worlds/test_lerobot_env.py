"""LeRobot's own environment configurations as worlds: what they say is the default, and what is refused."""

import itertools
from dataclasses import dataclass, replace

import gymnasium
import numpy as np
import pytest

from vantage.collect.compatible import check_compatible
from vantage.collect.operators import NoOne
from vantage.config import from_json, to_json
from vantage.errors import VantageError
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.flow import FlowConfig
from vantage.worlds.gymnasium.lerobot import LeRobotEnv
from vantage.worlds.protocol import OwnWorldSpec, World
from vantage.worlds.spec import WorldSpec


@pytest.fixture(scope="module")
def pusht() -> LeRobotEnv:
    return LeRobotEnv("pusht")


@pytest.fixture(scope="module")
def aloha() -> LeRobotEnv:
    return LeRobotEnv("aloha", "AlohaTransferCube-v0", truth=("qpos", "qvel"), image_size=(48, 64))


def test_what_the_configuration_says_is_the_default(pusht: LeRobotEnv, aloha: LeRobotEnv) -> None:
    assert (pusht.task, pusht.limit, pusht.fps) == ("PushT-v0", 300, 10)
    assert (aloha.task, aloha.limit, aloha.fps) == ("AlohaTransferCube-v0", 400, 50)
    assert pusht.inputs.cameras == {"pixels": (96, 96)}
    assert (pusht.inputs.state_dim, pusht.inputs.action_dim) == (2, 2)
    assert aloha.inputs.cameras == {"top": (48, 64)}
    assert replace(aloha, image_size=None).inputs.cameras == {"top": (480, 640)}, "as it comes"
    assert (aloha.inputs.state_dim, aloha.inputs.environment_dim, aloha.inputs.action_dim) == (14, 45, 14)
    assert isinstance(aloha, OwnWorldSpec)
    assert replace(pusht, limit=20).limit == 20


def test_it_plays_as_lerobots_own_environment_does(pusht: LeRobotEnv) -> None:
    from lerobot.envs.factory import make_env, make_env_config

    stock: gymnasium.Env = make_env(make_env_config("pusht"))["pusht"][0].envs[0]
    world, rng = pusht(), np.random.default_rng(0)
    assert isinstance(world, World)
    seen, _ = stock.reset(seed=4)
    world.reset(4)
    for _ in range(6):
        action = rng.uniform(0, 512, 2).astype(np.float32)
        assert np.array_equal(world.proprioception(), seen["agent_pos"].astype(np.float32))
        assert np.array_equal(world.images()["pixels"], seen["pixels"])
        seen, _, _, _, info = stock.step(action)
        assert world.step(action) == info["is_success"]
    stock.close()
    world.close()


def test_the_limit_is_the_worlds_and_not_the_environments() -> None:
    world = LeRobotEnv("pusht", settings={"episode_length": 2, "obs_type": "state"}, limit=9)()
    world.reset(0)
    states = []
    for _ in range(4):
        world.step(np.array([10, 10], np.float32))
        states.append(world.environment_state())
    assert all((one != other).any() for one, other in itertools.pairwise(states))
    world.close()


@dataclass(frozen=True)
class Holder:
    world: WorldSpec


def test_it_is_written_down_and_read_back(aloha: LeRobotEnv) -> None:
    assert from_json(Holder, to_json(Holder(aloha))).world == aloha


def test_a_policy_of_another_shape_is_refused_before_the_first_episode(aloha: LeRobotEnv) -> None:
    fits = FlowConfig(net=NetConfig(sight=TrueState(dim=45), state_dim=14, action_dim=14))
    check_compatible(fits, (aloha,), (NoOne(),))
    with pytest.raises(VantageError, match="AlohaTransferCube-v0 has 45"):
        check_compatible(replace(fits, net=replace(fits.net, sight=TrueState())), (aloha,), (NoOne(),))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"type": "puzzle"}, "LeRobot has no environment 'puzzle'; it has aloha, .*pusht"),
        ({"type": "isaaclab_arena"}, "downloads its environment and runs it"),
        ({"type": "libero", "task": "libero_spatial"}, "names no episode_length; say limit="),
        ({"type": "pusht", "settings": {"obs_typ": "state"}}, "refuses .*obs_typ"),
        ({"type": "pusht", "settings": {"f": print}}, "cannot be written to recipe.json"),
        ({"type": "pusht", "limit": -1}, "limit"),
    ],
)
def test_what_the_configuration_cannot_be_is_one_sentence(settings: dict, words: str) -> None:
    with pytest.raises(VantageError, match=words):
        LeRobotEnv(**settings)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (LeRobotEnv("aloha", "Nowhere-v0", limit=9, fps=9), "cannot make aloha with task 'Nowhere-v0'"),
        (LeRobotEnv("metaworld", "easy", limit=9, fps=9), "are 28 environments, and a world is one"),
        (LeRobotEnv("libero", "libero_spatial", limit=9, fps=9), "libero"),
        (LeRobotEnv("pusht", "PushT-v0", limit=9, fps=9, cameras=("front",)), "shows no camera 'front'"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(spec: LeRobotEnv, words: str) -> None:
    with pytest.raises(VantageError, match=words):
        spec()
