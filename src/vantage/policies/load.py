"""A checkpoint folder in, the policy that wrote it out."""

from pathlib import Path
from typing import Any, cast

from vantage.policies.protocol import Policy
from vantage.policies.small.export import load_exported
from vantage.policies.small.flow import FlowPolicy
from vantage.policies.small.gaussian import GaussianPolicy
from vantage.policies.small.network import read_config
from vantage.policies.small.stochastic_flow import FlowSDEPolicy, FPOPolicy, NoisyFlowPolicy
from vantage.types import VantageError


def load_policy(folder: Path) -> Policy:
    """Read a checkpoint: ours say what they are ("is"), LeRobot's carry a policy type ("type").

    It is on the CPU, ready to act.

    Raises VantageError for a folder that holds no checkpoint.
    """
    config = cast(dict[str, Any], read_config(folder))
    match config:
        case {"is": "FlowConfig"}:
            policy: Policy = FlowPolicy.load(folder)
        case {"is": "GaussianConfig"}:
            policy = GaussianPolicy.load(folder)
        case {"is": "NoisyFlowConfig"}:
            policy = NoisyFlowPolicy.load(folder)
        case {"is": "FlowSDEConfig"}:
            policy = FlowSDEPolicy.load(folder)
        case {"is": "FPOConfig"}:
            policy = FPOPolicy.load(folder)
        case {"type": "vantage_small"}:
            policy = load_exported(folder)
        case {"type": str()}:
            from vantage.policies.lerobot import load  # an extra, and slow to import

            policy = load(folder)
        case _:
            raise VantageError(
                f"{folder} holds no checkpoint that Vantage or LeRobot wrote; "
                "name a folder that fit-policy wrote"
            )
    return policy.eval()
