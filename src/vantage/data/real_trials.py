"""A csv of trials on a real robot -> what each trial ended with, and on which start.

    start,success          start is optional: any name of where a trial began
    left,1
    middle,failure

Further columns are left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vantage.data.records import read_records
from vantage.types import VantageError

_MEANING = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "success", "s"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "failure", "fail", "f"), False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTrials:
    """The trials of one policy."""

    name: str
    success: tuple[bool, ...]
    starts: tuple[str, ...] | None
    """Where each began; None where the file does not say."""


def read_trials(path: Path) -> RealTrials:
    """Read a csv with a column `success` and, if trials are to be paired, a column `start`.

    Raises VantageError for a missing file or column, and for a trial without a clear end.
    """
    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "does not exist"
        raise VantageError(f"{path} {fault}; write a csv with a column success (and start, to pair trials)")
    columns, records = read_records(path, lambda names: _check_columns(path, names))
    rows = [(number, line) for number, line in records if any(value.strip() for value in line.values())]
    if not rows:
        raise VantageError(f"{path} holds no trial; write one line for each")
    success: list[bool] = []
    for number, line in rows:
        word = line["success"].strip()
        if word.lower() not in _MEANING:
            raise VantageError(
                f"line {number} of {path}: the outcome is {word!r}; write 1 or 0 (or success, failure)"
            )
        success.append(_MEANING[word.lower()])

    starts = tuple(line["start"].strip() for _, line in rows) if "start" in columns else None
    return RealTrials(name=path.stem, success=tuple(success), starts=starts)


def _check_columns(path: Path, names: Sequence[str]) -> None:
    """Raise VantageError where there is no column of outcomes."""
    if "success" not in names:
        semicolons = any(";" in name for name in names)
        hint = "; its separator is `;`, and must be a comma" if semicolons else ""
        raise VantageError(f"{path} has no column success{hint}; it needs one, with 1 or 0 in every line")


def paired(ours: RealTrials, theirs: RealTrials) -> tuple[list[bool], list[bool]] | None:
    """The outcomes of both on the same starts, in one order; None where they cannot be paired.

    A start that was tried several times is paired in the order of the trials. Raises VantageError where both
    name their starts, and the starts are not the same.
    """
    if ours.starts is None or theirs.starts is None:
        return None
    first, second = _by_start(ours), _by_start(theirs)
    if first.keys() != second.keys():
        (start, _), *_ = sorted(first.keys() ^ second.keys())
        raise VantageError(
            f"{ours.name} and {theirs.name} did not begin on the same starts ({start!r} is not in both as "
            "often); try both on the same ones, or leave the column start out"
        )
    return [first[key] for key in sorted(first)], [second[key] for key in sorted(first)]


def _by_start(trials: RealTrials) -> dict[tuple[str, int], bool]:
    """(start, how often it was tried before) -> outcome."""
    assert trials.starts is not None
    tried: dict[str, int] = {}
    outcomes: dict[tuple[str, int], bool] = {}
    for start, success in zip(trials.starts, trials.success, strict=True):
        before = tried.get(start, 0)
        tried[start] = before + 1
        outcomes[start, before] = success
    return outcomes
