"""Every way in which a dataset can be wrong is one sentence that says where."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vantage.data.episodes import Episode
from vantage.data.frames import make_frames
from vantage.data.v3.read import read_table
from vantage.types import VantageError

DATA = "data/chunk-000/file-000.parquet"
Make = Callable[..., Episode]
Write = Callable[..., Path]


@pytest.fixture
def root(episode: Make, dataset: Write) -> Path:
    return dataset([episode(drivers="PPHHP", seed=1), episode(6, seed=2, prompt="open the drawer")])


def change(root: Path, column: str, values: pa.Array | np.ndarray | None) -> None:
    """Replace a column of the data file (None: drop it), and what info.json says of it."""
    table = pq.read_table(root / DATA)
    place = table.column_names.index(column)
    table = (
        table.remove_column(place) if values is None else table.set_column(place, column, pa.array(values))
    )
    pq.write_table(table, root / DATA)
    info = json.loads((root / "meta/info.json").read_text())
    if values is None:
        del info["features"][column]
    (root / "meta/info.json").write_text(json.dumps(info))


def column(root: Path, name: str) -> np.ndarray:
    return np.stack(pq.read_table(root / DATA).column(name).to_pylist())


def vectors(values: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1).astype(np.float32)), values.shape[1])


def test_reads_back_what_was_recorded(episode: Make, dataset: Write) -> None:
    written = [
        episode(drivers="PPHHP", seed=1, truth=True),
        episode(6, seed=2, prompt="open the drawer", truth=True),
    ]
    table = read_table(dataset(written))
    for name in (
        "state",
        "environment_state",
        "action",
        "policy_action",
        "intervention",
        "policy_version",
        "success",
    ):
        assert np.array_equal(
            getattr(table, name), np.concatenate([getattr(one, name) for one in written])
        ), name
    assert table.index.tolist() == list(range(11)) and table.frame_index.tolist() == [*range(5), *range(6)]
    assert (
        table.prompts == ("push the puck", "open the drawer") and table.prompt.tolist() == [0] * 5 + [1] * 6
    )
    assert (table.fps, table.cameras, table.episodes, len(table)) == (20, (), 2, 11) and not table.cut.any()
    first, second = (
        table.trace(rows, outcome) for rows, outcome in zip(table.slices, (True, None), strict=True)
    )
    assert first.intervention.tolist() == [False, False, True, True, False] and second.outcome is None
    assert all(column.flags.c_contiguous for column in (table.state, table.action))


def test_reads_what_stock_lerobot_recorded(tmp_path: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    scalar = {"shape": (1,), "names": None}
    features = {
        "observation.state": {"dtype": "float32", "shape": (1,), "names": None},
        "action": {"dtype": "float32", "shape": (2,), "names": None},
        "complementary_info.is_intervention": {"dtype": "bool", **scalar},
    }
    recorder = LeRobotDataset.create("local/stock", 10, features, root=tmp_path / "stock", use_videos=False)
    for frame in range(7):
        recorder.add_frame(
            {
                "observation.state": np.array([frame], np.float32),
                "action": np.array([frame, -frame], np.float32),
                "complementary_info.is_intervention": np.array([frame > 4]),
                "task": "lift",
            }
        )
        if frame == 3:
            recorder.save_episode()
    recorder.save_episode()
    recorder.finalize()
    table = read_table(tmp_path / "stock")
    assert table.state[:, 0].tolist() == list(range(7)) and table.action[6].tolist() == [6, -6]
    assert table.intervention.tolist() == [False] * 5 + [True] * 2 and table.frame_index.tolist() == [
        0,
        1,
        2,
        3,
        0,
        1,
        2,
    ]
    assert table.success is None and table.policy_action is None and table.policy_version.tolist() == [0] * 7
    assert table.prompts == ("lift",)


def test_demonstrations_need_not_say_who_drove(root: Path) -> None:
    for name in ("intervention", "policy_version"):
        change(root, name, None)
    with pytest.raises(VantageError, match="if the policy drove alone, read it with --driver policy"):
        read_table(root)
    table = read_table(root, demos=True)
    assert (
        table.intervention.all()
        and (table.policy_version == -1).all()
        and table.trace(table.slices[0], True).demo
    )


def test_a_gap_in_time_is_a_cut(root: Path) -> None:
    time = column(root, "timestamp")
    time[3:5] += 0.04  # 1.8 periods after frame 2
    time[8:] += 0.02  # 1.4 periods: a late frame
    change(root, "timestamp", time.astype(np.float32))
    assert np.flatnonzero(read_table(root).cut).tolist() == [3]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.array(["no"] * 11), "column `intervention` of .* is string and must be bool"),
        (pa.array([True] * 9 + [None] * 2), "has 9 values for 11 frames; it needs one per frame"),
        (pa.array([[True, False]] * 11), "has 22 values for 11 frames; it needs one per frame"),
    ],
)
def test_intervention_of_the_wrong_type_or_length(
    root: Path, values: pa.Array | np.ndarray, sentence: str
) -> None:
    change(root, "intervention", values)
    with pytest.raises(VantageError, match=sentence):
        read_table(root)


@pytest.mark.parametrize("name", ["observation.state", "action", "policy_action"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity(root: Path, name: str, bad: float) -> None:
    values = column(root, name)
    values[7, 1] = bad
    change(root, name, vectors(values))
    with pytest.raises(
        VantageError,
        match=f"column `{name}` of .* is NaN or infinite in 1 frames, first in episode 1, frame 2",
    ):
        read_table(root)


@pytest.mark.parametrize("name", ["observation.state", "action"])
def test_a_value_that_would_drown_all_others(root: Path, name: str) -> None:
    values = column(root, name)
    values[7, 1] = 1e30
    change(root, name, vectors(values))
    with pytest.raises(VantageError, match=r"is beyond 1e\+09 in 1 frames, first in episode 1, frame 2"):
        read_table(root)
    values[7, 1] = 4e6  # an encoder's count
    change(root, name, vectors(values))
    read_table(root)


@pytest.mark.parametrize("name", ["observation.state", "action", "timestamp"])
def test_missing_columns(root: Path, name: str) -> None:
    change(root, name, None)
    with pytest.raises(VantageError, match=f"has no column `{name}`"):
        read_table(root)


def test_a_column_that_only_the_description_has(root: Path) -> None:
    pq.write_table(pq.read_table(root / DATA).drop_columns(["action"]), root / DATA)
    with pytest.raises(VantageError, match=r"file-000.parquet has no column `action`"):
        read_table(root)


def test_gaps_in_the_frame_index(root: Path) -> None:
    frame = column(root, "frame_index")
    frame[3:5] += 1
    change(root, "frame_index", frame)
    with pytest.raises(
        VantageError, match=r"episode 0 of .* has a gap in its frame index: frame 4 stands where 3 belongs"
    ):
        read_table(root)


def test_a_lost_row(root: Path) -> None:
    table = pq.read_table(root / DATA)
    pq.write_table(pa.concat_tables([table.slice(0, 7), table.slice(8)]), root / DATA)
    with pytest.raises(VantageError, match=r"holds 10 frames and its info\.json says 11"):
        read_table(root)


def test_a_lost_episode(episode: Make, dataset: Write) -> None:
    root = dataset([episode(3), episode(4), episode(5)])
    table = pq.read_table(root / DATA)
    pq.write_table(pa.concat_tables([table.slice(0, 3), table.slice(7)]), root / DATA)
    info = json.loads((root / "meta/info.json").read_text()) | {"total_frames": 8}
    (root / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(VantageError, match="has a gap in its frame index: `index` is 7 where 3 belongs"):
        read_table(root)


def test_an_empty_dataset(root: Path) -> None:
    pq.write_table(pq.read_table(root / DATA).slice(0, 0), root / DATA)
    with pytest.raises(VantageError, match="empty dataset"):
        read_table(root)
    info = json.loads((root / "meta/info.json").read_text()) | {"total_frames": 0}
    (root / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(VantageError, match="empty dataset"):
        read_table(root)
    shutil.rmtree(root / "data")
    (root / "meta/info.json").write_text(json.dumps(info | {"total_frames": 3}))
    with pytest.raises(VantageError, match="holds no data files"):
        read_table(root)


def test_not_a_dataset(root: Path, tmp_path: Path) -> None:
    with pytest.raises(VantageError, match=r"is not a LeRobotDataset: meta/info.json is missing; give"):
        read_table(root / "meta")
    with pytest.raises(VantageError, match=f"name one of the data sets in it, such as {root}"):
        read_table(root.parent)
    with pytest.raises(VantageError, match=r"is a file, and a LeRobotDataset is a folder"):
        read_table(root / "meta/info.json")
    with pytest.raises(VantageError, match=r"nowhere does not exist; name the folder of a LeRobotDataset"):
        read_table(tmp_path / "nowhere")
    info = json.loads((root / "meta/info.json").read_text()) | {"codebase_version": "v2.1"}
    (root / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(VantageError, match=rf"format v2.1; convert it to v3.0 .*--root={root} --push-to"):
        read_table(root)


def test_a_name_of_the_hub_is_told_from_a_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LeRobot's commands take `me/rollouts` for what lies in its cache; Vantage reads folders."""
    monkeypatch.setenv("HF_LEROBOT_HOME", str(tmp_path / "cache"))
    name = Path("me/rollouts")
    with pytest.raises(VantageError, match="hf download me/rollouts --repo-type=dataset --local-dir=me/roll"):
        read_table(name)
    shutil.copytree(root, tmp_path / "cache" / name)
    with pytest.raises(VantageError, match=f"{tmp_path}/cache/me/rollouts, where LeRobot records it, is one"):
        read_table(name)


@pytest.mark.parametrize("kept", [0.5, 0.99, 0.0])
def test_truncated_parquet(root: Path, kept: float) -> None:
    content = (root / DATA).read_bytes()
    (root / DATA).write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(VantageError, match=r"file-000.parquet is not a whole parquet file"):
        read_table(root)


@pytest.mark.parametrize("kept", [0.5, 0.99, 0.0, None])
def test_truncated_or_missing_video(
    episode: Make, dataset: Write, tmp_path: Path, kept: float | None
) -> None:
    root = dataset([episode(30, cameras=("wrist",), side=64)])
    path = root / "videos/observation.images.wrist/chunk-000/file-000.mp4"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * (kept or 0))]) if kept is not None else path.unlink()
    with pytest.raises(VantageError, match=r"video .*file-000.mp4 is (truncated or damaged|missing)"):
        read_table(root)
    with pytest.raises(
        VantageError, match=r"video .*file-000.mp4 (is truncated or damaged|is missing|lacks 30 pictures)"
    ):
        make_frames(root, tmp_path / "frames")
    assert not (tmp_path / "frames").exists()


def test_a_video_that_is_too_short(episode: Make, dataset: Write, tmp_path: Path) -> None:
    short = dataset([episode(10, cameras=("wrist",))])
    kept = shutil.copytree(short, tmp_path / "short")
    long = dataset([episode(10, cameras=("wrist",)), episode(5, cameras=("wrist",))])
    video = "videos/observation.images.wrist/chunk-000/file-000.mp4"
    shutil.copy(kept / video, long / video)
    with pytest.raises(VantageError, match="holds 10 pictures and its dataset needs 15"):
        read_table(long)
    with pytest.raises(VantageError, match="lacks 5 pictures"):
        make_frames(long, tmp_path / "frames")


def test_a_video_whose_index_is_whole_and_whose_end_is_missing(episode: Make, dataset: Write) -> None:
    """Files with the index in front (`faststart`) open even when their end is gone."""
    import av

    root = dataset([episode(30, cameras=("wrist",), side=64)])
    path = root / "videos/observation.images.wrist/chunk-000/file-000.mp4"
    fast = path.with_name("fast.mp4")
    with av.open(str(path)) as source, av.open(str(fast), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    fast.replace(path)
    read_table(root)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(VantageError, match="truncated or damaged"):
        read_table(root)
