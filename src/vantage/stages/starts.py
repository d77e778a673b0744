"""Where the rollouts of a round begin, given what the round before left on disk.

    AnyStart        the world at the episode's own seed
    DoubtfulStart   several seeds ──policy's eyes──> phi(s) ──critic──> p_v; the one nearest to 1/2
    BeforeFailure   an episode of the round before that failed alone, up to where it could still succeed

A function of the run's seed and of that round alone: a stage that is started again begins its episodes where
it would have begun them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64

from vantage.collect.episode import LEAD, Beginning
from vantage.collect.exploration import AnyStart, BeforeFailure, DoubtfulStart, Starts
from vantage.collect.observe import Memory, observe
from vantage.collect.pool import Pool, stamp
from vantage.core.weights import sigmoid
from vantage.data.v3.read import read_table
from vantage.data.v3.schema import INDEX, ROUND
from vantage.data.v3.write import OURS_FILE
from vantage.disk.layout import Round
from vantage.disk.record import entering_actor
from vantage.disk.tables import read_parquet
from vantage.errors import own_code
from vantage.learn.critic.panel import Panel, load_panel
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.seeding import seed_for
from vantage.threads import one_thread
from vantage.worlds.protocol import World
from vantage.worlds.spec import WorldSpec


class Place(NamedTuple):
    """Where one episode begins."""

    seed: int
    """Of all that the episode draws, and of the world where `beginning` is None."""
    beginning: Beginning | None = None


def choose_starts(
    starts: Starts, where: Round, worlds: Sequence[WorldSpec], seed: int, pool: Pool
) -> list[Place]:
    """Where the episodes of the round `where` begin; that of number i is played in `worlds[i]`."""
    own = [seed_for("rollout", seed, where.number, number) for number in range(len(worlds))]
    before = Round.of(where.run, max(where.number - 1, 0))
    match starts:
        case AnyStart():
            return [Place(chosen) for chosen in own]

        case DoubtfulStart():
            if not before.critic.is_dir():
                return [Place(chosen) for chosen in own]
            offered = [
                [own[i], *(seed_for("start", own[i], other) for other in range(1, starts.candidates))]
                for i in range(len(worlds))
            ]
            return [Place(chosen) for chosen in _most_doubtful(offered, worlds, before, pool)]

        case BeforeFailure():
            failures = _failures(before, starts.viable) if before.number else {}
            return [_resumed(own[i], failures.get(worlds[i].task, []), starts) for i in range(len(worlds))]


# ---- doubtful starts


@dataclass(frozen=True, slots=True)
class _Offer:
    """A start that a critic is asked about."""

    number: int
    world: WorldSpec
    seed: int
    critic: Path
    eyes: Path
    """Checkpoint of the policy whose features the critic reads."""


def _most_doubtful(
    offered: Sequence[Sequence[int]], worlds: Sequence[WorldSpec], before: Round, pool: Pool
) -> list[int]:
    """Of the seeds that are offered for each episode, the one whose viability is nearest to one half."""
    eyes = entering_actor(before.folder)
    assert eyes is not None, "a round with a critic was entered by a policy"
    pairs = [(i, seed) for i, seeds in enumerate(offered) for seed in seeds]
    offers = [_Offer(number, worlds[i], seed, before.critic, eyes) for number, (i, seed) in enumerate(pairs)]
    viability = np.zeros(len(offers))
    for number, p_v in pool.each(_viability_of, offers):
        viability[number] = p_v

    doubt = np.abs(viability - 0.5).reshape(len(offered), -1)
    return [seeds[best] for seeds, best in zip(offered, doubt.argmin(1), strict=True)]


def _viability_of(offer: _Offer) -> tuple[int, float]:
    """Number and p_v of a start, judged in this process."""
    with one_thread(), own_code():
        policy = _policy(offer.eyes, stamp(offer.eyes))
        world = _world(offer.world)
        world.reset(offer.seed)
        observation = Memory(policy.interface.history).recall(observe(policy.interface, [world]))
        with torch.no_grad():
            features = policy.features(observation).float()
        z_v = _panel(offer.critic, stamp(offer.critic)).judge(features).z_v
        return offer.number, float(sigmoid(z_v)[0])


@lru_cache(maxsize=64)
def _world(spec: WorldSpec) -> World:
    return spec()


@lru_cache(maxsize=2)
def _policy(folder: Path, _stamp: int) -> Policy:
    return load_policy(folder)


@lru_cache(maxsize=2)
def _panel(folder: Path, _stamp: int) -> Panel:
    return load_panel(folder)


# ---- episodes that failed


@dataclass(frozen=True, slots=True)
class _Failure:
    """An episode in which the policy failed alone."""

    seed: int
    actions: Float32[np.ndarray, "T A"]
    """What was executed."""
    states: Float32[np.ndarray, "T E"]
    """The true state before each action."""
    moments: Int64[np.ndarray, "M"]
    """Control steps of which one is gone on from: the last viable one, or all of them."""


def _failures(before: Round, viable: float) -> dict[str, list[_Failure]]:
    """Task -> its episodes of a round that failed with nobody at the controls, begun where the world begins.

    What began in the middle of another episode cannot be found again from its own seed and actions.
    """
    table = read_table(before.episodes, videos=False)
    assert table.environment_state is not None, "every world's rollouts record it"
    ours = read_parquet(before.episodes / OURS_FILE, ("seed", "task", "success", "info"))
    p_v = _judged(before, len(table))
    failures: dict[str, list[_Failure]] = {}

    for number, rows in enumerate(table.slices):
        led = LEAD in json.loads(str(ours["info"][number]))
        if led or ours["success"][number] or table.intervention[rows].any():
            continue
        moments = np.flatnonzero(p_v[rows] >= viable)[-1:]
        if not len(moments):
            moments = np.arange(rows.stop - rows.start)
        failure = _Failure(
            int(ours["seed"][number]), table.action[rows], table.environment_state[rows], moments
        )
        failures.setdefault(str(ours["task"][number]), []).append(failure)
    return failures


def _judged(before: Round, frames: int) -> Float64[np.ndarray, "N"]:
    """p_v of every frame that a round collected, by the critic of that round; NaN where none has judged."""
    p_v = np.full(frames, np.nan)
    ledger = read_parquet(before.weights, (ROUND, INDEX, "p_v"))
    own = ledger[ROUND] == before.number
    p_v[ledger[INDEX][own]] = ledger["p_v"][own]
    return p_v


def _resumed(seed: int, failures: Sequence[_Failure], starts: BeforeFailure) -> Place:
    """An episode of this seed: from any start, or from the middle of one that failed."""
    rng = np.random.default_rng([seed, 2])
    if not failures or rng.random() >= starts.share:
        return Place(seed)
    failure = failures[int(rng.integers(len(failures)))]
    steps = int(failure.moments[rng.integers(len(failure.moments))])
    return Place(seed, Beginning(failure.seed, failure.actions[:steps], failure.states[steps]))
