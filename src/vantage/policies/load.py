"""A checkpoint folder in, the actor that wrote it out."""

from pathlib import Path
from typing import Any, cast

from vantage.policies.protocol import Actor
from vantage.policies.small.flow import FlowActor, FlowConfig
from vantage.policies.small.gaussian import GaussianActor, GaussianConfig
from vantage.policies.small.network import read_config
from vantage.policies.small.stochastic_flow import FlowSDEActor, FlowSDEConfig, FPOActor, FPOConfig
from vantage.types import VantageError

ActorConfig = FlowConfig | GaussianConfig | FlowSDEConfig | FPOConfig
"""Every actor that is built from scratch."""


def build_actor(config: ActorConfig, seed: int) -> FlowActor | GaussianActor | FlowSDEActor | FPOActor:
    """An untrained actor, a pure function of its settings and the seed."""
    match config:
        case FlowConfig():
            return FlowActor(config, seed)
        case GaussianConfig():
            return GaussianActor(config, seed)
        case FlowSDEConfig():
            return FlowSDEActor(config, seed)
        case FPOConfig():
            return FPOActor(config, seed)


def load_actor(folder: Path) -> Actor:
    """Read a checkpoint: ours say what they are ("is"), LeRobot's carry a policy type ("type")."""
    config = cast(dict[str, Any], read_config(folder))
    match config:
        case {"is": "FlowConfig"}:
            return FlowActor.load(folder)
        case {"is": "GaussianConfig"}:
            return GaussianActor.load(folder)
        case {"is": "FlowSDEConfig"}:
            return FlowSDEActor.load(folder)
        case {"is": "FPOConfig"}:
            return FPOActor.load(folder)
        case {"type": str()}:
            from vantage.policies.lerobot import LeRobotActor  # an extra, and slow to import

            return LeRobotActor.load(folder)
        case _:
            raise VantageError(f"{folder} holds no checkpoint that Vantage or LeRobot wrote; name a folder that fit-actor wrote")
