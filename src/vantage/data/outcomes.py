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

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from vantage.data.fingerprints import fingerprints, from_words
from vantage.data.judgements import (
    SUFFIX,
    assign,
    find_records,
    in_sentences,
    judged_lines,
    read_journal,
    to_csv,
)
from vantage.data.v3.meta import EPISODES_FOLDER, INFO_FILE
from vantage.data.v3.paths import visible_files
from vantage.data.v3.read import Table, read_table
from vantage.data.v3.schema import EPISODE, EPISODE_OUTCOMES, FINGERPRINT
from vantage.disk.tables import column_names, read_arrow
from vantage.progress import say
from vantage.types import OutcomeSource, Reading, Trace, VantageError

Outcome = bool | None
"""Success, failure, or not recorded."""

LEFT_OUT = -1
"""Number of a stretch that is no attempt."""

_MEANING: dict[str, Outcome] = {
    **dict.fromkeys(("1", "1.0", "true", "success"), True),
    **dict.fromkeys(("0", "0.0", "false", "failure"), False),
    **dict.fromkeys(("", "nan", "null", "none", "pending", "unknown"), None),
}
_ALLOWED = "0, 1 or empty (or true, false, success, failure)"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a csv of outcomes."""

    where: str
    """Its number and file, for sentences."""
    episode: int
    first: int | None
    """Frame within the episode; None: its first."""
    last: int | None
    """Frame within the episode, included; None: its last."""
    outcome: Outcome
    fingerprint: int | None
    """Of the episode's content, where the file says it."""


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
        lines = renumbered(_with_fingerprints(read_outcomes(path), table, path), table, path)
        _compare(lines, _judged(table), path, np.diff(table.starts))
    else:
        lines = _judged(table, path)
        listed_by = OutcomeSource.PAGE
        own, source = _unjudged(table, lines, path)

    lengths = np.diff(table.starts)
    listed: dict[int, list[Line]] = {}
    for line in lines:
        _check_line(line, lengths)
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


# -------------------------------------------------------------------------------------------------------- csv


def read_outcomes(path: Path) -> list[Line]:
    """Read a csv with the columns `episode_index` and `success`, and perhaps `from`, `to` and `fingerprint`.

    An outcome is 0 or 1, true or false, success or failure, or empty; capitals do not matter. Lines without
    anything in those columns are skipped. Raises VantageError for a missing file or column, anything else in
    them, and for outcomes that are all empty.
    """
    if not path.is_file():
        fault = f"the outcomes file {path} {'is a folder' if path.is_dir() else 'does not exist'}"
        raise VantageError(f"{fault}; write a csv with the columns episode_index,success.")

    lines: list[Line] = []
    faults: list[VantageError] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            records = csv.DictReader(file, skipinitialspace=True)
            records.fieldnames = [name.strip().lower() for name in records.fieldnames or ()]
            _check_header(path, records.fieldnames)
            for record in records:
                try:
                    line = _line(record, f"line {records.line_num} of {path}")
                except VantageError as fault:
                    faults.append(fault)
                    continue
                lines += [] if line is None else [line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise VantageError(
            f"{path} is not text in UTF-8 with commas ({error}); save it as CSV UTF-8."
        ) from error

    if len(faults) > 1:
        raise VantageError(
            f"{str(faults[0]).removesuffix('.')} (and {len(faults) - 1:,} more lines)."
        ) from faults[0]
    if faults:
        raise faults[0]
    if all(line.outcome is None for line in lines):
        raise VantageError(f"{path} records no outcome at all; fill in 0 or 1 for at least one episode.")
    return lines


def check_outcomes(path: Path) -> None:
    """Read a csv of outcomes, or a journal of `vantage outcomes`, of which nothing else is known.

    Raises VantageError where it cannot be read.
    """
    if path.name.endswith(SUFFIX):
        read_journal(path)
    else:
        read_outcomes(path)


def _check_header(path: Path, names: Sequence[str]) -> None:
    """Raise VantageError for columns that are missing, or that only seem to be."""
    missing = [name for name in (EPISODE, "success") if name not in names]
    if missing:
        separators = {";": "`;`", "\t": "a tab"}
        wrong = [name for mark, name in separators.items() if mark in "".join(names)]
        hint = f" (its separator is {wrong[0]}, and must be a comma)" if wrong else ""
        raise VantageError(
            f"{path} has no column {' and '.join(missing)}{hint}; it needs episode_index,success."
        )
    if ("from" in names) != ("to" in names):
        raise VantageError(
            f"{path} has only one of the columns from and to; an attempt needs both, or neither."
        )


def _line(record: dict[str, Any], where: str) -> Line | None:
    """A line of a csv; None for an empty one. Raises VantageError for what it cannot mean."""
    name, word, first, last, fingerprint = (
        (record.get(column) or "").strip() for column in (EPISODE, "success", "from", "to", FINGERPRINT)
    )
    if not (name or word or first or last):
        return None
    episode = _number(name)
    if episode is None:
        raise VantageError(f"{where}: `{name}` is not an episode number.")
    if word.lower() not in _MEANING:
        raise VantageError(f"{where}: the outcome of episode {name} is `{word}` and must be {_ALLOWED}.")

    frames = [_number(frame) for frame in (first, last)]
    strange = [text for text, frame in zip((first, last), frames, strict=True) if text and frame is None]
    if strange:
        raise VantageError(f"{where}: `{strange[0]}` is not a frame; count them from 0 within the episode.")
    try:
        known = from_words(fingerprint) if fingerprint else None
    except ValueError as error:
        fault = f"{where}: `{fingerprint}` is no fingerprint of an episode"
        raise VantageError(f"{fault}; leave the column as Vantage wrote it, or out.") from error
    return Line(
        where=where,
        episode=episode,
        first=frames[0],
        last=frames[1],
        outcome=_MEANING[word.lower()],
        fingerprint=known,
    )


def _number(text: str) -> int | None:
    """A whole number, None for anything else.

    Spreadsheets write 3.0 where another cell of the column is empty.
    """
    digits = text.removesuffix(".0")
    return int(digits) if digits.isdecimal() and digits.isascii() else None


def _check_line(line: Line, lengths: Int64[np.ndarray, "M"]) -> None:
    """Raise VantageError for an episode or a frame that is not there. `lengths`: frames per episode."""
    if line.episode >= len(lengths):
        known = f"{len(lengths):,} (0 to {len(lengths) - 1})"
        raise VantageError(
            f"{line.where}: there is no episode {line.episode}; the dataset has {known}. If episodes were "
            "deleted since the file was written, every number in it may be another's: number its lines again."
        )

    length = int(lengths[line.episode])
    first, last = line.first or 0, length - 1 if line.last is None else line.last
    if last >= length:
        known = f"{length:,} (0 to {length - 1})"
        raise VantageError(f"{line.where}: episode {line.episode} has no frame {last}; it has {known}.")
    if first > last:
        raise VantageError(
            f"{line.where}: the attempt begins at frame {first} and ends at frame {last}, before that."
        )


def unproven(table: Table, path: Path | None) -> str:
    """A sentence where nothing shows that a csv is about these episodes; empty otherwise.

    A csv by hand has no fingerprints. Where it names every episode of the policy's it is taken at its word;
    where it names some of them, the others may be unjudged, or its numbers those of before a deletion.
    """
    if path is None or path.name.endswith(SUFFIX):
        return ""
    lines = read_outcomes(path)
    corrections = np.logical_and.reduceat(table.intervention, table.starts[:-1])
    rollouts = np.flatnonzero(~table.demo & ~corrections)
    wanted = set((np.flatnonzero(table.demo) if table.demo.all() else rollouts).tolist())
    named = wanted & {line.episode for line in lines}
    proven = any(line.fingerprint is not None for line in lines) or _edited(table.root, path) is not None
    if proven or named == wanted:
        return ""
    return (
        f"{path} names {len(named):,} of {len(wanted):,} episodes, and nothing in it shows which recordings "
        "they are (no column fingerprint): its numbers are taken as those of the data set as it is now. If "
        "episodes were deleted, split or merged since it was written, number its lines again (this warning "
        "ends with a line for every episode, empty where nobody knows the outcome)"
    )


def _edited(root: Path, path: Path) -> Path | None:
    """The data set as it was when the csv at `path` was written, where lerobot-edit-dataset has edited it in
    place since, and has left that beside it (NAME_old); None where it has not."""
    here = root.resolve()
    before = here.with_name(f"{here.name}_old")
    edited, written = here / INFO_FILE, path.stat().st_mtime
    if not (before / INFO_FILE).is_file() or written >= edited.stat().st_mtime:
        return None
    return before


def _with_fingerprints(lines: list[Line], table: Table, path: Path) -> list[Line]:
    """The lines of a csv by hand with the fingerprints of what they were written about, where that is still
    there: `lerobot-edit-dataset` numbers episodes again in place, and keeps NAME_old.

    Raises VantageError where the csv is older than that too, or does not fit it.
    """
    before = _edited(table.root, path)
    if before is None or any(line.fingerprint is not None for line in lines):
        return lines

    fault = f"{path} was written before lerobot-edit-dataset numbered the episodes of {table.root} again"
    if path.stat().st_mtime < (before / INFO_FILE).stat().st_mtime:
        raise VantageError(f"{fault}, perhaps more than once; correct its numbers and save it.")
    old = read_table(before, reading=Reading("policy"), videos=False)
    contents = fingerprints(old.action, old.state, old.starts).tolist()
    strange = next((line for line in lines if line.episode >= len(contents)), None)
    if strange is not None:
        raise VantageError(
            f"{fault}, and {strange.where} is about episode {strange.episode}, which {before} lacks too; "
            "correct its numbers and save it."
        )
    say(f"{fault}: its lines are taken for those of {before}; save it again if its numbers are the new ones")
    return [replace(line, fingerprint=contents[line.episode]) for line in lines]


def renumbered(lines: Sequence[Line], table: Table, path: Path) -> list[Line]:
    """The lines with the numbers that their episodes have now, where the file says which recordings it means.

    Lines about recordings that are no longer there are left out. Raises VantageError where none of them is.
    """
    if all(line.fingerprint is None for line in lines):
        return list(lines)

    numbers: dict[int, list[int]] = {}
    for episode, value in enumerate(fingerprints(table.action, table.state, table.starts).tolist()):
        numbers.setdefault(value, []).append(episode)
    kept: list[Line] = []
    moved = 0
    for line in lines:
        if line.fingerprint is None:
            raise VantageError(
                f"{line.where}: episode {line.episode} has no fingerprint, and others have one; fill it in."
            )
        episodes = numbers.get(line.fingerprint, [])
        if not episodes:
            continue
        episode = line.episode if line.episode in episodes else episodes[0]
        moved += episode != line.episode
        kept.append(replace(line, episode=episode))

    if not kept:
        raise VantageError(
            f"{path} is about other recordings than {table.root}; give the outcomes of this dataset."
        )
    if moved or len(kept) < len(lines):
        gone = len(lines) - len(kept)
        say(
            f"{path}: {moved:,} lines are about episodes with other numbers now, "
            f"and {gone:,} about some that are gone"
        )
    return kept


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
    if word not in _MEANING:
        fault = f"column `{name}` of {path} holds {value!r}, which is no outcome"
        raise VantageError(f"{fault}; correct it, or give outcomes with --outcomes.")
    return _MEANING[word]
