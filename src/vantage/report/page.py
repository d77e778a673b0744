"""A run folder -> one self-contained HTML page: what was gained, by how much, and why. It needs no network and no other file.

    folder ──read_run──> Run ──tables──> numbers ──charts──> figures ──sections, viewer──> report.html

Sections whose files are not there yet are left out. The page is a pure function of the folder: drawn again, it is the same, byte for byte.
"""

import shlex
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from vantage.core.stats import Interval
from vantage.disk.files import write_whole
from vantage.report import sections
from vantage.report.figures import FONT, STYLE, percent
from vantage.report.folder import Run, read_run
from vantage.report.markup import flatten, signed, table
from vantage.report.tables import Arm, Comparison, common_starts, compare
from vantage.report.viewer import watch_section

EPISODES = 6


def write_report(run: Path, out: Path | None = None, *, episodes: int = EPISODES) -> Path:
    """Write the page of one run folder and return its path: `run`/report.html unless `out` says otherwise.

    `episodes` is how many are shown with their video. Raises VantageError where the folder holds no round, or a damaged file.
    """
    found = read_run(run)
    target = run / "report.html" if out is None else out
    command = f"vantage report {shlex.quote(str(run))}"
    command += f" --out {shlex.quote(str(out))}" if out is not None else ""
    command += f" --episodes {episodes}" if episodes != EPISODES else ""
    write_whole(target, compose(found, episodes, command).encode())
    return target


def compose(run: Run, episodes: int, command: str) -> str:
    """The page as text; `command` is what its foot says it was drawn by."""
    arms = common_starts(run)
    comparisons = compare_last(arms)
    body = [
        _header(run, arms, comparisons),
        "<main>",
        sections.success_section(arms, comparisons),
        watch_section(run, episodes),
        sections.steps_section(arms, comparisons),
        sections.collected_section(run),
        sections.weights_section(run),
        sections.critic_section(run),
        sections.starts_section(run),
        sections.practice_section(run),
        sections.actor_section(run),
        sections.swap_section(run),
        "</main>",
        _footer(run, command),
    ]
    assets = files("vantage.report") / "assets"
    style, script = (assets / "page.css").read_text(encoding="utf-8"), (assets / "page.js").read_text(encoding="utf-8")
    head = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(run.folder.resolve().name)} · Vantage</title>",
        f"<style>:root{{--font:{FONT}}}{STYLE}\n{style}</style></head><body>",
    ]
    return "\n".join([*head, *filter(None, body), f"<script>{script}</script></body></html>\n"])


def compare_last(arms: Sequence[Arm]) -> list[Comparison]:
    """The last round (never the best one) beside the supervised policy, and beside the control."""
    learned = [arm for arm in arms if arm.rounds]
    return [compare(learned[-1], other) for other in arms if not other.rounds] if learned else []


def _header(run: Run, arms: Sequence[Arm], comparisons: Sequence[Comparison]) -> str:
    tasks = sorted({str(task) for arm in arms for task in arm.trials.task})
    about = " · ".join(["<b>Vantage</b>", *map(escape, [run.folder.resolve().name, *([", ".join(tasks)] if tasks else [])])])
    words = _gain(run, comparisons) if comparisons else _beginning(run, arms)
    return f'<header><p class="eyebrow">{about}</p>{words}</header>'


def _beginning(run: Run, arms: Sequence[Arm]) -> str:
    """The headline of a run without anything to compare."""
    if not arms:
        return '<h1>Nothing has been evaluated yet.</h1><p class="lead">This page shows what the run has written so far.</p>'
    rate = arms[-1].trials.rate()
    return (
        f"<h1>The policy ({escape(arms[-1].name)}) succeeds on <em>{percent(rate.estimate)}</em> of {rate.n} starts.</h1>"
        f'<p class="lead">{_range(rate)}. There is nothing to compare it with yet.</p>'
    )


def _gain(run: Run, comparisons: Sequence[Comparison]) -> str:
    """The headline: one sentence, what it is beside, and the rates."""
    first = comparisons[0]
    ours, theirs = first.ours.trials.rate(), first.theirs.trials.rate()
    gap = first.difference
    verb = "raised success from" if gap.low > 0 else "lowered success from" if gap.high < 0 else "made no clear difference: from"
    change = f"{percent(theirs.estimate)} to <em>{percent(ours.estimate)}</em>"
    tiles = [_tile(ours, first.ours.name, "main"), *(_tile(each.theirs.trials.rate(), each.theirs.name) for each in comparisons)]
    return (
        f"<h1>{escape(run.method)} {verb} {change} on {ours.n} paired starts.</h1>"
        f'<p class="lead">{" ".join(map(_against, comparisons))}</p><div class="tiles">{"".join(tiles)}</div>'
    )


def _against(each: Comparison) -> str:
    low, high = signed(100 * each.difference.low), signed(100 * each.difference.high)
    size = f"<b>{signed(100 * each.difference.estimate)} percentage points</b> (95 % interval of the paired difference {low} to {high})"
    if each.theirs.control:
        return f"Beside the same policy given as many further gradient steps on the demonstrations alone, it is {size}."
    return f"Beside the supervised policy that it started from, the difference is {size}."


def _range(rate: Interval) -> str:
    return f"95 % interval {percent(rate.low)} to {percent(rate.high)}"


def _tile(rate: Interval, name: str, cls: str = "") -> str:
    return f'<div class="tile {cls}"><b>{percent(rate.estimate)}</b><span>{escape(name)}<br>{_range(rate)}</span></div>'


def _footer(run: Run, command: str) -> str:
    records = [(each.number, flatten(each.record)) for each in run.rounds if each.record]
    known = records[-1][1] if records else []
    chosen = [(key, value) for key, value in known if any(word in key.lower() for word in ("commit", "seed")) and len(value) < 120]
    rows = [[escape(key.replace("_", " ")), f"<code>{escape(value)}</code>"] for key, value in chosen[:6]]
    settings = flatten(run.recipe)
    name = next((value for key, value in settings if key in ("name", "recipe", "is")), "")
    rows = [["recipe", f"<code>{escape(name)}</code>"], *rows] if name else rows
    details = [_details("The recipe, every setting", settings)] if settings else []
    details += [_details(f"What made round {number}", lines) for number, lines in records]
    return (
        f"<footer><div><h2>How this page was made</h2><p>Draw it again: <code>{escape(command)}</code></p>"
        f"{table([], rows) if rows else ''}{''.join(details)}"
        "<p>All intervals are 95 %: Wilson's for rates, Newcombe's method 10 for differences of paired rates, the percentile bootstrap for "
        "steps. HABC is the method of arXiv 2606.17043, action-chunked PPO that of arXiv 2509.25718.</p></div></footer>"
    )


def _details(title: str, lines: Sequence[tuple[str, str]]) -> str:
    rows = [[escape(key), escape(value)] for key, value in lines]
    return f"<details><summary>{escape(title)}</summary>{table([], rows)}</details>"
