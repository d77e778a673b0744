"""Features and rewards in, a trained parent value head out (Appendix A).

It is the one critic of Imit-Recap and AWR.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from safetensors.torch import save_file
from torch import Tensor

from vantage.bounds import Count, Decay, NotNegative, Positive, Share, Whole, check
from vantage.core.distributional import Bins, Projection, TwoHot, expectation
from vantage.core.losses import parent_loss
from vantage.core.returns import LookAhead, ParentTarget, bootstrap, mix
from vantage.data.experience import Experience
from vantage.disk.checkpoint import load_tensors
from vantage.learn.finite import BY_FEATURES, OF_CRITIC, LossWatch, frames_by_size, no_number
from vantage.learn.optim import constant_rate, move_towards
from vantage.learn.step import Compute, Learner, Part
from vantage.nets.critic import ParentHead
from vantage.progress import bar
from vantage.seeding import global_generator_kept
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


def train_parent(
    experience: Experience,
    features: Float32[np.ndarray, "N D"],
    settings: ParentFit,
    seed: int,
    compute: Compute = Compute(),
) -> ParentHead:
    """Train a parent head on every frame whose episode has an outcome, on the device of `compute`.

    `features`: phi(s) of every frame. Raises `VantageError` where no episode has an outcome, and at a step
    whose loss is NaN or infinite.
    """
    ahead = settings.target.ahead(experience.frames)
    known = np.flatnonzero(np.isfinite(ahead.gain))
    if not len(known):
        raise VantageError("no episode has an outcome, so there is no return to learn; record some outcomes")

    with global_generator_kept(seed):  # a published stream: initial weights, then dropout
        head = ParentHead(features.shape[1], settings.bins.count, settings.width, settings.dropout)
        head.standardise.fit(torch.from_numpy(features))
        slow = ParentHead(features.shape[1], settings.bins.count, settings.width, 0.0).eval()
        slow.load_state_dict(head.state_dict())

        # Not fused: published heads were trained by torch's plain loop, which rounds weight decay
        # differently.
        optim = constant_rate(settings.lr, weight_decay=settings.weight_decay)
        learner = Learner(head, optim, compute=compute, whole=True, fused=False)
        device = learner.device
        slow.to(device)
        returns = np.nan_to_num(settings.target.monte_carlo(experience.frames))
        lesson = _Lesson(
            features=torch.from_numpy(features).to(device),
            returns=torch.from_numpy(returns).float().to(device),
            ahead=ahead,
            slow=slow,
            settings=settings,
        )

        rng = np.random.default_rng([seed, 13])  # a published stream
        head.train()
        watch = LossWatch(device)
        batches: list[np.ndarray] = []
        with one_thread(), bar("parent head", settings.steps, "steps") as advance:
            for step in range(settings.steps):
                drawn = known[rng.integers(0, len(known), settings.batch)]

                def loss_of(part: Part, drawn: np.ndarray = drawn) -> Float[Tensor, ""]:
                    return lesson.loss(head, drawn[part.of(settings.batch)])

                taken = learner.step(loss_of)
                ends = step + 1 == settings.steps
                watch.see(step, taken.loss)
                batches.append(drawn)
                bad, what = watch.first_bad(wait=ends), "loss"
                if bad is None and ends and not learner.is_finite():
                    bad, what = step, "gradient"
                if bad is not None:
                    frames = frames_by_size(experience, features, batches[bad])
                    raise no_number(
                        "parent head", bad, frames, what=what, order=BY_FEATURES, remedy=OF_CRITIC
                    )
                move_towards(slow, head, settings.polyak)
                advance()
    return head.eval()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lesson:
    """What teaches the parent head, on one device."""

    features: Float32[Tensor, "N D"]
    returns: Float32[Tensor, "N"]
    """Monte-Carlo returns; 0 where there is none, which is never drawn."""
    ahead: LookAhead
    slow: ParentHead
    """The slow copy that TD bootstraps from."""
    settings: ParentFit

    def loss(self, head: ParentHead, rows: Int64[np.ndarray, "B"]) -> Float[Tensor, ""]:
        """Cross-entropy to the projected targets of these frames, which are a part of one step's batch."""
        device = self.features.device
        drawn = torch.from_numpy(rows).to(device)
        target = self._targets(rows, drawn)
        everyone = torch.ones(len(rows), dtype=torch.bool, device=device)
        return parent_loss(head(self.features[drawn]), target, everyone, self.settings.batch)

    @torch.no_grad()
    def _targets(self, rows: Int64[np.ndarray, "B"], drawn: Int64[Tensor, "B"]) -> Float[Tensor, "B K"]:
        """TD, Monte-Carlo or their mix (Eq. 9), as probabilities over the bins."""
        settings, device = self.settings, self.features.device
        gain = torch.from_numpy(self.ahead.gain[rows]).float().to(device)
        discount = torch.from_numpy(self.ahead.discount[rows]).float().to(device)
        later = torch.from_numpy(self.ahead.row[rows]).to(device)

        value = expectation(self.slow(self.features[later]), settings.bins)
        mixed = mix(bootstrap(gain, discount, value), self.returns[drawn], settings.target.mc_share)
        return settings.projection(mixed, settings.bins)


def save_parent(folder: Path, head: ParentHead) -> None:
    """Write parent.safetensors."""
    weights = {name: tensor.cpu() for name, tensor in head.state_dict().items()}
    save_file(weights, folder / "parent.safetensors")


@torch.no_grad()
def parent_values(
    folder: Path,
    features: Float32[Tensor, "N D"],
    settings: ParentFit,
) -> Float64[np.ndarray, "N"]:
    """V(s) of every frame, by the head that `save_parent` wrote.

    Raises `VantageError` where that head is of another shape than the features and the settings say.
    """
    with global_generator_kept():  # building it draws weights, which are replaced at once
        head = ParentHead(features.shape[1], settings.bins.count, settings.width, 0.0).eval()

    path = folder / "parent.safetensors"
    weights = load_tensors(path, "restore it, or delete that folder and train the critic again")
    shapes = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    if {name: tuple(tensor.shape) for name, tensor in weights.items()} != shapes:
        raise VantageError(
            f"{path} does not fit {features.shape[1]} features and a parent head of width {settings.width} "
            f"over {settings.bins.count} bins; delete {folder} and train the critic again, or set back what "
            "the head was trained with"
        )

    head.load_state_dict(weights)
    return expectation(head(features.cpu()).double(), settings.bins).numpy()
