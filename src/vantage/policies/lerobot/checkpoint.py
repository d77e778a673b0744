"""A path or a hub name -> the folder that holds a LeRobot policy, and what its JSON files say, before
anything of LeRobot is imported.

    runs/x · runs/x/round-03 · outputs/train/x · .../last · .../pretrained_model · user/name ──> Checkpoint

A checkpoint is a `pretrained_model` folder: config.json with a "type", model.safetensors (or a LoRA adapter
beside the name of its base), policy_preprocessor.json and policy_postprocessor.json. Vantage adds
vantage.json: what the policy was trained on, which LeRobot does not keep. Stock LeRobot ignores that file.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from vantage.disk.layout import Round
from vantage.types import VantageError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PREPROCESSOR = "policy_preprocessor.json"
POSTPROCESSOR = "policy_postprocessor.json"
RECORD = "vantage.json"

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What vantage.json says: facts of the training data that LeRobot's own files do not keep. All unknown
    for a stock checkpoint."""

    cameras: tuple[str, ...] | None = None
    """The policy's camera keys that the data filled; the others stayed empty."""
    state_names: tuple[str, ...] | None = None
    action_names: tuple[str, ...] | None = None
    fps: float | None = None
    noise: float = 1.0
    """Scale of the noise that acting starts from; 0 is zero-noise inference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The JSON files of one policy."""

    folder: Path
    name: str
    """The hub name or the absolute folder, for whoever refers to it later."""
    config: Mapping[str, Any]
    """config.json."""
    base: "Checkpoint | None" = None
    """Of a LoRA adapter: the policy that it adapts."""
    rename_map: Mapping[str, str] = field(default_factory=dict[str, str])
    """The saved preprocessor's: key of the data -> key of the policy."""
    record: Record = Record()

    @property
    def weights(self) -> Path:
        """The file with the (base) policy's weights."""
        return (self.base or self).folder / WEIGHTS


def open_checkpoint(path: str) -> Checkpoint:
    """Find a policy and read what its JSON files say; a hub name is downloaded, or found in the cache.

    Raises VantageError where there is none, or where a part is missing.
    """
    folder, name = _locate(path)
    config = _read(folder / CONFIG)
    if "is" in config and "type" not in config:
        raise VantageError(
            f"{name} is a policy of `vantage run`, not of LeRobot's; write it as one with "
            f"`vantage export {shlex.quote(name)} --out FOLDER`"
        )
    if not (folder / PREPROCESSOR).is_file() or not (folder / POSTPROCESSOR).is_file():
        raise VantageError(
            f"{name} lacks {PREPROCESSOR} or {POSTPROCESSOR}, so its scales are unknown; a checkpoint of an "
            "older LeRobot is "
            "converted by `python -m lerobot.processor.migrate_policy_normalization`"
        )

    base = None
    if (folder / ADAPTER).is_file():
        base = _base_of(folder, name)
    elif not (folder / WEIGHTS).is_file():
        raise VantageError(f"{name} has {CONFIG} but no {WEIGHTS}; copy the whole pretrained_model folder")

    return Checkpoint(
        folder=folder,
        name=name,
        config=config,
        base=base,
        rename_map=_saved_rename_map(folder),
        record=_read_record(folder / RECORD),
    )


def write_record(folder: Path, record: Record) -> None:
    """Write vantage.json."""
    values = {
        "cameras": record.cameras,
        "state_names": record.state_names,
        "action_names": record.action_names,
        "fps": record.fps,
        "noise": record.noise,
    }
    (folder / RECORD).write_text(json.dumps(values, indent=2) + "\n")


def _locate(path: str) -> tuple[Path, str]:
    """(folder with config.json, name) of whatever a user may point at."""
    given = Path(path).expanduser()
    if not given.exists():
        if _HUB_NAME.fullmatch(path) and not given.parent.exists():
            return _from_hub(path), path
        raise VantageError(
            f"{path} does not exist; name a checkpoint folder, a run folder, "
            "or a hub name such as lerobot/smolvla_base"
        )

    for folder in _candidates(given):
        if (folder / CONFIG).is_file():
            return folder.resolve(), str(folder.resolve())
    raise VantageError(
        f"{path} holds no policy ({CONFIG} is missing, also in pretrained_model, checkpoints/last and the "
        "newest round); "
        "name the folder that holds it"
    )


def _candidates(folder: Path) -> list[Path]:
    """Where a policy may lie, seen from a folder that a user names: nearest first, newest first."""
    rounds = [Round.at(path) for path in folder.glob("round-*") if re.fullmatch(r"round-\d\d+", path.name)]
    newest = [entry.actor for entry in sorted(rounds, key=lambda entry: entry.number, reverse=True)]
    last = Path("last") / "pretrained_model"
    inside = [folder / "pretrained_model", folder / last, folder / "checkpoints" / last, Round(folder).actor]
    return [folder, *inside, *newest]


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except LocalEntryNotFoundError as error:
        raise VantageError(
            f"{name} is no folder here, is not in the hub's cache, and the hub cannot be reached; "
            f"give a folder, or fetch it where there is a network: hf download {name}"
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VantageError(
            f"{name} cannot be fetched from the hub ({reason}); check the name, or give a folder"
        ) from error


def _base_of(folder: Path, name: str) -> Checkpoint:
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise VantageError(f"{name} is a LoRA adapter without {ADAPTER_WEIGHTS}; copy the whole folder")
    base = _read(folder / ADAPTER).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise VantageError(
            f"{name} is a LoRA adapter that does not name its base; "
            f"put base_model_name_or_path into {ADAPTER}"
        )

    try:
        base_folder, base_name = _locate(base)
    except VantageError as error:
        raise VantageError(
            f"{name} is a LoRA adapter of {base}, which cannot be opened ({error}); "
            f"restore it, or correct base_model_name_or_path in {ADAPTER}"
        ) from error
    if not (base_folder / WEIGHTS).is_file():
        raise VantageError(
            f"{name} is a LoRA adapter of {base}, which has no {WEIGHTS}; "
            "an adapter needs a whole policy under it"
        )
    return Checkpoint(folder=base_folder, name=base_name, config=_read(base_folder / CONFIG))


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VantageError(f"{path} is not valid JSON ({error}); copy the checkpoint again") from error
    except RecursionError as error:
        raise VantageError(
            f"{path} is not valid JSON (it is nested too deep to be read); copy the checkpoint again"
        ) from error
    if not isinstance(values, dict):
        raise VantageError(f"{path} holds no settings; copy the checkpoint again")
    return cast(dict[str, Any], values)


def _saved_rename_map(folder: Path) -> dict[str, str]:
    steps = cast(list[dict[str, Any]], _read(folder / PREPROCESSOR).get("steps", []))
    for step in steps:
        if step.get("registry_name") == "rename_observations_processor":
            return dict(step.get("config", {}).get("rename_map") or {})
    return {}


def _read_record(path: Path) -> Record:
    if not path.is_file():
        return Record()
    values = _read(path)
    lists = {name: values.get(name) for name in ("cameras", "state_names", "action_names")}

    words = {
        name: None if value is None else tuple(str(entry) for entry in value) for name, value in lists.items()
    }
    return Record(
        **words,
        fps=values.get("fps"),
        noise=float(values.get("noise", 1.0)),
    )
