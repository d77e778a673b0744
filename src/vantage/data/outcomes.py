"""A csv of outcomes, or what a dataset itself says -> attempts: stretches of frames, each with how it ended.

    episode_index,success          episode_index,from,to,success
    0,1                            0,0,411,1
    1,failure                      0,530,987,0      <- a second attempt in the same recording
    2,                             1,,,1            <- all of episode 1
         ^ not recorded: legal for one episode, an error for all of them

An attempt is what credit assignment takes for one episode. Recorders that cut their files by time put several
into one: then a csv names the first and the last frame of each, counted from 0 within the episode. What it
leaves out between them (resetting the scene) is neither credited nor imitated.

Where no csv is given, what somebody said on the page of `vantage outcomes` counts (its journal lies beside
the dataset, `data.judgements`), and of the episodes that nobody judged there the dataset is asked, most
trusted first: successes frame by frame, an outcome in `meta/episodes`, rewards.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from vantage.data.fingerprints import fingerprints
from vantage.data.judgements import (
    SUFFIX,
    assign,
    find_records,
    in_sentences,
    judged_lines,
    read_journal,
    to_csv,
)
from vantage.data.outcomes_csv import (
    MEANING,
    Line,
    Outcome,
    check_line,
    read_outcomes,
    renumbered,
    with_fingerprints,
)
from vantage.data.v3.meta import EPISODES_FOLDER
from vantage.data.v3.paths import visible_files
from vantage.data.v3.read import Table, read_table
from vantage.data.v3.schema import EPISODE, EPISODE_OUTCOMES
from vantage.disk.tables import column_names, read_arrow
from vantage.progress import say
from vantage.types import OutcomeSource, Reading, Trace, VantageError

LEFT_OUT = -1
"""Number of a stretch that is no attempt."""


class NoOutcomes(VantageError):
    """Neither a csv nor the dataset says how any episode ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Neighbouring frames of one episode, and how they ended."""

    episode: int
    number: int
    """0, 1, 2 ... within the episode, or LEFT_OUT."""
    rows: slice
    """Of the table."""
    outcome: Outcome
    source: OutcomeSource | None
    """Who said so; None where nobody did."""


def attempts_of(table: Table, path: Path | None) -> list[Attempt]:
    """Every frame of a table, in order, in attempts and in what lies between them.

    The csv at `path` says how they ended, where one is given: an episode that it does not name is an attempt
    without an outcome. Else the journal of `vantage outcomes` does, and of the episodes that it does not
    judge the dataset, where every episode is one attempt. `path` may be a journal too. A demonstration that
    nobody judged succeeded: that is why it was kept. Raises VantageError where nobody says how any episode
    ended in which the policy drove, and for a csv that does not fit the table.
    """
    own, source, listed_by = dict[int, Outcome](), OutcomeSource.CSV, OutcomeSource.CSV
    lines = list[Line]()
    if path is not None and not path.name.endswith(SUFFIX):
        lines = renumbered(with_fingerprints(read_outcomes(path), table, path), table, path)
        _compare(lines, _judged(table), path, np.diff(table.starts))
    else:
        lines = _judged(table, path)
        listed_by = OutcomeSource.PAGE
        own, source = _unjudged(table, lines, path)

    lengths = np.diff(table.starts)
    listed: dict[int, list[Line]] = {}
    for line in lines:
        check_line(line, lengths)
        listed.setdefault(line.episode, []).append(line)

    attempts: list[Attempt] = []
    for episode, rows in enumerate(table.slices):
        demo = bool(table.demo[episode])
        if episode in listed:
            attempts += _listed(listed[episode], episode, rows, listed_by, demo=demo)
        else:
            outcome = None if demo else own.get(episode)
            attempts.append(_attempt(episode, 0, rows, outcome, source, demo=demo))
    return attempts


def check_outcomes(path: Path) -> None:
    """Read a csv of outcomes, or a journal of `vantage outcomes`, of which nothing else is known.

    Raises VantageError where it cannot be read.
    """
    if path.name.endswith(SUFFIX):
        read_journal(path)
    else:
        read_outcomes(path)


def traces_of(table: Table, attempts: Iterable[Attempt]) -> list[Trace]:
    """Attempts without their pixels."""
    return [table.trace(attempt.rows, attempt.outcome) for attempt in attempts]


def _attempt(
    episode: int,
    number: int,
    rows: slice,
    outcome: Outcome,
    source: OutcomeSource,
    *,
    demo: bool,
) -> Attempt:
    """An attempt; a demonstration without an outcome succeeded."""
    if outcome is None and demo:
        outcome, source = True, OutcomeSource.DEMO
    known = None if outcome is None else source
    return Attempt(episode=episode, number=number, rows=rows, outcome=outcome, source=known)


def _listed(
    lines: Sequence[Line], episode: int, rows: slice, source: OutcomeSource, *, demo: bool
) -> list[Attempt]:
    """The attempts of one episode that a csv or a journal names, and the frames between them.

    Raises VantageError for attempts that overlap.
    """
    length = rows.stop - rows.start
    bounded = sorted(
        (line.first or 0, length - 1 if line.last is None else line.last, place, line)
        for place, line in enumerate(lines)
    )
    for (_, last, _, before), (first, _, _, line) in pairwise(bounded):
        if first > last:
            continue
        if before.first is line.first is before.last is line.last is None:
            fault = f"{line.where}: episode {episode} has an outcome already"
            raise VantageError(f"{fault}; keep one line per episode, or say which frames each is about.")
        raise VantageError(
            f"{line.where}: frame {first} of episode {episode} is in the attempt of {before.where} too."
        )

    attempts: list[Attempt] = []
    reached = 0
    for number, (first, last, _, line) in enumerate(bounded):
        if first > reached:
            attempts.append(_between(episode, rows, reached, first))
        part = slice(rows.start + first, rows.start + last + 1)
        attempts.append(_attempt(episode, number, part, line.outcome, source, demo=demo))
        reached = last + 1
    if reached < length:
        attempts.append(_between(episode, rows, reached, length))
    return attempts


def _between(episode: int, rows: slice, first: int, stop: int) -> Attempt:
    """Frames of an episode that are in no attempt."""
    part = slice(rows.start + first, rows.start + stop)
    return Attempt(episode=episode, number=LEFT_OUT, rows=part, outcome=None, source=None)


# ----------------------------------------------------------------------------------------- the page's journal


def _judged(table: Table, journal: Path | None = None) -> list[Line]:
    """What was said on the page, as lines of a csv; none where no journal speaks of the dataset.

    `journal`: the one to ask; None: those beside the dataset.
    """
    if journal is None and not _has_journals(table.root):
        return []
    contents = fingerprints(table.action, table.state, table.starts).tolist()
    records = find_records(table.root, contents) if journal is None else [read_journal(journal)]
    if not records:
        return []

    assigned = assign(records, contents, np.diff(table.starts).tolist())
    for sentence in in_sentences(assigned, table.root):
        say(sentence)
    lines: list[Line] = []
    for episode, judgement in sorted(assigned.judgements.items()):
        whole = len(judgement.stretches) == 1
        for first, last, outcome in judged_lines(judgement) if judgement.begun else ():
            bounds = (None, None) if whole else (first, last)
            where = f"what {assigned.sources[episode]} says of episode {episode}"
            lines.append(
                Line(
                    where=where,
                    episode=episode,
                    first=bounds[0],
                    last=bounds[1],
                    outcome=outcome,
                    fingerprint=contents[episode],
                )
            )
    return lines


def journal_as_csv(root: Path) -> tuple[str, int]:
    """What was said on the page of a dataset as the text of a csv, and of how many episodes.

    Raises VantageError where nothing was.
    """
    table = read_table(root, reading=Reading("policy"), videos=False)
    contents = fingerprints(table.action, table.state, table.starts).tolist()
    assigned = assign(find_records(root, contents), contents, np.diff(table.starts).tolist())
    for sentence in in_sentences(assigned, root):
        say(sentence)
    judged = sum(judgement.done for judgement in assigned.judgements.values())
    return to_csv(assigned.judgements, contents), judged


def _has_journals(root: Path) -> bool:
    """Whether any journal lies beside a dataset: fingerprints cost a second per 100 million numbers."""
    return any(root.resolve().parent.glob(f"*{SUFFIX}"))


def _unjudged(
    table: Table, lines: Sequence[Line], path: Path | None
) -> tuple[dict[int, Outcome], OutcomeSource]:
    """What the dataset itself says of the episodes that nobody judged on the page.

    Raises VantageError where nothing is known of any episode in which the policy drove.
    """
    if path is not None and not lines:
        raise VantageError(f"{path} judges no episode of {table.root}; judge some with `vantage outcomes`.")
    if table.demo.all():
        return {}, OutcomeSource.CSV
    judged = {line.episode for line in lines}
    if len(judged) == table.episodes:
        return {}, OutcomeSource.PAGE

    try:
        own, source = _recorded(table)
    except NoOutcomes:
        if all(line.outcome is None for line in lines):
            raise
        return {}, OutcomeSource.PAGE
    differ = [
        line.episode
        for line in lines
        if line.first is None
        and line.outcome is not None
        and own.get(line.episode, line.outcome) != line.outcome
    ]
    if lines:
        say(f"{table.root}: {len(judged):,} of {table.episodes:,} episodes were judged on the page")
    if differ:
        say(f"{table.root}: the page and {source} disagree about episodes {_some(differ)}; the page counts")
    return own, source


def _compare(
    lines: Sequence[Line], judged: Sequence[Line], path: Path, lengths: Int64[np.ndarray, "M"]
) -> None:
    """Say where a csv and the journal disagree; the csv counts. `lengths`: frames per episode."""

    def said(of: Sequence[Line]) -> dict[int, set[tuple[int, int, Outcome]]]:
        episodes: dict[int, set[tuple[int, int, Outcome]]] = {}
        for line in of:
            last = int(lengths[line.episode]) - 1 if line.last is None else line.last
            episodes.setdefault(line.episode, set()).add((line.first or 0, last, line.outcome))
        return episodes

    if not judged or any(line.episode >= len(lengths) for line in lines):
        return
    csv_says, page_says = said(lines), said(judged)
    differ = [episode for episode in page_says if page_says[episode] != csv_says.get(episode)]
    if differ:
        say(f"{path} and the page's journal disagree about episodes {_some(differ)}; the csv counts")


def _some(numbers: Sequence[int]) -> str:
    """The first few of them."""
    return ", ".join(map(str, numbers[:8])) + (" ..." if len(numbers) > 8 else "")


# ----------------------------------------------------------------------------------------- the dataset's own


def recorded_outcomes(table: Table) -> tuple[dict[int, Outcome], OutcomeSource | None]:
    """What the dataset itself says of its episodes, and where; nothing where it says nothing."""
    try:
        return _recorded(table)
    except NoOutcomes:
        return {}, None


def none_succeeded(attempts: Sequence[Attempt]) -> str:
    """A sentence where the dataset itself says of every judged attempt that it failed; empty otherwise.

    LeRobot stamps success only where somebody presses a key, so that nobody may have marked any.
    """
    judged = [attempt for attempt in attempts if attempt.outcome is not None]
    own = [attempt for attempt in judged if attempt.source not in (OutcomeSource.CSV, OutcomeSource.PAGE)]
    rollouts = [attempt for attempt in own if attempt.source is not OutcomeSource.DEMO]
    if not rollouts or any(attempt.outcome for attempt in rollouts):
        return ""
    return (
        f"0 of {len(rollouts):,} attempts succeed, by the dataset's own record ({rollouts[0].source}); if "
        "nobody marked successes there, give outcomes in a csv (--outcomes)"
    )


def _recorded(table: Table) -> tuple[dict[int, Outcome], OutcomeSource]:
    """What the dataset says of its episodes, and where.

    Raises NoOutcomes where nothing says anything, and the policy drove.
    """
    if table.success is not None:
        succeeded = np.logical_or.reduceat(table.success, table.starts[:-1])
        return dict(enumerate(succeeded.tolist())), OutcomeSource.NEXT_SUCCESS

    described = _described(table)
    if described is not None:
        return described, OutcomeSource.EPISODE
    if table.rewarded is not None:
        return dict(enumerate(table.rewarded[table.starts[1:] - 1].tolist())), OutcomeSource.NEXT_REWARD

    # Corrections alone, as stock DAgger records them by default, are imitated and need no outcome.
    if (table.intervention | table.demo[table.episode_index]).all():
        return {}, OutcomeSource.NEXT_SUCCESS

    fault = f"{table.root} records no outcomes (no column `next.success`)"
    raise NoOutcomes(
        f"{fault}; give them with --outcomes FILE.csv, or say them with `vantage outcomes {table.root}`."
    )


def _described(table: Table) -> dict[int, Outcome] | None:
    """Outcomes that stand in `meta/episodes`; None where there is no such column."""
    outcomes: dict[int, Outcome] = {}
    for path in visible_files(table.root, EPISODES_FOLDER):
        name = next((name for name in EPISODE_OUTCOMES if name in column_names(path)), None)
        if name is None:
            continue
        rows = read_arrow(path, [EPISODE, name]).to_pylist()
        outcomes |= {int(row[EPISODE]): _meaning(row[name], name, path) for row in rows}
    return outcomes or None


def _meaning(value: Any, name: str, path: Path) -> Outcome:
    word = "" if value is None else str(value).strip().lower()
    if word not in MEANING:
        fault = f"column `{name}` of {path} holds {value!r}, which is no outcome"
        raise VantageError(f"{fault}; correct it, or give outcomes with --outcomes.")
    return MEANING[word]
