"""Losses of parts of a batch in, one better set of parameters out: the one training step of Vantage.

    batch ──part──> loss ──backward──┐
    batch ──part──> loss ──backward──┼──sum──> gradient ──clip──> AdamW at this step's rate ──> parameters
    batch ──part──> loss ──backward──┘                                                      ──> their average

Device, precision, accumulation, clipping, learning rate, averaging and what several processes share are
decided here and nowhere else. Losses are divided by counts of the whole batch (core/losses.py), so that
gradients of parts add up to the gradient of the batch, however it is cut and whoever computes it.

Several processes (vantage.ranks) either hold a copy of the module each (DDP, by accelerate) or a shard of it
(FSDP2, by torch: accelerate ignores its FSDP plugin on the CPU, so that nothing of it could be tested there).
"""

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vantage import ranks
from vantage.bounds import Count, Whole, check
from vantage.learn.optim import OptimConfig, adam_tensors, group_parameters, lerp
from vantage.types import VantageError

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True, slots=True)
class Compute:
    """Where training computes, and how."""

    device: Literal["cpu", "cuda", "mps", "auto"] = "cpu"
    """auto: a GPU where there is one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products in the forward and backward pass (autocast). Parameters, moments and averages
    keep the policy's own precision."""
    accumulate: Count = 1
    """Parts that every process cuts its share of a batch into: less memory, the same gradient."""
    workers: Whole = 1
    """Threads that prepare batches while the one before is used, as LeRobot's --num_workers; 0: batches are
    made in between. Pictures of a batch are decoded on all cores whatever stands here."""
    sharded: bool = False
    """Where several processes train one policy: each holds a shard of parameters, gradients, moments and
    average (FSDP2), instead of a copy of everything (DDP)."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def torch_device(self) -> torch.device:
        """The device; of several GPUs, this process's own.

        Raises `VantageError` where this machine does not have it.
        """
        present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        name = self.device
        if name == "auto":
            name = next(name for name, is_here in present.items() if is_here)

        if not present[name]:
            raise VantageError(
                f"compute.device is {name}, which torch does not see here; set it to cpu, or to auto",
            )
        if name == "cuda" and ranks.count() > 1:
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device(name)

    @property
    def acting(self) -> str:
        """The device on which policies act, in torch's words.

        Raises `VantageError` where this machine does not have it.
        """
        return str(self.torch_device())

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
        """Its rows, of `size`. Sizes differ by one row at most.

        Raises `VantageError` where there are more parts than rows.
        """
        if size < self.count:
            raise VantageError(
                f"a batch of {size} has no {self.count} parts; "
                "lower compute.accumulate, or start fewer processes",
            )
        return slice(self.number * size // self.count, (self.number + 1) * size // self.count)


class Step(NamedTuple):
    """What one training step did.

    The tensors stay on the device: only reading them waits for it.
    """

    lr: float
    """Learning rate of the step."""
    loss: Float[Tensor, ""]
    """Of the whole batch, before the step."""
    grad_norm: Float[Tensor, ""]
    """Before clipping; NaN where it was not measured."""


class Learner:
    """A module on its device, and all that its training needs: AdamW, a schedule, an average."""

    model: Callable[..., Any]
    """What a loss calls in place of the module.

    With several processes, it is what makes them share their gradients.
    """

    def __init__(
        self,
        module: nn.Module,
        optim: OptimConfig,
        total_steps: int | None = None,
        compute: Compute = Compute(),
        *,
        whole: bool = False,
        fused: bool = True,
        units: Sequence[nn.Module] = (),
    ) -> None:
        """Moves `module` to the device; its parameters that require a gradient are trained.

        `total_steps`: where the learning rate ends its decay; None: it has none. `whole`: every process takes
        every batch whole and in float32, for networks so small that cutting costs more than it saves.
        `fused`: AdamW in one kernel; False: torch's plain loop, which rounds a weight decay differently in
        the last bit. `units`: parts of the module that shards are gathered for one at a time, each called as
        a whole in every forward pass; none: all at once. Raises `VantageError` for a device that this machine
        does not have.
        """
        assert total_steps or optim.floor == 1, "a learning rate that decays needs an end"
        self.optim, self.total_steps = optim, total_steps or 1
        self.compute = replace(compute, precision="float32", accumulate=1) if whole else compute
        self.device = compute.torch_device()
        self.module = module.to(self.device)
        self.processes = 1 if whole else ranks.count()
        self.sharded = self.processes > 1 and compute.sharded
        self.model = self._spread(units)
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

    def share(self, size: int) -> slice:
        """Rows of a batch of `size` that this process computes.

        Raises `VantageError` for fewer rows than processes.
        """
        return Part(ranks.number() if self.processes > 1 else 0, self.processes).of(size)

    def step(self, loss_of: Callable[[Part], Float[Tensor, ""]], lr: float | None = None) -> Step:
        """Learn from one batch.

        `loss_of`: loss of one part of this process's share of the batch, divided by counts of the whole
        batch; it moves what it needs to `device` and calls `model`. `lr`: learning rate in place of the
        schedule's, for parameters without a rate of their own.
        """
        with ranks.lost_process_is_a_sentence():
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

    def _spread(self, units: Sequence[nn.Module]) -> Callable[..., Any]:
        """Copy or shard the module over the processes; returns what a loss calls."""
        if self.processes == 1:
            return self.module
        if self.sharded:
            _shard(self.module, units, self.device)
            return self.module
        return _accelerator(self.device.type).prepare_model(self.module)

    def _backward(self, loss_of: Callable[[Part], Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """Add up the gradients of all parts; returns the loss of the whole batch."""
        losses: list[Tensor] = []
        count = self.compute.accumulate
        for number in range(count):
            with self._sharing(number == count - 1):
                with self.autocast():
                    loss = loss_of(Part(number, count))
                # Processes take the mean of their gradients, and the gradient is their sum.
                scaled = loss if self.processes == 1 else loss * self.processes
                scaled.backward()
            losses.append(loss.detach())

        own = losses[0] if count == 1 else torch.stack(losses).sum()
        return own if self.processes == 1 else ranks.total(own)

    @contextmanager
    def _sharing(self, last: bool) -> Generator[None]:
        """Let processes share gradients in the last part of a batch only: before it, each adds up its own."""
        if self.processes == 1 or last:
            if self.sharded:
                cast(Any, self.module).set_requires_gradient_sync(True)
            yield
        elif self.sharded:
            cast(Any, self.module).set_requires_gradient_sync(False)
            yield
        else:
            with _accelerator(self.device.type).no_sync(self.model):
                yield

    def _clip(self) -> Float[Tensor, ""]:
        """Scale the gradient down to the largest norm allowed; returns its norm before."""
        if self.optim.clip is None:
            return torch.tensor(float("nan"))
        return _full(nn.utils.clip_grad_norm_(self.parameters.values(), self.optim.clip))

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
        """Move the average towards the parameters."""
        if not self.average:
            return

        # In the first steps by more, so that the average forgets where training began.
        decay = min(self.optim.ema, self.step_count / (self.step_count + 9))
        lerp([*self.average.values()], [p.detach() for p in self.parameters.values()], 1 - decay)

    @torch.no_grad()
    def is_finite(self) -> bool:
        """Whether every parameter is a number; it waits for the device. All processes must ask.

        A gradient that overflows leaves none behind, though the loss was a number.
        """
        own = [cast(Any, p).to_local() if self.sharded else p for p in self.parameters.values()]
        bad = torch.stack([(~p.isfinite()).any() for p in own]).any().float()
        return not (bad if self.processes == 1 else ranks.total(bad)).item()

    @torch.no_grad()
    def apply_average(self) -> None:
        """Replace the parameters by their average; without one they stay."""
        for name, tensor in self.average.items():
            self.parameters[name].copy_(tensor)

    @torch.no_grad()
    def gather(self) -> None:
        """Make a sharded module whole on the first process's CPU, to be saved and never trained again."""
        if not self.sharded:
            return

        for holder in self.module.modules():
            for name, parameter in list(holder.named_parameters(recurse=False)):
                full = _full(parameter)
                if ranks.is_first():
                    # A copy, because where shards differ in size the whole lies in a larger piece of memory.
                    own = full.cpu().clone()
                    holder.register_parameter(name, nn.Parameter(own, requires_grad=False))

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on exactly, as named tensors. What is frozen is not among it.

        All processes must ask; only the first is given it where the module is sharded.
        """
        tensors = {
            **{f"param.{name}": p.detach() for name, p in self.parameters.items()},
            **{f"buffer.{name}": tensor for name, tensor in self.buffers.items()},
            **{f"average.{name}": tensor for name, tensor in self.average.items()},
            **adam_tensors("adam", self.adam, self.parameters),
            "step": torch.tensor(self.step_count),
        }
        return _gathered(tensors) if self.sharded else tensors

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned, on however many processes.

        Raises `VantageError` for the state of another module.
        """
        wanted = {
            *(f"param.{name}" for name in self.parameters),
            *(f"buffer.{name}" for name in self.buffers),
            *(f"average.{name}" for name in self.average),
            "step",
        }
        different = sorted(wanted ^ {name for name in tensors if not name.startswith("adam.")})
        if different:
            raise VantageError(
                f"the saved training state is not of these settings ({different[0]}); "
                "delete it to start over",
            )

        self.step_count = int(tensors["step"])
        for name, parameter in self.parameters.items():
            parameter.copy_(_like(parameter, tensors[f"param.{name}"]))
        for name, buffer in self.buffers.items():
            buffer.copy_(tensors[f"buffer.{name}"])
        for name, average in self.average.items():
            average.copy_(_like(average, tensors[f"average.{name}"]))
        for path, value in tensors.items():
            if path.startswith("adam."):
                _, moment, name = path.split(".", 2)
                parameter = self.parameters[name]
                self.adam.state[parameter][moment] = _like(parameter, value.to(self.device, copy=True))


@cache
def _accelerator(device: str) -> "Accelerator":
    """What wraps modules for several processes; made once, because accelerate keeps one state per process.

    Raises `VantageError` for what a launcher's configuration would decide behind the settings' back.
    """
    for variable in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM"):
        if os.environ.get(variable, "false").lower() in ("1", "true"):
            raise VantageError(
                f"the launcher's configuration sets {variable}; unset it, and shard by --compute.sharded",
            )
    from accelerate import Accelerator, DistributedDataParallelKwargs

    # Some parameters have no part in the supervised loss, such as a standard deviation.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(cpu=device == "cpu", mixed_precision="no", kwargs_handlers=[unused])


def _shard(module: nn.Module, units: Sequence[nn.Module], device: torch.device) -> None:
    """Leave every process a shard of each parameter, in place."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for parameter in module.parameters():
        parameter.data = parameter.data.contiguous()  # channels-last kernels cannot be cut
    mesh = init_device_mesh(device.type, (ranks.count(),))
    for unit in (*units, module):
        fully_shard(unit, mesh=mesh)


def _full(tensor: Tensor) -> Tensor:
    """A tensor as a whole, where it is a shard; then all processes must ask."""
    # DTensor's class takes seconds to import, so its method is asked for.
    if not hasattr(tensor, "full_tensor"):
        return tensor

    with ranks.lost_process_is_a_sentence():
        return cast(Any, tensor).full_tensor()


def _gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors on the CPU of the first process, one after the other; nothing on the others."""
    gathered: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        full = _full(tensor)
        if ranks.is_first():
            gathered[name] = full.cpu().clone()
    return gathered


def _like(tensor: Tensor, value: Tensor) -> Tensor:
    """A whole tensor cut into the shards of `tensor`, where that has shards and the same shape."""
    if not hasattr(tensor, "full_tensor") or value.shape != tensor.shape:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    shards = cast(DTensor, tensor)
    # Every process has read the whole from the same file, so nobody has to send anything.
    return distribute_tensor(
        value.to(shards.device), shards.device_mesh, shards.placements, src_data_rank=None
    )


def whole(loss: Float[Tensor, ""]) -> Callable[[Part], Float[Tensor, ""]]:
    """A loss that was computed already, on a whole batch, as what `Learner.step` asks for."""

    def loss_of(part: Part) -> Float[Tensor, ""]:
        assert part.count == 1, "a batch that is computed whole has one part"
        return loss

    return loss_of


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
