"""Parameters and gradients in, better parameters out: AdamW, its schedule, and the average that acts."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vantage.core.schedules import Cosine


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """AdamW with warm-up, cosine decay, clipping and an exponential average of the weights."""

    lr: float = 1e-3
    """Peak learning rate."""
    warmup: int = 50
    """Gradient steps of linear warm-up."""
    weight_decay: float = 1e-4
    clip: float = 1.0
    """Largest gradient norm."""
    ema: float = 0.99
    """Decay of the averaged weights, which are what acts and is saved; 0: no average."""


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
        for name, parameter in self.parameters.items():
            for key, value in self.adam.state.get(parameter, {}).items():
                tensors[f"adam.{key}.{name}"] = value
        return tensors | {"step": torch.tensor(self.step_count)}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        self.step_count = int(tensors["step"])
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[f"param.{name}"])
            self.average[name].copy_(tensors[f"average.{name}"])
            state = {key.split(".", 2)[1]: v for key, v in tensors.items() if key.startswith("adam.") and key.split(".", 2)[2] == name}
            if state:
                self.adam.state[parameter] = state
