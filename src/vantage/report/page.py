"""A run folder -> one self-contained HTML page: what was gained, by how much, and why. It needs no network and no other file.

    run ──tables──> numbers ──charts──> figures ──sections──> report.html

Sections whose files are not there yet are left out. The page is a pure function of the folder: drawn again, it is the same, byte for byte.
"""

import shlex
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from vantage.data.sidecar import write_whole
from vantage.report import charts
from vantage.report.figures import FONT, STYLE, number, percent
from vantage.report.sections import panel, section, signed, table
from vantage.report.tables import (
    VIABLE,
    Arm,
    Comparison,
    Kind,
    RoundFiles,
    Run,
    collected,
    common_starts,
    compare,
    read_run,
    start_viability,
    weight_statistics,
)
from vantage.report.viewer import watch_section
from vantage.types import Route


def write_report(run: Path, out: Path | None = None, *, episodes: int = 6) -> Path:
    """Write the page of one run folder and return its path, `run`/report.html unless `out` says otherwise.

    `episodes` is how many are shown with their video. Raises VantageError where the folder holds no round, or a damaged file.
    """
    found = read_run(run)
    target = run / "report.html" if out is None else out
    command = f"vantage report {shlex.quote(str(run))}"
    command += f" --out {shlex.quote(str(out))}" if out is not None else ""
    command += f" --episodes {episodes}" if episodes != 6 else ""
    write_whole(target, compose(found, episodes, command).encode())
    return target


def compose(run: Run, episodes: int, command: str) -> str:
    """The page as text."""
    arms = common_starts(run)
    comparisons = _comparisons(arms)
    title = f"{run.folder.resolve().name} · Vantage"
    assets = files("vantage.report") / "assets"
    body = [
        _header(run, arms, comparisons),
        "<main>",
        _success_section(arms, comparisons),
        watch_section(run, episodes),
        _steps_section(arms, comparisons),
        _collected_section(run),
        _weights_section(run),
        _critic_section(run),
        _starts_section(run),
        _actor_section(run),
        _swap_section(run),
        "</main>",
        _footer(run, command),
    ]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>:root{{--font:{FONT}}}{STYLE}\n{(assets / 'page.css').read_text()}</style></head><body>",
            *filter(None, body),
            f"<script>{(assets / 'page.js').read_text()}</script></body></html>\n",
        ]
    )


def _comparisons(arms: Sequence[Arm]) -> list[Comparison]:
    """The last round beside the supervised policy and beside the control."""
    learned = [arm for arm in arms if arm.steps]
    others = [arm for arm in arms if arm.control or not arm.steps]
    return [compare(learned[-1], other) for other in others] if learned else []


def _header(run: Run, arms: Sequence[Arm], comparisons: Sequence[Comparison]) -> str:
    tasks = sorted({str(task) for arm in arms for task in arm.trials.task})
    about = " · ".join(filter(None, [escape(run.folder.resolve().name), ", ".join(map(escape, tasks[:8]))]))
    rows = [f'<header><p class="eyebrow"><b>Vantage</b> · {about}</p>', *_headline(run, arms, comparisons), "</header>"]
    return "".join(rows)


def _headline(run: Run, arms: Sequence[Arm], comparisons: Sequence[Comparison]) -> list[str]:
    if not comparisons:
        if not arms:
            return ["<h1>Nothing has been evaluated yet.</h1>", '<p class="lead">This page shows what the run has written so far.</p>']
        rate = arms[0].trials.rate()
        interval = f"[{percent(rate.low)}, {percent(rate.high)}]"
        return [
            f"<h1>The {arms[0].name} policy succeeds on <em>{percent(rate.estimate)}</em> of {rate.n} starts.</h1>",
            f'<p class="lead">95 % interval {interval}. No round of {escape(run.method)} has been evaluated yet.</p>',
        ]
    first = comparisons[0]
    ours, theirs = first.ours.trials.rate(), first.theirs.trials.rate()
    verb = "raised" if first.difference.low > 0 else "lowered" if first.difference.high < 0 else "did not clearly change"
    headline = (
        f"{escape(run.method)} {verb} success: from {percent(theirs.estimate)} to <em>{percent(ours.estimate)}</em> on {ours.n} paired starts."
        if verb.startswith("did")
        else f"{escape(run.method)} {verb} success from {percent(theirs.estimate)} to <em>{percent(ours.estimate)}</em>"
        f" on {ours.n} paired starts."
    )
    lead = " ".join(_against(each) for each in comparisons)
    tiles = "".join(
        [
            _tile(percent(ours.estimate), f"{first.ours.name}<br>95 % interval {percent(ours.low)} to {percent(ours.high)}", "main"),
            *(_tile(percent(each.theirs.trials.rate().estimate), _theirs_words(each)) for each in comparisons),
        ]
    )
    return [f"<h1>{headline}</h1>", f'<p class="lead">{lead}</p>', f'<div class="tiles">{tiles}</div>']


def _tile(value: str, words: str, cls: str = "") -> str:
    return f'<div class="tile {cls}"><b>{value}</b><span>{words}</span></div>'


def _theirs_words(each: Comparison) -> str:
    rate = each.theirs.trials.rate()
    return f"{each.theirs.name}<br>95 % interval {percent(rate.low)} to {percent(rate.high)}"


def _against(each: Comparison) -> str:
    low, high = signed(100 * each.difference.low), signed(100 * each.difference.high)
    what = f"<b>{signed(100 * each.difference.estimate)} percentage points</b> [{low}, {high}]"
    if each.theirs.control:
        return f"Beside the same policy given as many further gradient steps on the demonstrations alone, the difference is {what}."
    return f"Beside the supervised policy it started from, the difference is {what} (95 % interval of the paired difference)."


def _success_section(arms: Sequence[Arm], comparisons: Sequence[Comparison]) -> str:
    if not arms:
        return ""
    tasks = sorted({str(task) for task in arms[0].trials.task})
    panels = [panel("All tasks", "", charts.success(arms, 380, 280))]
    for task in tasks if len(tasks) > 1 else []:
        mine = [Arm(name=a.name, short=a.short, trials=a.trials.at(a.trials.task == task), steps=a.steps, control=a.control) for a in arms]
        panels.append(panel(task, "", charts.success(mine, 380, 280)))
    body = f'<div class="panels">{"".join(panels)}</div>'
    if comparisons:
        rows = [
            [
                f"{escape(each.ours.name)} beside {escape(each.theirs.name)}",
                f"<b>{signed(100 * each.difference.estimate)}</b> [{signed(100 * each.difference.low)}, {signed(100 * each.difference.high)}]",
                str(each.both),
                str(each.only_ours),
                str(each.only_theirs),
                str(each.difference.n - each.both - each.only_ours - each.only_theirs),
            ]
            for each in comparisons
        ]
        head = ["start by start", "difference, points", "both solve", "only ours", "only theirs", "neither"]
        body += f'<div class="panel" style="margin-top:14px">{table(head, rows)}</div>'
    intro = (
        f"Every policy was tried, alone, on the same {len(arms[0].trials)} starts. A dot is its share of successes and the bar the range that "
        "this many trials leave open (Wilson, 95 %); where bars barely overlap, the difference is real. The ring is the supervised policy "
        "after equally many further steps on demonstrations."
    )
    return section("success", "Success, round by round", intro, body)


def _steps_section(arms: Sequence[Arm], comparisons: Sequence[Comparison]) -> str:
    if not arms:
        return ""
    rows = [
        [escape(arm.name), str(int(arm.trials.success.sum())), number(float(arm.trials.steps[arm.trials.success].mean()), 3)]
        for arm in arms
        if arm.trials.success.any()
    ]
    panels = [panel("Over a policy's own successes", "Mean steps; a weak policy looks fast, for it solves only easy starts.",
                    table(["policy", "successes", "mean steps"], rows))]  # fmt: skip
    paired = [each for each in comparisons if each.both]
    if paired:
        head = ["beside", "starts", "theirs", "ours", "difference"]
        panels.append(
            panel(
                "Over the starts that both solve",
                "The fair comparison: same starts, negative is faster; 95 % bootstrap interval.",
                table(head, [_steps_row(each) for each in paired]),
            )
        )
    panels += [
        panel(
            f"Start by start, beside {escape(each.theirs.name)}",
            "Each dot is a start that both solve; below the dashed line the fine-tuned policy is faster.",
            charts.step_pairs(each.ours, each.theirs, 380, 330),
        )
        for each in paired[:1]
    ]
    intro = "How many control steps a success takes, from the first action to the moment the task is done. Fewer means less hesitation."
    return section("steps", "Steps to success", intro, f'<div class="panels">{"".join(panels)}</div>')


def _steps_row(each: Comparison) -> list[str]:
    gap = each.steps_difference
    return [
        escape(each.theirs.short),
        str(each.both),
        number(each.steps_theirs),
        number(each.steps_ours),
        f"<b>{signed(gap.estimate, 1)}</b> [{signed(gap.low, 1)}, {signed(gap.high, 1)}]",
    ]


def _collected_section(run: Run) -> str:
    rounds = collected(run)
    if not rounds:
        return ""
    kinds = [kind for kind in Kind if any(each.episodes[kind] for each in rounds)]
    routes = [route for route in Route if any(each.frames[route] for each in rounds)]
    rows = [
        [
            f"round {each.number}" if each.number else "demonstrations",
            str(sum(each.episodes.values())),
            str(each.episodes[Kind.RESCUED]),
            f"{sum(each.frames.values()):,}",
            percent(each.human_share),
        ]
        for each in rounds
    ]
    panels = [
        panel(
            "Episodes",
            "A rescued episode never counts as a success of the policy.",
            charts.legend([(charts.KIND_CLASS[kind], str(kind)) for kind in kinds]) + charts.episode_columns(rounds, 380, 270),
        ),
        panel(
            "Frames, by what they may teach",
            "What happened before a rescue is neither praised nor blamed: nobody knows how it would have ended.",
            charts.legend([(charts.ROUTE_CLASS[route], charts.ROUTE_WORDS[route]) for route in routes])
            + charts.route_columns(rounds, 380, 270),
        ),
        panel("In numbers", "", table(["", "episodes", "rescued", "frames", "human drove"], rows)),
    ]
    intro = "The policy plays, and where a human is allowed to help, they may take over. All it is told afterwards is whether the episode worked."
    return section("collected", "What was collected", intro, f'<div class="panels">{"".join(panels)}</div>')


def _weights_section(run: Run) -> str:
    found = [each for each in map(weight_statistics, run.rounds) if each is not None]
    if not found:
        return ""
    last = found[-1]
    rows = [
        [
            f"round {each.number}, {escape(charts.ROUTE_WORDS[route.route])}",
            f"{route.frames:,}",
            f"<b>{number(route.mean_g)}</b>",
            percent(route.share_above_one),
            number(route.mean_weight),
            percent(route.drawn),
        ]
        for each in found
        for route in each.routes
        if route.frames
    ]
    sizes = [
        [f"round {e.number}", f"{e.drawable:,}", f"{e.effective:,.0f}", percent(e.effective / max(e.drawable, 1)), percent(e.passing)]
        for e in found
    ]
    keys = [(charts.ROUTE_CLASS[r.route], charts.ROUTE_WORDS[r.route]) for r in last.routes if len(r.g)]
    panels = [
        panel(
            f"The gate, round {last.number}",
            "Right of 1 the frame is imitated more than average, left of it less; failures are shown to look at and are never imitated.",
            charts.legend(keys) + charts.gate_histogram(last, 380, 290),
        ),
        panel(
            f"The weights, round {last.number}",
            "What each frame finally counts, after scaling so that the mean draw counts 1.",
            charts.weight_histogram(last, 380, 290),
        ),
        panel(
            "How much data is left",
            "Unequal weights are worth fewer frames than they have: the effective size (Kish). "
            "Passing: autonomous frames with a weight above zero.",
            table(["", "frames drawn", "worth", "share", "passing"], sizes),
        ),
    ]
    head = ["frames", "count", "mean g", "g above 1", "mean weight", "share of draws"]
    body = f'<div class="panels">{"".join(panels)}</div><div class="panel" style="margin-top:14px">{table(head, rows)}</div>'
    intro = (
        "From two judgements, viability and time to go, the gate <i>g</i> says of every moment whether to imitate it more or less. It lies "
        "between 0 and 2, and 1 is neutral. The paper reports a mean of 0.68 to 0.86 on its successful rollouts (Appendix G)."
    )
    return section("weights", "What the weights did", intro, body)


def _critic_section(run: Run) -> str:
    judged = [each for each in run.rounds if each.quality or each.critic_curve]
    if not judged:
        return ""
    last = judged[-1]
    panels = list[str]()
    if last.quality.get("reliability"):
        panels.append(
            panel(
                f"Calibration, round {last.number}",
                "On the dashed line a promise of 70 % comes true 70 % of the time; below it the critic is too hopeful.",
                charts.calibration(last.quality["reliability"], 380, 330),
            )
        )
    if "auc" in last.quality:
        panels.append(
            panel(
                "Telling success from failure",
                "AUC: how often a frame of a success is rated above one of a failure. 0.5, dashed, is what the task's base rate alone gives.",
                charts.auc_rows(last.quality.get("auc_by_task", {}), last.quality["auc"], 380),
            )
        )
    if last.critic_curve:
        series = [
            ("loss_viability", "viability", "policy"),
            ("loss_efficiency", "time to go", "efficiency"),
            ("val_bce", "held-out viability", "human"),
        ]
        panels.append(
            panel(
                "Training",
                "Each head is kept as it was when held-out episodes liked it best; a rise at the end is not used.",
                charts.curves(last.critic_curve, series, 380, 300),
            )
        )
    rows = [_quality_row(each) for each in judged if each.quality]
    head = ["", "AUC", "cross-entropy", "base rate's", "calibration error", "V<sub>e</sub>: variance explained"]
    numbers = f'<div class="panel" style="margin-top:14px">{table(head, rows)}</div>' if rows else ""
    intro = (
        "Two small heads on the policy's own eyes: one says how likely this ends well, one how long it will take. All on episodes held out."
    )
    return section("critic", "Can the critic be trusted?", intro, f'<div class="panels">{"".join(panels)}</div>{numbers}')


def _quality_row(each: RoundFiles) -> list[str]:
    names = ("auc", "bce", "bce_base_rate", "ece", "explained_variance_v_e")
    return [f"round {each.number}", *(number(float(each.quality[n])) if each.quality.get(n) is not None else "–" for n in names)]


def _starts_section(run: Run) -> str:
    rounds = start_viability(run)
    if not rounds:
        return ""
    kinds = [kind for kind in Kind if any(kind in each.kind for each in rounds)]
    strips = "".join(charts.start_strips(rounds, width) for width in (345, 640, 1000))
    keys = charts.legend([(charts.KIND_CLASS[kind], str(kind)) for kind in kinds])
    intro = (
        f"Each dot is the start of one recorded episode, placed by the chance of success that the round's critic gives it from the first "
        f"picture alone, and coloured by what then happened. Dots moving to the right of {number(VIABLE)} mean that more starts look solvable."
    )
    return section("starts", "Which starts look solvable", intro, f'<div class="panel">{keys}<div class="fig">{strips}</div></div>')


def _actor_section(run: Run) -> str:
    trained = [each for each in run.rounds if each.actor_curve]
    if not trained:
        return ""
    panels = [
        panel(
            f"Round {each.number}" if each.number else "Supervised, on demonstrations",
            "",
            charts.curves(each.actor_curve, [("loss", "loss", "demo" if not each.number else "policy")], 380, 250),
        )
        for each in trained
    ]
    intro = "The policy's flow-matching loss. It should fall and level out; rounds that reweight their data are not comparable in height."
    return section("actor", "Training the policy", intro, f'<div class="panels">{"".join(panels)}</div>')


def _swap_section(run: Run) -> str:
    if run.prompt_swap is None:
        return ""
    rows = [[escape(key), escape(value)] for key, value in flatten(run.prompt_swap)]
    intro = "The same first picture with another task's words: if the policy listens, its actions change."
    return section("prompt", "Does it listen to the prompt?", intro, f'<div class="panel">{table(["swap", "measured"], rows)}</div>')


def flatten(settings: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, value) lines. Example: {"a": {"b": 1}} -> [("a.b", "1")]."""
    if isinstance(settings, Mapping) and settings:
        return [line for key, value in settings.items() for line in flatten(value, f"{name}.{key}" if name else str(key))]
    if isinstance(settings, list) and any(isinstance(value, Mapping | list) for value in settings):
        return [line for i, value in enumerate(settings) for line in flatten(value, f"{name}[{i}]")]
    if isinstance(settings, list):
        return [(name, ", ".join(map(str, settings)))]
    return [(name, f"{settings:.6g}" if isinstance(settings, float) else str(settings))]


def _footer(run: Run, command: str) -> str:
    records = [(each.number, flatten(each.record)) for each in run.rounds if each.record]
    lines = records[-1][1] if records else []
    chosen = [
        (key, value) for key, value in lines if any(word in key.lower() for word in ("commit", "seed", "recipe")) and len(value) < 200
    ]
    facts = table([], [[escape(key.replace("_", " ")), f"<code>{escape(value)}</code>"] for key, value in chosen[:8]]) if chosen else ""
    settings = flatten(run.recipe)
    details = _details(f"All {len(settings)} settings of the recipe", settings) if settings else ""
    details += "".join(_details(f"What made round {place}", lines) for place, lines in records)
    return (
        f"<footer><div><h2>How this page was made</h2><p>Drawn again by <code>{escape(command)}</code></p>{facts}{details}"
        "<p>Intervals: Wilson for rates, Newcombe's method 10 for paired differences, percentile bootstrap for steps; all 95 %. Method: "
        "<i>HABC</i>, arXiv 2606.17043.</p></div></footer>"
    )


def _details(title: str, lines: Sequence[tuple[str, str]]) -> str:
    rows = [[escape(key), escape(value)] for key, value in lines]
    return f"<details><summary>{escape(title)}</summary>{table([], rows)}</details>"
