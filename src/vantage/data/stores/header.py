"""What a folder of pictures holds: `frames.json`.

By it a store is opened, and recognised as the one that is wanted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vantage.disk.files import read_json, write_json
from vantage.errors import VantageError

HEADER = "frames.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """`frames.json`."""

    kind: str
    """`raw`, `compressed` or `direct`."""
    frames: int
    """N."""
    cameras: Mapping[str, tuple[int, int]]
    """Camera -> (height, width), in the order of the files `camera-0`, `camera-1` ..."""
    lossless: bool
    """Whether the pictures are the recorded ones, which never went through a lossy codec after the camera."""
    source: str | None
    """Fingerprint of the dataset (`v3.meta.fingerprint`); None for pictures out of a journal."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else the kind needs to know."""

    def write(self, folder: Path) -> None:
        """Write `frames.json`, last of all files."""
        cameras = {name: list(size) for name, size in self.cameras.items()}
        record = {
            "kind": self.kind,
            "frames": self.frames,
            "cameras": cameras,
            "lossless": self.lossless,
            "source": self.source,
        }

        write_json(folder / HEADER, record | {"settings": dict(self.settings)})

    def file(self, folder: Path, camera: str, ending: str) -> Path:
        """The file of one camera; cameras are numbered, since a name may be no file name."""
        return folder / f"camera-{list(self.cameras).index(camera)}.{ending}"


def read_header(folder: Path) -> Header:
    """Read `frames.json`. Raises VantageError where there is none, or none of this version."""
    if not (folder / HEADER).is_file():
        remedy = "collect the round again, or make one of its videos with make_frames"
        raise VantageError(f"there is no frame store at {folder}: {remedy}.")

    record = read_json(folder / HEADER)
    try:
        sizes = record["cameras"].items()
        cameras = {str(name): (int(height), int(width)) for name, (height, width) in sizes}
        return Header(**(record | {"cameras": cameras}))
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise damaged(folder) from error


def damaged(folder: Path) -> VantageError:
    """The sentence about a store that cannot be used."""
    remedy = "delete it and collect again, or use make_frames"
    return VantageError(f"the frame store {folder} is damaged or of another version: {remedy}.")
