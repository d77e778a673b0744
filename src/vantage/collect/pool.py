"""Jobs in, results out, on every core: worker processes that play whole episodes and return only a summary.

The episodes themselves go to the journal on disk, written by the process that played them. Results do not
depend on the number of workers, nor on which worker played what, nor on whether one of them died on the way.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool

from vantage.collect.cluster import Cluster, Ray, open_cluster
from vantage.collect.episode import Beginning, run_episode
from vantage.collect.operators import ByHand, OperatorSpec
from vantage.collect.workers import Workers, open_workers
from vantage.data.episodes import save_episode
from vantage.errors import own_code
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.worlds.protocol import World
from vantage.worlds.spec import WorldSpec


@dataclass(frozen=True, slots=True)
class Job:
    """One episode to play."""

    number: int
    """Its row in the data set or in the suite."""
    world: WorldSpec
    actor: Path | None
    """Folder of the checkpoint that drives; None: the operator alone."""
    operator: OperatorSpec
    seed: int
    policy_version: int = -1
    recorded_late: int = 0
    """Control steps by which the record of who drives is shifted."""
    noise: float | None = None
    """Scale of the noise that a flow acts from; None: what the checkpoint says."""
    execute: int | None = None
    """Steps executed of a chunk; None: what the checkpoint says."""
    beginning: Beginning | None = None
    """Where the episode begins; None: where the world is at `seed`."""
    acting: Callable[[Policy], Policy] | None = None
    """Makes the policy that acts of the one that was loaded: a value that compares by its fields; None: the
    loaded one acts."""
    device: str = "cpu"
    """Where the policy acts, in torch's words; every worker holds a policy of its own there."""
    journal: Path | None = None
    """Folder that keeps the episode; None: only the summary survives."""
    pictures: bool = False
    """Render and keep every frame."""


@dataclass(frozen=True, slots=True)
class Played:
    """What is left of an episode when its frames are on disk."""

    number: int
    task: str
    prompt: str
    seed: int
    success: bool
    steps: int
    human_steps: int
    limit: int


def play(job: Job) -> Played:
    """Play one job in this process, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        actor = None
        if job.actor is not None:
            actor = _actor(job.actor, stamp(job.actor), job.noise, job.acting, job.device)
        with own_code():  # a world, an operator or a policy of one's own
            episode = run_episode(
                _world(job.world),
                actor,
                job.operator,
                task=job.world.task,
                seed=job.seed,
                limit=job.world.limit,
                policy_version=job.policy_version,
                pictures=job.pictures,
                execute=job.execute,
                beginning=job.beginning,
            )
    finally:
        torch.set_num_threads(threads)

    if job.recorded_late:
        episode = replace(episode, intervention=shift(episode.intervention, job.recorded_late))
    if job.journal is not None:
        save_episode(job.journal, job.number, episode)

    return Played(
        number=job.number,
        task=job.world.task,
        prompt=episode.prompt,
        seed=job.seed,
        success=bool(episode.success.any()),
        steps=len(episode.action),
        human_steps=int(episode.intervention.sum()),
        limit=job.world.limit,
    )


def shift(drove: Bool[np.ndarray, "T"], late: int) -> Bool[np.ndarray, "T"]:
    """The same switches, `late` steps later (earlier if negative); the ends repeat."""
    return drove[np.clip(np.arange(len(drove)) - late, 0, len(drove) - 1)]


def stamp(checkpoint: Path) -> int:
    """When a checkpoint was written, in nanoseconds; 0 where there is none.

    A key of caches, so that a new checkpoint under an old name is read again.
    """
    config = checkpoint / "config.json"
    return config.stat().st_mtime_ns if config.exists() else 0


@lru_cache(maxsize=64)
def _world(spec: WorldSpec) -> World:
    return spec()


@lru_cache(maxsize=2)
def _actor(
    folder: Path,
    _stamp: int,
    noise: float | None,
    acting: Callable[[Policy], Policy] | None,
    device: str,
) -> Policy:
    policy = load_policy(folder).to(device)
    if noise is not None:
        policy = policy.with_noise(noise)
    return policy if acting is None else acting(policy)


@runtime_checkable
class Pool(Protocol):
    """Plays jobs; yields summaries in the order they end."""

    def __call__(self, jobs: Iterable[Job]) -> Iterator[Played]:
        """Play them all."""
        ...

    def each[A, B](self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """`function` of every item, in the order they end; for other work than single episodes."""
        ...


class _Here:
    def __call__(self, jobs: Iterable[Job]) -> Iterator[Played]:
        return map(play, jobs)

    def each[A, B](self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        return map(function, items)


play_here = _Here()
"""The pool of one: this process."""


@contextmanager
def open_pool(workers: int | Ray) -> Generator[Pool]:
    """A pool of `workers` processes, or of a cluster's, that lives as long as the context; one worker is this
    process itself."""
    if isinstance(workers, Ray):
        with open_cluster(workers) as cluster:
            yield _Elsewhere(cluster)
        return
    if workers <= 1:
        yield play_here
        return
    preload = ("vantage.collect.pool", "vantage.worlds.metaworld.world")
    with open_workers(workers, preload=preload) as processes:
        yield _Elsewhere(processes)


class _Elsewhere:
    """Other processes, here or on other machines; what a person plays is played in this one."""

    def __init__(self, workers: Workers | Cluster) -> None:
        self._workers = workers

    def __call__(self, jobs: Iterable[Job]) -> Iterator[Played]:
        waiting = list(jobs)
        yield from map(play, (job for job in waiting if isinstance(job.operator, ByHand)))
        elsewhere = [job for job in waiting if not isinstance(job.operator, ByHand)]
        if elsewhere:
            yield from self.each(play, elsewhere)

    def each[A, B](self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        return self._workers.each(function, items)
