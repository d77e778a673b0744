"""Low-rank adapters by peft, under LeRobot's flag names: most weights freeze, a few new ones train, and only
those are stored."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from vantage.bounds import Count, check
from vantage.policies.lerobot.checkpoint import ADAPTER_WEIGHTS
from vantage.types import VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """What `--peft.*` says to lerobot-train."""

    method_type: str = "LORA"
    """A method of peft's."""
    r: Count = 16
    """Rank."""
    lora_alpha: Count | None = None
    """Scale; the update counts alpha / r. None: peft's own."""
    target_modules: tuple[str, ...] = ()
    """Ends of module names, or one regular expression. Empty: what LeRobot chooses for this policy."""
    full_training_modules: tuple[str, ...] = ()
    """Ends of names of modules that train whole and are stored whole."""
    init_type: str | None = None
    """How the adapters start; None: peft's own."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


_PI05_LAYERS = "action_in_proj|action_out_proj|time_mlp_in|time_mlp_out"
_PI05_TARGETS = rf"(.*\.gemma_expert\..*\.self_attn\.(q|v)_proj|model\.({_PI05_LAYERS}))"
"""LeRobot's list for pi0.5 is pi0's and misses its two time layers (lerobot#4494)."""


def wrap(policy: Any, lora: Lora, base: str, seed: int) -> nn.Module:
    """A peft model around `policy`, whose adapters are a pure function of `seed`. `base`: folder or hub name
    that the adapter will refer to.

    Raises VantageError where peft refuses the settings.
    """
    chosen: dict[str, Any] = {"method_type": lora.method_type, "r": lora.r}
    if lora.lora_alpha is not None:
        chosen["lora_alpha"] = lora.lora_alpha
    if lora.init_type is not None:
        chosen["init_type"] = lora.init_type
    if lora.full_training_modules:
        chosen["full_training_modules"] = list(lora.full_training_modules)
    targets = _targets(policy, lora)
    if targets is not None:
        chosen["target_modules"] = targets

    kept = policy.config.pretrained_path
    policy.config.pretrained_path = base  # LeRobot reads the base's name there
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            wrapped: nn.Module = policy.wrap_with_peft(peft_cli_overrides=chosen)
    except (ValueError, KeyError, TypeError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VantageError(f"peft refuses these settings ({reason}); correct the LoRA settings") from error
    finally:
        policy.config.pretrained_path = kept
    return wrapped


def load(policy: Any, folder: Path) -> nn.Module:
    """The adapter of a folder around `policy`, trainable. Raises VantageError where it does not fit."""
    from peft import PeftModel, get_peft_model_state_dict

    try:
        wrapped = PeftModel.from_pretrained(policy, str(folder), is_trainable=True)
    except (ValueError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[-1].strip() if str(error) else type(error).__name__
        raise VantageError(
            f"{folder} is a LoRA adapter that does not fit its base ({reason}); "
            "restore the base it was made from"
        ) from error

    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
        stored = set(file.keys())
    lacking = set(get_peft_model_state_dict(wrapped)) - stored
    if lacking:
        raise VantageError(
            f"{folder} lacks {len(lacking)} weights of its adapter, the first {min(lacking)}; "
            "copy the folder again"
        )
    return wrapped


def _targets(policy: Any, lora: Lora) -> list[str] | str | None:
    match lora.target_modules:
        case ():
            return _PI05_TARGETS if policy.config.type == "pi05" else None
        case (only,) if only == "all-linear" or re.search(r"[*|()\\^$]", only):
            return only
        case _:
            return list(lora.target_modules)
