"""An audit of a dataset -> two columns of facts and a list of problems, for a terminal.

What a dataset says of itself comes from anybody: it is shown as text, never as markup or commands to the terminal.
"""

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from vantage.data.audit import Audit, Weighing
from vantage.report.words import one_line

PROMPTS = 5
"""Prompts that are named; of the others, their number."""


def render_audit(audit: Audit) -> RenderableType:
    """The audit as two columns and a list of problems."""
    grid = Grid.grid(padding=(0, 2))
    for name, value in _facts(audit):
        grid.add_row(Text(name, style="bold"), Text(one_line(value)))

    verdict = [Text.assemble(("!", "yellow"), " ", one_line(problem)) for problem in audit.problems]
    return Group(grid, "", *(verdict or [Text("no problems found", style="green")]))


def _facts(audit: Audit) -> list[tuple[str, str]]:
    """Names and values, one per line."""
    lengths, frames = audit.lengths, audit.frames
    ends = f"{audit.autonomous} autonomous, {audit.rescued} rescued"
    outcomes = f"{audit.successes} successes, {audit.failures} failures"

    facts = [
        ("dataset", str(audit.root)),
        ("frames", f"{frames:,} in {len(lengths):,} episodes at {audit.fps:g} per second"),
        ("lengths", f"{lengths.min()} to {lengths.max()} frames, median {np.median(lengths):g}"),
        ("cameras", ", ".join(audit.cameras) or "none (true state)"),
        ("prompts", _prompts(audit)),
        ("outcomes", f"{outcomes}, {audit.unrecorded} not recorded"),
        ("driving", f"{ends}, {audit.ends_in_human_hands} end in human hands"),
        ("segments", f"{audit.segments:,} with {audit.handovers:,} hand-overs and {audit.cuts:,} cuts in time"),
        ("human frames", f"{audit.human_frames:,} ({audit.human_frames / frames:.0%})"),
    ]
    for head, count in audit.coverage.items():
        facts.append((f"{head} labels", f"{count:,} frames ({count / frames:.0%})"))
    if audit.routes:
        facts.append(("routes", ", ".join(f"{route} {count:,}" for route, count in audit.routes.items())))
    if audit.weighing is not None:
        facts.append(("weights", _weights(audit.weighing)))
    return facts


def _prompts(audit: Audit) -> str:
    named = "; ".join(audit.prompts[:PROMPTS])
    more = len(audit.prompts) - PROMPTS
    return f"{named}; and {more} more" if more > 0 else named


def _weights(weighing: Weighing) -> str:
    drawn = f"{weighing.drawn:,} of {weighing.frames:,} frames drawn"
    return f"{drawn}, worth {weighing.effective:,.0f} equal ones, largest {weighing.largest:.2f}"
