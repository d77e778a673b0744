"""Any environment of gymnasium as a value: which, how it is seen, and when it is solved.

Gymnasium("FetchPush-v4", package="gymnasium_robotics", limit=50, fps=25) ──()──> World
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any

from vantage.bounds import Count, Whole, check
from vantage.config import ModuleName
from vantage.errors import VantageError
from vantage.worlds.gymnasium.success import InfoKey, Success
from vantage.worlds.protocol import World, WorldInputs

Package = Annotated[str, ModuleName(("gym_aloha", "gym_pusht", "gymnasium_robotics"))]
"""A module that registers environments when it is imported. A file may name these; a Python file any."""


@dataclass(frozen=True, slots=True)
class Gymnasium:
    """One registered environment; calling the value builds the world.

    The observation's numbers are the true state. Entries of the observation are named by their keys
    (``observation``, ``pixels/top``), that of an observation without keys is ``observation``, and a range may
    follow (``observation[0:3]``). In a MuJoCo environment ``qpos`` and ``qvel`` name the simulator's own.
    """

    id: str
    """As `gymnasium.make` takes it, e.g. ``gym_aloha/AlohaInsertion-v0``."""
    limit: Whole = field(kw_only=True)
    """Control steps before an unsolved episode ends as a failure; the environment's own limit is off."""
    fps: Count = field(kw_only=True)
    """Control steps per second."""
    package: Package = field(default="", kw_only=True)
    """Module that registers the environment; empty for gymnasium's own."""
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any], kw_only=True, hash=False)
    """Further arguments of `gymnasium.make`, as JSON can write them."""
    name: str = field(default="", kw_only=True)
    """Machine name of the task; empty: the id without its namespace."""
    prompt: str = field(default="", kw_only=True)
    """What a person would tell the robot; empty: the task's name."""
    robot: str = field(default="simulated", kw_only=True)
    """Name of the robot; the same in all worlds of a run."""
    state: tuple[str, ...] = field(default=(), kw_only=True)
    """Entries that are proprioception; empty: all numbers of the observation."""
    truth: tuple[str, ...] = field(default=(), kw_only=True)
    """Entries that are the true state; empty: all numbers of the observation."""
    cameras: tuple[str, ...] = field(default=(), kw_only=True)
    """What is shown: cameras of a MuJoCo model, drawn at `image_size`; pictures in the observation; or
    ``render``, the environment's own. A camera of MuJoCo's comes before a picture of the same name."""
    image_size: tuple[Count, Count] = field(default=(96, 96), kw_only=True)
    """Height and width of what is drawn from a MuJoCo model; other pictures are as they come."""
    success: Success = field(default=InfoKey(), kw_only=True)
    """When the task is solved."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for settings that cannot be."""
        check(self)
        if ":" in self.id:
            module, _, name = self.id.partition(":")
            raise VantageError(f"Gymnasium.id is {self.id!r}; write Gymnasium({name!r}, package={module!r})")
        try:
            json.dumps(dict(self.kwargs))
        except (TypeError, ValueError) as error:
            raise VantageError(
                f"Gymnasium.kwargs of {self.id} cannot be written to recipe.json ({error}); register the "
                "environment with these arguments under an id of its own"
            ) from error

    @property
    def task(self) -> str:
        """Machine name."""
        return self.name or self.id.rpartition("/")[2]

    @property
    def inputs(self) -> WorldInputs:
        """What its world offers to a policy; the first time, the environment is built and tried.

        Raises VantageError for an environment that is missing or cannot be a world.
        """
        return _inputs(self)

    def __call__(self) -> World:
        """Build it. Raises VantageError for an environment that is missing or cannot be a world."""
        from vantage.worlds.gymnasium.world import GymnasiumWorld  # simulators are slow to import

        return GymnasiumWorld(self)


@lru_cache(maxsize=64)
def _inputs(spec: Gymnasium) -> WorldInputs:
    from vantage.worlds.gymnasium.world import try_world

    return try_world(spec)
