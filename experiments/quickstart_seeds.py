"""What to expect of the quickstart: the same command with several seeds, and what differs between them.

    python -m experiments.quickstart_seeds run --seeds 5 --out runs/quickstart-seeds
    python -m experiments.quickstart_seeds table docs/results/quickstart-seeds.parquet

Seeds change everything that is drawn: demonstrations, rollouts, rescues, first weights, batches. The starts
of the evaluation are the same for all. What is on disk is not made again.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from experiments.publish_study import between
from experiments.quickstart_table import ARMS, CONTROL
from vantage.cli import dispatch
from vantage.core.stats import Interval
from vantage.data.v3.schema import EVAL_COLUMNS
from vantage.disk.tables import read_parquet, write_parquet
from vantage.environment import prepare_process
from vantage.study.statistics import contrast, rate
from vantage.study.words import span

KEPT = Path("docs/results/quickstart-seeds.parquet")
FIRST, LAST = "round-00", "round-02"

Columns = dict[str, np.ndarray]
"""A row per trial: task, world, arm, seed (of training), trial, success, steps, limit."""


def run(
    out: Path = Path("runs/quickstart-seeds"), seeds: int = 5, workers: int = 0, rows: Path = KEPT
) -> None:
    """Run the quickstart with every seed that is missing, keep its trials, and print the table.

    Args:
        out: Folder to work in; each seed has a folder of its own there.
        seeds: How many seeds: 0, 1, ...
        workers: Processes that play episodes; 0: one per core.
        rows: Where the trials are kept.
    """
    folders = [out / f"seed-{seed:02d}" for seed in range(seeds)]
    for seed, folder in enumerate(folders):
        dispatch(["quickstart", "--seed", str(seed), "--out", str(folder), "--workers", str(workers)])
    keep(folders, rows)
    table(rows)


def keep(folders: list[Path], rows: Path) -> None:
    """Put the trials of all arms of finished quickstarts into one file; their place is their seed."""
    tables = [trials(folder, arm, seed) for seed, folder in enumerate(folders) for arm in ARMS]
    write_parquet(rows, {name: np.concatenate([table[name] for table in tables]) for name in tables[0]})


def trials(folder: Path, arm: str, seed: int) -> Columns:
    """The evaluation of one policy of one quickstart, as rows."""
    played = read_parquet(folder / arm / "6-eval.parquet", EVAL_COLUMNS)
    count = len(played["success"])
    return {
        "task": played["task"],
        "world": played["task"],
        "arm": np.full(count, arm),
        "seed": np.full(count, seed),
        "trial": np.arange(count),
        **{name: played[name] for name in ("success", "steps", "limit")},
    }


def table(rows: Annotated[Path, tyro.conf.Positional] = KEPT) -> None:
    """Print the table of kept trials, in markdown, and put it into README.md and docs/results.md."""
    drawn = written(read_parquet(rows))
    print(drawn)
    if rows == KEPT:
        for page in (Path("README.md"), Path("docs/results.md")):
            between(page, "quickstart-seeds", drawn, "### Over seeds")


def written(kept: Columns) -> str:
    """Success of every seed, their mean and spread, and what the rounds gained, in markdown."""
    seeds = np.unique(kept["seed"])
    starts = int((kept["arm"] == FIRST).sum()) // len(seeds)
    lines = [
        "| seed | " + " | ".join(ARMS.values()) + " |",
        "|---|" + "---|" * len(ARMS),
    ]
    by_seed = {arm: np.array([_success(kept, arm, seed) for seed in seeds]) for arm in ARMS}
    for place, seed in enumerate(seeds):
        lines.append(f"| {seed} | " + " | ".join(f"{by_seed[arm][place]:.3f}" for arm in ARMS) + " |")

    spread = [f"{by_seed[arm].std(ddof=1):.3f}" if len(seeds) > 1 else "" for arm in ARMS]
    lines.append("| **mean** | " + " | ".join(_bold(_overall(kept, arm)) for arm in ARMS) + " |")
    lines.append("| standard deviation | " + " | ".join(spread) + " |")
    lines.append("")
    for other in (FIRST, CONTROL):
        gain = contrast(kept, LAST, other)
        assert gain is not None
        gained = (by_seed[LAST] > by_seed[other]).sum()
        lines.append(
            f"- {ARMS[LAST]} - {ARMS[other]}: success {span(gain.difference, signed=True)}; "
            f"better with {gained} of {len(seeds)} seeds"
        )
    lines.append("")
    lines.append(f"{len(seeds)} seeds, {starts} starts each; intervals draw seeds and starts again.")
    return "\n".join(lines)


def _success(kept: Columns, arm: str, seed: int) -> float:
    return float(kept["success"][(kept["arm"] == arm) & (kept["seed"] == seed)].mean())


def _overall(kept: Columns, arm: str) -> Interval:
    whole = rate(kept, arm)
    assert whole is not None, f"no trials of {arm}"
    return whole.overall


def _bold(interval: Interval) -> str:
    return f"**{interval.estimate:.3f}** [{interval.low:.3f}, {interval.high:.3f}]"


if __name__ == "__main__":
    prepare_process()
    tyro.extras.subcommand_cli_from_dict({"run": run, "table": table})
