"""The tasks of two arms as environments of gymnasium's, for those who bring their own loop.

    import gymnasium, vantage.worlds.bimanual.environments
    env = gymnasium.make("vantage/BagBottle-v0", obs_type="pixels_agent_pos")

Importing this module registers them; ``gymnasium.make("vantage.worlds.bimanual.environments:vantage/...")``
imports it by itself. An episode is that of `BimanualSpec` with the same seed, action by action.
"""

from typing import Any, ClassVar, Final

import gymnasium
import numpy as np
from jaxtyping import Float32, UInt8

from vantage.errors import VantageError
from vantage.worlds.bimanual.spec import LIMITS, BimanualSpec
from vantage.worlds.experts import expert_for

IDS: Final = {
    "bag-bottle": "vantage/BagBottle-v0",
    "pouch-zip": "vantage/PouchZip-v0",
    "sack-draw": "vantage/SackDraw-v0",
}
"""Task -> id."""
OBS_TYPES: Final = ("pixels_agent_pos", "state")


class BimanualEnv(gymnasium.Env[dict[str, Any], Float32[np.ndarray, "14"]]):
    """One task. The reward is 1 with success, which ends the episode, and 0 before.

    Observation: ``agent_pos`` [14], measured joints (radians) and gripper openings (0 to 1); beside it
    ``pixels``, a picture of each camera, or ``environment_state``, the true state. Action [14]: absolute
    targets of the same joints and grippers, at 25 Hz. ``info`` says ``is_success`` and ``stage``, how many
    of the operator's stages are done: to report, not to learn from.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium's own form
        "render_modes": ["rgb_array"],
        "render_fps": BimanualSpec.fps,
    }
    cameras: ClassVar[tuple[str, ...]] = BimanualSpec.cameras

    def __init__(
        self,
        task: str,
        *,
        obs_type: str = "pixels_agent_pos",
        image_size: int = 96,
        render_mode: str | None = None,
    ) -> None:
        """Build the scene. `obs_type`: one of `OBS_TYPES`. `image_size`: side of the pictures in pixels.

        Raises VantageError for a task, an `obs_type` or a `render_mode` that does not exist.
        """
        if obs_type not in OBS_TYPES:
            raise VantageError(f"there is no obs_type {obs_type!r}; there is {', '.join(OBS_TYPES)}")
        if render_mode not in (None, "rgb_array"):
            raise VantageError(f"there is no render_mode {render_mode!r}; there is rgb_array")
        self.render_mode, self._obs_type = render_mode, obs_type

        spec = BimanualSpec(task, image_size=image_size)
        self._world, self._expert = spec(), expert_for(task)
        self.prompt = self._world.prompt
        box = gymnasium.spaces.Box
        spaces: dict[str, gymnasium.Space[Any]] = {
            "agent_pos": box(-np.inf, np.inf, (spec.state_dim,), np.float32)
        }
        if obs_type == "state":
            spaces["environment_state"] = box(-np.inf, np.inf, (spec.environment_dim,), np.float32)
        else:
            side = (image_size, image_size, 3)
            shown: dict[str, gymnasium.Space[Any]] = {
                camera: box(0, 255, side, np.uint8) for camera in self.cameras
            }
            spaces["pixels"] = gymnasium.spaces.Dict(shown)
        self.observation_space = gymnasium.spaces.Dict(spaces)
        self.action_space = box(self._world.action_low, self._world.action_high)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start the episode of `seed`; without one, of a seed that the generator of the last one draws."""
        super().reset(seed=seed)
        self._world.reset(int(self.np_random.integers(2**31)) if seed is None else seed)
        return self._observe(), self._info(success=False)

    def step(
        self, action: Float32[np.ndarray, "14"]
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control step (40 ms); the time limit is `gymnasium.make`'s."""
        success = self._world.step(np.asarray(action, dtype=np.float32))
        return self._observe(), float(success), success, False, self._info(success=success)

    def render(self) -> UInt8[np.ndarray, "_p _p 3"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What the camera above the table sees."""
        return self._world.images()["top"]

    def close(self) -> None:
        """Free the simulator."""
        self._world.close()

    def _observe(self) -> dict[str, Any]:
        seen: dict[str, Any] = {"agent_pos": self._world.proprioception()}
        if self._obs_type == "state":
            return seen | {"environment_state": self._world.environment_state()}
        return seen | {"pixels": self._world.images()}

    def _info(self, *, success: bool) -> dict[str, Any]:
        return {"is_success": success, "stage": self._expert.stage(self._world.environment_state())}


for _task, _id in IDS.items():
    gymnasium.register(
        _id, entry_point=f"{__name__}:BimanualEnv", kwargs={"task": _task}, max_episode_steps=LIMITS[_task]
    )
