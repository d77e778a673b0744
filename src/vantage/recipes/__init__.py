"""Complete configurations as Python functions. A recipe is a value: print it, change a field, run it."""

from collections.abc import Callable
from types import MappingProxyType

from vantage.algorithms.run import Run
from vantage.recipes.bimanual import (
    bimanual_bag,
    bimanual_bag_pixels,
    bimanual_pouch,
    bimanual_pouch_pixels,
    bimanual_sack,
    bimanual_sack_pixels,
)
from vantage.recipes.debug import debug, debug_ppo
from vantage.recipes.metaworld_ppo import (
    metaworld_mt10_ppo,
    metaworld_mt10_ppo_flow,
    metaworld_mt10_ppo_state,
    metaworld_mt10_ppo_state_long,
    metaworld_mt50_ppo_state,
)
from vantage.recipes.paper import paper
from vantage.recipes.quickstart import quickstart
from vantage.recipes.study import study_alone, study_debug, study_pixels, study_screen, study_state
from vantage.recipes.study_bimanual import study_bimanual, study_bimanual_pixels
from vantage.recipes.study_exploration import study_exploration
from vantage.recipes.study_lerobot import study_act, study_smolvla
from vantage.recipes.study_ppo import study_mt10_ppo
from vantage.recipes.vantage import vantage
from vantage.study.plan import Study

Recipe = Run

RECIPES: MappingProxyType[str, Callable[[], Recipe]] = MappingProxyType(
    {
        "debug": debug,
        "quickstart": quickstart,
        "paper": paper,
        "vantage": vantage,
        "debug-ppo": debug_ppo,
        "bimanual-bag": bimanual_bag,
        "bimanual-pouch": bimanual_pouch,
        "bimanual-sack": bimanual_sack,
        "bimanual-bag-pixels": bimanual_bag_pixels,
        "bimanual-pouch-pixels": bimanual_pouch_pixels,
        "bimanual-sack-pixels": bimanual_sack_pixels,
        "metaworld-mt10-ppo-state": metaworld_mt10_ppo_state,
        "metaworld-mt10-ppo-state-long": metaworld_mt10_ppo_state_long,
        "metaworld-mt10-ppo-flow": metaworld_mt10_ppo_flow,
        "metaworld-mt50-ppo-state": metaworld_mt50_ppo_state,
        "metaworld-mt10-ppo": metaworld_mt10_ppo,
    }
)
"""Name -> the function that returns the recipe; its docstring is the help text."""

STUDIES: MappingProxyType[str, Callable[[], Study]] = MappingProxyType(
    {
        "debug": study_debug,
        "state": study_state,
        "alone": study_alone,
        "screen": study_screen,
        "exploration": study_exploration,
        "pixels": study_pixels,
        "act": study_act,
        "smolvla": study_smolvla,
        "mt10-ppo": study_mt10_ppo,
        "bimanual": study_bimanual,
        "bimanual-pixels": study_bimanual_pixels,
    }
)
"""Name -> the function that returns the study; its docstring is the help text."""
