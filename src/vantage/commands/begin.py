"""Commands to start with: a recipe becomes a run, a run becomes a page, a checkpoint becomes a score.

Every command is a function; its docstring is its help, and the first line of it stands in the overview. What
is slow to import is imported where it is needed, so that help stays quick.
"""

from pathlib import Path
from typing import Annotated

from vantage.commands.options import AsJson, Changed, Folder, RecipeName, Workers, print_json, usually


def quickstart(out: Path = Path("runs/quickstart"), seed: int = 0, workers: Workers = 0) -> None:
    """From nothing to a better policy and a report, in ten minutes.

    The recipe `quickstart`: demonstrations, a supervised policy, two rounds of HABC with rescues. `vantage
    run quickstart` is the same with every setting to change.

    Args:
        out: Folder of the run; an interrupted one goes on.
        seed: Seed of demonstrations, rollouts and training.
        workers: Processes that play episodes.
    """
    from dataclasses import replace

    from vantage.commands.runs import named_recipe, start

    start("quickstart", out, workers=workers, settings=replace(named_recipe("quickstart").value, seed=seed))


def run(recipe: RecipeName, /, out: Path, workers: Workers = 0, settings: Changed = None) -> None:
    """Run a recipe with any setting changed, or go on with a run.

    `vantage recipes` lists the recipes, and `vantage run RECIPE --help` every setting of one. A recipe of
    one's own is a function in a Python file (my_recipe.py:make); the JSON form of one is a file, too
    (runs/NAME/recipe.json). Started again, it goes on where it was.

    Args:
        recipe: Name of a recipe, my_recipe.py:make, or a recipe.json.
        out: Folder of the run.
        workers: Processes that play episodes.
    """
    from vantage.commands.runs import start

    start(recipe, out, workers=workers, settings=settings)


def recipes(recipe: RecipeName = "", /, json: AsJson = False, settings: Changed = None) -> None:
    """List recipes and studies, or print one as JSON.

    What is printed can be kept in a file, changed there, and run: `vantage recipes debug > mine.json`,
    `vantage run mine.json --out r`.

    Args:
        recipe: Name of a recipe or of a study; without it all are listed.
    """
    from vantage.commands.listing import list_recipes, show_recipe

    if recipe:
        show_recipe(recipe, settings)
    else:
        list_recipes(as_json=json)


def report(
    run: Folder,
    /,
    out: Annotated[Path | None, usually("RUN/report.html")] = None,
    episodes: int = 6,
    json: AsJson = False,
) -> None:
    """Draw the page of a run: one self-contained HTML file.

    Args:
        run: Folder of the run.
        out: The page.
        episodes: Episodes shown with video and values.
    """
    from vantage.commands.numbers import run_numbers
    from vantage.disk.files import check_writable
    from vantage.report.page import write_report

    check_writable(out or run / "report.html")
    page = write_report(run, out, episodes=episodes)
    if json:
        print_json({"page": page, **run_numbers(run)})
    else:
        print(page)


def metaworld(
    checkpoint: Folder,
    /,
    out: Path,
    suite: str = "MT10",
    per_task: int = 50,
    starts: str = "evaluation",
    workers: Workers = 0,
    json: AsJson = False,
) -> None:
    """Score a checkpoint on MT10 or MT50, by one pinned protocol.

    The protocol is docs/metaworld_protocol.md; everybody's rules are counted over the same trials.

    Args:
        checkpoint: Folder of a policy (ROUND/5-actor, or a LeRobot checkpoint).
        out: The trials, a parquet file; if it is there already it is only counted again.
        suite: MT10 or MT50.
        per_task: Trials per task.
        starts: Set of starts; `evaluation` is for reporting, `development` for choices.
        workers: Processes that play episodes.
    """
    from vantage.collect.pool import open_pool
    from vantage.commands import metaworld_score as protocol
    from vantage.commands.numbers import protocol_numbers
    from vantage.commands.runs import worker_count
    from vantage.disk.files import check_writable
    from vantage.policies.small.network import read_config
    from vantage.progress import print_table
    from vantage.stages.evaluate import Evaluation

    check_writable(out)
    read_config(checkpoint)  # a checkpoint that is none is said before the first trial
    settings = Evaluation(per_world=per_task, suite=starts)
    worlds = protocol.worlds_of(suite)
    with open_pool(worker_count(workers)) as pool:
        trials = protocol.play_suite(checkpoint, suite, out, settings, pool=pool)

    digest = protocol.starts_hash(worlds, settings)
    if json:
        print_json(
            {
                "suite": suite,
                "starts": starts,
                "per_task": per_task,
                "starts_sha256": digest,
                **protocol_numbers(trials),
            }
        )
    else:
        print_table(protocol.score_table(trials))
        print(f"starts: {suite}, {starts}, {per_task} a task, sha256 {digest}")
