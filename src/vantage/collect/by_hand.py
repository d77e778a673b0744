"""A person at the controls of a simulated world: watches the cameras, takes over, acts, hands back.

    run_episode ──Moment──> see: keeps the clock, shows the cameras, hears the presses
                ──> watch: TAKE_OVER, HAND_BACK or FAILED, as pressed
                ──> act: what the keys, the gamepad or a teleoperator of LeRobot's say

`DemonstrateByHand` and `RescueByHand` are settings like those of scripted operators; the page comes from
`vantage play`. Such an episode is no function of its seed: what is played again is another one.
"""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from vantage.bounds import Whole, check
from vantage.collect.controls import Axis, Held, Stick, read_axes, usual_axes
from vantage.collect.desk import Desk, Press, desk_here
from vantage.collect.handover import Event, Phase, human_drives
from vantage.collect.teleoperators import Teleoperator, open_teleoperator
from vantage.errors import VantageError
from vantage.worlds.protocol import World

PICTURES = 40
"""Moments that are shown in a second, at most."""
BEHIND = 0.25
"""Seconds by which the clock may be behind before it is set anew."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A world before a control step."""

    world: World
    phase: Phase
    t: int
    images: Mapping[str, UInt8[np.ndarray, "_h _w 3"]] | None
    """What its cameras show, where that is recorded anyway."""
    last: Float32[np.ndarray, "A"] | None
    """The action that was executed before; None at the first step."""
    limit: int
    """Control steps before the episode ends unsolved, as things are now."""


@runtime_checkable
class Attendant(Protocol):
    """An operator who sees the world itself, keeps its own time, and hears how an episode ended."""

    def see(self, moment: Moment) -> None:
        """Called before every control step, and returns when that step may be made."""
        ...

    def end(self, success: bool) -> None:
        """The episode is over."""
        ...


@dataclass(frozen=True, slots=True)
class _ByHand:
    axes: tuple[str, ...] = ()
    """How every dimension of the action is held, as in `push a d` (vantage.collect.controls); empty: by the
    action's limits."""
    teleoperator: str = ""
    """A teleoperator of LeRobot's by its type (gamepad, so101_leader): its numbers are the action, in its own
    order. Empty: the keys and the gamepad of the page."""
    arguments: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True, hash=False)
    """Settings of the teleoperator, as its configuration calls them."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for axes that are none."""
        check(self)
        read_axes(self.axes)
        if self.axes and self.teleoperator:
            raise VantageError("a teleoperator sends whole actions; leave the axes out")
        if self.arguments and not self.teleoperator:
            raise VantageError("arguments are a teleoperator's; name it with teleoperator")

    def check_world(self, world: World) -> None:
        """Raise `VantageError` for a world that nobody can see, or whose action is held by other axes."""
        desk_here()
        if not world.cameras:
            raise VantageError(
                f"{world.task} shows no camera, so that nobody can see it; name one in its spec"
            )
        if self.teleoperator:
            open_teleoperator(self.teleoperator, self.arguments).check(world.action_low)
        else:
            Stick(self.axes_of(world), world.action_low, world.action_high, world.fps)

    def axes_of(self, world: World) -> tuple[Axis, ...]:
        """The axes, as named or by the limits of the action."""
        return read_axes(self.axes) if self.axes else usual_axes(world.action_low, world.action_high)


@dataclass(frozen=True, slots=True)
class DemonstrateByHand(_ByHand):
    """A person drives from the first step to the last, on the page of `vantage play`."""

    @property
    def extension(self) -> int:
        """Nothing is added to the limit."""
        return 0

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> "Hand":
        """A demonstrator for one episode. Raises VantageError where no page is open."""
        return Hand(self, desk_here(), always=True)


@dataclass(frozen=True, slots=True)
class RescueByHand(_ByHand):
    """A person watches every rollout on the page of `vantage play`, and may take over at any moment."""

    extension: Whole = field(default=400, kw_only=True)
    """Steps that human time may add to an episode's limit."""

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> "Hand":
        """An operator for one episode. Raises VantageError where no page is open."""
        return Hand(self, desk_here(), always=False)


class Hand:
    """One person in one episode; implements `Operator` and `Attendant`."""

    def __init__(self, settings: _ByHand, desk: Desk, *, always: bool) -> None:
        """`always`: drives from the first step on, and cannot hand back."""
        self._settings, self._desk, self._always = settings, desk, always
        self._stick: Stick | None = None
        self._teleoperator: Teleoperator | None = None
        self._keys: list[list[str]] = []
        self._moment: Moment | None = None
        self._pressed: list[Press] = []
        self._due = 0.0
        self._ticks: deque[float] = deque(maxlen=41)
        self._applied = 0

    def see(self, moment: Moment) -> None:
        """Show the moment, and wait until its control step is due. The world stands still while it waits for
        a person: before the first step, in a pause, and while no page is open."""
        first, self._moment = self._moment is None, moment
        if first:
            self._sit_down(moment.world)
            self._show("ready")
            self._wait()
        elif not self._desk.attended or Press.PAUSE in self._pressed:
            self._pressed.clear()
            self._show("paused")
            self._wait()

        self._keep_time(moment.world.fps)
        self._pressed += self._desk.presses()
        if self._teleoperator is not None:
            self._pressed += self._teleoperator.presses(driving=human_drives(moment.phase))
        if moment.t % self._every == 0:
            self._show("running")

    def watch(self, phase: Phase, t: int, state: Float32[np.ndarray, "E"]) -> Event | None:
        """What was pressed since the last control step; the last press counts, and `failed` above all."""
        pressed, self._pressed = self._pressed, [one for one in self._pressed if one is Press.PAUSE]
        if Press.FAILED in pressed:
            return Event.FAILED
        if self._always:
            return None if phase is Phase.CORRECTING else Event.TAKE_OVER

        driving = human_drives(phase)
        for press in reversed(pressed):
            if press is Press.TAKE_OVER:
                return None if driving else Event.TAKE_OVER
            if press is Press.HAND_BACK:
                return Event.HAND_BACK if driving else None
        return None

    def act(self, state: Float32[np.ndarray, "E"]) -> Float32[np.ndarray, "A"]:
        """The action of what is held now."""
        moment = self._moment
        assert moment is not None, "it has seen this step"
        if self._teleoperator is not None:
            return self._teleoperator.action(moment.world.action_low, moment.world.action_high)

        assert self._stick is not None, "it sat down"
        if not human_drives(moment.phase):
            self._stick.take_hold(_where_it_is(moment))
        held: Held = self._desk.held()
        self._applied = held.number
        return self._stick.action(held)

    def end(self, success: bool) -> None:
        """Say how it ended."""
        self._desk.finish(success)
        self._show("solved" if success else "failed")

    # ---- the clock and the page

    @property
    def _every(self) -> int:
        """Control steps from one shown moment to the next."""
        assert self._moment is not None
        return max(1, round(self._moment.world.fps * self._desk.speed / PICTURES))

    def _sit_down(self, world: World) -> None:
        if self._settings.teleoperator:
            self._teleoperator = open_teleoperator(self._settings.teleoperator, self._settings.arguments)
            return
        axes = self._settings.axes_of(world)
        self._stick = Stick(axes, world.action_low, world.action_high, world.fps)
        self._keys = [[axis.kind, axis.less, axis.more] for axis in axes]

    def _wait(self) -> None:
        """Wait until the person begins, or takes over at once."""
        wanted = (Press.BEGIN,) if self._always else (Press.BEGIN, Press.TAKE_OVER)
        pressed = self._desk.wait_for(wanted)
        if pressed is Press.TAKE_OVER:
            self._pressed.append(pressed)
        self._due, self._applied = 0.0, 0
        self._ticks.clear()

    def _keep_time(self, fps: float) -> None:
        """Wait for the time of this control step; a world that is slower than its clock sets it anew."""
        now = time.perf_counter()
        if now < self._due:
            time.sleep(self._due - now)
            now = time.perf_counter()
        elif now > self._due + BEHIND:
            self._due = now
        self._ticks.append(now)
        self._due += 1 / (fps * self._desk.speed)

    def _show(self, state: str) -> None:
        moment, ticks = self._moment, self._ticks
        assert moment is not None
        world = moment.world
        rate = (len(ticks) - 1) / (ticks[-1] - ticks[0]) if len(ticks) > 1 else None
        facts = {
            "state": state,
            "human": human_drives(moment.phase) or self._always,
            "always": self._always,
            "t": moment.t,
            "limit": moment.limit,
            "fps": world.fps,
            "speed": self._desk.speed,
            "rate": rate,
            "applied": self._applied,
            "prompt": world.prompt,
            "task": world.task,
            "axes": self._keys,
            "teleoperator": self._settings.teleoperator,
        }
        images = world.images() if moment.images is None else moment.images
        self._desk.show(facts, {camera: picture.copy() for camera, picture in images.items()})


def _where_it_is(moment: Moment) -> Float32[np.ndarray, "A"]:
    """The action that leaves the hand where it is: the last one, or at the first step the robot's own state
    where that has the same dimensions, otherwise the middle of the limits.

    A velocity (limits -1 and 1) begins in the middle, its gripper open.
    """
    world = moment.world
    if moment.last is not None:
        return moment.last
    middle = ((world.action_low + world.action_high) / 2).astype(np.float32)
    state = world.proprioception()
    return state if len(state) == len(middle) and not (world.action_low == -1).all() else middle
