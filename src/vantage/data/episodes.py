"""One recorded episode in memory <-> one journal file on disk, safe the moment the episode ends.

    runner ──Episode──> save_episode ──> journal/episode-000012.safetensors ──> load_episode ──> Episode

A journal is a folder of whole files, one per episode: pixels lossless, everything else beside them. Several
processes may write different numbers at once, and a process that is killed loses only the episode it was in.
`dataset.write_dataset` assembles a LeRobotDataset from it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vantage.data.v3.schema import IMAGE_PREFIX
from vantage.disk.files import write_whole
from vantage.types import Trace, VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One recorded episode of T frames. Row t holds what was seen at step t and what was then done."""

    state: Float32[np.ndarray, "T S"]
    """Proprioception before the action (`observation.state`)."""
    environment_state: Float32[np.ndarray, "T E"] | None = None
    """The simulator's true state before the action (`observation.environment_state`)."""
    action: Float32[np.ndarray, "T A"]
    """What was executed."""
    policy_action: Float32[np.ndarray, "T A"]
    """What the policy proposed, also under human control; in demonstrations equal to `action`."""
    intervention: Bool[np.ndarray, "T"]
    """True where a human drove."""
    policy_version: Int64[np.ndarray, "T"]
    """Actor updates since the supervised checkpoint; -1 in demonstrations."""
    success: Bool[np.ndarray, "T"]
    """Whether the task had succeeded after the action (`next.success`)."""
    done: Bool[np.ndarray, "T"]
    """Whether the episode ended after the action (`next.done`)."""
    prompt: str
    """What the robot was told (LeRobot's `task`)."""
    images: Mapping[str, UInt8[np.ndarray, "T _h _w 3"]] = field(default_factory=dict[str, Any])
    """Camera name -> pictures before the action, each camera at a size of its own; empty for runs on true
    state."""
    task: str = ""
    """Machine name of the task, e.g. ``push-v3``."""
    seed: int = 0
    """What the world was reset with."""
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Anything else that JSON can hold."""

    def __post_init__(self) -> None:
        values = {column.name: getattr(self, column.name) for column in fields(self)}
        lengths = {name: len(value) for name, value in values.items() if isinstance(value, np.ndarray)}
        lengths |= {f"{IMAGE_PREFIX}{camera}": len(pictures) for camera, pictures in self.images.items()}
        if len(set(lengths.values())) > 1 or not len(self.action):
            raise VantageError(
                f"an episode needs columns of one length above zero, and these have {lengths}."
            )

    def __len__(self) -> int:
        return len(self.action)

    @property
    def outcome(self) -> bool:
        """Whether the episode succeeded."""
        return bool(self.success.any())

    @property
    def demo(self) -> bool:
        """Whether this is a demonstration: no policy drove a single frame."""
        return bool((self.policy_version < 0).all())

    def trace(self) -> Trace:
        """What credit assignment may look at. A simulated episode has no cuts in time."""
        return Trace(
            intervention=self.intervention,
            policy_version=self.policy_version,
            cut=np.zeros(len(self), bool),
            outcome=self.outcome,
            demo=self.demo,
        )


_COLUMNS = (
    "state",
    "environment_state",
    "action",
    "policy_action",
    "intervention",
    "policy_version",
    "success",
    "done",
)
_FILE = re.compile(r"episode-(\d{6,})\.safetensors")


def episode_path(folder: Path, number: int) -> Path:
    """Where a journal keeps an episode."""
    return folder / f"episode-{number:06d}.safetensors"


def save_episode(folder: Path, number: int, episode: Episode) -> Path:
    """Put one episode on disk; when this returns it survives a kill and a power cut.

    The same number again replaces it. Raises VantageError when the disk is full.
    """
    columns = {name: value for name in _COLUMNS if (value := getattr(episode, name)) is not None}
    columns |= {IMAGE_PREFIX + camera: pictures for camera, pictures in episode.images.items()}
    record = {
        "prompt": episode.prompt,
        "task": episode.task,
        "seed": episode.seed,
        "cameras": list(episode.images),
        "info": dict(episode.info),
    }

    header = {"vantage": json.dumps(record, sort_keys=True, allow_nan=False)}
    path = episode_path(folder, number)
    write_whole(path, save({name: np.ascontiguousarray(value) for name, value in columns.items()}, header))
    return path


def journalled(folder: Path) -> set[int]:
    """Numbers of the episodes that are safe on disk."""
    matches = [_FILE.fullmatch(path.name) for path in folder.glob("episode-*.safetensors")]
    return {int(match[1]) for match in matches if match}


def load_episode(folder: Path, number: int, pixels: bool = True) -> Episode:
    """Read one episode back, bit for bit; `pixels=False` leaves the pictures on disk.

    Raises VantageError for a missing or damaged file.
    """
    path = episode_path(folder, number)
    try:
        with safe_open(path, framework="np") as file:
            record = json.loads(file.metadata()["vantage"])
            names: list[str] = list(file.keys())
            if not pixels:
                names = [name for name in names if not name.startswith(IMAGE_PREFIX)]
            columns = {name: file.get_tensor(name) for name in names}
    except FileNotFoundError as error:
        raise VantageError(f"episode {number} is not in the journal {folder}; record it first.") from error
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        fault = f"{path} is not a whole episode (truncated or damaged)"
        raise VantageError(f"{fault}; delete it and record the episode again.") from error

    images = {camera: columns.pop(IMAGE_PREFIX + camera) for camera in record.pop("cameras") if pixels}
    return Episode(**columns, images=images, **record)
