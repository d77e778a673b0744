"""Options as `lerobot-train` spells them -> options as Vantage's settings are called.

    --steps=3000                        --fit.steps 3000
    --policy.type=act                   --policy LeRobotScratch --policy.type act
    --policy.n_action_steps=8           --policy.settings n_action_steps=8
    --policy.device=cuda                --compute.device cuda
    --rename_map='{"a": "b"}'           --policy.rename-map a b
    --peft.r=16                         --policy.lora Lora --policy.lora.r 16
    --from=runs/arm                     --previous runs/arm

Everything else stays as it is typed.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from vantage.errors import VantageError
from vantage.policies.lerobot.lora import Lora
from vantage.policies.lerobot.spec import LeRobotPolicy, LeRobotScratch

RENAMED = {
    "from": "previous",
    "steps": "fit.steps",
    "batch-size": "fit.batch",
    "save-freq": "fit.save-every",
    "log-freq": "fit.log-every",
    "num-workers": "compute.workers",
    "policy.device": "compute.device",
}
"""LeRobot's option -> the setting that it is, both without dashes in front."""

_OWN = {field.name for kind in (LeRobotPolicy, LeRobotScratch) for field in dataclasses.fields(kind)}


def translate(words: Sequence[str]) -> list[str]:
    """The words with LeRobot's options spelled as ours.

    Raises VantageError for a rename map that is no JSON, and for words before any option.
    """
    translated: list[str] = []
    settings: list[str] = []
    for option, values in _options(words):
        name = option.replace("_", "-")
        if name in RENAMED:
            translated += [f"--{RENAMED[name]}", *values]
        elif name == "policy.type":
            translated += ["--policy", "LeRobotScratch", "--policy.type", *values]
        elif name == "rename-map":
            translated += ["--policy.rename-map", *_pairs(values)]
        elif name.startswith("peft."):
            translated += _adapter(name.removeprefix("peft."), values, translated)
        elif name.startswith("policy.") and _is_lerobots(name.removeprefix("policy.")):
            settings.append(f"{option.removeprefix('policy.')}={' '.join(values)}")
        elif not option and values != ["-h"]:
            raise VantageError(
                f"{values[0]!r} stands before any option; name demonstrations with --demos, episodes of the "
                "policy with --rollouts, an earlier run with --from"
            )
        else:
            translated += [*([f"--{option}"] if option else []), *values]

    return translated + (["--policy.settings", *settings] if settings else [])


def _options(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """(option without its dashes, the words that follow it); first those before any option, with an empty
    name."""
    option, values = "", list[str]()
    for word in words:
        if not word.startswith("--"):
            values.append(word)
            continue
        if option or values:
            yield option, values
        option, equals, value = word[2:].partition("=")
        values = [value] if equals else []
    if option or values:
        yield option, values


def _is_lerobots(name: str) -> bool:
    """Whether a setting of the policy is one of LeRobot's configuration, and none of a spec here."""
    return name.replace("-", "_").partition(".")[0] not in _OWN | {"net", "noise"}


def _pairs(values: Sequence[str]) -> list[str]:
    """The words of a rename map."""
    text = " ".join(values)
    try:
        pairs = json.loads(text)
    except ValueError:
        pairs = None
    if not isinstance(pairs, dict):
        example = '{"observation.images.top": "observation.images.front"}'
        raise VantageError(f"--rename_map is {text!r}; write it as lerobot-train has it: '{example}'")
    return [str(word) for pair in cast(dict[str, Any], pairs).items() for word in pair]


def _adapter(name: str, values: Sequence[str], before: Sequence[str]) -> list[str]:
    """Words for one setting of a LoRA adapter."""
    known = {field.name.replace("_", "-") for field in dataclasses.fields(Lora)}
    if name not in known:
        raise VantageError(f"--peft.{name} is no setting of LoRA here; it has {', '.join(sorted(known))}")
    chosen = [] if "--policy.lora" in before else ["--policy.lora", "Lora"]
    return [*chosen, f"--policy.lora.{name}", *values]
