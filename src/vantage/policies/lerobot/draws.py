"""A generator -> samples of distributions that PyTorch only draws from its global one."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def beta(count: int, alpha: float, beta: float, generator: torch.Generator) -> Float[Tensor, "B"]:
    """Samples of Beta(alpha, beta): by its inverse distribution where beta is 1, else by NumPy."""
    if beta == 1.0:
        return torch.rand(count, generator=generator, device=generator.device) ** (1 / alpha)
    seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    drawn = np.random.default_rng(seed).beta(alpha, beta, count)
    return torch.from_numpy(drawn).float().to(generator.device)
