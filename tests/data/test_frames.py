from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vantage.core.images import area_downsample
from vantage.data.episodes import Episode
from vantage.data.frames import HEADER, PIXELS, FrameStore
from vantage.types import VantageError

Make = Callable[..., Episode]
Write = Callable[..., Path]
CAMERAS = ("wrist", "corner")


@pytest.fixture
def written(episode: Make) -> list[Episode]:
    return [episode(length, seed=length, cameras=CAMERAS) for length in (5, 1, 8)]


def wanted(written: list[Episode], size: int) -> np.ndarray:
    return np.stack([area_downsample(np.concatenate([one.images[camera] for one in written]), size) for camera in CAMERAS], axis=1)


@pytest.mark.parametrize("size", [32, 16, 4])
def test_journal_and_lossless_dataset_give_the_same_exact_pictures(
    size: int, written: list[Episode], dataset: Write, tmp_path: Path
) -> None:
    root = dataset(written, images=True)
    built = FrameStore.build(root, tmp_path / "built", size)
    direct = FrameStore.from_journal(tmp_path / "journal", [0, 1, 2], tmp_path / "direct", size)
    assert built.header.cameras == direct.header.cameras == CAMERAS and len(built) == 14
    assert np.array_equal(built.pixels, wanted(written, size)) and np.array_equal(direct.pixels, built.pixels)
    assert direct.header.lossless


def test_video_pictures_are_the_right_ones(written: list[Episode], dataset: Write, tmp_path: Path) -> None:
    store = FrameStore.build(dataset(written), tmp_path / "frames", 32)
    error = np.abs(store.pixels[:, None].astype(int) - wanted(written, 32)[None]).mean((2, 3, 4, 5))
    assert (error.argmin(1) == np.arange(14)).all() and error.diagonal().max() < 8


def test_gather_equals_plain_indexing(written: list[Episode], dataset: Write, tmp_path: Path) -> None:
    dataset(written)
    store = FrameStore.from_journal(tmp_path / "journal", [0, 1, 2], tmp_path / "f", 8)
    rows = np.random.default_rng(0).integers(0, 14, 50)
    out = np.empty((50, 2, 8, 8, 3), np.uint8)
    assert np.array_equal(store.gather(rows), store.pixels[rows])
    assert store.gather(rows, out) is out and np.array_equal(out, store.pixels[rows])
    assert store.gather(rows[:0]).shape == (0, 2, 8, 8, 3)
    for outside in (-1, 14):
        with pytest.raises(IndexError):
            store.gather(np.array([0, outside]))


def test_a_store_that_fits_is_kept_and_another_one_is_built_again(written: list[Episode], dataset: Write, tmp_path: Path) -> None:
    root, folder = dataset(written), tmp_path / "frames"
    FrameStore.build(root, folder, 16)
    stamp = (folder / PIXELS).stat().st_mtime_ns
    assert FrameStore.build(root, folder, 16).header.size == 16 and (folder / PIXELS).stat().st_mtime_ns == stamp
    assert FrameStore.build(root, folder, 8).header.size == 8 and FrameStore.open(folder).pixels.shape == (14, 2, 8, 8, 3)


def test_partial_and_missing_stores(written: list[Episode], dataset: Write, tmp_path: Path) -> None:
    root, folder = dataset(written), tmp_path / "frames"
    with pytest.raises(VantageError, match="no frame store"):
        FrameStore.open(folder)
    (tmp_path / ".frames.partial").mkdir()
    (tmp_path / ".frames.partial/frames.u8").write_bytes(b"half")
    FrameStore.build(root, folder, 8)
    (folder / PIXELS).write_bytes((folder / PIXELS).read_bytes()[:-1])
    with pytest.raises(VantageError, match="is damaged: delete it and collect again, or make one of its videos"):
        FrameStore.open(folder)
    assert len(FrameStore.build(root, folder, 8)) == 14
    (folder / HEADER).unlink()
    assert len(FrameStore.build(root, folder, 8)) == 14


def test_sizes_that_do_not_divide_and_datasets_without_cameras(
    written: list[Episode], episode: Make, dataset: Write, tmp_path: Path
) -> None:
    root = dataset(written)
    with pytest.raises(VantageError, match="camera wrist is 32 x 32 px and the policy wants 24; record square pictures"):
        FrameStore.build(root, tmp_path / "frames", 24)
    with pytest.raises(VantageError, match="has no cameras"):
        FrameStore.build(dataset([episode(3)]), tmp_path / "frames", 16)
    assert not (tmp_path / "frames").exists()


def test_what_stock_lerobot_recorded_as_video(episode: Make, tmp_path: Path) -> None:
    from lerobot.configs import RGBEncoderConfig
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    written = [episode(length, seed=length, cameras=("top",), side=64) for length in (7, 4, 8)]
    features = {
        "observation.images.top": {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channels"]},
        "observation.state": {"dtype": "float32", "shape": (4,), "names": None},
        "action": {"dtype": "float32", "shape": (3,), "names": None},
    }
    encoder = RGBEncoderConfig(vcodec="h264", preset="ultrafast", crf=10)
    recorder = LeRobotDataset.create(
        "local/stock", 30, features, root=tmp_path / "stock", rgb_encoder=encoder, encoder_threads=1, streaming_encoding=True
    )
    for one in written:
        for frame in range(len(one)):
            seen = {"observation.images.top": one.images["top"][frame], "observation.state": one.state[frame]}
            recorder.add_frame(seen | {"action": one.action[frame], "task": "lift"})
        recorder.save_episode()
    recorder.finalize()
    store = FrameStore.build(tmp_path / "stock", tmp_path / "frames", 16)
    pictures = area_downsample(np.concatenate([one.images["top"] for one in written]), 16)
    error = np.abs(store.pixels[:, None, 0].astype(int) - pictures[None]).mean((2, 3, 4))
    assert (error.argmin(1) == np.arange(19)).all() and error.diagonal().max() < 5
