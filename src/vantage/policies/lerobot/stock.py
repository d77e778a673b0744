"""LeRobot's classes and factories, imported when they are first needed: that takes many seconds, and they are
an extra.

    folder or type, settings ──read_config, fresh_config──> configuration ──build, load_weights──> policy
    folder ──load_processors──> its preprocessor and postprocessor

What LeRobot prints while it builds is kept from the terminal, and what it only warns about is an error here:
a checkpoint whose weights do not fit would otherwise act at random.
"""

import contextlib
import dataclasses
import importlib
import io
import json
import logging
from collections.abc import Generator as Yields
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from vantage.types import VantageError


def require_lerobot() -> None:
    """Raise VantageError where the extra is not installed."""
    try:
        for module in ("lerobot.policies.factory", "transformers"):
            importlib.import_module(module)
    except ImportError as error:
        raise VantageError(
            f"LeRobot's policies are not installed ({error}); pip install 'vantage[lerobot]'"
        ) from error


def read_config(folder: Path, settings: Sequence[str], name: str) -> Any:
    """LeRobot's configuration of a checkpoint with ``name=value`` settings over it. Raises VantageError where
    LeRobot refuses it."""
    require_lerobot()
    from lerobot.configs.policies import PreTrainedConfig

    with _as_sentence(f"{name}: config.json"), quietly():
        return PreTrainedConfig.from_pretrained(
            folder, cli_overrides=[f"--{setting}" for setting in settings]
        )


def fresh_config(kind: str, settings: Sequence[str]) -> Any:
    """LeRobot's configuration of a policy type with ``name=value`` settings. Raises VantageError where
    LeRobot refuses it."""
    require_lerobot()
    import draccus
    from lerobot.configs.policies import PreTrainedConfig

    with _as_sentence(f"settings of {kind}"), quietly():
        chosen = PreTrainedConfig.get_choice_class(kind)
        known = sorted(field.name for field in dataclasses.fields(chosen))
        for setting in settings:
            name = setting.partition("=")[0].partition(".")[0]
            if name not in known:
                raise VantageError(f"LeRobot's {kind} has no setting {name!r}; it has {', '.join(known)}")
        return draccus.parse(chosen, args=[f"--{setting}" for setting in settings])


def as_json(config: Any) -> dict[str, Any]:
    """What LeRobot would write into config.json."""
    import draccus
    from lerobot.configs.policies import PreTrainedConfig

    return json.loads(json.dumps(draccus.encode(config, PreTrainedConfig)))


def feature(kind: str, shape: Sequence[int]) -> Any:
    """One of LeRobot's features, such as ``feature("STATE", (6,))``."""
    from lerobot.configs.types import FeatureType, PolicyFeature

    return PolicyFeature(type=FeatureType(kind), shape=tuple(shape))


def build(config: Any, seed: int, name: str) -> Any:
    """An untrained policy whose weights are a pure function of the configuration and `seed`, on the CPU.

    Raises VantageError where it needs a file that is not there, such as a backbone on the hub.
    """
    from lerobot.policies.factory import get_policy_class

    with _as_sentence(f"{name} ({_needs(config)})"), quietly(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_policy_class(config.type)(config)


def _needs(config: Any) -> str:
    """What a policy fetches while it is built, for a sentence that says what was missing."""
    names = ("vlm_model_name", "vision_encoder_name", "pretrained_backbone_weights")
    fetched = [f"{name}={getattr(config, name)}" for name in names if getattr(config, name, None)]
    return ", ".join([config.type, *fetched])


def load_weights(policy: Any, path: Path, name: str) -> None:
    """Fill a policy with the weights of a file, all of them. Raises VantageError where they do not fit."""
    try:
        state = load_file(path)
    except Exception as error:
        raise VantageError(f"{path} is not a whole safetensors file ({error}); copy it again") from error
    for key, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise VantageError(f"{path} has NaN or infinite weights, the first in {key}; copy it again")

    fix = getattr(policy, "_fix_pytorch_state_dict_keys", None)
    if fix is not None:
        # Checkpoints converted from openpi lack the prefix and name some layers otherwise.
        state = {
            key if key.startswith("model.") else f"model.{key}": tensor
            for key, tensor in fix(state, policy.config).items()
        }

    try:
        missing, unexpected = policy.load_state_dict(state, strict=False)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise VantageError(
            f"{name}: its weights do not fit its config.json ({reason}); leave chunk and widths as they were"
        ) from error

    # safetensors stores a tensor that several names share only once.
    shared = _shared_names(policy)
    missing = [key for key in missing if not any(other in state for other in shared.get(key, ()))]
    if missing:
        raise VantageError(
            f"{name} lacks {len(missing)} of its weights, the first {missing[0]}; copy the checkpoint again"
        )
    foreign = [key for key in unexpected if key not in shared]
    if foreign:
        raise VantageError(
            f"{name} has {len(foreign)} weights that its config.json knows nothing of, the first "
            f"{foreign[0]}; "
            "a checkpoint of an older LeRobot is converted by `python -m "
            "lerobot.processor.migrate_policy_normalization`"
        )


def load_processors(
    config: Any, folder: Path, name: str, rename_map: Mapping[str, str] | None, tokenizer: str | None
) -> tuple[Any, Any]:
    """The checkpoint's preprocessor and postprocessor, on the CPU.

    `rename_map`: instead of the saved one. `tokenizer`: a folder, instead of what the file names.
    """
    from lerobot.policies.factory import make_pre_post_processors

    overrides: dict[str, dict[str, Any]] = {"device_processor": {"device": "cpu"}}
    if rename_map is not None:
        overrides["rename_observations_processor"] = {"rename_map": dict(rename_map)}
    if tokenizer is not None:
        overrides["tokenizer_processor"] = {"tokenizer_name": tokenizer}
    with _as_sentence(f"{name}: its processors"), quietly():
        return make_pre_post_processors(config, pretrained_path=str(folder), preprocessor_overrides=overrides)


def fresh_processors(config: Any, statistics: Mapping[str, Mapping[str, Any]]) -> tuple[Any, Any]:
    """New processors of a configuration with these statistics."""
    from lerobot.policies.factory import make_pre_post_processors

    with _as_sentence(f"{config.type}: its processors"), quietly():
        return make_pre_post_processors(config, dataset_stats=statistics)  # type: ignore[arg-type]


def _shared_names(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Name of a tensor -> the other names of the same tensor."""
    groups: dict[tuple[int, int], list[str]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        groups.setdefault((tensor.data_ptr(), tensor.numel()), []).append(name)

    twins: dict[str, tuple[str, ...]] = {}
    for names in groups.values():
        if len(names) > 1:
            twins |= {name: tuple(other for other in names if other != name) for name in names}
    return twins


@contextmanager
def _as_sentence(what: str) -> Yields[None]:
    """Turn LeRobot's and transformers' ways of refusing into one `VantageError`."""
    try:
        yield
    except VantageError:
        raise
    except (Exception, SystemExit) as error:  # draccus leaves the program where a setting has no such value
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        remedy = "correct it"
        if isinstance(error, OSError):  # of the network, and of transformers about files that it lacks
            remedy = "fetch it where there is a network, or choose settings that need nothing fetched"
            if "pretrained_backbone_weights" in what:
                remedy += " (pretrained_backbone_weights=null)"
        raise VantageError(f"{what} cannot be used by LeRobot ({reason}); {remedy}") from error


@contextmanager
def quietly() -> Yields[None]:
    """A context in which nothing is printed and nothing is logged.

    LeRobot and transformers print and log a lot while they build.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
