"""Parameters and settings in, AdamW with its learning rates and its named state out.

Beside it, the slow copies that follow a module.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vantage.bounds import Decay, NotNegative, Positive, Share, Whole, check
from vantage.core.schedules import Cosine


@dataclass(frozen=True, slots=True)
class Rate:
    """A learning rate of its own for some parameters."""

    name: str
    """Parameters whose name contains this."""
    lr: Positive
    """Peak learning rate; warm-up and decay are those of the rest."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """AdamW with warm-up, cosine decay, clipping and an exponential average of the weights."""

    lr: Positive = 1e-3
    """Peak learning rate."""
    warmup: Whole = 50
    """Gradient steps of linear warm-up."""
    weight_decay: NotNegative = 1e-4
    clip: Positive | None = 1.0
    """Largest gradient norm; None: gradients are neither clipped nor measured."""
    ema: Decay = 0.99
    """Decay of the averaged weights, which act and are saved; 0: no average, and no memory for one."""
    floor: Share = 0.0
    """Share of the peak learning rate that is left at the last step; 1: constant after the warm-up."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of Adam's two moments."""
    rates: tuple[Rate, ...] = ()
    """Parameters that learn at a rate of their own; the first that fits counts."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def schedule(self, peak: float, total_steps: int) -> Cosine:
        """Learning rate of every gradient step."""
        return Cosine(peak=peak, total=total_steps, warm_up=self.warmup, floor=self.floor)


def constant_rate(
    lr: float,
    *,
    weight_decay: float = 0.0,
    clip: float | None = None,
    rates: tuple[Rate, ...] = (),
) -> OptimConfig:
    """AdamW at a constant learning rate from the first step, without an average.

    Without weight decay it is Adam.
    """
    return OptimConfig(
        lr=lr,
        warmup=0,
        weight_decay=weight_decay,
        clip=clip,
        ema=0.0,
        floor=1.0,
        rates=rates,
    )


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share a learning rate."""

    rate: Rate | None
    """None: the learning rate of the settings."""
    parameters: list[nn.Parameter]


def group_parameters(parameters: Mapping[str, nn.Parameter], rates: tuple[Rate, ...]) -> list[Group]:
    """Deal parameters to the rates whose name theirs contains, in the order given; what fits none comes
    first. Empty groups are left out."""
    main = Group(None, [])
    apart = [Group(rate, []) for rate in rates]

    for name, parameter in parameters.items():
        fitting = [group for group in apart if group.rate is not None and group.rate.name in name]
        (fitting[0] if fitting else main).parameters.append(parameter)
    return [group for group in (main, *apart) if group.parameters]


@torch.no_grad()
def lerp(slow: list[Tensor], fast: list[Tensor], share: float) -> None:
    """Move tensors in place by `share` of the way to others: one kernel for all of them."""
    torch._foreach_lerp_(slow, fast, share)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]


def move_towards(slow: nn.Module, fast: nn.Module, share: float) -> None:
    """Move every parameter of `slow` by `share` of the way to the same parameter of `fast`: a Polyak
    average, or a target network."""
    lerp([*slow.parameters()], [*fast.parameters()], share)


def adam_tensors(
    prefix: str,
    adam: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
) -> dict[str, Tensor]:
    """The state of an Adam as named tensors: ``prefix.moment.parameter``."""
    return {
        f"{prefix}.{moment}.{name}": value
        for name, parameter in parameters.items()
        for moment, value in adam.state.get(parameter, {}).items()
    }
