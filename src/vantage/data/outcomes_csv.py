"""A csv of outcomes -> its lines, with the numbers that their episodes have now.

    FILE.csv ──read_outcomes──> Line ... ──with_fingerprints──> whose they are, where LeRobot kept that
                                         ──renumbered──> today's numbers

What the lines mean for a dataset is `data.outcomes`' business.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from vantage.data.fingerprints import fingerprints, from_words
from vantage.data.judgements import SUFFIX
from vantage.data.records import read_records
from vantage.data.v3.meta import INFO_FILE
from vantage.data.v3.read import Table, read_table
from vantage.data.v3.schema import EPISODE, FINGERPRINT
from vantage.progress import say
from vantage.types import Reading, VantageError

Outcome = bool | None
"""Success, failure, or not recorded."""

MEANING: dict[str, Outcome] = {
    **dict.fromkeys(("1", "1.0", "true", "success"), True),
    **dict.fromkeys(("0", "0.0", "false", "failure"), False),
    **dict.fromkeys(("", "nan", "null", "none", "pending", "unknown"), None),
}
_ALLOWED = "0, 1 or empty (or true, false, success, failure)"


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
    _, records = read_records(path, lambda names: _check_header(path, names))
    for number, record in records:
        try:
            line = _line(record, f"line {number} of {path}")
        except VantageError as fault:
            faults.append(fault)
            continue
        lines += [] if line is None else [line]

    if len(faults) > 1:
        raise VantageError(
            f"{str(faults[0]).removesuffix('.')} (and {len(faults) - 1:,} more lines)."
        ) from faults[0]
    if faults:
        raise faults[0]
    if all(line.outcome is None for line in lines):
        raise VantageError(f"{path} records no outcome at all; fill in 0 or 1 for at least one episode.")
    return lines


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


def _line(record: dict[str, str], where: str) -> Line | None:
    """A line of a csv; None for an empty one. Raises VantageError for what it cannot mean."""
    name, word, first, last, fingerprint = (
        record.get(column, "").strip() for column in (EPISODE, "success", "from", "to", FINGERPRINT)
    )
    if not (name or word or first or last):
        return None
    episode = _number(name)
    if episode is None:
        raise VantageError(f"{where}: `{name}` is not an episode number.")
    if word.lower() not in MEANING:
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
        outcome=MEANING[word.lower()],
        fingerprint=known,
    )


def _number(text: str) -> int | None:
    """A whole number, None for anything else.

    Spreadsheets write 3.0 where another cell of the column is empty.
    """
    digits = text.removesuffix(".0")
    return int(digits) if digits.isdecimal() and digits.isascii() else None


def check_line(line: Line, lengths: Int64[np.ndarray, "M"]) -> None:
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
        "episodes were deleted, split or merged since it was written, number its lines again (a csv with a "
        "line for every episode, empty where nobody knows the outcome, is not doubted)"
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


def with_fingerprints(lines: list[Line], table: Table, path: Path) -> list[Line]:
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
