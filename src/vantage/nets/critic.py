"""The dual-head critic: features -> viability logit, minus the steps to success (Eq. 2).

The parent head is beside it.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vantage.nets.blocks import Standardise, mlp


class DualCritic(nn.Module):
    """z_v = f_v(phi(s)) and V_e = f_e(phi(s)), two trunks on the same detached features.

    V_e is bounded by construction: -T_max sigmoid(.), in control steps (Eq. 3's targets lie in [-T_max, 0]).
    """

    t_max: Tensor

    def __init__(self, features: int, t_max: float, width: int = 128, dropout: float | None = None) -> None:
        """`features`: D; `t_max`: the longest possible episode in control steps."""
        super().__init__()
        self.standardise = Standardise(features, clip=8.0)
        self.viability = mlp(features, width, width, 1, dropout=dropout)
        self.efficiency = mlp(features, width, width, 1, dropout=dropout)
        self.register_buffer("t_max", torch.tensor(float(t_max)))

    @torch.no_grad()
    def begin_at(self, viability: float, steps: float) -> None:
        """Set the last biases so that both heads begin at constants.

        `viability`: a success rate; `steps`: a mean time to success, in control steps. Without it V_e begins
        at -T_max / 2 and spends most of its training on the way.
        """
        for head, share in ((self.viability, viability), (self.efficiency, steps / float(self.t_max))):
            last = head[-1]
            assert isinstance(last, nn.Linear)
            last.bias.fill_(torch.logit(torch.tensor(share), eps=1e-2))

    def forward(self, features: Float[Tensor, "B D"]) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        """(z_v in logits, V_e in control steps)."""
        x = self.standardise(features)
        return self.z_v(x), self.v_e(x)

    def z_v(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        """Viability logit of features that are standardised already."""
        return self.viability(x).squeeze(-1)

    def v_e(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        """Minus the control steps to success, of features that are standardised already."""
        return self.steps_from(self.efficiency(x))

    def steps_from(self, output: Float[Tensor, "B 1"]) -> Float[Tensor, "B"]:
        """The efficiency head's output as control steps in [-T_max, 0]."""
        return -self.t_max * torch.sigmoid(output.squeeze(-1))


class ParentHead(nn.Module):
    """Distributional value head of Appendix A: features to logits over value bins.

    Used by Imit-Recap only.
    """

    def __init__(self, features: int, bins: int, width: int = 128, dropout: float = 0.1) -> None:
        """`bins`: number of value bins."""
        super().__init__()
        self.standardise = Standardise(features, clip=8.0)
        self.value = mlp(features, width, width, bins, dropout=dropout)

    def forward(self, features: Float[Tensor, "B D"]) -> Float[Tensor, "B bins"]:
        """Logits."""
        return self.value(self.standardise(features))
