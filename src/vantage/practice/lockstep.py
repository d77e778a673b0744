"""Starts and a policy in, trials out: several episodes side by side, so that one pass of the network decides for all of them.

    worlds ──observe──> one batch ──policy──> a chunk each ──> every world executes its own ──> ...until all have ended

A group is a pure function of its starts and the policy's weights; which process plays it does not matter. Only what was seen at the
beginning of a chunk is kept: reinforcement learning needs no more.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32

from vantage.collect.observe import observe
from vantage.collect.operators import OperatorSpec
from vantage.collect.pool import stamp
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy, StochasticPolicy
from vantage.practice.trials import Trials
from vantage.threads import one_thread
from vantage.types import Observation, VantageError
from vantage.worlds.protocol import World
from vantage.worlds.spec import WorldSpec


@dataclass(frozen=True, slots=True)
class Driven:
    """An operator drives first."""

    operator: OperatorSpec
    steps: int
    """Control steps."""


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """Recorded actions come first: from the start of the demonstration they are of, the world is then where that demonstration was."""

    actions: Float32[np.ndarray, "T A"]


@dataclass(frozen=True, slots=True)
class Start:
    """Where one episode begins."""

    world: WorldSpec
    task: int
    """Its number among the run's tasks."""
    seed: int
    lead: Driven | Replayed | None = None
    """What happens before the policy takes over: its control steps count as environment steps, not towards the limit. If the task is
    solved on the way, the episode begins where it always does."""


@dataclass(frozen=True, slots=True)
class Group:
    """Episodes that are played side by side by one process."""

    number: int
    starts: tuple[Start, ...]
    actor: Path
    """Folder of the checkpoint."""
    explores: bool
    """Sample (`StochasticPolicy.explore`), or act as in deployment (`Policy.act`)."""


@dataclass(slots=True)
class _Playing:
    """One episode under way."""

    start: Start
    world: World
    generator: torch.Generator
    led: int
    """Environment steps before the policy took over."""
    steps: int = 0
    success: bool = False
    rows: list[dict[str, np.ndarray | float]] = field(default_factory=list[dict[str, "np.ndarray | float"]])
    images: list[dict[str, np.ndarray]] = field(default_factory=list[dict[str, np.ndarray]])

    @property
    def over(self) -> bool:
        return self.success or self.steps >= self.start.world.limit


def play_group(group: Group) -> Trials:
    """Play every episode of the group to success or its limit, on one thread."""
    with one_thread():
        actor = _actor(group.actor, stamp(group.actor))
        playing = _begin(group)
        while live := [each for each in playing if not each.over]:
            observation, seen = _observe(actor, live)
            path, chunk = _decide(actor, observation, live, explores=group.explores)
            for i, each in enumerate(live):
                _execute(each, actor.execute, path[i], chunk[i])
                each.images.append({camera: pictures[i] for camera, pictures in seen.items()})
        return _trials(playing, actor.cameras)


def _begin(group: Group) -> list[_Playing]:
    copies: Counter[WorldSpec] = Counter()
    playing: list[_Playing] = []
    for start in group.starts:
        spec = replace(start.world, limit=0)  # the limit is ours to watch: worlds that differ in it alone are one
        world = _world(spec, copies[spec])
        copies[spec] += 1
        world.reset(start.seed)
        led = _lead(world, start)
        playing.append(_Playing(start, world, torch.Generator().manual_seed(start.seed), led))
    return playing


def _lead(world: World, start: Start) -> int:
    """Bring the world to where the policy takes over; returns the steps that this took."""
    steps = 0
    for steps, action in enumerate(_leading(world, start), start=1):  # noqa: B007
        if world.step(action):
            world.reset(start.seed)
            break
    return steps


def _leading(world: World, start: Start) -> Iterator[Float32[np.ndarray, "A"]]:
    match start.lead:
        case Replayed(actions):
            yield from actions
        case Driven(spec, steps):
            operator = spec(start.world.task, steps, np.random.default_rng([start.seed, 1]))
            for _ in range(steps):
                yield operator.act(world.environment_state())
        case None:
            return


def _observe(actor: Policy, live: list[_Playing]) -> tuple[Observation, dict[str, np.ndarray]]:
    """One batch of what the policy may see, and the true state beside it."""
    observation = observe(actor.interface, [each.world for each in live])
    images = {camera: pictures.numpy() for camera, pictures in observation.images.items()}
    assert observation.environment_state is not None
    for each, state, truth in zip(live, observation.state.numpy(), observation.environment_state.numpy(), strict=True):
        each.rows.append({"state": state, "environment_state": truth, "elapsed": each.steps / each.start.world.limit})
    return observation, images


def _decide(actor: Policy, observation: Observation, live: list[_Playing], *, explores: bool) -> tuple[np.ndarray, np.ndarray]:
    """(paths, chunks) of the live episodes; every episode draws from a generator of its own."""
    if not explores:
        chunk = actor.act(observation.to(actor.device), live[0].generator).cpu().numpy()
        return chunk[:, None], chunk
    if not isinstance(actor, StochasticPolicy):
        raise VantageError(f"{type(actor).__name__} has no density to explore with; use a Gaussian actor or a stochastic flow")
    noise = torch.stack([actor.exploration(each.generator) for each in live])
    path = actor.explore(observation.to(actor.device), noise.to(actor.device))
    return path.cpu().numpy(), actor.chunk_of(path).cpu().numpy()


def _execute(each: _Playing, steps: int, path: np.ndarray, chunk: np.ndarray) -> None:
    world = each.world
    action = np.clip(chunk, world.action_low, world.action_high).astype(np.float32)
    executed = np.zeros(len(chunk), dtype=bool)
    for i in range(min(steps, each.start.world.limit - each.steps)):
        each.success = world.step(action[i])
        executed[i] = True
        if each.success:
            break
    each.steps += int(executed.sum())
    each.rows[-1] |= {"path": path, "action": action, "executed": executed}


def _trials(playing: list[_Playing], cameras: tuple[str, ...]) -> Trials:
    rows = [row for each in playing for row in each.rows]
    images = [seen for each in playing for seen in each.images]

    def column(name: str) -> np.ndarray:
        return np.stack([cast(np.ndarray, row[name]) for row in rows]).astype(np.float32)

    return Trials(
        task=np.array([each.start.task for each in playing]),
        seed=np.array([each.start.seed for each in playing]),
        success=np.array([each.success for each in playing]),
        steps=np.array([each.steps for each in playing]),
        spent=np.array([each.steps + each.led for each in playing]),
        limit=np.array([each.start.world.limit for each in playing]),
        led=np.array([each.led > 0 for each in playing]),
        end_state=np.stack([each.world.environment_state() for each in playing]),
        episode=np.repeat(np.arange(len(playing)), [len(each.rows) for each in playing]),
        elapsed=np.array([row["elapsed"] for row in rows], dtype=np.float32),
        state=column("state"),
        environment_state=column("environment_state"),
        images={camera: np.stack([seen[camera] for seen in images]) for camera in cameras},
        path=column("path"),
        action=column("action"),
        executed=column("executed").astype(bool),
    )


@lru_cache(maxsize=512)
def _world(spec: WorldSpec, _copy: int) -> World:
    return spec()


@lru_cache(maxsize=1)
def _actor(folder: Path, _stamp: int) -> Policy:
    return load_policy(folder)
