"""A finished quickstart -> docs/results/quickstart.parquet; and from that file alone, the table and figure that README.md shows.

python -m benchmarks.quickstart_table runs/quickstart     keep the trials of this run, then print and draw
python -m benchmarks.quickstart_table                     print and draw from the kept trials
"""

import sys
from pathlib import Path

import numpy as np

from vantage.core.stats import bootstrap_mean, paired_difference, wilson
from vantage.data.schema import EVAL_COLUMNS
from vantage.data.sidecar import read_parquet, write_parquet
from vantage.report import charts
from vantage.report.figures import save_svg
from vantage.report.folder import Trials
from vantage.report.tables import Arm

KEPT = Path("docs/results/quickstart.parquet")
FIGURE = Path("docs/figures/quickstart.svg")
ARMS = {
    "round-00": "supervised",
    "round-01": "HABC, round 1",
    "round-02": "HABC, round 2",
    "control-sft": "supervised, equal steps",
}


def keep(run: Path) -> None:
    """Put the trials of all arms into one file."""
    tables = {arm: read_parquet(run / arm / "6-eval.parquet", EVAL_COLUMNS) for arm in ARMS}
    columns = {name: np.concatenate([table[name] for table in tables.values()]) for name in EVAL_COLUMNS}
    arm = np.concatenate([np.full(len(table["task"]), arm) for arm, table in tables.items()])
    write_parquet(KEPT, {"arm": arm} | columns)


def main() -> None:
    if len(sys.argv) > 1:
        keep(Path(sys.argv[1]))
    rows = read_parquet(KEPT)
    of = {arm: {name: rows[name][rows["arm"] == arm] for name in EVAL_COLUMNS} for arm in ARMS}
    tasks = list(dict.fromkeys(rows["task"]))
    print("| policy | " + " | ".join(tasks) + " | all starts | 95 % interval | n | steps of successes |")
    print("|---|" + "---|" * (len(tasks) + 4))
    for arm, name in ARMS.items():
        mine = of[arm]
        rate = wilson(int(mine["success"].sum()), len(mine["success"]))
        by_task = " | ".join(f"{mine['success'][mine['task'] == task].mean():.2f}" for task in tasks)
        steps = mine["steps"][mine["success"]].mean()
        print(f"| {name} | {by_task} | {rate.estimate:.3f} | {rate.low:.3f} to {rate.high:.3f} | {rate.n} | {steps:.1f} |")
    ours = of["round-02"]
    for arm in ("round-00", "control-sft"):
        assert (of[arm]["seed"] == ours["seed"]).all(), "the same starts, in the same order"
        gap = paired_difference(ours["success"], of[arm]["success"])
        both = ours["success"] & of[arm]["success"]
        shorter = bootstrap_mean((ours["steps"] - of[arm]["steps"])[both].astype(float), seed=0)
        print(
            f"HABC, round 2 - {ARMS[arm]}: success {gap.estimate:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}], n = {gap.n} paired starts; "
            f"steps where both succeed {shorter.estimate:+.1f} [{shorter.low:+.1f}, {shorter.high:+.1f}], n = {int(both.sum())}"
        )
    short = dict(zip(ARMS, ("supervised", "round 1", "round 2", "control"), strict=True))
    arms = [
        Arm(
            name=name,
            short=short[arm],
            trials=trials_of(of[arm]),
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
