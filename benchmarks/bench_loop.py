"""What HABC costs over plain supervision, and what a second worker gains."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from vantage.algorithms.habc import HABCRun, fit_round_critic, label_round, replay_of, supervise, train_seed, version_entering, weigh_round
from vantage.algorithms.interleaved import Interleaved, fit_interleaved
from vantage.collect.operators import NoOne
from vantage.collect.pool import Job, open_pool
from vantage.disk.layout import Round
from vantage.policies.load import load_policy
from vantage.recipes.quickstart import quickstart
from vantage.seeding import seed_for
from vantage.stages.collect import Demonstrations, Rollouts, collect_rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import ActorFit, fit_actor


def _prepared(run: Path) -> tuple[HABCRun, Round]:
    """A quickstart whose first round is collected: its real sizes, little training."""
    settings = replace(
        quickstart(), supervised=ActorFit(steps=150), evaluation=Evaluation(per_world=1), demonstrations=Demonstrations(per_world=8)
    )
    here = Round.of(run, 1)
    with open_pool(2) as pool:
        supervise(run, settings, pool)
        collect_rollouts(
            here,
            settings.worlds,
            Rollouts(per_world=30),
            actor=Round.of(run, 0),
            policy_version=version_entering(here, settings),
            seed=0,
            pictures=True,
            frame_size=settings.frame_size,
            pool=pool,
        )
    label_round(here, settings)
    return settings, here


def habc_step_overhead(timed_steps: int = 200) -> dict[str, float]:
    """Seconds of one actor step of a staged HABC round, critic, features and weights included pro rata, over a plain supervised step.

    Both train the same actor on the same machine in the same run; the round has the quickstart's sizes. `interleaved` has no bar.
    """
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch)
        settings, here = _prepared(run)
        start = Round.of(run, 0)
        how = ActorFit(steps=timed_steps, save_every=10**9)

        def seconds(replay_round: Round, weights: Path, name: str) -> float:
            replay = replay_of(replay_round, settings)
            actor = load_policy(start.actor)
            begin = time.perf_counter()
            fit_actor(replay, weights, actor, run / name, how, seed=0, title=name)
            return (time.perf_counter() - begin) / timed_steps

        plain = min(seconds(start, start.weights, f"plain-{i}") for i in range(2))
        begin = time.perf_counter()
        fit_round_critic(here, settings)
        weigh_round(here, settings)
        extra = (time.perf_counter() - begin) / settings.fit.steps
        weighted = min(seconds(here, here.weights, f"weighted-{i}") for i in range(2))
        begin = time.perf_counter()
        fit_interleaved(
            replay_of(here, settings),
            load_policy(start.actor),
            run / "i-critic",
            run / "i-actor",
            Interleaved(),
            settings.weighing,
            how,
            settings.critic,
            t_max=settings.t_max,
            seed=train_seed(here, settings),
        )
        together = (time.perf_counter() - begin) / timed_steps
    return {"ours": weighted + extra, "peer": plain, "ratio": (weighted + extra) / plain, "interleaved_ratio": together / plain}


def two_workers(episodes: int = 90) -> dict[str, float]:
    """Episodes per second (pixels, wall clock) of two workers over one, the pools warm."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch)
        settings = replace(
            quickstart(), supervised=ActorFit(steps=20), evaluation=Evaluation(per_world=1), demonstrations=Demonstrations(per_world=2)
        )
        with open_pool(1) as pool:
            supervise(run, settings, pool)
        actor = Round.of(run, 0).actor
        rates = []
        for workers in (1, 2):
            jobs = [
                Job(number=i, world=settings.worlds[i % 3], actor=actor, operator=NoOne(), seed=seed_for("bench", i), pictures=True)
                for i in range(episodes + 12)
            ]
            with open_pool(workers) as pool:
                list(pool(jobs[episodes:]))
                begin = time.perf_counter()
                list(pool(jobs[:episodes]))
                rates.append(episodes / (time.perf_counter() - begin))
    return {"ours": rates[1], "peer": rates[0], "ratio": rates[1] / rates[0]}
