"""Recipes and studies -> a list with a line about each, or one of them as JSON."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.algorithms.habc import HABCRun
from vantage.commands.names import Named, find
from vantage.commands.options import print_json
from vantage.config import to_json
from vantage.progress import print_table
from vantage.recipes import RECIPES, STUDIES, Recipe
from vantage.study.plan import Study


def list_recipes(*, as_json: bool) -> None:
    """Print every recipe and study with the first paragraph of its docstring."""
    recipes = {name: _line(make.__doc__) for name, make in RECIPES.items()}
    studies = {name: _line(make.__doc__) for name, make in STUDIES.items()}
    if as_json:
        print_json({"recipes": recipes, "studies": studies})
        return

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row(Text("vantage run RECIPE --out FOLDER", style="bold"))
    for name, line in recipes.items():
        table.add_row(Text(f"  {name}", style="cyan"), line)
    table.add_row(Text("vantage study NAME", style="bold"))
    for name, line in studies.items():
        table.add_row(Text(f"  {name}", style="cyan"), line)
    print_table(table)


def show_recipe(name: str, settings: Any = None) -> None:
    """Print a recipe or a study as JSON. `settings`: it with what was changed."""
    print_json(to_json(settings if settings is not None else named_settings(name).value))


def named_settings(name: str, own: Mapping[str, type[Any]] | None = None) -> Named[Recipe | Study]:
    """The recipe or the study of that name, of that file's function, or in that JSON file.

    `own`: classes of one's own that a JSON file may hold. A name that both have is the recipe's.
    """
    return find(name, {**STUDIES, **RECIPES}, (HABCRun, ChunkedPPORun, Study), "recipe", own)


def _line(document: str | None) -> str:
    """The first paragraph of a docstring, as one line."""
    return " ".join((document or "").strip().split("\n\n")[0].split())
