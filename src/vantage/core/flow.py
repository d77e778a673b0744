"""Flow matching on action chunks: noise and data -> points and velocities on the straight path between them.

Time runs from 0 (noise) to 1 (data), as in Lipman et al. (arXiv 2210.02747) and Liu et al. (arXiv
2209.03003). LeRobot's VLAs run it the other way; their adapters convert, nothing else does.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def path_point(
    actions: Float[Tensor, "B H A"], noise: Float[Tensor, "B H A"], time: Float[Tensor, "B"]
) -> tuple[Float[Tensor, "B H A"], Float[Tensor, "B H A"]]:
    """The point x_t = (1 - t) noise + t actions and its velocity target u = actions - noise (Eq. 1's u_i).

    `time` in [0, 1], 0 = noise. At t = 1 the point is the data.
    """
    t = time[:, None, None]
    return (1 - t) * noise + t * actions, actions - noise


def integrate_euler(
    velocity: Callable[[Float[Tensor, "B H A"], Float[Tensor, "B"]], Float[Tensor, "B H A"]],
    noise: Float[Tensor, "B H A"],
    steps: int,
) -> Float[Tensor, "B H A"]:
    """Carry noise along the velocity field from t = 0 to t = 1 in equal Euler steps.

    Exact for a field of straight paths: if velocity(x, t) is the constant u, the result is noise + u for
    every `steps`.
    """
    x = noise
    for i in range(steps):
        time = torch.full((len(noise),), i / steps, dtype=noise.dtype, device=noise.device)
        x = x + velocity(x, time) / steps
    return x


def draw_time(batch_size: int, generator: torch.Generator) -> Float[Tensor, "B"]:
    """Times for one loss evaluation: uniform on [0, 1), stratified over the batch of B.

    Every B-th part of the interval holds one of them. Stratifying leaves every marginal uniform and lowers
    the variance of the batch mean.
    """
    strata = torch.randperm(batch_size, generator=generator)
    return (strata + torch.rand(batch_size, generator=generator)) / batch_size
