"""Two arms, a bag and a bottle: seeds, physics, inverse kinematics, the expert, and why it takes two arms."""

import mujoco
import numpy as np
import pytest
from two_arms import by_the_expert, check_the_seed_alone_decides

from experiments import bimanual
from vantage.collect.episode import run_episode
from vantage.collect.operators import Demonstrate, Rescue
from vantage.errors import VantageError
from vantage.worlds.bimanual import arms
from vantage.worlds.bimanual.bag_bottle import ENVIRONMENT_DIM, FLOOR, BagBottle
from vantage.worlds.bimanual.bag_bottle_expert import STAGES, Expert
from vantage.worlds.bimanual.kinematics import Kinematics, Pose, pointing, rotation_between
from vantage.worlds.bimanual.spec import TASKS, BimanualSpec
from vantage.worlds.metaworld.experts.style import RESCUER
from vantage.worlds.protocol import World


@pytest.fixture(scope="module")
def world() -> BagBottle:
    return BagBottle()


def targets(seed: int, steps: int, world: BagBottle) -> np.ndarray:
    return np.random.default_rng(seed).uniform(world.action_low, world.action_high, (steps, 14)).astype("f4")


def test_the_seed_alone_decides(world: BagBottle) -> None:
    check_the_seed_alone_decides(world, BagBottle())


def test_starts_vary_and_stand_still(world: BagBottle) -> None:
    starts: list[np.ndarray] = []
    for seed in range(20):
        world.reset(seed)
        starts.append(world.environment_state())
    spread = np.std(starts, axis=0)
    bag, bottle, front = spread[28:30], spread[40:42], spread[35]
    assert (bag > 0.01).all() and (bottle > 0.015).all() and front > 0.01

    hold = starts[-1][14:28]
    for _ in range(25):
        world.step(hold)
    moved = np.abs(world.environment_state() - starts[-1])
    assert moved[28:31].max() < 1e-3 and moved[40:43].max() < 1e-3, "nothing slides or falls by itself"
    assert moved[35] < 0.06, "the front stays where it leaned"


def test_the_value_says_what_the_world_is(world: BagBottle) -> None:
    spec = BimanualSpec("bag-bottle")
    built = spec()
    assert isinstance(built, World) and built.task == spec.task
    assert (built.fps, built.cameras) == (spec.fps, spec.cameras)
    built.reset(0)
    assert built.environment_state().shape == (spec.environment_dim,) == (ENVIRONMENT_DIM,)
    assert built.proprioception().shape == (spec.state_dim,) and built.action_low.shape == (spec.action_dim,)
    with pytest.raises(
        VantageError, match="there is no bimanual task 'pouch'; there is bag-bottle, pouch-zip"
    ):
        BimanualSpec("pouch")()


@pytest.mark.parametrize("task", TASKS)
def test_the_state_ends_with_the_hands_and_their_ways(task: str) -> None:
    """The hands by the arms' own kinematics, from measured joints; the ways to things by their places."""
    world = BimanualSpec(task)()
    world.reset(3)
    rng = np.random.default_rng(0)
    for _ in range(30):
        world.step(bimanual.random_target(world, rng))
    near = 2 * 3 * len(world.marks) * len(world.scales)
    state = world.environment_state().astype(np.float64)
    state = state[: len(state) - near]

    for side, joints, told in zip(
        arms.SIDES,
        (state[:6], state[7:13]),
        state[-2 * (9 + 3 * len(world.marks)) :].reshape(2, -1),
        strict=True,
    ):
        pose = Kinematics(side).pose(joints)
        np.testing.assert_allclose(told[:9], [*pose.point, *pose.axes[:, 0], *pose.axes[:, 1]], atol=1e-5)
        ways = told[9:].reshape(-1, 3)
        np.testing.assert_allclose(ways[-1], state[28:31] - pose.point, atol=1e-5)
        for mark, way in list(zip(world.marks, ways, strict=True))[:-1]:
            np.testing.assert_allclose(way, world.data.geom(mark).xpos - pose.point, atol=1e-5)


def test_pictures_show_the_scene_and_change_nothing() -> None:
    spec = BimanualSpec("bag-bottle", image_size=48)
    drawn, blind = spec(), spec()
    drawn.reset(2)
    blind.reset(2)
    pictures = drawn.images()
    assert set(pictures) == set(spec.cameras)
    assert all(picture.shape == (48, 48, 3) and picture.std() > 10 for picture in pictures.values())

    action = drawn.action_low + 0.4 * (drawn.action_high - drawn.action_low)
    for _ in range(5):
        drawn.step(action)
        blind.step(action)
    assert np.array_equal(drawn.environment_state(), blind.environment_state())
    drawn.close()


def test_targets_are_clipped_and_of_limited_speed(world: BagBottle) -> None:
    world.reset(0)
    before = world.environment_state()[14:28]
    world.step(np.full(14, 100.0, dtype=np.float32))
    after = world.environment_state()[14:28]
    assert np.allclose(after - before, np.minimum(0.1, world.action_high - before), atol=1e-6)


@pytest.mark.parametrize("side", arms.SIDES)
def test_inverse_kinematics_finds_poses_over_the_table(side: str) -> None:
    kinematics, rng = Kinematics(side), np.random.default_rng(0)
    inwards = 1.0 if side == "left" else -1.0
    for _ in range(30):
        point = np.array([inwards * rng.uniform(-0.12, 0.08), rng.uniform(0.4, 0.6), rng.uniform(0.02, 0.25)])
        wanted = Pose(point, pointing(rng.uniform(-0.3, 0.3), rng.uniform(0.8, 1.1), side=side))
        reached = kinematics.pose(kinematics.towards(arms.HOME, wanted, iterations=30))
        assert np.linalg.norm(reached.point - wanted.point) < 1e-3
        assert np.linalg.norm(rotation_between(reached.axes, wanted.axes)) < 1e-2


def test_a_pose_out_of_reach_stays_within_the_limits() -> None:
    kinematics = Kinematics("left")
    far = Pose(np.array([2.0, 0.5, 0.1]), pointing(0.0, 1.0, side="left"))
    joints = kinematics.towards(arms.HOME, far, iterations=60)
    assert (joints >= arms.LIMITS[:, 0]).all() and (joints <= arms.LIMITS[:, 1]).all()
    assert np.isfinite(joints).all()


def test_the_arms_alone_are_the_arms_of_the_scene(world: BagBottle) -> None:
    world.reset(1)
    joints = world.environment_state()[:6].astype(np.float64)
    link = world.data.body("left/gripper_link")
    pose = Kinematics("left").pose(joints)
    assert np.allclose(pose.point, link.xpos + arms.TOOL * link.xmat.reshape(3, 3)[:, 0], atol=1e-5)


@pytest.mark.parametrize("seed", range(2))
def test_the_demonstrator_succeeds(world: BagBottle, seed: int) -> None:
    success, steps = bimanual.play(world, "demonstrator", seed)
    assert success and 120 < steps < 400
    state = world.environment_state()
    view = Expert().view(state)
    assert view.bottle_is_in and view.bottle_in_bag[2] == pytest.approx(FLOOR, abs=0.01)


def test_stages_come_in_order_and_progress_grows_with_them(world: BagBottle) -> None:
    expert = Expert()
    done, stages, progress = by_the_expert(world, expert, limit=400)
    assert done and stages == sorted(stages) and stages[0] == 0 and stages[-1] == len(STAGES)
    assert progress[-1] == len(STAGES) and min(np.diff(progress)) > -0.5


def test_one_arm_cannot_do_it(world: BagBottle) -> None:
    """The other one carries the bottle to the mouth and cannot get it in."""
    success, _ = bimanual.play(world, "one-armed", 1, limit=250)
    view = Expert().view(world.environment_state())
    assert not success and not view.bottle_is_in


def test_the_front_springs_shut_when_it_is_let_go(world: BagBottle) -> None:
    world.reset(0)
    world.data.joint("front").qpos[0] = 0.05
    hold = world.environment_state()[14:28]
    for _ in range(25):
        world.step(hold)
    assert world.data.joint("front").qpos[0] < -0.35


def test_the_rescuer_takes_over_from_another_configuration(world: BagBottle) -> None:
    """From wherever 30 steps of random targets have brought two empty hands."""
    expert = Expert()
    world.reset(8)
    for action in targets(8, 3, world):
        for _ in range(10):
            world.step(action)
    expert.reset(np.random.default_rng(0), RESCUER)
    assert any(world.step(expert.act(world.environment_state())) for _ in range(400))


def test_a_grasp_that_closed_on_nothing_opens_again(world: BagBottle) -> None:
    expert = Expert()
    world.reset(0)
    shut = world.environment_state()[14:28].copy()
    shut[[6, 13]] = 0.0
    for _ in range(30):
        world.step(shut)
    assert (world.proprioception()[[6, 13]] < 0.05).all()
    widest = np.zeros(2)
    for _ in range(40):
        world.step(expert.act(world.environment_state()))
        widest = np.maximum(widest, world.proprioception()[[6, 13]])
    assert (widest > 0.35).all()


def test_random_play_is_finite_and_without_warnings() -> None:
    told = bimanual.random_play("bag-bottle", episodes=3, steps=60)
    assert "0 with a warning of MuJoCo's, 0 with a number that is not finite" in told


def test_it_plays_in_the_one_loop(world: BagBottle) -> None:
    episode = run_episode(world, None, Demonstrate(), task="bag-bottle", seed=0, limit=400, pictures=False)
    assert bool(episode.success[-1]) and episode.action.shape[1] == 14
    assert (episode.action >= world.action_low).all() and (episode.action <= world.action_high).all()
    assert Rescue(permission=1.0)("bag-bottle", 400, np.random.default_rng(0)) is not None


def test_no_mesh_collides(world: BagBottle) -> None:
    model = world.model
    meshes = model.geom_type == mujoco.mjtGeom.mjGEOM_MESH  # pyright: ignore[reportAttributeAccessIssue]
    assert meshes.any() and not model.geom_contype[meshes].any() and not model.geom_conaffinity[meshes].any()
