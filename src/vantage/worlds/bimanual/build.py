"""The world and the operator of each task of two arms, by the task's name."""

from typing import Any

from vantage.errors import VantageError
from vantage.worlds.bimanual import (
    bag_bottle,
    bag_bottle_expert,
    pouch_zip,
    pouch_zip_expert,
    sack_draw,
    sack_draw_expert,
)
from vantage.worlds.bimanual.hands import BimanualExpert
from vantage.worlds.bimanual.world import BimanualWorld

_TASKS: dict[str, tuple[type[BimanualWorld], type[BimanualExpert[Any]]]] = {
    "bag-bottle": (bag_bottle.BagBottle, bag_bottle_expert.Expert),
    "pouch-zip": (pouch_zip.PouchZip, pouch_zip_expert.Expert),
    "sack-draw": (sack_draw.SackDraw, sack_draw_expert.Expert),
}


def build_world(task: str, image_size: int = 96) -> BimanualWorld:
    """The world of a task. Raises VantageError for a task that does not exist."""
    if task not in _TASKS:
        raise VantageError(f"there is no bimanual task {task!r}; there is {', '.join(_TASKS)}")
    return _TASKS[task][0](image_size=image_size)


def build_expert(task: str) -> BimanualExpert[Any]:
    """The operator of a task that exists."""
    return _TASKS[task][1]()
