"""Stored rows -> the tables of a study, as rows of text that Markdown and the page share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from vantage.report.paper import MEAN_G_RESCUE, MEAN_G_SUCCESS, RECAP_PASSING
from vantage.report.words import code, markdown
from vantage.study.arms import Family, describe, evaluated, short_terms, title
from vantage.study.caps import within
from vantage.study.measure import PATIENCE, Table
from vantage.study.plan import Online, Whole
from vantage.study.practice_tables import practice_sheets
from vantage.study.rows import Results
from vantage.study.sheet import Sheet
from vantage.study.statistics import Contrast, Rate, contrast, hold_together, rate
from vantage.study.words import hours, span


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """What the trials of a study say, computed once for its tables and its figures."""

    rates: dict[str, Rate]
    """Evaluated arm -> its success, those with finished cells, in the study's order."""
    contrasts: list[Contrast]
    """Every comparison of the plan for which there are rows."""


def estimate(results: Results) -> Estimates:
    """Rates and differences of a study."""
    trials = counted(results)
    measured = {arm: rate(trials, arm) for arm in evaluated(results.study)}
    return Estimates(
        rates={arm: one for arm, one in measured.items() if one is not None},
        contrasts=contrasts(results),
    )


def sheets(results: Results, estimates: Estimates) -> Sequence[Sheet]:
    """Every table of a study that has rows. Where arms practise, the trials are counted under several limits instead of one."""
    first = [success_sheet(results, estimates.rates), contrast_sheet(results, estimates.contrasts)]
    if results.study.view is not None:
        first = practice_sheets(results, results.study.view, estimates.contrasts)
    drawn = [
        *first,
        weights_sheet(results),
        critic_sheet(results),
        collected_sheet(results),
    ]
    judge = stop_arm(results)
    if judge is not None:
        drawn.append(stops_sheet(results, judge))
    return [sheet for sheet in drawn if sheet.rows]


LEAST_PAIRS = 3
"""Pairs of cells below which a comparison of arms that practise is not shown: two seeds say little of further ones."""


def contrasts(results: Results) -> list[Contrast]:
    """Every comparison of the plan for which there are rows."""
    trials = counted(results)
    compared = [contrast(trials, ours, theirs) for ours, theirs in results.study.pairs]
    least = LEAST_PAIRS if results.study.view is not None else 1
    return [one for one in compared if one is not None and one.difference.n >= least]


def counted(results: Results) -> Table:
    """The trials by which arms are compared: as they were played, or under the first cap of the study's view."""
    trials, view = results.tables["trials"], results.study.view
    return within(trials, view.caps[0]) if trials and view is not None else trials


def success_sheet(results: Results, rates: Mapping[str, Rate]) -> Sheet:
    """Success and steps by arm and task."""
    study = results.study
    tasks = [task.name for task in study.tasks]
    rows: list[tuple[str, ...]] = []
    for arm, measured in rates.items():
        rows.append(
            (
                title(study, arm),
                *(span(measured.by_task[task]) if task in measured.by_task else "–" for task in tasks),
                f"**{span(measured.overall)}**",
                f"{measured.steps:.0f}",
                _steps(study.gradient_steps(study.arm(arm))),
                str(measured.overall.n),
            )
        )

    words = (
        "Mean over seeds and starts with a 95 % interval that draws both again; tasks count the same in the mean. "
        "Cells: finished pairs of task and seed; methods with fewer of them stand on fewer seeds, so compare those by "
        "their differences. Gradient steps: after the supervised checkpoint, all rounds together. No interval where a "
        f"task has one seed. {short_terms(study, rates)}"
    )
    return Sheet(
        title="Success",
        words=words.rstrip(),
        head=("method", *tasks, "mean", "steps of successes", "gradient steps", "cells"),
        rows=tuple(rows),
    )


def contrast_sheet(results: Results, compared: Sequence[Contrast]) -> Sheet:
    """Differences between neighbours of the order, and the further pairs of the plan."""
    study = results.study
    tasks = [task.name for task in study.tasks]
    rows: list[tuple[str, ...]] = []
    for one, stands in zip(compared, hold_together(compared), strict=True):
        difference = span(one.difference, signed=True)
        rows.append(
            (
                f"{title(study, one.ours)} − {title(study, one.theirs)}",
                f"**{difference}**" if stands else difference,
                " / ".join(f"{one.by_task[task]:+.3f}" for task in tasks if task in one.by_task),
                span(one.improvement, 2),
                span(one.shared_steps, 1, signed=True),
                span(one.limit_steps, 1, signed=True),
                f"{one.p:.4f}" if one.p >= 1e-4 else "< 0.0001",
                f"{one.detectable:.3f}" if np.isfinite(one.detectable) else "–",
                str(one.difference.n),
            )
        )
    return Sheet(
        title="Differences",
        words="Paired by task, seed and start. P: probability that a run of the first beats a run of the second. Steps: "
        "on the starts that both solve, then over all starts with failures at the limit. p: paired sign-flip test over "
        "cells. Bold: stands even when all differences of this table are looked at together (Holm, 5 %). Detectable: what "
        "80 % power would find at the 5 % level.",
        head=(
            *("pair", "success", "by task", "P(better)", "steps, both solve", "steps, failures at limit"),
            *("p", "detectable", "pairs"),
        ),
        rows=tuple(rows),
    )


def weights_sheet(results: Results) -> Sheet:
    """The weight statistics of Appendix G, by arm and task, beside the paper's."""
    rounds = results.tables["rounds"]
    rows: list[tuple[str, ...]] = []
    for task in results.study.tasks:
        for arm in results.study.arms:
            mine = _rows(rounds, arm.name, task.name)
            if isinstance(arm, Online | Whole) and mine.any() and np.isfinite(rounds["mean_g_success"][mine]).any():
                values = [_mean(rounds[name][mine]) for name in ("mean_g_success", "mean_g_rescue", "passing")]
                rows.append((task.name, title(results.study, arm.name), *(f"{value:.2f}" for value in values)))

    success, rescue = (" / ".join(str(mean) for mean in means) for means in (MEAN_G_SUCCESS, MEAN_G_RESCUE))
    passing = " / ".join(f"{100 * share:.0f}" for share in RECAP_PASSING)
    return Sheet(
        title="Weights (App. G)",
        words="g of Eq. 7, whatever a rule makes of it. Mean over rounds and seeds, each round on its own rollouts. "
        "Passing: share of autonomous frames with a weight above 0. The paper's, on its three tasks: mean g, successful "
        f"rollouts {success}; mean g, rescues (IR) {rescue}; Recap passes {passing} %.",
        head=("task", "method", "mean g, successful rollouts", "mean g, rescues", "passing"),
        rows=tuple(rows),
    )


def critic_sheet(results: Results) -> Sheet:
    """How good the critics were on episodes they had not seen."""
    rounds = results.tables["rounds"]
    columns = ("auc", "bce", "bce_base_rate", "ece", "explained_variance")
    rows: list[tuple[str, ...]] = []
    for arm in results.study.arms:
        mine = _rows(rounds, arm.name)
        if mine.any() and np.isfinite(rounds["auc"][mine]).any():
            means = [f"{_mean(rounds[column][mine]):.2f}" for column in columns]
            rows.append((title(results.study, arm.name), *means, str(int(mine.sum()))))
    return Sheet(
        title="Critics",
        words="On held-out episodes of the round's data (the interleaved schedule holds none out: its numbers are "
        "in-sample). Mean over rounds, seeds and tasks. BCE beside what knowing only the success rate would give.",
        head=(
            *("method", "AUC of p_v", "BCE", "BCE of the base rate", "calibration error"),
            *("explained variance of V_e", "rounds"),
        ),
        rows=tuple(rows),
    )


def collected_sheet(results: Results) -> Sheet:
    """What each arm's rollouts were like, round by round."""
    rounds = results.tables["rounds"]
    rows: list[tuple[str, ...]] = []
    for arm in results.study.arms:
        own = _rows(rounds, arm.name)
        for number in np.unique(rounds["round"][own]) if own.any() else ():
            if number == 0:
                continue  # demonstrations, not rollouts
            mine = own & (rounds["round"] == number)
            episodes, alone, rescued = (_mean(rounds[column][mine]) for column in ("episodes", "alone", "rescued"))
            human = rounds["human_steps"][mine].sum() / rounds["robot_steps"][mine].sum()
            words = (f"{episodes:.0f}", f"{alone:.2f}", f"{rescued:.2f}", f"{human:.2f}")
            rows.append((title(results.study, arm.name), str(number), *words))
    return Sheet(
        title="Rollouts",
        words="Per round, mean over seeds and tasks. An operator may act in half of the episodes.",
        head=("method", "round", "episodes", "solved alone", "rescued", "human share of steps"),
        rows=tuple(rows),
    )


def stop_arm(results: Results) -> str | None:
    """The arm whose critics say when to stop; None where no arm has any.

    Critics that never saw the episode which they judge (cross-fitted) come first, of those the ones of a policy trained from
    scratch each round; without them HABC's as the paper has them, else those of the last arm.
    """
    study, stops = results.study, results.tables["stops"]
    known = [arm for arm in study.arms if _rows(stops, arm.name).any()]
    online = [arm for arm in known if isinstance(arm, Online)]
    fitted = [arm for arm in online if arm.critic is not None and arm.critic.folds > 1]
    scratch = [arm for arm in fitted if arm.from_scratch]
    paper = [arm for arm in online if describe(study, arm.name).family == Family.HABC]
    for arms in (scratch, fitted, paper, known[-1:]):
        if arms:
            return arms[0].name
    return None


def stops_sheet(results: Results, arm: str) -> Sheet:
    """What stopping at low viability would have saved and lost."""
    stops = results.tables["stops"]
    own = _rows(stops, arm)
    rows: list[tuple[str, ...]] = []
    for threshold in np.unique(stops["threshold"][own]) if own.any() else ():
        mine = own & (stops["threshold"] == threshold)
        columns = ("lost", "successes", "saved", "steps", "failed_steps", "untouched")
        total = {column: float(stops[column][mine].sum()) for column in columns}
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
        title=f"Stop and call for help ({title(results.study, arm)})",
        words=f"If the robot had stopped once p_v had been below the threshold for {PATIENCE} steps in a row: control steps "
        "saved (of all, and as a share of the steps of failures) and successes lost, over its rollouts that nobody touched.",
        head=("threshold", "steps saved", "saved / steps of failures", "successes lost", "episodes"),
        rows=tuple(rows),
    )


def cost(results: Results) -> str:
    """One sentence of Markdown: cells, trials, core hours, machine, commits."""
    cells, trials = results.tables["cells"], results.tables["trials"]
    if not cells:
        return "No cell is finished."
    per_cell = 0
    if trials:
        tried = set(
            zip(trials["task"].tolist(), trials["arm"].tolist(), trials["seed"].tolist(), strict=True),
        )
        per_cell = len(trials["trial"]) // len(tried)
    commits = ", ".join(str(commit)[:8] for commit in dict.fromkeys(cells["commit"].tolist()))
    machines = ", ".join(f"{machine} cores" if machine else "not recorded" for machine in dict.fromkeys(cells["machine"].tolist()))
    suites = " and ".join(code(suite) for suite in results.study.suites)
    return (
        f"{len(cells['seed'])} cells, {len(np.unique(cells['seed']))} seeds, {per_cell} trials a cell "
        f"(suite {suites}), {hours(float(cells['seconds'].sum()))} of one core in all; "
        f"machine: {markdown(machines)}; commits {markdown(commits)}."
    )


def _steps(number: int | None) -> str:
    """A number of gradient steps; a dash where nobody knows."""
    return "–" if number is None else f"{number:,}"


def _rows(table: Table, arm: str, task: str | None = None) -> Bool[np.ndarray, "M"]:
    """Which rows of a table are an arm's, on one task if one is named."""
    if not table:
        return np.zeros(0, bool)
    mine = table["arm"] == arm
    return mine if task is None else mine & (table["task"] == task)


def _mean(values: np.ndarray) -> float:
    """Mean of what is known (not NaN); NaN where nothing is."""
    known = values[~np.isnan(values.astype(np.float64))]
    return float(known.mean()) if len(known) else float("nan")
