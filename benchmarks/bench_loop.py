"""What HABC costs over plain supervision, and what a second worker gains."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from vantage.algorithms.habc import HABCRun, collect_round, improver, label_round, supervise
from vantage.algorithms.interleaved import Interleaved, fit_interleaved
from vantage.algorithms.supervised import Supervision, sources_up_to
from vantage.collect.operators import NoOne
from vantage.collect.pool import Job, open_pool
from vantage.disk.layout import Round
from vantage.learn.start import FromCheckpoint
from vantage.recipes.quickstart import quickstart
from vantage.seeding import seed_for
from vantage.stages.collect import Demonstrations
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit, fit_policy


def _short(*, demonstrations: int, steps: int) -> HABCRun:
    """The quickstart's sizes with less supervision."""
    plain = quickstart()
    supervision = Supervision(demonstrations=Demonstrations(per_world=demonstrations), supervised=PolicyFit(steps=steps))
    return replace(plain, supervision=supervision, evaluation=Evaluation(per_world=1))


def _prepared(run: Path) -> tuple[HABCRun, Round]:
    """A quickstart whose first round is collected: its real sizes, little training."""
    settings = _short(demonstrations=8, steps=150)
    here = Round.of(run, 1)
    with open_pool(2) as pool:
        supervise(run, settings, pool)
        collect_round(here, settings, pool)
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
        how = PolicyFit(steps=timed_steps, save_every=10**9)

        def seconds(trained_on: Round, name: str) -> float:
            sources = sources_up_to(trained_on, settings.interface)
            begin = time.perf_counter()
            fit_policy(sources, trained_on.weights, FromCheckpoint(start.actor), run / name, how, seed=0, title=name)
            return (time.perf_counter() - begin) / timed_steps

        plain = min(seconds(start, f"plain-{i}") for i in range(2))
        learner = improver(here, settings)
        begin = time.perf_counter()
        learner.fit_critic()
        learner.weigh()
        extra = (time.perf_counter() - begin) / settings.improvement.fit.steps
        weighted = min(seconds(here, f"weighted-{i}") for i in range(2))
        begin = time.perf_counter()
        fit_interleaved(
            learner.sources,
            FromCheckpoint(start.actor),
            run / "i-critic",
            run / "i-actor",
            Interleaved(),
            settings.improvement.weighing,
            how,
            settings.improvement.critic,
            t_max=settings.t_max,
            policy_version=learner.version,
            seed=learner.train_seed,
        )
        together = (time.perf_counter() - begin) / timed_steps
    return {"ours": weighted + extra, "peer": plain, "ratio": (weighted + extra) / plain, "interleaved_ratio": together / plain}


def two_workers(episodes: int = 90) -> dict[str, float]:
    """Episodes per second (pixels, wall clock) of two workers over one, the pools warm."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch)
        settings = _short(demonstrations=2, steps=20)
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
