"""Tables of stored studies -> docs/results.md and README.md, figures -> docs/figures/, so that no number is copied by hand.

python -m experiments.publish_study state screen pixels mt10-ppo
"""

import re
import shutil
import sys
from pathlib import Path

from vantage.report.table import Table
from vantage.study.arms import title
from vantage.study.page import write_study
from vantage.study.practice_tables import short_sheet
from vantage.study.rows import Results
from vantage.study.statistics import hold_together
from vantage.study.tables import contrasts, cost
from vantage.study.words import span

RESULTS, README, FIGURES = Path("docs/results.md"), Path("README.md"), Path("docs/figures")
HEADLINES = (
    ("habc", "sft-more"),
    ("habc", "filtered-bc"),
    ("habc", "habc-v"),
    ("habc+ir", "habc-more"),
    ("habc-calm", "habc"),
    ("habc-anew-calm", "habc-long-calm"),
    ("vantage-anew-calm", "vantage-calm"),
    ("vantage-anew-calm", "habc-anew-calm"),
    ("vantage-anew-calm", "filtered-bc+rescues-anew-calm"),
    ("filtered-bc+rescues-anew-calm", "filtered-bc-anew-calm"),
    ("vantage-anew-calm", "filtered-bc"),
    ("vantage-anew-4-calm", "habc+ir"),
    ("vantage-anew-4-calm", "habc+ir-calm"),
)
"""Pairs of the true-state study whose difference README.md shows."""
FROM_PIXELS = (
    ("habc", "sft-more"),
    ("habc", "filtered-bc"),
    ("vantage-anew-calm", "filtered-bc"),
    ("vantage-anew-calm", "habc"),
    ("vantage-anew-calm", "vantage-calm"),
)
"""The same of the study from pixels."""

ELSEWHERE = ("Rollouts", "In short")
"""Tables that docs/results.md leaves out: the longest and least asked for, and the one that README.md shows."""


def publish(name: str) -> None:
    """Draw one study again and put its tables between its marks."""
    folder = Path(f"docs/results/study-{name}")
    drawn = Path("runs") / f"report-{name}"
    write_study(folder, drawn)
    FIGURES.mkdir(parents=True, exist_ok=True)
    for figure in sorted(drawn.glob("*.svg")):
        shutil.copy(figure, FIGURES / f"study-{name}-{figure.name}")
    head, *sheets = (drawn / "results.md").read_text().strip().split("### ")
    body = head + "".join(f"### {sheet}" for sheet in sheets if not sheet.startswith(ELSEWHERE))
    between(RESULTS, f"study-{name}", body, f"## The study `{name}`")


def headlines(name: str, pairs: tuple[tuple[str, str], ...], mark: str, form: str) -> None:
    """The few differences of a study that README.md shows."""
    results = Results.read(Path(f"docs/results/study-{name}"))
    lines = ["| pair | success | steps where both solve | pairs of cells |", "|---|---|---|---|"]
    everything = contrasts(results)
    sure = {(each.ours, each.theirs) for each, stands in zip(everything, hold_together(everything), strict=True) if stands}
    known = {(each.ours, each.theirs): each for each in everything}
    for ours, theirs in pairs:
        if found := known.get((ours, theirs)):
            gap, steps = span(found.difference, signed=True), span(found.shared_steps, 1, signed=True)
            gap = f"**{gap}**" if (ours, theirs) in sure else gap
            lines.append(f"| {title(results.study, ours)} − {title(results.study, theirs)} | {gap} | {steps} | {found.difference.n} |")
    tasks = ", ".join(task.world.task for task in results.study.tasks)
    among = f"Bold: stands among all {len(everything)} differences of that study (Holm, 5 %)." if sure else ""
    again = f"`vantage study-report docs/results/study-{name}` draws all of it again."
    lines.append(f"\n{f'{among} {form}'.strip()}, {tasks}; {cost(results)} {again}")
    between(README, mark, "\n".join(lines), "## Which method is better, and by how much")


def practice_headlines(name: str, mark: str) -> None:
    """The short table of a study whose arms practise, in README.md."""
    results = Results.read(Path(f"docs/results/study-{name}"))
    if results.study.view is not None:
        sheet = short_sheet(results, results.study.view)
        between(README, mark, Table(sheet.head, sheet.rows).markdown(), "## Faster than its demonstrations")


def between(path: Path, mark: str, body: str, heading: str) -> None:
    """Put `body` between a page's marks; a page without them gets them at its end, under the heading."""
    begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
    text = path.read_text()
    if begin not in text:
        text = text.rstrip() + f"\n\n{heading}\n\n{begin}\n{end}\n"
    path.write_text(re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{body.strip()}\n{end}", text, flags=re.DOTALL))


if __name__ == "__main__":
    for study in sys.argv[1:]:
        publish(study)
    headlines("state", HEADLINES, "study", "True state")
    headlines("pixels", FROM_PIXELS, "study-pixels", "From pixels")
    practice_headlines("mt10-ppo", "ppo")
