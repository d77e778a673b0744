"""Pictures of one episode out of a dataset that stock LeRobot wrote, and the mp4 made of them."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

from vantage.data.v3.meta import read_episodes, read_info
from vantage.data.v3.pictures import read_pictures, tile
from vantage.data.v3.video import encode
from vantage.types import VantageError

LENGTHS = (12, 7, 15)


def picture(episode: int, frame: int, inverted: bool) -> np.ndarray:
    """A bar whose row tells the frame and whose column tells the episode."""
    image = np.full((64, 64, 3), 20, np.uint8)
    image[4 * frame : 4 * frame + 4, 16 * episode : 16 * episode + 16] = 230
    return 255 - image if inverted else image


@pytest.fixture(scope="module", params=["video", "image"])
def dataset(request, tmp_path_factory) -> Path:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    root = tmp_path_factory.mktemp("stock") / request.param
    shape = {"dtype": request.param, "shape": (64, 64, 3), "names": ["height", "width", "channels"]}
    features = {
        "observation.images.front": shape,
        "observation.images.wrist": shape,
        "action": {"dtype": "float32", "shape": (2,), "names": None},
    }
    recorder = LeRobotDataset.create(
        "local/clips", fps=10, features=features, root=root, use_videos=request.param == "video"
    )
    for episode, length in enumerate(LENGTHS):
        for frame in range(length):
            recorder.add_frame(
                {
                    "observation.images.front": picture(episode, frame, False),
                    "observation.images.wrist": picture(episode, frame, True),
                    "action": np.zeros(2, np.float32),
                    "task": f"task {episode}",
                }
            )
        recorder.save_episode()
    recorder.finalize()
    return root


def test_every_episode_gives_exactly_its_own_pictures(dataset):
    episodes = read_episodes(read_info(dataset))
    assert episodes.info.fps == 10 and list(episodes.info.cameras) == ["front", "wrist"]
    for episode, length in enumerate(LENGTHS):
        found = read_pictures(episodes, episode)
        assert episodes.prompt(episode) == f"task {episode}"
        for camera, inverted in (("front", False), ("wrist", True)):
            truth = np.stack([picture(episode, frame, inverted) for frame in range(length)])
            assert found[camera].shape == truth.shape
            assert np.abs(found[camera].astype(int) - truth).mean() < 8  # lossy, but no picture is another


def test_an_episode_that_is_not_there_and_damage_are_one_sentence(dataset, tmp_path):
    with pytest.raises(VantageError, match="has no episode 9"):
        read_pictures(read_episodes(read_info(dataset)), 9)
    with pytest.raises(VantageError, match="is not a LeRobotDataset"):
        read_info(tmp_path)


def test_cameras_stand_side_by_side_enlarged_by_whole_pixels():
    a, b = np.full((2, 3, 4, 3), 10, np.uint8), np.full((2, 5, 2, 3), 90, np.uint8)
    wall = tile({"a": a, "b": b}, scale=3, gap=2)
    assert wall.shape == (2, 16, 20, 3)  # 15 is made even; 12 + 2 + 6
    assert (wall[:, :9, :12] == 10).all() and (wall[:, 9:, :12] == 0).all()
    assert (wall[:, :15, 14:20] == 90).all() and (wall[:, :, 12:14] == 0).all()


def test_the_clip_has_one_picture_per_step_at_its_time():
    pictures = np.stack([np.full((32, 48, 3), 8 * i, np.uint8) for i in range(25)])
    content = encode(pictures, 20)
    assert encode(pictures, 20) == content
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        shown = [
            (float(f.pts * f.time_base), f.to_ndarray(format="rgb24").mean())
            for f in container.decode(stream)
        ]
    assert np.allclose([when for when, _ in shown], np.arange(25) / 20)
    assert np.allclose([value for _, value in shown], 8 * np.arange(25), atol=4)
