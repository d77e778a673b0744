"""The numbers of a run -> the sections of its page, one function each; an empty string where the files are not there yet.

Each section has one sentence on how to read it, and each figure one more. Cells and sentences are HTML; what comes from files is escaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

from vantage.core.stats import Interval
from vantage.report import charts
from vantage.report.charts import KIND_CLASS, ROUTE_CLASS, ROUTE_WORDS
from vantage.report.figures import number, percent
from vantage.report.folder import Run
from vantage.report.markup import bracket, flatten, legend, panel, panels, section, signed, table, wide
from vantage.report.tables import (
    VIABLE,
    Arm,
    Comparison,
    Kind,
    collected,
    start_viability,
    weight_statistics,
)
from vantage.types import Route

WIDTH = 320
"""Figures in a card are drawn this wide, in CSS pixels, and scaled a little to fit."""


def points(gap: Interval) -> str:
    """A difference of rates in percentage points. Example: "<b>+37</b> [+23, +48]"."""
    return f"<b>{signed(100 * gap.estimate)}</b>{bracket(signed(100 * gap.low), signed(100 * gap.high))}"


def success_section(arms: Sequence[Arm], comparisons: Sequence[Comparison]) -> str:
    """Success by round, overall and per task."""
    if not arms:
        return ""
    tasks = sorted({str(task) for task in arms[0].trials.task})
    whole = panel("All tasks" if len(tasks) > 1 else tasks[0], "", wide([charts.success(arms, width, 260) for width in charts.WIDTHS]))
    cards = list[str]()
    for task in tasks if len(tasks) > 1 else []:
        mine = [replace(arm, trials=arm.trials.at(arm.trials.task == task)) for arm in arms]
        cards.append(panel(task, "", charts.success(mine, WIDTH, 240)))
    rows = [
        [
            f"{escape(each.ours.name)} beside {escape(each.theirs.name)}",
            points(each.difference),
            str(each.both),
            str(each.only_ours),
            str(each.only_theirs),
            str(each.difference.n - each.both - each.only_ours - each.only_theirs),
        ]
        for each in comparisons
    ]
    head = ["start by start", "difference, points", "both solve", "only ours", "only theirs", "neither"]
    ring = (
        " The ring, the control, is the supervised policy after equally many further steps on demonstrations."
        if any(a.control for a in arms)
        else ""
    )
    intro = (
        f"Every policy was tried, alone, on the same {len(arms[0].trials)} starts. A dot is its share of successes, the bar the range of "
        f"true rates that fit this many trials (Wilson, 95 %).{ring}"
    )
    body = [whole, panels(*cards) if cards else "", panel("", "", table(head, rows)) if rows else ""]
    return section("success", "Success, round by round", intro, "".join(body))


def steps_section(arms: Sequence[Arm], comparisons: Sequence[Comparison]) -> str:
    """Steps to success, over successes and over the starts that both policies solve."""
    solvers = [arm for arm in arms if arm.trials.success.any()]
    if not solvers:
        return ""
    own = [[escape(arm.name), str(int(arm.trials.success.sum())), number(arm.trials.mean_steps)] for arm in solvers]
    words = "Not a fair race: a weak policy looks fast, because it solves only the easy starts."
    cards = [panel("Over a policy's own successes", words, table(["policy", "successes", "mean steps"], own))]
    paired = [each for each in comparisons if each.both]
    cards += [
        panel(
            f"Beside {each.theirs.name}",
            "Each dot is a start that both solve; below the dashed line the fine-tuned policy is faster.",
            charts.step_pairs(each.ours, each.theirs, WIDTH, 290),
        )
        for each in paired
    ]
    rows = [
        [
            f"{escape(each.ours.name)} beside {escape(each.theirs.name)}",
            str(each.both),
            number(each.steps_theirs),
            number(each.steps_ours),
            f"<b>{signed(gap.estimate, 1)}</b>{bracket(signed(gap.low, 1), signed(gap.high, 1))}",
        ]
        for each in paired
        for gap in [each.steps_difference]
    ]
    head = ["over the starts that both solve", "starts", "steps, theirs", "steps, ours", "difference"]
    intro = "How many control steps a success takes, from the first action to the moment the task is done. Fewer means less hesitation."
    body = panels(*cards) + (panel("", "", table(head, rows)) if rows else "")
    return section("steps", "Steps to success", intro, body)


def collected_section(run: Run) -> str:
    """Episodes and frames by round."""
    rounds = collected(run)
    if not rounds:
        return ""
    kinds = [(KIND_CLASS[kind], str(kind)) for kind in Kind if any(each.episodes[kind] for each in rounds)]
    routes = [(ROUTE_CLASS[route], ROUTE_WORDS[route]) for route in Route if any(each.frames[route] for each in rounds)]
    rows = [
        [
            f"round {each.number}" if each.number else "demonstrations",
            str(sum(each.episodes.values())),
            str(each.episodes[Kind.ALONE]),
            str(each.episodes[Kind.RESCUED]),
            str(each.episodes[Kind.FAILED]),
            f"{sum(each.frames.values()):,}",
            percent(each.human_share),
        ]
        for each in rounds
    ]
    body = panels(
        panel(
            "Episodes",
            "How the episodes of each round went; a rescued one never counts as a success of the policy.",
            legend(kinds) + charts.episode_columns(rounds, WIDTH, 240),
        ),
        panel(
            "Frames, by what they may teach",
            "What the policy did before a rescue is neither praised nor blamed: nobody knows how it would have ended.",
            legend(routes) + charts.route_columns(rounds, WIDTH, 240),
        ),
    )
    head = ["", "episodes", "solved alone", "rescued", "failed", "frames", "driven by a human"]
    intro = "The policy plays; a human takes over where help is allowed and needed. Afterwards it is told only whether the episode worked."
    return section("collected", "What was collected", intro, body + panel("", "", table(head, rows)))


def weights_section(run: Run) -> str:
    """The weight statistics of Appendix G."""
    found = [each for each in map(weight_statistics, run.rounds) if each is not None]
    if not found:
        return ""
    last = found[-1]
    rows = [
        [
            f"round {each.number}, {escape(ROUTE_WORDS[route.route])}",
            f"{route.frames:,}",
            f"<b>{signed(route.mean_g, 2).lstrip('+')}</b>",
            percent(route.share_above_one),
            signed(route.mean_weight, 2).lstrip("+"),
            percent(route.drawn),
        ]
        for each in found
        for route in each.routes
        if route.frames
    ]
    sizes = [
        [
            f"round {each.number}",
            f"{each.drawable:,}",
            f"{each.effective:,.0f}",
            percent(each.effective / max(each.drawable, 1)),
            percent(each.passing),
        ]
        for each in found
    ]
    keys = [(ROUTE_CLASS[each.route], ROUTE_WORDS[each.route]) for each in last.routes if len(each.g)]
    cards = panels(
        panel(
            f"The gate, round {last.number}",
            "Right of the dashed line a moment is imitated more, left of it less. Failures are shown to look at; they are never imitated.",
            legend(keys) + charts.gate_histogram(last, WIDTH, 260),
        ),
        panel(
            f"The weights, round {last.number}",
            "What each drawn moment finally counts, demonstrations aside, after scaling so that a draw counts 1 on average.",
            charts.weight_histogram(last, WIDTH, 260),
        ),
    )
    gates = table(["moments", "frames", "mean <i>g</i>", "<i>g</i> above 1", "mean weight", "share of draws"], rows)
    left = panel(
        "How much data is left",
        "Frames that are drawn and weighed unequally are worth fewer equal ones (Kish's effective size). Passing: the share of autonomous "
        "frames with a weight above zero; Imit-Recap's hard filter passes 19 to 27 % in the paper.",
        table(["", "frames drawn", "worth", "share", "passing"], sizes),
    )
    intro = (
        "From viability and time to go, the gate <i>g</i> says of every moment whether to imitate it more or less. It lies "
        "between 0 and 2, and 1 is neutral. On its successful rollouts the paper reports a mean of 0.68 to 0.86 (Appendix G)."
    )
    return section("weights", "What the weights did", intro, cards + panel("", "", gates) + left)


_QUALITY = {
    "auc": "AUC",
    "bce": "cross-entropy",
    "bce_base_rate": "cross-entropy of the base rate",
    "ece": "calibration error",
    "explained_variance_v_e": "variance explained by <i>V</i><sub>e</sub>",
}


def critic_section(run: Run) -> str:
    """Calibration, AUC by task, training curve and the quality of both heads."""
    judged = [each for each in run.rounds if each.quality or each.critic_curve]
    if not judged:
        return ""
    last, cards = judged[-1], list[str]()
    if last.quality.get("reliability"):
        words = (
            "On the dashed line a promise of 70 % comes true 70 % of the time; below it the critic hopes too much. Large dots: many frames."
        )
        cards.append(panel(f"Calibration, round {last.number}", words, charts.calibration(last.quality["reliability"], WIDTH, 290)))
    if last.quality.get("auc") is not None:
        words = "AUC: how often a moment of a success is rated above one of a failure. Knowing only the task gives 0.5, the dashed line."
        figure = charts.auc_rows(last.quality.get("auc_by_task", {}), last.quality["auc"], WIDTH)
        cards.append(panel("Telling success from failure", words, figure))
    if last.critic_curve:
        series = [
            ("loss_viability", "viability", "policy"),
            ("loss_efficiency", "time to go", "efficiency"),
            ("val_bce", "held out", "human"),
        ]
        words = "Each head is kept as it was when held-out episodes liked it best, so a rise at the end does no harm."
        cards.append(panel("Training", words, charts.curves(last.critic_curve, series, WIDTH, 290)))
    known = [(name, words) for name, words in _QUALITY.items() if any(each.quality.get(name) is not None for each in judged)]
    rows = [[f"round {each.number}", *(_cell(each.quality.get(name)) for name, _ in known)] for each in judged if each.quality]
    body = panels(*cards) + (panel("", "", table(["", *(words for _, words in known)], rows)) if known else "")
    intro = (
        "Two small heads look through the policy's own eyes: one says how likely this ends well, the other how long it will take. They are "
        "judged on episodes that they were not trained on."
    )
    return section("critic", "Can the critic be trusted?", intro, body)


def _cell(value: float | None) -> str:
    return "–" if value is None else number(float(value))


def starts_section(run: Run) -> str:
    """Viability of the starts, round by round (the paper's Fig. 4, left)."""
    rounds = start_viability(run)
    if not rounds:
        return ""
    keys = [(KIND_CLASS[kind], str(kind)) for kind in Kind if any(kind in each.kind for each in rounds)]
    strips = wide([charts.start_strips(rounds, width) for width in charts.WIDTHS])
    intro = (
        "Each dot is the start of one recorded episode, placed by the chance of success that its round's critic gives it at first sight "
        f"and coloured by what then happened. More dots right of {number(VIABLE)}: more starts look solvable."
    )
    return section("starts", "Which starts look solvable", intro, panel("", "", legend(keys) + strips))


def actor_section(run: Run) -> str:
    """The policy's training curves."""
    trained = [each for each in run.rounds if each.actor_curve and not each.checks]
    if not trained:
        return ""
    cards = [
        panel(
            f"Round {each.number}" if each.number else "Supervised, on demonstrations",
            "",
            charts.curves(each.actor_curve, [("loss", "loss", "policy" if each.number else "demo")], WIDTH, 220),
        )
        for each in trained
    ]
    intro = (
        "The policy's flow-matching loss should fall and level out. Rounds weigh their data differently, so compare shapes, not heights."
    )
    return section("actor", "Training the policy", intro, panels(*cards))


def practice_section(run: Run) -> str:
    """Chunked PPO on its way: success and steps on development starts, per task at the start and at the end."""
    practised = [each for each in run.rounds if len(each.checks) > 1]
    if not practised:
        return ""
    checks = practised[-1].checks
    curve = [{**each, "thousands": each["steps"] / 1000} for each in checks]
    over = ("thousands", "thousands of environment steps")
    cards = [
        panel("Success", "", charts.curves(curve, [("success", "share of starts", "policy")], WIDTH, 240, over=over)),
        panel(
            "Control steps",
            "",
            charts.curves(curve, [("length", "successes", "policy"), ("cost", "failures at the limit", "failure")], WIDTH, 240, over=over),
        ),
    ]
    kept = max((each for each in checks if each["kept"]), key=lambda each: each["steps"])
    rows = [
        [
            escape(task),
            *(f"{each['by_task'][task][0]:.2f}" for each in (checks[0], kept)),
            *(_steps(each, task) for each in (checks[0], kept)),
        ]
        for task in checks[0]["by_task"]
    ]
    head = ["task", "success, at first", "kept", "steps, at first", "kept"]
    intro = (
        f"Now and then the policy is tried as it would be deployed, on development starts; the checkpoint with the fewest steps, failures "
        f"counted at the limit, is kept: the one after {kept['steps']:,} environment steps."
    )
    return section("practice", "Practice", intro, panels(*cards) + panel("", "", table(head, rows)))


def _steps(check: Mapping[str, Any], task: str) -> str:
    steps = check["by_task"][task][1]
    return number(steps) if steps == steps else "–"


def swap_section(run: Run) -> str:
    """What another task's prompt does to the actions."""
    if run.prompt_swap is None:
        return ""
    rows = [[escape(key), escape(value)] for key, value in flatten(run.prompt_swap)]
    intro = "The same first picture with another task's words: if the policy listens, its actions change."
    return section("prompt", "Does it listen to the prompt?", intro, panel("", "", table(["", "measured"], rows)))
