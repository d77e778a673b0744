"""What we write, stock LeRobot reads: every column, every picture, every statistic that it keeps."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vantage.core.segments import last_of_segment
from vantage.data.episodes import Episode, save_episode
from vantage.data.fingerprints import fingerprints
from vantage.data.frames import make_frames
from vantage.data.judgements import Journal, Press
from vantage.data.loader import WindowLoader
from vantage.data.outcomes import attempts_of
from vantage.data.v3.read import read_table
from vantage.data.v3.write import write_dataset
from vantage.disk.files import sha256_file
from vantage.disk.tables import read_parquet
from vantage.types import VantageError

FPS = 20
CAMERAS = ("corner", "wrist")
COLUMNS = {
    "observation.state": "state",
    "observation.environment_state": "environment_state",
    "action": "action",
    "policy_action": "policy_action",
    "intervention": "intervention",
    "policy_version": "policy_version",
    "next.success": "success",
    "next.done": "done",
}


def stock(root: Path, **options: Any) -> Any:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return LeRobotDataset("local/test", root=root, video_backend="pyav", **options)


def episodes(make: Callable[..., Episode], cameras: tuple[str, ...] = CAMERAS) -> list[Episode]:
    return [
        make(9, seed=1, cameras=cameras, truth=True),
        make(drivers="PPPHHHHPPP", seed=2, cameras=cameras, truth=True, prompt="open the drawer"),
        make(1, seed=3, cameras=cameras, truth=True, success=False),
        make(14, seed=4, cameras=cameras, truth=True, success=False),
    ]


@pytest.mark.parametrize("images", [False, True])
def test_stock_lerobot_reads_every_column_and_picture(
    images: bool, episode: Callable[..., Episode], dataset: Callable[..., Path]
) -> None:
    written = episodes(episode)
    opened = stock(dataset(written, images=images))
    assert len(opened) == 34 and opened.num_episodes == 4 and opened.fps == FPS
    row = 0
    for number, one in enumerate(written):
        for frame in range(len(one)):
            item = opened[row]
            for column, field in COLUMNS.items():
                assert np.array_equal(np.asarray(item[column]), getattr(one, field)[frame]), (column, row)
            assert item["task"] == one.prompt and item["index"] == row
            assert item["episode_index"] == number and item["frame_index"] == frame
            assert item["timestamp"] == pytest.approx(frame / FPS)
            for camera in CAMERAS:
                seen = item[f"observation.images.{camera}"].permute(1, 2, 0).numpy() * 255
                error = np.abs(seen - one.images[camera]).mean((1, 2, 3))
                assert error.argmin() == frame and error[frame] < (1e-3 if images else 8), (camera, row)
            row += 1


def test_a_dataset_without_cameras_and_one_of_its_episodes(
    episode: Callable[..., Episode], dataset: Callable[..., Path]
) -> None:
    written = episodes(episode, cameras=())
    opened = stock(dataset(written), episodes=[1])
    assert len(opened) == 10 and opened[0]["index"] == 9 and opened[0]["task"] == "open the drawer"


def test_statistics_are_exact_and_in_lerobots_shapes(
    episode: Callable[..., Episode], dataset: Callable[..., Path]
) -> None:
    written = episodes(episode)
    meta = stock(dataset(written, images=True)).meta
    action = np.concatenate([one.action for one in written]).astype(np.float64)
    found = meta.stats["action"]
    assert np.allclose(found["mean"], action.mean(0)) and np.allclose(found["std"], action.std(0))
    assert np.allclose(found["q01"], np.quantile(action, 0.01, axis=0)) and np.allclose(
        found["q99"], np.quantile(action, 0.99, axis=0)
    )
    assert found["count"] == [34]
    pixels = np.concatenate([one.images["wrist"] for one in written]) / 255
    found = meta.stats["observation.images.wrist"]
    assert found["mean"].shape == (3, 1, 1) and np.allclose(found["mean"][:, 0, 0], pixels.mean((0, 1, 2)))
    assert np.allclose(found["std"][:, 0, 0], pixels.std((0, 1, 2))) and np.allclose(
        found["max"][:, 0, 0], pixels.max((0, 1, 2))
    )
    assert np.allclose(found["q50"][:, 0, 0], np.quantile(pixels, 0.5, axis=(0, 1, 2), method="inverted_cdf"))


def test_lerobots_own_tools_accept_it(
    episode: Callable[..., Episode], dataset: Callable[..., Path], tmp_path: Path
) -> None:
    from lerobot.datasets.dataset_tools import delete_episodes

    opened = stock(dataset(episodes(episode), images=True))
    left = delete_episodes(opened, [0], output_dir=tmp_path / "less", repo_id="local/less")
    assert left.num_episodes == 3 and len(left) == 25


def test_what_was_said_on_the_page_follows_lerobots_own_tools(
    episode: Callable[..., Episode], dataset: Callable[..., Path], tmp_path: Path
) -> None:
    from lerobot.datasets.dataset_tools import delete_episodes, split_dataset

    root = dataset(episodes(episode, cameras=()))
    table = read_table(root)
    contents = fingerprints(table.action, table.state, table.starts).tolist()
    journal = Journal(root, contents, np.diff(table.starts).tolist(), who="ben", fps=table.fps)
    for number, word in enumerate((Press.SUCCESS, Press.FAILURE, Press.FAILURE, Press.SUCCESS)):
        journal.press(number, word, 0)
    journal.close()

    def ends(data: Path) -> list[bool | None]:
        return [attempt.outcome for attempt in attempts_of(read_table(data), None)]

    assert ends(root) == [True, False, False, True]
    parts = split_dataset(stock(root), {"held_out": [1, 3]}, output_dir=tmp_path)
    assert ends(Path(parts["held_out"].root)) == [False, True], "by the journal beside it"
    whole = root.rename(root.with_name("whole"))
    delete_episodes(stock(whole), [0, 2], output_dir=root, repo_id="local/less")
    assert ends(root) == [False, True], "in its place, as `lerobot-edit-dataset` does"


def test_our_sidecar_keeps_seed_task_outcome_and_information(
    episode: Callable[..., Episode], dataset: Callable[..., Path]
) -> None:
    root = dataset(episodes(episode, cameras=()))
    ours = read_parquet(root / "meta/vantage_episodes.parquet")
    assert ours["episode_index"].tolist() == [0, 1, 2, 3] and ours["seed"].tolist() == [1, 2, 3, 4]
    assert ours["task"].tolist() == ["push-v3"] * 4 and ours["success"].tolist() == [True, True, False, False]
    assert [json.loads(info) for info in ours["info"]] == [{"note": seed} for seed in (1, 2, 3, 4)]


def test_windows_equal_lerobots_chunks_and_padding(
    episode: Callable[..., Episode], dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """Oracle: where nobody intervenes, our windows are LeRobot's `action` and `action_is_pad`, and lossless
    pictures are equal."""
    written = [episode(length, seed=length, cameras=CAMERAS) for length in (9, 1, 20)]
    root = dataset(written, images=True)
    table = read_table(root)
    end = last_of_segment(np.zeros(len(table), np.int64), table.episode_index)
    store = make_frames(root, tmp_path / "frames")
    loader = WindowLoader.over([table], end, 16, [store], table.cameras)
    opened = stock(root, delta_timestamps={"action": [i / FPS for i in range(16)]})
    batch = loader.batch(np.arange(len(table)))
    for row in range(len(table)):
        item = opened[row]
        assert np.array_equal(batch.actions[row], item["action"])
        assert np.array_equal(
            ~batch.mask[row].numpy(), np.repeat(item["action_is_pad"].numpy()[:, None], 3, axis=1)
        )
        assert (
            np.array_equal(batch.observation.state[row], item["observation.state"])
            and batch.observation.prompts[row] == item["task"]
        )
        for camera in CAMERAS:
            stocked = (item[f"observation.images.{camera}"].permute(1, 2, 0) * 255).round().byte()
            assert np.array_equal(batch.observation.images[camera][row], stocked)


def test_the_same_episodes_give_the_same_bytes(episode: Callable[..., Episode], tmp_path: Path) -> None:
    for number, one in enumerate(episodes(episode)):
        save_episode(tmp_path / "journal", number, one)
    roots = [tmp_path / "a", tmp_path / "b"]
    for root in roots:
        write_dataset(tmp_path / "journal", range(4), root, FPS, "sawyer")
    first, second = (
        {str(p.relative_to(r)): sha256_file(p) for p in r.rglob("*") if p.is_file()} for r in roots
    )
    assert first == second and any(name.endswith(".mp4") for name in first)


def test_the_order_of_the_numbers_is_the_order_of_the_episodes(
    episode: Callable[..., Episode], tmp_path: Path
) -> None:
    for number in (3, 7):
        save_episode(tmp_path / "journal", number, episode(number, seed=number))
    write_dataset(tmp_path / "journal", [7, 3], tmp_path / "out", FPS)
    assert np.bincount(read_table(tmp_path / "out").episode_index).tolist() == [7, 3]


def test_bad_input_leaves_no_dataset(episode: Callable[..., Episode], tmp_path: Path) -> None:
    journal, root = tmp_path / "journal", tmp_path / "out"
    with pytest.raises(VantageError, match="would be an empty dataset"):
        write_dataset(journal, [], root, FPS)
    save_episode(journal, 0, episode(5))
    save_episode(journal, 1, episode(5, cameras=("wrist",)))
    with pytest.raises(VantageError, match="episode 1 has columns of shapes"):
        write_dataset(journal, [0, 1], root, FPS)
    with pytest.raises(VantageError, match="episode 2 is not in the journal"):
        write_dataset(journal, [0, 2], root, FPS)
    save_episode(journal, 3, episode(5, cameras=("wrist",), side=33))
    with pytest.raises(VantageError, match="even picture size"):
        write_dataset(journal, [3], root, FPS)
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]


WRITER = """
import sys
from pathlib import Path
from vantage.data.v3.write import write_dataset
print("go", flush=True)
write_dataset(Path(sys.argv[1]), range(40), Path(sys.argv[2]), 20)
"""


def test_a_killed_writer_leaves_no_dataset_and_the_next_one_succeeds(
    episode: Callable[..., Episode], tmp_path: Path
) -> None:
    journal, root = tmp_path / "journal", tmp_path / "out"
    for number in range(40):
        save_episode(journal, number, episode(100, seed=number % 3, cameras=CAMERAS, side=96))
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(journal), str(root)], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"go\n"
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".out.partial/videos")) and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not root.exists() and list(tmp_path.glob(".out.partial"))
    write_dataset(journal, range(40), root, FPS)
    assert len(read_table(root)) == 4000 and not list(tmp_path.glob(".out*"))


FULL_DISK = """
import resource, sys
from pathlib import Path
from vantage.data.v3.write import write_dataset
from vantage.data.episodes import load_episode, save_episode
from vantage.data.frames import make_frames
from vantage.types import VantageError
folder = Path(sys.argv[1])
one = load_episode(folder / "journal", 0)
for limit in (1_000, 5_000, 20_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for write in (
        lambda: write_dataset(folder / "journal", range(3), folder / "out", 20),
        lambda: write_dataset(folder / "journal", range(3), folder / "out", 20, images=True),
        lambda: make_frames(folder / "whole", folder / "frames"),
        lambda: save_episode(folder, 0, one),
    ):
        try:
            write()
        except VantageError as error:
            print(error)
"""


def test_a_disk_that_fills_up_at_any_moment_leaves_nothing(
    episode: Callable[..., Episode], tmp_path: Path
) -> None:
    for number in range(3):
        save_episode(tmp_path / "journal", number, episode(100, seed=number, cameras=CAMERAS, side=64))
    write_dataset(tmp_path / "journal", range(3), tmp_path / "whole", FPS)
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    sentences = child.stdout.splitlines()
    assert len(sentences) == 12 and all(
        sentence.startswith("the disk is full: ") for sentence in sentences
    ), child.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"journal", "whole"}
