"""The state value of chunked PPO: true state, prompt and elapsed time in, one number out.

It reads the simulator's state even where the policy sees pixels (asymmetric actor and critic, Pinto et al.
2017): it is thrown away after training, so nothing that runs on a robot needs what it needs.
"""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vantage.nets.blocks import mlp
from vantage.nets.encoders import StateEncoder, TextEncoder


class StateValue(nn.Module):
    """V(s, prompt, t)."""

    def __init__(self, state: int, width: int = 128, text: int = 32) -> None:
        """`state`: E, numbers in the environment state."""
        super().__init__()
        self.state = StateEncoder(state, width)
        self.text = TextEncoder(text)
        self.value = mlp(width + text + 1, width, width, 1)

    def forward(
        self,
        state: Float[Tensor, "B E"],
        prompts: tuple[str, ...],
        elapsed: Float[Tensor, "B"],
    ) -> Float[Tensor, "B"]:
        """`elapsed`: share of the episode's limit that is over, 0 to 1."""
        seen = torch.cat([self.state(state), self.text(prompts), elapsed[:, None]], dim=-1)
        return self.value(nn.functional.silu(seen)).squeeze(-1)


class StepsToSuccess(nn.Module):
    """HABC's efficiency head on the true state: V_e / T_max in [-1, 0] (Eq. 2 of arXiv 2606.17043),
    bounded by construction."""

    def __init__(self, like: StateValue) -> None:
        """Begins as a copy of a critic, whose scales it shares."""
        super().__init__()
        self.inner = copy.deepcopy(like)

    def forward(self, state: Float[Tensor, "B E"], prompts: tuple[str, ...]) -> Float[Tensor, "B"]:
        """Minus the share of the limit that success is away."""
        return -torch.sigmoid(self.inner(state, prompts, state.new_zeros(len(state))))
