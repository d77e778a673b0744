"""Any of LeRobot's environment configurations as a value, by what `lerobot-eval` calls `--env.type` and
`--env.task`.

LeRobotEnv("aloha", "AlohaTransferCube-v0") ──config──> environment of gymnasium ──()──> World
"""

import contextlib
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from vantage.bounds import Count, Whole, check
from vantage.errors import VantageError
from vantage.worlds.gymnasium.spec import Gymnasium
from vantage.worlds.gymnasium.success import InfoKey, Success
from vantage.worlds.protocol import World, WorldInputs

if TYPE_CHECKING:
    import gymnasium

_STATE = "observation.state"


@dataclass(frozen=True, slots=True)
class LeRobotEnv:
    """One environment that LeRobot has a configuration for; calling the value builds the world.

    Entries of the observation are named as those of `Gymnasium`: ``agent_pos``, ``pixels/top``,
    ``agent_pos[0:3]``. What the configuration says is the default. Raises `VantageError` for a configuration
    that LeRobot lacks or refuses, and for one whose code would be downloaded and run.
    """

    type: str
    """As `--env.type` says it, e.g. ``aloha``, ``pusht``, ``metaworld``, ``libero``."""
    task: str = ""
    """As `--env.task` says it; empty: the configuration's own."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any], kw_only=True, hash=False)
    """Further settings of the configuration by their names, as JSON can write them."""
    limit: Whole = field(default=0, kw_only=True)
    """Control steps before an unsolved episode ends as a failure; 0: the configuration's `episode_length`."""
    fps: Whole = field(default=0, kw_only=True)
    """Control steps per second; 0: the configuration's."""
    prompt: str = field(default="", kw_only=True)
    """What a person would tell the robot; empty: what the environment says of its task, or else its name."""
    robot: str = field(default="simulated", kw_only=True)
    """Name of the robot; the same in all worlds of a run."""
    state: tuple[str, ...] = field(default=(), kw_only=True)
    """Entries that are proprioception; empty: those that the configuration calls observation.state."""
    truth: tuple[str, ...] = field(default=(), kw_only=True)
    """Entries that are the true state; empty: all numbers of the observation."""
    cameras: tuple[str, ...] = field(default=(), kw_only=True)
    """What is shown, named as for `Gymnasium`; empty: every picture of the observation, by the last part of
    its name."""
    image_size: tuple[Count, Count] | None = field(default=None, kw_only=True)
    """Height and width of what is drawn from a MuJoCo model, other pictures being as they come; None: those
    of the observation's first picture."""
    success: Success = field(default=InfoKey(), kw_only=True)
    """When the task is solved."""

    def __post_init__(self) -> None:
        """Fill in what the configuration says. Raise `VantageError` for settings that cannot be."""
        check(self)
        try:
            json.dumps(dict(self.settings))
        except (TypeError, ValueError) as error:
            raise VantageError(f"LeRobotEnv.settings cannot be written to recipe.json ({error})") from error
        if self.task and self.limit and self.fps:
            return  # nothing is left to ask LeRobot: a stored run is read without it

        config = _config_of(self)
        if not self.limit and not getattr(config, "episode_length", None):
            raise VantageError(f"LeRobot's {self.type} names no episode_length; say limit=")
        if not (self.task or config.task):
            raise VantageError(f"LeRobot's {self.type} names no task of its own; say which")
        found = {
            "task": self.task or config.task,
            "limit": self.limit or config.episode_length,
            "fps": self.fps or config.fps,
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)

    @property
    def inputs(self) -> WorldInputs:
        """What its world offers to a policy; the first time, the environment is built and tried.

        Raises VantageError for an environment that is missing or cannot be a world.
        """
        return _inputs(self)

    def __call__(self) -> World:
        """Build it. Raises VantageError for an environment that is missing or cannot be a world."""
        from vantage.worlds.gymnasium.world import GymnasiumWorld, numbers_in, pictures_in

        config = _config_of(self)
        env = _environment(self, config)
        numbers, pictures = numbers_in(env.observation_space), pictures_in(env.observation_space)
        called = cast(Mapping[str, str], config.features_map)
        drawn = next(iter(pictures.values()), (96, 96)) if self.image_size is None else self.image_size
        seen = Gymnasium(
            f"{self.type}/{self.task}",
            kwargs=self.settings,
            limit=self.limit,
            fps=self.fps,
            name=self.task,
            prompt=self.prompt or _said_of(env) or self.task,
            robot=self.robot,
            state=self.state or tuple(name for name in numbers if called.get(name) == _STATE),
            truth=self.truth,
            cameras=self.cameras or tuple(name.rpartition("/")[2] for name in pictures),
            image_size=drawn,
            success=self.success,
        )
        return GymnasiumWorld(seen, env)


@lru_cache(maxsize=64)
def _inputs(spec: LeRobotEnv) -> WorldInputs:
    from vantage.worlds.gymnasium.world import try_world

    return try_world(spec)


def _config_of(spec: LeRobotEnv) -> Any:
    """LeRobot's configuration. Raises VantageError where there is none, or where it refuses its settings."""
    try:
        import draccus
        from lerobot.envs.configs import EnvConfig, HubEnvConfig
        from lerobot.utils.import_utils import register_third_party_plugins
    except ModuleNotFoundError as error:
        raise VantageError(
            f"LeRobotEnv({spec.type!r}) needs LeRobot; pip install 'vantage[lerobot]'"
        ) from error

    known: dict[str, Any] = EnvConfig.get_known_choices()
    if spec.type not in known:
        with contextlib.redirect_stdout(io.StringIO()):
            register_third_party_plugins()
        known = EnvConfig.get_known_choices()
    if spec.type not in known:
        raise VantageError(f"LeRobot has no environment {spec.type!r}; it has {', '.join(sorted(known))}")
    if issubclass(known[spec.type], HubEnvConfig):
        raise VantageError(
            f"LeRobot's {spec.type} downloads its environment and runs it, which a recipe does not; install "
            "the environment and name it with Gymnasium(id, package=...)"
        )

    settings = dict(spec.settings) | ({"task": spec.task} if spec.task else {})
    try:
        return draccus.decode(known[spec.type], settings)
    except Exception as error:  # a configuration checks itself and raises what it likes
        raise VantageError(f"LeRobot's {spec.type} refuses {settings}: {error}") from error


def _environment(spec: LeRobotEnv, config: Any) -> "gymnasium.Env[Any, Any]":
    """The one environment of a configuration, without a time limit and without LeRobot's batch of one.

    Raises VantageError where a package is missing, the task is none, or there are several.
    """
    from gymnasium.wrappers import TimeLimit

    from vantage.worlds.gymnasium.world import draw_when_asked

    try:
        # It tells what it builds on the output of commands, and packages warn about themselves.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            suites = config.create_envs(n_envs=1, use_async_envs=False)
    except ModuleNotFoundError as error:
        raise VantageError(
            f"LeRobot's {spec.type} needs the package {error.name or config.package_name}, which is not "
            "installed; LeRobot's page of that environment says how"
        ) from error
    except Exception as error:  # simulators raise what they like
        raise VantageError(
            f"LeRobot cannot make {spec.type} with task {spec.task!r} ({type(error).__name__}: {error})"
        ) from error

    batches = [batch for suite in suites.values() for batch in suite.values()]
    if len(batches) != 1:
        for batch in batches:
            batch.close()
        raise VantageError(
            f"{spec.task!r} of LeRobot's {spec.type} are {len(batches)} environments, and a world is one; "
            "name one task (for libero: settings={'task_ids': [0]})"
        )
    env = batches[0].envs[0]
    while isinstance(env, TimeLimit):
        env = env.env
    draw_when_asked(env)
    return env


def _said_of(env: "gymnasium.Env[Any, Any]") -> str:
    """What the environment says of its task, in words; empty where it says nothing."""
    said = getattr(env.unwrapped, "task_description", "")
    return said if isinstance(said, str) else ""
