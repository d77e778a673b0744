"""A soft pouch, a marker and a zip: seeds, cloth and teeth, the expert, and what an early zip does."""

import numpy as np
import pytest
from two_arms import by_the_expert, check_the_seed_alone_decides, held_still

from experiments import bimanual
from vantage.worlds.bimanual.pouch_zip import (
    BACK,
    ENVIRONMENT_DIM,
    FLOOR,
    HEIGHT,
    WIDTH,
    ZIP_START,
    ZIP_WAY,
    PouchZip,
    is_inside,
    tooth_at,
)
from vantage.worlds.bimanual.pouch_zip_expert import STAGES, Expert
from vantage.worlds.bimanual.spec import BimanualSpec
from vantage.worlds.metaworld.experts.style import RESCUER

TAB, ZIP, TEETH, MARKER = slice(35, 38), 38, slice(39, 42), slice(42, 45)
"""Where these stand in the true state."""


@pytest.fixture(scope="module")
def world() -> PouchZip:
    return PouchZip()


def put_in(world: PouchZip) -> None:
    """The marker into the pouch."""
    pouch = world.data.body("pouch")
    marker = world.data.joint("marker").qpos
    marker[:3] = pouch.xpos + pouch.xmat.reshape(3, 3) @ np.array([0.02, -0.002, 0.02])
    marker[3:] = world.data.joint("pouch").qpos[3:]


def draw_zip(world: PouchZip, newtons: float, steps: int) -> bool:
    """Draw it with this force; whether it succeeded."""
    world.data.joint("zip").qfrc_applied[:] = newtons
    success = held_still(world, steps)
    world.data.joint("zip").qfrc_applied[:] = 0.0
    return success


def test_the_seed_alone_decides(world: PouchZip) -> None:
    check_the_seed_alone_decides(world, PouchZip())


def test_starts_vary_and_stand_still(world: PouchZip) -> None:
    starts: list[np.ndarray] = []
    for seed in range(20):
        world.reset(seed)
        starts.append(world.environment_state())
    spread = np.std(starts, axis=0)
    assert (spread[28:30] > 0.01).all() and (spread[42:44] > 0.015).all()
    held_still(world, 25)
    moved = np.abs(world.environment_state() - starts[-1])
    assert moved[28:39].max() < 3e-3 and moved[42:49].max() < 3e-3, "cloth, tab, zip and marker"


def test_the_value_says_what_the_world_is(world: PouchZip) -> None:
    spec = BimanualSpec("pouch-zip")
    world.reset(0)
    assert world.environment_state().shape == (spec.environment_dim,) == (ENVIRONMENT_DIM,)
    assert spec().prompt == world.prompt


def test_what_is_inside_by_hand() -> None:
    low = FLOOR + 0.01
    assert is_inside(np.array([0.0, 0.002, low])) and is_inside(np.array([0.0, -0.03, FLOOR + 0.8 * HEIGHT]))
    for outside in (
        (0.0, BACK + 1e-3, low),  # behind the back
        (0.0, -0.012, low),  # on the foot, before the cloth
        (WIDTH / 2 + 1e-3, 0.005, low),
        (0.0, 0.0, FLOOR + HEIGHT + 1e-3),  # above the lip
    ):
        assert not is_inside(np.array(outside))
    assert [tooth_at(k) for k in range(3)] == pytest.approx([-WIDTH / 4, 0.0, WIDTH / 4])


def test_a_tab_that_is_let_go_springs_back(world: PouchZip) -> None:
    world.reset(0)
    shut = world.environment_state()[TAB]
    along = world.data.body("pouch").xmat.reshape(3, 3)[:, 1]
    world.data.body("tab").xfrc_applied[:3] = -1.0 * along
    held_still(world, 25)
    pulled = world.environment_state()[TAB]
    world.data.xfrc_applied[:] = 0.0
    held_still(world, 25)
    assert pulled[1] < shut[1] - 0.05
    assert world.environment_state()[TAB][1] == pytest.approx(shut[1], abs=0.005)


def test_teeth_close_as_the_zip_passes_and_open_when_it_comes_back(world: PouchZip) -> None:
    world.reset(1)
    seen: list[tuple[float, int]] = []
    world.data.joint("zip").qfrc_applied[:] = 0.65
    for _ in range(60):
        held_still(world, 1)
        state = world.environment_state()
        seen.append((float(state[ZIP]), int(state[TEETH].sum())))
    assert seen[-1] == (pytest.approx(ZIP_WAY, abs=0.005), 3)
    for zipped, closed in seen:
        assert closed <= np.sum([ZIP_START + zipped > tooth_at(k) - 0.005 for k in range(3)]) <= closed + 1
    draw_zip(world, -3.0, 40)
    assert world.environment_state()[ZIP] < 0.01 and not world.environment_state()[TEETH].any()


def test_a_lip_that_is_held_away_is_not_caught(world: PouchZip) -> None:
    world.reset(1)
    put_in(world)
    along = world.data.body("pouch").xmat.reshape(3, 3)[:, 1]
    world.data.body("tab").xfrc_applied[:3] = -1.0 * along
    held_still(world, 20)
    success = draw_zip(world, 2.0, 40)
    world.data.xfrc_applied[:] = 0.0
    assert not success and not world.environment_state()[TEETH][1]


def test_it_counts_only_with_the_marker_inside_and_is_latched(world: PouchZip) -> None:
    world.reset(2)
    assert not draw_zip(world, 0.65, 60), "an empty pouch"
    assert world.environment_state()[TEETH].all()

    world.reset(2)
    put_in(world)
    held_still(world, 5)
    assert draw_zip(world, 0.65, 60)
    world.data.joint("marker").qpos[:3] = (0.2, 0.4, 0.01)
    assert held_still(world, 2), "what has succeeded stays so"


def test_stages_come_in_order(world: PouchZip) -> None:
    expert = Expert()
    done, stages, progress = by_the_expert(world, expert, limit=500)
    assert done and stages[0] == 0 and stages[-1] == len(STAGES)
    assert (np.maximum.accumulate(stages) - stages).max() <= 1, "a pad may leave the marker for a moment"
    assert progress[-1] >= len(STAGES) and min(np.diff(progress)) > -1.0


def test_a_zip_that_was_drawn_too_early_is_drawn_back(world: PouchZip) -> None:
    """The rescuer takes over with two teeth closed and the marker still on the table."""
    world.reset(4)
    world.data.joint("zip").qfrc_applied[:] = 0.7
    while world.environment_state()[ZIP] < 0.11:
        held_still(world, 1)
    world.data.joint("zip").qfrc_applied[:] = 0.0
    assert world.environment_state()[TEETH].sum() == 2
    expert = Expert()
    expert.reset(np.random.default_rng(0), RESCUER)
    assert any(world.step(expert.act(world.environment_state())) for _ in range(500))
    state = world.environment_state()
    assert expert.view(state).marker_in and np.isfinite(state[MARKER]).all()


def test_random_play_is_finite_and_without_warnings() -> None:
    told = bimanual.random_play("pouch-zip", episodes=3, steps=60)
    assert "0 with a warning of MuJoCo's, 0 with a number that is not finite" in told
