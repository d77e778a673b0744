"""Should a round train the last policy further, or one anew? The same data and weights, begun from three places, for a number of steps.

    python -m experiments.begin_anew run      docs/results/begin-anew.parquet, and the table; about half an hour on two cores, resumable
    python -m experiments.begin_anew          the table again, from the stored rows

Round 4 of Vantage's rule (demonstrations, 400 rollouts, their ledger) with seeds of its own, on development starts: only the weights with
which the fit begins, and its length, differ. Policies act calmly. The loss is Eq. 1 with every weight 1, on windows of successful rollouts:
those that the policy was trained on, and those of the next seed, which come from other demonstrations and another policy.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
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
from vantage.progress import console
from vantage.seeding import seed_for
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.stages.fit_policy import fit_policy
from vantage.study.cells import Cell, finished, run_cell
from vantage.study.plan import Study
from vantage.types import Route

OUT, WORK = Path("docs/results/begin-anew.parquet"), Path("runs/begin-anew")
TASKS, SEEDS, LAST = ("pick-place-v3", "bin-picking-v3"), (100, 101, 102), "vantage-4"
FITS = (
    *(("further", steps) for steps in (800, 3200)),
    *(("supervised", steps) for steps in (800, 2400)),
    *(("anew", steps) for steps in (800, 1600, 2400, 4000)),
)
"""Where the fit begins, and its gradient steps."""
WORDS = {
    "further": "the last round's policy (the paper)",
    "supervised": "the supervised policy",
    "anew": "untrained weights",
}


def study() -> Study:
    """The study from true state, on development starts."""
    plan = find_study("state")
    return replace(plan, base=replace(plan.base, evaluation=Evaluation(per_world=150, suite="development")))


def last_round(task: str, seed: int) -> tuple[Round, HABCRun]:
    """Round 4 of a run, made if it is not there, and its settings."""
    plan, work = study(), WORK / "work"
    arm = plan.arm(LAST)
    for each in plan.ancestry(arm):
        cell = Cell(task=task, arm=each.name, seed=seed)
        if not finished(plan, cell, work):
            run_cell(plan, cell, work)
    here = Round.of(Cell(task=task, arm=LAST, seed=seed).folder(work), plan.first_round(arm))
    return here, plan.settings(arm, plan.task(task), seed)


def begin(where: str, here: Round, settings: HABCRun) -> Start:
    """The policy that a fit begins with."""
    match where:
        case "further":
            return FromCheckpoint(before(here).actor)
        case "supervised":
            return FromCheckpoint(Round.of(here.run, 0).actor)
        case _:
            return FromScratch(settings.policy, seed_for("initial weights", settings.seed))


def fit_all(task: str, seed: int) -> list[dict[str, object]]:
    """Every fit of one run, tried and measured; what is on disk is not made again."""
    console.quiet = True
    torch.set_num_threads(1)
    here, settings = last_round(task, seed)
    theirs, other = last_round(task, SEEDS[(SEEDS.index(seed) + 1) % len(SEEDS)])
    mine, unseen = experience_of(here, settings), experience_of(theirs, other)
    learner = improver(here, settings)
    rows: list[dict[str, object]] = []
    for where, steps in FITS:
        out = WORK / "out" / task / str(seed) / f"{where}-{steps}"
        how = replace(settings.improvement.fit, steps=steps)
        fit_policy(learner.sources, here.weights, begin(where, here, settings), out, how, seed=learner.train_seed)
        trials = out.with_suffix(".parquet")
        evaluate(out, trials, settings.worlds, replace(settings.evaluation, noise=0.0), pool=play_here)
        found, actor = read_parquet(trials, ("success", "steps")), load_policy(out)
        rows.append(
            {
                "task": task,
                "seed": seed,
                "begin": where,
                "steps": steps,
                "success": float(found["success"].mean()),
                "length": float(found["steps"][found["success"]].mean()),
                "loss_seen": flow_error(actor, mine),
                "loss_unseen": flow_error(actor, unseen),
            }
        )
    return rows


@torch.no_grad()
def flow_error(actor: Policy, replay: Experience, batches: int = 40, size: int = 128) -> float:
    """Eq. 1 with every weight 1, on windows of successful rollouts."""
    loader = replay.loader(actor.chunk, actor.interface.cameras)
    likely = (replay.labels.route == Route.ROLLOUT_SUCCESS).astype(np.float64)
    found: list[float] = []
    for number in range(batches):
        batch = loader.drawn(likely / likely.sum(), 7, number, size)
        draw = actor.draw(size, torch.Generator().manual_seed(number))
        found.append(float(flow_loss(actor(batch, draw).elementwise, batch.mask, torch.ones(size), size)))
    return float(np.mean(found))


def table(rows: dict[str, np.ndarray]) -> str:
    """Markdown: a line per fit, the mean over seeds (lowest to highest)."""
    tasks = [task for task in TASKS if (rows["task"] == task).any()]
    head = ["training begins with", "steps", *(f"{task}: {what}" for task in tasks for what in ("success", "length", "loss seen / unseen"))]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for where, steps in FITS:
        cells: list[str] = []
        for task in tasks:
            at = (rows["task"] == task) & (rows["begin"] == where) & (rows["steps"] == steps)
            wins, length, seen, unseen = (rows[name][at] for name in ("success", "length", "loss_seen", "loss_unseen"))
            cells += [f"**{wins.mean():.3f}** ({wins.min():.3f} to {wins.max():.3f})", f"{length.mean():.1f}"]
            cells += [f"{seen.mean():.2f} / {unseen.mean():.2f}"]
        lines.append(f"| {WORDS[where]} | {steps:,} | " + " | ".join(cells) + " |")
    seeds = ", ".join(map(str, sorted(set(rows["seed"].tolist()))))
    return "\n".join([*lines, f"\nSeeds {seeds}; 150 development starts each, zero-noise inference; mean over seeds (lowest to highest)."])


def main() -> None:
    """Fit what is missing, store, draw."""
    if "run" in sys.argv[1:]:
        places = list(product(TASKS, SEEDS))
        for task, seed in places:  # first, one after the other: a run is another's unseen data
            last_round(task, seed)
        with ProcessPoolExecutor(2) as executor:
            made = [row for rows in executor.map(fit_all, *zip(*places, strict=True)) for row in rows]
        write_parquet(OUT, {name: np.array([row[name] for row in made]) for name in made[0]})
    found = table(read_parquet(OUT))
    print(found)
    between(Path("docs/results.md"), "begin-anew", found, "## Where a round's training begins")


if __name__ == "__main__":
    main()
