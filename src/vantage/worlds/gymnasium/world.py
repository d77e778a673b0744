"""One environment of gymnasium's as a `World`: seeded starts, latched success, pictures only when asked for.

reset(seed) ── env.reset(seed=seed)
step(action) ── env.step, then the rule of success
images() ── a MuJoCo camera by the fast renderer, a picture of the observation, or env.render()
"""

import importlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from jaxtyping import Float32, UInt8

from vantage.errors import VantageError
from vantage.worlds.protocol import WorldInputs

if TYPE_CHECKING:
    from vantage.worlds.gymnasium.lerobot import LeRobotEnv
    from vantage.worlds.gymnasium.spec import Gymnasium
    from vantage.worlds.render import FastRenderer

_ENTRY = re.compile(r"^(?P<path>[^\[\]]+?)(?:\[(?P<low>\d*):(?P<high>\d*)\])?$")
_MUJOCO_STATE = ("qpos", "qvel")
WHOLE = "observation"
"""What an observation without keys is called."""

Entry = tuple[str, slice]
"""A number or a row of numbers of the observation, and the range of it."""


class GymnasiumWorld:
    """One task; implements `World`. The limit of an episode belongs to whoever runs it.

    An environment that ends an episode unsolved stands still from then on.
    """

    def __init__(self, spec: "Gymnasium", env: "gymnasium.Env[Any, Any] | None" = None) -> None:
        """Build the environment of `spec`, or take `env`, which somebody else has built, as it describes it.

        Raises VantageError where it is missing or cannot be a world.
        """
        self.task, self.prompt, self.fps = spec.task, spec.prompt or spec.task, spec.fps
        self._env = env = make(spec) if env is None else env
        self._size, self._rule = spec.image_size, spec.success
        self._form = (spec.id, spec.package, json.dumps(dict(spec.kwargs), sort_keys=True))
        self._renderer: FastRenderer | None = None
        if mujoco_of(env):
            # MuJoCo is an extra.
            from vantage.worlds.mujoco_warnings import warn_on_the_terminal

            warn_on_the_terminal()

        space = env.action_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise VantageError(f"{spec.id} takes {space}; a world takes one Box of numbers")
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise VantageError(
                f"the actions of {spec.id} have no limits; register it with gymnasium's RescaleAction around "
                "limits of your choice"
            )
        self.action_low, self.action_high = space.low.astype(np.float32), space.high.astype(np.float32)
        self._action_type = space.dtype

        self._pictures = list(pictures_in(env.observation_space))
        numbers = numbers_in(env.observation_space)
        self._state = self._entries(spec.state or tuple(numbers), numbers)
        self._truth = self._entries(spec.truth or tuple(numbers), numbers)
        self.cameras = spec.cameras
        self._sources = {camera: self._source(camera) for camera in spec.cameras}

        self._seen: Any = None
        self._success = self._ended = False

    def reset(self, seed: int) -> None:
        """Start the episode of this seed."""
        self._seen, _ = self._env.reset(seed=seed)
        self._success = self._ended = False

    def step(self, action: Float32[np.ndarray, "A"]) -> bool:
        """One control step; whether the task has succeeded, now or before. Raises VantageError where the
        environment does not say."""
        if self._ended:
            return self._success

        command = np.minimum(np.maximum(action, self.action_low), self.action_high)
        seen, reward, terminated, truncated, info = self._env.step(command.astype(self._action_type))
        self._seen = seen
        self._success = self._success or bool(self._rule(info, float(reward), bool(terminated)))
        self._ended = bool(terminated or truncated)
        return self._success

    def proprioception(self) -> Float32[np.ndarray, "S"]:
        """The entries that the robot's own sensors give."""
        return self._read(self._state)

    def environment_state(self) -> Float32[np.ndarray, "E"]:
        """The entries that are the true state."""
        return self._read(self._truth)

    def images(self) -> dict[str, UInt8[np.ndarray, "_h _w 3"]]:
        """One picture per camera, rendered now."""
        return {camera: self._show(camera, source) for camera, source in self._sources.items()}

    def close(self) -> None:
        """Free the environment and the graphics context, unless a copy of this world still draws with it."""
        self._renderer = None
        self._env.close()

    # ---- numbers

    def _entries(self, names: tuple[str, ...], known: list[str]) -> list[Entry]:
        """Parse entries. Raises VantageError for one that the observation lacks."""
        inside = [*known, *(_MUJOCO_STATE if mujoco_of(self._env) else ())]
        entries: list[Entry] = []
        for name in names:
            match = _ENTRY.match(name)
            path = match["path"] if match else name
            if not match or path not in inside:
                there = ", ".join(inside) or "no numbers"
                raise VantageError(f"{self.task} observes no {name!r}; it has {there}")
            low, high = match["low"], match["high"]
            entries.append((path, slice(int(low) if low else None, int(high) if high else None)))
        return entries

    def _read(self, entries: list[Entry]) -> Float32[np.ndarray, "_"]:
        if not entries:
            return np.zeros(1, np.float32)  # pictures alone: one number that says nothing
        if len(entries) == 1:
            return np.array(self._leaf(*entries[0]), np.float32)
        return np.concatenate(
            [self._leaf(*entry) for entry in entries], dtype=np.float32, casting="same_kind"
        )

    def _leaf(self, path: str, part: slice) -> np.ndarray:
        value = self._seen
        if isinstance(value, Mapping):
            value = _at(value, path)
        elif path != WHOLE:
            value = None
        if value is None:
            mujoco = mujoco_of(self._env)
            assert mujoco is not None, "checked when the world was built"
            value = getattr(mujoco[1], path)
        return np.ravel(value)[part]

    # ---- pictures

    def _source(self, camera: str) -> str:
        """Where a camera's pictures come from: ``mujoco``, ``render``, or a key of the observation."""
        mujoco = mujoco_of(self._env)
        names = [] if mujoco is None else [mujoco[0].camera(k).name for k in range(mujoco[0].ncam)]
        if camera in names:
            return "mujoco"
        for name in self._pictures:
            if camera in (name, name.rpartition("/")[2]):
                return name
        if camera == "render":
            modes = self._env.metadata.get("render_modes", [])
            if "rgb_array" in modes:
                return "render"
            raise VantageError(f"{self.task} cannot render to a picture: its render modes are {modes}")
        there = ", ".join([*names, *self._pictures, "render"])
        raise VantageError(f"{self.task} shows no camera {camera!r}; it has {there}")

    def _show(self, camera: str, source: str) -> UInt8[np.ndarray, "_h _w 3"]:
        if source == "mujoco":
            return self._draw(camera)
        picture: Any = self._env.render() if source == "render" else self._seen
        if source != "render" and isinstance(picture, Mapping):
            picture = _at(picture, source)
        if not isinstance(picture, np.ndarray) or picture.ndim != 3 or picture.dtype != np.uint8:
            raise VantageError(f"camera {camera!r} of {self.task} gave no picture of uint8 [h, w, 3]")
        return np.ascontiguousarray(picture)

    def _draw(self, camera: str) -> UInt8[np.ndarray, "_h _w 3"]:
        from vantage.worlds.render import shared_renderer

        mujoco = mujoco_of(self._env)
        assert mujoco is not None, "checked when the world was built"
        if self._renderer is None:
            self._renderer = shared_renderer(self._form, mujoco[0], self._size)
        return self._renderer(*mujoco, camera)


def make(spec: "Gymnasium") -> "gymnasium.Env[Any, Any]":
    """The environment of a spec, without a time limit.

    Raises VantageError where there is none of that name, or where it refuses its arguments.
    """
    options: dict[str, Any] = {"max_episode_steps": -1, "disable_env_checker": True} | dict(spec.kwargs)
    if "render" in spec.cameras:
        options = {"render_mode": "rgb_array"} | options

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages about themselves
        if spec.package:
            try:
                importlib.import_module(spec.package)
            except ModuleNotFoundError as error:
                where = "vantage[simulators]" if spec.package.startswith("gym") else spec.package
                raise VantageError(
                    f"{spec.id} needs the module {error.name}, which is not installed; pip install '{where}'"
                ) from error
        try:
            env = gymnasium.make(spec.id, **options)
        except TypeError as error:
            if "render" in spec.cameras and "render_mode" in str(error):
                raise VantageError(
                    f"{spec.task} cannot render to a picture: it takes no render mode"
                ) from error
            raise VantageError(f"gymnasium cannot make {spec.id}: {error}") from error
        except (gymnasium.error.Error, ValueError, NotImplementedError, ImportError) as error:
            hint = "" if spec.package else "; if a package registers it, name that with package="
            raise VantageError(f"gymnasium cannot make {spec.id}: {error}{hint}") from error

    draw_when_asked(env)
    return env


def draw_when_asked(env: "gymnasium.Env[Any, Any]") -> None:
    """Stop an environment that is known to draw pictures in every step from doing so."""
    if type(env.unwrapped).__module__ == "gym_aloha.env":
        from vantage.worlds.gymnasium.aloha import render_nothing

        render_nothing(env)


def try_world(spec: "Gymnasium | LeRobotEnv") -> WorldInputs:
    """Build the world, play a few steps, begin again at the same seed, and say what it offers.

    Raises VantageError for what would otherwise show after the first episode: no sign of success, no
    pictures, or a start that depends on what was played before.
    """
    world = spec()
    try:
        world.reset(0)
        start = world.environment_state()
        rng = np.random.default_rng(0)
        for _ in range(3):
            world.step(rng.uniform(world.action_low, world.action_high).astype(np.float32))

        world.reset(0)
        if not np.array_equal(start, world.environment_state()):
            raise VantageError(
                f"{spec.task} begins in another state when it is reset to the same seed again; its reset "
                "must draw everything from the seed, and undo everything else"
            )
        return WorldInputs(
            cameras={camera: (*picture.shape[:2],) for camera, picture in world.images().items()},
            state_dim=len(world.proprioception()),
            environment_dim=len(start),
            action_dim=len(world.action_low),
        )
    finally:
        world.close()


def mujoco_of(env: "gymnasium.Env[Any, Any]") -> tuple[Any, Any] | None:
    """MuJoCo's model and data of an environment built on it; None for any other.

    Asked for again at every use: a reset may make new ones.
    """
    inner: Any = env.unwrapped
    model, data = getattr(inner, "model", None), getattr(inner, "data", None)
    if type(model).__module__.startswith("mujoco"):
        return model, data

    physics: Any = getattr(getattr(inner, "_env", None), "physics", None)  # dm_control inside
    if type(physics).__module__.startswith("dm_control."):
        return physics.model.ptr, physics.data.ptr
    return None


def pictures_in(space: "gymnasium.Space[Any]") -> dict[str, tuple[int, int]]:
    """The entries of an observation that are pictures, by their keys: height and width."""
    sizes = {name: leaf.shape for name, leaf in _leaves(space) if _is_picture(leaf)}
    return {name: (shape[0], shape[1]) for name, shape in sizes.items() if shape is not None}


def numbers_in(space: "gymnasium.Space[Any]") -> list[str]:
    """The entries of an observation that are numbers, by their keys."""
    return [name for name, leaf in _leaves(space) if not _is_picture(leaf)]


def _leaves(space: "gymnasium.Space[Any]", path: str = "") -> Iterator[tuple[str, "gymnasium.Space[Any]"]]:
    """Every entry of an observation that is no group: its keys joined by ``/``, and its space."""
    if isinstance(space, gymnasium.spaces.Dict):
        for key, inner in space.spaces.items():
            yield from _leaves(inner, f"{path}/{key}" if path else key)
    elif isinstance(space, gymnasium.spaces.Box | gymnasium.spaces.Discrete | gymnasium.spaces.MultiBinary):
        yield path or WHOLE, space


def _is_picture(space: "gymnasium.Space[Any]") -> bool:
    return (
        isinstance(space, gymnasium.spaces.Box)
        and space.dtype == np.uint8
        and len(space.shape) == 3
        and space.shape[2] == 3
    )


def _at(observation: Mapping[str, Any], path: str) -> Any:
    """The entry at a path of keys; None where there is none."""
    if path in observation:
        return observation[path]
    value: Any = observation
    for key in path.split("/"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
