"""Should a round train the last policy further, or one from scratch? The same data and weights, begun from
three policies, for a number of steps.

    python -m experiments.training_start run      docs/results/training-start.parquet, and the table; about
                                                  half an hour on two cores, resumable
    python -m experiments.training_start          the table again, from the stored rows

Round 4 of Vantage's rule (demonstrations, 400 rollouts, their ledger) with seeds of its own, on development
starts: only the weights with which the fit begins, and its length, differ. Policies act from zero noise. The
loss is Eq. 1 with every weight 1, on windows of successful rollouts: those that the policy was trained on,
and those of the next seed, which come from other demonstrations and another policy.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch

from experiments.publish_study import between
from vantage.algorithms.habc import HABCRun, before, experience_of, improver
from vantage.collect.pool import play_here
from vantage.commands.studies import find_study
from vantage.core.losses import flow_loss
from vantage.data.experience import Experience
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.learn.start import FromCheckpoint, FromScratch, Start
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.progress import silence
from vantage.seeding import seed_for
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.stages.fit_policy import fit_policy
from vantage.study.cells import Cell, finished, run_cell
from vantage.study.plan import Study
from vantage.threads import one_thread
from vantage.types import Route

OUT = Path("docs/results/training-start.parquet")
TASKS = ("pick-place-v3", "bin-picking-v3")
FITS = (
    *(("further", steps) for steps in (800, 3200)),
    *(("supervised", steps) for steps in (800, 2400)),
    *(("scratch", steps) for steps in (800, 1600, 2400, 4000)),
)
"""Where the fit begins, and its gradient steps."""
WORDS = {
    "further": "the last round's policy (the paper)",
    "supervised": "the supervised policy",
    "scratch": "untrained weights",
}


def development_study() -> Study:
    """The study from true state, on development starts."""
    plan = find_study("state")
    return replace(plan, base=replace(plan.shared, evaluation=Evaluation(per_world=150, suite="development")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The last round of one arm of a study, and the fits that are tried on it."""

    study: Study = field(default_factory=development_study)
    arm: str = "vantage-4"
    tasks: tuple[str, ...] = TASKS
    seeds: tuple[int, ...] = (100, 101, 102)
    fits: tuple[tuple[str, int], ...] = FITS
    batches: int = 40
    """Batches of 128 windows that the loss is a mean over."""
    work: Path = Path("runs/training-start")

    def last_round(self, task: str, seed: int) -> tuple[Round, HABCRun]:
        """The last round of a run, made if it is not there, and its settings."""
        arm, work = self.study.arm(self.arm), self.work / "work"
        for ancestor in self.study.ancestry(arm):
            cell = Cell(task=task, arm=ancestor.name, seed=seed)
            if not finished(self.study, cell, work):
                run_cell(self.study, cell, work)

        folder = Cell(task=task, arm=self.arm, seed=seed).folder(work)
        last = sorted(folder.glob("round-*"))[-1]
        settings = self.study.settings(arm, self.study.task(task), seed)
        assert isinstance(settings, HABCRun)
        return Round.at(last), settings

    def fit_all(self, task: str, seed: int) -> list[dict[str, object]]:
        """Every fit of one run, tried and measured; what is on disk is not made again."""
        following = self.seeds[(self.seeds.index(seed) + 1) % len(self.seeds)]
        with silence(), one_thread():
            last, settings = self.last_round(task, seed)
            seen, unseen = (experience_of(*self.last_round(task, number)) for number in (seed, following))
            weights, learner = last.weights, improver(last, settings)

            rows: list[dict[str, object]] = []
            for origin, steps in self.fits:
                out = self.work / "out" / task / str(seed) / f"{origin}-{steps}"
                fit = replace(settings.improvement.fit, steps=steps)
                start = begin(origin, last, settings)
                fit_policy(learner.sources, weights, start, out, fit, seed=learner.train_seed)

                trials = out.with_suffix(".parquet")
                zero_noise = replace(settings.evaluation, noise=0.0)
                evaluate(out, trials, settings.worlds, zero_noise, pool=play_here)

                tried, policy = read_parquet(trials, ("success", "steps")), load_policy(out)
                rows.append(
                    {
                        "task": task,
                        "seed": seed,
                        "begin": origin,
                        "steps": steps,
                        "success": float(tried["success"].mean()),
                        "length": _mean(tried["steps"][tried["success"]]),
                        "loss_seen": flow_error(policy, seen, self.batches),
                        "loss_unseen": flow_error(policy, unseen, self.batches),
                    }
                )
        return rows


def begin(origin: str, last: Round, settings: HABCRun) -> Start:
    """The policy that a fit begins with."""
    match origin:
        case "further":
            return FromCheckpoint(before(last).actor)
        case "supervised":
            return FromCheckpoint(Round.of(last.run, 0).actor)
        case _:
            return FromScratch(settings.policy, seed_for("initial weights", settings.seed))


@torch.no_grad()
def flow_error(policy: Policy, experience: Experience, batches: int, size: int = 128) -> float:
    """Eq. 1 with every weight 1, on windows of successful rollouts."""
    loader = experience.loader(policy.chunk, policy.interface.cameras, history=policy.interface.history)
    likely = (experience.labels.route == Route.ROLLOUT_SUCCESS).astype(np.float64)
    losses: list[float] = []
    for number in range(batches):
        batch = loader.drawn(likely / likely.sum(), 7, number, size)
        draw = policy.draw(size, torch.Generator().manual_seed(number))
        losses.append(float(flow_loss(policy(batch, draw).elementwise, batch.mask, torch.ones(size), size)))
    return float(np.mean(losses))


def _mean(values: np.ndarray) -> float:
    """NaN where there are none."""
    return float(values.mean()) if len(values) else float("nan")


def measure(plan: Plan, workers: int = 2) -> dict[str, np.ndarray]:
    """One row per fit of every run. `workers`: processes; 1: this one."""
    runs = list(product(plan.tasks, plan.seeds))
    for task, seed in runs:  # first, one after the other: a run is another's unseen data
        plan.last_round(task, seed)

    if workers > 1:
        with ProcessPoolExecutor(workers) as executor:
            made = list(executor.map(plan.fit_all, *zip(*runs, strict=True)))
    else:
        made = [plan.fit_all(task, seed) for task, seed in runs]
    rows = [row for of_run in made for row in of_run]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def table(rows: dict[str, np.ndarray], plan: Plan = Plan()) -> str:
    """Markdown: a line per fit, the mean over seeds (lowest to highest)."""
    tasks = [task for task in plan.tasks if (rows["task"] == task).any()]
    head = [
        "training begins with",
        "steps",
        *(f"{task}: {column}" for task in tasks for column in ("success", "length", "loss seen / unseen")),
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for origin, steps in plan.fits:
        cells: list[str] = []
        for task in tasks:
            at = (rows["task"] == task) & (rows["begin"] == origin) & (rows["steps"] == steps)
            wins, length, seen, unseen = (
                rows[name][at] for name in ("success", "length", "loss_seen", "loss_unseen")
            )
            cells += [f"**{wins.mean():.3f}** ({wins.min():.3f} to {wins.max():.3f})", f"{length.mean():.1f}"]
            cells += [f"{seen.mean():.2f} / {unseen.mean():.2f}"]
        lines.append(f"| {WORDS[origin]} | {steps:,} | " + " | ".join(cells) + " |")

    seeds = ", ".join(map(str, sorted(set(rows["seed"].tolist()))))
    starts = plan.study.shared.evaluation.per_world
    note = (
        f"\nSeeds {seeds}; {starts} development starts each, zero-noise inference; "
        "mean over seeds (lowest to highest)."
    )
    return "\n".join([*lines, note])


def main(arguments: Sequence[str]) -> None:
    """Fit what is missing, store, draw."""
    if "run" in arguments:
        write_parquet(OUT, measure(Plan()))
    drawn = table(read_parquet(OUT))
    print(drawn)
    between(Path("docs/results.md"), "training-start", drawn, "## Where a round's training begins")


if __name__ == "__main__":
    main(sys.argv[1:])
