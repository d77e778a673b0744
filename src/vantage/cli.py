"""Words typed in, stages run: the command line.

`COMMANDS` lists every command once; help, dispatch and hints come from it. Where a launcher (torchrun,
accelerate) started several processes, those commands that train run in all of them (vantage.ranks).
"""

import atexit
import errno
import gc
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.text import Text
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from vantage import ranks
from vantage.commands import (
    begin,
    compare,
    finetune,
    outcomes,
    play,
    real_trials,
    recordings,
    stages,
    watching,
)
from vantage.commands.names import Named, nearest
from vantage.environment import prepare_process
from vantage.errors import LostProcess, VantageError, missing_extra
from vantage.progress import Terminal, console, printable

type OwnClasses = Mapping[str, type[Any]]
"""Classes of one's own, by their names in a file of settings."""


@dataclass(frozen=True, slots=True)
class Command:
    """A function that can be called from the command line; its docstring is its help."""

    group: str
    """Heading in the overview."""
    function: Callable[..., None]
    settings: Callable[[str, OwnClasses], Named[Any]] | None = None
    """Finds the settings that the first word names, given the classes of one's own that a JSON file may hold;
    all of them become options of the command."""
    unnamed: Callable[[Sequence[str], Callable[..., None]], Any] | None = None
    """Finds the settings that become options where no word names them, given the words and the command."""
    spelled: Callable[[Sequence[str]], list[str]] | None = None
    """Spells out options that may stand without a value."""
    together: bool = False
    """Several processes can share its work."""
    by_name: bool = False
    """The overview gives its name alone, in one line with the others of its group."""

    @property
    def name(self) -> str:
        """As typed."""
        return self.function.__name__.replace("_", "-")

    @property
    def line(self) -> str:
        """What it does, for the overview."""
        return (self.function.__doc__ or "").splitlines()[0]


def _recipe(name: str, own: OwnClasses) -> Named[Any]:
    from vantage.commands.runs import named_recipe

    return named_recipe(name, own)


def _played(name: str, own: OwnClasses) -> Named[Any]:
    from vantage.commands.play import played_recipe

    return played_recipe(name, own)


def _study(name: str, own: OwnClasses) -> Named[Any]:
    from vantage.commands.studies import named_study

    return named_study(name, own)


def _any_settings(name: str, own: OwnClasses) -> Named[Any]:
    from vantage.commands.listing import named_settings

    return named_settings(name, own)


START, COMPARE = "Start here", "Which method is better, and by how much"
OWN, STAGE = "Your own recordings", "One stage of a round (runs/NAME/round-NN)"

COMMANDS = (
    Command(START, begin.quickstart, together=True),
    Command(START, begin.run, settings=_recipe, together=True),
    Command(START, play.play, settings=_played),
    Command(START, begin.recipes, settings=_any_settings),
    Command(START, begin.report),
    Command(START, begin.explain),
    Command(START, begin.verify),
    Command(OWN, finetune.finetune, unnamed=finetune.defaults, together=True),
    Command(OWN, finetune.weights, unnamed=finetune.defaults),
    Command(OWN, outcomes.outcomes),
    Command(OWN, recordings.audit, spelled=recordings.spelled),
    Command(OWN, recordings.label, spelled=recordings.spelled, by_name=True),
    Command(OWN, watching.watch, spelled=recordings.spelled),
    Command(OWN, watching.export, by_name=True),
    Command(OWN, real_trials.compare),
    Command(COMPARE, compare.study, settings=_study),
    Command(COMPARE, compare.study_report),
    Command(COMPARE, compare.study_merge, by_name=True),
    Command(COMPARE, compare.study_exhibits, by_name=True),
    Command(COMPARE, compare.study_cell, by_name=True),
    Command(COMPARE, begin.metaworld, by_name=True),
    Command(STAGE, stages.collect, by_name=True),
    Command(STAGE, stages.fit_critic, together=True, by_name=True),
    Command(STAGE, stages.fit_chunk_critic, by_name=True),
    Command(STAGE, stages.weigh, by_name=True),
    Command(STAGE, stages.fit_policy, together=True, by_name=True),
    Command(STAGE, stages.evaluate, by_name=True),
)
"""Every command, in the order of the overview."""


def main() -> None:
    """Entry point of `vantage`.

    Exit codes: 0 done, 1 another process of the run is gone, 2 bad input (one sentence on stderr),
    130 interrupted, 141 nobody reads on.
    """
    prepare_process()
    # At the end Python would look through all that torch has made, for two seconds.
    atexit.register(gc.freeze)
    try:
        dispatch(sys.argv[1:])
        sys.stdout.flush()
    except VantageError as error:
        _complain_of(str(error))
        raise SystemExit(1 if isinstance(error, LostProcess) else 2) from None
    except ModuleNotFoundError as error:
        sentence = missing_extra(error)
        if not sentence:
            raise
        _complain_of(sentence)
        raise SystemExit(2) from None
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        words = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        _complain_of(
            f"there is not enough memory ({words[-1][:200]}); make the network, the batch or the number of "
            "workers smaller"
        )
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        _complain(Text("interrupted; run the same command again to go on"))
        raise SystemExit(130) from None
    except BrokenPipeError:  # `vantage recipes debug | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except (OSError, UnicodeEncodeError) as error:
        sentence = _surroundings(error)
        if not sentence:
            raise
        _complain(Text.assemble(("vantage:", "bold red"), " ", printable(sentence)))
        raise SystemExit(2) from None


def _out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether an allocation failed, on the CPU or on an accelerator: torch says it in words."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or "can't allocate memory" in words or "out of memory" in words


def _surroundings(error: OSError | UnicodeEncodeError) -> str:
    """What the operating system refused, where that is nobody's mistake in here; empty for anything else."""
    if isinstance(error, UnicodeEncodeError):
        odd = "surrogates" in error.reason  # how Python holds the bytes of a name that it cannot read
        return f"{error.object[:200]}: this name is not UTF-8; rename the file or folder" if odd else ""

    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            remedy = "free some space and run the same command again"
        case errno.ENAMETOOLONG | errno.ELOOP:
            remedy = "name another path"
        case errno.EACCES | errno.EPERM | errno.EROFS | errno.EIO:
            remedy = "see to it, or name another path"
        case _:
            return ""
    where = "standard output" if error.filename is None else str(error.filename)[:200]
    return f"{where}: {(error.strerror or 'it cannot be used').lower()}; {remedy}"


def dispatch(words: Sequence[str]) -> None:
    """Run the command that `words` begin with. Raises VantageError for a word that is none."""
    if not words or words[0] in ("-h", "--help", "help"):
        overview()
        return
    if words[0] in ("--version", "version"):
        from vantage.version import __version__

        print(__version__)
        return

    commands = {command.name: command for command in COMMANDS}
    name = words[0].replace("_", "-")
    if name not in commands:
        hint = nearest(words[0], commands) or "`vantage --help` lists them"
        raise VantageError(f"there is no command {words[0]!r}; {hint}")

    command, rest = commands[name], words[1:]
    rest = rest if command.spelled is None else command.spelled(rest)
    with _processes(command), _paths:
        if command.unnamed is not None:
            _run_unnamed(command, command.unnamed, rest)
        elif command.settings is not None and rest and not rest[0].startswith("-"):
            _run_with_settings(command, command.settings(rest[0], _own_classes(rest)), rest)
        else:
            tyro.cli(
                command.function,
                prog=f"vantage {name}",
                args=list(rest),
                config=(tyro.conf.FlagCreatePairsOff,),
            )


_paths = ConstructorRegistry()
"""How options that are paths are read."""


@_paths.primitive_rule
def _path(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Path] | None:
    """Refuse an empty path, which would be the folder that one stands in."""
    if info.type is not Path:
        return None

    def read(words: list[str]) -> Path:
        if not words[0]:
            raise ValueError("a path is empty; name a file or folder (this folder is `.`)")
        return Path(words[0])

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    )


@contextmanager
def _processes(command: Command) -> Generator[None]:
    """Meet the other processes of the run, if a launcher started any; only the first one is then heard."""
    if ranks.launched() == 1:
        yield
        return
    if not command.together:
        raise VantageError(
            f"`vantage {command.name}` works in one process; start it without a launcher of several"
        )

    with ranks.joined(), Path(os.devnull).open("w") as nowhere:
        if not ranks.is_first():
            console.quiet, sys.stdout = True, nowhere
        try:
            yield
        finally:
            console.quiet, sys.stdout = False, sys.__stdout__


def _own_classes(words: Sequence[str]) -> OwnClasses:
    """The classes of one's own that a JSON file of settings, the first of the words, holds; the others name
    them."""
    from vantage.commands.names import classes_typed
    from vantage.commands.settings import typed_options

    if not words[0].endswith(".json"):
        return {}
    values = [value for values in typed_options(words[1:]).values() for value in values]
    return classes_typed(Path(words[0]), values)


def _run_with_settings(command: Command, named: Named[Any], words: Sequence[str]) -> None:
    """Run a command whose options are its own and all of the settings that its first word names."""
    from vantage.commands.settings import change

    prog = f"vantage {command.name} {words[0]}"
    settings, options = change(named.value, words[1:], command.function, prog=prog, about=named.about)
    command.function(words[0], settings=settings, **options)


def _run_unnamed(
    command: Command,
    defaults: Callable[[Sequence[str], Callable[..., None]], Any],
    words: Sequence[str],
) -> None:
    """Run a command whose options are its own and all of its settings, spelled as here or as in LeRobot."""
    from vantage.commands.lerobot_words import translate
    from vantage.commands.options import about
    from vantage.commands.settings import change

    prog, text = f"vantage {command.name}", about(command.function)
    words = translate(words)
    settings, options = change(
        defaults(words, command.function), words, command.function, prog=prog, about=text
    )
    command.function(settings=settings, **options)


def overview() -> None:
    """Print what Vantage can do, on one screen."""
    text = Text.assemble(
        ("vantage", "bold"), " makes robot policies better from their own attempts and your rescues.\n"
    )
    for group in dict.fromkeys(command.group for command in COMMANDS):
        text.append(f"{group}\n", style="bold")
        commands = [command for command in COMMANDS if command.group == group]
        for command in commands:
            if not command.by_name:
                text.append(f"  {command.name:<15}", style="cyan").append(f"{command.line}\n")
        names = " ".join(command.name for command in commands if command.by_name)
        if names:
            text.append(f"  {names}\n", style="cyan")
    text.append("vantage COMMAND --help tells the rest. docs/tour.md is where to read on.", style="dim")
    Terminal().print(text)


def _complain_of(sentence: str) -> None:
    """Say what is wrong, and in which process where there are several."""
    name = "vantage"
    if ranks.launched() > 1:
        name = f"vantage, process {ranks.launched_as()} of {ranks.launched()}"
    _complain(Text.assemble((f"{name}:", "bold red"), " ", printable(sentence)))


def _complain(text: Text) -> None:
    console.print(text)


if __name__ == "__main__":
    main()
