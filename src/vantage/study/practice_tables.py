"""Rows of arms that practise -> their tables: trials counted under several limits, differences, and how hard the policies drive.

trials ──within(cap)──> success, steps, cost per seed ──> mean over seeds (lowest to highest)
checks ──> environment steps after which success stays above the paper's
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from vantage.report.paper import PPO_SUCCESS
from vantage.study.arms import evaluated, title
from vantage.study.caps import Score, score
from vantage.study.measure import Table
from vantage.study.plan import PracticeView
from vantage.study.practised import PACE_TRIALS
from vantage.study.rows import Results
from vantage.study.sheet import Sheet
from vantage.study.statistics import Contrast
from vantage.study.words import span

OTHERS = (100, 150, 200, 400, 500)
"""Limits in control steps within which others count a success on MetaWorld."""


def practice_sheets(results: Results, view: PracticeView, compared: Sequence[Contrast]) -> list[Sheet]:
    """Every table of a study whose arms practise; those without rows are empty. `compared`: under the first cap of the view."""
    return [
        caps_sheet(results, view),
        differences_sheet(results, view, compared),
        counted_sheet(results, view),
        pace_sheet(results, view),
        short_sheet(results, view),
    ]


def caps_sheet(results: Results, view: PracticeView) -> Sheet:
    """Every arm: success and steps under every cap, when its success stays high, and how fast it practised."""
    rows: list[tuple[str, ...]] = []
    for arm in evaluated(results.study):
        seeds = _seeds(results, arm)
        if not seeds:
            continue
        scores = {cap: [_score(results, arm, cap, seed) for seed in seeds] for cap in view.caps}
        cells = [title(results.study, arm), str(len(seeds))]
        for cap in view.caps:
            cells.append(_over_seeds([one.success.estimate for one in scores[cap]], 3))
            cells.append(_over_seeds([one.steps for one in scores[cap]], 1))
            if cap == view.caps[0]:
                cells.append(_over_seeds([one.cost for one in scores[cap]], 1))
        rows.append((*cells, _sustained(results.tables["checks"], arm), _speed(results.tables["practice"], arm)))

    head = ["configuration", "seeds"]
    for cap in view.caps:
        head += [f"cap {cap}: success", "steps of successes"]
        head += ["failures at the cap"] if cap == view.caps[0] else []
    above = f"{PPO_SUCCESS:.2f}".removeprefix("0")
    return Sheet(
        title="Success under a limit",
        words="The same trials counted under each limit (cap); mean over seeds (lowest to highest). Steps: mean over worlds of the mean "
        "over successes. Failures at the cap: mean steps of all trials, failures counted at the cap. Speed: environment steps of practice "
        "over the seconds of playing and learning.",
        head=(*head, f"success stays above {above} after (development)", "steps/s, one core"),
        rows=tuple(rows),
    )


def differences_sheet(results: Results, view: PracticeView, compared: Sequence[Contrast]) -> Sheet:
    """The comparisons of the plan under the first cap."""
    rows: list[tuple[str, ...]] = []
    for one in compared:
        gaps = ((one.difference, 3), (one.shared_steps, 1), (one.limit_steps, 1))
        pair = f"{title(results.study, one.ours)} − {title(results.study, one.theirs)}"
        rows.append((pair, *(span(gap, digits, signed=True) for gap, digits in gaps), str(one.difference.n)))
    return Sheet(
        title="Differences under a limit",
        words="Paired by world, seed and start, with 95 % crossed bootstraps over seeds and starts; three pairs of cells at least.",
        head=(f"pair, cap {view.caps[0]}", "success", "steps where both solve", "steps, failures at the cap", "pairs of cells"),
        rows=tuple(rows),
    )


def counted_sheet(results: Results, view: PracticeView) -> Sheet:
    """The trials of a few arms, counted as others count."""
    limits = results.tables["trials"]["limit"] if results.tables["trials"] else np.zeros(1)
    caps = [cap for cap in OTHERS if cap <= limits.min()]
    rows: list[tuple[str, ...]] = []
    for arm in view.counted:
        if caps and _seeds(results, arm):
            rates = [_score(results, arm, cap).success for cap in caps]
            rows.append((title(results.study, arm), *(span(rate) for rate in rates)))
    return Sheet(
        title="Success as others count it",
        words="100: RLinf's rule; 400: LeRobot's and Evo-1's (docs/metaworld_protocol.md); Wilson intervals over all seeds' trials.",
        head=("same trials, success within", *(f"{cap} steps" for cap in caps)),
        rows=tuple(rows),
    )


def pace_sheet(results: Results, view: PracticeView) -> Sheet:
    """Per world: steps of successes, and the share of control steps on which the hand moves as fast as its controller lets it."""
    pace = results.tables["pace"]
    arms = [arm for arm in view.paced if pace and (pace["arm"] == arm).any()]
    rows: list[tuple[str, ...]] = []
    for world in dict.fromkeys(pace["world"].tolist()) if arms else ():
        here = [(pace["world"] == world) & (pace["arm"] == arm) for arm in arms]
        means = [(pace["steps"][rows_of].mean(), pace["at_limit"][rows_of].mean()) for rows_of in here]
        rows.append((world, *(f"{steps:.1f} ({at_limit:.2f})" for steps, at_limit in means)))
    return Sheet(
        title="At the speed limit",
        words=f"Development starts, {PACE_TRIALS} a world and seed, means over seeds. An action moves the hand by at most one centimetre "
        "along each axis; at the limit: some axis above .95 of that.",
        head=("steps of successes (share of control steps at the limit)", *(title(results.study, arm) for arm in arms)),
        rows=tuple(rows),
    )


def short_sheet(results: Results, view: PracticeView) -> Sheet:
    """The few arms that a front page shows, under the last cap."""
    cap = view.caps[-1]
    rows: list[tuple[str, ...]] = []
    for shown in view.short:
        seeds = _seeds(results, shown.arm)
        if seeds:
            scores = [_score(results, shown.arm, cap, seed) for seed in seeds]
            success = _over_seeds([one.success.estimate for one in scores], 3)
            steps, cost = (np.mean([getattr(one, name) for one in scores]) for name in ("steps", "cost"))
            rows.append((shown.words, str(len(seeds)), success, f"{steps:.1f}", f"{cost:.1f}"))
    return Sheet(
        title="In short",
        words="Mean over seeds (lowest to highest).",
        head=(view.title, "seeds", f"success, cap {cap}", "steps of successes", f"all trials, failures at {cap}"),
        rows=tuple(rows),
    )


def _seeds(results: Results, arm: str) -> list[int]:
    """Seeds of an arm's trials, in order."""
    trials = results.tables["trials"]
    return np.unique(trials["seed"][trials["arm"] == arm]).tolist() if trials else []


def _score(results: Results, arm: str, cap: int, seed: int | None = None) -> Score:
    """An arm's trials under a cap, of one seed or of all."""
    trials = results.tables["trials"]
    rows: Bool[np.ndarray, M] = trials["arm"] == arm
    if seed is not None:
        rows = rows & (trials["seed"] == seed)
    return score({"task": trials["world"][rows]} | {name: trials[name][rows] for name in ("success", "steps", "limit")}, cap)


def _over_seeds(values: Sequence[float], digits: int) -> str:
    """Mean (lowest to highest)."""
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _sustained(checks: Table, arm: str, bar: float = PPO_SUCCESS) -> str:
    """Mean environment steps after which every later check is at or above `bar`, and how many seeds got there."""
    seeds = np.unique(checks["seed"][checks["arm"] == arm]) if checks else np.zeros(0)
    reached: list[int] = []
    for seed in seeds:
        rows = (checks["arm"] == arm) & (checks["seed"] == seed)
        below = np.flatnonzero(checks["success"][rows] < bar)
        first = int(below[-1]) + 1 if len(below) else 0
        if first < rows.sum():
            reached.append(int(checks["steps"][rows][first]))
    if not len(seeds):
        return ""
    when = f"{np.mean(reached) / 1e3:,.0f} k" if reached else "-"
    return f"{when} ({len(reached)} of {len(seeds)})"


def _speed(practice: Table, arm: str) -> str:
    """Environment steps of practice per second of playing and learning."""
    rows = practice["arm"] == arm if practice else np.zeros(0, bool)
    busy = float((practice["playing"] + practice["learning"])[rows].sum()) if practice else 0.0
    return f"{practice['env_steps'][rows].sum() / busy:,.0f}" if busy else ""
