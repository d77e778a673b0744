"""A csv of outcomes, or a dataset's own `next.success` -> one outcome per episode: True, False or None (not recorded).

episode_index,success
0,1
1,0
2,            <- not recorded: legal for one episode, an error for all of them
"""

import csv
from pathlib import Path

import numpy as np

from vantage.data.v3.read import Table
from vantage.data.v3.schema import EPISODE
from vantage.types import OutcomeSource, VantageError

Outcomes = dict[int, bool | None]

_MEANING: dict[str, bool | None] = {"1": True, "1.0": True, "0": False, "0.0": False, "": None, "nan": None, "null": None}


def read_outcomes(path: Path, episodes: int | None = None) -> Outcomes:
    """Read a csv with the columns `episode_index` and `success` (0, 1 or empty); episodes without a line are not recorded.

    `episodes`: how many the dataset has. Raises VantageError for a missing file or column, a value that is not 0 or 1, an episode named
    twice or not in the dataset, and for outcomes that are all empty.
    """
    if not path.is_file():
        raise VantageError(f"the outcomes file {path} does not exist; write a csv with the columns episode_index,success.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.DictReader(file, skipinitialspace=True)
        missing = [name for name in (EPISODE, "success") if name not in (lines.fieldnames or ())]
        if missing:
            raise VantageError(f"{path} has no column {' and '.join(missing)}; it needs episode_index,success.")
        found: Outcomes = {}
        for line in lines:
            where = f"line {lines.line_num} of {path}"
            name, value = ((line[key] or "").strip() for key in (EPISODE, "success"))
            if not name.isdecimal():
                raise VantageError(f"{where}: `{name}` is not an episode number.")
            if value.lower() not in _MEANING:
                raise VantageError(f"{where}: the outcome of episode {name} is `{value}` and must be 0, 1 or empty.")
            episode = int(name)
            if episode in found:
                raise VantageError(f"{where}: episode {episode} has an outcome already; keep one line per episode.")
            if episodes is not None and episode >= episodes:
                raise VantageError(f"{where}: there is no episode {episode}; the dataset has {episodes:,} (0 to {episodes - 1}).")
            found[episode] = _MEANING[value.lower()]
    if all(outcome is None for outcome in found.values()):
        raise VantageError(f"{path} records no outcome at all; fill in 0 or 1 for at least one episode.")
    return found


def resolve_outcomes(table: Table, path: Path | None) -> tuple[Outcomes, OutcomeSource]:
    """Outcome of every episode of a table, and who said so: the csv where one is given, else `next.success` (True anywhere in the episode).

    Raises VantageError where neither says anything.
    """
    if path is not None:
        recorded = read_outcomes(path, table.episodes)
        return {episode: recorded.get(episode) for episode in range(table.episodes)}, OutcomeSource.CSV
    if table.success is None:
        raise VantageError(f"{table.root} records no outcomes (no column `next.success`); give them with --outcomes FILE.csv.")
    succeeded = np.logical_or.reduceat(table.success, table.starts[:-1])
    return dict(enumerate(succeeded.tolist())), OutcomeSource.NEXT_SUCCESS
