"""Starts and a policy in, trials out: several episodes side by side.

One pass of the network decides for all of them:

    worlds ──observe──> one batch ──policy──> a chunk per world ──execute──> worlds ──> ... until all end

A group is a pure function of its starts and the policy's weights; which process plays it does not matter.
Only what was seen at the beginning of a chunk is kept: reinforcement learning needs no more.
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

from vantage.batch import Observation
from vantage.collect.observe import observe
from vantage.collect.operators import OperatorSpec, action_of, begin
from vantage.collect.pool import stamp
from vantage.errors import own_code
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy, StochasticPolicy
from vantage.practice.trials import Trials
from vantage.threads import one_thread
from vantage.types import VantageError
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
    """Recorded actions come first: from the start of the demonstration they are of, the world is then where
    that demonstration was."""

    actions: Float32[np.ndarray, "T A"]


@dataclass(frozen=True, slots=True)
class Start:
    """Where one episode begins."""

    world: WorldSpec
    task: int
    """Its number among the run's tasks."""
    seed: int
    lead: Driven | Replayed | None = None
    """What happens before the policy takes over: its control steps count as environment steps, not towards
    the limit. If the task is solved on the way, the episode begins where it always does."""


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
    with one_thread(), own_code():  # a world or an operator of one's own
        actor = _actor(group.actor, stamp(group.actor))
        episodes = _begin(group)

        while live := [episode for episode in episodes if not episode.over]:
            observation, images = _observe(actor, live)
            path, chunk = _decide(actor, observation, live, explores=group.explores)
            for i, episode in enumerate(live):
                _execute(episode, actor.execute, path[i], chunk[i])
                episode.images.append({camera: pictures[i] for camera, pictures in images.items()})

        return _trials(episodes, actor.cameras)


def _begin(group: Group) -> list[_Playing]:
    """Every episode of the group at the point where the policy takes over, in a world of its own."""
    copies: Counter[WorldSpec] = Counter()
    episodes: list[_Playing] = []
    for start in group.starts:
        # `_Playing.over` watches the limit, so worlds that differ in it alone can be the same object.
        spec = replace(start.world, limit=0)
        world = _world(spec, copies[spec])
        copies[spec] += 1

        world.reset(start.seed)
        led = _lead(world, start)
        episodes.append(_Playing(start, world, torch.Generator().manual_seed(start.seed), led))
    return episodes


def _lead(world: World, start: Start) -> int:
    """Bring the world to where the policy takes over; returns the steps that this took."""
    steps = 0
    for steps, action in enumerate(_leading(world, start), start=1):  # noqa: B007
        if world.step(action):
            world.reset(start.seed)
            break
    return steps


def _leading(world: World, start: Start) -> Iterator[Float32[np.ndarray, "A"]]:
    """The actions of whoever leads, one per control step."""
    match start.lead:
        case Replayed(actions):
            yield from actions

        case Driven(spec, steps):
            operator = begin(spec, start.world.task, steps, np.random.default_rng([start.seed, 1]))
            for _ in range(steps):
                yield action_of(operator, spec, world.environment_state(), len(world.action_low))

        case None:
            return


def _observe(actor: Policy, live: list[_Playing]) -> tuple[Observation, dict[str, np.ndarray]]:
    """One batch of what the policy may see, and the true state beside it."""
    observation = observe(actor.interface, [episode.world for episode in live])
    images = {camera: pictures.numpy() for camera, pictures in observation.images.items()}
    assert observation.environment_state is not None

    states, truths = observation.state.numpy(), observation.environment_state.numpy()
    for episode, state, truth in zip(live, states, truths, strict=True):
        elapsed = episode.steps / episode.start.world.limit
        episode.rows.append({"state": state, "environment_state": truth, "elapsed": elapsed})
    return observation, images


def _decide(
    actor: Policy, observation: Observation, live: list[_Playing], *, explores: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(paths, chunks) of the live episodes; every episode draws from a generator of its own.

    Raises VantageError where the policy is to explore and has no density.
    """
    if not explores:
        chunk = actor.act(observation.to(actor.device), live[0].generator).cpu().numpy()
        return chunk[:, None], chunk

    if not isinstance(actor, StochasticPolicy):
        remedy = "use a Gaussian actor or a stochastic flow"
        raise VantageError(f"{type(actor).__name__} has no density to explore with; {remedy}")
    noise = torch.stack([actor.exploration(episode.generator) for episode in live])
    path = actor.explore(observation.to(actor.device), noise.to(actor.device))
    return path.cpu().numpy(), actor.chunk_of(path).cpu().numpy()


def _execute(episode: _Playing, steps: int, path: np.ndarray, chunk: np.ndarray) -> None:
    """Execute the first `steps` actions of a chunk, or as many as success and the limit allow."""
    world = episode.world
    action = np.clip(chunk, world.action_low, world.action_high).astype(np.float32)
    executed = np.zeros(len(chunk), dtype=bool)

    for i in range(min(steps, episode.start.world.limit - episode.steps)):
        episode.success = world.step(action[i])
        executed[i] = True
        if episode.success:
            break

    episode.steps += int(executed.sum())
    episode.rows[-1] |= {"path": path, "action": action, "executed": executed}


def _trials(episodes: list[_Playing], cameras: tuple[str, ...]) -> Trials:
    rows = [row for episode in episodes for row in episode.rows]
    images = [pictures for episode in episodes for pictures in episode.images]

    def column(name: str) -> np.ndarray:
        return np.stack([cast(np.ndarray, row[name]) for row in rows]).astype(np.float32)

    return Trials(
        task=np.array([episode.start.task for episode in episodes]),
        seed=np.array([episode.start.seed for episode in episodes]),
        success=np.array([episode.success for episode in episodes]),
        steps=np.array([episode.steps for episode in episodes]),
        spent=np.array([episode.steps + episode.led for episode in episodes]),
        limit=np.array([episode.start.world.limit for episode in episodes]),
        led=np.array([episode.led > 0 for episode in episodes]),
        end_state=np.stack([episode.world.environment_state() for episode in episodes]),
        episode=np.repeat(np.arange(len(episodes)), [len(episode.rows) for episode in episodes]),
        elapsed=np.array([row["elapsed"] for row in rows], dtype=np.float32),
        state=column("state"),
        environment_state=column("environment_state"),
        images={camera: np.stack([pictures[camera] for pictures in images]) for camera in cameras},
        path=column("path"),
        action=column("action"),
        executed=column("executed").astype(bool),
    )


@lru_cache(maxsize=512)
def _world(spec: WorldSpec, _copy: int) -> World:
    return spec()


@lru_cache(maxsize=1)
def _actor(folder: Path, _stamp: int) -> Policy:
    """The policy of a checkpoint. Raises VantageError for one that looks back: of a chunk, only what was seen
    at its beginning is kept."""
    actor = load_policy(folder)
    if actor.interface.history > 1:
        raise VantageError(
            f"{folder} looks at {actor.interface.history} observations, and practice keeps one of a chunk; "
            "practise a policy that looks at one"
        )
    return actor
