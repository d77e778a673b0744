"""A policy as a value -> what it will look at, and the policy itself.

    FlowConfig(), LeRobotScratch(type="act"), LeRobotPolicy(path=...)
        ──interface_of──> Interface: cameras with sizes, state, actions, chunk      nothing is built
        ──build_policy──> Policy: random weights of a seed, or a checkpoint's

A spec is a frozen dataclass: it stands in recipe.json, in a study's fingerprint and on the command line.
"""

from vantage.nets.vla import TrueState
from vantage.policies.lerobot.spec import LeRobotPolicy, LeRobotScratch
from vantage.policies.protocol import Interface, Policy
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.policies.small.gaussian import GaussianConfig, GaussianPolicy
from vantage.policies.small.network import interface_of as small_interface
from vantage.policies.small.stochastic_flow import (
    FlowSDEConfig,
    FlowSDEPolicy,
    FPOConfig,
    FPOPolicy,
    NoisyFlowConfig,
    NoisyFlowPolicy,
)
from vantage.policies.spec import DataFacts
from vantage.types import VantageError

SmallConfig = FlowConfig | GaussianConfig | NoisyFlowConfig | FlowSDEConfig | FPOConfig
"""Every policy that is built from scratch on the small network."""

PolicySpec = SmallConfig | LeRobotScratch | LeRobotPolicy
"""Every policy that a run can name."""


def interface_of(spec: PolicySpec, facts: DataFacts | None) -> Interface:
    """What the policy looks at and returns, without building it.

    `facts`: what data or worlds offer; a policy of LeRobot's takes its cameras and sizes from there. Raises
    VantageError where the two do not fit.
    """
    match spec:
        case LeRobotPolicy():
            return spec.interface(facts)
        case LeRobotScratch():
            if facts is None:
                raise VantageError(
                    f"a new {spec.type} takes its cameras and dimensions from data; give it some"
                )
            return spec.interface(facts)
        case _:
            return small_interface(spec.net)


def build_policy(spec: PolicySpec, seed: int, facts: DataFacts | None = None) -> Policy:
    """A policy at the start of its training, on the CPU.

    Its random weights are a pure function of the settings and the seed. `facts`: the data that it will be
    trained on; a policy of LeRobot's needs them, one on the small network is only compared with them. Raises
    VantageError where they do not fit.
    """
    match spec:
        case LeRobotPolicy():
            return spec.build(seed, facts)
        case LeRobotScratch():
            if facts is None:
                raise VantageError(
                    f"a new {spec.type} takes its cameras and dimensions from data; give it some"
                )
            return spec.build(seed, facts)
        case _:
            if facts is not None:
                _check_dimensions(spec, facts)
            return _build_small(spec, seed)


def _check_dimensions(spec: SmallConfig, facts: DataFacts) -> None:
    """Raise VantageError where a policy on the small network is not as wide as the data."""
    net, truth = spec.net, facts.environment_state
    kinds = [("action", net.action_dim, facts.action, "action_dim")]
    if facts.state is not None:
        kinds.append(("state", net.state_dim, facts.state, "state_dim"))
    if isinstance(net.sight, TrueState) and truth is not None:
        kinds.append(("true-state", net.sight.dim, truth, "sight.dim"))

    for what, own, recorded, setting in kinds:
        if own != recorded.dim:
            fault = f"the policy has {own} {what} dimensions and the demonstrations have {recorded.dim}"
            raise VantageError(f"{fault}; set policy.net.{setting}")


def _build_small(
    spec: SmallConfig, seed: int
) -> FlowPolicy | GaussianPolicy | NoisyFlowPolicy | FlowSDEPolicy | FPOPolicy:
    match spec:
        case FlowConfig():
            return FlowPolicy(spec, seed)
        case GaussianConfig():
            return GaussianPolicy(spec, seed)
        case NoisyFlowConfig():
            return NoisyFlowPolicy(spec, seed)
        case FlowSDEConfig():
            return FlowSDEPolicy(spec, seed)
        case FPOConfig():
            return FPOPolicy(spec, seed)
