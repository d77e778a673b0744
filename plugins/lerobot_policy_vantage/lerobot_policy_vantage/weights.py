"""`--sample_weighting.type=vantage`: stock lerobot-train draws and weighs windows as the credit ledger says.

    ledger ──rows of this data set──┬─ sampling ──> LedgerSampler   which frames a batch begins at
                                    └─ weight ────> LedgerWeights   how much each of them counts in the loss

The rows are found by the content of the data set's episodes, also after `lerobot-edit-dataset` has numbered
them again, and a ledger of other recordings is refused before training. One without fingerprints goes by
`index`; where it covers several rounds, say which: `--sample_weighting.extra_params='{"round": 3}'`.

A policy whose loss LeRobot cannot weigh (ACT, multi_task_dit) is drawn for by the product of both numbers,
which has the same expected gradient but for its scale. `extra_params='{"draw": false}'` leaves LeRobot's own
draw, every frame as often as any other. LeRobot divides by the sum of a batch's weights, so their scale is
lost; and windows cross hand-overs in a data set that is not a view (`vantage weights --view`).
"""

import inspect
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import lerobot.utils.sample_weighting as stock
import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.sampler import EpisodeAwareSampler

from vantage.data.fingerprints import UNKNOWN, read_fingerprints
from vantage.data.sidecars import match, read_ledger
from vantage.data.v3.meta import read_info
from vantage.data.v3.schema import FINGERPRINT, INDEX, ROUND
from vantage.data.view import WEIGHTS_FILE
from vantage.types import VantageError

REMEDY = "make the ledger again from this dataset (`vantage weights`)"
TRAINERS = ("lerobot.scripts.lerobot_train", "__main__")
"""Modules in which LeRobot's training loop may lie, and look its sampler up."""

logger = logging.getLogger(__name__)


def read_rows(path: Path, round: int | None = None, root: Path | None = None) -> dict[str, np.ndarray]:
    """The ledger's columns for the frames of one data set.

    `root`: the folder of that data set; None: it is not compared. `round`: only rows of this one. Raises
    VantageError where the ledger does not describe the data set, or it is not clear which rows do.
    """
    ledger = read_ledger(path)
    if round is not None:
        ledger = {name: column[ledger[ROUND] == round] for name, column in ledger.items()}
        if not len(ledger[INDEX]):
            raise VantageError(
                f"{path} has no frames of round {round}; leave --sample_weighting.extra_params out"
            )

    described = None
    if root is not None:
        described = read_fingerprints(read_info(root))
    if described is not None and (ledger[FINGERPRINT] != UNKNOWN).any():
        ours = np.isin(ledger[FINGERPRINT], described[1])
        ledger = {name: column[ours] for name, column in ledger.items()}

    rounds = np.unique(ledger[ROUND]).tolist()
    if len(rounds) > 1:
        raise VantageError(
            f"{path} covers rounds {rounds}; say which with "
            f"--sample_weighting.extra_params='{{\"round\": {rounds[-1]}}}'"
        )
    return ledger if described is None else match(path, ledger, *described, REMEDY)


def _by_index(ledger: dict[str, np.ndarray], name: str) -> np.ndarray:
    """A column as a table over the data set's frame indices; 0 where the ledger has no row."""
    table = np.zeros(int(ledger[INDEX].max()) + 1, ledger[name].dtype)
    table[ledger[INDEX]] = ledger[name]
    return table


class LedgerWeights(stock.SampleWeighter):
    """Looks a frame's weight up by its absolute index."""

    def __init__(self, ledger: dict[str, np.ndarray], device: torch.device) -> None:
        """`ledger`: its rows of one data set (`read_rows`)."""
        self._weight = torch.from_numpy(_by_index(ledger, "weight").astype(np.float32)).to(device)
        self._frames = len(ledger[INDEX])

    def compute_batch_weights(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        """Weights [B] of a preprocessed batch."""
        weight = self._weight[batch["index"].long().to(self._weight.device)]
        return weight, {"mean": weight.mean().item(), "zero_share": (weight == 0).float().mean().item()}

    def get_stats(self) -> dict[str, Any]:
        """What LeRobot logs once."""
        return {"type": "vantage", "frames": self._frames}


class LedgerSampler(EpisodeAwareSampler):
    """Draws frames with replacement, each with its own probability: an epoch is as many draws as there are
    frames.

    As of the stock sampler, the order is a pure function of (seed, epoch): every rank draws the same, and a
    resumed run goes on where it was. `drop_n_last_frames` is not looked at: the ledger says where a window
    may begin.
    """

    def __init__(self, probability: np.ndarray, *words: Any, **options: Any) -> None:
        """`probability`: of every frame, by absolute index, up to a factor; the rest is the stock sampler's.

        Raises VantageError where none of the chosen episodes' frames is ever drawn.
        """
        super().__init__(*words, **(options | {"drop_n_last_frames": 0}))
        within = np.concatenate(
            [
                np.arange(start, start + length)
                for start, length in zip(self._starts, np.diff(self._cum_lengths, prepend=0), strict=True)
            ]
        )
        own = np.where(within < len(probability), probability[np.minimum(within, len(probability) - 1)], 0.0)
        if not own.sum() > 0:
            raise VantageError("no frame of the chosen episodes is ever drawn; leave --dataset.episodes out")
        self._upto = np.cumsum(own)

    def _iter_epoch(self, epoch: int, start: int) -> Iterator[int]:
        generator = self._epoch_generator(epoch)
        points = torch.rand(self._num_frames, generator=generator, dtype=torch.float64).numpy()
        positions = np.searchsorted(self._upto, points * self._upto[-1], side="right")
        last = int(np.flatnonzero(np.diff(self._upto, prepend=0.0))[-1])
        for position in np.minimum(positions, last)[start:].tolist():
            yield self._frame_index(position)


def _draw_by(probability: np.ndarray) -> None:
    """Have the training loop that is about to build its sampler build ours.

    LeRobot has no interface for it: the name that the loop looks up is replaced. Raises VantageError where no
    loop looks it up, so that the ledger's draw is never left out in silence.
    """

    def build(*words: Any, **options: Any) -> LedgerSampler:
        return LedgerSampler(probability, *words, **options)

    loops = [sys.modules[name] for name in TRAINERS if hasattr(sys.modules.get(name), "EpisodeAwareSampler")]
    if not loops:
        raise VantageError(
            "this LeRobot builds its sampler where the plugin does not find it; add "
            "--sample_weighting.extra_params='{\"draw\": false}' to draw every frame as often as any other"
        )
    for loop in loops:
        loop.EpisodeAwareSampler = build  # type: ignore[attr-defined]


def _streams(frame: FrameType | None) -> bool:
    """Whether the training loop that asks streams its data set, and so builds no sampler: the loop's own
    settings say so, which it does not hand over."""
    settings = frame.f_back.f_locals.get("cfg") if frame is not None and frame.f_back is not None else None
    return bool(getattr(getattr(settings, "dataset", None), "streaming", False))


_stock_factory = stock.make_sample_weighter


def make_sample_weighter(
    config: Any,
    policy: Any,
    device: torch.device,
    dataset_root: str | None = None,
    dataset_repo_id: str | None = None,
) -> Any:
    """LeRobot's factory, with `vantage` added; None where the draw alone does it.

    Raises VantageError where no ledger is named, and for a policy whose loss LeRobot cannot weigh where the
    draw may not do it.
    """
    if config is None or config.type != "vantage":
        return _stock_factory(config, policy, device, dataset_root, dataset_repo_id)

    root = None
    if dataset_root is not None or dataset_repo_id is not None:
        root = LeRobotDatasetMetadata(dataset_repo_id, root=dataset_root).root
    path = Path(config.progress_path) if config.progress_path else root and Path(root) / WEIGHTS_FILE
    if path is None or not (config.progress_path or path.is_file()):
        raise VantageError(
            "name the ledger with --sample_weighting.progress_path=.../4-weights.parquet, or train on what "
            "`vantage weights --view` wrote"
        )

    extra = dict(config.extra_params or {})
    draws = extra.pop("draw", True)
    weighable = policy is None or "reduction" in inspect.signature(policy.forward).parameters
    if not draws and not weighable:
        kind = type(policy).__name__
        raise VantageError(
            f'LeRobot cannot weigh the loss of {kind}; leave out "draw": false, and its windows are drawn '
            "as often as they weigh"
        )
    if draws and _streams(inspect.currentframe()):
        raise VantageError(
            "a streamed data set is not drawn from by the ledger; leave --dataset.streaming out, or say "
            "--sample_weighting.extra_params='{\"draw\": false}'"
        )

    ledger = read_rows(path, root=root, **extra)
    if draws:
        sampling = _by_index(ledger, "sampling")
        _draw_by(sampling if weighable else sampling * _by_index(ledger, "weight"))
        logger.info("Vantage draws %s", "by its sampling" if weighable else "by sampling times weight")
    return LedgerWeights(ledger, device) if weighable else None


stock.make_sample_weighter = make_sample_weighter
