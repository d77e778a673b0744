"""Independent noise <-> noise that is correlated along a chunk.

Exploration then pushes one way for several steps:

e_0 = z_0,   e_i = rho e_{i-1} + sqrt(1 - rho^2) z_i   (an AR(1) process with unit variance)

The map is lower triangular: the first n steps of one side are a function of the first n of the other, so the
density of an executed prefix of a chunk is exact whatever was never executed.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def correlate(z: Float[Tensor, "B H A"], rho: float) -> Float[Tensor, "B H A"]:
    """Noise with correlation `rho` between neighbouring steps, from independent z. rho = 0: z itself."""
    if rho == 0:
        return z
    steps = [z[:, 0]]
    for i in range(1, z.shape[1]):
        steps.append(rho * steps[-1] + (1 - rho**2) ** 0.5 * z[:, i])
    return torch.stack(steps, dim=1)


def whiten(e: Float[Tensor, "B H A"], rho: float) -> Float[Tensor, "B H A"]:
    """The independent z behind correlated noise: `correlate` undone."""
    if rho == 0:
        return e
    return torch.cat([e[:, :1], (e[:, 1:] - rho * e[:, :-1]) / (1 - rho**2) ** 0.5], dim=1)
