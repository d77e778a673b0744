"""Every way of keeping pictures gives the right ones: against the recorded arrays, and against LeRobot's own
reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vantage.core.images import area_downsample
from vantage.data.episodes import Episode
from vantage.data.frames import (
    Compressed,
    Direct,
    Frames,
    Raw,
    Storage,
    frames_from_journal,
    make_frames,
    open_frames,
)
from vantage.data.stores.direct import DirectFrames
from vantage.data.stores.header import HEADER
from vantage.data.v3.video import OpenVideo, index_video, read_video
from vantage.types import VantageError

Make = Callable[..., Episode]
Write = Callable[..., Path]
CAMERAS = ("wrist", "corner")
ALL = np.arange(14)
STORAGES = (Raw(), Compressed(95), Direct())


@pytest.fixture
def written(episode: Make) -> list[Episode]:
    return [episode(length, seed=length, cameras=CAMERAS) for length in (5, 1, 8)]


def recorded(written: list[Episode], camera: str, size: int | tuple[int, int]) -> np.ndarray:
    return area_downsample(np.concatenate([one.images[camera] for one in written]), size)


def sizes(size: int | tuple[int, int] | None) -> dict[str, tuple[int, int] | None]:
    return dict.fromkeys(CAMERAS, (size, size) if isinstance(size, int) else size)


@pytest.mark.parametrize("size", [32, 16, 4])
def test_journal_and_lossless_dataset_give_the_same_exact_pictures(
    size: int, written: list[Episode], dataset: Write, tmp_path: Path
) -> None:
    root = dataset(written, images=True)
    built = make_frames(root, tmp_path / "built", sizes(size), Raw())
    direct = frames_from_journal(tmp_path / "journal", [0, 1, 2], tmp_path / "direct", sizes(size))
    assert list(built.cameras) == list(direct.cameras) == list(CAMERAS) and len(built) == len(direct) == 14
    for camera in CAMERAS:
        assert np.array_equal(built.gather(ALL)[camera], recorded(written, camera, size))
        assert np.array_equal(direct.gather(ALL)[camera], recorded(written, camera, size))
    assert direct.header.lossless


@pytest.mark.parametrize("storage", STORAGES, ids=str)
@pytest.mark.parametrize("size", [None, 16])
def test_every_store_holds_the_right_pictures(
    storage: Storage, size: int | None, written: list[Episode], dataset: Write, tmp_path: Path
) -> None:
    store = make_frames(dataset(written), tmp_path / "frames", sizes(size), storage)
    assert dict(store.cameras) == dict.fromkeys(CAMERAS, (size or 32,) * 2) and isinstance(store, Frames)
    for camera in CAMERAS:
        error = np.abs(
            store.gather(ALL)[camera][:, None].astype(int) - recorded(written, camera, size or 32)[None]
        ).mean((2, 3, 4))
        assert (error.argmin(1) == ALL).all() and error.diagonal().max() < 10


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_gather_takes_any_rows_in_any_order(
    storage: Storage, written: list[Episode], dataset: Write, tmp_path: Path
) -> None:
    store = make_frames(dataset(written), tmp_path / "f", sizes(8), storage)
    rows = np.random.default_rng(0).integers(0, 14, 50)
    whole, some = store.gather(ALL), store.gather(rows)
    assert list(some) == list(CAMERAS) and all(
        np.array_equal(some[camera], whole[camera][rows]) for camera in CAMERAS
    )
    assert list(store.gather(rows, ["corner"])) == ["corner"]
    assert store.gather(rows[:0])["wrist"].shape == (0, 8, 8, 3)
    for outside in (-1, 14):
        with pytest.raises(IndexError):
            store.gather(np.array([0, outside]))


@pytest.mark.parametrize("storage", [Raw(), Compressed(95)], ids=str)
@pytest.mark.parametrize("images", [False, True])
def test_pictures_that_are_not_square_and_of_one_camera_alone(
    storage: Storage, images: bool, episode: Make, dataset: Write, tmp_path: Path
) -> None:
    written = [episode(length, seed=length, cameras=CAMERAS, side=(24, 40)) for length in (5, 1, 8)]
    root = dataset(written, images=images)
    store = make_frames(root, tmp_path / "frames", {"corner": (12, 10)}, storage)
    assert dict(store.cameras) == {"corner": (12, 10)} and not list((tmp_path / "frames").glob("camera-1*"))
    shown = store.gather(ALL)["corner"].astype(int)
    assert np.abs(shown - recorded(written, "corner", (12, 10))).mean() < 8
    if storage == Raw() and images:
        assert np.array_equal(shown, recorded(written, "corner", (12, 10)))


def test_a_store_that_fits_is_kept_and_another_one_is_made_again(
    written: list[Episode], episode: Make, dataset: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, folder = dataset(written), tmp_path / "frames"
    make_frames(root, folder, sizes(16))
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "pictures of 14 frames (wrist 16 x 16, corner 16 x 16): Raw() takes 21.5 kB in" in said
        and "free). " in said
    )
    stamp = (folder / HEADER).stat().st_mtime_ns
    assert (
        dict(make_frames(root, folder, sizes(16)).cameras) == sizes(16)
        and (folder / HEADER).stat().st_mtime_ns == stamp
    )
    assert not capsys.readouterr().err, "nothing is written, so nothing is said"

    assert dict(make_frames(root, folder, sizes(8)).cameras) == sizes(8) == dict(open_frames(folder).cameras)
    make_frames(root, folder, sizes(8), Compressed(80))
    assert (
        make_frames(root, folder, sizes(8)).gather(ALL) and "compressed" in (folder / HEADER).read_text()
    ), "any store will do"
    other = dataset([*written[:2], episode(8, seed=9, cameras=CAMERAS)])
    changed = make_frames(other, folder, sizes(8))
    assert "raw" in (folder / HEADER).read_text() and len(changed) == 14, "as many frames, and other pictures"


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_partial_and_damaged_stores(
    storage: Storage, written: list[Episode], dataset: Write, tmp_path: Path
) -> None:
    root, folder = dataset(written), tmp_path / "frames"
    with pytest.raises(VantageError, match="no frame store"):
        open_frames(folder)
    (tmp_path / ".frames.partial").mkdir()
    (tmp_path / ".frames.partial/camera-0.u8").write_bytes(b"half")
    make_frames(root, folder, sizes(8), storage)
    for file in sorted(folder.glob("camera-*")):
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(
            VantageError, match="is damaged or of another version: delete it and collect again"
        ):
            open_frames(folder)
        assert len(make_frames(root, folder, sizes(8), storage)) == 14
    (folder / HEADER).unlink()
    assert len(make_frames(root, folder, sizes(8), storage)) == 14
    (folder / HEADER).write_text('{"frames": 14, "cameras": ["wrist"], "size": 8, "lossless": false}')
    with pytest.raises(VantageError, match="of another version"):
        open_frames(folder)


def test_no_more_videos_are_open_than_may_be(stock: Path, tmp_path: Path) -> None:
    free = make_frames(stock, tmp_path / "free", storage=Direct())
    frugal = make_frames(stock, tmp_path / "frugal", storage=Direct(most_open=1))
    assert isinstance(frugal, DirectFrames)
    rows = np.random.default_rng(0).permutation(25)
    for _ in range(2):
        shown, wanted = frugal.gather(rows), free.gather(rows)
        assert all(np.array_equal(shown[camera], wanted[camera]) for camera in wanted)
    assert [len(files.opened) for files in frugal.files.values()] == [1, 1]
    with pytest.raises(VantageError, match="0 video files may be open"):
        Direct(0)


def test_a_video_that_changed_since_is_noticed(
    written: list[Episode], dataset: Write, tmp_path: Path
) -> None:
    root, folder = dataset(written), tmp_path / "frames"
    make_frames(root, folder, storage=Direct())
    video = next(root.glob("videos/*/*/*.mp4"))
    video.write_bytes(video.read_bytes() + b"more")
    with pytest.raises(VantageError, match=r"video .* is missing or has changed since .* was made of it"):
        open_frames(folder)


def test_what_cannot_be_kept_is_refused_before_anything_is_written(
    written: list[Episode], episode: Make, dataset: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = dataset(written)
    with pytest.raises(
        VantageError,
        match=r"camera wrist of .* is 32 x 32 px and the policy wants 24 x 24 px; "
        "give it a policy that resizes",
    ):
        make_frames(root, tmp_path / "frames", sizes(24))
    with pytest.raises(
        VantageError, match=r"the policy looks at camera top, which .* lacks \(it has: wrist, corner\)"
    ):
        make_frames(root, tmp_path / "frames", {"top": None})
    with pytest.raises(VantageError, match="quality of compressed pictures is 0"):
        Compressed(0)
    monkeypatch.setattr("vantage.data.frames._free", lambda folder: 1000)
    for storage in (Raw(), Compressed()):
        with pytest.raises(VantageError, match=r"would take .* and its disk has 1 kB free; free some space"):
            make_frames(root, tmp_path / "frames", storage=storage)
    monkeypatch.undo()
    with pytest.raises(VantageError, match="has no cameras"):
        make_frames(dataset([episode(3)]), tmp_path / "frames")
    with pytest.raises(VantageError, match=r"camera wrist of .* is stored as pictures in the data files"):
        make_frames(dataset(written, images=True), tmp_path / "frames", storage=Direct())
    assert not (tmp_path / "frames").exists()


def test_storage_by_size(
    written: list[Episode], dataset: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = dataset(written)
    monkeypatch.setattr("vantage.data.frames.RAW_LIMIT", 1000)
    make_frames(root, tmp_path / "a")
    assert '"compressed"' in (tmp_path / "a" / HEADER).read_text()
    monkeypatch.setattr("vantage.data.frames._free", lambda folder: 20_000)
    make_frames(root, tmp_path / "b")
    assert '"direct"' in (tmp_path / "b" / HEADER).read_text()


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_a_picture_that_is_not_there_is_never_black(
    storage: Storage, written: list[Episode], dataset: Write, tmp_path: Path
) -> None:
    root = dataset(written)
    video = root / "videos/observation.images.corner/chunk-000/file-000.mp4"
    pictures = [picture for _, picture in read_video(video)]
    from vantage.data.v3.video import VideoWriter

    with VideoWriter(video, 20, 32, 32) as writer:
        writer.add(np.stack(pictures[:9]))
    with pytest.raises(VantageError, match="lacks 5 pictures that its dataset needs"):
        make_frames(root, tmp_path / "frames", storage=storage)
    assert not (tmp_path / "frames").exists()


# -------------------------------------------------------------------------------------- LeRobot is the oracle


def record_with_lerobot(root: Path, lengths: tuple[int, ...], **options: Any) -> None:
    """A dataset that LeRobot itself writes: two cameras of two sizes, neither square, and video files of a
    few episodes each."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    names = ["height", "width", "channels"]
    features = {
        "observation.images.top": {"dtype": "video", "shape": (48, 64, 3), "names": names},
        "observation.images.wrist": {"dtype": "video", "shape": (64, 32, 3), "names": names},
        "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
        "action": {"dtype": "float32", "shape": (2,), "names": {"motors": ["x", "y"]}},
    }
    recorder = LeRobotDataset.create("local/stock", 30, features, root=root, encoder_threads=1, **options)
    draw = np.random.default_rng(0)
    for length in lengths:
        for _ in range(length):
            recorder.add_frame(
                {
                    "observation.images.top": draw.integers(0, 256, (48, 64, 3), dtype=np.uint8),
                    "observation.images.wrist": draw.integers(0, 256, (64, 32, 3), dtype=np.uint8),
                    "observation.state": np.zeros(2, np.float32),
                    "action": np.zeros(2, np.float32),
                    "task": "lift",
                }
            )
        recorder.save_episode()
    recorder.finalize()


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lerobot.configs import RGBEncoderConfig

    root = tmp_path_factory.mktemp("lerobot") / "stock"
    encoder = RGBEncoderConfig(vcodec="h264", preset="ultrafast", crf=23)
    record_with_lerobot(
        root, (7, 4, 8, 6), rgb_encoder=encoder, streaming_encoding=True, video_files_size_in_mb=0.02
    )
    assert len(list(root.glob("videos/observation.images.top/*/*.mp4"))) > 1, (
        "several files, some with several episodes"
    )
    return root


@pytest.mark.parametrize("storage", [Raw(), Direct()], ids=str)
def test_pictures_are_lerobots_own_to_the_bit(storage: Storage, stock: Path, tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    store = make_frames(stock, tmp_path / "frames", {"wrist": None, "top": None}, storage)
    opened = LeRobotDataset("local/stock", root=stock, video_backend="pyav", return_uint8=True)
    gathered = store.gather(np.arange(25))
    for row in range(25):
        for camera in ("wrist", "top"):
            theirs = opened[row][f"observation.images.{camera}"].permute(1, 2, 0).numpy()
            assert np.array_equal(gathered[camera][row], theirs), (row, camera)


def test_compressed_pictures_are_near(stock: Path, tmp_path: Path) -> None:
    exact = make_frames(stock, tmp_path / "raw", storage=Raw()).gather(np.arange(25))
    near = make_frames(stock, tmp_path / "jpeg", storage=Compressed(95)).gather(np.arange(25))
    for camera, pictures in exact.items():
        assert (
            near[camera].shape == pictures.shape and np.abs(near[camera].astype(int) - pictures).mean() < 20
        )  # noise, the hardest


# ----------------------------------------------------------------------------------------- videos of any kind


def write_video(path: Path, options: dict[str, str], rate: int = 30, frames: int = 40) -> None:
    """A grey level per picture, so that a picture is known by its brightness."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate, options=options | {"threads": "1"})
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p"
        for number in range(frames):
            container.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(np.full((32, 48, 3), 6 * number, np.uint8), format="rgb24")
                )
            )
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    "options",
    [
        {"g": "2", "x264-params": "scenecut=0:bframes=0"},
        {"g": "12", "x264-params": "scenecut=0:bframes=3:b-adapt=0"},
        {"g": "250", "x264-params": "scenecut=0:bframes=2:b-adapt=0"},
        {"g": "10", "x264-params": "open_gop=1:scenecut=0:bframes=3:b-adapt=0"},
    ],
    ids=["every second picture", "pictures from both sides", "one key frame", "open groups"],
)
def test_random_pictures_of_a_video_are_those_read_in_order(options: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    write_video(path, options | {"preset": "veryfast", "crf": "5"})
    straight = np.stack([picture for _, picture in read_video(path)])
    assert np.abs(straight.mean((1, 2, 3)) - 6 * np.arange(40)).max() < 4
    index = index_video(path)
    video = OpenVideo(path, index)
    draw = np.random.default_rng(0)
    wanted = [
        np.array([39]),
        np.array([0]),
        np.arange(40),
        *(np.sort(draw.integers(0, 40, count)) for count in (1, 1, 3, 10, 30)),
    ]
    for positions in (*wanted, np.array([39, 39]), np.array([], np.int64)):
        found = list(video.read(positions))
        assert len(found) == len(positions)
        assert all(
            np.array_equal(picture, straight[place]) for picture, place in zip(found, positions, strict=True)
        ), positions
    with pytest.raises(VantageError, match="has 40 pictures and picture 40 was asked for"):
        next(video.read(np.array([40])))
    video.close()
    assert len(index) == 40 and index.group == {"2": 2, "12": 12, "250": 40, "10": 10}[options["g"]]
