"""Complete configurations as Python functions. A recipe is a value: print it, change a field, run it."""

from collections.abc import Callable
from types import MappingProxyType

from vantage.algorithms.habc import HABCRun
from vantage.recipes.debug import debug
from vantage.recipes.paper import paper
from vantage.recipes.quickstart import quickstart

RECIPES: MappingProxyType[str, Callable[[], HABCRun]] = MappingProxyType({"debug": debug, "quickstart": quickstart, "paper": paper})
"""Name -> the function that returns the recipe; its docstring is the help text."""
