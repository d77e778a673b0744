"""A recipe's name and a folder in, a finished run out."""

import os
from pathlib import Path

from rich.text import Text

from vantage.algorithms.chunked_ppo import ChunkedPPORun, run_chunked_ppo
from vantage.algorithms.habc import HABCRun, run_habc
from vantage.commands.names import Named, find
from vantage.config import first_difference, to_json
from vantage.disk.files import check_writable, read_json, write_json
from vantage.progress import console, printable
from vantage.recipes import RECIPES, Recipe
from vantage.report.page import write_report
from vantage.types import VantageError


def start(name: str, out: Path, *, workers: int, settings: Recipe | None = None) -> None:
    """Run a recipe into `out`, or go on with it, and draw the report.

    `settings`: the recipe with what was changed in it.
    """
    recipe = named_recipe(name)
    settings, processes = settings or recipe.value, worker_count(workers)
    settings.check_compatible()
    claim(out, recipe.name, settings)
    match settings:
        case HABCRun():
            run_habc(out, settings, workers=processes)
        case ChunkedPPORun():
            run_chunked_ppo(out, settings, workers=processes)
    page = write_report(out)
    console.print(Text.assemble(("done", "bold green"), "  ", printable(str(page))))


def named_recipe(name: str) -> Named[Recipe]:
    """The recipe of that name, of that file's function, or in that JSON file.

    Raises VantageError where there is none.
    """
    return find(name, RECIPES, (HABCRun, ChunkedPPORun), "recipe")


def claim(out: Path, name: str, settings: Recipe) -> None:
    """Write recipe.json into a new run folder, or check that the folder was made by just this recipe.

    A folder in which nothing has been made yet may still change its mind. Raises VantageError for any other
    folder.
    """
    check_writable(out, folder=True)
    path = out / "recipe.json"
    wanted = {"recipe": name, "settings": to_json(settings)}
    inside = {path.name for path in out.iterdir()} if out.exists() else set[str]()
    if path.name not in inside and inside:
        raise VantageError(f"{out} is not empty and no run of Vantage; name another folder with --out")

    recorded = read_json(path) if path.name in inside else wanted
    if recorded != wanted and inside != {path.name}:
        was = recorded.get("recipe") if isinstance(recorded, dict) else None
        difference = first_difference(recorded, wanted)
        what = f"recipe {was!r}" if was != name else f"other settings of recipe {name!r} ({difference})"
        raise VantageError(f"{out} was made by {what}; name another folder with --out, or delete this one")
    if recorded != wanted or not inside:
        write_json(path, wanted)


def worker_count(workers: int) -> int:
    """How many processes: what was asked for, or one per core for 0.

    Raises VantageError for a number that no machine has room for.
    """
    most = 64 * cores()
    if not 0 <= workers <= most:
        raise VantageError(f"--workers is {workers}; say 0 (one per core, {cores()} here) or a number up to {most}")
    return workers or cores()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
