"""Does the evening help? Simulated robots recorded as LeRobot data sets, and `vantage finetune` alone makes
the policy better.

    python -m experiments.evening run --out runs/evening --tasks bin-picking-v3 --seeds 3
    python -m experiments.evening table docs/results/evening.parquet

    demonstrations ──> ACT of LeRobot's (supervised)
        rollouts with rescues, outcomes.csv ──vantage finetune──> policy of round 1
            rollouts with rescues, outcomes.csv ──vantage finetune --from──> policy of round 2

A world records what a person would: who drove, and the outcome in a csv. Everything after that is the command
line's. Arms differ in `--weighing.rule`; both have the same demonstrations, the same first rollouts and
starts, and as many gradient steps as the control, which goes on learning from demonstrations alone. What is
on disk is not made again.
"""

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from vantage.algorithms.habc import HABCRun, supervise_round
from vantage.algorithms.supervised import train_control_policy
from vantage.cli import dispatch
from vantage.collect.pool import open_pool
from vantage.data.v3.read import read_table
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.environment import prepare_process
from vantage.recipes.study_lerobot import study_act
from vantage.stages.collect import collect_rollouts
from vantage.stages.evaluate import evaluate
from vantage.study.plan import Supervised
from vantage.study.statistics import contrast, rate
from vantage.study.words import span

RULES = {"habc": "HABC", "filtered-bc": "FilteredBC"}
"""Arm -> the rule that the command is given."""
NAMES = {
    "sft": "supervised",
    "sft-more": "supervised, equal steps",
    "filtered-bc": "filtered BC",
    "habc": "HABC",
}
PAIRS = (("habc", "sft-more"), ("filtered-bc", "sft-more"), ("habc", "filtered-bc"))
ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Evening:
    """One seed on one task: where it lies, and what its simulated robot is."""

    folder: Path
    settings: HABCRun

    def supervise(self) -> None:
        """Demonstrations, ACT trained on them, and the control with as many further steps."""
        start, fit = Round.of(self.folder / "start", 0), self.settings.improvement.fit
        with open_pool(1) as pool:
            supervise_round(start, self.settings, pool)
        control = Round(self.folder / "sft-more")
        train_control_policy(
            start, control.actor, self.settings.interface, fit, rounds=ROUNDS, seed=self.settings.seed
        )
        self._try("sft", start.actor)
        self._try("sft-more", control.actor)

    def improve(self, arm: str) -> None:
        """Two evenings of one rule: record, say how it went, fine-tune."""
        start = Round.of(self.folder / "start", 0)
        policy, before = start.actor, ()
        for number in range(1, ROUNDS + 1):
            first = number == 1  # both arms begin with the same policy, and so with the same recordings
            recorded = Round.of(self.folder / ("first" if first else arm), number)
            self._record(recorded, policy)
            out = self.folder / f"{arm}-{number}"
            outcomes = recorded.folder / "outcomes.csv"
            data = ("--rollouts", recorded.episodes, "--outcomes", outcomes, "--out", out)
            begin = ("--from", *before)
            if first:
                begin = ("--policy.path", policy, "--demos", start.episodes, *self._options(arm))
            dispatch([str(word) for word in ("finetune", *begin, *data)])
            policy, before = Round.of(out, number).actor, (out,)
        self._try(arm, policy)

    @property
    def is_done(self) -> bool:
        """Whether every arm has been tried."""
        return all((self.folder / "trials" / f"{arm}.parquet").exists() for arm in NAMES)

    def trials(self, arm: str) -> dict[str, np.ndarray]:
        """The evaluation of one arm, as rows."""
        tried = read_parquet(self.folder / "trials" / f"{arm}.parquet")
        count = len(tried["success"])
        return {
            "task": tried["task"],
            "world": tried["task"],
            "arm": np.full(count, arm),
            "seed": np.full(count, self.settings.seed),
            "trial": np.arange(count),
            **{name: tried[name] for name in ("success", "steps", "limit")},
        }

    def _options(self, arm: str) -> tuple[str, ...]:
        fit = self.settings.improvement.fit
        options = {
            "--steps": fit.steps,
            "--batch_size": fit.batch,
            "--fit.optim.lr": fit.optim.lr,
            "--fit.optim.weight-decay": fit.optim.weight_decay,
            "--fit.optim.clip": 1,
            "--weighing.rule": RULES[arm],
        }
        return tuple(str(word) for pair in options.items() for word in pair)

    def _record(self, recorded: Round, policy: Path) -> None:
        """Rollouts with rescues, and the csv that a person would write afterwards."""
        settings = self.settings
        with open_pool(1) as pool:
            collect_rollouts(
                recorded,
                settings.worlds,
                settings.rollouts,
                policy=policy,
                policy_version=0,
                seed=settings.seed,
                cameras=settings.interface.cameras,
                pool=pool,
            )

        table = read_table(recorded.episodes)
        assert table.success is not None
        with (recorded.folder / "outcomes.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(("episode_index", "success"))
            lines.writerows(
                (episode, int(table.success[rows].any())) for episode, rows in enumerate(table.slices)
            )

    def _try(self, arm: str, policy: Path) -> None:
        with open_pool(1) as pool:
            out = self.folder / "trials" / f"{arm}.parquet"
            out.parent.mkdir(exist_ok=True)
            evaluate(
                policy,
                out,
                self.settings.worlds,
                self.settings.evaluation,
                pool=pool,
                title=f"evaluation, {arm}",
            )


def evenings(out: Path, tasks: tuple[str, ...], seeds: int, **changes: Any) -> list[Evening]:
    """One evening per task and seed, with the settings of `vantage study act`."""
    study = study_act()
    planned: list[Evening] = []
    for task in study.tasks:
        if task.name not in tasks:
            continue
        for seed in range(seeds):
            settings = replace(study.settings(Supervised(), task, seed), **changes)
            planned.append(Evening(out / task.name / f"seed-{seed:02d}", settings))
    return planned


def run(
    out: Path = Path("runs/evening"),
    tasks: tuple[str, ...] = ("bin-picking-v3",),
    seeds: int = 3,
    rows: Path = Path("docs/results/evening.parquet"),
) -> None:
    """Play, fine-tune and evaluate whatever is missing; write the rows, and print the table.

    Args:
        out: Folder to work in.
        tasks: Tasks of `vantage study act`.
        seeds: How many seeds.
        rows: Where the trials are written.
    """
    play(evenings(out, tasks, seeds), rows)
    table(rows)


def play(planned: list[Evening], rows: Path) -> None:
    """Do whatever of these evenings is missing, and write all their trials."""
    for evening in planned:
        evening.folder.mkdir(parents=True, exist_ok=True)
        evening.supervise()
        for arm in RULES:
            evening.improve(arm)
        done = [other for other in planned if other.is_done]
        tables = [other.trials(arm) for other in done for arm in NAMES]
        write_parquet(rows, {name: np.concatenate([table[name] for table in tables]) for name in tables[0]})


def table(rows: Annotated[Path, tyro.conf.Positional] = Path("docs/results/evening.parquet")) -> None:
    """Print the table of stored trials, in markdown."""
    trials = read_parquet(rows)
    tasks, seeds = np.unique(trials["task"]), np.unique(trials["seed"])
    print("| policy | " + " | ".join(tasks) + " | all | 95 % interval |")
    print("|" + "---|" * (len(tasks) + 3))
    for arm, name in NAMES.items():
        whole = rate(trials, arm)
        assert whole is not None, f"{rows} lacks {arm}"
        tried = trials["arm"] == arm
        by_task = [trials["success"][tried & (trials["task"] == task)].mean() for task in tasks]
        cells = " | ".join(f"{share:.3f}" for share in (*by_task, whole.overall.estimate))
        print(f"| {name} | {cells} | {whole.overall.low:.3f} to {whole.overall.high:.3f} |")

    print()
    for ours, theirs in PAIRS:
        difference = contrast(trials, ours, theirs)
        assert difference is not None
        print(f"- {NAMES[ours]} - {NAMES[theirs]}: success {span(difference.difference, signed=True)}")
    count = int((trials["arm"] == "habc").sum())
    print(f"\n{count} paired starts, {len(seeds)} seeds a task.")


if __name__ == "__main__":
    prepare_process()
    tyro.extras.subcommand_cli_from_dict({"run": run, "table": table})
