"""A recording on disk through Vantage's store and a policy equals the same recording through LeRobotDataset
and LeRobot's processors."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_lerobot import awaken, scratch, tiny_pi

from vantage.data.episodes import Episode, save_episode
from vantage.data.frames import Direct, Raw, Storage, make_frames
from vantage.data.loader import WindowLoader
from vantage.data.v3.read import read_table
from vantage.data.v3.write import write_dataset
from vantage.policies.spec import DataFacts, Scale

FPS, LENGTH = 10, 9


@pytest.fixture(scope="module", autouse=True)
def small_pi() -> Iterator[None]:
    with tiny_pi():
        yield


def recording(tmp_path: Path, *, images: bool) -> Path:
    """Two episodes with a wide and a tall camera."""
    rng = np.random.default_rng(0)

    def episode(prompt: str) -> Episode:
        smooth = rng.integers(0, 256, (LENGTH, 6, 8, 3), dtype=np.uint8)
        return Episode(
            state=rng.standard_normal((LENGTH, 6)).astype(np.float32),
            environment_state=None,
            action=rng.standard_normal((LENGTH, 4)).astype(np.float32),
            policy_action=np.zeros((LENGTH, 4), np.float32),
            intervention=np.zeros(LENGTH, bool),
            policy_version=np.zeros(LENGTH, np.int64),
            success=np.arange(LENGTH) == LENGTH - 1,
            done=np.arange(LENGTH) == LENGTH - 1,
            prompt=prompt,
            images={
                "front": smooth.repeat(8, 1).repeat(8, 2),
                "wrist": smooth[:, :, :4].repeat(8, 1).repeat(8, 2),
            },
            task="push",
            seed=0,
            info={},
        )

    journal, root = tmp_path / "journal", tmp_path / "1-episodes"
    for number, prompt in enumerate(("push the puck", "lift it")):
        save_episode(journal, number, episode(prompt))
    write_dataset(journal, [0, 1], root, FPS, images=images)
    return root


@pytest.mark.parametrize(("storage", "images"), [(Raw(), True), (Direct(), False)], ids=["raw", "video"])
@pytest.mark.parametrize("kind", ["smolvla", "pi05", "act"])
def test_store_and_policy_equal_lerobots_dataset_and_policy(
    kind: str, storage: Storage, images: bool, tmp_path: Path
) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    root = recording(tmp_path, images=images)
    table = read_table(root)
    store = make_frames(root, tmp_path / "frames", {"front": None, "wrist": None}, storage)
    ends = np.repeat([LENGTH - 1, 2 * LENGTH - 1], LENGTH)
    data = DataFacts(
        cameras=store.cameras, state=Scale.of(table.state), action=Scale.of(table.action), fps=FPS
    )
    policy = scratch(kind).build(0, data)
    loader = WindowLoader.over([table], ends, policy.chunk, [store], policy.interface.cameras)
    rows = np.array([3, 12, 8])
    batch = loader.batch(rows)

    stamps = {"action": [step / FPS for step in range(policy.chunk)]}
    opened = LeRobotDataset("local/recording", root=root, delta_timestamps=stamps, video_backend="pyav")
    items = [opened[int(row)] for row in rows]
    names = (
        "observation.images.front",
        "observation.images.wrist",
        "observation.state",
        "action",
        "action_is_pad",
    )
    raw = {name: torch.stack([item[name] for item in items]) for name in names} | {
        "task": [item["task"] for item in items]
    }
    assert torch.equal(batch.mask.any(-1), ~raw["action_is_pad"])
    pad = raw.pop("action_is_pad")
    theirs = dict(policy._before(raw)) | {"action_is_pad": pad}
    ours = policy._ready(batch.observation, batch.actions) | {"action_is_pad": pad}
    assert theirs.keys() >= ours.keys()
    for name, value in ours.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, theirs[name]), name
    assert ours["task"] == theirs["task"]


@pytest.mark.parametrize(("storage", "images"), [(Raw(), True), (Direct(), False)], ids=["raw", "video"])
def test_a_policy_that_looks_back_is_given_what_lerobots_dataset_gives_it(
    storage: Storage, images: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first frames of an episode, where LeRobot repeats its first, and in the middle; up to LeRobot's
    own loss."""
    from lerobot.datasets.factory import resolve_delta_timestamps
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    root = recording(tmp_path, images=images)
    table = read_table(root)
    store = make_frames(root, tmp_path / "frames", {"front": None}, storage)
    ends = np.repeat([LENGTH - 1, 2 * LENGTH - 1], LENGTH)
    scales = {"state": Scale.of(table.state), "action": Scale.of(table.action)}
    data = DataFacts(cameras=store.cameras, fps=FPS, **scales)
    spec = scratch("multi_task_dit", "n_obs_steps=3", "dropout=0", "image_crop_is_random=false")
    policy = spec.build(0, data).train()
    awaken(policy)
    cameras, history = policy.interface.cameras, policy.interface.history
    loader = WindowLoader.over([table], ends, policy.chunk, [store], cameras, history=history)
    rows = np.array([0, 9, 10, 4, 13, 17])
    batch = loader.batch(rows)

    plain = LeRobotDataset("local/recording", root=root, video_backend="pyav")
    stamps = resolve_delta_timestamps(policy.config, plain.meta)
    opened = LeRobotDataset("local/recording", root=root, delta_timestamps=stamps, video_backend="pyav")
    items = [opened[int(row)] for row in rows]
    names = ("observation.images.front", "observation.state", "action", "action_is_pad")
    raw = {name: torch.stack([item[name] for item in items]) for name in names}
    raw["task"] = [item["task"] for item in items]
    assert torch.equal(batch.mask.any(-1), ~raw.pop("action_is_pad"))
    theirs, ours = dict(policy._before(raw)), policy._ready(batch.observation, batch.actions)
    for name, value in ours.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, theirs[name]), name

    draw = policy.draw(len(rows), torch.Generator().manual_seed(2))
    monkeypatch.setattr(policy.policy.objective, "_sample_timesteps", lambda *_: draw.time)
    torch.manual_seed(7)
    draw = draw._replace(noise=torch.randn_like(draw.noise))
    torch.manual_seed(7)
    loss, lerobots = policy(batch, draw).elementwise.mean(), policy.policy.forward(theirs)[0]
    torch.testing.assert_close(loss, lerobots, atol=1e-6, rtol=1e-6)
