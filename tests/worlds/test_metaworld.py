"""MetaWorld worlds beside stock MetaWorld: the same starts, the same success; and scenes that only a prompt
tells apart."""

import warnings

import mujoco
import numpy as np
import pytest
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP

from vantage.types import VantageError
from vantage.worlds.metaworld.prompts import ALIKE_PROMPTS, PROMPTS
from vantage.worlds.metaworld.tasks import MT10
from vantage.worlds.metaworld.world import ALIKE, TASKS, MetaWorld

STATE = mujoco.mjtState.mjSTATE_INTEGRATION


def stock(task: str):
    env = ALL_V3_ENVIRONMENTS[task]()
    env._freeze_rand_vec, env._set_task_called, env.seeded_rand_vec, env._partially_observable = (
        False,
        True,
        True,
        False,
    )
    env.__dict__.pop("sawyer_observation_space", None)
    env.max_path_length = 10**9
    return env


def noise(seed: int, steps: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 4)).astype(np.float32)


@pytest.mark.parametrize("task", TASKS)
def test_the_start_belongs_to_the_seed_whatever_happened_before(task: str) -> None:
    world = MetaWorld(task)
    world.reset(5)
    first = world.environment_state()
    for seed in (9, 2):
        for action in noise(seed, 20):
            world.step(action)
        world.reset(seed)
    world.reset(5)
    assert np.array_equal(world.environment_state(), first)
    assert np.array_equal(world.environment_state()[:18], first[18:36]), (
        "the frame before the first is the first"
    )
    world.reset(6)
    if task not in ("door-lock-v3",):
        assert not np.array_equal(world.environment_state(), first), "another seed is another start"


@pytest.mark.parametrize("task", TASKS)
def test_starts_and_success_agree_with_stock(task: str) -> None:
    world, peer = MetaWorld(task), stock(task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        policy = ENV_POLICY_MAP[task]()
        for seed in (0, 1):
            peer.np_random = np.random.default_rng(seed)
            peer.reset_model()
            mujoco.mj_forward(peer.model, peer.data)
            peer._prev_obs = peer._get_curr_obs_combined_no_goal()
            world.reset(seed)
            if seed == 0:
                np.testing.assert_allclose(
                    world.environment_state(), np.clip(peer._get_obs(), world._low, world._high), atol=2e-3
                )
            rng, latched = np.random.default_rng(seed), False
            for _ in range(130):
                state = np.empty(mujoco.mj_stateSize(world._model, STATE))
                mujoco.mj_getState(world._model, world._data, state, STATE)
                mujoco.mj_setState(peer.model, peer.data, state, STATE)
                for name in ("body_pos", "body_quat", "site_pos"):
                    getattr(peer.model, name)[:] = getattr(world._model, name)
                peer._prev_obs = world._previous.copy()
                wanted = np.asarray(policy.get_action(world.environment_state().astype(float)))
                action = np.clip(wanted + (0.3 * rng.standard_normal(4) if seed else 0), -1, 1).astype(
                    np.float32
                )
                seen, _, _, _, info = peer.step(action)
                latched = latched or bool(info["success"])
                assert world.step(action) == latched
                np.testing.assert_allclose(world.environment_state(), seen, atol=1e-3)


def test_success_stays_once_reached() -> None:
    world = MetaWorld("reach-v3")
    world.reset(0)
    while not world.step(
        np.append(
            np.clip(10 * (world.environment_state()[36:39] - world.environment_state()[:3]), -1, 1), 0
        ).astype(np.float32)
    ):
        pass
    assert all(world.step(np.array([0, -1, 0, 0], dtype=np.float32)) for _ in range(60))
    assert np.linalg.norm(world.environment_state()[36:39] - world.environment_state()[:3]) > 0.05


def test_an_episode_may_outlive_metaworlds_own_limit() -> None:
    world = MetaWorld("push-v3")
    world.reset(0)
    assert not any(world.step(np.zeros(4, dtype=np.float32)) for _ in range(520))


def test_every_task_has_a_prompt_of_its_own() -> None:
    assert set(PROMPTS) == set(TASKS) and len(TASKS) == 50 and set(MT10) <= set(TASKS)
    assert len({*PROMPTS.values(), *ALIKE_PROMPTS.values()}) == 53


def pictures(task: str, seed: int, **form: bool) -> dict[str, np.ndarray]:
    world = MetaWorld(task, **form)
    world.reset(seed)
    found = world.images()
    world.close()
    return found


@pytest.mark.parametrize("seed", [0, 1, 77])
def test_reach_push_and_pick_place_look_exactly_alike(seed: int) -> None:
    first, *others = (pictures(task, seed, alike=True) for task in ALIKE)
    assert all(np.array_equal(first[camera], other[camera]) for other in others for camera in first)
    assert not np.array_equal(first["corner4"], pictures("reach-v3", seed + 1, alike=True)["corner4"])
    stock_looks = [pictures(task, seed)["corner4"] for task in ALIKE]
    assert not np.array_equal(stock_looks[0], stock_looks[1]), (
        "stock MetaWorld gives the task away; else this proves nothing"
    )


@pytest.mark.parametrize(
    "pair", [("drawer-open-v3", "drawer-close-v3"), ("window-open-v3", "window-close-v3")]
)
@pytest.mark.parametrize("seed", [0, 3])
def test_half_open_furniture_looks_exactly_alike(pair: tuple[str, str], seed: int) -> None:
    one, other = (pictures(task, seed, half_open=True) for task in pair)
    assert all(np.array_equal(one[camera], other[camera]) for camera in one)


def test_goals_of_the_shared_scene_are_the_poles_top_and_foot() -> None:
    goals = {}
    for task in ALIKE:
        world = MetaWorld(task, alike=True)
        world.reset(4)
        goals[task] = world.environment_state()[36:39]
    assert np.array_equal(goals["reach-v3"], goals["pick-place-v3"])
    assert np.array_equal(goals["reach-v3"][:2], goals["push-v3"][:2])
    assert goals["push-v3"][2] == pytest.approx(0.02) and 0.08 <= goals["reach-v3"][2] <= 0.25


def test_the_pole_stays_where_it_is() -> None:
    world = MetaWorld("push-v3", alike=True)
    world.reset(4)
    before = world._data.site("goal").xpos.copy()
    for action in noise(0, 30):
        world.step(action)
    assert np.array_equal(world._data.site("goal").xpos, before)


@pytest.mark.parametrize(
    ("task", "form", "words"),
    [
        ("pusch-v3", {}, "no MetaWorld task"),
        ("door-open-v3", {"alike": True}, "alike is for"),
        ("push-v3", {"half_open": True}, "half_open is for"),
    ],
)
def test_what_does_not_exist_is_one_sentence(task: str, form: dict[str, bool], words: str) -> None:
    with pytest.raises(VantageError, match=words):
        MetaWorld(task, **form)
