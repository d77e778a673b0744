"""Stored rows -> the tables of a study, as rows of text that Markdown and the page share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from vantage.collect.operators import NoOne, Rescue
from vantage.report.paper import MEAN_G_RESCUE, MEAN_G_SUCCESS, RECAP_PASSING
from vantage.report.table import Bold, Cell, Table
from vantage.study.arms import Family, describe, evaluated, short_terms, title
from vantage.study.caps import within
from vantage.study.meanings import older_sheet
from vantage.study.measure import PATIENCE
from vantage.study.measure import Table as Rows
from vantage.study.plan import Online, Study, WholeRun
from vantage.study.practice_tables import practice_sheets
from vantage.study.provenance import count_of_pairs, crossing_sheet
from vantage.study.rows import Results
from vantage.study.sheet import Sheet
from vantage.study.spent import rollout_time
from vantage.study.statistics import Contrast, Rate, contrast, hold_together, rate
from vantage.study.words import count, fixed, hours, span


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
        rates={arm: success for arm, success in measured.items() if success is not None},
        contrasts=contrasts(results),
    )


def sheets(results: Results, estimates: Estimates) -> Sequence[Sheet]:
    """Every table of a study that has rows.

    A study with a view counts its trials under several limits instead of one.
    """
    view = results.study.view
    if view is None:
        first = [success_sheet(results, estimates.rates), contrast_sheet(results, estimates.contrasts)]
    else:
        first = practice_sheets(results, view, estimates.contrasts)

    drawn = [
        *first,
        weights_sheet(results),
        critic_sheet(results),
        collected_sheet(results),
        time_sheet(results, estimates.rates),
    ]
    judge = stop_arm(results)
    if judge is not None:
        drawn.append(stops_sheet(results, judge))
    drawn.append(crossing_sheet(results.study, results.tables["cells"], estimates.contrasts))
    drawn.append(older_sheet(results.study, results.tables["cells"]))
    return [sheet for sheet in drawn if sheet.table.rows]


LEAST_PAIRS = 3
"""Pairs of cells below which a study with a view does not show a comparison."""


def contrasts(results: Results) -> list[Contrast]:
    """Every comparison of the plan for which there are rows."""
    trials = counted(results)
    compared = [contrast(trials, ours, theirs) for ours, theirs in results.study.pairs]
    least = LEAST_PAIRS if results.study.view is not None else 1
    return [pair for pair in compared if pair is not None and pair.difference.n >= least]


def counted(results: Results) -> Rows:
    """The trials by which arms are compared.

    As they were played or, for a study with a view, under its first cap.
    """
    trials, view = results.tables["trials"], results.study.view
    if not trials or view is None:
        return trials
    return within(trials, view.caps[0])


def success_sheet(results: Results, rates: Mapping[str, Rate]) -> Sheet:
    """Success and steps by arm and task."""
    study = results.study
    tasks = [task.name for task in study.tasks]
    rows: list[tuple[Cell, ...]] = []
    for arm, measured in rates.items():
        rows.append(
            (
                title(study, arm),
                *(span(measured.by_task[task]) if task in measured.by_task else "–" for task in tasks),
                Bold(span(measured.overall)),
                f"{measured.steps:.0f}",
                _gradient_steps(study, arm),
                str(measured.overall.n),
            )
        )

    words = (
        "Mean over seeds and starts with a 95 % interval that draws both again; tasks count the same in "
        "the mean. Cells: finished pairs of task and seed; methods with fewer of them stand on fewer "
        "seeds, so compare those by their differences. Gradient steps: after the supervised checkpoint, "
        f"all rounds together. No interval where a task has one seed. {short_terms(study, rates)}"
    )
    return Sheet(
        title="Success",
        words=words.rstrip(),
        table=Table(("method", *tasks, "mean", "steps of successes", "gradient steps", "cells"), rows),
    )


def contrast_sheet(results: Results, compared: Sequence[Contrast]) -> Sheet:
    """Differences between neighbours of the order, and the further pairs of the plan."""
    study = results.study
    tasks = [task.name for task in study.tasks]
    rows: list[tuple[Cell, ...]] = []
    for pair, stands in zip(compared, hold_together(compared), strict=True):
        difference = span(pair.difference, signed=True)
        rows.append(
            (
                f"{title(study, pair.ours)} − {title(study, pair.theirs)}",
                Bold(difference) if stands else difference,
                " / ".join(f"{pair.by_task[task]:+.3f}" for task in tasks if task in pair.by_task),
                span(pair.improvement, 2),
                span(pair.shared_steps, 1, signed=True),
                span(pair.limit_steps, 1, signed=True),
                f"{pair.p:.4f}" if pair.p >= 1e-4 else "< 0.0001",
                fixed(pair.detectable, 3),
                count_of_pairs(study, results.tables["cells"], pair),
            )
        )
    head = ("pair", "success", "by task", "P(better)", "steps, both solve", "steps, failures at limit")
    head += ("p", "detectable", "pairs")

    return Sheet(
        title="Differences",
        words="Paired by task, seed and start. P: probability that a run of the first beats a run of the "
        "second. Steps: on the starts that both solve, then over all starts with failures at the limit. p: "
        "paired sign-flip test over cells. Bold: stands even when all differences of this table are looked "
        "at together (Holm, 5 %). Detectable: what 80 % power would find at the 5 % level.",
        table=Table(head, rows),
    )


def answer_sheet(results: Results, compared: Sequence[Contrast]) -> Sheet:
    """The differences that answer what the study asks, those that have rows, in the plan's order."""
    study = results.study
    marked = zip(compared, hold_together(compared), strict=True)
    among = {(pair.ours, pair.theirs): (pair, stands) for pair, stands in marked}

    rows: list[tuple[Cell, ...]] = []
    for arms in study.first_pairs:
        if arms not in among:
            continue
        pair, stands = among[arms]
        difference = span(pair.difference, signed=True)
        rows.append(
            (
                f"{title(study, pair.ours)} − {title(study, pair.theirs)}",
                Bold(difference) if stands else difference,
                span(pair.shared_steps, 1, signed=True),
                count_of_pairs(study, results.tables["cells"], pair),
            )
        )

    under = f" within {study.view.caps[0]} control steps" if study.view else ""
    words = (
        f"Success{under} of the first minus success of the second, paired by task, seed and start, "
        f"with 95 % intervals. {bold_words(compared)}"
    )
    return Sheet(
        title="Answers",
        words=words.rstrip(),
        table=Table(("pair", "success", "steps where both solve", "pairs of cells"), rows),
    )


def bold_words(compared: Sequence[Contrast]) -> str:
    """What a difference in bold says; empty where none is."""
    if not any(hold_together(compared)):
        return ""
    return f"Bold: stands among all {len(compared)} differences of the study (Holm, 5 %)."


def weights_sheet(results: Results) -> Sheet:
    """The weight statistics of Appendix G, by arm and task, beside the paper's."""
    rounds = results.tables["rounds"]
    columns = ("mean_g_success", "mean_g_rescue", "passing")
    rows: list[tuple[Cell, ...]] = []
    for task in results.study.tasks:
        for arm in results.study.arms:
            own = _rows(rounds, arm.name, task.name)
            if not isinstance(arm, Online | WholeRun) or not own.any():
                continue
            if np.isfinite(rounds["mean_g_success"][own]).any():
                means = [fixed(_mean(rounds[column][own])) for column in columns]
                rows.append((task.name, title(results.study, arm.name), *means))

    success, rescue = (" / ".join(str(mean) for mean in means) for means in (MEAN_G_SUCCESS, MEAN_G_RESCUE))
    passing = " / ".join(f"{100 * share:.0f}" for share in RECAP_PASSING)
    return Sheet(
        title="Weights (App. G)",
        words="g of Eq. 7, whatever a rule makes of it. Mean over rounds and seeds, each round on its own "
        "rollouts. Passing: share of autonomous frames with a weight above 0. The paper's, on its three "
        f"tasks: mean g, successful rollouts {success}; mean g, rescues (IR) {rescue}; Recap passes "
        f"{passing} %.",
        table=Table(("task", "method", "mean g, successful rollouts", "mean g, rescues", "passing"), rows),
    )


def critic_sheet(results: Results) -> Sheet:
    """How good the critics were on episodes they had not seen."""
    rounds = results.tables["rounds"]
    columns = ("auc", "bce", "bce_base_rate", "ece", "explained_variance")
    rows: list[tuple[Cell, ...]] = []
    for arm in results.study.arms:
        own = _rows(rounds, arm.name)
        if own.any() and np.isfinite(rounds["auc"][own]).any():
            means = [fixed(_mean(rounds[column][own])) for column in columns]
            rows.append((title(results.study, arm.name), *means, str(int(own.sum()))))

    return Sheet(
        title="Critics",
        words="On held-out episodes of the round's data (the interleaved schedule holds none out: its "
        "numbers are in-sample). Mean over rounds, seeds and tasks. BCE beside what knowing only the "
        "success rate would give.",
        table=Table(
            (
                *("method", "AUC of p_v", "BCE", "BCE of the base rate", "calibration error"),
                *("explained variance of V_e", "rounds"),
            ),
            rows,
        ),
    )


def collected_sheet(results: Results) -> Sheet:
    """What each arm's rollouts were like, round by round."""
    rounds = results.tables["rounds"]
    rows: list[tuple[Cell, ...]] = []
    for arm in results.study.arms:
        own = _rows(rounds, arm.name)
        for number in np.unique(rounds["round"][own]) if own.any() else ():
            if number == 0:
                continue  # demonstrations, not rollouts

            chosen = own & (rounds["round"] == number)
            episodes = _mean(rounds["episodes"][chosen])
            alone, rescued = _mean(rounds["alone"][chosen]), _mean(rounds["rescued"][chosen])
            human = rounds["human_steps"][chosen].sum() / rounds["robot_steps"][chosen].sum()
            words = (f"{episodes:.0f}", f"{alone:.2f}", f"{rescued:.2f}", f"{human:.2f}")
            rows.append((title(results.study, arm.name), str(number), *words))

    return Sheet(
        title="Rollouts",
        words=f"Per round, mean over seeds and tasks. {_who_rescues(results.study)}".rstrip(),
        table=Table(("method", "round", "episodes", "solved alone", "rescued", "human share of steps"), rows),
    )


def _who_rescues(study: Study) -> str:
    """A sentence on who stands by in the rollouts of the study; empty where every arm says it for itself."""
    if study.base is None:
        return ""
    match study.base.operator:
        case NoOne():
            return "Nobody rescues."
        case Rescue(permission=permission):
            share = permission * (0.5 if study.base.rescues == "half" else 1.0)
            return f"An operator may act in {share:.0%} of the episodes."
        case _:
            return ""


def time_sheet(results: Results, rates: Mapping[str, Rate]) -> Sheet:
    """Success beside what was spent on it since the supervised policy: rollouts, and the time of robot and
    human."""
    study = results.study
    rows: list[tuple[Cell, ...]] = []
    for arm, measured in rates.items():
        spent = rollout_time(results, arm)
        if spent is not None:
            words = (f"{spent.rollouts:.0f}", f"{spent.robot_minutes:.1f}", f"{spent.human_minutes:.1f}")
            rows.append((title(study, arm), *words, span(measured.overall), f"{measured.steps:.0f}"))

    head = ("method", "rollouts", "robot-minutes", "human-minutes", "success", "steps of successes")
    return Sheet(
        title="Rollouts and time",
        words="Since the supervised policy, all rounds together, mean over tasks and seeds. Minutes: control "
        "steps over the world's steps a second; robot-minutes hold the human-minutes, in which the operator "
        "drives. Demonstrations, resets, and an operator's waiting are not counted.",
        table=Table(head, rows),
    )


def stop_arm(results: Results) -> str | None:
    """The arm whose critics say when to stop; None where no arm has any.

    Critics that never saw the episode which they judge (cross-fitted) come first, of those the ones of a
    policy trained from scratch each round; without them HABC's as the paper has them, else those of the last
    arm.
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
    rows: list[tuple[Cell, ...]] = []
    for threshold in np.unique(stops["threshold"][own]) if own.any() else ():
        chosen = own & (stops["threshold"] == threshold)
        columns = ("lost", "successes", "saved", "steps", "failed_steps", "untouched")
        total = {column: float(stops[column][chosen].sum()) for column in columns}
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
        words=f"If the robot had stopped once p_v had been below the threshold for {PATIENCE} steps in a "
        "row: control steps saved (of all, and as a share of the steps of failures) and successes lost, "
        "over its rollouts that nobody touched.",
        table=Table(
            ("threshold", "steps saved", "saved / steps of failures", "successes lost", "episodes"), rows
        ),
    )


def cost(results: Results) -> str:
    """One sentence: cells, trials, core hours, machine, commits."""
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
    machines = [f"{machine} cores" if machine else "not recorded" for machine in cells["machine"].tolist()]
    spent, suites = hours(float(cells["seconds"].sum())), " and ".join(results.study.suites)
    return (
        f"{count(len(cells['seed']), 'cell')}, {count(len(np.unique(cells['seed'])), 'seed')}, "
        f"{per_cell} trials a cell "
        f"(suite {suites}), {spent} of one core in all; "
        f"machine: {', '.join(dict.fromkeys(machines))}; commits {commits}."
    )


def _gradient_steps(study: Study, arm: str) -> str:
    """Gradient steps of an arm; a dash where its settings do not fix their number."""
    steps = study.gradient_steps(study.arm(arm))
    return "–" if steps is None else f"{steps:,}"


def _rows(table: Rows, arm: str, task: str | None = None) -> Bool[np.ndarray, "M"]:
    """Which rows of a table are an arm's, on one task if one is named."""
    if not table:
        return np.zeros(0, bool)
    own = table["arm"] == arm
    return own if task is None else own & (table["task"] == task)


def _mean(values: np.ndarray) -> float:
    """Mean of what is known (not NaN); NaN where nothing is."""
    known = values[~np.isnan(values.astype(np.float64))]
    return float(known.mean()) if len(known) else float("nan")
