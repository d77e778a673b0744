"""Settings of `vantage_small`: Vantage's small vision-language-action policy as a policy of LeRobot's."""

from dataclasses import dataclass, field

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import NormalizationMode
from lerobot.optim.optimizers import AdamWConfig

from vantage.nets.vla import NetConfig, Pixels, TrueState
from vantage.policies.small.flow import FlowConfig
from vantage.policies.small.gaussian import GaussianConfig
from vantage.types import VantageError

PICTURES, STATE, TRUTH = "observation.images.", "observation.state", "observation.environment_state"


def _unscaled() -> dict[str, NormalizationMode]:
    """The network scales its inputs itself."""
    return dict.fromkeys(("VISUAL", "STATE", "ENV", "ACTION"), NormalizationMode.IDENTITY)


@PreTrainedConfig.register_subclass("vantage_small")
@dataclass
class VantageSmallConfig(PreTrainedConfig):
    """Sizes of the network and of its sampler; cameras and dimensions are those of `input_features`."""

    chunk_size: int = 16
    """H, steps predicted."""
    n_action_steps: int = 8
    """Steps executed before the next prediction."""
    true_state: bool = False
    """Look at the simulator's true state instead of pictures."""
    picture_size: int = 48
    """Side in pixels to which square pictures shrink, by whole factors."""
    sight_width: int = 96
    """Vector per camera, or of the true state."""
    width: int = 256
    """D, width of phi and of the head."""
    depth: int = 3
    """Residual layers of the head."""
    text: int = 32
    """Vector of the prompt."""
    proprioception: int = 32
    """Vector of the proprioception."""
    gaussian: bool = False
    """Predict the mean of a Gaussian and act with it, as policies of chunked PPO do, instead of a flow."""
    euler_steps: int = 5
    """Integration steps when acting."""
    noise: float = 1.0
    """Scale of the noise that acting starts from; 0 is zero-noise inference, always the same."""
    relative: list[int] = field(default_factory=list)
    """Action dimensions of a flow that are predicted relative to the state of the same number; of policies
    that `vantage` has trained."""
    optimizer_lr: float = 1e-3
    optimizer_weight_decay: float = 1e-4
    normalization_mapping: dict[str, NormalizationMode] = field(default_factory=_unscaled)

    def small(self) -> FlowConfig | GaussianConfig:
        """Vantage's own settings of the same policy.

        Raises VantageError for features that the network cannot look at.
        """
        self.validate_features()
        assert self.robot_state_feature is not None and self.action_feature is not None
        sight: Pixels | TrueState
        if self.true_state:
            assert self.env_state_feature is not None
            sight = TrueState(dim=self.env_state_feature.shape[0], width=self.sight_width)
        else:
            cameras = tuple(key.removeprefix(PICTURES) for key in self.image_features)
            sight = Pixels(cameras=cameras, size=self.picture_size, width=self.sight_width)
        net = NetConfig(
            sight=sight,
            state_dim=self.robot_state_feature.shape[0],
            action_dim=self.action_feature.shape[0],
            chunk=self.chunk_size,
            execute=self.n_action_steps,
            width=self.width,
            depth=self.depth,
            text=self.text,
            proprioception=self.proprioception,
        )
        if self.gaussian:
            return GaussianConfig(net=net)
        return FlowConfig(
            net=net, euler_steps=self.euler_steps, noise=self.noise, relative=tuple(self.relative)
        )

    def validate_features(self) -> None:
        """Raise VantageError where something is missing that the network looks at."""
        if self.robot_state_feature is None or self.action_feature is None:
            raise VantageError(f"vantage_small needs {STATE} and action; record them")
        if self.true_state and self.env_state_feature is None:
            raise VantageError(
                f"true_state needs {TRUTH}, which is not there; leave it out to look at pictures"
            )
        if not self.true_state and not self.image_features:
            raise VantageError("vantage_small looks at pictures, and there are none; record a camera")

    def get_optimizer_preset(self) -> AdamWConfig:
        """As `vantage run` trains it."""
        return AdamWConfig(lr=self.optimizer_lr, weight_decay=self.optimizer_weight_decay, grad_clip_norm=1.0)

    def get_scheduler_preset(self) -> None:
        """A constant rate."""
        return

    @property
    def observation_delta_indices(self) -> None:
        """The present observation alone."""
        return

    @property
    def action_delta_indices(self) -> list[int]:
        """The chunk, from the present on."""
        return list(range(self.chunk_size))

    @property
    def reward_delta_indices(self) -> None:
        """None."""
        return
