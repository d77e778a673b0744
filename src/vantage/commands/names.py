"""A name typed in -> what goes by it: built in, of one's own from a Python file, or from a JSON file.

    debug                    one of those built in
    my_recipe.py:make        a function without arguments, or a value, in a file of one's own
    package.module:make      the same in a module that is installed
    runs/a/recipe.json       the settings that another run was made by
    my_operators.py:Careful  a class of one's own, where settings stand

A Python file named on the command line is trusted and executed. A JSON file is read, and nothing it says is
ever imported: classes of one's own that it holds are named on the command line again.
"""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from vantage.config import classes_of, name_of, own_names, packages_in
from vantage.errors import VantageError, own_code
from vantage.own_classes import check_own_class


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
    name: str,
    known: Mapping[str, Callable[[], T]],
    kinds: tuple[type[T], ...],
    what: str,
    own: Mapping[str, type[Any]] | None = None,
) -> Named[T]:
    """What `name` stands for, one of `kinds`; `what` it is called in errors.

    `own`: classes of one's own that a JSON file may hold. Raises VantageError where there is no such thing.
    """
    if ":" in name:
        return _from_python(name, kinds, what)
    if name.endswith(".py"):
        raise VantageError(f"which {what} of {name}? Name the function that returns it: {name}:FUNCTION")
    if name.endswith(".json"):
        return _from_json(Path(name), kinds, what, own or {})
    make = look_up(known, name, what)
    return Named(name=name, value=make(), about=make.__doc__ or "")


def names_own_code(word: str) -> bool:
    """Whether a word can only be meant as something in a Python file or module of one's own."""
    return ":" in word or word.endswith(".py")


def find_class(name: str, protocol: type[Any]) -> type[Any]:
    """The class of one's own of that name (my_operators.py:Careful), which has all that `protocol` names.

    Raises VantageError where there is none, or where it cannot stand among settings.
    """
    if ":" not in name:
        raise VantageError(f"which class of {name}? Name it: {name}:CLASS")
    entry, _ = _entry(name, "a class")
    return check_own_class(entry, name, protocol)


def own_classes(names: Sequence[str]) -> dict[str, type[Any]]:
    """Name in a file -> class, of every class of one's own that `names` bring.

    A name is that of a class, or of a function that makes settings: it brings the classes of these. That of
    a module alone brings none: it is imported, as environments of gymnasium are registered. Raises
    VantageError where there is no such thing.
    """
    classes: dict[str, type[Any]] = {}
    for name in names:
        if not names_own_code(name):
            if _is_module(name):
                _import_module(name)
                continue
            raise VantageError(f"{name!r} is no class or function of your own; name it as FILE.py:NAME")
        if ":" not in name:
            raise VantageError(f"what of {name}? Name the function or class: {name}:NAME")
        entry, module = _entry(name, "a function or a class")
        if isinstance(entry, type):
            kind = check_own_class(entry, name)
            classes |= {name_of(kind): kind} | _classes_in_defaults(kind)
        else:
            classes |= classes_of(_made_by(entry, module))
    return classes


def classes_typed(path: Path, words: Sequence[str]) -> dict[str, type[Any]]:
    """Name -> class, of the classes of one's own that a JSON file of settings holds and `words` name.

    The file only says which of the words are meant; packages of environments that it holds are imported where
    a word names them. Raises VantageError for a class that no word names.
    """
    from vantage.disk.files import read_json

    data = read_json(path)
    for package in packages_in(data).intersection(words):
        _import_module(package)
    wanted = own_names(data)
    classes = own_classes([word for word in words if _as_recorded(word) in wanted])
    if missing := sorted(wanted - classes.keys()):
        raise VantageError(
            f"{path} holds the class {missing[0]!r}, and a file of settings brings no code; name it behind "
            "its setting, as in --rollouts.operator FILE.py:CLASS or --worlds FILE.py:CLASS, or run the "
            "function that made the settings (FILE.py:FUNCTION) instead"
        )
    return classes


def _as_recorded(name: str) -> str:
    """How a file of settings calls the class of that name."""
    source, _, attribute = name.rpartition(":")
    return f"{Path(source).stem if source.endswith('.py') else source}:{attribute}"


def shown(kind: type[Any]) -> str:
    """What a class of one's own is called on the command line: my_operators.py:Careful."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None or "." in kind.__module__:
        return f"{kind.__module__}:{kind.__qualname__}"
    return f"{Path(file).name}:{kind.__qualname__}"


def _classes_in_defaults(kind: type[Any]) -> dict[str, type[Any]]:
    """The classes of what stands in a class's fields where nothing else is said."""
    classes: dict[str, type[Any]] = {}
    for setting in fields(kind):
        if setting.default is not MISSING:
            classes |= classes_of(setting.default)
        elif setting.default_factory is not MISSING:
            classes |= classes_of(setting.default_factory())
    return classes


def _entry(name: str, what: str) -> tuple[Any, ModuleType]:
    """What a Python file or module has by that name, and the module."""
    source, _, attribute = name.rpartition(":")
    module = _import_file(Path(source)) if source.endswith(".py") else _import_module(source)
    if not hasattr(module, attribute):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        hint = nearest(attribute, known) or f"name {what} that is in it"
        raise VantageError(f"{source} has no {attribute!r}; {hint}")
    return getattr(module, attribute), module


def _made_by(entry: Any, module: ModuleType) -> Any:
    """What a function makes; anything else is the settings themselves."""
    if not callable(entry) or is_dataclass(entry):
        return entry
    with own_code(str(module.__file__)):
        return cast(Callable[[], Any], entry)()


def _from_python[T](name: str, kinds: tuple[type[T], ...], what: str) -> Named[T]:
    entry, module = _entry(name, "a function")
    value = _made_by(entry, module)
    if not isinstance(value, kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise VantageError(
            f"{name} is no {what}: it gives a value of type {type(value).__name__}, and {expected} is needed"
        )

    source, _, attribute = name.rpartition(":")
    about = entry.__doc__ if value is not entry else ""
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
    with own_code(str(path)):
        return importlib.import_module(name)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _import_module(name: str) -> ModuleType:
    if not _is_module(name):
        raise VantageError(
            f"there is no module {name!r}; name a file (my_recipe.py:make) or a module that is installed"
        )
    with own_code(name):
        return importlib.import_module(name)


def _from_json[T](
    path: Path, kinds: tuple[type[T], ...], what: str, own: Mapping[str, type[Any]]
) -> Named[T]:
    from vantage.config import from_json
    from vantage.disk.files import read_json

    data = read_json(path)
    name, settings = path.stem, data
    if isinstance(data, dict) and "settings" in data:
        name, settings = str(data.get("recipe", name)), data["settings"]
    is_a = cast(dict[str, Any], settings).get("is") if isinstance(settings, dict) else None
    for kind in kinds:
        if kind.__name__ == is_a:
            value = from_json(kind, settings, path.name, own)
            return Named(name=name, value=value, about=f"As {path} says.")
    raise VantageError(
        f"{path} holds no {what} ({' or '.join(kind.__name__ for kind in kinds)}); name the JSON form of one"
    )
