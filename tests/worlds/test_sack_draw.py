"""A sack, three snacks and a string: seeds, what the string does, the expert, and why it takes two arms."""

from dataclasses import replace

import numpy as np
import pytest
from two_arms import by_the_expert, check_the_seed_alone_decides, held_still

from experiments import bimanual
from vantage.collect.episode import run_episode
from vantage.collect.operators import Demonstrate
from vantage.worlds.bimanual.hands import funnel
from vantage.worlds.bimanual.kinematics import Pose, pointing
from vantage.worlds.bimanual.sack_draw import (
    ENVIRONMENT_DIM,
    HEIGHT,
    ITEM,
    ITEMS,
    PULL,
    RADIUS,
    REST,
    SHUT,
    SackDraw,
    is_inside,
    mouth_radius,
)
from vantage.worlds.bimanual.sack_draw_expert import STAGES, Expert
from vantage.worlds.bimanual.spec import BimanualSpec
from vantage.worlds.metaworld.experts.style import RESCUER


@pytest.fixture(scope="module")
def world() -> SackDraw:
    return SackDraw()


def put_in(world: SackDraw) -> None:
    """The three snacks into the sack, side by side."""
    sack = world.data.joint("sack").qpos
    for k, aside in enumerate(((0.03, 0.0), (-0.02, 0.025), (-0.02, -0.025))):
        world.data.joint(f"item_{k}").qpos[:3] = sack[:3] + (*aside, 0.025)


def pull_bead(world: SackDraw, newtons: float, steps: int, *, held: bool) -> bool:
    """Pull with this force, against an equal one on the sack (held) or against the table's friction alone;
    whether it succeeded."""
    along = world.data.body("sack").xmat.reshape(3, 3)[:, 0]
    if held:
        world.data.joint("bead").qfrc_applied[:] = newtons  # a joint's force acts on both of its bodies
    else:
        world.data.body("bead").xfrc_applied[:3] = newtons * along
    success = held_still(world, steps)
    world.data.qfrc_applied[:] = 0.0
    world.data.xfrc_applied[:] = 0.0
    return success


def test_the_seed_alone_decides(world: SackDraw) -> None:
    check_the_seed_alone_decides(world, SackDraw())


def test_starts_vary_and_stand_still(world: SackDraw) -> None:
    starts: list[np.ndarray] = []
    for seed in range(20):
        world.reset(seed)
        starts.append(world.environment_state())
    spread = np.std(starts, axis=0)[28:]
    snacks = spread[16:37].reshape(3, 7)
    assert (spread[:2] > 0.01).all() and (snacks[:, :2] > 0.012).all() and (snacks[:, 6] > 0.15).all()
    held_still(world, 25)
    moved = np.abs(world.environment_state() - starts[-1])[28:]
    assert moved[:7].max() < 2e-3 and moved[15:37].max() < 2e-3 and moved[7:15].max() < 0.02


def test_the_state_names_snacks_by_their_place_and_turns_them_by_less_than_an_eighth(world: SackDraw) -> None:
    for seed in range(20):
        world.reset(seed)
        view = Expert().view(world.environment_state())
        away = view.items - view.sack_point
        assert (np.sign(away[:, 0]) == (1, 1, -1)).all(), "two on the right, then the one on the left"
        assert view.items[0, 1] < view.items[1, 1], "the one in front first"
        turns = np.arctan2(view.item_axes[:, 1, 0], view.item_axes[:, 0, 0])
        assert np.abs(turns).max() <= np.pi / 4 + 1e-6


def test_an_arm_fetches_the_snack_furthest_in_front_and_not_the_nearest(world: SackDraw) -> None:
    for seed in range(8):
        world.reset(seed)
        # The right hand is brought over the snack at the back, which is then the nearest.
        view = Expert().view(world.environment_state())
        over_the_back = view.items[1] + (0.0, 0.0, 0.05)
        view = replace(view, right=view.right._replace(point=over_the_back))
        assert view.wanted(1) == 0 and view.wanted(0) == 2
        inside = view.items.copy()
        inside[0] = view.sack_point + (0.0, 0.0, 0.03)
        assert replace(view, items=inside).wanted(1) == 1


def test_any_snack_may_have_any_colour_by_the_seed_alone(world: SackDraw) -> None:
    other, seen = SackDraw(), set[tuple[float, ...]]()
    for seed in range(12):
        world.reset(seed)
        world.reset(seed)
        other.reset(seed)
        red = world.model.geom_rgba[[world.model.geom(f"item_{k}").id for k in range(ITEMS)], 0]
        seen.add(tuple(red))
        np.testing.assert_array_equal(world.images()["top"], other.images()["top"])
    assert len(seen) > 3


def test_the_value_says_what_the_world_is(world: SackDraw) -> None:
    spec = BimanualSpec("sack-draw", limit=600)
    world.reset(0)
    assert world.environment_state().shape == (spec.environment_dim,) == (ENVIRONMENT_DIM,)
    assert spec().prompt == world.prompt and spec.inputs.environment_dim == ENVIRONMENT_DIM


def test_a_mouth_by_hand() -> None:
    assert mouth_radius(np.zeros(8)) == pytest.approx(RADIUS)
    assert mouth_radius(np.full(8, -np.pi / 6)) == pytest.approx(RADIUS - HEIGHT / 2)
    assert is_inside(np.array([0.0, RADIUS - 1e-3, 0.02])) and not is_inside(
        np.array([0.0, RADIUS + 1e-3, 0.02])
    )
    assert not is_inside(np.array([0.0, 0.0, HEIGHT + 1e-3]))


@pytest.mark.parametrize(
    ("newtons", "held", "shuts", "slides"),
    [(2.5, True, True, False), (1.0, True, False, False), (1.0, False, False, True)],
)
def test_the_string_runs_stiffly_and_drags_a_sack_that_nobody_holds(
    world: SackDraw, newtons: float, held: bool, shuts: bool, slides: bool
) -> None:
    """More force is needed to draw the string than to move the sack."""
    world.reset(1)
    put_in(world)
    held_still(world, 10)
    start = world.data.joint("sack").qpos[:2].copy()
    assert pull_bead(world, newtons, 25, held=held) == shuts
    leans = world.environment_state()[35:43].astype(float)
    assert (mouth_radius(leans) < SHUT) == shuts
    assert (float(np.linalg.norm(world.data.joint("sack").qpos[:2] - start)) > 0.05) == slides


def test_it_counts_only_with_all_three_inside_and_is_latched(world: SackDraw) -> None:
    world.reset(1)
    put_in(world)
    world.data.joint("item_2").qpos[:3] = (0.2, 0.5, ITEM)
    held_still(world, 10)
    assert not pull_bead(world, 2.5, 25, held=True), "two snacks"

    world.reset(1)
    put_in(world)
    held_still(world, 10)
    assert pull_bead(world, 2.5, 25, held=True)
    assert world.environment_state()[43] == pytest.approx(PULL, abs=0.01)
    world.data.joint("item_2").qpos[:3] = (0.2, 0.5, ITEM)
    assert held_still(world, 2), "what has succeeded stays so"


def test_the_mouth_opens_again_by_itself(world: SackDraw) -> None:
    """The staves are sprung; a string that nobody pulls holds by its friction alone."""
    world.reset(2)
    for k in range(8):
        world.data.joint(f"stave_{k}").qpos[:] = -0.4
    held_still(world, 40)
    assert world.environment_state()[35:43] == pytest.approx(np.full(8, REST), abs=0.04)


def test_stages_come_in_order(world: SackDraw) -> None:
    expert = Expert()
    done, stages, progress = by_the_expert(world, expert, limit=600)
    assert done and stages == sorted(stages) and stages[0] == 0 and stages[-1] == len(STAGES)
    assert progress[-1] >= len(STAGES) and min(np.diff(progress)) > -0.5
    assert all(expert.view(world.environment_state()).inside)


def test_a_snack_that_fell_beside_the_sack_is_brought_again(world: SackDraw) -> None:
    """The rescuer takes over with a snack behind the sack, and hands that are elsewhere."""
    world.reset(4)
    put_in(world)
    sack = world.data.joint("sack").qpos
    world.data.joint("item_1").qpos[:3] = sack[:3] + (-0.03, -0.12, ITEM)
    held_still(world, 10)
    expert = Expert()
    expert.reset(np.random.default_rng(0), RESCUER)
    assert any(world.step(expert.act(world.environment_state())) for _ in range(400))


def test_it_plays_in_the_one_loop(world: SackDraw) -> None:
    episode = run_episode(world, None, Demonstrate(), task="sack-draw", seed=0, limit=30, pictures=False)
    assert episode.action.shape == (30, 14) and not episode.success.any()


def test_random_play_is_finite_and_without_warnings() -> None:
    told = bimanual.random_play("sack-draw", episodes=3, steps=60)
    assert "0 with a warning of MuJoCo's, 0 with a number that is not finite" in told


def test_the_state_says_finely_how_near_the_hands_are(world: SackDraw) -> None:
    """The ways from both hands to six things, once more within 40 mm and within 12 mm."""
    world.reset(3)
    state = world.environment_state()
    hands = state[-72 - 54 : -72].reshape(2, 27)
    ways = hands[:, 9:].reshape(2, 6, 3)
    snack = world.data.body("item_0").xpos
    assert np.allclose(hands[1, :3] + ways[1, 2], snack, atol=1e-6), "the right hand's way to the first snack"
    assert np.allclose(state[-72:-36], np.tanh(ways.ravel() / 0.04), atol=1e-6)
    assert np.allclose(state[-36:], np.tanh(ways.ravel() / 0.012), atol=1e-6)


def test_a_hand_comes_down_within_a_cone() -> None:
    """By hand, and by steps of a millimetre towards each goal: from anywhere it arrives and shuts."""
    axes = pointing(0.0, 1.35, side="right")
    point, forward = np.array([0.2, 0.43, 0.018]), axes[:, 0]
    across = axes[:, 1]

    high = funnel(Pose(point - 0.2 * forward + 0.1 * across, axes), point, axes, wide=0.8)
    assert np.allclose(high.pose.point, point - 0.075 * forward), "far aside: over the point"
    above = funnel(Pose(point - 0.2 * forward, axes), point, axes, wide=0.8)
    assert np.allclose(above.pose.point, point) and above.grip == 0.8, "over it: straight down"
    beside = point + 0.035 * across
    low = funnel(Pose(beside, axes), point, axes, wide=0.8)
    assert np.allclose(low.pose.point, beside - 0.075 * forward), "low and aside: straight up first"
    there = funnel(Pose(point + 0.003 * across, axes), point, axes, wide=0.8)
    assert there.grip == 0.0 and np.allclose(there.pose.point, point)

    for start in (beside, point - 0.2 * forward + 0.1 * across, point + 0.02 * across - 0.01 * forward):
        hand = Pose(start, axes)
        for _ in range(400):
            goal = funnel(hand, point, axes, wide=0.8)
            if goal.grip == 0.0:
                break
            way = goal.pose.point - hand.point
            hand = Pose(hand.point + way * min(1.0, 0.001 / max(float(np.linalg.norm(way)), 1e-9)), axes)
        assert goal.grip == 0.0, start
