"""A run folder -> one self-contained HTML page: what was gained, by how much, and why.

    folder ──read_run──> Run ──numbers──> sections, viewer ──templates/report.html──> report.html

Sections whose files are not there yet are left out. The page needs no network and no other file, and is a
pure function of the folder: drawn again, it is the same, byte for byte.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vantage.disk.files import write_whole
from vantage.report import paper, sections
from vantage.report.folder import Run, read_run
from vantage.report.numbers import Arm, Comparison, common_starts, compare_last, untried
from vantage.report.render import render
from vantage.report.viewer import watch_section
from vantage.report.words import flatten

EPISODES = 6

Lines = Sequence[tuple[str, str]]
"""Names and values."""


def write_report(run: Path, out: Path | None = None, *, episodes: int = EPISODES) -> Path:
    """Write the page of one run folder and return its path: `run`/report.html unless `out` says otherwise.

    `episodes` is how many are shown with their video. Raises VantageError where the folder holds no round,
    or a damaged file.
    """
    command = f"vantage report {shlex.quote(str(run))}"
    if out is not None:
        command += f" --out {shlex.quote(str(out))}"
    if episodes != EPISODES:
        command += f" --episodes {episodes}"

    page = compose(read_run(run), episodes, command)
    target = run / "report.html" if out is None else out
    write_whole(target, page.encode())
    return target


def compose(run: Run, episodes: int, command: str) -> str:
    """The page as text; `command` is what its foot says it was drawn by."""
    arms = common_starts(run)
    comparisons = compare_last(arms)

    values = {
        "name": run.folder.resolve().name,
        "method": run.method,
        "paper": paper,
        "tasks": sorted({str(task) for arm in arms for task in arm.trials.task}),
        "headline": _headline(arms, comparisons),
        "untried": None if arms else untried(run),
        "success": sections.success_section(arms, comparisons, run.beside),
        "watch": watch_section(run, episodes),
        "steps": sections.steps_section(run, arms, comparisons),
        "rollouts": sections.collected_section(run),
        "weights": sections.weights_section(run),
        "critic": sections.critic_section(run),
        "viability": sections.starts_section(run),
        "practice": sections.practice_section(run),
        "training": sections.training_section(run),
        "made": _made(run, command),
    }
    return render("report.html", values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """What the page says first."""

    arms: Sequence[Arm]
    comparisons: Sequence[Comparison]
    verb: str
    """What the paired difference to the supervised policy allows to say; empty without one."""


def _headline(arms: Sequence[Arm], comparisons: Sequence[Comparison]) -> Headline:
    verb = ""

    if comparisons:
        gap = comparisons[0].difference
        verb = "made no clear difference: from"
        if gap.low > 0:
            verb = "raised success from"
        elif gap.high < 0:
            verb = "lowered success from"

    return Headline(arms=arms, comparisons=comparisons, verb=verb)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """How the page was made, for its foot."""

    command: str
    chosen: Lines
    """The recipe's name, seeds and commits."""
    settings: Lines
    rounds: Sequence[tuple[int, Lines]]
    """What made each round."""


def _made(run: Run, command: str) -> Made:
    rounds = [(files.number, flatten(files.record)) for files in run.rounds if files.record]
    settings = flatten(run.recipe)

    chosen = list[tuple[str, str]]()
    recipe = next((value for key, value in settings if key in ("name", "recipe", "is")), "")
    if recipe:
        chosen.append(("recipe", recipe))
    if rounds:
        last = rounds[-1][1]
        named = [line for line in last if any(word in line[0].lower() for word in ("commit", "seed"))]
        short = [(key.replace("_", " "), value) for key, value in named if len(value) < 120]
        chosen += short[:6]

    return Made(command=command, chosen=chosen, settings=settings, rounds=rounds)
