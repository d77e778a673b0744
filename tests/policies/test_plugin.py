"""A credit ledger through the plugin into LeRobot's own sample weighting."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.types import VantageError


def weighter(ledger: Path, root: Path | None = None, policy: Any = None, **extra: Any) -> Any:
    """What stock lerobot-train asks for weights."""
    import lerobot.utils.sample_weighting as stock
    import lerobot_policy_vantage

    assert stock.make_sample_weighter is lerobot_policy_vantage.make_sample_weighter
    config = SimpleNamespace(type="vantage", progress_path=str(ledger), extra_params=extra)
    where = {} if root is None else {"dataset_root": str(root), "dataset_repo_id": "local/data"}
    return stock.make_sample_weighter(config, policy, torch.device("cpu"), **where)


def weights_of(weighter: Any, frames: int) -> list[float]:
    return weighter.compute_batch_weights({"index": torch.arange(frames)})[0].tolist()


def test_the_plugin_gives_stock_training_our_weights(recorded: Path) -> None:
    here = Round.of(recorded, 2)
    ledger = read_parquet(here.weights)
    own = ledger["round"] == 2
    count = int(own.sum())

    found = weighter(here.weights, here.episodes)
    assert weights_of(found, count) == ledger["weight"][own].astype(np.float32).tolist(), "found by content"
    assert weights_of(weighter(here.weights, round=2), count) == weights_of(found, count)
    _, stats = found.compute_batch_weights({"index": torch.arange(count)})
    assert stats["zero_share"] == pytest.approx((ledger["weight"][own] == 0).mean())
    with pytest.raises(VantageError, match="say which"):
        weighter(here.weights)


def test_weights_follow_their_frames_through_a_deletion(recorded: Path, tmp_path: Path) -> None:
    from lerobot.datasets.dataset_tools import delete_episodes
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    here = Round.of(recorded, 2)
    labels, ledger = read_parquet(here.labels), read_parquet(here.weights)
    whole = LeRobotDataset("local/data", root=here.episodes)
    delete_episodes(whole, [0, 5], output_dir=tmp_path / "part", repo_id="local/part")

    kept = ~np.isin(labels["episode_index"], (0, 5))
    expected = ledger["weight"][ledger["round"] == 2][kept].astype(np.float32)
    assert weights_of(weighter(here.weights, tmp_path / "part"), int(kept.sum())) == expected.tolist()


def test_a_ledger_of_other_recordings_is_refused_before_training(recorded: Path, tmp_path: Path) -> None:
    here, before = Round.of(recorded, 2), Round.of(recorded, 1)
    table = pq.read_table(here.weights)
    alone = tmp_path / "4-weights.parquet"
    pq.write_table(table.filter(np.asarray(table["round"]) == 2), alone)
    with pytest.raises(
        VantageError, match=r"4-weights.parquet covers 0 of \d+ frames; make the ledger again"
    ):
        weighter(alone, before.episodes)
    pq.write_table(table.slice(0, len(table) - 5), alone)
    with pytest.raises(VantageError, match=r"covers \d+ of \d+ frames .*; make the ledger again"):
        weighter(alone, here.episodes)


def test_what_lerobot_cannot_weigh_is_said(recorded: Path) -> None:
    policy = torch.nn.Linear(1, 1)
    with pytest.raises(VantageError, match="LeRobot cannot weigh the loss of Linear"):
        weighter(Round.of(recorded, 2).weights, policy=policy)

    import lerobot.utils.sample_weighting as stock

    config = SimpleNamespace(type="vantage", progress_path=None, extra_params={})
    with pytest.raises(VantageError, match=r"name the ledger with --sample_weighting.progress_path"):
        stock.make_sample_weighter(config, None, torch.device("cpu"))
