"""A credit ledger in, per-frame weights inside stock `lerobot-train` out.

LeRobot imports every installed distribution named lerobot_policy_*; this one teaches it a further kind of sample weighting:

    lerobot-train ... --sample_weighting.type=vantage --sample_weighting.progress_path=round-03/4-weights.parquet
    --sample_weighting.extra_params='{"round": 3}'      where the table covers more than one data set

LeRobot divides by the sum of a batch's weights, so their scale is lost there, and it does not cut windows at hand-overs: `vantage` itself
is the reference, this is the shortest way to try.
"""

from pathlib import Path
from typing import Any

import lerobot.utils.sample_weighting as stock
import pyarrow.parquet as pq
import torch


class LedgerWeights(stock.SampleWeighter):
    """Looks a frame's weight up by its absolute index."""

    def __init__(self, path: Path, device: torch.device, round: int | None = None) -> None:
        """Read the rows of one round. Raises ValueError where it is not clear which."""
        table = pq.read_table(path, columns=["round", "index", "weight"]).to_pydict()
        rounds = sorted(set(table["round"]))
        if round is None and len(rounds) > 1:
            raise ValueError(f"{path} covers rounds {rounds}; say which with --sample_weighting.extra_params='{{\"round\": {rounds[-1]}}}'")
        wanted = rounds[0] if round is None else round
        rows = [(i, w) for r, i, w in zip(table["round"], table["index"], table["weight"], strict=True) if r == wanted]
        if not rows:
            raise ValueError(f"{path} has no frames of round {wanted}; it covers {rounds}")
        self._weight = torch.zeros(max(i for i, _ in rows) + 1)
        self._weight[[i for i, _ in rows]] = torch.tensor([w for _, w in rows], dtype=torch.float32)
        self._weight = self._weight.to(device)
        self._frames = len(rows)

    def compute_batch_weights(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        """Weights [B] of a preprocessed batch."""
        weight = self._weight[batch["index"].long().to(self._weight.device)]
        return weight, {"mean": weight.mean().item(), "zero_share": (weight == 0).float().mean().item()}

    def get_stats(self) -> dict[str, Any]:
        """What LeRobot logs once."""
        return {"type": "vantage", "frames": self._frames}


_stock_factory = stock.make_sample_weighter


def make_sample_weighter(config: Any, policy: Any, device: torch.device, *words: Any, **options: Any) -> Any:
    """LeRobot's factory, with `vantage` added."""
    if config is not None and config.type == "vantage":
        return LedgerWeights(Path(config.progress_path), device, **(config.extra_params or {}))
    return _stock_factory(config, policy, device, *words, **options)


stock.make_sample_weighter = make_sample_weighter
