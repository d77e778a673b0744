"""The numbers of a run -> what each section of its page shows: figures, and tables as rows of text.

One function per section; it returns None where the files of the section are not there yet. The sentences
around the figures stand in templates/sections/.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from vantage.core.stats import Interval
from vantage.report import charts
from vantage.report.charts import KIND_CLASS, ROUTE_CLASS, ROUTE_WORDS, WIDTHS, Curve
from vantage.report.folder import RoundFiles, Run
from vantage.report.numbers import (
    Arm,
    Collected,
    Comparison,
    Kind,
    WeightStatistics,
    collected,
    start_viability,
    weight_statistics,
)
from vantage.report.table import Bold, Cell, Table
from vantage.report.words import bracket, fixed, number, percent, signed
from vantage.types import Route

CARD = 320
"""Width in CSS pixels of a figure in a card; the page scales it a little to fit."""

Drawings = Sequence[Markup]
"""One figure drawn at each of `charts.WIDTHS`; the page shows the one that fits."""

Legend = Sequence[tuple[str, str]]
"""Colour class and words of each key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """Success by round, overall and per task."""

    starts: int
    has_control: bool
    beside: str
    """What stands beside the policies of rounds when they are tried, as a clause; empty: nothing."""
    tasks: Sequence[str]
    overall: Drawings
    by_task: Sequence[tuple[str, Markup]]
    """Task and its figure; empty where there is one task only."""
    pairs: Table | None


def success_section(
    arms: Sequence[Arm], comparisons: Sequence[Comparison], beside: str = ""
) -> Success | None:
    """Success by round: `arms` on their common starts, `comparisons` of the last round with the others.

    `beside`: what stands beside the policies of rounds (`Run.beside`).
    """
    if not arms:
        return None

    tasks = sorted({str(task) for task in arms[0].trials.task})
    by_task = list[tuple[str, Markup]]()
    if len(tasks) > 1:
        for task in tasks:
            on_task = [replace(arm, trials=arm.trials.at(arm.trials.task == task)) for arm in arms]
            by_task.append((task, charts.success(on_task, CARD, 240)))

    rows = [
        (
            f"{pair.ours.name} beside {pair.theirs.name}",
            _points(pair.difference),
            str(pair.both),
            str(pair.only_ours),
            str(pair.only_theirs),
            str(pair.neither),
        )
        for pair in comparisons
    ]
    head = ("start by start", "difference, points", "both solve", "only ours", "only theirs", "neither")

    return Success(
        starts=len(arms[0].trials),
        has_control=any(arm.control for arm in arms),
        beside=beside,
        tasks=tasks,
        overall=[charts.success(arms, width, 260) for width in WIDTHS],
        by_task=by_task,
        pairs=Table(head, rows) if rows else None,
    )


def _points(difference: Interval) -> Bold:
    """A difference of rates in percentage points. Example: "+37.2 [+23.1, +48.0]", the estimate in bold."""
    low, high = signed(100 * difference.low, 1), signed(100 * difference.high, 1)
    return Bold(signed(100 * difference.estimate, 1), bracket(low, high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Steps to success, over a policy's own successes and over the starts that two policies solve."""

    own: Table
    beside: Sequence[tuple[str, Markup]]
    """Name of the other policy, and the figure."""
    pairs: Table | None
    fps: float
    """Control steps per second; 0 where no data set says."""


def steps_section(run: Run, arms: Sequence[Arm], comparisons: Sequence[Comparison]) -> Steps | None:
    """Steps to success; None where no policy solves anything."""
    solvers = [arm for arm in arms if arm.trials.success.any()]
    if not solvers:
        return None

    own = [(arm.name, str(int(arm.trials.success.sum())), number(arm.trials.mean_steps)) for arm in solvers]

    paired = [pair for pair in comparisons if pair.both]
    rows = list[tuple[Cell, ...]]()
    for pair in paired:
        gap = pair.steps_difference
        rows.append(
            (
                f"{pair.ours.name} beside {pair.theirs.name}",
                str(pair.both),
                number(pair.steps_theirs),
                number(pair.steps_ours),
                Bold(signed(gap.estimate, 1), bracket(signed(gap.low, 1), signed(gap.high, 1))),
            )
        )
    head = ("over the starts that both solve", "starts", "steps, theirs", "steps, ours", "difference")

    return Steps(
        own=Table(("policy", "successes", "mean steps"), own),
        beside=[(pair.theirs.name, charts.step_pairs(pair.ours, pair.theirs, CARD, 290)) for pair in paired],
        pairs=Table(head, rows) if rows else None,
        fps=next((files.catalogue.info.fps for files in run.rounds if files.catalogue), 0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollouts:
    """Episodes and frames by round."""

    played: bool
    """Whether a policy played in any round, so that it may have been rescued; else all are demonstrations."""
    kinds: Legend
    episodes: Markup
    routes: Legend
    frames: Markup
    rounds: Table


def collected_section(run: Run) -> Rollouts | None:
    """What every round recorded; None where no round has labels."""
    rounds = collected(run)
    if not rounds:
        return None

    kinds = [kind for kind in Kind if any(recorded.episodes[kind] for recorded in rounds)]
    routes = [route for route in Route if any(recorded.frames[route] for recorded in rounds)]

    played = any(_played(recorded) for recorded in rounds)
    table = Table(("", "episodes", "frames"), [_demonstrations_row(recorded) for recorded in rounds])
    if played:
        head = ("", "episodes", "solved alone", "rescued", "failed", "frames", "driven by a human")
        table = Table(head, [_round_row(recorded) for recorded in rounds])

    return Rollouts(
        played=played,
        kinds=[(KIND_CLASS[kind], str(kind)) for kind in kinds],
        episodes=charts.episode_columns(rounds, CARD, 240),
        routes=[(ROUTE_CLASS[route], ROUTE_WORDS[route]) for route in routes],
        frames=charts.route_columns(rounds, CARD, 240),
        rounds=table,
    )


def _played(recorded: Collected) -> bool:
    """Whether a policy played in a round: not everything in it is a demonstration."""
    return recorded.episodes[Kind.DEMO] < sum(recorded.episodes.values())


def _demonstrations_row(recorded: Collected) -> Sequence[Cell]:
    return _name(recorded), str(sum(recorded.episodes.values())), f"{sum(recorded.frames.values()):,}"


def _name(recorded: Collected) -> str:
    return f"round {recorded.number}" if recorded.number else "demonstrations"


def _round_row(recorded: Collected) -> Sequence[Cell]:
    # Nobody plays alone in a round of demonstrations, so none was solved, rescued or failed.
    ends = ["–"] * 3
    if _played(recorded):
        ends = [str(recorded.episodes[kind]) for kind in (Kind.ALONE, Kind.RESCUED, Kind.FAILED)]

    return (
        _name(recorded),
        str(sum(recorded.episodes.values())),
        *ends,
        f"{sum(recorded.frames.values()):,}",
        percent(recorded.human_share),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weight statistics of Appendix G."""

    round: int
    """The last round that has a gate; the figures are of it."""
    keys: Legend
    ungated: bool
    """Whether the gate decides nothing on some of the routes that are drawn."""
    gate: Markup
    weight: Markup
    gates: Table
    left: Table


def weights_section(run: Run) -> Weights | None:
    """What the weights did; None where no round has a gate."""
    rounds = [statistics for statistics in map(weight_statistics, run.rounds) if statistics is not None]
    if not rounds:
        return None
    last = rounds[-1]
    drawn = [route for route in last.routes if len(route.g)]

    gates = [row for statistics in rounds for row in _gate_rows(statistics)]
    left = [
        (
            f"round {statistics.number}",
            f"{statistics.drawable:,}",
            f"{statistics.effective:,.0f}",
            percent(statistics.effective / max(statistics.drawable, 1)),
            percent(statistics.passing),
        )
        for statistics in rounds
    ]

    return Weights(
        round=last.number,
        keys=[(ROUTE_CLASS[route.route], ROUTE_WORDS[route.route]) for route in drawn],
        ungated=any(not route.gated for route in drawn),
        gate=charts.gate_histogram(last, CARD, 260),
        weight=charts.weight_histogram(last, CARD, 260),
        gates=Table(("moments", "frames", "mean g", "g above 1", "mean weight", "share of draws"), gates),
        left=Table(("", "frames drawn", "worth", "share", "passing"), left),
    )


def _gate_rows(statistics: WeightStatistics) -> list[Sequence[Cell]]:
    """One row per route that has frames."""
    return [
        (
            f"round {statistics.number}, {ROUTE_WORDS[route.route]}",
            f"{route.frames:,}",
            Bold(fixed(route.mean_g)) if route.gated else f"{fixed(route.mean_g)}, not used",
            percent(route.share_above_one),
            fixed(route.mean_weight),
            percent(route.drawn),
        )
        for route in statistics.routes
        if route.frames
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Critic:
    """Calibration, AUC by task, training curve and the quality of both heads."""

    round: int
    calibration: Markup | None
    auc: Markup | None
    curves: Legend
    training: Markup | None
    quality: Table | None


_QUALITY = {
    "auc": "AUC",
    "bce": "cross-entropy",
    "bce_base_rate": "cross-entropy of the base rate",
    "ece": "calibration error",
    "explained_variance_v_e": "variance explained by V_e",
}
"""Name in quality.json, and its words."""

_CRITIC_CURVES = (
    Curve(column="loss_viability", words="viability", cls="policy"),
    Curve(column="val_bce", words="viability, held out", cls="human", kept_at_least=True),
    Curve(column="loss_efficiency", words="time to go", cls="efficiency"),
    Curve(column="val_huber", words="time to go, held out", cls="gate", kept_at_least=True),
)


def critic_section(run: Run) -> Critic | None:
    """How good the critic of the last round is, and a table of all rounds."""
    rounds = [files for files in run.rounds if files.quality or files.critic_curve]
    if not rounds:
        return None

    last = rounds[-1]
    quality, curve = last.quality, last.critic_curve
    calibration = auc = training = None
    if quality.get("reliability"):
        calibration = charts.calibration(quality["reliability"], CARD, 290)
    if quality.get("auc") is not None:
        auc = charts.auc_rows(_by_task(run, quality.get("auc_by_task", {})), quality["auc"], CARD)
    if curve:
        training = charts.curves(curve, _CRITIC_CURVES, CARD, 290)

    return Critic(
        round=last.number,
        calibration=calibration,
        auc=auc,
        curves=_keys(curve, _CRITIC_CURVES),
        training=training,
        quality=_quality_table(rounds),
    )


def _by_task(run: Run, by_prompt: Mapping[str, float | None]) -> dict[str, float | None]:
    """Values by task instead of by prompt, where the trials know the one task that a prompt belongs to."""
    tasks = dict[str, set[str]]()
    for files in run.rounds:
        if files.trials is not None:
            for prompt, task in zip(files.trials.prompt, files.trials.task, strict=True):
                tasks.setdefault(str(prompt), set()).add(str(task))

    named = dict[str, float | None]()
    for prompt, value in by_prompt.items():
        of_prompt = tasks.get(prompt, set())
        name = next(iter(of_prompt)) if len(of_prompt) == 1 else prompt
        named[prompt if name in named else name] = value
    return named


def _keys(rows: Sequence[Mapping[str, Any]], series: Sequence[Curve]) -> Legend:
    return [(curve.cls, curve.words) for curve in charts.logged(rows, series)]


def _quality_table(rounds: Sequence[RoundFiles]) -> Table | None:
    """One row per round, of the measures that any round knows."""
    known = [name for name in _QUALITY if any(files.quality.get(name) is not None for files in rounds)]
    if not known:
        return None

    rows = list[list[str]]()
    for files in rounds:
        if files.quality:
            values = [files.quality.get(name) for name in known]
            cells = ["–" if value is None else number(float(value)) for value in values]
            rows.append([f"round {files.number}", *cells])
    return Table(["", *(_QUALITY[name] for name in known)], rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viability:
    """Viability of the starts, round by round (the paper's Fig. 4, left)."""

    kinds: Legend
    strips: Drawings


def starts_section(run: Run) -> Viability | None:
    """Which starts look solvable; None where no critic has looked at its own round's first frames."""
    rounds = start_viability(run)
    if not rounds:
        return None

    kinds = [kind for kind in Kind if any(kind in starts.kind for starts in rounds)]
    return Viability(
        kinds=[(KIND_CLASS[kind], str(kind)) for kind in kinds],
        strips=[charts.start_strips(rounds, width) for width in WIDTHS],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """Chunked PPO on its way: success and steps on development starts."""

    kept_steps: int
    """Environment steps behind the checkpoint that was kept."""
    success: Markup
    lengths: Legend
    steps: Markup
    by_task: Table


def practice_section(run: Run) -> Practice | None:
    """What the checks on the way of practice saw; None for a run that did not practise."""
    practised = [files for files in run.rounds if len(files.checks) > 1]
    if not practised:
        return None

    checks = practised[-1].checks
    kept = max((check for check in checks if check["kept"]), key=lambda check: check["steps"])
    rows = [(task, *_before_and_after(checks[0], kept, task)) for task in checks[0]["by_task"]]

    curve = [{**check, "thousands": check["steps"] / 1000} for check in checks]
    over = ("thousands", "thousands of environment steps")
    rates = [Curve(column="success", words="share of starts", cls="policy")]
    lengths = [
        Curve(column="length", words="of successes", cls="policy"),
        Curve(column="cost", words="of all, failures at the limit", cls="failure"),
    ]
    return Practice(
        kept_steps=kept["steps"],
        success=charts.curves(curve, rates, CARD, 240, over=over),
        lengths=_keys(curve, lengths),
        steps=charts.curves(curve, lengths, CARD, 240, over=over),
        by_task=Table(("task", "success, at first", "kept", "steps, at first", "kept"), rows),
    )


def _before_and_after(first: Mapping[str, Any], kept: Mapping[str, Any], task: str) -> list[str]:
    """Success and steps on a task, each at first and in the checkpoint that was kept."""
    results = [check["by_task"][task] for check in (first, kept)]
    return [f"{success:.2f}" for success, _ in results] + [number(steps) for _, steps in results]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The policy's training curves."""

    curves: Sequence[tuple[int, Markup]]
    """Round and its figure."""


def training_section(run: Run) -> Training | None:
    """The policy's training curves; None where no round was trained on a data set."""
    trained = [files for files in run.rounds if files.actor_curve and not files.checks]
    if not trained:
        return None

    drawn = list[tuple[int, Markup]]()
    for files in trained:
        series = [Curve(column="loss", words="loss", cls="policy" if files.number else "demo")]
        drawn.append((files.number, charts.curves(files.actor_curve, series, CARD, 220)))
    return Training(curves=drawn)
