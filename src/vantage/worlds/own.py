"""A world of one's own as a value -> one sentence about what is wrong with it, before the first episode.

It is built once, reset, played for three steps and reset again, as an environment of gymnasium's is.
"""

import re
import reprlib
from functools import lru_cache
from typing import Any, cast

import numpy as np

from vantage.config import is_own
from vantage.errors import VantageError, own_code
from vantage.worlds.protocol import World, WorldInputs
from vantage.worlds.spec import WorldSpec

_SHORT = reprlib.Repr(maxstring=80, maxother=80)
_WORLD = frozenset[str](cast(Any, World).__protocol_attrs__)
"""What a world must have."""


def check_own_world(spec: WorldSpec) -> None:
    """Check a world of one's own, as a value and as what it builds; any other passes.

    Raises VantageError for what would otherwise show in an episode or after it: a part that is missing, a
    number of another kind, an array of another shape than `inputs` says, or a start that depends on what was
    played before.
    """
    if not is_own(type(spec)):
        return
    name = type(spec).__name__
    try:
        hash(spec)
    except TypeError as error:
        raise VantageError(
            f"{name} cannot stand among settings ({error}); make its fields tuples, or leave one out of the "
            "hash with field(hash=False)"
        ) from error
    _check_value(spec, name)
    _try(spec)


def _check_value(spec: Any, name: str) -> None:
    """What is known of it without building it."""
    with own_code(name):
        task, limit, fps, robot, inputs = spec.task, spec.limit, spec.fps, spec.robot, spec.inputs
    if not isinstance(task, str) or not re.fullmatch(r"[\w][\w.+-]*", task):
        raise VantageError(f"{name}.task is {_SHORT.repr(task)}; it must be a name that is fit for a file")
    if not isinstance(robot, str) or not robot:
        raise VantageError(f"{name}.robot is {_SHORT.repr(robot)}; it must be the robot's name")
    _check_whole(f"{name}.limit", limit, 0)
    _check_whole(f"{name}.fps", fps, 1)
    if not isinstance(inputs, WorldInputs):
        raise VantageError(f"{name}.inputs is {_SHORT.repr(inputs)}; make it a WorldInputs")
    for dimension in ("state_dim", "environment_dim", "action_dim"):
        _check_whole(f"{name}.inputs.{dimension}", getattr(inputs, dimension), 1)


def _check_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise VantageError(f"{name} is {_SHORT.repr(value)}; it must be a whole number, at least {least}")


@lru_cache(maxsize=64)
def _try(spec: Any) -> None:
    """Build it, play three steps, and begin again at the same seed."""
    name = type(spec).__name__
    with own_code(name):
        world = cast(object, spec())
        missing = [part for part in sorted(_WORLD) if not hasattr(world, part)]
    if missing:
        raise VantageError(
            f"{name}, when it was called, returned {_SHORT.repr(world)}, which has no "
            f"{' and no '.join(missing)}; return a World (vantage.worlds.protocol)"
        )
    world = cast(World, world)

    with own_code(f"a first try of the world of {name}"):
        try:
            _check_said(world, spec, name)
            start = _started(world, spec, name)
            rng = np.random.default_rng(0)
            for _ in range(min(3, spec.limit)):
                action = rng.uniform(world.action_low, world.action_high).astype(np.float32)
                success = cast(object, world.step(action))
                if not isinstance(success, bool | np.bool_):
                    raise VantageError(
                        f"step of the world of {name} returned {_SHORT.repr(success)}; return True where the "
                        "task has succeeded, else False"
                    )
                if success:
                    break  # as an episode ends
            if not np.array_equal(start, _started(world, spec, name)):
                raise VantageError(
                    f"{spec.task} begins in another state when it is reset to the same seed again; its reset "
                    "must draw everything from the seed, and undo everything else"
                )
        finally:
            world.close()


def _check_said(world: World, spec: Any, name: str) -> None:
    """What a world says of itself, beside what its value says."""
    if not isinstance(cast(object, world.prompt), str) or not world.prompt:
        raise VantageError(
            f"the prompt of the world of {name} is {_SHORT.repr(world.prompt)}; "
            "say what a person would tell the robot"
        )
    if world.fps != spec.fps:
        raise VantageError(f"{name}.fps is {spec.fps}, and its world has {world.fps}; make them one")
    if set(world.cameras) != set(spec.inputs.cameras):
        raise VantageError(
            f"{name}.inputs names the cameras {_SHORT.repr(tuple(spec.inputs.cameras))}, and its world has "
            f"{_SHORT.repr(tuple(world.cameras))}; make them one"
        )

    low, high = (np.asarray(limit) for limit in (world.action_low, world.action_high))
    for part, limit in (("action_low", low), ("action_high", high)):
        _check_array(limit, (spec.inputs.action_dim,), f"{part} of the world of {name}", "action_dim", name)
    if not (low < high).all():
        raise VantageError(
            f"the world of {name} has an action_low that is not below action_high; give every dimension room"
        )


def _started(world: World, spec: Any, name: str) -> np.ndarray:
    """The true state at the start of seed 0, where everything that is shown is as `inputs` says."""
    world.reset(0)
    for part, shown, dimension in (
        ("proprioception", world.proprioception(), "state_dim"),
        ("environment_state", world.environment_state(), "environment_dim"),
    ):
        size = (getattr(spec.inputs, dimension),)
        _check_array(shown, size, f"{part} of the world of {name}", dimension, name)
        if shown.dtype != np.float32:
            raise VantageError(
                f"{part} of the world of {name} is of type {shown.dtype}; return an array of float32"
            )

    pictures = world.images() if spec.inputs.cameras else {}
    for camera, (height, width) in spec.inputs.cameras.items():
        picture = cast(object, pictures.get(camera))
        if (
            not isinstance(picture, np.ndarray)
            or picture.dtype != np.uint8
            or picture.shape != (height, width, 3)
        ):
            raise VantageError(
                f"camera {camera!r} of the world of {name} gave no picture of uint8 [{height}, {width}, 3], "
                "the size that its inputs name"
            )
    return world.environment_state().copy()


def _check_array(value: object, shape: tuple[int, ...], what: str, dimension: str, name: str) -> None:
    if not isinstance(value, np.ndarray) or value.shape != shape or not np.isfinite(value).all():
        raise VantageError(
            f"{what} is {_SHORT.repr(value)}; return an array of {shape[0]} finite numbers, as many as "
            f"{name}.inputs.{dimension} says"
        )
