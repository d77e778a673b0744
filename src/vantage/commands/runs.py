"""A recipe's name and a folder in, a finished run out; or one stage of one round of it."""

import dataclasses
import os
from pathlib import Path

from rich.text import Text

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.habc import (
    HABCRun,
    collect_round,
    evaluate_round,
    improver,
)
from vantage.algorithms.interleaved import Interleaved
from vantage.algorithms.run import run_algorithm
from vantage.algorithms.supervised import fit_supervised, weigh_demonstrations
from vantage.collect.pool import open_pool
from vantage.commands.names import Named, find
from vantage.config import classes_of, first_difference, from_json, to_json
from vantage.disk.files import check_writable, read_json, write_json
from vantage.disk.layout import Round
from vantage.progress import console, printable
from vantage.recipes import RECIPES, Recipe
from vantage.report.page import write_report
from vantage.types import VantageError


def start(name: str, out: Path, *, workers: int, settings: Recipe | None = None) -> None:
    """Run a recipe into `out`, or go on with it, and draw the report. `settings`: the recipe with what was changed in it."""
    recipe = named_recipe(name)
    settings = settings or recipe.value
    settings.check_compatible()
    claim(out, recipe.name, settings)
    run_algorithm(out, settings, workers=workers or cores())
    page = write_report(out)
    console.print(Text.assemble(("done", "bold green"), "  ", printable(str(page))))


def named_recipe(name: str) -> Named[Recipe]:
    """The recipe of that name, of that file's function, or in that JSON file. Raises VantageError where there is none."""
    return find(name, RECIPES, (HABCRun, ChunkedPPORun), "recipe")


def claim(out: Path, name: str, settings: Recipe) -> None:
    """Write recipe.json into a new run folder, or check that the folder was made by just this recipe.

    A folder in which nothing has been made yet may still change its mind. Raises VantageError for any other folder.
    """
    check_writable(out, folder=True)
    path = out / "recipe.json"
    wanted = {"recipe": name, "settings": to_json(settings)}
    inside = {each.name for each in out.iterdir()} if out.exists() else set[str]()
    if path.name not in inside and inside:
        raise VantageError(f"{out} is not empty and no run of Vantage; name another folder with --out")

    found = read_json(path) if path.name in inside else wanted
    if found != wanted and inside != {path.name}:
        was = found.get("recipe") if isinstance(found, dict) else None
        difference = first_difference(found, wanted)
        what = f"recipe {was!r}" if was != name else f"other settings of recipe {name!r} ({difference})"
        raise VantageError(f"{out} was made by {what}; name another folder with --out, or delete this one")
    if found != wanted or not inside:
        write_json(path, wanted)


def settings_of(run: Path, recipe: str = "") -> HABCRun:
    """What made a run of HABC, whose rounds have stages.

    `recipe`: the Python function it came from, for a run with classes of one's own (a world, an operator, a rule): they are taken from
    there, the settings from recipe.json. Raises VantageError for any other folder.
    """
    path = run / "recipe.json"
    if not path.exists():
        raise VantageError(f"{run} is no run of Vantage (recipe.json is missing); start one with `vantage run RECIPE --out {run}`")
    record = read_json(path)
    settings = record.get("settings") if isinstance(record, dict) else None
    if not isinstance(settings, dict):
        raise VantageError(f"{path} holds no settings; restore it")
    if settings.get("is") == "ChunkedPPORun":
        raise VantageError(f"{run} was made by chunked PPO, which has no stages to run alone; go on with `vantage run RECIPE --out {run}`")
    own = classes_of(named_recipe(recipe).value) if recipe else {}
    return from_json(HABCRun, settings, "recipe.json", own)


def one_stage(stage: str, folder: Path, *, workers: int, videos: int = 0, recipe: str = "") -> None:
    """One stage of one round. Its output must not be there yet: delete it to make it again."""
    here = Round.at(folder.resolve())
    settings = settings_of(here.run, recipe)
    product = {
        "collect": here.episodes,
        "fit-critic": here.critic,
        "weigh": here.weights,
        "fit-policy": here.actor,
        "evaluate": here.evaluation,
    }[stage]
    if isinstance(settings.improvement.schedule, Interleaved) and stage in ("fit-critic", "fit-policy"):
        raise VantageError(
            f"{here.run} trains critic and actor together (the interleaved schedule), so {stage} cannot run alone; go on with "
            f"`vantage run RECIPE --out {here.run}`"
        )
    if product.exists():
        raise VantageError(f"{product} is there already; delete it (and what was made from it) to make it again")
    if videos:
        settings = dataclasses.replace(settings, evaluation=dataclasses.replace(settings.evaluation, videos=videos))
    match stage:
        case "fit-critic":
            improver(here, settings).fit_critic()
        case "weigh" if here.number == 0:
            weigh_demonstrations(here, settings.interface)
        case "weigh":
            improver(here, settings).weigh()
        case "fit-policy" if here.number == 0:
            fit_supervised(here, settings.policy, settings.interface, settings.supervision.supervised, seed=settings.seed)
        case "fit-policy":
            improver(here, settings).fit_policy()
        case _:
            with open_pool(workers or cores()) as pool:
                collect_round(here, settings, pool) if stage == "collect" else evaluate_round(here, settings, pool)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
