"""What HABC costs over plain supervision, and what a second worker gains."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.timing import Row, median_interval
from vantage.algorithms.habc import HABCRun, collect_round, improver, supervise_round
from vantage.algorithms.improvement import Improver
from vantage.algorithms.interleaved import Interleaved
from vantage.algorithms.supervised import label_round, sources_up_to
from vantage.collect.operators import NoOne
from vantage.collect.pool import Job, Pool, open_pool
from vantage.disk.layout import Round
from vantage.learn.start import FromCheckpoint
from vantage.policies.build import build_policy
from vantage.recipes.quickstart import quickstart
from vantage.seeding import seed_for
from vantage.stages.collect import Demonstrations
from vantage.stages.fit_policy import PolicyFit, fit_policy
from vantage.threads import one_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSize:
    """The round whose steps are timed: the quickstart's sizes, with little training before it."""

    tasks: int = 3
    """The first of the quickstart's."""
    demonstrations: int = 8
    """A task."""
    supervised_steps: int = 150
    rollouts: int = 30
    """A task."""
    critic_steps: int | None = None
    """None: as the quickstart."""
    timed_steps: int = 100
    """Steps of a fit that is timed; what a whole fit of the quickstart's length takes is computed from it."""
    pairs: int = 6
    """How often both kinds of fit are timed, turn and turn about."""
    workers: int = 2
    """Processes that play."""

    def settings(self) -> HABCRun:
        """The quickstart at this size."""
        plain = quickstart()
        supervised = PolicyFit(steps=self.supervised_steps)
        critic = plain.improvement.critic
        if self.critic_steps is not None:
            critic = replace(critic, steps=self.critic_steps)
        return replace(
            plain,
            worlds=plain.worlds[: self.tasks],
            supervision=replace(
                plain.supervision,
                demonstrations=Demonstrations(per_world=self.demonstrations),
                supervised=supervised,
            ),
            rollouts=replace(plain.rollouts, per_world=self.rollouts),
            improvement=replace(plain.improvement, critic=critic),
        )


def habc_step_overhead(size: RoundSize = RoundSize()) -> Row:
    """Seconds per policy step of a staged HABC round, with the critic, its features and the weights, over as
    many plain supervised steps of the same policy, on one thread.

    The ratio is the median over pairs. Without an aim: `steps`, the ratio without critic and weights, and
    `interleaved`, the schedule that trains the critic in the same step.
    """
    settings = size.settings()
    fit = replace(settings.improvement.fit, steps=size.timed_steps, save_every=10**9)
    with one_thread(), tempfile.TemporaryDirectory() as scratch:
        start, current = _play(Path(scratch), settings, size.workers)
        learner = improver(current, settings)
        credit = _seconds(lambda: _credit(learner))

        plain, weighted = (Timed(trained_on, start, settings) for trained_on in (start, current))
        pairs: list[tuple[float, float]] = []
        for number in range(size.pairs):
            kinds = (plain, weighted) if number % 2 else (weighted, plain)
            taken = {kind: kind.whole_fit(size.timed_steps) for kind in kinds}
            pairs.append((taken[weighted], taken[plain]))

        improvement = replace(settings.improvement, schedule=Interleaved(), fit=fit)
        together = replace(learner, current=Round(current.folder / "together"), settings=improvement)
        interleaved = _seconds(lambda: together.fit_together(Interleaved())) / size.timed_steps

    steps = settings.improvement.fit.steps
    ratios = [(ours + credit) / theirs for ours, theirs in pairs]
    peer = statistics.median(theirs for _, theirs in pairs) / steps
    return Row(
        ours=(statistics.median(ours for ours, _ in pairs) + credit) / steps,
        peer=peer,
        ratio=statistics.median(ratios),
        interval=median_interval(ratios),
        aside={
            "steps": statistics.median(ours / theirs for ours, theirs in pairs),
            "interleaved": interleaved / peer,
        },
    )


class Timed:
    """Fits of the policy of round 0 to everything up to a round, as its weights say."""

    def __init__(self, trained_on: Round, start: Round, settings: HABCRun) -> None:
        self.trained_on, self.start, self.settings = trained_on, start, settings
        self.count = 0
        self.opening = self._fit(1)

    def whole_fit(self, timed_steps: int) -> float:
        """Seconds of a fit of the settings' length, by one of `timed_steps`, at least two."""
        per_step = (self._fit(timed_steps) - self.opening) / (timed_steps - 1)
        return self.opening + per_step * (self.settings.improvement.fit.steps - 1)

    def _fit(self, steps: int) -> float:
        """Seconds of a fit: reading what it trains on, `steps` steps, and writing the policy."""
        self.count += 1
        out = self.trained_on.folder / f"timed-{self.count}"
        fit = replace(self.settings.improvement.fit, steps=steps, save_every=10**9)
        sources = sources_up_to(self.trained_on, self.settings.interface)
        weights, start = self.trained_on.weights, FromCheckpoint(self.start.actor)
        return _seconds(lambda: fit_policy(sources, weights, start, out, fit, seed=0))


def _play(run: Path, settings: HABCRun, workers: int) -> tuple[Round, Round]:
    """Round 0 with its policy, and round 1 as far as its labels."""
    start, current = Round.of(run, 0), Round.of(run, 1)
    with open_pool(workers) as pool:
        supervise_round(start, settings, pool)
        collect_round(current, settings, pool)
    label_round(current, settings.improvement.labelling)
    return start, current


def _credit(learner: Improver) -> None:
    """What a round computes before its policy can be trained."""
    learner.fit_critic()
    learner.weigh()


def _seconds(work: Callable[[], object]) -> float:
    """Processor time of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def two_workers(episodes: int = 30, repeats: int = 3, warm_up: int = 12, limit: int | None = None) -> Row:
    """Episodes per second of wall-clock time of two workers over one, from pixels, the pools warm.

    They take turns, `repeats` times; the best turn of each counts, the one that other programs disturbed
    least. The policy is untrained, so that hardly an episode ends before its limit. `limit`: None: the
    quickstart's.
    """
    settings = quickstart()
    worlds = [world if limit is None else replace(world, limit=limit) for world in settings.worlds]
    with tempfile.TemporaryDirectory() as scratch, open_pool(1) as single, open_pool(2) as double:
        actor = Path(scratch) / "actor"
        build_policy(settings.policy, 0).save(actor)

        def jobs(count: int) -> list[Job]:
            numbered = enumerate(itertools.islice(itertools.cycle(worlds), count))
            return [
                Job(
                    number=i,
                    world=world,
                    actor=actor,
                    operator=NoOne(),
                    seed=seed_for("bench", i),
                    pictures=True,
                )
                for i, world in numbered
            ]

        rates: dict[int, list[float]] = {1: [], 2: []}
        for pool in (single, double):
            list(pool(jobs(warm_up)))
        for _ in range(repeats):
            for workers, pool in ((1, single), (2, double)):
                rates[workers].append(_episodes_per_second(pool, jobs(episodes)))
    return Row.of_rates(max(rates[2]), max(rates[1]))


def _episodes_per_second(pool: Pool, jobs: Sequence[Job]) -> float:
    """How fast a pool plays `jobs`, by the wall clock."""
    began = time.perf_counter()
    list(pool(jobs))
    return len(jobs) / (time.perf_counter() - began)
