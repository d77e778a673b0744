"""A dataset that cannot be read -> every sentence about it, not only the first that `read_table` raises."""

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pyarrow as pa

from vantage.data.v3.clock import seconds
from vantage.data.v3.columns import flags, vectors, whole_numbers
from vantage.data.v3.meta import (
    DATA_FOLDER,
    Info,
    check_episodes,
    read_episodes,
    read_info,
    read_prompts,
    videos_of,
)
from vantage.data.v3.paths import visible_files
from vantage.data.v3.read import (
    check_count,
    check_frames,
    check_indices,
    demonstrations,
    driver_column,
    missing_columns,
    read_rows,
)
from vantage.data.v3.schema import (
    ACTION,
    ENVIRONMENT_STATE,
    EPISODE,
    FRAME,
    INDEX,
    POLICY_ACTION,
    POLICY_VERSION,
    STATE,
    SUCCESS_ALIASES,
    TASK_INDEX,
    TIMESTAMP,
)
from vantage.data.v3.video import check_video
from vantage.disk.tables import column_names, listed
from vantage.types import Reading, VantageError

VECTORS = (STATE, ACTION, ENVIRONMENT_STATE, POLICY_ACTION)
NUMBERS = (INDEX, EPISODE, FRAME, TASK_INDEX, POLICY_VERSION)


class Faults:
    """Sentences, as they come; the same one only once."""

    def __init__(self) -> None:
        """None yet."""
        self.sentences: list[str] = []

    def tried[**P, T](self, check: Callable[P, T], *given: P.args, **named: P.kwargs) -> T | None:
        """What `check` returns; None, and its sentence kept, where it raises VantageError."""
        try:
            return check(*given, **named)
        except VantageError as error:
            self.add(str(error))
            return None

    def add(self, sentence: str) -> None:
        """Keep a sentence."""
        if sentence not in self.sentences:
            self.sentences.append(sentence)


def faults_of(root: Path, demos: bool | Collection[int], reading: Reading) -> list[str]:
    """What is wrong with a dataset, one sentence each.

    All that can be looked at is, whatever else is wrong; what follows from a fault may be named too.
    """
    faults = Faults()
    info = faults.tried(read_info, root)
    if info is None:
        return faults.sentences

    driver = faults.tried(driver_column, info, demos is True, reading)
    faults.tried(missing_columns, info)
    table = _rows(info, driver, faults)
    if table is not None:
        _look_at_columns(info, table, driver, demos, faults)

    cameras = [camera for camera in info.cameras.values() if camera.is_video]
    episodes = faults.tried(read_episodes, info) if cameras else None
    if episodes is None:
        return faults.sentences
    if table is not None and EPISODE in table.column_names:
        number = faults.tried(whole_numbers, table, EPISODE, root)
        # Numbers out of all bounds were named above, and would be counted for ever here.
        if number is not None and ((number >= 0) & (number < len(number))).all():
            faults.tried(check_episodes, episodes, np.bincount(number))
    for camera in cameras:
        for video in faults.tried(videos_of, episodes, camera) or []:
            faults.tried(check_video, video.path, len(video.rows), video.first)
    return faults.sentences


def _rows(info: Info, driver: str | None, faults: Faults) -> pa.Table | None:
    """The columns that all data files have; None where a file cannot be opened."""
    wanted = [*VECTORS, *NUMBERS, TIMESTAMP, *SUCCESS_ALIASES, *([driver] if driver else [])]
    known = [name for name in dict.fromkeys(wanted) if name in info.features]

    for path in faults.tried(visible_files, info.root, DATA_FOLDER) or []:
        have = faults.tried(column_names, path)
        if have is None:
            return None
        lacking = [f"`{name}`" for name in known if name not in have]
        if lacking:
            faults.add(f"{path} has no column {', '.join(lacking)}; it has {listed(have)}.")
        known = [name for name in known if name in have]
    return faults.tried(read_rows, info, known) if INDEX in known else None


def _look_at_columns(
    info: Info,
    table: pa.Table,
    driver: str | None,
    demos: bool | Collection[int],
    faults: Faults,
) -> None:
    """Every column by itself, then the numbering."""
    root, have = info.root, table.column_names
    faults.tried(check_count, len(table), info)
    if not len(table):
        faults.add(f"{root} is an empty dataset; record at least one episode.")
        return

    for name in VECTORS:
        if name in have:
            faults.tried(vectors, table, name, info)
    successes = next((name for name in SUCCESS_ALIASES if name in have), None)
    for name in (driver, successes):
        if name is not None and name in have:
            faults.tried(flags, table, name, root)

    numbers = {name: faults.tried(whole_numbers, table, name, root) for name in NUMBERS if name in have}
    index, episode, frame = (numbers.get(name) for name in (INDEX, EPISODE, FRAME))
    if index is not None and episode is not None and frame is not None:
        faults.tried(check_frames, episode, frame, root)
        faults.tried(check_indices, index, episode, root)
        faults.tried(demonstrations, demos, int(episode[-1]) + 1, root)
    if TIMESTAMP in have and frame is not None:
        faults.tried(seconds, table, info)
    used = numbers.get(TASK_INDEX)
    if used is not None:
        faults.tried(read_prompts, info, used)
