"""A finished quickstart -> docs/results/quickstart.parquet; and from that file alone, the table and figure that README.md shows.

python -m experiments.quickstart_table runs/quickstart                  keep the trials of this run, then print and draw
python -m experiments.quickstart_table                                  print and draw from the kept trials
python -m experiments.quickstart_table runs/quickstart runs/vantage     keep those of `vantage run vantage` too: docs/results/recipe.parquet
"""

import sys
from pathlib import Path

import numpy as np

from experiments.publish_study import between
from vantage.core.stats import bootstrap_mean, paired_difference, wilson
from vantage.data.v3.schema import EVAL_COLUMNS
from vantage.disk.tables import read_parquet, write_parquet
from vantage.report import charts
from vantage.report.folder import Trials
from vantage.report.numbers import Arm
from vantage.report.svg import save_svg

KEPT = Path("docs/results/quickstart.parquet")
FIGURE = Path("docs/figures/quickstart.svg")
ARMS = {
    "round-00": "supervised",
    "round-01": "HABC, round 1",
    "round-02": "HABC, round 2",
    "control-sft": "supervised, equal steps",
}
RECIPE = Path("docs/results/recipe.parquet")
OWN = {
    "round-01": "Vantage's recipe, round 1",
    "round-02": "Vantage's recipe, round 2",
    "control-sft": "supervised, as many steps as Vantage's recipe",
}
"""The same starts after `vantage run vantage`."""


def keep(run: Path, arms: dict[str, str], out: Path) -> None:
    """Put the trials of all arms into one file."""
    tables = {arm: read_parquet(run / arm / "6-eval.parquet", EVAL_COLUMNS) for arm in arms}
    columns = {name: np.concatenate([table[name] for table in tables.values()]) for name in EVAL_COLUMNS}
    arm = np.concatenate([np.full(len(table["task"]), arm) for arm, table in tables.items()])
    write_parquet(out, {"arm": arm} | columns)


def kept(path: Path, arms: dict[str, str]) -> dict[str, dict[str, np.ndarray]]:
    """Trials by the name that people know a policy by."""
    rows = read_parquet(path)
    return {title: {name: rows[name][rows["arm"] == arm] for name in EVAL_COLUMNS} for arm, title in arms.items()}


def table(of: dict[str, dict[str, np.ndarray]]) -> str:
    """Markdown: a line per policy."""
    tasks = list(dict.fromkeys(next(iter(of.values()))["task"]))
    lines = [
        "| policy | " + " | ".join(tasks) + " | all starts | 95 % interval | n | steps of successes |",
        "|---|" + "---|" * (len(tasks) + 4),
    ]
    for name, mine in of.items():
        rate = wilson(int(mine["success"].sum()), len(mine["success"]))
        by_task = " | ".join(f"{mine['success'][mine['task'] == task].mean():.2f}" for task in tasks)
        steps = mine["steps"][mine["success"]].mean()
        lines.append(f"| {name} | {by_task} | {rate.estimate:.3f} | {rate.low:.3f} to {rate.high:.3f} | {rate.n} | {steps:.1f} |")
    return "\n".join(lines)


def difference(of: dict[str, dict[str, np.ndarray]], first: str, second: str) -> str:
    """One line of Markdown: the first minus the second, start by start."""
    ours, theirs = of[first], of[second]
    assert (ours["seed"] == theirs["seed"]).all(), "the same starts, in the same order"
    gap = paired_difference(ours["success"], theirs["success"])
    both = ours["success"] & theirs["success"]
    shorter = bootstrap_mean((ours["steps"] - theirs["steps"])[both].astype(float), seed=0)
    return (
        f"- {first} - {second}: success {gap.estimate:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}], n = {gap.n} paired starts; "
        f"steps where both succeed {shorter.estimate:+.1f} [{shorter.low:+.1f}, {shorter.high:+.1f}], n = {int(both.sum())}"
    )


def main() -> None:
    for run, arms, out in zip(map(Path, sys.argv[1:]), (ARMS, OWN), (KEPT, RECIPE), strict=False):
        keep(run, arms, out)
    of = kept(KEPT, ARMS)
    best = ARMS["round-02"]
    print("\n".join([table(of), "", *(difference(of, best, ARMS[arm]) for arm in ("round-00", "control-sft"))]))
    if RECIPE.exists():
        all_of = of | kept(RECIPE, OWN)
        own = OWN["round-02"]
        lines = [table(all_of), "", *(difference(all_of, own, other) for other in (best, ARMS["round-00"], OWN["control-sft"]))]
        between(Path("docs/results.md"), "recipe", "\n".join(lines), "### The same with Vantage's own recipe")
    short = dict(zip(ARMS, ("supervised", "round 1", "round 2", "control"), strict=True))
    arms = [
        Arm(
            name=name,
            short=short[arm],
            trials=trials_of(of[name]),
            rounds=place if arm != "control-sft" else 0,
            control=arm == "control-sft",
        )
        for place, (arm, name) in enumerate(ARMS.items())
    ]
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    save_svg(charts.success(arms, 720, 260), FIGURE)


def trials_of(columns: dict[str, np.ndarray]) -> Trials:
    return Trials(**{name: columns[name] for name in ("task", "prompt", "seed", "success", "steps")})


if __name__ == "__main__":
    main()
