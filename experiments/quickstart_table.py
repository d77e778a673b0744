"""A finished quickstart -> the table of README.md for it; published ones -> docs/results/quickstart.parquet,
and table and figure from it.

    python -m experiments.quickstart_table runs/quickstart     print the table of this run; nothing is written
    python -m experiments.quickstart_table                     print the published table again
    python -m experiments.quickstart_table --publish           draw the published figure and tables again
    python -m experiments.quickstart_table --publish runs/quickstart [runs/vantage]
                                        keep the trials of these runs in docs/results first; the second run is
                                        one of `vantage run vantage`
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.publish_study import between
from vantage.core.stats import bootstrap_mean, paired_difference, wilson
from vantage.data.v3.schema import EVAL_COLUMNS
from vantage.disk.files import write_whole
from vantage.disk.tables import read_parquet, write_parquet
from vantage.report.words import percent
from vantage.study.figures.card import LIGHT, Axes, Card, bare, card, grid, note_lines, upright
from vantage.study.words import span

KEPT = Path("docs/results/quickstart.parquet")
FIGURE = Path("docs/figures/quickstart.svg")
WIDTH, TOP = 840.0, 74.0
"""Of the figure, and where its panels begin, in pixels."""
ARMS = {
    "round-00": "supervised",
    "round-01": "HABC, round 1",
    "round-02": "HABC, round 2",
    "control-sft": "supervised, equal steps",
}
"""Folder of a run -> what its policy is called."""
CONTROL = "control-sft"
NAMES = {"round-00": "supervised", "round-01": "round 1", "round-02": "round 2", CONTROL: "control"}
SHORT = {"round-00": "0", "round-01": "1", "round-02": "2", CONTROL: "control"}
"""What stands below a policy's dot in the wide panel, and in a narrow one."""
RECIPE = Path("docs/results/recipe.parquet")
OWN = {
    "round-01": "Vantage's recipe, round 1",
    "round-02": "Vantage's recipe, round 2",
    CONTROL: "supervised, as many steps as Vantage's recipe",
}
"""The same starts after `vantage run vantage`."""

Trials = Mapping[str, np.ndarray]
"""Columns of 6-eval.parquet, a row per trial."""


def keep(run: Path, arms: Mapping[str, str], out: Path) -> None:
    """Put the trials of all arms of a run into one file."""
    tables = {arm: read_parquet(run / arm / "6-eval.parquet", EVAL_COLUMNS) for arm in arms}
    columns = {name: np.concatenate([table[name] for table in tables.values()]) for name in EVAL_COLUMNS}
    arm = np.concatenate([np.full(len(table["task"]), arm) for arm, table in tables.items()])
    write_parquet(out, {"arm": arm} | columns)


def kept(path: Path, arms: Mapping[str, str]) -> dict[str, Trials]:
    """Trials by the name that people know a policy by."""
    rows = read_parquet(path)
    return {
        title: {name: rows[name][rows["arm"] == arm] for name in EVAL_COLUMNS} for arm, title in arms.items()
    }


def table(trials: Mapping[str, Trials]) -> str:
    """Markdown: a line per policy."""
    tasks = tasks_of(trials)
    lines = [
        "| policy | " + " | ".join(tasks) + " | all starts | 95 % interval | n | steps of successes |",
        "|---|" + "---|" * (len(tasks) + 4),
    ]
    for name, tried in trials.items():
        rate = wilson(int(tried["success"].sum()), len(tried["success"]))
        by_task = " | ".join(f"{tried['success'][tried['task'] == task].mean():.2f}" for task in tasks)
        steps = tried["steps"][tried["success"]].mean()
        interval = f"{rate.low:.3f} to {rate.high:.3f}"
        lines.append(f"| {name} | {by_task} | {rate.estimate:.3f} | {interval} | {rate.n} | {steps:.1f} |")
    return "\n".join(lines)


def tasks_of(trials: Mapping[str, Trials]) -> list[str]:
    """The tasks that were tried, in their order."""
    return list(dict.fromkeys(next(iter(trials.values()))["task"].tolist()))


def difference(trials: Mapping[str, Trials], first: str, second: str) -> str:
    """One line of Markdown: the first minus the second, start by start."""
    ours, theirs = trials[first], trials[second]
    assert (ours["seed"] == theirs["seed"]).all(), "the same starts, in the same order"
    gap = paired_difference(ours["success"], theirs["success"])
    both = ours["success"] & theirs["success"]
    shorter = bootstrap_mean((ours["steps"] - theirs["steps"])[both].astype(float), seed=0)
    return (
        f"- {first} - {second}: success {span(gap, signed=True)}, n = {gap.n} paired starts; "
        f"steps where both succeed {span(shorter, 1, signed=True)}, n = {int(both.sum())}"
    )


def figure(trials: Mapping[str, Trials]) -> str:
    """Success by round over all starts and by task, with Wilson intervals; the control as a ring."""
    tasks = tasks_of(trials)
    with card(WIDTH, TOP + 244) as sheet:
        sheet.text(16, 28, "Success on the same starts, round by round", colour="ink", bold=True, size=14)
        left, right, bottom = 60.0, 300.0, TOP + 170
        rates = (0.0, 0.25, 0.5, 0.75, 1.0)
        narrow = (WIDTH - right - 42 - 26 * len(tasks)) / len(tasks)
        for number, task in enumerate(["", *tasks]):
            axes = sheet.panel(left, TOP, right, bottom, x=(-0.5, len(ARMS) - 0.5), y=(0.0, 1.0))
            bare(axes, keep=("bottom",))
            grid(
                axes,
                rates,
                [percent(rate) for rate in rates] if number == 0 else [""] * len(rates),
                along="y",
            )
            axes.set_xticks([])
            sheet.text(left, TOP - 16, task or "all starts", colour="ink", bold=True)
            _rounds(sheet, axes, trials, task, left, right, bottom)
            left, right = right + 26, right + 26 + narrow

        starts = len(trials[ARMS["round-00"]]["seed"])
        note = (
            "0: the supervised policy; 1, 2: after HABC's rounds; ring: the supervised policy given as "
            f"many steps on the demonstrations. n = {starts} starts, {starts // len(tasks)} a task; one "
            "training seed. Bars: 95 % Wilson intervals over starts."
        )
        sheet.note(note_lines(note, WIDTH))
        said = "; ".join(f"{name} {percent(float(mine['success'].mean()))}" for name, mine in trials.items())
        return sheet.svg(f"Success rate: {said}")


def _rounds(
    sheet: Card, axes: Axes, trials: Mapping[str, Trials], task: str, left: float, right: float, bottom: float
) -> None:
    """The policies of one panel, the rounds joined; `task` empty: all of them."""
    estimates: list[float] = []
    for number, (arm, name) in enumerate(ARMS.items()):
        success = trials[name]["success"]
        won = success[trials[name]["task"] == task] if task else success
        rate = wilson(int(won.sum()), len(won))
        colour = "blue" if arm in ("round-01", "round-02") else "grey"
        upright(
            sheet,
            axes,
            number,
            rate,
            colour,
            f"{name}{f', {task}' if task else ''}: {rate}",
            hollow=arm == CONTROL,
        )
        if arm != CONTROL:
            estimates.append(rate.estimate)

        x = left + (number + 0.5) / len(ARMS) * (right - left)
        sheet.text(x, bottom + 18, (SHORT if task else NAMES)[arm], align="center", size=11)
        end_of_bar = bottom - rate.high * (bottom - TOP)
        sheet.text(
            x,
            end_of_bar - 6,
            f"{100 * rate.estimate:.0f}",
            align="center",
            colour="ink",
            bold=not task,
            size=11,
        )
    axes.plot(range(len(estimates)), estimates, color=LIGHT["blue"], zorder=1)


def compared(trials: Mapping[str, Trials]) -> str:
    """The table of a quickstart and of its last round beside the two supervised policies."""
    best = ARMS["round-02"]
    return "\n".join(
        [table(trials), "", *(difference(trials, best, ARMS[arm]) for arm in ("round-00", CONTROL))]
    )


def main(arguments: Sequence[str]) -> None:
    """Print the table of a run, or of what is published; publish only where that was asked for."""
    runs = [Path(word) for word in arguments if word != "--publish"]
    if "--publish" in arguments:
        publish(runs)
    elif runs:
        of_run = {
            name: read_parquet(runs[0] / arm / "6-eval.parquet", EVAL_COLUMNS) for arm, name in ARMS.items()
        }
        print(compared(of_run))
    else:
        print(compared(kept(KEPT, ARMS)))


def publish(runs: list[Path]) -> None:
    """Keep the trials of the runs in docs/results, then draw the figure and the table of the recipe again."""
    for run, arms, out in zip(runs, (ARMS, OWN), (KEPT, RECIPE), strict=False):
        keep(run, arms, out)

    trials = kept(KEPT, ARMS)
    print(compared(trials))
    write_whole(FIGURE, figure(trials).encode())

    if RECIPE.exists():
        both = trials | kept(RECIPE, OWN)
        own, best = OWN["round-02"], ARMS["round-02"]
        lines = [
            table(both),
            "",
            *(difference(both, own, other) for other in (best, ARMS["round-00"], OWN[CONTROL])),
        ]
        between(Path("docs/results.md"), "recipe", "\n".join(lines), "### The same with Vantage's own recipe")


if __name__ == "__main__":
    main(sys.argv[1:])
