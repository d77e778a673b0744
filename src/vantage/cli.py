"""Words typed in, stages run: the command line.

`COMMANDS` lists every command once; help, dispatch and hints come from it.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tyro
from rich.text import Text

from vantage.commands import begin, compare, recordings, stages
from vantage.commands.names import Named, nearest
from vantage.environment import prepare_process
from vantage.errors import VantageError
from vantage.progress import Terminal, console, printable


@dataclass(frozen=True, slots=True)
class Command:
    """A function that can be called from the command line; its docstring is its help."""

    group: str
    """Heading in the overview."""
    function: Callable[..., None]
    settings: Callable[[str], Named[Any]] | None = None
    """Finds the settings that the first word names; all of them become options of the command."""

    @property
    def name(self) -> str:
        """As typed."""
        return self.function.__name__.replace("_", "-")

    @property
    def line(self) -> str:
        """What it does, for the overview."""
        return (self.function.__doc__ or "").splitlines()[0]


def _recipe(name: str) -> Named[Any]:
    from vantage.commands.runs import named_recipe

    return named_recipe(name)


def _study(name: str) -> Named[Any]:
    from vantage.commands.studies import named_study

    return named_study(name)


def _any_settings(name: str) -> Named[Any]:
    from vantage.commands.listing import named_settings

    return named_settings(name)


START, COMPARE = "Start here", "Which method is better, and by how much"
OWN, STAGE = "Your own recordings", "One stage of a round (runs/NAME/round-NN)"

COMMANDS = (
    Command(START, begin.quickstart),
    Command(START, begin.run, settings=_recipe),
    Command(START, begin.recipes, settings=_any_settings),
    Command(START, begin.report),
    Command(START, begin.metaworld),
    Command(COMPARE, compare.study, settings=_study),
    Command(COMPARE, compare.study_report),
    Command(COMPARE, compare.study_merge),
    Command(COMPARE, compare.study_exhibits),
    Command(COMPARE, compare.study_cell),
    Command(OWN, recordings.audit),
    Command(OWN, recordings.label),
    Command(STAGE, stages.collect),
    Command(STAGE, stages.fit_critic),
    Command(STAGE, stages.weigh),
    Command(STAGE, stages.fit_policy),
    Command(STAGE, stages.evaluate),
)
"""Every command, in the order of the overview."""


def main() -> None:
    """Entry point of `vantage`.

    Exit codes: 0 done, 2 bad input (one sentence on stderr), 130 interrupted, 141 nobody reads on.
    """
    prepare_process()
    try:
        dispatch(sys.argv[1:])
        sys.stdout.flush()
    except VantageError as error:
        _complain(Text.assemble(("vantage:", "bold red"), " ", printable(str(error))))
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        _complain(Text("interrupted; run the same command again to go on"))
        raise SystemExit(130) from None
    except BrokenPipeError:  # `vantage recipes debug | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None


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
    if command.settings is not None and rest and not rest[0].startswith("-"):
        _run_with_settings(command, command.settings(rest[0]), rest)
    else:
        tyro.cli(command.function, prog=f"vantage {name}", args=list(rest), config=(tyro.conf.FlagCreatePairsOff,))


def _run_with_settings(command: Command, named: Named[Any], words: Sequence[str]) -> None:
    """Run a command whose options are its own and all of the settings that its first word names."""
    from vantage.commands.settings import change

    prog = f"vantage {command.name} {words[0]}"
    settings, options = change(named.value, words[1:], command.function, prog=prog, about=named.about)
    command.function(words[0], settings=settings, **options)


def overview() -> None:
    """Print what Vantage can do, on one screen."""
    text = Text.assemble(("vantage", "bold"), " fine-tunes robot policies (VLAs) from one bit per episode: did it work?\n")
    group = ""
    for command in COMMANDS:
        if command.group != group:
            group = command.group
            text.append(f"{group}\n", style="bold")
        text.append(f"  {command.name:<15}", style="cyan").append(f"{command.line}\n")
    text.append("vantage COMMAND --help tells the rest. docs/tour.md is where to read on.", style="dim")
    Terminal().print(text)


def _complain(text: Text) -> None:
    console.print(text)


if __name__ == "__main__":
    main()
