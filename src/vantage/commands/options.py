"""What several commands have in common: how options are typed, and how a result is printed as JSON."""

import dataclasses
import inspect
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import tyro

from vantage.progress import printable
from vantage.tracking import TrackerName

RecipeName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")]
StudyName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY")]
TaskName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
ArmName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ARM")]
Seed = Annotated[int, tyro.conf.Positional, tyro.conf.arg(metavar="SEED")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
"""These are given by their place, not by a name."""

Workers = Annotated[
    int | str,
    tyro.conf.arg(
        metavar="N",
        help="Processes that play episodes; 0: one per core; ray or ray:ADDRESS: a Ray cluster's.",
    ),
]
Tracker = Annotated[
    TrackerName, tyro.conf.arg(help="Show curves there too, while they grow (extra `track`).")
]
AsJson = Annotated[bool, tyro.conf.arg(name="json", help="Print the numbers as JSON.")]
Changed = Annotated[Any, tyro.conf.Suppress]
"""Settings as the command line has changed them; None: as they are called by name."""


def usually(default: str, kind: str = "PATH") -> Any:
    """Help for an option whose None means `default`."""
    return tyro.conf.arg(metavar=kind, help_behavior_hint=f"(default: {default})")


OwnRecipe = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, usually("none", "FILE.py:NAME")]


def about(command: Callable[..., Any]) -> str:
    """The help of a command without its options: its docstring up to "Args:"."""
    return inspect.cleandoc(command.__doc__ or "").partition("Args:")[0].rstrip()


def print_json(record: object) -> None:
    """Print a record of dataclasses, mappings, sequences and numpy values as JSON.

    What is not a number is null.
    """
    print_line(json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False))


def print_line(text: object) -> None:
    """Print a text or a path on standard output, without characters that a terminal would obey."""
    print(printable(str(text)))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in cast(Mapping[Any, Any], value).items()}
    if type(value).__module__ == "numpy":  # not imported here, because help must stay quick
        return _plain(cast(Any, value).tolist())
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in cast(list[Any], value)]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
