"""A name typed in -> what goes by it: built in, of one's own from a Python file, or from a JSON file.

    debug                    one of those built in
    my_recipe.py:make        a function without arguments, or a value, in a file of one's own
    package.module:make      the same in a module that is installed
    runs/a/recipe.json       the settings that another run was made by

A Python file named on the command line is trusted and executed. A JSON file is read, and nothing it says is
ever imported.
"""

import difflib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from vantage.errors import VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Named[T]:
    """What a name stands for."""

    name: str
    """As recorded: without the folder of a file."""
    value: T
    about: str
    """What it says about itself; empty where it says nothing."""

    @property
    def slug(self) -> str:
        """The name, fit for a folder."""
        return self.name.replace(".py:", "-").replace(":", "-").replace("/", "-")


def look_up[T](known: Mapping[str, T], name: str, what: str) -> T:
    """The entry of that name. Raises VantageError with the nearest name for a typo."""
    if name not in known:
        raise VantageError(
            f"there is no {what} {name!r}; {nearest(name, known) or 'there are ' + ', '.join(known)}"
        )
    return known[name]


def nearest(name: str, known: Collection[str]) -> str:
    """``did you mean 'run'?`` for a name that is almost one of `known`, else an empty text."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def find[T](
    name: str, known: Mapping[str, Callable[[], T]], kinds: tuple[type[T], ...], what: str
) -> Named[T]:
    """What `name` stands for, one of `kinds`; `what` it is called in errors.

    Raises VantageError where there is no such thing.
    """
    if ":" in name:
        return _from_python(name, kinds, what)
    if name.endswith(".py"):
        raise VantageError(f"which {what} of {name}? Name the function that returns it: {name}:FUNCTION")
    if name.endswith(".json"):
        return _from_json(Path(name), kinds, what)
    make = look_up(known, name, what)
    return Named(name=name, value=make(), about=make.__doc__ or "")


def _from_python[T](name: str, kinds: tuple[type[T], ...], what: str) -> Named[T]:
    source, _, attribute = name.rpartition(":")
    module = _import_file(Path(source)) if source.endswith(".py") else _import_module(source)
    if not hasattr(module, attribute):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        hint = nearest(attribute, known) or "name a function that is in it"
        raise VantageError(f"{source} has no {attribute!r}; {hint}")

    # A function that makes the settings, or the settings themselves.
    entry: Any = getattr(module, attribute)
    is_function = callable(entry) and not is_dataclass(entry)
    value: Any = entry
    if is_function:
        value = _run_own_code(str(module.__file__), cast(Callable[[], Any], entry))
    if not isinstance(value, kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise VantageError(
            f"{name} is no {what}: it gives a value of type {type(value).__name__}, and {expected} is needed"
        )

    about = entry.__doc__ if is_function else ""
    return Named(name=f"{Path(source).name}:{attribute}", value=value, about=about or "")


def _import_file(path: Path) -> ModuleType:
    """Import a file as the module of its name, by which worker processes can import its classes too."""
    if not path.is_file():
        raise VantageError(f"{path} does not exist")
    path = path.resolve()
    name = path.stem
    if not name.isidentifier():
        raise VantageError(f"{path} cannot be imported; give the file a name of letters, digits and _")

    other = sys.modules.get(name) or importlib.util.find_spec(name)
    origin = getattr(other, "__file__", None) or getattr(other, "origin", None)
    if other is not None and origin != str(path):
        raise VantageError(
            f"{path} has the name of a module that Python has already ({name}); give the file another name"
        )
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    return _run_own_code(str(path), lambda: importlib.import_module(name))


def _import_module(name: str) -> ModuleType:
    try:
        missing = importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        missing = True
    if missing:
        raise VantageError(
            f"there is no module {name!r}; name a file (my_recipe.py:make) or a module that is installed"
        )
    return _run_own_code(name, lambda: importlib.import_module(name))


def _run_own_code[R](source: str, call: Callable[[], R]) -> R:
    """Call into code of the user's; what it raises becomes a sentence with the line in question."""
    try:
        return call()
    except VantageError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == source] or frames[-1:]
        where = f"{own[-1].filename}, line {own[-1].lineno}"
        raise VantageError(f"{where} raised {type(error).__name__}: {error}") from error


def _from_json[T](path: Path, kinds: tuple[type[T], ...], what: str) -> Named[T]:
    from vantage.config import from_json
    from vantage.disk.files import read_json

    data = read_json(path)
    name, settings = path.stem, data
    if isinstance(data, dict) and "settings" in data:
        name, settings = str(data.get("recipe", name)), data["settings"]
    is_a = cast(dict[str, Any], settings).get("is") if isinstance(settings, dict) else None
    for kind in kinds:
        if kind.__name__ == is_a:
            return Named(name=name, value=from_json(kind, settings, path.name), about=f"As {path} says.")
    raise VantageError(
        f"{path} holds no {what} ({' or '.join(kind.__name__ for kind in kinds)}); name the JSON form of one"
    )
