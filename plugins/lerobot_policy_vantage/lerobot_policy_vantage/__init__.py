"""What stock LeRobot finds of Vantage: weights, policies, worlds.

    --sample_weighting.type=vantage     the credit ledger's weights in lerobot-train (below)
    --policy.type=vantage_small         the small vision-language-action policy (modeling_vantage_small.py)
    --policy.path of `vantage watch`    a checkpoint with p_v beside it (modeling_vantage_watch.py)
    --env.type=vantage_metaworld        MetaWorld as `vantage run` plays it (env_vantage_metaworld.py)
    --env.type=vantage_bimanual         two arms with soft objects (env_vantage_bimanual.py)

LeRobot imports every installed distribution named lerobot_policy_*; this one teaches it a further kind of
sample weighting too:

    lerobot-train ... --sample_weighting.type=vantage \\
        --sample_weighting.progress_path=round-03/4-weights.parquet

The rows of the dataset that is trained on are found by the content of its episodes, also after
`lerobot-edit-dataset` has numbered them again, and a ledger of other recordings is refused before training.
One without fingerprints goes by `index`; where it covers several rounds, say which:
`--sample_weighting.extra_params='{"round": 3}'`.

LeRobot divides by the sum of a batch's weights, so their scale is lost there, and it does not cut windows at
hand-overs: `vantage` itself is the reference, this is the shortest way to try.
"""

import inspect
from pathlib import Path
from typing import Any

import lerobot.utils.sample_weighting as stock
import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from vantage.data.fingerprints import UNKNOWN, read_fingerprints
from vantage.data.sidecars import match, read_ledger
from vantage.data.v3.meta import read_info
from vantage.data.v3.schema import FINGERPRINT, INDEX, ROUND
from vantage.types import VantageError

# These register themselves with LeRobot.
from .configuration_vantage_small import VantageSmallConfig as VantageSmallConfig
from .configuration_vantage_watch import VantageWatchConfig as VantageWatchConfig
from .env_vantage_bimanual import VantageBimanualConfig as VantageBimanualConfig
from .env_vantage_metaworld import VantageMetaWorldConfig as VantageMetaWorldConfig

REMEDY = "make the ledger again from this dataset (`vantage weights`)"


class LedgerWeights(stock.SampleWeighter):
    """Looks a frame's weight up by its absolute index."""

    def __init__(
        self,
        path: Path,
        device: torch.device,
        round: int | None = None,
        root: Path | None = None,
    ) -> None:
        """Read the rows of one dataset.

        `root`: the folder of that dataset; None: it is not compared. `round`: only rows of this one. Raises
        VantageError where the ledger does not describe the dataset, or it is not clear which rows do.
        """
        ledger = read_ledger(path)
        if round is not None:
            ledger = {name: column[ledger[ROUND] == round] for name, column in ledger.items()}
            if not len(ledger[INDEX]):
                raise VantageError(
                    f"{path} has no frames of round {round}; leave --sample_weighting.extra_params out"
                )

        described = None
        if root is not None and (ledger[FINGERPRINT] != UNKNOWN).any():
            described = read_fingerprints(read_info(root))
            ours = np.isin(ledger[FINGERPRINT], described[1])
            ledger = {name: column[ours] for name, column in ledger.items()}

        rounds = np.unique(ledger[ROUND]).tolist()
        if len(rounds) > 1:
            raise VantageError(
                f"{path} covers rounds {rounds}; say which with "
                f"--sample_weighting.extra_params='{{\"round\": {rounds[-1]}}}'"
            )
        if described is not None:
            ledger = match(path, ledger, *described, REMEDY)

        table = np.zeros(int(ledger[INDEX].max()) + 1, np.float32)
        table[ledger[INDEX]] = ledger["weight"]
        self._weight = torch.from_numpy(table).to(device)
        self._frames = len(ledger[INDEX])

    def compute_batch_weights(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        """Weights [B] of a preprocessed batch."""
        weight = self._weight[batch["index"].long().to(self._weight.device)]
        return weight, {"mean": weight.mean().item(), "zero_share": (weight == 0).float().mean().item()}

    def get_stats(self) -> dict[str, Any]:
        """What LeRobot logs once."""
        return {"type": "vantage", "frames": self._frames}


_stock_factory = stock.make_sample_weighter


def make_sample_weighter(
    config: Any,
    policy: Any,
    device: torch.device,
    dataset_root: str | None = None,
    dataset_repo_id: str | None = None,
) -> Any:
    """LeRobot's factory, with `vantage` added.

    Raises VantageError where no ledger is named, and for a policy whose loss LeRobot cannot weigh.
    """
    if config is None or config.type != "vantage":
        return _stock_factory(config, policy, device, dataset_root, dataset_repo_id)
    if not config.progress_path:
        raise VantageError("name the ledger with --sample_weighting.progress_path=.../4-weights.parquet")
    if policy is not None and "reduction" not in inspect.signature(policy.forward).parameters:
        kind = type(policy).__name__
        raise VantageError(f"LeRobot cannot weigh the loss of {kind}; train it with `vantage finetune`")

    root = None
    if dataset_root is not None or dataset_repo_id is not None:
        root = LeRobotDatasetMetadata(dataset_repo_id, root=dataset_root).root
    return LedgerWeights(Path(config.progress_path), device, root=root, **(config.extra_params or {}))


stock.make_sample_weighter = make_sample_weighter
