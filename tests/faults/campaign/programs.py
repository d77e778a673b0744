"""Whole runs of seconds, through the command line, and what each must have made in the end.

Program ──words──> vantage run / study / run debug-ppo / finetune ──products──> path -> sha256
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow.parquet as pq
from tiny_finetune import finetune_words

from campaign import toy_study
from campaign.processes import Ended, changes_of, ran

LOCKS_AND_TEMPORARIES = (".lock", ".tmp")
"""Ends of names that do not count: a lock says who held it, and what a killed writer left is swept after an
hour."""
ONLY_TIMES = ("speed.json", ".made.json")
"""Files that hold nothing but how long something took."""
OF_THE_MACHINE = ("seconds", "commit", "machine")
"""Columns of a study's rows that differ between two undisturbed studies."""

HABC = (
    "--rounds=1",
    "--demonstrations.per-world=3",
    "--supervised.steps=40",
    "--supervised.save-every=10",
    "--rollouts.per-world=5",
    "--critic.steps=30",
    "--fit.steps=30",
    "--fit.save-every=10",
    "--evaluation.per-world=3",
)
PPO = (
    "--demonstrations.per-world=1",
    "--supervised.steps=20",
    "--practice.steps=700",
    "--practice.play.episodes=4",
    "--practice.play.limit=60",
    "--practice.play.side-by-side=4",
    "--practice.fit.epochs=1",
    "--practice.fit.warm-up=0",
    "--practice.fit.batch=64",
    "--practice.checks.every=400",
    "--practice.checks.per-world=1",
    "--practice.checks.limit=60",
    "--evaluation.per-world=1",
)


@dataclass(frozen=True)
class Program:
    """A command that makes a folder, and goes on with it when it is started again."""

    name: str
    words: Callable[[Path, int], list[str]]
    """Words for a shelf of inputs and a number of workers; everything is made below the folder it runs in."""
    out: str
    """Folder that is made, which `vantage verify` takes."""
    several: bool = True
    """Whether it may have workers."""
    lerobot: bool = False
    """Whether it imports LeRobot's policies."""


def _habc(_shelf: Path, workers: int) -> list[str]:
    return ["run", "debug", "--out", "made", f"--workers={workers}", *HABC]


def _ppo(_shelf: Path, workers: int) -> list[str]:
    return ["run", "debug-ppo", "--out", "made", f"--workers={workers}", *PPO]


def _study(_shelf: Path, workers: int) -> list[str]:
    recipe = f"{Path(toy_study.__file__)}:make"
    return ["study", recipe, "--seeds=1", "--out=made", "--results=made/rows", f"--workers={workers}"]


def _finetune(shelf: Path, _workers: int) -> list[str]:
    return finetune_words(recordings(shelf), Path("made"))


RUN = Program("vantage run debug", _habc, "made")
STUDY = Program("vantage study (toy)", _study, "made")
DEBUG_PPO = Program("vantage run debug-ppo", _ppo, "made")
FINETUNE = Program("vantage finetune (ACT)", _finetune, "made", several=False, lerobot=True)
PROGRAMS = (RUN, STUDY, DEBUG_PPO, FINETUNE)


def recordings(shelf: Path) -> Path:
    """Recordings to fine-tune from: demonstrations, and rollouts with outcomes."""
    from recorded import DEMONSTRATIONS, FIRST_ROUND, record

    from vantage.disk.layout import Round

    run = shelf / "recorded"
    if not run.exists():
        partial = shelf / "recorded.partial"
        shutil.rmtree(partial, ignore_errors=True)
        record(Round.of(partial, 0), DEMONSTRATIONS, version=-1, csv=True)
        record(Round.of(partial, 1), FIRST_ROUND, version=0, csv=True)
        partial.rename(run)
    return run


@dataclass(frozen=True)
class Reference:
    """An undisturbed run."""

    folder: Path
    """The folder it ran in; what it made is below."""
    products: dict[str, str]
    seconds: float
    changes: int
    """How often it changed its folder."""


@lru_cache
def reference(program: Program, shelf: Path) -> Reference:
    """The undisturbed run with one worker. Raises RuntimeError where even that does not succeed."""
    folder = shelf / f"reference {program.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ended = ran(program.words(shelf, 1), folder)
    if ended.code != 0:
        raise RuntimeError(f"{program.name} fails without any disturbance: {ended.said[-2000:]}")
    return Reference(folder, products(folder / program.out), ended.seconds, changes_of(folder))


def copy_of_reference(program: Program, shelf: Path, folder: Path) -> Path:
    """A copy of the finished run in `folder`, times of files kept, as `cp -a` does; returns what was made."""
    undisturbed = reference(program, shelf)
    shutil.copytree(undisturbed.folder, folder, symlinks=True, dirs_exist_ok=True)
    return folder / program.out


def products(made: Path) -> dict[str, str]:
    """Name -> sha256 of every file below a folder; of a study's rows, without what the machine and the clock
    say."""
    files = {
        path.relative_to(made).as_posix(): path
        for path in sorted(made.rglob("*"))
        if path.is_file() and not path.name.endswith(LOCKS_AND_TEMPORARIES) and path.name not in ONLY_TIMES
    }
    return {name: _digest(path) for name, path in files.items()}


def _digest(path: Path) -> str:
    if path.suffix == ".parquet" and path.parent.name == "rows":
        table = pq.read_table(path)
        table = table.drop_columns([name for name in OF_THE_MACHINE if name in table.column_names])
        rows = sorted(map(repr, table.to_pylist()))
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def difference(made: Path, wanted: dict[str, str]) -> str:
    """The first file that is not as it must be, in words; empty where all are."""
    found = products(made)
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} is left over"
        if found[name] != wanted[name]:
            return f"{name} differs"
    return ""


def goes_on(program: Program, shelf: Path, folder: Path, workers: int) -> tuple[str, Ended]:
    """Start a disturbed run again; what is wrong with its end, empty where it is as if nothing had
    happened."""
    ended = ran(program.words(shelf, workers), folder)
    if ended.code != 0:
        return f"started again, it ends with {ended.code}: {ended.last}", ended
    if ended.left:
        return f"started again, {ended.left} processes outlive it", ended
    wrong = difference(folder / program.out, reference(program, shelf).products)
    return wrong and f"started again, {wrong}", ended
