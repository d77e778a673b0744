"""What every family of the campaign is made of: a case, the place where it is tried, and what came out."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Shop:
    """Where cases are tried."""

    shelf: Path
    """Inputs and undisturbed runs, made once and only read."""
    bench: Path
    """Folders of single cases."""

    def room(self, name: str) -> Path:
        """An empty folder. Its name is always the same length below `bench`, so that nothing depends on
        it."""
        folder = self.bench / name / "here"
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


@dataclass(frozen=True)
class Verdict:
    """What came of one case."""

    held: bool
    said: str
    """What is wrong, or how it was held."""


@dataclass(frozen=True)
class Case:
    """Something that is done to Vantage once."""

    family: str
    kind: str
    """Row of the table."""
    name: str
    """No two cases have the same."""
    attempt: Callable[[Shop, Path], Verdict]
    """Tries it in an empty folder."""
    lerobot: bool = False
    """Whether it imports LeRobot's policies, which takes long."""
    swift: bool = False
    """Whether it belongs to the slice of `make test`."""


def held(said: str = "") -> Verdict:
    """It was."""
    return Verdict(True, said)


def lost(said: str) -> Verdict:
    """It was not."""
    return Verdict(False, said)
