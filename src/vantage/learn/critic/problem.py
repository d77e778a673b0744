"""Features and labels in, the critic's learning problem out: which frame teaches which head, and which
episodes are held out.

    labels ──> viability: frames that carry an outcome        ─┐
           └─> efficiency: frames that lead to a success      ─┼── whole episodes held out ──> CriticProblem
    features phi(s), standardised                             ─┘
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from vantage.core.returns import EfficiencyTarget, LookAhead, ViabilityTarget
from vantage.data.experience import Experience
from vantage.types import VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticProblem:
    """Tensors of one regression-and-classification problem, split by episode."""

    features: Float32[Tensor, "N D"]
    """Standardised."""
    outcome: Float32[Tensor, "N"]
    """1 success, 0 failure; 0 where there is none, which no row below points at."""
    monte_carlo: Float32[Tensor, "N"]
    """Minus the control steps to success; 0 where there is none, which no row below points at."""
    ahead: LookAhead
    """TD targets of V_e."""
    viability_train: Int64[np.ndarray, "V"]
    """Frames that teach the viability head."""
    viability_held: Int64[np.ndarray, "V2"]
    efficiency_train: Int64[np.ndarray, "E"]
    """Frames that teach the efficiency head."""
    efficiency_held: Int64[np.ndarray, "E2"]
    task: Int64[np.ndarray, "N"]
    """Row of `tasks`."""
    tasks: tuple[str, ...]
    viability_ahead: LookAhead | None = None
    """TD targets of viability; None: the outcome alone teaches it (Eq. 4)."""
    viability_mc_share: float = 1.0
    """Share of the outcome itself beside them."""

    @property
    def viability_check(self) -> Int64[np.ndarray, "V3"]:
        """Frames that judge the viability head: the held-out ones; the training ones if none are held out."""
        return self.viability_held if len(self.viability_held) else self.viability_train

    @property
    def efficiency_check(self) -> Int64[np.ndarray, "E3"]:
        """Frames that judge the efficiency head."""
        return self.efficiency_held if len(self.efficiency_held) else self.efficiency_train

    def to(self, device: torch.device) -> "CriticProblem":
        """The same problem with its tensors on another device."""
        return replace(
            self,
            features=self.features.to(device),
            outcome=self.outcome.to(device),
            monte_carlo=self.monte_carlo.to(device),
        )

    def all_held_out(self, experience: Experience) -> "CriticProblem":
        """The same problem with every labelled frame held out: what a cross-fitted panel is judged on."""
        viability = np.flatnonzero(experience.labels.viability_mask)
        efficiency = np.flatnonzero(experience.labels.efficiency_mask)
        return replace(self, viability_train=viability, viability_held=viability, efficiency_held=efficiency)

    @classmethod
    def of(
        cls,
        experience: Experience,
        features: Float32[Tensor, "N D"],
        target: EfficiencyTarget,
        *,
        held_out: float,
        seed: int,
        unseen: Bool[np.ndarray, "N"] | None = None,
        viability: ViabilityTarget | None = None,
    ) -> "CriticProblem":
        """The problem that labelled frames pose.

        `features`: standardised phi(s) of every frame. `target`: how V_e is taught. `held_out`: share of the
        episodes that only judge. `unseen`: frames that are left out altogether (a fold). `viability`: how it
        is taught; None: by the outcome alone. Raises `VantageError` where no frame is left to learn viability
        from.
        """
        labels = experience.labels
        ahead = target.ahead(experience.frames)
        progressing = target.supervised(labels.efficiency_mask, ahead)
        viability_ahead = None if viability is None else viability.ahead(experience.frames)
        promising = labels.viability_mask
        if viability is not None and viability_ahead is not None:
            promising = viability.supervised(promising, viability_ahead)
        if not labels.viability_mask.any():
            raise VantageError(
                "no frame carries an outcome, so there is nothing to learn viability from; "
                "record outcomes for some policy episodes"
            )

        held = _held_out_frames(experience, held_out, seed)
        seen = np.ones(len(experience), dtype=bool) if unseen is None else ~unseen
        if not (promising & ~held & seen).any():
            raise VantageError(
                "a critic has no labelled frame to learn from; collect more episodes, or use fewer folds",
            )

        return cls(
            features=features,
            outcome=torch.from_numpy(np.nan_to_num(labels.viability_target)),
            monte_carlo=torch.from_numpy(np.nan_to_num(labels.efficiency_target_mc)),
            ahead=ahead,
            viability_train=np.flatnonzero(promising & ~held & seen),
            viability_held=np.flatnonzero(labels.viability_mask & held & seen),
            efficiency_train=np.flatnonzero(progressing & ~held & seen),
            efficiency_held=np.flatnonzero(labels.efficiency_mask & held & seen),
            task=experience.prompt,
            tasks=experience.prompts,
            viability_ahead=viability_ahead,
            viability_mc_share=1.0 if viability is None else viability.mc_share,
        )


def _held_out_frames(experience: Experience, share: float, seed: int) -> Bool[np.ndarray, "N"]:
    """Whole episodes, the same share of every (task, outcome) pair, so that both halves see both outcomes."""
    kinds = _kinds(experience)
    rng = np.random.default_rng([seed, 7])  # a published stream: another seed would move every critic
    held = np.zeros(len(kinds), dtype=bool)
    for kind in np.unique(kinds):
        episodes = rng.permutation(np.flatnonzero(kinds == kind))
        held[episodes[: round(share * len(episodes))]] = True
    return held[experience.frames.episode]


def deal_folds(experience: Experience, folds: int, seed: int) -> Int64[np.ndarray, "N"]:
    """Fold of every frame: whole episodes, every (task, outcome) pair dealt out evenly. One fold: zeros."""
    return deal_evenly(_kinds(experience), folds, seed)[experience.frames.episode]


def deal_evenly(kinds: Int64[np.ndarray, "E"], folds: int, seed: int) -> Int64[np.ndarray, "E"]:
    """Deal items to `folds` hands so that the items of every kind are spread as evenly as can be."""
    rng = np.random.default_rng([seed, 17])  # a published stream
    fold = np.zeros(len(kinds), dtype=np.int64)
    for kind in np.unique(kinds):
        items = np.flatnonzero(kinds == kind)
        fold[rng.permutation(items)] = (np.arange(len(items)) + rng.integers(folds)) % folds
    return fold


def _kinds(experience: Experience) -> Int64[np.ndarray, "E"]:
    """The (task, outcome) pair of every episode, as a number: 1 success, 0 a failure that teaches
    viability, 2 neither."""
    labels = experience.labels
    first = np.flatnonzero(experience.frames.frame == 0)
    outcome = labels.outcome[first]
    teaches = np.logical_or.reduceat(labels.viability_mask, first)

    taught = np.full(len(first), 2)
    taught[(outcome == 0) & teaches] = 0
    taught[outcome == 1] = 1
    return experience.prompt[first] * 3 + taught
