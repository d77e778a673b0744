"""Which method for which evening: what success costs in robot's and in people's time, with and without
somebody who rescues.

    python -m experiments.which_method      prints the tables, and puts them into docs/which_method.md

Both are drawn from stored rows: the study of true state, where an operator may act in half of the rollouts,
and the study `alone`, where nobody does.
"""

from pathlib import Path

import numpy as np

from experiments.few_seeds import difference, success
from experiments.publish_study import between
from vantage.report.table import Table
from vantage.study.arms import title
from vantage.study.rows import Results
from vantage.study.spent import rollout_time
from vantage.study.statistics import rate
from vantage.study.words import count, span

PAGE = Path("docs/which_method.md")
BASELINE = "sft-more"
"""Supervised training with as many further gradient steps: what every gain is counted from."""
ARMS = {
    "state": (
        *("sft", BASELINE, "sft-zero-noise", "imit-dagger", "filtered-bc", "habc", "habc-zero-noise"),
        *("filtered-bc+rescues-scratch-zero-noise", "vantage-scratch-zero-noise"),
    ),
    "alone": (
        *("sft", BASELINE, "sft-zero-noise", "sft-more-zero-noise", "filtered-bc"),
        *("filtered-bc-zero-noise", "habc", "habc-zero-noise", "vantage-scratch-zero-noise"),
    ),
}
"""Study -> its arms between which somebody with an evening chooses."""


def table(name: str, results: Results) -> str:
    """A line per method: success, what it took, and what an hour of it gained, as Markdown."""
    study, trials = results.study, results.tables["trials"]
    rows: list[tuple[str, ...]] = []
    for arm in ARMS[name]:
        measured = rate(trials, arm)
        solved = success(trials, arm)
        if measured is None or solved is None:
            continue
        gain = None if arm == BASELINE else difference(trials, arm, BASELINE)
        spent = rollout_time(results, arm)
        robot, human = (spent.robot_minutes, spent.human_minutes) if spent else (0.0, 0.0)
        gained = float("nan") if gain is None else gain.estimate
        rows.append(
            (
                title(study, arm),
                span(solved),
                str(measured.overall.n),
                "" if gain is None else span(gain, signed=True),
                f"{measured.steps:.0f}",
                f"{robot:.0f}",
                f"{human:.1f}",
                _per_hour(gained, robot),
                _per_hour(gained, human),
            )
        )

    head = (
        *("method", "success", "cells", f"above {title(study, BASELINE)}", "steps of successes"),
        *("robot-minutes", "human-minutes", "points per robot-hour", "points per human-hour"),
    )
    seeds = len(np.unique(trials["seed"]))
    counts = ((len(study.tasks), "task"), (seeds, "seed"), (_rollouts(results), "rollout"))
    about = ", ".join(count(number, noun) for number, noun in counts)
    over = "seeds and starts" if seeds > 1 else "starts alone"
    return f"{Table(head, rows).markdown()}\n\n{about}; intervals are over {over}."


def _per_hour(gained: float, minutes: float) -> str:
    """Hundredths of success for each hour; a dash where no time was spent, or nothing is gained from."""
    if not minutes or not np.isfinite(gained):
        return "–"
    return f"{100 * gained / (minutes / 60):+.0f}"


def _rollouts(results: Results) -> int:
    """Rollouts of HABC's rounds, per task and seed."""
    spent = rollout_time(results, "habc")
    return 0 if spent is None else round(spent.rollouts)


def main() -> None:
    """Print the tables, and put them into the page."""
    for name in ARMS:
        drawn = table(name, Results.read(Path(f"docs/results/study-{name}")))
        print(drawn, end="\n\n")
        between(PAGE, f"which-{name}", drawn, f"## {name}")


if __name__ == "__main__":
    main()
