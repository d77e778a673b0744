"""Names of cameras, as Vantage says them, to keys of a batch, as LeRobot says them, and back.

    camera `front` <──> `observation.images.front`
    camera `image` <──> `observation.image`, LeRobot's single camera

A rename map has LeRobot's form and direction: key of the data -> key of the policy.
"""

from collections.abc import Mapping

STATE = "observation.state"
ENVIRONMENT_STATE = "observation.environment_state"
ACTION = "action"
IMAGES = "observation.images"
EMPTY_CAMERA = f"{IMAGES}.empty_camera_"
"""Slots that LeRobot fills with black by itself."""


def camera_of(key: str) -> str:
    """The camera's name of a key."""
    return key.removeprefix(f"{IMAGES}.").removeprefix("observation.")


def data_key(policy_key: str, rename_map: Mapping[str, str]) -> str:
    """The key under which the data have what the policy calls `policy_key`."""
    return next((ours for ours, theirs in rename_map.items() if theirs == policy_key), policy_key)


def rename_map_of(cameras: Mapping[str, str]) -> str:
    """What to type after `--rename_map`, for cameras of the data -> cameras of the policy."""
    pairs = [f'"{IMAGES}.{ours}":"{IMAGES}.{theirs}"' for ours, theirs in cameras.items()]
    return "{" + ",".join(pairs) + "}"
