"""Keys become actions, presses become events, and a world without anybody in front of it is refused."""

import threading

import numpy as np
import pytest

from vantage.collect.by_hand import Hand, Moment, RescueByHand
from vantage.collect.controls import Held, Stick, read_axes, usual_axes
from vantage.collect.desk import Desk, Press, seated
from vantage.collect.handover import Event, Phase
from vantage.errors import VantageError
from vantage.worlds.protocol import World

LOW, HIGH = np.array([-1, 0], np.float32), np.array([1, 10], np.float32)


class Still:
    """A world of two dimensions that shows one grey pixel."""

    task = prompt = "still"
    fps, cameras, action_low, action_high = 100, ("eye",), LOW, HIGH

    def reset(self, seed: int) -> None: ...

    def step(self, action: np.ndarray) -> bool:
        return False

    def proprioception(self) -> np.ndarray:
        return np.array([0, 4], np.float32)

    environment_state = proprioception

    def images(self) -> dict[str, np.ndarray]:
        return {"eye": np.full((1, 1, 3), 9, np.uint8)}

    def close(self) -> None: ...


def test_keys_and_sticks_become_actions() -> None:
    stick = Stick(read_axes(["push a d", "move j l"]), LOW, HIGH, fps=10)
    stick.take_hold(np.array([0.7, 5], np.float32))
    assert stick.action(Held(frozenset("dl"))) == pytest.approx([1, 5 + 0.25 * 10 / 10])
    assert stick.action(Held()) == pytest.approx([0, 5.25]), "a push goes back, a target stays"
    assert stick.action(Held(frozenset({"a", "shift"}), (0.0, -1.0))) == pytest.approx([-0.25, 5.1875])
    latch = Stick(read_axes(["latch q e", "still"]), LOW, HIGH, fps=10)
    latch.take_hold(np.array([0.2, 7], np.float32))
    held = [latch.action(Held(frozenset(keys))).tolist() for keys in ("", "q", "", "e", "")]
    assert held == [[1, 7], [-1, 7], [-1, 7], [1, 7], [1, 7]]


def test_usual_axes_go_by_the_limits() -> None:
    ones = np.ones(4, np.float32)
    assert [axis.kind for axis in usual_axes(-ones, ones)] == ["push"] * 3 + ["latch"]
    assert [axis.kind for axis in usual_axes(LOW, HIGH)] == ["move"] * 2
    with pytest.raises(VantageError, match="there are keys for 17"):
        usual_axes(-np.ones(18, np.float32), np.ones(18, np.float32))


@pytest.mark.parametrize("words", ["push a", "pull a d", "push x d", "still a b"])
def test_an_axis_that_is_none_is_refused(words: str) -> None:
    with pytest.raises(VantageError, match=r"is no axis|has a meaning already"):
        RescueByHand((words,))
    with pytest.raises(VantageError, match="has a meaning already"):
        read_axes(["push a d", "push d f"])


def test_a_world_that_does_not_fit_is_refused_and_so_is_one_that_nobody_looks_at() -> None:
    with pytest.raises(VantageError, match="give the command as `vantage play`"):
        RescueByHand()("still", 9, np.random.default_rng(0))
    with seated(Desk()):
        RescueByHand().check_world(Still())
        with pytest.raises(VantageError, match="1 axes are named, and the action has 2"):
            RescueByHand(("push a d",)).check_world(Still())


def test_presses_become_events_and_nothing_old_is_obeyed() -> None:
    desk = Desk()
    page = desk.open_page()
    world: World = Still()
    with seated(desk):
        hand: Hand = RescueByHand()("still", 9, np.random.default_rng(0))

        def see(phase: Phase, t: int, *presses: Press, keys: str = "") -> Event | None:
            desk.take(page, Held(frozenset(keys), number=t), presses, None)
            hand.see(Moment(world, phase, t, None, None if t == 0 else np.array([0.5, 4], np.float32), 9))
            return hand.watch(phase, t, world.environment_state())

        timer = threading.Timer(0.2, desk.take, (page, Held(), [Press.BEGIN], None))
        timer.start()
        assert see(Phase.AUTONOMOUS, 0, Press.FAILED) is None, (
            "what was pressed before the beginning is dropped"
        )
        assert see(Phase.AUTONOMOUS, 1, Press.HAND_BACK) is None
        assert see(Phase.AUTONOMOUS, 2, Press.TAKE_OVER, keys="d") is Event.TAKE_OVER
        assert hand.act(world.environment_state()) == pytest.approx([0.5 + 0.25 * 2 / 100, 4])
        assert see(Phase.CORRECTING, 3, Press.TAKE_OVER, Press.HAND_BACK) is Event.HAND_BACK
        assert see(Phase.AUTONOMOUS, 4, Press.TAKE_OVER, Press.FAILED) is Event.FAILED
        shown = desk.after(0, 1)
        assert shown is not None and shown.facts["state"] == "running" and shown.pictures["eye"].item(0) == 9

        desk.close_page(page)
        page = desk.open_page()
        assert not desk.take(page - 1, Held(), [Press.BEGIN], None), "of two pages the newer one counts"

    assert desk.ended, "who leaves lets the page go, and whoever waits for it"
    with pytest.raises(VantageError, match="the page has ended"):
        desk.wait_for([Press.BEGIN])
