"""Independent noise <-> noise that is correlated along a chunk, and the density of a chunk that carries it.

Exploration then pushes one way for several steps:

e_0 = z_0,   e_i = rho e_{i-1} + sqrt(1 - rho^2) z_i   (an AR(1) process with unit variance)

The map is lower triangular: the first n steps of one side are a function of the first n of the other, so the
density of an executed prefix of a chunk is exact whatever was never executed.
"""

import math

import torch
from jaxtyping import Bool, Float
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


def chunk_log_prob(
    error: Float[Tensor, "B H A"], log_std: Float[Tensor, "A"], rho: float, executed: Bool[Tensor, "B H"]
) -> Float[Tensor, "B 1"]:
    """log N(error; 0, Sigma) of the executed steps, where error = std * correlated noise.

    Exact whatever was not executed, because whitening is lower triangular along the chunk.
    """
    z = whiten(error / log_std.exp(), rho)
    of_step = (-0.5 * z.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    # The determinant of whitening: every step but the first is scaled by 1 / sqrt(1 - rho^2).
    if rho:
        chunk, dim = error.shape[1:]
        scale = 0.5 * dim * math.log(1 - rho**2)
        of_step = of_step - torch.cat([of_step.new_zeros(1), of_step.new_full((chunk - 1,), scale)])
    return torch.where(executed, of_step, 0.0).sum(-1, keepdim=True)
