"""Environments that nobody here wrote, as worlds: starts, success, pictures, and what is refused."""

from dataclasses import dataclass, replace

import gymnasium
import numpy as np
import pytest

from vantage.collect.compatible import check_compatible
from vantage.collect.observe import facts_of_world, interface_in
from vantage.collect.operators import Demonstrate, NoOne
from vantage.config import from_json, to_json
from vantage.errors import VantageError
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.flow import FlowConfig
from vantage.worlds.gymnasium.spec import Gymnasium
from vantage.worlds.gymnasium.success import InfoKey, RewardAtLeast, Terminated
from vantage.worlds.protocol import OwnWorldSpec, World
from vantage.worlds.spec import MetaWorldSpec, WorldSpec

FETCH = Gymnasium(
    "FetchPickAndPlace-v4",
    package="gymnasium_robotics",
    limit=50,
    fps=25,
    prompt="lift the cube",
    state=("observation[0:3]", "observation[9:11]"),
    cameras=("external_camera_0",),
    image_size=(48, 64),
)
CUBE, INSERTION = (
    Gymnasium(
        f"gym_aloha/Aloha{task}-v0",
        package="gym_aloha",
        kwargs={"obs_type": "pixels_agent_pos"},
        limit=400,
        fps=50,
        robot="aloha",
        state=("agent_pos",),
        truth=("qpos", "qvel"),
        cameras=("top", "left_wrist"),
        image_size=(48, 64),
    )
    for task in ("TransferCube", "Insertion")
)
PUSHT = Gymnasium(
    "gym_pusht/PushT-v0",
    package="gym_pusht",
    kwargs={"visualization_width": 128, "visualization_height": 96},
    limit=200,
    fps=10,
    cameras=("render",),
)
SPECS = {spec.task: spec for spec in (FETCH, CUBE, INSERTION, PUSHT)}


@pytest.fixture(scope="module")
def worlds():
    built = {name: spec() for name, spec in SPECS.items()}
    yield built
    for world in built.values():
        world.close()


def played(world: World, seed: int, steps: int) -> list[np.ndarray]:
    """Every state of an episode with actions of this seed."""
    rng = np.random.default_rng(seed)
    world.reset(seed)
    states = [world.environment_state()]
    for _ in range(steps):
        world.step(rng.uniform(world.action_low, world.action_high).astype(np.float32))
        states.append(world.environment_state())
    return states


@pytest.mark.parametrize("name", SPECS)
def test_a_seed_decides_the_episode_whatever_was_played_and_drawn_before(worlds, name: str) -> None:
    world = worlds[name]
    first = played(world, 3, 12)
    pictures = world.images()
    played(world, 4, 20)
    world.images()
    assert np.array_equal(first, played(world, 3, 12))
    for camera, picture in world.images().items():
        assert np.array_equal(picture, pictures[camera])
    assert not np.array_equal(first[0], played(world, 4, 0)[0])


@pytest.mark.parametrize(
    ("name", "state", "truth", "actions"),
    [
        ("FetchPickAndPlace-v4", 5, 31, 4),
        ("AlohaTransferCube-v0", 14, 23 + 22, 14),
        ("AlohaInsertion-v0", 14, 30 + 28, 14),
        ("PushT-v0", 5, 5, 2),
    ],
)
def test_what_a_world_offers_is_known_before_the_first_episode(
    worlds, name: str, state: int, truth: int, actions: int
) -> None:
    inputs = SPECS[name].inputs
    assert (inputs.state_dim, inputs.environment_dim, inputs.action_dim) == (state, truth, actions)
    size = (96, 128) if name == "PushT-v0" else (48, 64)
    assert inputs.cameras == {camera: size for camera in SPECS[name].cameras}
    world = worlds[name]
    assert isinstance(world, World) and isinstance(SPECS[name], OwnWorldSpec)
    world.reset(0)
    for picture in world.images().values():
        assert picture.shape == (*size, 3) and picture.dtype == np.uint8 and picture.std() > 10
    assert facts_of_world(SPECS[name]).action.dim == actions


def test_the_bimanual_tasks_play_as_the_stock_ones_do(worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pictures of every step, joints, objects and reward are the stock environment's, exactly."""
    from dm_control.mujoco import Physics

    monkeypatch.setattr(Physics, "render", lambda *_a, height, width, **_k: np.zeros((1, 1, 3), np.uint8))
    env = gymnasium.make(
        "gym_aloha/AlohaTransferCube-v0", obs_type="pixels_agent_pos", disable_env_checker=True
    )
    world, rng = worlds["AlohaTransferCube-v0"], np.random.default_rng(0)
    env.reset(seed=5)
    world.reset(5)
    for _ in range(15):
        action = rng.uniform(-1, 1, 14).astype(np.float32)
        seen, _, _, _, info = env.step(action)
        assert world.step(action) == info["is_success"]
        assert np.array_equal(world.proprioception(), seen["agent_pos"].astype(np.float32))
    assert np.array_equal(
        world.environment_state()[:23], env.unwrapped._env.physics.data.qpos.astype(np.float32)
    )


class Count(gymnasium.Env):
    """Counts its steps; solved at 3 by one sign, ended at `ends` by another."""

    observation_space = gymnasium.spaces.Box(-1, 9, (1,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self, ends: int = 99, leaks: bool = False, ended_info: str = "solved") -> None:
        self.ends, self.leaks, self.key, self.count, self.played = ends, leaks, ended_info, 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = self.played if self.leaks else 0
        return np.array([self.count], np.float32), {}

    def step(self, action):
        self.count += 1
        self.played += 1
        reward = float(self.count == 3)
        return (
            np.array([self.count], np.float32),
            reward,
            self.count >= self.ends,
            False,
            {self.key: bool(reward)},
        )


gymnasium.register("toy/Count-v0", entry_point=Count, max_episode_steps=2)
COUNT = Gymnasium("toy/Count-v0", limit=8, fps=5, success=InfoKey("solved"))


@pytest.mark.parametrize("success", [InfoKey("solved"), RewardAtLeast(1.0)])
def test_success_is_latched_and_the_environments_own_limit_is_off(success) -> None:
    world = replace(COUNT, success=success)()
    world.reset(0)
    assert [world.step(np.zeros(1, np.float32)) for _ in range(5)] == [False, False, True, True, True]
    world.reset(0)
    assert not world.step(np.zeros(1, np.float32))


def test_an_episode_that_the_environment_ends_stands_still() -> None:
    world = replace(COUNT, kwargs={"ends": 2})()
    world.reset(0)
    assert not any(world.step(np.zeros(1, np.float32)) for _ in range(5))
    assert world.environment_state() == 2
    world = replace(COUNT, kwargs={"ends": 2}, success=Terminated())()
    world.reset(0)
    assert [world.step(np.zeros(1, np.float32)) for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (replace(COUNT, success=InfoKey()), "no 'is_success' that tells success .it has solved"),
        (replace(COUNT, cameras=("render",)), "cannot render to a picture"),
        (replace(COUNT, cameras=("front",)), "shows no camera 'front'; it has"),
        (replace(COUNT, state=("arm[0:2]",)), r"observes no 'arm\[0:2\]'; it has observation"),
        (replace(COUNT, kwargs={"leaks": True}), "another state when it is reset to the same seed"),
        (replace(COUNT, kwargs={"wings": 2}), "cannot make toy/Count-v0"),
        (replace(COUNT, id="toy/Nowhere-v0"), "cannot make toy/Nowhere-v0"),
        (replace(COUNT, package="gym_nowhere"), "needs the module gym_nowhere, which is not installed"),
        (Gymnasium("CartPole-v1", limit=9, fps=50), "takes Discrete"),
    ],
)
def test_what_cannot_be_a_world_is_said_before_the_first_episode(spec: Gymnasium, words: str) -> None:
    with pytest.raises(VantageError, match=words):
        check_compatible(FlowConfig(), (spec,), (NoOne(),))


def test_a_policy_of_another_shape_and_two_robots_in_a_run_are_refused() -> None:
    fits = FlowConfig(net=NetConfig(sight=TrueState(dim=31), state_dim=5, action_dim=4))
    check_compatible(fits, (FETCH,), (NoOne(),))
    assert interface_in(fits, FETCH).action_dim == 4
    with pytest.raises(VantageError, match="39 dimensions of true state, and FetchPickAndPlace-v4 has 31"):
        check_compatible(
            FlowConfig(net=NetConfig(sight=TrueState(), state_dim=5, action_dim=4)), (FETCH,), ()
        )
    with pytest.raises(VantageError, match="differ in robot"):
        check_compatible(fits, (FETCH, CUBE), ())
    with pytest.raises(VantageError, match="with DemonstrateWith"):
        check_compatible(fits, (FETCH,), (Demonstrate(),))


@dataclass(frozen=True)
class Holder:
    world: WorldSpec


def test_a_world_is_written_down_and_read_back() -> None:
    for spec in SPECS.values():
        assert from_json(Holder, to_json(Holder(spec))).world == spec and hash(spec) == hash(replace(spec))
    push = MetaWorldSpec("push-v3")
    assert from_json(Holder, to_json(Holder(push))).world == push
    with pytest.raises(VantageError, match="write Gymnasium"):
        Gymnasium("gym_aloha:gym_aloha/AlohaInsertion-v0", limit=1, fps=1)
    with pytest.raises(VantageError, match="cannot be written to recipe"):
        replace(COUNT, kwargs={"f": print})


def test_a_file_has_nothing_imported() -> None:
    written = to_json(COUNT) | {"package": "this"}
    with pytest.raises(VantageError, match=r"may not have the module 'this' imported; .* --recipe"):
        from_json(Holder, to_json(Holder(COUNT)) | {"world": written})
