"""Features and rewards in, a trained parent value head out (Appendix A): the one critic of Imit-Recap and AWR."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Float64
from safetensors.torch import load_file, save_file
from torch import Tensor

from vantage.config import Count, Decay, NotNegative, Positive, Share, Whole, check
from vantage.core.distributional import Bins, Projection, TwoHot, expectation
from vantage.core.losses import parent_loss
from vantage.core.returns import ParentTarget, bootstrap, mix
from vantage.data.experience import Experience
from vantage.nets.critic import ParentHead
from vantage.progress import bar
from vantage.threads import one_thread
from vantage.types import VantageError


@dataclass(frozen=True, slots=True)
class ParentFit:
    """How the distributional parent head is trained, on demonstrations and rollouts of known outcome."""

    steps: Whole = 400
    batch: Count = 256
    lr: Positive = 1e-3
    weight_decay: NotNegative = 1e-2
    width: Count = 128
    dropout: Decay = 0.1
    target: ParentTarget = ParentTarget(stride=8, mc_share=0.5)
    """TD/MC target (Eq. 9); stride 1 and mc_share 0 are the paper."""
    bins: Bins = Bins()
    projection: Projection = TwoHot()
    polyak: Share = 0.01
    """Step of the target network that TD bootstraps from."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


def train_parent(replay: Experience, features: Float32[np.ndarray, "N D"], settings: ParentFit, seed: int) -> ParentHead:
    """Train a parent head on every frame whose episode has an outcome. Raises VantageError where there is none."""
    ahead = settings.target.ahead(replay.frames)
    rows = np.flatnonzero(np.isfinite(ahead.gain))
    if not len(rows):
        raise VantageError("no episode has an outcome, so there is no return to learn; record outcomes for some episodes")
    returns = torch.from_numpy(np.nan_to_num(settings.target.monte_carlo(replay.frames))).float()
    x = torch.from_numpy(features)
    torch.manual_seed(seed)
    head = ParentHead(features.shape[1], settings.bins.count, settings.width, settings.dropout)
    head.standardise.fit(x)
    slow = ParentHead(features.shape[1], settings.bins.count, settings.width, 0.0).eval()
    slow.load_state_dict(head.state_dict())
    adam = torch.optim.AdamW(head.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    rng = np.random.default_rng([seed, 13])
    head.train()
    with one_thread(), bar("parent head", settings.steps, "steps") as advance:
        for _ in range(settings.steps):
            drawn = rows[rng.integers(0, len(rows), settings.batch)]
            with torch.no_grad():
                value = expectation(slow(x[ahead.row[drawn]]), settings.bins)
                td = bootstrap(torch.from_numpy(ahead.gain[drawn]).float(), torch.from_numpy(ahead.discount[drawn]).float(), value)
                wanted = settings.projection(mix(td, returns[drawn], settings.target.mc_share), settings.bins)
            loss = parent_loss(head(x[drawn]), wanted, torch.ones(len(drawn), dtype=torch.bool), len(drawn))
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            _follow(slow, head, settings.polyak)
            advance()
    return head.eval()


@torch.no_grad()
def _follow(slow: ParentHead, fast: ParentHead, polyak: float) -> None:
    for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
        old.lerp_(new, polyak)


def save_parent(folder: Path, head: ParentHead) -> None:
    """parent.safetensors."""
    save_file(head.state_dict(), folder / "parent.safetensors")


@torch.no_grad()
def parent_values(folder: Path, features: Float32[Tensor, "N D"], settings: ParentFit) -> Float64[np.ndarray, "N"]:
    """V(s) of every frame, by the head that `save_parent` wrote."""
    head = ParentHead(features.shape[1], settings.bins.count, settings.width, 0.0).eval()
    head.load_state_dict(load_file(folder / "parent.safetensors"))
    return expectation(head(features).double(), settings.bins).numpy()
