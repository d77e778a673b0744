"""Stored rows -> the tables of a study, as rows of text that Markdown and the page share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from vantage.core.stats import Interval
from vantage.study.board import hours
from vantage.study.measure import Table
from vantage.study.plan import Gathered, Online, Study
from vantage.study.rows import Results
from vantage.study.statistics import Contrast, contrast, hold_together, rate

TITLES = {
    "sft": "SFT",
    "sft-more": "SFT, equal steps",
    "filtered-bc": "filtered BC",
    "awr": "AWR",
    "imit-dagger": "Imit-DAgger",
    "imit-recap": "Imit-Recap",
    "habc-v": "HABC-V",
    "habc": "HABC",
    "habc-more": "HABC, continued",
    "habc+ir": "HABC+IR",
    "habc+ir-2": "HABC+IR, 5 rounds",
    "habc+ir-3": "HABC+IR, 6 rounds",
    "filtered-bc+rescues": "filtered BC, more rescues",
    "interleaved": "HABC, interleaved",
    "vantage": "Vantage",
    "vantage-4": "Vantage, 4 rounds",
    "vantage-anew": "Vantage, anew",
    "vantage-anew-4": "Vantage, anew, 4 rounds",
    "vantage-anew-6": "Vantage, anew, 6 rounds",
    "habc-anew": "HABC, anew",
    "habc-long": "HABC, 2,400 steps a round",
    "filtered-bc-anew": "filtered BC, anew",
    "filtered-bc+rescues-anew": "filtered BC, more rescues, anew",
}
"""Names that people know arms by."""
PAPER_G = {
    "mean g, successful rollouts": "0.76 / 0.68 / 0.86",
    "mean g, rescues (IR)": "1.0 / 1.1 / 0.95",
    "Recap passes": "22 / 27 / 19 %",
}
"""Appendix G and B of the paper, task by task (its own three tasks)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table."""

    title: str
    words: str
    """How to read it."""
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [f"### {self.title}", "", self.words, "", "| " + " | ".join(self.head) + " |", "|" + "---|" * len(self.head)]
        return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in self.rows)]) + "\n"


def title(arm: str) -> str:
    """What people call an arm; an arm on shared data says so."""
    plain = arm.removeprefix("shared-").removesuffix("-calm")
    words = TITLES.get(plain, plain)
    return words + (", shared data" if arm.startswith("shared-") else "") + (", calm" if arm.endswith("-calm") else "")


def span(found: Interval, digits: int = 3, signed: bool = False) -> str:
    """``0.713 [0.650, 0.771]``; a dash where there is nothing."""
    if not np.isfinite(found.estimate):
        return "–"
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    text = form.format(found.estimate)
    return f"{text} [{form.format(found.low)}, {form.format(found.high)}]" if np.isfinite(found.low) else text


def evaluated(study: Study) -> list[str]:
    """Names of the arms that are evaluated, in the study's order."""
    return [arm.name for arm in study.arms if not isinstance(arm, Gathered)]


def contrasts(results: Results) -> list[Contrast]:
    """Every comparison of the plan for which there are rows."""
    found = [contrast(results.tables["trials"], ours, theirs) for ours, theirs in results.study.pairs]
    return [each for each in found if each is not None]


def success_sheet(results: Results) -> Sheet:
    """Success and steps by arm and task."""
    tasks = [task.world.task for task in results.study.tasks]
    rows: list[tuple[str, ...]] = []
    for arm in evaluated(results.study):
        found = rate(results.tables["trials"], arm)
        if found is not None:
            per_task = [span(found.by_task[task]) if task in found.by_task else "–" for task in tasks]
            cost = f"{results.study.gradient_steps(results.study.arm(arm)):,}"
            rows.append((title(arm), *per_task, f"**{span(found.overall)}**", f"{found.steps:.0f}", cost, str(found.overall.n)))
    return Sheet(
        title="Success",
        words="Mean over seeds and starts with a 95 % interval that draws both again; tasks count the same in the mean. "
        "Cells: finished pairs of task and seed; methods with fewer of them stand on fewer seeds, so compare those by their differences. "
        "Gradient steps: after the supervised checkpoint, all rounds together. No interval where a task has one seed.",
        head=("method", *tasks, "mean", "steps of successes", "gradient steps", "cells"),
        rows=tuple(rows),
    )


def contrast_sheet(results: Results) -> Sheet:
    """Differences between neighbours of the order, and the further pairs of the plan."""
    tasks = [task.world.task for task in results.study.tasks]
    found = contrasts(results)
    rows = [
        (
            f"{title(each.ours)} − {title(each.theirs)}",
            f"**{span(each.difference, signed=True)}**" if stands else span(each.difference, signed=True),
            " / ".join(f"{each.by_task[task]:+.3f}" for task in tasks if task in each.by_task),
            span(each.improvement, 2),
            span(each.shared_steps, 1, signed=True),
            span(each.limit_steps, 1, signed=True),
            f"{each.p:.4f}" if each.p >= 1e-4 else "< 0.0001",
            f"{each.detectable:.3f}" if np.isfinite(each.detectable) else "–",
            str(each.difference.n),
        )
        for each, stands in zip(found, hold_together(found), strict=True)
    ]
    return Sheet(
        title="Differences",
        words="Paired by task, seed and start. P: probability that a run of the first beats a run of the second. Steps: on the starts that "
        "both solve, then over all starts with failures at the limit. p: paired sign-flip test over cells. Bold: stands even when all "
        "differences of this table are looked at together (Holm, 5 %). Detectable: what 80 % power would find at the 5 % level.",
        head=("pair", "success", "by task", "P(better)", "steps, both solve", "steps, failures at limit", "p", "detectable", "pairs"),
        rows=tuple(rows),
    )


def weights_sheet(results: Results) -> Sheet:
    """The weight statistics of Appendix G, by arm and task, beside the paper's."""
    rounds = results.tables["rounds"]
    rows: list[tuple[str, ...]] = []
    for place in results.study.tasks:
        task = place.world.task
        for arm in results.study.arms:
            mine = _rows(rounds, arm.name, task)
            if isinstance(arm, Online) and mine.any() and np.isfinite(rounds["mean_g_success"][mine]).any():
                values = [_mean(rounds[name][mine]) for name in ("mean_g_success", "mean_g_rescue", "passing")]
                rows.append((task, title(arm.name), *(f"{value:.2f}" for value in values)))
    return Sheet(
        title="Weights (App. G)",
        words="g of Eq. 7, whatever a rule makes of it. Mean over rounds and seeds, each round on its own rollouts. Passing: share of "
        "autonomous frames with a weight above 0. The paper's, on its three tasks: "
        + "; ".join(f"{name} {value}" for name, value in PAPER_G.items())
        + ".",
        head=("task", "method", "mean g, successful rollouts", "mean g, rescues", "passing"),
        rows=tuple(rows),
    )


def critic_sheet(results: Results) -> Sheet:
    """How good the critics were on episodes they had not seen."""
    rounds = results.tables["rounds"]
    names = ("auc", "bce", "bce_base_rate", "ece", "explained_variance")
    rows: list[tuple[str, ...]] = []
    for arm in results.study.arms:
        mine = _rows(rounds, arm.name)
        if mine.any() and np.isfinite(rounds["auc"][mine]).any():
            rows.append((title(arm.name), *(f"{_mean(rounds[name][mine]):.2f}" for name in names), str(int(mine.sum()))))
    return Sheet(
        title="Critics",
        words="On held-out episodes of the round's data (the interleaved schedule holds none out: its numbers are in-sample). Mean over "
        "rounds, seeds and tasks. BCE beside what knowing only the success rate would give.",
        head=("method", "AUC of p_v", "BCE", "BCE of the base rate", "calibration error", "explained variance of V_e", "rounds"),
        rows=tuple(rows),
    )


def collected_sheet(results: Results) -> Sheet:
    """What each arm's rollouts were like, round by round."""
    rounds = results.tables["rounds"]
    rows: list[tuple[str, ...]] = []
    for arm in results.study.arms:
        for number in np.unique(rounds["round"][_rows(rounds, arm.name)]) if rounds else ():
            mine = _rows(rounds, arm.name) & (rounds["round"] == number)
            if number:
                share = rounds["human_steps"][mine].sum() / rounds["robot_steps"][mine].sum()
                means = [_mean(rounds[name][mine]) for name in ("episodes", "alone", "rescued")]
                rows.append((title(arm.name), str(number), f"{means[0]:.0f}", f"{means[1]:.2f}", f"{means[2]:.2f}", f"{share:.2f}"))
    return Sheet(
        title="Rollouts",
        words="Per round, mean over seeds and tasks. An operator may act in half of the episodes.",
        head=("method", "round", "episodes", "solved alone", "rescued", "human share of steps"),
        rows=tuple(rows),
    )


def stop_arm(results: Results) -> str | None:
    """The arm whose critics say when to stop: the best cross-fitted one that has rows, or the last; None where no arm has a critic."""
    stops = results.tables["stops"]
    known = [arm.name for arm in results.study.arms if _rows(stops, arm.name).any()]
    wanted = [name for name in ("vantage-anew", "vantage", "cross-fitted", "habc") if name in known]
    return next(iter(wanted + known[::-1]), None)


def stops_sheet(results: Results, arm: str) -> Sheet:
    """What stopping at low viability would have saved and lost."""
    stops = results.tables["stops"]
    mine = _rows(stops, arm)
    rows: list[tuple[str, ...]] = []
    for threshold in np.unique(stops["threshold"][mine]) if stops else ():
        here = mine & (stops["threshold"] == threshold)
        total = {name: float(stops[name][here].sum()) for name in ("lost", "successes", "saved", "steps", "failed_steps", "untouched")}
        rows.append(
            (
                f"{threshold:.2f}",
                f"{100 * total['saved'] / total['steps']:.1f} %",
                f"{100 * total['saved'] / max(total['failed_steps'], 1):.1f} %",
                f"{100 * total['lost'] / max(total['successes'], 1):.1f} %",
                f"{total['untouched']:.0f}",
            )
        )
    return Sheet(
        title=f"Stop and call for help ({title(arm)})",
        words="If the robot had stopped once p_v had been below the threshold for 16 steps in a row: control steps saved (of all, and as a "
        "share of the steps of failures) and successes lost, over its rollouts that nobody touched.",
        head=("threshold", "steps saved", "saved / steps of failures", "successes lost", "episodes"),
        rows=tuple(rows),
    )


def cost(results: Results) -> str:
    """One sentence: cells, trials, core hours, machine, commits."""
    cells, trials = results.tables["cells"], results.tables["trials"]
    if not cells:
        return "No cell is finished."
    commits = ", ".join(str(commit)[:8] for commit in dict.fromkeys(cells["commit"].tolist()))
    machines = ", ".join(dict.fromkeys(cells["machine"].tolist()))
    seeds = len(np.unique(cells["seed"]))
    per_cell = len(trials["trial"]) // max(
        1, len(np.unique(np.char.add(np.char.add(trials["task"], trials["arm"]), trials["seed"].astype(str))))
    )
    return (
        f"{len(cells['seed'])} cells, {seeds} seeds, {per_cell} trials a cell (suite `{results.study.base.evaluation.suite}`), "
        f"{hours(float(cells['seconds'].sum()))} of one core in all; machine: {machines} cores; commits {commits}."
    )


def sheets(results: Results) -> Sequence[Sheet]:
    """Every table of a study that has rows."""
    judge = stop_arm(results)
    drawn = [
        success_sheet(results),
        contrast_sheet(results),
        weights_sheet(results),
        critic_sheet(results),
        collected_sheet(results),
        *([stops_sheet(results, judge)] if judge else []),
    ]
    return [sheet for sheet in drawn if sheet.rows]


def _rows(table: Table, arm: str, task: str | None = None) -> Bool[np.ndarray, "M"]:
    if not table:
        return np.zeros(0, bool)
    mine = table["arm"] == arm
    return mine if task is None else mine & (table["task"] == task)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values.astype(np.float64))]
    return float(known.mean()) if len(known) else float("nan")
