"""Commands of a study: methods x tasks x seeds become rows, rows become tables and figures.

Each function is a command (see begin.py).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from vantage.commands.options import (
    ArmName,
    AsJson,
    Changed,
    Folder,
    OwnRecipe,
    Seed,
    StudyName,
    TaskName,
    print_json,
    print_line,
    usually,
)

Rows = Annotated[Path | None, usually("docs/results/study-NAME")]


def study(
    study: StudyName,
    /,
    seeds: int = 3,
    first_seed: int = 0,
    out: Annotated[Path | None, usually("runs/study-NAME")] = None,
    results: Rows = None,
    workers: Annotated[
        int | str,
        tyro.conf.arg(
            metavar="N",
            help="Cells that run at once, a core each; 0: one per core; ray or ray:ADDRESS: on a cluster.",
        ),
    ] = 0,
    arms: Annotated[tuple[str, ...], usually("all", "ARM [ARM ...]")] = (),
    tasks: Annotated[tuple[str, ...], usually("all", "TASK [TASK ...]")] = (),
    json: AsJson = False,
    settings: Changed = None,
) -> None:
    """Compare methods on identical data and budget, cell by cell.

    Runs the cells that are not stored yet: every arm on every task with every seed. Started again, it goes
    on. `vantage recipes` lists the studies, and `vantage study NAME --help` every setting of one; those of
    one arm are typed with its name (--arms.habc.rounds 2). A study of one's own is a function in a Python
    file (my_study.py:make).

    Args:
        study: Name of a study, my_study.py:make, or a study.json.
        seeds: How many seeds.
        first_seed: The first of them.
        out: Folder to work in.
        results: Folder of the rows.
        workers: Cells that run at once.
        arms: Only these arms (and what they stand on).
        tasks: Only these tasks.
    """
    from vantage.commands.studies import start_study
    from vantage.config import classes_of

    plan, work, rows = _plan_and_folders(study, out, results, settings)
    start_study(plan, work, rows, seeds=seeds, first_seed=first_seed, workers=workers, arms=arms, tasks=tasks)
    if json:
        _print_study(rows, classes_of(plan))


def study_report(
    results: Folder,
    /,
    out: Annotated[Path | None, usually("runs/STUDY-report")] = None,
    json: AsJson = False,
    recipe: OwnRecipe = (),
) -> None:
    """Draw a study again from its stored rows.

    Writes results.md, one figure per file, and a page.

    Args:
        results: Folder of the rows (docs/results/study-NAME).
        out: Folder to draw into.
        recipe: The function that made the study, or a class of your own (a world, an operator) that it was
            made with; may be given several times.
    """
    from vantage.commands.names import own_classes
    from vantage.disk.files import check_writable
    from vantage.progress import say
    from vantage.study.page import write_study
    from vantage.study.rows import check_study

    out = out or Path("runs") / f"{results.resolve().name}-report"
    check_writable(out, folder=True)
    check_study(results)
    say(f"drawing into {out}; a study of a thousand cells takes a minute")
    own = own_classes(recipe)
    page = write_study(results, out, own)
    if json:
        _print_study(results, own)
    else:
        print_line(page)


def study_merge(
    study: StudyName,
    others: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")],
    /,
    results: Rows = None,
    recipe: OwnRecipe = (),
) -> None:
    """Take over finished cells from other machines.

    What several machines have run becomes one study.

    Args:
        study: Name of a study.
        others: Folders of rows.
        results: Folder of the rows that grows.
        recipe: A class of your own that the study (a study.json) was made with; may be given several times.
    """
    from vantage.config import classes_of
    from vantage.study.rows import Results

    plan, _, rows = _plan_and_folders(study, None, results, None, recipe)
    finished = [Results.read(other, classes_of(plan)) for other in others]
    with Results.alone(rows, plan) as growing:
        for other, theirs in zip(others, finished, strict=True):
            cells = growing.merge(theirs)
            print_line(f"{cells} cells from {other}")


def study_exhibits(
    study: StudyName,
    task: TaskName,
    seed: Seed,
    /,
    out: Annotated[Path | None, usually("runs/study-NAME")] = None,
    results: Rows = None,
    recipe: OwnRecipe = (),
) -> None:
    """Keep a few episodes of a cell for the figures that show one.

    Writes RESULTS/exhibits.parquet from a finished HABC cell.

    Args:
        study: Name of a study.
        task: Name of a task of it.
        seed: The seed.
        out: Folder that the study worked in.
        results: Folder of the rows.
        recipe: A class of your own that the study (a study.json) was made with; may be given several times.
    """
    from vantage.study.exhibits import make_exhibits

    plan, work, rows = _plan_and_folders(study, out, results, None, recipe)
    print_line(make_exhibits(plan, work, rows, task, seed))


def study_cell(
    study: StudyName,
    task: TaskName,
    arm: ArmName,
    seed: Seed,
    /,
    out: Path = Path("runs/study-cell"),
    results: Rows = None,
    recipe: OwnRecipe = (),
) -> None:
    """Run one cell again and hold it against the stored one.

    It begins from nothing but the plan and the seed. Exits with 0 if it lands in the stored interval, else
    with 1.

    Args:
        study: Name of a study.
        task: Name of a task of it.
        arm: Name of an arm of it.
        seed: The seed.
        out: Folder to work in; what the cell made there before is deleted.
        results: Folder of the rows.
        recipe: A class of your own that the study (a study.json) was made with; may be given several times.
    """
    from vantage.commands.studies import check_cell
    from vantage.study.cells import Cell

    plan, _, rows = _plan_and_folders(study, out, results, None, recipe)
    inside = check_cell(plan, Cell(task=task, arm=arm, seed=seed), out, rows)
    raise SystemExit(0 if inside else 1)


def _plan_and_folders(
    name: str, out: Path | None, results: Path | None, settings: Any, recipe: Sequence[str] = ()
) -> tuple[Any, Path, Path]:
    """The study, the folder to work in and the folder of its rows."""
    from vantage.commands.names import own_classes
    from vantage.commands.studies import named_study
    from vantage.config import classes_of

    named = named_study(name, own_classes(recipe) | classes_of(settings))
    work = out or Path(f"runs/study-{named.slug}")
    rows = results or Path(f"docs/results/study-{named.slug}")
    return settings or named.value, work, rows


def _print_study(folder: Path, own: dict[str, type[Any]]) -> None:
    from vantage.commands.numbers import study_numbers

    print_json(study_numbers(folder, own))
