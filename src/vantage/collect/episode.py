"""The one loop: a world, a policy and an operator in, an episode out.

    watch ─> who drives? ─> policy: next step of its chunk ──┐
                        └─> human: the operator's action ────┴─> world.step ─> record

An operator may command some action dimensions only, such as those of one arm of two (`Rescue.actions`); while
it drives, the policy goes on commanding the others.

Every episode is a pure function of (world spec, policy weights, operator setting, seed, beginning), unless a
person drives: it runs alone, at batch size one, on one thread.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from vantage.collect.by_hand import Attendant, Moment
from vantage.collect.handover import Event, Phase, human_drives, next_phase
from vantage.collect.observe import Memory, observe
from vantage.collect.operators import OperatorSpec, action_of, begin, commanded_by, noticed_by
from vantage.data.episodes import Episode
from vantage.policies.protocol import Policy
from vantage.types import VantageError
from vantage.worlds.protocol import World

LEAD = "lead"
"""In `Episode.info`: control steps after its start at which the episode begins; where it is not there, 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Beginning:
    """Where an episode begins that does not begin where the world puts it at the episode's own seed."""

    seed: int
    """What the world is reset with."""
    lead: Float32[np.ndarray, "T A"]
    """What is done from there before the episode begins: part of what was recorded from this start. It is not
    part of the episode, and does not count towards the limit."""
    state: Float32[np.ndarray, "E"]
    """True state that was recorded where the episode begins."""


@dataclass(slots=True)
class _Recorder:
    """Collects one row per control step."""

    pictures: bool
    state: list[np.ndarray] = field(default_factory=list[np.ndarray])
    environment_state: list[np.ndarray] = field(default_factory=list[np.ndarray])
    action: list[np.ndarray] = field(default_factory=list[np.ndarray])
    policy_action: list[np.ndarray] = field(default_factory=list[np.ndarray])
    intervention: list[bool] = field(default_factory=list[bool])
    images: dict[str, list[np.ndarray]] = field(default_factory=dict[str, list[np.ndarray]])


def run_episode(
    world: World,
    policy: Policy | None,
    operator: OperatorSpec,
    *,
    task: str,
    seed: int,
    limit: int,
    policy_version: int = -1,
    pictures: bool = True,
    execute: int | None = None,
    beginning: Beginning | None = None,
) -> Episode:
    """Play one episode until success or the limit, and return all of it.

    `policy` None: nobody but the operator acts (demonstrations; their policy_action is the action). `limit`
    in control steps; human time extends it by at most the operator's `extension`. `pictures`: render and keep
    every frame; otherwise only what the policy looks at. `execute`: steps executed of a chunk; None: as the
    policy says. `beginning`: where it begins; None: at `seed`. Raises VantageError if policy and world differ
    in action dimensions. The operator may end the episode before, as failed.
    """
    if policy is not None and policy.action_dim != len(world.action_low):
        fault = f"the policy has {policy.action_dim} action dimensions and {task} has {len(world.action_low)}"
        raise VantageError(f"{fault}; use a checkpoint of this robot")

    rng = np.random.default_rng([seed, 1])
    generator = torch.Generator().manual_seed(seed)
    info = _begin(world, seed, beginning)
    watcher = begin(operator, task, limit, rng)
    commanded = commanded_by(operator, len(world.action_low))
    driver = None if policy is None else _ChunkedPolicy(policy, generator, execute or policy.execute)
    recorder = _Recorder(pictures)

    attendant = watcher if isinstance(watcher, Attendant) else None
    phase, success, human_steps, t = Phase.AUTONOMOUS, False, 0, 0
    action: np.ndarray | None = None
    while not success and t < (ends := limit + min(human_steps, operator.extension)):
        truth, state = world.environment_state(), world.proprioception()
        images = world.images() if pictures else None
        if attendant is not None:
            attendant.see(Moment(world, phase, t, images, action, ends))
        event = noticed_by(watcher, operator, phase, t, truth)
        if event is Event.FAILED and t:  # an episode has one step at least
            break
        before, phase = phase, next_phase(phase, event)
        human = human_drives(phase)
        if driver is not None and human != human_drives(before):
            driver.forget()

        # The policy proposes on human steps too: what it would have done is recorded beside what was done.
        proposed = None if driver is None else driver.next_action(world, images)
        if human:
            action = action_of(watcher, operator, truth, len(world.action_low))
            if proposed is not None:
                action = np.where(commanded, action, proposed)
        else:
            if proposed is None:
                raise VantageError(
                    f"{type(operator).__name__} does not drive {task} at control step {t}, and there is no "
                    "policy that could; whoever demonstrates takes over before the first step and stays"
                )
            action = proposed

        action = np.clip(action, world.action_low, world.action_high).astype(np.float32)
        _record(recorder, state, truth, action, action if proposed is None else proposed, human, images)
        success = world.step(action)
        human_steps += human
        t += 1

    if attendant is not None:
        attendant.end(success)
    start = seed if beginning is None else beginning.seed
    return _episode(recorder, world.prompt, task, start, success, policy_version, info)


def _begin(world: World, seed: int, beginning: Beginning | None) -> dict[str, int]:
    """Bring the world to where an episode begins; what its record says of that."""
    if beginning is None:
        world.reset(seed)
        return {}

    world.reset(beginning.seed)
    for action in beginning.lead:
        world.step(action)
    if not np.allclose(world.environment_state(), beginning.state, atol=1e-5, equal_nan=True):
        raise VantageError(
            f"an episode that was played again from start {beginning.seed} is elsewhere after "
            f"{len(beginning.lead)} control steps: the world does not repeat itself, which "
            "rollouts.exploration.starts BeforeFailure needs; give other starts"
        )
    return {LEAD: len(beginning.lead)}


class _ChunkedPolicy:
    """A chunk policy as a step policy: predicts when its queue is empty or was forgotten at a hand-over."""

    def __init__(self, policy: Policy, generator: torch.Generator, execute: int) -> None:
        self._policy, self._generator, self._execute = policy, generator, execute
        self._queue: list[np.ndarray] = []
        self._memory = Memory(policy.interface.history)

    def forget(self) -> None:
        """Drop what is left of the chunk and what was seen: the other driver has changed the world, and
        windows end here too."""
        self._queue.clear()
        self._memory.forget()

    def next_action(
        self,
        world: World,
        images: dict[str, UInt8[np.ndarray, "_h _w 3"]] | None,
    ) -> Float32[np.ndarray, "A"]:
        # A policy that looks back needs to see every step, also those at which it decides nothing.
        if self._queue and self._policy.interface.history == 1:
            return self._queue.pop(0)

        present = observe(self._policy.interface, [world], None if images is None else [images])
        observation = self._memory.recall(present)
        if not self._queue:
            predicted = self._policy.act(observation.to(self._policy.device), self._generator)
            chunk = predicted[0, : self._execute].cpu().numpy()
            self._queue = [np.clip(a, world.action_low, world.action_high).astype(np.float32) for a in chunk]
        return self._queue.pop(0)


def _record(
    recorder: _Recorder,
    state: np.ndarray,
    truth: np.ndarray,
    action: np.ndarray,
    proposed: np.ndarray,
    human: bool,
    images: dict[str, np.ndarray] | None,
) -> None:
    recorder.state.append(state)
    recorder.environment_state.append(truth)
    recorder.action.append(action)
    recorder.policy_action.append(proposed)
    recorder.intervention.append(human)
    for camera, picture in (images or {}).items():
        recorder.images.setdefault(camera, []).append(picture)


def _episode(
    recorder: _Recorder,
    prompt: str,
    task: str,
    seed: int,
    success: bool,
    policy_version: int,
    info: dict[str, int],
) -> Episode:
    """The rows of a recorder as columns."""
    steps = len(recorder.action)
    last = np.arange(steps) == steps - 1

    return Episode(
        state=np.stack(recorder.state).astype(np.float32),
        environment_state=np.stack(recorder.environment_state).astype(np.float32),
        action=np.stack(recorder.action),
        policy_action=np.stack(recorder.policy_action),
        intervention=np.array(recorder.intervention, dtype=bool),
        policy_version=np.full(steps, policy_version, dtype=np.int64),
        success=last & success,
        done=last,
        prompt=prompt,
        images={camera: np.stack(pictures) for camera, pictures in recorder.images.items()},
        seed=seed,
        task=task,
        info=info,
    )
