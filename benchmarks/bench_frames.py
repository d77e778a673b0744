"""Random 50-step windows with three 480 x 640 cameras: our stores of pictures over LeRobotDataset with
`delta_timestamps`, in one run.

Both read the same dataset, which LeRobot itself records (its default codec: AV1, a key frame every second
picture). What 200,000 frames would take is extrapolated from this recording.

    python -m benchmarks.bench_frames    a table of all three stores, at this size and at three smaller ones
"""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.timing import Row, rate
from vantage.core.segments import last_of_segment
from vantage.data.frames import Compressed, Direct, Raw, Storage, make_frames
from vantage.data.loader import WindowLoader
from vantage.data.v3.read import read_table

FPS, HORIZON, BATCH = 30, 50, 16
CAMERAS = ("front", "left", "wrist")
STORAGES: Mapping[str, Storage] = {"raw": Raw(), "compressed": Compressed(), "direct": Direct()}
LARGE = 200_000
"""Frames of the recording that disk and memory are extrapolated to."""


def scene(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """A random picture that costs a codec what a photograph does: at 480 x 640, 17 kB as AV1 and 65 kB as
    JPEG (a portrait: 13 and 58)."""
    height, width = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    shape = (height, width // 2 + 1)

    planes = []
    for _ in range(3):
        spectrum = (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)) / frequency**1.4
        plane = np.fft.irfft2(spectrum, s=size)
        planes.append(127 + 50 * plane / plane.std())

    grey = np.mean(planes, axis=0)
    return np.stack([0.8 * grey + 0.2 * plane for plane in planes], axis=-1)


def record(root: Path, size: tuple[int, int], episodes: int, length: int) -> None:
    """Let LeRobot record moving scenes, seen by sensors with noise."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    picture = {"dtype": "video", "shape": (*size, 3), "names": ["height", "width", "channels"]}
    features = {f"observation.images.{camera}": picture for camera in CAMERAS} | {
        "observation.state": {"dtype": "float32", "shape": (7,), "names": None},
        "action": {"dtype": "float32", "shape": (7,), "names": None},
    }
    os.environ.setdefault("SVT_LOG", "1")  # the encoder reports every file otherwise
    recorder = LeRobotDataset.create(
        "local/bench",
        FPS,
        features,
        root=root,
        streaming_encoding=True,
        encoder_threads=1,
        video_backend="pyav",
    )
    generator = np.random.default_rng(0)
    for _ in range(episodes):
        scenes = {camera: scene(size, generator) for camera in CAMERAS}
        for frame in range(length):
            shown = {}
            for camera, still in scenes.items():
                moved = np.roll(still, (frame // 2, 2 * frame), axis=(0, 1))
                noise = generator.standard_normal((*size, 1)) * 2.5
                shown[f"observation.images.{camera}"] = np.clip(moved + noise, 0, 255).astype(np.uint8)
            numbers = generator.standard_normal((2, 7)).astype(np.float32)
            recorder.add_frame(
                shown | {"observation.state": numbers[0], "action": numbers[1], "task": "sort the parts"}
            )
        recorder.save_episode()
    recorder.finalize()


def measure(
    size: tuple[int, int], episodes: int = 2, length: int = 150, seconds: float = 3.0
) -> dict[str, float]:
    """Windows per second of every store and of LeRobot; megabytes of each store per thousand frames."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    measured: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        record(folder / "data", size, episodes, length)
        table = read_table(folder / "data", demos=True)
        end = last_of_segment(np.zeros(len(table), np.int64), table.episode_index)
        anchors = np.random.default_rng(1)

        for name, storage in STORAGES.items():
            began = time.process_time()
            store = make_frames(folder / "data", folder / name, storage=storage)
            measured[f"{name} ms to make"] = 1e3 * (time.process_time() - began) / len(table)
            measured[f"{name} MB"] = _bytes(folder / name) / len(table) / 1e3
            loader = WindowLoader.over([table], end, HORIZON, [store], table.cameras)
            measured[name] = rate(
                BATCH, lambda loader=loader: loader.batch(anchors.integers(0, len(table), BATCH)), seconds
            )

        steps = {"action": [step / FPS for step in range(HORIZON)]}
        stock = LeRobotDataset(
            "local/bench",
            root=folder / "data",
            delta_timestamps=steps,
            video_backend="pyav",
            return_uint8=True,
        )
        measured["peer"] = rate(1, lambda: stock[int(anchors.integers(0, len(table)))], seconds)
        measured["video MB"] = _bytes(folder / "data/videos") / len(table) / 1e3
    return measured


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def large_windows(
    size: tuple[int, int] = (480, 640),
    episodes: int = 2,
    length: int = 150,
    seconds: float = 3.0,
) -> Row:
    """The benchmark's row: what is kept by default at this size, beside LeRobot. Other stores have no aim."""
    measured = measure(size, episodes, length, seconds)
    peer = measured["peer"]
    raw, direct = measured["raw"] / peer, measured["direct"] / peer
    return Row.of_rates(measured["compressed"], peer, raw=raw, direct=direct)


def main(
    sizes: Sequence[tuple[int, int]] = ((96, 96), (224, 224), (240, 320), (480, 640)),
    length: int = 150,
    seconds: float = 3.0,
) -> None:
    """Print windows per second and core, and what 200,000 frames of three cameras would take."""
    print(
        f"Per core; GB and hours extrapolated from {2 * length} frames to {LARGE:,}, three cameras;",
        "of LeRobot: its videos.",
    )
    for height, width in sizes:
        measured = measure((height, width), length=length, seconds=seconds)
        for name in (*STORAGES, "peer"):
            disk = measured["video MB" if name == "peer" else f"{name} MB"] * LARGE / 1e6
            made = measured.get(f"{name} ms to make", 0) * LARGE / 3.6e6
            print(
                f"{width:4} x {height:<4} {name:11} {measured[name]:10,.1f} windows/s",
                f"{measured[name] / measured['peer']:8.1f} x LeRobot",
                f"{disk:9,.2f} GB {made:6.2f} core hours to make",
            )


if __name__ == "__main__":
    main()
