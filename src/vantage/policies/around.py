"""A policy that acts otherwise than the policy inside it, and is trained and saved as that one."""

from pathlib import Path

from jaxtyping import Float
from torch import Generator, Tensor

from vantage.batch import Batch, Observation
from vantage.policies.protocol import Draw, Policy, PolicyLoss


class Around(Policy):
    """Another policy with something beside it when it acts: subclasses say what, in `act`."""

    def __init__(self, policy: Policy) -> None:
        """`policy`: the one inside."""
        super().__init__()
        self.policy = policy
        self.interface, self.feature_dim = policy.interface, policy.feature_dim

    def draw(self, batch_size: int, generator: Generator) -> Draw:
        """As the policy inside draws."""
        return self.policy.draw(batch_size, generator)

    def forward(self, batch: Batch, draw: Draw) -> PolicyLoss:
        """The loss of the policy inside."""
        return self.policy(batch, draw)

    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s) of the policy inside."""
        return self.policy.features(observation)

    def save(self, folder: Path) -> None:
        """Write the policy inside: a checkpoint that acts by itself."""
        self.policy.save(folder)
