"""A credit ledger through the plugin into LeRobot's own sample weighting."""

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch


def test_the_plugin_gives_stock_training_our_weights(tmp_path: Path) -> None:
    import lerobot.utils.sample_weighting as stock
    import lerobot_policy_vantage

    path = tmp_path / "4-weights.parquet"
    pq.write_table(
        pa.table({"round": [0, 0, 1, 1, 1], "index": [0, 1, 0, 1, 2], "weight": [1.0, 1.0, 0.0, 0.5, 2.0]}),
        path,
    )
    assert stock.make_sample_weighter is lerobot_policy_vantage.make_sample_weighter
    config = SimpleNamespace(type="vantage", progress_path=str(path), extra_params={"round": 1})
    weighter = stock.make_sample_weighter(config, None, torch.device("cpu"))
    weight, stats = weighter.compute_batch_weights({"index": torch.tensor([2, 0, 1, 2])})
    assert weight.tolist() == [2.0, 0.0, 0.5, 2.0] and stats["zero_share"] == 0.25
    with pytest.raises(ValueError, match="say which"):
        stock.make_sample_weighter(
            SimpleNamespace(type="vantage", progress_path=str(path), extra_params={}),
            None,
            torch.device("cpu"),
        )
