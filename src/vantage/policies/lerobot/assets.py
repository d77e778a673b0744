"""The backbone folder that config.json refers to -> the same folder beside the checkpoint, found again
wherever the checkpoint is moved.

    vlm_model_name: /runs/x/5-actor/vlm          checkpoint/vlm/{config.json, tokenizer.json, ...}

SmolVLA and multi_task_dit read the architecture and the tokenizer of their backbone from a hub name or a
folder. Hub names are left as they are. A folder that was made for this policy (backbones.py) travels inside
the checkpoint. LeRobot wants an absolute path, so `store_assets` writes the one at which the checkpoint will
stand; Vantage looks beside config.json first, and `settle_paths` corrects a moved checkpoint for stock
LeRobot.
"""

import json
import tempfile
from collections.abc import Generator as Yields
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vantage.disk.files import final_place
from vantage.policies.lerobot.checkpoint import CONFIG, PREPROCESSOR
from vantage.types import VantageError

_SETTINGS = {"smolvla": ("vlm_model_name",), "multi_task_dit": ("vision_encoder_name", "text_encoder_name")}
"""Settings of config.json that name a backbone folder."""
_FOLDERS = {"smolvla": "vlm", "multi_task_dit": "clip"}
"""Folder inside a checkpoint. LeRobot insists on the word clip in the path of multi_task_dit's."""


@dataclass(frozen=True, slots=True)
class Assets:
    """The files of a backbone folder, by name. Small: settings, a tokenizer, and for CLIP first weights of a
    small network."""

    files: Mapping[str, bytes]

    @classmethod
    def of(cls, folder: Path) -> "Assets":
        """Read every file of a folder."""
        return cls({path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()})


def backbone_settings(config: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Setting -> folder, for a checkpoint whose backbone lies beside its config.json. Empty where it does
    not."""
    kind = str(config.get("type"))
    beside = folder / _FOLDERS.get(kind, "")
    if kind not in _SETTINGS or not (beside / CONFIG).is_file():
        return {}
    return {setting: str(beside.resolve()) for setting in _SETTINGS[kind]}


def missing_backbone(config: Mapping[str, Any]) -> str | None:
    """The backbone folder that config.json names and that is gone, if so."""
    named = [str(config.get(setting)) for setting in _SETTINGS.get(str(config.get("type")), ())]
    return next((name for name in named if Path(name).is_absolute() and not Path(name).is_dir()), None)


@contextmanager
def make_folder(assets: Assets | None, kind: str) -> Yields[tuple[str, ...]]:
    """Settings ``name=folder`` of a temporary folder with these files, for building a policy; none without
    assets."""
    if assets is None:
        yield ()
        return
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / _FOLDERS[kind]
        _write(assets, folder)
        yield tuple(f"{setting}={folder}" for setting in _SETTINGS[kind])


def store_assets(assets: Assets, folder: Path, config: Any, before: Any) -> None:
    """Write the files into a checkpoint and let `config` and the tokenizer step of the preprocessor `before`
    refer to them."""
    _write(assets, folder / _FOLDERS[config.type])
    where = str(final_place(folder) / _FOLDERS[config.type])
    for setting in _SETTINGS[config.type]:
        setattr(config, setting, where)
    for step in before.steps:
        if hasattr(step, "tokenizer_name"):
            step.tokenizer_name = where


def _write(assets: Assets, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in assets.files.items():
        (folder / name).write_bytes(content)


def settle_paths(folder: Path) -> None:
    """Correct the paths inside a checkpoint that was moved, so that stock LeRobot finds its backbone again.

    Raises VantageError for a folder that is no checkpoint with a backbone of its own.
    """
    config = json.loads((folder / CONFIG).read_text())
    settings = backbone_settings(config, folder)
    if not settings:
        raise VantageError(f"{folder} keeps no backbone of its own, so there is no path to correct")
    (folder / CONFIG).write_text(json.dumps(config | settings, indent=4))

    processor = json.loads((folder / PREPROCESSOR).read_text())
    for step in processor["steps"]:
        if "tokenizer_name" in step.get("config", {}):
            step["config"]["tokenizer_name"] = next(iter(settings.values()))
    (folder / PREPROCESSOR).write_text(json.dumps(processor, indent=2))
