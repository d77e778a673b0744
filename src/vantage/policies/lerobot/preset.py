"""config.json of a LeRobot policy -> how its own authors train it: the defaults of fine-tuning it.

The numbers are those that `lerobot-train` uses where nobody says otherwise: each policy's optimizer and
scheduler preset, which stand in its configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vantage.policies.lerobot import stock
from vantage.policies.lerobot.checkpoint import open_checkpoint
from vantage.policies.lerobot.signature import read_signature, with_settings
from vantage.policies.lerobot.spec import LeRobotPolicy, LeRobotScratch

GRAD_CLIP_NORM = 10.0
"""LeRobot's own default, for policies whose configuration has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How a policy is trained where nobody says otherwise."""

    execute: int
    """Steps of a chunk that are executed before the next prediction."""
    lr: float
    """Peak learning rate."""
    betas: tuple[float, float]
    weight_decay: float
    clip: float
    """Largest gradient norm."""
    warmup: int
    """Gradient steps of warm-up, in a training of `decay` steps or more."""
    decay: int | None
    """Gradient steps of the cosine decay; None: the learning rate stays."""
    final_lr: float
    """Learning rate at the end of the decay."""
    apart: tuple[tuple[str, float], ...]
    """(part of a parameter's name, its learning rate), for parameters with a rate of their own."""

    def warmup_of(self, steps: int) -> int:
        """Warm-up of a training of `steps`: LeRobot shortens it with the decay."""
        if self.decay is None or steps >= self.decay:
            return self.warmup
        return self.warmup * steps // self.decay


def preset_of(spec: LeRobotPolicy | LeRobotScratch) -> Preset:
    """The preset of a checkpoint or of a type. Raises VantageError where there is no such policy."""
    if isinstance(spec, LeRobotPolicy):
        checkpoint = open_checkpoint(spec.path)
        config: Mapping[str, Any] = with_settings(checkpoint.config, spec.settings, checkpoint.name)
        name = checkpoint.name
    else:
        config = stock.as_json(stock.fresh_config(spec.type, ["device=cpu", *spec.settings]))
        name = f"a new {spec.type}"
    return read_preset(config, name)


def read_preset(config: Mapping[str, Any], name: str) -> Preset:
    """The preset that a config.json holds. Raises VantageError for a policy that Vantage does not drive, and
    for one that says no learning rate."""
    signature = read_signature(config, name)
    lr = float(config["optimizer_lr"])
    decay = config.get("scheduler_decay_steps")
    first, second = config.get("optimizer_betas") or (0.9, 0.999)

    return Preset(
        execute=signature.execute,
        lr=lr,
        betas=(float(first), float(second)),
        weight_decay=float(config.get("optimizer_weight_decay") or 0.0),
        clip=float(config.get("optimizer_grad_clip_norm") or GRAD_CLIP_NORM),
        warmup=int(config.get("scheduler_warmup_steps") or 0),
        decay=None if decay is None else int(decay),
        final_lr=float(config.get("scheduler_decay_lr") or 0.0) if decay is not None else lr,
        apart=_apart(config, lr),
    )


def _apart(config: Mapping[str, Any], lr: float) -> tuple[tuple[str, float], ...]:
    """Parameters to which LeRobot gives another learning rate than to the rest."""
    match config["type"]:
        case "act":
            name, own = "model.backbone", float(config.get("optimizer_lr_backbone", lr))
        case "multi_task_dit":
            name = "observation_encoder.vision_encoder"
            own = lr * float(config.get("vision_encoder_lr_multiplier", 1.0))
        case _:
            return ()
    return ((name, own),) if own != lr and own > 0 else ()
