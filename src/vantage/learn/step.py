"""Losses of parts of a batch in, one better set of parameters out: the one training step of Vantage.

    batch ──part──> loss ──backward──┐
    batch ──part──> loss ──backward──┼──sum──> gradient ──clip──> AdamW at this step's rate ──> parameters
    batch ──part──> loss ──backward──┘                                                      ──> their average

Device, precision, accumulation, clipping, learning rate and averaging are decided here and nowhere else.
Losses are divided by counts of the whole batch (core/losses.py), so that gradients of parts add up to the
gradient of the batch, however it is cut.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vantage.learn.optim import OptimConfig, adam_tensors, group_parameters, lerp, load_adam
from vantage.types import VantageError


@dataclass(frozen=True, slots=True)
class Compute:
    """Where training computes, and how."""

    device: Literal["cpu", "cuda", "mps", "auto"] = "cpu"
    """auto: a GPU where there is one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products in the forward and backward pass (autocast). Parameters, moments and averages
    keep the policy's own precision."""
    accumulate: int = 1
    """Parts that a batch is cut into: less memory, the same gradient."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for a batch in no parts."""
        if self.accumulate < 1:
            raise VantageError(f"compute.accumulate is {self.accumulate}; a batch has at least 1 part")

    def torch_device(self) -> torch.device:
        """The device. Raises `VantageError` where this machine does not have it."""
        present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if self.device == "auto":
            return torch.device(next(name for name in ("cuda", "mps", "cpu") if present[name]))
        if not present[self.device]:
            raise VantageError(
                f"compute.device is {self.device}, which torch does not see here; set it to cpu, or to auto",
            )
        return torch.device(self.device)

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """What a forward pass runs under."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(device.type, dtype=torch.bfloat16)


@dataclass(frozen=True, slots=True)
class Part:
    """One of several equal parts of a batch."""

    number: int = 0
    """Counted from 0."""
    count: int = 1

    def of(self, size: int) -> slice:
        """Its rows, of `size`. Sizes differ by one row at most. Raises `VantageError` where there are more
        parts than rows."""
        if size < self.count:
            raise VantageError(
                f"a batch of {size} cannot be cut into {self.count} parts; lower compute.accumulate",
            )
        return slice(self.number * size // self.count, (self.number + 1) * size // self.count)


class Step(NamedTuple):
    """What one training step did. The tensors stay on the device, so that nobody waits for it who does not
    look."""

    lr: float
    """Learning rate of the step."""
    loss: Float[Tensor, ""]
    """Of the whole batch, before the step."""
    grad_norm: Float[Tensor, ""]
    """Before clipping; NaN where it was not measured."""


class Learner:
    """A module on its device, and all that its training needs: AdamW, a schedule, an average."""

    def __init__(
        self,
        module: nn.Module,
        optim: OptimConfig,
        total_steps: int | None = None,
        compute: Compute = Compute(),
        *,
        whole: bool = False,
        fused: bool = True,
    ) -> None:
        """Moves `module` to the device; its parameters that require a gradient are trained.

        `total_steps`: where the learning rate ends its decay; None: it has none. `whole`: take every batch
        whole and in float32, for networks so small that cutting costs more than it saves. `fused`: AdamW in
        one kernel; False: torch's plain loop, which rounds a weight decay differently in the last bit. Raises
        `VantageError` for a device that this machine does not have.
        """
        self.optim, self.total_steps = optim, total_steps or 1
        assert total_steps or optim.floor == 1, "a learning rate that decays needs an end"
        self.compute = replace(compute, precision="float32", accumulate=1) if whole else compute
        self.device = compute.torch_device()
        self.module = module.to(self.device)
        self.step_count = 0
        self.parameters = {name: p for name, p in self.module.named_parameters() if p.requires_grad}
        saved = self.module.state_dict().keys()
        self.buffers = {name: b for name, b in self.module.named_buffers() if name in saved}

        groups = group_parameters(self.parameters, optim.rates)
        self._peaks = [optim.lr if group.rate is None else group.rate.lr for group in groups]
        self._adapts = [group.rate is None for group in groups]
        self.adam = torch.optim.AdamW(
            [{"params": group.parameters} for group in groups],
            lr=optim.lr,
            betas=optim.betas,
            weight_decay=optim.weight_decay,
            fused=fused,
        )

        self.average: dict[str, Tensor] = {}
        if optim.ema:
            self.average = {name: p.detach().clone() for name, p in self.parameters.items()}

    def step(self, loss_of: Callable[[Part], Float[Tensor, ""]], lr: float | None = None) -> Step:
        """Learn from one batch.

        `loss_of`: loss of one part of the batch, divided by counts of the whole batch; it moves what it needs
        to `device`. `lr`: learning rate in place of the schedule's, for parameters without a rate of their
        own.
        """
        self.adam.zero_grad(set_to_none=True)
        loss = self._backward(loss_of)
        norm = self._clip()
        rate = self._set_rates(lr)
        self.adam.step()

        self.step_count += 1
        self._average()
        return Step(rate, loss, norm)

    def autocast(self) -> AbstractContextManager[object]:
        """What a forward pass outside of `step` runs under, to compute as `step` does."""
        return self.compute.autocast(self.device)

    def _backward(self, loss_of: Callable[[Part], Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """Add up the gradients of all parts; returns the loss of the whole batch."""
        losses: list[Tensor] = []
        for number in range(self.compute.accumulate):
            with self.autocast():
                loss = loss_of(Part(number, self.compute.accumulate))
            loss.backward()
            losses.append(loss.detach())
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _clip(self) -> Float[Tensor, ""]:
        """Scale the gradient down to the largest norm allowed; returns its norm before."""
        if self.optim.clip is None:
            return torch.tensor(float("nan"))
        return nn.utils.clip_grad_norm_(self.parameters.values(), self.optim.clip)

    def _set_rates(self, lr: float | None) -> float:
        """Give every group its learning rate for this step; returns the main one."""
        main = self._scheduled(self.optim.lr) if lr is None else lr
        for group, peak, adapts in zip(self.adam.param_groups, self._peaks, self._adapts, strict=True):
            group["lr"] = main if adapts else self._scheduled(peak)
        return main

    def _scheduled(self, peak: float) -> float:
        """What the schedule makes of a peak learning rate at this step."""
        return self.optim.schedule(peak, self.total_steps)(self.step_count)

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average towards the parameters; in the first steps by more, so that it forgets where
        training began."""
        if not self.average:
            return
        decay = min(self.optim.ema, self.step_count / (self.step_count + 9))
        lerp([*self.average.values()], [p.detach() for p in self.parameters.values()], 1 - decay)

    @torch.no_grad()
    def apply_average(self) -> None:
        """Replace the parameters by their average; without one they stay."""
        for name, tensor in self.average.items():
            self.parameters[name].copy_(tensor)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on exactly, as named tensors. What is frozen is not among it."""
        return {
            **{f"param.{name}": p.detach() for name, p in self.parameters.items()},
            **{f"buffer.{name}": tensor for name, tensor in self.buffers.items()},
            **{f"average.{name}": tensor for name, tensor in self.average.items()},
            **adam_tensors("adam", self.adam, self.parameters),
            "step": torch.tensor(self.step_count),
        }

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` returned. Raises `VantageError` for the state of another module."""
        wanted = {name for name in self.state() if not name.startswith("adam.")}
        different = sorted(wanted ^ {name for name in tensors if not name.startswith("adam.")})
        if different:
            raise VantageError(f"the saved training state is not of these settings ({different[0]}); delete it to begin again")

        self.step_count = int(tensors["step"])
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[f"param.{name}"])
        for name, buffer in self.buffers.items():
            buffer.copy_(tensors[f"buffer.{name}"])
        for name, average in self.average.items():
            average.copy_(tensors[f"average.{name}"])
        load_adam("adam", self.adam, self.parameters, tensors, self.device)


def whole(loss: Float[Tensor, ""]) -> Callable[[Part], Float[Tensor, ""]]:
    """A loss that was computed already, on a whole batch, as what `Learner.step` asks for."""

    def loss_of(part: Part) -> Float[Tensor, ""]:
        assert part.count == 1, "a batch that is computed whole has one part"
        return loss

    return loss_of


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
