"""Tables of stored studies -> docs/results.md and README.md, figures -> docs/figures/, so that no number is
copied by hand.

    python -m experiments.publish_study state screen pixels
"""

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.few_seeds import difference, success
from vantage.report.table import Table
from vantage.report.words import markdown
from vantage.study.arms import title
from vantage.study.page import write_study
from vantage.study.practice_tables import short_sheet
from vantage.study.rows import Results
from vantage.study.tables import answer_sheet, bold_words, contrasts, cost, counted
from vantage.study.words import span

RESULTS, README, FIGURES = Path("docs/results.md"), Path("README.md"), Path("docs/figures")
HEADLINES = {"state": ("study", "True state"), "pixels": ("study-pixels", "From pixels")}
"""Study whose answers README.md shows -> the mark between which they stand, and how they begin."""
SHORT = {"mt10-ppo": "ppo"}
"""Study whose short table README.md shows -> the mark between which it stands."""
WORTH = (
    ("sft-more", "demonstrations"),
    ("imit-dagger", "demonstrations and rescues"),
    ("filtered-bc", "demonstrations, rescues, and the episodes that worked"),
    ("habc", "demonstrations, rescues, and the outcome of every episode"),
)
"""Arms of the true-state study that README.md begins with, and what each learns from."""
WORTH_ALONE = (
    ("sft-more", "demonstrations"),
    ("sft-more-zero-noise", "demonstrations"),
    ("filtered-bc", "demonstrations, and the episodes that worked"),
    ("filtered-bc-zero-noise", "demonstrations, and the episodes that worked"),
    ("habc", "demonstrations, and the outcome of every episode"),
    ("habc-zero-noise", "demonstrations, and the outcome of every episode"),
    ("vantage-scratch-zero-noise", "the same, in three times the gradient steps"),
)
"""The same of the study in which nobody rescues."""
ELSEWHERE = ("Rollouts", "In short")
"""Tables that docs/results.md leaves out: the longest, which few ask for, and the one that README.md
shows."""


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


def headlines(name: str, mark: str, form: str) -> None:
    """The few differences of a study that README.md shows: those that answer what it asks."""
    results = Results.read(Path(f"docs/results/study-{name}"))
    compared = contrasts(results)
    tasks = ", ".join(task.name for task in results.study.tasks)

    about = f"{bold_words(compared)} {form}, {tasks}; {cost(results)}".strip()
    again = f"`vantage study-report docs/results/study-{name}` draws all of it again."
    table = answer_sheet(results, compared).table.markdown()
    between(
        README, mark, f"{table}\n\n{markdown(about)} {again}", "## Which method is better, and by how much"
    )


def short_table(name: str, mark: str) -> None:
    """The few rows of a study whose arms practise that README.md shows."""
    results = Results.read(Path(f"docs/results/study-{name}"))
    view = results.study.view
    assert view is not None, "only a study with a view has a short table"
    between(README, mark, short_sheet(results, view).table.markdown(), "## Faster than its demonstrations")


def worth(results: Results, arms: Sequence[tuple[str, str]] = WORTH) -> str:
    """What rescues are worth, and what the outcome is: the first tables of README.md, as Markdown."""
    study, trials = results.study, counted(results)
    supervised = arms[0][0]

    rows: list[tuple[str, ...]] = []
    for arm, source in arms:
        measured = success(trials, arm)
        beside = None if arm == supervised else difference(trials, arm, supervised)
        assert measured is not None, f"the study has no rows of {arm}"
        rows.append(
            (title(study, arm), source, span(measured), "" if beside is None else span(beside, signed=True))
        )

    head = ("method", "learns from", "success", f"above {title(study, supervised)}")
    return Table(head, rows).markdown()


def between(path: Path, mark: str, body: str, heading: str) -> None:
    """Put `body` between the marks of a page; a page without them gets them at its end, below `heading`."""
    begin, end = f"<!-- {mark}:begin -->", f"<!-- {mark}:end -->"
    text = path.read_text()
    if begin not in text:
        text = text.rstrip() + f"\n\n{heading}\n\n{begin}\n{end}\n"
    path.write_text(
        re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{body.strip()}\n{end}", text, flags=re.DOTALL)
    )


def main(studies: Sequence[str]) -> None:
    """Publish these studies."""
    for study in studies:
        publish(study)
        if study in HEADLINES:
            headlines(study, *HEADLINES[study])
        if study == "state":
            table = worth(Results.read(Path("docs/results/study-state")))
            between(README, "worth", table, "## What rescues are worth, and what the outcome is")
        if study == "alone":
            table = worth(Results.read(Path("docs/results/study-alone")), WORTH_ALONE)
            between(README, "worth-alone", table, "## What the outcome is worth where nobody rescues")
        if study in SHORT:
            short_table(study, SHORT[study])


if __name__ == "__main__":
    main(sys.argv[1:])
