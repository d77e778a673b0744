"""Parameters and gradients in, better parameters out: AdamW, its schedule, and the average that acts."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vantage.config import Decay, NotNegative, Positive, Whole, check
from vantage.core.schedules import Cosine


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """AdamW with warm-up, cosine decay, clipping and an exponential average of the weights."""

    lr: Positive = 1e-3
    """Peak learning rate."""
    warmup: Whole = 50
    """Gradient steps of linear warm-up."""
    weight_decay: NotNegative = 1e-4
    clip: Positive = 1.0
    """Largest gradient norm."""
    ema: Decay = 0.99
    """Decay of the averaged weights, which are what acts and is saved; 0: no average."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


class Optimiser:
    """AdamW on every trainable parameter of a module, with its average beside it."""

    def __init__(self, module: nn.Module, config: OptimConfig, total_steps: int) -> None:
        """`total_steps`: where the cosine ends."""
        self.config, self.step_count = config, 0
        self.schedule = Cosine(peak=config.lr, total=total_steps, warm_up=config.warmup)
        self.module = module
        self.parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self.adam = torch.optim.AdamW(self.parameters.values(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
        self.average = {n: p.detach().clone() for n, p in self.parameters.items()}

    def step(self, loss: Tensor) -> tuple[float, float]:
        """Back-propagate and step once. Returns (learning rate, gradient norm before clipping)."""
        lr = self.schedule(self.step_count)
        for group in self.adam.param_groups:
            group["lr"] = lr
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.config.clip)
        self.adam.step()
        self.step_count += 1
        self._average()
        return lr, float(norm)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema, self.step_count / (self.step_count + 9))
        average, current = list(self.average.values()), [p.detach() for p in self.parameters.values()]
        torch._foreach_lerp_(average, current, 1 - decay)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]

    @torch.no_grad()
    def apply_average(self) -> None:
        """Replace the parameters by their average."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.average[name])

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on exactly, as named tensors."""
        tensors = {f"param.{n}": p.detach() for n, p in self.parameters.items()} | {f"average.{n}": t for n, t in self.average.items()}
        return tensors | adam_tensors("adam", self.adam, self.parameters) | {"step": torch.tensor(self.step_count)}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        self.step_count = int(tensors["step"])
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[f"param.{name}"])
            self.average[name].copy_(tensors[f"average.{name}"])
        load_adam("adam", self.adam, self.parameters, tensors)


def adam_tensors(prefix: str, adam: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """The state of an Adam as named tensors: ``prefix.moment.parameter``."""
    return {f"{prefix}.{key}.{name}": value for name, p in parameters.items() for key, value in adam.state.get(p, {}).items()}


def load_adam(prefix: str, adam: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]) -> None:
    """Put back what `adam_tensors` returned."""
    found: dict[str, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        if path.startswith(f"{prefix}."):
            _, key, name = path.split(".", 2)
            found.setdefault(name, {})[key] = value
    for name, state in found.items():
        adam.state[parameters[name]] = state
