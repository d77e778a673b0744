"""Rows of cells -> on what they were made: which supervised checkpoint, processor and libraries.

Arms of one task and seed whose settings agree in all that decides round 0 are meant to begin at the same
supervised checkpoint. Made again on another machine, where numbers round differently, it is another one, and
the arms are paired less well: the difference between them holds the difference between two supervised
policies too.
"""

import os
import platform
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from vantage.algorithms.run import supervised_part
from vantage.config import brief
from vantage.disk.record import git_commit
from vantage.report.table import Table
from vantage.study.arms import title
from vantage.study.measure import Table as Rows
from vantage.study.plan import Study
from vantage.study.sheet import Sheet
from vantage.study.statistics import Contrast

SUPERVISED = "supervised"
"""Column of cells.parquet: sha256 of the supervised checkpoint that the cell's run began with."""
PROCESSOR = "processor"
"""Column of cells.parquet: the model of the processor, and its widest instructions that torch uses."""
LIBRARIES = "libraries"
"""Column of cells.parquet: versions of the libraries that round numbers."""
COLUMNS = (SUPERVISED, PROCESSOR, LIBRARIES)
"""Empty in rows that were stored before rows said it."""


def this_machine() -> Mapping[str, str]:
    """What the columns of cells.parquet say of the machine that a cell runs on, and of its code."""
    return {
        "commit": git_commit() or "unknown",
        "machine": f"{os.cpu_count()} x {platform.machine()}",
        PROCESSOR: processor(),
        LIBRARIES: libraries(),
    }


@cache
def processor() -> str:
    """What decides how this machine rounds: `Intel(R) Xeon(R) Processor, AVX512`."""
    return f"{_model()}, {torch.backends.cpu.get_cpu_capability()}"


def _model() -> str:
    """The processor's model, as Linux says it; elsewhere as Python does."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


@cache
def libraries() -> str:
    """`torch 2.11.0+cpu, numpy 2.3.5, mujoco 3.3.2`; without MuJoCo where it is not installed."""
    words = f"torch {torch.__version__}, numpy {np.__version__}"
    try:
        return f"{words}, mujoco {version('mujoco')}"
    except PackageNotFoundError:
        return words


def crossing(study: Study, cells: Rows, ours: str, theirs: str) -> list[tuple[str, int]]:
    """(task, seed) of the pairs of cells that should share a supervised checkpoint, and are known not to."""
    first, second = _checkpoints(cells, ours), _checkpoints(cells, theirs)
    return [
        (task, seed)
        for task, seed in sorted(first.keys() & second.keys())
        if first[task, seed] != second[task, seed]
        and first[task, seed]
        and second[task, seed]
        and _begin_alike(study, ours, theirs, task)
    ]


def _checkpoints(cells: Rows, arm: str) -> dict[tuple[str, int], str]:
    """(task, seed) -> the supervised checkpoint of an arm's cell; empty where its row does not say."""
    if not cells:
        return {}
    rows = zip(cells["task"], cells["arm"], cells["seed"], cells[SUPERVISED], strict=True)
    return {(str(task), int(seed)): str(sha256) for task, name, seed, sha256 in rows if name == arm}


def _begin_alike(study: Study, ours: str, theirs: str, task: str) -> bool:
    """Whether two arms agree in all that decides the supervised policy."""
    runs = (study.settings(study.arm(name), study.task(task), 0) for name in (ours, theirs))
    first, second = (brief(supervised_part(run)) for run in runs)
    return first == second


def count_of_pairs(study: Study, cells: Rows, compared: Contrast) -> str:
    """How many pairs of cells a difference stands on, and how many of them cross supervised checkpoints."""
    crossed = len(crossing(study, cells, compared.ours, compared.theirs))
    across = f" ({crossed} with different supervised checkpoints)" if crossed else ""
    return f"{compared.difference.n}{across}"


def crossing_sheet(study: Study, cells: Rows, compared: Sequence[Contrast]) -> Sheet:
    """The comparisons that stand on pairs of cells with different supervised checkpoints; no rows where there
    is none."""
    rows: list[tuple[str, ...]] = []
    for pair in compared:
        seeds: dict[str, list[int]] = defaultdict(list)
        for task, seed in crossing(study, cells, pair.ours, pair.theirs):
            seeds[task].append(seed)

        words = "; ".join(f"{task}: {', '.join(map(str, known))}" for task, known in seeds.items())
        count = sum(map(len, seeds.values()))
        if count:
            titles = f"{title(study, pair.ours)} − {title(study, pair.theirs)}"
            rows.append((titles, f"{count} of {pair.difference.n}", words))

    return Sheet(
        title="Pairs with different supervised checkpoints",
        words="These cells should have begun with the same supervised checkpoint, which was made twice and "
        "came out differently. They are paired less well: their difference holds that of two supervised "
        "policies too. Run both arms again from one work folder to have them share it.",
        table=Table(("pair", "pairs of cells", "task: seeds"), rows),
    )


def provenance_in_words(study: Study, cells: Rows, compared: Sequence[Contrast]) -> str:
    """How many comparisons cross supervised checkpoints, and how many cells do not say theirs; empty without
    cells."""
    if not cells:
        return ""

    crossed = sum(bool(crossing(study, cells, pair.ours, pair.theirs)) for pair in compared)
    words = f"Supervised checkpoints: {crossed} of {len(compared)} differences stand on pairs of cells that "
    words += "should share theirs and are known not to."

    unsaid = int((cells[SUPERVISED] == "").sum())
    if unsaid:
        words += (
            f" Stored before rows said theirs, so unknown, as are processor and libraries: {unsaid} of "
            f"{len(cells['seed'])} cells."
        )
    for name in (PROCESSOR, LIBRARIES):
        known = Counter(str(value) for value in cells[name] if value)
        if known:
            counted = "; ".join(f"{value} ({count} cells)" for value, count in known.items())
            words += f" {name.capitalize()}: {counted}."
    return words
