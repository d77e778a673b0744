"""Settings of `vantage_watch`: another policy, watched by a critic, with its actions kept within bounds."""

from dataclasses import dataclass

from lerobot.configs.policies import PreTrainedConfig
from lerobot.optim.optimizers import OptimizerConfig

from vantage.types import VantageError


@PreTrainedConfig.register_subclass("vantage_watch")
@dataclass
class VantageWatchConfig(PreTrainedConfig):
    """What is watched, by what, and what happens then. `vantage watch ... --out FOLDER` writes it."""

    policy_path: str = ""
    """Folder of the checkpoint that drives."""
    features_path: str = ""
    """Folder of the checkpoint whose features the critic reads; often another one than drives."""
    critic_path: str = ""
    """Folder of the critic (3-critic)."""
    watch_path: str = ""
    """The watch.json of that critic: threshold, patience, and the bounds of the recorded actions."""
    log_path: str = ""
    """Where every prediction and every change of an action is written, a JSON object in a line; empty: a new
    file in the folder of this configuration."""
    on_call: str = ""
    """A command that is started when it calls, with the call as JSON for its last word."""
    pause: bool = True
    """Under lerobot-rollout's DAgger strategy, pause the policy when it calls, as its key does."""
    clamp: bool = True
    """Keep every action in the range of the recorded ones, a tenth wider."""
    rate_limit: bool = True
    """Keep every change of an action within the largest recorded one, a tenth more."""

    def validate_features(self) -> None:
        """Nothing: the watched policy does."""

    def get_optimizer_preset(self) -> OptimizerConfig:
        """Refused: it does not train."""
        raise VantageError(
            "vantage_watch watches a policy and does not train one; train the checkpoint itself"
        )

    def get_scheduler_preset(self) -> None:
        """None."""
        return

    @property
    def observation_delta_indices(self) -> None:
        """None: it keeps what was seen before by itself."""
        return

    @property
    def action_delta_indices(self) -> None:
        """None: it does not train."""
        return

    @property
    def reward_delta_indices(self) -> None:
        """None."""
        return
