"""A recipe's name and a folder in, a finished run out."""

import importlib.util
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.text import Text

from vantage import ranks
from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.habc import HABCRun
from vantage.algorithms.made import check_run
from vantage.algorithms.run import run_algorithm
from vantage.collect.cluster import Ray, check_cluster
from vantage.collect.observe import interface_in
from vantage.commands.names import Named, find
from vantage.config import classes_of, first_difference, own_names, to_json
from vantage.disk.files import check_writable, json_bytes, read_json, write_json
from vantage.disk.layout import round_folders
from vantage.disk.lock import LOCK, alone
from vantage.disk.made import read_record
from vantage.policies.lerobot.spec import LeRobotScratch
from vantage.progress import console, printable, say
from vantage.recipes import RECIPES, Recipe
from vantage.report.page import write_report
from vantage.tracking import TrackerName, tracked
from vantage.types import VantageError

RECIPE = "recipe.json"
"""In a run folder: what made it."""


def start(
    name: str,
    out: Path,
    *,
    workers: int | str,
    settings: Recipe | None = None,
    verify: bool = False,
    tracker: TrackerName = "none",
) -> None:
    """Run a recipe into `out`, or go on with it, and draw the report.

    `settings`: the recipe with what was changed in it. `verify`: before going on, hold every byte of what is
    there against its checksum. `tracker`: where curves are shown while they grow.
    """
    recipe = named_recipe(name, classes_of(settings))
    settings, players = settings or recipe.value, processes(workers)
    settings.check_compatible()
    if isinstance(players, Ray):
        check_cluster(players)  # before anything is written
    if told := looks_instead(recipe, settings):
        say(told)
    with claimed(out, recipe.name, settings):
        if verify:
            check_run(out, thorough=True)
        with tracked(tracker, out, to_json(settings)):
            run_algorithm(out, settings, workers=players)
        draw_report(out)


def looks_instead(recipe: Named[Recipe], settings: Recipe) -> str:
    """A sentence where LeRobot's policy is to look at pictures in place of one that saw the true state; empty
    elsewhere."""
    chosen, own = settings.policy, recipe.value.policy
    if not isinstance(chosen, LeRobotScratch) or chosen.true_state or isinstance(own, LeRobotScratch):
        return ""
    if interface_in(own, settings.worlds[0]).cameras:
        return ""
    return (
        f"{chosen.type} looks at pictures, where the policy of {recipe.name} sees the true state; "
        "for the true state: --policy.true-state true"
    )


@ranks.first_alone
def draw_report(out: Path) -> None:
    """The page of a run, and where it is."""
    page = write_report(out)
    console.print(Text.assemble(("done", "bold green"), "  ", printable(str(page))))


def named_recipe(name: str, own: Mapping[str, type[Any]] | None = None) -> Named[Recipe]:
    """The recipe of that name, of that file's function, or in that JSON file.

    `own`: classes of one's own that a JSON file may hold. Raises VantageError where there is none.
    """
    return find(name, RECIPES, (HABCRun, ChunkedPPORun), "recipe", own)


REMEDY = "wait for it, or name another folder with --out"


@contextmanager
def claimed(out: Path, name: str, settings: object) -> Generator[None]:
    """Hold a run folder for one writer, with the settings in its recipe.json; of several processes of one
    run, the first holds it.

    Raises VantageError for a folder that something else has made, or that another process is writing to.
    """
    if not ranks.is_first():
        claim(out, name, settings)
        yield
        return

    check_ours(out, name, settings)
    with alone(out, REMEDY):
        claim(out, name, settings)
        try:
            yield
        except VantageError:
            if {path.name for path in out.iterdir()} <= {RECIPE, LOCK}:
                (out / RECIPE).unlink(missing_ok=True)  # refused before anything was made
            raise


@ranks.first_alone
def claim(out: Path, name: str, settings: object) -> None:
    """Write recipe.json into a run folder that is new, or in which nothing has been made yet."""
    if check_ours(out, name, settings):
        write_json(out / RECIPE, {"recipe": name, "settings": to_json(settings)})


def check_ours(out: Path, name: str, settings: object) -> bool:
    """Whether a folder has still to be given its recipe.json.

    A folder in which nothing has been made yet may still change its mind; and where the rounds were made by
    just these settings, a recipe.json that was lost or damaged is written again. Raises VantageError for a
    folder that something else, or other settings, have made.
    """
    check_writable(out, folder=True)
    path = out / RECIPE
    wanted = {"recipe": name, "settings": to_json(settings)}
    inside = {path.name for path in out.iterdir()} - {LOCK} if out.exists() else set[str]()
    recorded, damaged = None, False
    if path.name in inside:
        try:
            recorded = read_json(path)
        except VantageError:
            damaged = True

    if recorded == wanted:
        return False
    if inside <= {path.name} or _recipe_of_rounds(out) == sha256(json_bytes(wanted)).hexdigest():
        return True
    if damaged:
        raise VantageError(
            f"{path} is damaged (no valid JSON), and no round is finished that says what it was; restore it, "
            "name another folder with --out, or delete this one"
        )
    if recorded is None:
        raise VantageError(f"{out} is not empty and no run of Vantage; name another folder with --out")

    was = recorded.get("recipe") if isinstance(recorded, dict) else None
    difference = first_difference(recorded, wanted)
    what = f"recipe {was!r}" if was != name else f"other settings of recipe {name!r} ({difference})"
    remedy = "name another folder with --out, or delete this one"
    if lacking := sorted(own_names(recorded) - own_names(wanted)):
        remedy = f"to go on, name {lacking[0]} behind its setting again (FILE.py:CLASS); else {remedy}"
    raise VantageError(f"{out} was made by {what}; {remedy}")


def _recipe_of_rounds(out: Path) -> str | None:
    """The checksum of the recipe.json that made the finished rounds of a run; None where they do not agree on
    one, or one of their records is damaged."""
    try:
        records = [read_record(folder) for folder in round_folders(out)]
    except VantageError:
        return None
    sums = {record.get("recipe_sha256") for record in records if record}
    return sums.pop() if len(sums) == 1 else None


def processes(workers: int | str) -> int | Ray:
    """What plays episodes: so many processes, or the Ray cluster of `ray` and `ray:ADDRESS`.

    Raises VantageError for anything else.
    """
    if isinstance(workers, int):
        return worker_count(workers)
    name, _, address = workers.partition(":")
    if name != "ray":
        raise VantageError(f"--workers is {workers!r}; say a number, ray, or ray:ADDRESS")
    if "ray" not in sys.modules and importlib.util.find_spec("ray") is None:
        raise ModuleNotFoundError(name="ray")
    return Ray(address or "auto")


def worker_count(workers: int) -> int:
    """How many processes: what was asked for, or one per core for 0.

    Raises VantageError for a number that no machine has room for.
    """
    most = 64 * cores()
    if not 0 <= workers <= most:
        raise VantageError(
            f"--workers is {workers}; say 0 (one per core, {cores()} here) or a number up to {most}"
        )
    return workers or cores()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
