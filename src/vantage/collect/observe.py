"""Worlds as they are now -> one batch of what a policy may see of them, and what it saw before."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import UInt8

from vantage.batch import Observation
from vantage.core.images import area_downsample, divides
from vantage.policies.build import PolicySpec, interface_of
from vantage.policies.protocol import Interface
from vantage.policies.spec import DataFacts, Scale
from vantage.types import VantageError
from vantage.worlds.protocol import World
from vantage.worlds.spec import WorldSpec

Pictures = Mapping[str, UInt8[np.ndarray, "_h _w 3"]]
"""What the cameras of one world show."""


def facts_of_world(world: WorldSpec) -> DataFacts:
    """What a world will offer to a policy, before anything has been recorded in it.

    Cameras and dimensions are the world's. Nothing is known of scales yet: the statistics are placeholders of
    the right shape.
    """
    inputs = world.inputs
    return DataFacts(
        cameras=inputs.cameras,
        action=Scale.of(np.zeros((1, inputs.action_dim))),
        state=Scale.of(np.zeros((1, inputs.state_dim))),
        environment_state=Scale.of(np.zeros((1, inputs.environment_dim))),
        fps=float(world.fps),
    )


@lru_cache(maxsize=64)
def interface_in(spec: PolicySpec, world: WorldSpec) -> Interface:
    """What a policy will look at in a world, and what it will return there.

    Raises VantageError where the two do not fit.
    """
    return interface_of(spec, facts_of_world(world))


def observe(
    interface: Interface, worlds: Sequence[World], pictures: Sequence[Pictures] | None = None
) -> Observation:
    """Observe B worlds through the eyes of a policy, on the CPU.

    `pictures`: what each world's cameras show now, where that has been rendered already; otherwise it is
    rendered here, and only for a policy that looks at pictures. Raises VantageError for a camera that a world
    lacks.
    """
    if interface.cameras and pictures is None:
        pictures = [world.images() for world in worlds]

    images = {
        camera: torch.from_numpy(np.stack([_sized(shown, camera, size) for shown in pictures or ()]))
        for camera, size in interface.cameras.items()
    }
    return Observation(
        images=images,
        state=torch.from_numpy(np.stack([world.proprioception() for world in worlds])),
        environment_state=torch.from_numpy(np.stack([world.environment_state() for world in worlds])),
        prompts=tuple(world.prompt for world in worlds),
    )


class Memory:
    """What a policy saw at the last control steps: a policy that looks back is shown it again.

    Kept as LeRobot's `select_action` keeps its queue of observations: it must see every control step, and the
    first observation after it was emptied stands for those before it.
    """

    def __init__(self, history: int) -> None:
        """`history`: observations that the policy looks at, the present one among them."""
        self._before: deque[Observation] = deque(maxlen=history - 1)

    def recall(self, present: Observation) -> Observation:
        """The present observation with the earlier ones; it is remembered for the next step."""
        while len(self._before) < (self._before.maxlen or 0):
            self._before.append(present)
        shown = replace(present, earlier=tuple(self._before))
        self._before.append(present)
        return shown

    def forget(self) -> None:
        """Empty it: a new segment begins."""
        self._before.clear()


def _sized(shown: Pictures, camera: str, size: tuple[int, int] | None) -> UInt8[np.ndarray, "_h _w 3"]:
    """One camera's picture at the size that the policy asks for; as it is where `size` is None."""
    if camera not in shown:
        fault = f"the policy looks at camera {camera!r} and the world shows {', '.join(shown)}"
        raise VantageError(f"{fault}; rename one of them")

    picture = shown[camera]
    if size is None or picture.shape[:2] == size:
        return picture
    if not divides((picture.shape[0], picture.shape[1]), size):
        height, width = picture.shape[:2]
        raise VantageError(
            f"camera {camera!r} is {width} x {height} px and the policy wants {size[1]} x {size[0]}"
        )
    return area_downsample(picture, size)
