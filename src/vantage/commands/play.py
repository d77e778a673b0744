"""The command that lets a person into the loop of a simulated run.

Each function is a command (see begin.py).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from vantage.commands.options import Changed, RecipeName, Workers, print_line
from vantage.progress import say

if TYPE_CHECKING:
    from vantage.commands.names import Named
    from vantage.recipes import Recipe

Speed = Annotated[float, tyro.conf.arg(metavar="{1,0.5,0.25,0.125}")]


def play(
    recipe: RecipeName,
    /,
    out: Path,
    workers: Workers = 0,
    speed: Speed = 1.0,
    port: int = 0,
    no_browser: bool = False,
    settings: Changed = None,
) -> None:
    """Rescue a policy yourself, in the browser, as a run goes on.

    The recipe runs as `vantage run` would run it, but that every rollout waits for you: the page shows the
    cameras at the world's speed, one key takes over, keys or a gamepad drive the hand, one key hands back,
    one says that the attempt has failed.
    With `--demonstrations.operator DemonstrateByHand` you demonstrate, too.
    Closing the page pauses the world; Ctrl-C ends the run, and the same command goes on after the last whole
    episode. Every setting of the recipe is an option (`vantage play RECIPE --help`).

    Args:
        recipe: Name of a recipe, my_recipe.py:make, or a recipe.json.
        out: Folder of the run.
        workers: Processes that play the episodes in which nobody is asked for.
        speed: Share of the world's own speed, to begin with.
        port: Of the page, on this machine's own address; 0: any that is free.
        no_browser: Print the address and open nothing.
    """
    import sys
    import webbrowser

    from vantage.app.loopback import serving
    from vantage.app.play import application_of
    from vantage.collect.desk import SPEEDS, Desk, seated
    from vantage.commands.runs import start
    from vantage.errors import VantageError

    if speed not in SPEEDS:
        raise VantageError(f"--speed is {speed:g}; say one of {', '.join(f'{one:g}' for one in SPEEDS)}")
    settings = played_recipe(recipe).value if settings is None else settings

    desk = Desk(speed)
    with serving(application_of(desk, out.resolve().name), port) as address, seated(desk):
        print_line(address)
        sys.stdout.flush()
        say("the page shows every episode that waits for you; Ctrl-C ends the run")
        if not no_browser:
            webbrowser.open(address)
        start(recipe, out, workers=workers, settings=settings)
        desk.end({"state": "ended", "sentence": f"The run is done: {out / 'report.html'}"})


def played_recipe(name: str, own: Mapping[str, type[Any]] | None = None) -> "Named[Recipe]":
    """The recipe of that name, with a person as the operator of its rollouts.

    `own`: classes of one's own that a JSON file may hold. Raises VantageError where there is none, and for
    one that has no rollouts.
    """
    from vantage.algorithms.habc import HABCRun
    from vantage.collect.operators import ByHand, RescueByHand
    from vantage.commands.runs import named_recipe
    from vantage.errors import VantageError

    named = named_recipe(name, own)
    recipe = named.value
    if not isinstance(recipe, HABCRun):
        raise VantageError(f"{name} has no rollouts in which a person could rescue; name a recipe of HABC")
    if isinstance(recipe.rollouts.operator, ByHand):
        return named
    rollouts = replace(recipe.rollouts, operator=RescueByHand())
    return replace(named, value=replace(recipe, rollouts=rollouts))
