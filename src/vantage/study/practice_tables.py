"""Rows of arms that practise -> their tables: trials counted under several limits, differences, and how hard
the policies drive the robot.

    trials ──within(cap)──> success, steps, cost per seed ──> mean over seeds (lowest to highest)
    checks ──> environment steps after which success stays above the paper's
"""

from collections.abc import Sequence

import numpy as np

from vantage.report.paper import PPO_SUCCESS
from vantage.report.table import Cell, Table
from vantage.study.arms import evaluated, title
from vantage.study.caps import Score, score
from vantage.study.measure import Table as Rows
from vantage.study.practised import AT_LIMIT, PACE_TRIALS
from vantage.study.provenance import count_of_pairs
from vantage.study.rows import Results
from vantage.study.sheet import Sheet
from vantage.study.statistics import Contrast
from vantage.study.view import PracticeView
from vantage.study.words import span

OTHERS = (100, 150, 200, 400, 500)
"""Limits in control steps within which others count a success on MetaWorld."""


def practice_sheets(results: Results, view: PracticeView, compared: Sequence[Contrast]) -> list[Sheet]:
    """Every table of a study whose arms practise; those without rows are empty.

    `compared`: the comparisons of the plan under the first cap of the view.
    """
    return [
        caps_sheet(results, view),
        differences_sheet(results, view, compared),
        counted_sheet(results, view),
        pace_sheet(results, view),
        short_sheet(results, view),
    ]


def caps_sheet(results: Results, view: PracticeView) -> Sheet:
    """Every arm: success and steps under every cap, since when its success stays high, and the speed of
    practice."""
    rows: list[tuple[Cell, ...]] = []
    for arm in evaluated(results.study):
        seeds = _seeds(results, arm)
        if not seeds:
            continue

        cells = [title(results.study, arm), str(len(seeds))]
        for cap in view.caps:
            scores = [_score(results, arm, cap, seed) for seed in seeds]
            cells.append(_over_seeds([counted.success.estimate for counted in scores], 3))
            cells.append(_over_seeds([counted.steps for counted in scores], 1))
            if cap == view.caps[0]:
                cells.append(_over_seeds([counted.cost for counted in scores], 1))
        cells += [_sustained(results.tables["checks"], arm), _speed(results.tables["practice"], arm)]
        rows.append(tuple(cells))

    head = ["configuration", "seeds"]
    for cap in view.caps:
        head += [f"cap {cap}: success", "steps of successes"]
        if cap == view.caps[0]:
            head.append("failures at the cap")
    bar = f"{PPO_SUCCESS:.2f}".removeprefix("0")
    head += [f"success stays above {bar} after (development)", "steps/s, one core"]
    return Sheet(
        title="Success under a limit",
        words="The same trials counted under each limit (cap); mean over seeds (lowest to highest). Steps: "
        "mean over worlds of the mean over successes. Failures at the cap: mean steps of all trials, "
        "failures counted at the cap. Speed: "
        "environment steps of practice over the seconds of playing and learning.",
        table=Table(head, rows),
    )


def differences_sheet(results: Results, view: PracticeView, compared: Sequence[Contrast]) -> Sheet:
    """The comparisons of the plan under the first cap."""
    rows: list[tuple[Cell, ...]] = []
    for pair in compared:
        arms = f"{title(results.study, pair.ours)} − {title(results.study, pair.theirs)}"
        gaps = (
            span(pair.difference, 3, signed=True),
            span(pair.shared_steps, 1, signed=True),
            span(pair.limit_steps, 1, signed=True),
        )
        rows.append((arms, *gaps, count_of_pairs(results.study, results.tables["cells"], pair)))

    head = (
        f"pair, cap {view.caps[0]}",
        "success",
        "steps where both solve",
        "steps, failures at the cap",
        "pairs of cells",
    )
    return Sheet(
        title="Differences under a limit",
        words="Paired by world, seed and start, with 95 % crossed bootstraps over seeds and starts; "
        "three pairs of cells at least.",
        table=Table(head, rows),
    )


def counted_sheet(results: Results, view: PracticeView) -> Sheet:
    """The trials of a few arms, counted as others count."""
    trials = results.tables["trials"]
    limit = int(trials["limit"].min()) if trials else 0
    caps = [cap for cap in OTHERS if cap <= limit]

    rows: list[tuple[Cell, ...]] = []
    for arm in view.counted:
        if caps and _seeds(results, arm):
            rates = [_score(results, arm, cap).success for cap in caps]
            rows.append((title(results.study, arm), *(span(rate) for rate in rates)))

    return Sheet(
        title="Success as others count it",
        words="100: RLinf's rule; 400: LeRobot's and Evo-1's (docs/metaworld_protocol.md); "
        "Wilson intervals over all seeds' trials.",
        table=Table(("same trials, success within", *(f"{cap} steps" for cap in caps)), rows),
    )


def pace_sheet(results: Results, view: PracticeView) -> Sheet:
    """Per world: steps of successes, and the share of control steps on which the hand moves as fast as its
    controller lets it."""
    pace = results.tables["pace"]
    arms = [arm for arm in view.paced if pace and (pace["arm"] == arm).any()]

    rows: list[tuple[Cell, ...]] = []
    for world in dict.fromkeys(pace["world"].tolist()) if arms else ():
        cells: list[str] = []
        for arm in arms:
            own = (pace["world"] == world) & (pace["arm"] == arm)
            cells.append(f"{pace['steps'][own].mean():.1f} ({pace['at_limit'][own].mean():.2f})")
        rows.append((world, *cells))

    head = (
        "steps of successes (share of control steps at the limit)",
        *(title(results.study, arm) for arm in arms),
    )
    limit = f"{AT_LIMIT:g}".removeprefix("0")
    return Sheet(
        title="At the speed limit",
        words=f"Development starts, {PACE_TRIALS} a world and seed, means over seeds. An action moves the "
        f"hand by at most one centimetre along each axis; at the limit: some axis above {limit} of that.",
        table=Table(head, rows),
    )


def short_sheet(results: Results, view: PracticeView) -> Sheet:
    """The few arms that a front page shows, under the last cap."""
    cap = view.caps[-1]
    rows: list[tuple[Cell, ...]] = []
    for shown in view.short:
        seeds = _seeds(results, shown.arm)
        if seeds:
            scores = [_score(results, shown.arm, cap, seed) for seed in seeds]
            success = _over_seeds([one.success.estimate for one in scores], 3)
            steps, cost = np.mean([one.steps for one in scores]), np.mean([one.cost for one in scores])
            rows.append((shown.words, str(len(seeds)), success, f"{steps:.1f}", f"{cost:.1f}"))

    head = (
        view.title,
        "seeds",
        f"success, cap {cap}",
        "steps of successes",
        f"all trials, failures at {cap}",
    )
    return Sheet(title="In short", words="Mean over seeds (lowest to highest).", table=Table(head, rows))


def _seeds(results: Results, arm: str) -> list[int]:
    """Seeds of an arm's trials, in order."""
    trials = results.tables["trials"]
    return np.unique(trials["seed"][trials["arm"] == arm]).tolist() if trials else []


def _score(results: Results, arm: str, cap: int, seed: int | None = None) -> Score:
    """An arm's trials under a cap, of one seed or of all."""
    trials = results.tables["trials"]
    rows = trials["arm"] == arm
    if seed is not None:
        rows = rows & (trials["seed"] == seed)

    # What the rows call a world is a task in the words of an evaluation.
    own = {name: trials[name][rows] for name in ("success", "steps", "limit")}
    return score(own | {"task": trials["world"][rows]}, cap)


def _over_seeds(values: Sequence[float], digits: int) -> str:
    """Mean (lowest to highest)."""
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _sustained(checks: Rows, arm: str, bar: float = PPO_SUCCESS) -> str:
    """Mean environment steps after which every later check is at or above `bar`, and how many seeds got
    there; empty for an arm without checks."""
    seeds = np.unique(checks["seed"][checks["arm"] == arm]) if checks else np.zeros(0)
    if not len(seeds):
        return ""

    reached: list[int] = []
    for seed in seeds:
        rows = (checks["arm"] == arm) & (checks["seed"] == seed)
        below = np.flatnonzero(checks["success"][rows] < bar)
        first = int(below[-1]) + 1 if len(below) else 0
        if first < rows.sum():
            reached.append(int(checks["steps"][rows][first]))
    when = f"{np.mean(reached) / 1e3:,.0f} k" if reached else "-"
    return f"{when} ({len(reached)} of {len(seeds)})"


def _speed(practice: Rows, arm: str) -> str:
    """Environment steps of practice per second of playing and learning; empty for an arm that does not
    practise."""
    if not practice:
        return ""
    rows = practice["arm"] == arm
    busy = float((practice["playing"] + practice["learning"])[rows].sum())
    return f"{practice['env_steps'][rows].sum() / busy:,.0f}" if busy else ""
