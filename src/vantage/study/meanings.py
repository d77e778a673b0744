"""Rows of cells -> which of them were made when a stage meant something else than it does today.

A fingerprint sees settings; a mended fault or another default inside a stage it does not see. Every cell
therefore keeps the meanings (`algorithms/made.py`) of the stages that it went through.
"""

from collections import defaultdict

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.habc import HABCRun
from vantage.algorithms.interleaved import Interleaved
from vantage.algorithms.made import INTERLEAVED, PRACTICE, meanings
from vantage.report.table import Table
from vantage.study.arms import title
from vantage.study.measure import Table as Rows
from vantage.study.plan import Arm, Study, StudyTask, Suite
from vantage.study.sheet import Sheet

MEANINGS = "meanings"
"""Column of cells.parquet."""
FIRST = 1
"""The meaning of a stage in rows that do not say it: they were stored before rows did."""


def meanings_of(study: Study, arm: Arm, task: StudyTask | Suite) -> dict[str, int]:
    """Stage -> its meaning today, of the stages that an arm and those before it go through."""
    practises = interleaved = False
    for ancestor in study.ancestry(arm):
        settings = study.settings(ancestor, task, 0)
        practises |= isinstance(settings, ChunkedPPORun)
        interleaved |= isinstance(settings, HABCRun) and isinstance(
            settings.improvement.schedule, Interleaved
        )
    left_out = {PRACTICE.name: not practises, INTERLEAVED.name: not interleaved}
    return {stage: number for stage, number in meanings().items() if not left_out.get(stage)}


def older(study: Study, cells: Rows) -> dict[tuple[str, str, str], list[int]]:
    """(task, arm, which meanings differ) -> seeds of the cells that are of an older meaning."""
    seeds: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    if not cells:
        return seeds

    columns = zip(cells["task"], cells["arm"], cells["seed"], cells[MEANINGS], strict=True)
    today: dict[tuple[str, str], dict[str, int]] = {}
    for task, arm, seed, written in columns:
        pair = (str(task), str(arm))
        if pair not in today:
            today[pair] = meanings_of(study, study.arm(str(arm)), study.task(str(task)))

        made_by = read_meanings(str(written))
        different = [
            f"{stage} {made_by.get(stage, FIRST)}, now {number}"
            for stage, number in today[pair].items()
            if made_by.get(stage, FIRST) != number
        ]
        if different:
            seeds[*pair, "; ".join(different)].append(int(seed))
    return seeds


def older_sheet(study: Study, cells: Rows) -> Sheet:
    """The cells that are of an older meaning; no rows where there is none."""
    rows = [
        (title(study, arm), task, ", ".join(map(str, sorted(seeds))), what)
        for (task, arm, what), seeds in older(study, cells).items()
    ]
    return Sheet(
        title="Rows of an older meaning",
        words="Made when a stage gave something else for the same settings. Compare them with rows of the "
        "same meaning only; to have them of today's, run those cells again into another folder (--results).",
        table=Table(("method", "task", "seeds", "meaning of its stages"), rows),
    )


def meanings_in_words(study: Study, cells: Rows) -> str:
    """How many cells are of an older meaning, and how many do not say theirs; empty without cells."""
    if not cells:
        return ""
    count, unsaid = len(cells["seed"]), int((cells[MEANINGS] == "").sum())
    behind = sum(len(seeds) for seeds in older(study, cells).values())

    words = f"Meanings of stages: {behind} of {count} cells are of an older meaning than today's."
    if unsaid:
        words += f" Stored before rows said theirs, so unknown, and counted as {FIRST}: {unsaid}."
    return words


def write_meanings(numbers: dict[str, int]) -> str:
    """`collect 1, label 2`."""
    return ", ".join(f"{stage} {number}" for stage, number in numbers.items())


def read_meanings(written: str) -> dict[str, int]:
    """What `write_meanings` wrote; empty for rows that do not say it."""
    pairs = [part.rsplit(" ", 1) for part in written.split(", ") if part]
    return {stage: int(number) for stage, number in pairs}
