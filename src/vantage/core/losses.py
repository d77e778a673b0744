"""Predictions, targets, masks, weights -> scalar losses whose denominators are named by the caller.

Every mean is a masked sum over `denominator`, a count of the whole optimiser step: the sum over micro-batches
and ranks of these losses is the loss of the whole batch, so 1 x 64 and 4 x 16 train alike. A denominator of 0
(nothing supervised anywhere) gives loss 0. Targets may be NaN where the mask is False; neither the loss nor
its gradient sees them.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from vantage.core.distributional import cross_entropy


def masked_mean(
    elementwise: Float[Tensor, "B"],
    mask: Bool[Tensor, "B"],
    denominator: int,
    weight: Float[Tensor, "B"] | None = None,
) -> Float[Tensor, ""]:
    """sum_i mask_i * weight_i * elementwise_i / denominator."""
    kept = torch.where(mask, elementwise, 0.0)
    return (kept if weight is None else kept * weight).sum() / max(denominator, 1)


def flow_loss(
    elementwise: Float[Tensor, "B H A"],
    mask: Bool[Tensor, "B H A"],
    weight: Float[Tensor, "B"],
    denominator: int,
) -> Float[Tensor, ""]:
    """Actor loss (Eq. 1): 1/B sum_i w_i || mask * (v_theta - u_i) ||^2 / (H A).

    `elementwise` is the squared error, `denominator` B: the windows drawn for the whole optimiser step, over
    all micro-batches and ranks. The constant H A only sets the scale, so that the loss compares across chunk
    lengths; a padded window counts by its real steps. Weights and mask of ones: the plain mean squared error,
    which is supervised fine-tuning.
    """
    _, horizon, dims = elementwise.shape
    squared_norm = torch.where(mask, elementwise, 0.0).sum(dim=(1, 2)) / (horizon * dims)
    return (weight * squared_norm).sum() / max(denominator, 1)


def viability_loss(
    z_v: Float[Tensor, "B"],
    target: Float[Tensor, "B"],
    mask: Bool[Tensor, "B"],
    denominator: int,
    weight: Float[Tensor, "B"] | None = None,
) -> Float[Tensor, ""]:
    """Viability term of Eq. 4: BCE(z_v, y) on outcome-labelled windows.

    `denominator` counts those of the whole optimiser step.
    """
    elementwise = F.binary_cross_entropy_with_logits(z_v, torch.where(mask, target, 0.0), reduction="none")
    return masked_mean(elementwise, mask, denominator, weight)


def efficiency_loss(
    v_e: Float[Tensor, "B"],
    target: Float[Tensor, "B"],
    mask: Bool[Tensor, "B"],
    denominator: int,
    weight: Float[Tensor, "B"] | None = None,
    *,
    unit: float = 1.0,
    delta: float = 1.0,
) -> Float[Tensor, ""]:
    """Efficiency term of Eq. 4: Huber(v_e, y_e) on windows with a progress target.

    `denominator` counts those of the whole optimiser step. `v_e` and `target` are in control steps; the error
    is divided by `unit` control steps first, and `delta` is in that unit. unit = 1 is the paper; unit = k,
    the stride, keeps the error near delta instead of deep in the linear zone.
    """
    aim = torch.where(mask, target, v_e.detach()) / unit
    elementwise = F.huber_loss(v_e / unit, aim, reduction="none", delta=delta)
    return masked_mean(elementwise, mask, denominator, weight)


def critic_loss(
    viability: Float[Tensor, ""],
    efficiency: Float[Tensor, ""],
    *,
    coefficients: tuple[float, float] = (1.0, 1.0),
) -> Float[Tensor, ""]:
    """L_critic (Eq. 4): the two terms, coefficients 1 and 1."""
    return coefficients[0] * viability + coefficients[1] * efficiency


def parent_loss(
    logits: Float[Tensor, "B K"], target: Float[Tensor, "B K"], mask: Bool[Tensor, "B"], denominator: int
) -> Float[Tensor, ""]:
    """Cross-entropy of the parent head to the projected target of Eq. 9.

    `denominator` counts the windows with a target in the whole optimiser step.
    """
    return masked_mean(cross_entropy(logits, torch.where(mask[:, None], target, 0.0)), mask, denominator)
