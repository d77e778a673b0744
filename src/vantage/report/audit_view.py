"""An audit of a dataset -> facts and findings, for a terminal and as a page.

What a dataset says of itself comes from anybody: it is shown as text, never as markup or commands to the
terminal.
"""

from pathlib import Path

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from vantage.data.audit import Audit, Credit, Facts, Weighing
from vantage.data.findings import Level
from vantage.disk.files import write_whole
from vantage.report.words import one_line
from vantage.types import Route

PROMPTS = 5
"""Prompts that are named; of the others, their number."""
STYLES = {Level.FAILURE: "bold red", Level.WARNING: "yellow", Level.NOTE: "dim"}


def render_audit(audit: Audit) -> RenderableType:
    """The audit for a terminal: facts in two columns, then failures, warnings, notes and advice."""
    grid = Grid.grid(padding=(0, 2))
    for name, value in rows_of(audit):
        grid.add_row(Text(name, style="bold"), Text(one_line(value)))

    said = [
        Text.assemble((f"{finding.level:<8}", STYLES[finding.level]), one_line(finding.text))
        for finding in audit.findings
    ]
    said += [Text.assemble(("next    ", "cyan"), one_line(step)) for step in audit.advice]
    if not audit.problems:
        said.append(Text("no problems found", style="green"))
    last = Text(verdict(audit), style="green" if not (audit.problems or audit.unlearnable) else "bold")
    return Group(grid, "", *said, last)


def write_audit_page(audit: Audit, out: Path) -> None:
    """The same as a page that needs no other file."""
    from vantage.report.render import render  # jinja2 takes as long as an audit

    said = [finding for finding in audit.findings if finding.text not in audit.unlearnable]
    levels = [(level, [finding.text for finding in said if finding.level is level]) for level in Level]
    values = {
        "name": audit.root.resolve().name,
        "rows": rows_of(audit),
        "levels": [(level, texts) for level, texts in levels if texts],
        "unlearnable": audit.unlearnable,
        "advice": audit.advice,
        "verdict": verdict(audit),
        "readable": audit.facts is not None,
    }
    write_whole(out, render("audit.html", values).encode())


def verdict(audit: Audit) -> str:
    """The audit in a sentence."""
    failures, problems = len(audit.failures), len(audit.problems)
    if failures == 1:
        return "One thing is wrong: mend it before training."
    if failures:
        return f"{failures} things are wrong: mend them before training."
    ready = "Not everything can be learned from it alone" if audit.unlearnable else "Ready to be learned from"
    if problems == 1:
        return f"{ready}; one thing deserves a look."
    if problems:
        return f"{ready}; {problems} things deserve a look."
    return f"{ready}."


def rows_of(audit: Audit) -> list[tuple[str, str]]:
    """Names and values, one per line."""
    rows = [("dataset", str(audit.root))]
    if audit.facts is not None:
        rows += _facts(audit.facts)
    if audit.facts is not None and audit.credit is not None:
        rows += _credit(audit.credit, audit.facts.frames)
    if audit.weighing is not None:
        rows.append(("weights", _weights(audit.weighing)))
    return rows


def _facts(facts: Facts) -> list[tuple[str, str]]:
    lengths, frames = facts.lengths, facts.frames
    held = f" ({facts.demonstrations:,} demonstrations)" if facts.demonstrations else ""
    several = f" in {facts.attempts:,} attempts" if facts.attempts != len(lengths) else ""
    ends = f"{facts.autonomous:,} autonomous, {facts.rescued:,} rescued"

    return [
        ("frames", f"{frames:,} in {len(lengths):,} episodes{held} at {facts.fps:g} per second"),
        ("lengths", f"{lengths.min():,} to {lengths.max():,} frames, median {np.median(lengths):g}"),
        ("cameras", ", ".join(facts.cameras) or "none (true state)"),
        ("prompts", _prompts(facts)),
        (
            "outcomes",
            f"{facts.successes:,} successes, {facts.failures:,} failures, "
            f"{facts.unrecorded:,} not recorded{several}",
        ),
        ("driving", f"{ends}, {facts.ends_in_human_hands:,} end in human hands"),
        (
            "segments",
            f"{facts.segments:,} with {facts.handovers:,} hand-overs and {facts.cuts:,} cuts in time",
        ),
        ("human frames", f"{facts.human_frames:,} ({facts.human_frames / frames:.0%})"),
    ]


def _credit(credit: Credit, frames: int) -> list[tuple[str, str]]:
    """What each head sees, and why the rest carries no outcome."""
    judged = sum(credit.routes.get(name, 0) for name in (Route.ROLLOUT_SUCCESS, Route.ROLLOUT_FAILURE))
    viability = credit.viability_successes + credit.viability_failures
    ends = f"{credit.viability_successes:,} of successes, {credit.viability_failures:,} of failures"
    rest = ", ".join(f"{count:,} {reason}" for reason, count in credit.silent.items())
    return [
        (
            "with an outcome",
            f"{judged:,} frames ({judged / frames:.0%})" + (f"; the others: {rest}" if rest else ""),
        ),
        ("viability head", f"{viability:,} frames: {ends}"),
        ("efficiency head", f"{credit.efficiency:,} frames"),
        ("policy", f"{credit.imitated:,} frames to imitate"),
        ("routes", ", ".join(f"{route} {count:,}" for route, count in credit.routes.items())),
    ]


def _prompts(facts: Facts) -> str:
    named = "; ".join(facts.prompts[:PROMPTS])
    more = len(facts.prompts) - PROMPTS
    return f"{named}; and {more} more" if more > 0 else named


def _weights(weighing: Weighing) -> str:
    drawn = f"{weighing.drawn:,} of {weighing.frames:,} frames drawn"
    return f"{drawn}, worth {weighing.effective:,.0f} equal ones, largest {weighing.largest:.2f}"
