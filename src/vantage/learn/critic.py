"""Features and labels in, a trained dual-head critic and its quality out.

Each head stops where *held-out episodes* say it was best: the viability head overfits long before the efficiency head has converged.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor, nn

from vantage.config import Count, Decay, NotNegative, Positive, Share, Whole, check
from vantage.core.losses import efficiency_loss, viability_loss
from vantage.core.returns import EfficiencyTarget, LookAhead, bootstrap, mix
from vantage.core.stats import auc, calibration_error, explained_variance, reliability
from vantage.core.weights import sigmoid
from vantage.data.experience import Experience
from vantage.nets.critic import DualCritic
from vantage.progress import Bar, bar
from vantage.threads import one_thread
from vantage.types import VantageError


@dataclass(frozen=True, slots=True)
class CriticFit:
    """How the dual-head critic is trained in the staged schedule."""

    steps: Whole = 250
    """Gradient steps of each head at most; it keeps its best."""
    batch: Count = 256
    """Frames per head and step."""
    lr: Positive = 2e-3
    weight_decay: NotNegative = 1e-2
    width: Count = 128
    dropout: Decay | None = None
    """None: early stopping is the only regulariser, besides weight decay."""
    target: EfficiencyTarget = EfficiencyTarget(stride=8, mc_share=0.5)
    """How V_e is taught."""
    polyak: Share = 0.01
    """Step of the target network that TD bootstraps from."""
    held_out: Decay = 0.2
    """Share of the episodes that choose the stopping point and report the quality."""
    check_every: Count = 10
    """Steps between looks at the held-out episodes."""
    patience: Count = 5
    """Looks without a better head after which training stops."""
    keep_best: bool = True
    """Leave each head where held-out episodes liked it best; False: where training ended."""
    folds: Count = 1
    """K > 1: cross-fitting. Episodes are dealt to K folds, and a frame is judged by critics that never saw its episode."""
    members: Count = 1
    """Critics per fold, from different initial weights and batches; their outputs are averaged."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticProblem:
    """Tensors of one regression-and-classification problem, split by episode."""

    features: Float32[Tensor, "N D"]
    """Standardised."""
    outcome: Float32[Tensor, "N"]
    monte_carlo: Float32[Tensor, "N"]
    ahead: LookAhead
    viability_train: Int64[np.ndarray, "V"]
    viability_held: Int64[np.ndarray, "V2"]
    efficiency_train: Int64[np.ndarray, "E"]
    efficiency_held: Int64[np.ndarray, "E2"]
    task: Int64[np.ndarray, "N"]
    tasks: tuple[str, ...]

    @property
    def viability_check(self) -> Int64[np.ndarray, "V3"]:
        """Frames that judge the viability head: the held-out ones, or the training ones where nothing is held out."""
        return self.viability_held if len(self.viability_held) else self.viability_train

    @property
    def efficiency_check(self) -> Int64[np.ndarray, "E3"]:
        """Frames that judge the efficiency head."""
        return self.efficiency_held if len(self.efficiency_held) else self.efficiency_train

    def all_held_out(self, replay: Experience) -> "CriticProblem":
        """The same problem with every labelled frame held out: what a cross-fitted panel is judged on."""
        labels = replay.labels
        viability, efficiency = np.flatnonzero(labels.viability_mask), np.flatnonzero(labels.efficiency_mask)
        return replace(self, viability_train=viability, viability_held=viability, efficiency_held=efficiency)

    @classmethod
    def of(
        cls,
        replay: Experience,
        features: Float32[Tensor, "N D"],
        settings: CriticFit,
        seed: int,
        unseen: Bool[np.ndarray, "N"] | None = None,
    ) -> "CriticProblem":
        """The problem that a replay poses, without the `unseen` frames. Raises VantageError if no frame carries an outcome."""
        labels = replay.labels
        ahead = settings.target.ahead(replay.frames)
        efficient = settings.target.supervised(labels.efficiency_mask, ahead)
        if not labels.viability_mask.any():
            raise VantageError(
                "no frame carries an outcome, so there is nothing to learn viability from; record outcomes for some policy episodes"
            )
        held = _held_out_frames(replay, settings.held_out, seed)
        seen = np.ones(len(replay), dtype=bool) if unseen is None else ~unseen
        if not (labels.viability_mask & ~held & seen).any():
            raise VantageError("a critic has no labelled frame left to learn from; collect more episodes, or use fewer folds")
        return cls(
            features=features,
            outcome=torch.from_numpy(np.nan_to_num(labels.viability_target)),
            monte_carlo=torch.from_numpy(np.nan_to_num(labels.efficiency_target_mc)),
            ahead=ahead,
            viability_train=np.flatnonzero(labels.viability_mask & ~held & seen),
            viability_held=np.flatnonzero(labels.viability_mask & held & seen),
            efficiency_train=np.flatnonzero(efficient & ~held & seen),
            efficiency_held=np.flatnonzero(labels.efficiency_mask & held & seen),
            task=replay.prompt,
            tasks=replay.prompts,
        )


def _held_out_frames(replay: Experience, share: float, seed: int) -> Bool[np.ndarray, "N"]:
    """Whole episodes, the same share of every (task, outcome) pair, so that both halves see both outcomes."""
    kind = _kinds(replay)
    rng = np.random.default_rng([seed, 7])
    held = np.zeros(len(kind), dtype=bool)
    for one in np.unique(kind):
        members = rng.permutation(np.flatnonzero(kind == one))
        held[members[: round(share * len(members))]] = True
    return held[replay.frames.episode]


def deal_folds(replay: Experience, folds: int, seed: int) -> Int64[np.ndarray, "N"]:
    """Fold of every frame: whole episodes, every (task, outcome) pair dealt out evenly. One fold: zeros."""
    return deal_evenly(_kinds(replay), folds, seed)[replay.frames.episode]


def deal_evenly(kind: Int64[np.ndarray, "E"], folds: int, seed: int) -> Int64[np.ndarray, "E"]:
    """Deal items to `folds` hands so that the items of every kind are spread as evenly as can be."""
    rng = np.random.default_rng([seed, 17])
    fold = np.zeros(len(kind), dtype=np.int64)
    for one in np.unique(kind):
        members = np.flatnonzero(kind == one)
        fold[rng.permutation(members)] = (np.arange(len(members)) + rng.integers(folds)) % folds
    return fold


def _kinds(replay: Experience) -> Int64[np.ndarray, "E"]:
    """The (task, outcome) pair of every episode, as a number: 1 success, 0 a failure that teaches viability, 2 neither."""
    first, labels = np.flatnonzero(replay.frames.frame == 0), replay.labels

    def any_of(frames: Bool[np.ndarray, "N"]) -> Bool[np.ndarray, "E"]:
        return np.logical_or.reduceat(frames, first)

    outcome = labels.outcome[first]
    taught = np.where(outcome == 1, 1, np.where((outcome == 0) & any_of(labels.viability_mask), 0, 2))
    return replay.prompt[first] * 3 + taught


def train_critic(critic: DualCritic, problem: CriticProblem, settings: CriticFit, seed: int) -> list[dict[str, float]]:
    """Minimise Eq. 4 and leave each head where held-out episodes liked it best. Returns the curve.

    The two terms share no parameters once the features are fixed, so each head is trained by its own, and stops by itself.
    """
    success_rate = problem.outcome[problem.viability_train].mean().item()
    steps = -problem.monte_carlo[problem.efficiency_train].mean().item() if len(problem.efficiency_train) else float(critic.t_max) / 2
    critic.begin_at(success_rate, steps)
    target = copy.deepcopy(critic.efficiency).eval()
    every = torch.ones(settings.batch, dtype=torch.bool)
    unit = float(settings.target.stride)

    def viability(rows: Int64[np.ndarray, "B"]) -> Tensor:
        return viability_loss(critic.z_v(problem.features[rows]), problem.outcome[rows], every, settings.batch)

    def efficiency(rows: Int64[np.ndarray, "B"]) -> Tensor:
        _follow(target, critic.efficiency, settings.polyak)
        wanted = _efficiency_targets(critic, target, problem, settings, rows)
        return efficiency_loss(critic.v_e(problem.features[rows]), wanted, every, settings.batch, unit=unit)

    def held_out_viability() -> float:
        rows = _thin(problem.viability_check)
        known = torch.ones(len(rows), dtype=torch.bool)
        return viability_loss(critic.z_v(problem.features[rows]), problem.outcome[rows], known, len(rows)).item()

    def held_out_efficiency() -> float:
        rows = _thin(problem.efficiency_check)
        known = torch.ones(len(rows), dtype=torch.bool)
        return efficiency_loss(critic.v_e(problem.features[rows]), problem.monte_carlo[rows], known, len(rows), unit=unit).item()

    curve: dict[int, dict[str, float]] = {}
    with one_thread(), bar("critic", 2 * settings.steps, "steps") as advance:
        heads = (
            (critic.viability, problem.viability_train, viability, held_out_viability, ("loss_viability", "val_bce")),
            (critic.efficiency, problem.efficiency_train, efficiency, held_out_efficiency, ("loss_efficiency", "val_huber")),
        )
        for number, (head, rows, loss, held_out, names) in enumerate(heads):
            if len(rows):  # no success yet: nothing to learn steps from
                _fit_head(head, rows, loss, held_out, names, settings, np.random.default_rng([seed, 11, number]), curve, advance)
    critic.eval()
    return [{"step": step} | curve[step] for step in sorted(curve)]


def _fit_head(
    head: nn.Module,
    rows: Int64[np.ndarray, "M"],
    loss_of: Callable[[Int64[np.ndarray, "B"]], Tensor],
    held_out: Callable[[], float],
    names: tuple[str, str],
    settings: CriticFit,
    rng: np.random.Generator,
    curve: dict[int, dict[str, float]],
    advance: Bar,
) -> None:
    """Train one head until held-out episodes have not liked it better for `patience` looks, and leave it at its best."""
    adam = torch.optim.AdamW(head.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    best, weights, since = float("inf"), copy.deepcopy(head.state_dict()), 0
    head.train()
    for step in range(1, settings.steps + 1):
        loss = loss_of(rows[rng.integers(0, len(rows), settings.batch)])
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        advance()
        if step % settings.check_every and step < settings.steps:
            continue
        head.eval()
        with torch.no_grad():
            score = held_out()
        head.train()
        curve.setdefault(step, {}).update({names[0]: loss.item(), names[1]: score})
        if score < best:
            best, weights, since = score, copy.deepcopy(head.state_dict()), 0
        else:
            since += 1
        if since >= settings.patience:
            break
    if settings.keep_best:
        head.load_state_dict(weights)


@torch.no_grad()
def _efficiency_targets(
    critic: DualCritic, target: nn.Module, problem: CriticProblem, settings: CriticFit, rows: Int64[np.ndarray, "B"]
) -> Tensor:
    """TD, Monte-Carlo or their mix, for the drawn rows only."""
    ahead = problem.ahead
    value = critic.steps_from(target(problem.features[ahead.row[rows]]))
    td = bootstrap(torch.from_numpy(ahead.gain[rows]).float(), torch.from_numpy(ahead.discount[rows]).float(), value)
    return mix(td, problem.monte_carlo[rows], settings.target.mc_share)


@torch.no_grad()
def _follow(target: nn.Module, head: nn.Module, polyak: float) -> None:
    """The slow copy that TD bootstraps from."""
    torch._foreach_lerp_(list(target.parameters()), list(head.parameters()), polyak)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]


def _thin(rows: Int64[np.ndarray, "M"], at_most: int = 2048) -> Int64[np.ndarray, "M2"]:
    """At most so many rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, at_most).astype(int)] if len(rows) > at_most else rows


def assess(z_v: Float[np.ndarray, "N"], v_e: Float[np.ndarray, "N"], problem: CriticProblem) -> dict[str, Any]:
    """How good these values are on the frames that `problem` holds out; every rate beside what knowing only the task would give."""
    rows, efficient = problem.viability_check, problem.efficiency_check
    p, y, task = sigmoid(z_v[rows]), problem.outcome[rows].numpy(), problem.task[rows]
    base = _base_rates(problem)
    table, won = reliability(p, y > 0.5), y > 0.5
    return {
        "held_out_frames": len(rows),
        "auc": _number(auc(p, won)),
        "auc_by_task": {name: _number(auc(p[task == t], won[task == t])) for t, name in enumerate(problem.tasks)},
        "bce": _bce(y, p),
        "bce_base_rate": _bce(y, base[task]),
        "ece": calibration_error(p, won),
        "reliability": [
            {"p_low": float(low), "p_high": float(high), "n": int(n), "mean_p": _number(mean), "rate": _number(rate)}
            for low, high, n, mean, rate in zip(
                table.edges[:-1], table.edges[1:], table.count, table.predicted, table.observed, strict=True
            )
        ],
        "explained_variance_v_e": _number(explained_variance(v_e[efficient], problem.monte_carlo[efficient].numpy())),
    }


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if np.isnan(value) else float(value)


def _base_rates(problem: CriticProblem) -> Float[np.ndarray, "tasks"]:
    """Share of successes among the training frames of every task; 0.5 where there are none."""
    rows = problem.viability_train
    task, outcome = problem.task[rows], problem.outcome.numpy()[rows]
    return np.array([outcome[task == t].mean() if (task == t).any() else 0.5 for t in range(len(problem.tasks))])


def _bce(y: np.ndarray, p: np.ndarray) -> float:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())
