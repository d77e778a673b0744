"""Pictures of a dataset, at random: what a loader asks of them, and three ways of keeping them.

    dataset ──make_frames(Raw())────────> one array per camera, memory-mapped: a picture costs a copy
            ──make_frames(Compressed())─> JPEG, one file per camera: a picture costs its decoding
            ──make_frames(Direct())─────> an index into the dataset's videos: a picture costs a few decodings
    journal ──frames_from_journal───────> the first of these, lossless

    folder ──open_frames──> Frames ──gather(rows)──> {camera: uint8 [B, h, w, 3]}

A store is a folder, whole or absent. What it will take is said before anything is written. docs/data.md has
the measurements.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8

from vantage.data.stores.compressed import compressed_bytes, open_compressed, place_bytes, write_compressed
from vantage.data.stores.direct import check_direct, direct_settings, open_direct, write_direct
from vantage.data.stores.header import HEADER, Header, damaged, read_header
from vantage.data.stores.raw import frames_from_journal, is_whole_raw, open_raw, raw_bytes, write_raw
from vantage.data.stores.recording import Recording, Size, read_recording
from vantage.disk.files import whole_folder
from vantage.errors import VantageError
from vantage.progress import bar, say

__all__ = [
    "Compressed",
    "Direct",
    "Frames",
    "Plan",
    "Raw",
    "Storage",
    "frames_from_journal",
    "in_bytes",
    "make_frames",
    "open_frames",
    "plan_frames",
]

RAW_LIMIT = 8 << 30
"""Bytes up to which pictures are kept raw by default: what the file cache of an ordinary machine holds."""
OPEN_VIDEO = 9
"""Bytes of memory of one open video, per pixel of its pictures: 2.6 MB were measured at 480 x 640."""


@runtime_checkable
class Frames(Protocol):
    """The pictures of N frames, each camera at a size of its own."""

    @property
    def cameras(self) -> Mapping[str, Size]:
        """Camera -> (height, width)."""
        ...

    def __len__(self) -> int:
        """N."""
        ...

    def gather(
        self, rows: Int64[np.ndarray, "B"], cameras: Sequence[str] | None = None
    ) -> dict[str, UInt8[np.ndarray, "B _h _w 3"]]:
        """The pictures of these frames, in this order; of some cameras or of all.

        Raises IndexError for a row that is not there.
        """
        ...


@dataclass(frozen=True, slots=True)
class Raw:
    """Keep pictures as they are, uncompressed: 553 GB for 200,000 frames of three 480 x 640 cameras."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """Keep pictures as JPEG: some 30 GB for 200,000 frames of three 480 x 640 cameras."""

    quality: int = 90
    """Of the JPEG, 1 to 100."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for a quality that JPEG does not have."""
        if not 1 <= self.quality <= 100:
            raise VantageError(
                f"the quality of compressed pictures is {self.quality}; give a whole number from 1 to 100."
            )


@dataclass(frozen=True, slots=True)
class Direct:
    """Decode from the dataset's own videos: no disk, but more processor time than `Compressed`.

    The rarer key frames are, the more of it.
    """

    most_open: int = 32
    """Video files of each camera that are held open."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for a number of files that cannot be."""
        if self.most_open < 1:
            raise VantageError(f"{self.most_open} video files may be open; give a number of at least 1.")


Storage = Raw | Compressed | Direct


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What keeping pictures will take."""

    storage: Storage
    disk: int
    """Bytes."""
    memory: int
    """Bytes, beside the system's file cache."""
    free: int
    """Bytes free where it will be written."""


def make_frames(
    root: Path, folder: Path, cameras: Mapping[str, Size | None] | None = None, storage: Storage | None = None
) -> Frames:
    """Keep the pictures of a LeRobotDataset in `folder`, where any of them can be had at random.

    A store that fits is used again. `cameras`: name -> the (height, width) that the policy must be given, or
    None where it resizes by itself; only these are kept. None: every camera as it is. `storage` None: raw
    where that is small, else compressed where the disk allows it, else direct. Raises VantageError, before
    anything is written: for a camera that is not there or holds distances (depth), a size that is no whole
    part of the recorded one, a meta/episodes that does not describe the data, and a disk that is too full.
    Raises it on the way for a frame without a picture and for a damaged file; nothing is left then.
    """
    recording = read_recording(root, cameras)
    if cameras is None and recording.info.depth_cameras:
        names = ", ".join(recording.info.depth_cameras)
        say(f"{root}: left out {names}, which holds distances (depth) that no policy here reads.")

    kept = _kept(folder, recording, storage)
    if kept is not None:
        return kept

    plan = plan_frames(recording, folder, storage)
    say(_sentence(recording, folder, plan))
    if plan.disk > plan.free:
        raise VantageError(
            f"{folder} would take {in_bytes(plan.disk)} and its disk has {in_bytes(plan.free)} free; free "
            "some space, name another folder, keep fewer cameras, or choose Compressed() or Direct()."
        )

    header = _header(recording, plan.storage)
    with (
        whole_folder(folder) as temporary,
        bar("pictures", recording.frames * len(recording.kept), "pictures") as advance,
    ):
        match plan.storage:
            case Raw():
                write_raw(recording, temporary, header, advance)
            case Compressed(quality):
                write_compressed(recording, temporary, header, quality, advance)
            case Direct():
                write_direct(recording, temporary, header, advance)
        header.write(temporary)
    return open_frames(folder)


def open_frames(folder: Path) -> Frames:
    """Open an existing store. Raises VantageError where there is none, or not a whole one."""
    header = read_header(folder)
    match header.kind:
        case "raw":
            return open_raw(folder, header)
        case "compressed":
            return open_compressed(folder, header)
        case "direct":
            return open_direct(folder, header)
        case _:
            raise damaged(folder)


def plan_frames(recording: Recording, folder: Path, storage: Storage | None) -> Plan:
    """What keeping these pictures will take; writes nothing.

    The bytes of compressed ones are estimated from a sample. `storage` None: chosen by size. Raises
    VantageError for `Direct` over pictures that are no video.
    """
    free = _free(folder)
    frames, sizes = recording.frames, recording.kept

    chosen = storage or _by_size(recording, free)
    match chosen:
        case Raw():
            return Plan(storage=chosen, disk=raw_bytes(frames, sizes), memory=0, free=free)
        case Compressed(quality):
            memory = place_bytes(frames, len(sizes))
            return Plan(storage=chosen, disk=compressed_bytes(recording, quality), memory=memory, free=free)
        case Direct(most_open):
            check_direct(recording)
            places = frames * len(sizes) * 24
            decoders = 0
            for camera in recording.cameras:
                height, width = recording.native[camera.name]
                decoders += min(most_open, len(recording.videos(camera))) * height * width * OPEN_VIDEO
            return Plan(storage=chosen, disk=places, memory=places + decoders, free=free)


def _by_size(recording: Recording, free: int) -> Storage:
    raw = raw_bytes(recording.frames, recording.kept)
    if raw <= min(RAW_LIMIT, free // 2):
        return Raw()

    compressed = Compressed()
    decodable = all(camera.is_video for camera in recording.cameras)
    if compressed_bytes(recording, compressed.quality) <= free // 2 or not decodable:
        return compressed
    return Direct()


def _header(recording: Recording, storage: Storage) -> Header:
    header = Header(
        kind="raw",
        frames=recording.frames,
        cameras=dict(recording.kept),
        lossless=False,
        source=recording.fingerprint,
    )

    match storage:
        case Raw():
            return header
        case Compressed():
            return replace(header, kind="compressed", settings=asdict(storage))
        case Direct():
            return replace(header, kind="direct", settings=asdict(storage) | direct_settings(recording))


def _kept(folder: Path, recording: Recording, storage: Storage | None) -> Frames | None:
    """The store at `folder`, if it holds just these pictures, kept in the way asked for; else None."""
    if not (folder / HEADER).is_file():
        return None

    try:
        header = read_header(folder)
        wanted = (recording.frames, dict(recording.kept), recording.fingerprint)
        if (header.frames, header.cameras, header.source) != wanted:
            return None
        # Equal mappings may differ in their order, by which the files are numbered.
        if list(header.cameras) != list(recording.kept):
            return None
        if storage is not None and header != _header(recording, storage):
            return None
        if header.kind == "raw" and not is_whole_raw(folder, header):
            return None
        return open_frames(folder)
    except VantageError:
        return None


def _free(folder: Path) -> int:
    """Bytes free on the disk that `folder` is, or will be, on."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def _sentence(recording: Recording, folder: Path, plan: Plan) -> str:
    seen = ", ".join(f"{name} {width} x {height}" for name, (height, width) in recording.kept.items())
    beside = f" and {in_bytes(plan.memory)} of memory" if plan.memory else ""
    about = "about " if isinstance(plan.storage, Compressed) else ""
    return (
        f"pictures of {recording.frames:,} frames ({seen}): {plan.storage} takes {about}"
        f"{in_bytes(plan.disk)} in {folder} ({in_bytes(plan.free)} free){beside}."
    )


def in_bytes(count: int) -> str:
    """A number of bytes for people."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1000:.3g} kB"
