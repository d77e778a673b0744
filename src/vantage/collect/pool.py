"""Jobs in, results out, on every core: worker processes that play whole episodes and return only a summary.

The episodes themselves go to the journal on disk, written by the process that played them. Results do not depend on the number of
workers, nor on which worker played what.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool

from vantage.collect.episode import run_episode
from vantage.collect.operators import OperatorSpec
from vantage.data.episodes import save_episode
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.progress import console
from vantage.worlds.protocol import World
from vantage.worlds.spec import WorldSpec


@dataclass(frozen=True, slots=True)
class Job:
    """One episode to play."""

    number: int
    """Its place in the data set or in the suite."""
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
        actor = None if job.actor is None else _actor(job.actor, (job.actor / "config.json").stat().st_mtime_ns, job.noise)
        episode = run_episode(
            _world(job.world),
            actor,
            job.operator,
            task=job.world.task,
            seed=job.seed,
            limit=job.world.limit,
            policy_version=job.policy_version,
            pictures=job.pictures,
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


@lru_cache(maxsize=64)
def _world(spec: WorldSpec) -> World:
    return spec()


@lru_cache(maxsize=2)
def _actor(folder: Path, _stamp: int, noise: float | None) -> Policy:
    policy = load_policy(folder)
    return policy if noise is None else policy.with_noise(noise)


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
def open_pool(workers: int) -> Generator[Pool]:
    """A pool of `workers` processes that lives as long as the context; one worker is this process itself."""
    if workers <= 1:
        yield play_here
        return
    with open_processes(workers, preload=("vantage.collect.pool", "vantage.worlds.metaworld.world")) as executor:
        yield _Processes(executor)


@contextmanager
def open_processes(workers: int, *, preload: Sequence[str], quiet: bool = False) -> Generator[ProcessPoolExecutor]:
    """Worker processes for any work: they import the modules `preload` once, do not outlive this process, and are left to themselves
    when the context ends by an error.

    `quiet`: they print nothing and use one thread each, for work that would show its own progress.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    begin = _begin_quietly if quiet else leave_with_parent
    with ProcessPoolExecutor(workers, mp_context=context, initializer=begin) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _begin_quietly() -> None:
    leave_with_parent()
    console.quiet = True
    torch.set_num_threads(1)


def leave_with_parent() -> None:
    """End this worker when the process that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_outlive, args=(parent.sentinel,), daemon=True).start()


def _outlive(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


class _Processes:
    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def __call__(self, jobs: Iterable[Job]) -> Iterator[Played]:
        return self.each(play, jobs)

    def each[A, B](self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        futures = [self._executor.submit(function, item) for item in items]
        for future in as_completed(futures):
            yield future.result()
