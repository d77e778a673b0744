"""Features and labels in, a trained dual-head critic and its quality out.

Each head stops where *held-out episodes* say it was best: the viability head overfits long before the efficiency head has converged.
"""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vantage.core.losses import critic_loss, efficiency_loss, viability_loss
from vantage.core.returns import EfficiencyTarget, LookAhead, bootstrap, mix
from vantage.core.stats import auc, calibration_error, explained_variance, reliability
from vantage.data.replay import Replay
from vantage.data.sidecar import write_json
from vantage.learn.threads import one_thread
from vantage.nets.critic import DualCritic
from vantage.progress import bar
from vantage.types import VantageError


@dataclass(frozen=True, slots=True)
class CriticFit:
    """How the dual-head critic is trained in the staged schedule."""

    steps: int = 400
    """Gradient steps at most; each head keeps its best."""
    batch: int = 256
    """Frames per head and step."""
    lr: float = 1e-3
    weight_decay: float = 1e-2
    width: int = 128
    dropout: float | None = None
    """None: early stopping is the only regulariser, besides weight decay."""
    target: EfficiencyTarget = EfficiencyTarget(stride=8, mc_share=0.5)
    """How V_e is taught."""
    polyak: float = 0.01
    """Step of the target network that TD bootstraps from."""
    held_out: float = 0.2
    """Share of the episodes that choose the stopping point and report the quality."""
    check_every: int = 20
    """Steps between looks at the held-out episodes."""
    patience: int = 5
    """Looks without a better head after which training stops."""


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

    @classmethod
    def of(cls, replay: Replay, features: Float32[Tensor, "N D"], settings: CriticFit, seed: int) -> "CriticProblem":
        """The problem that a replay poses. Raises VantageError if no frame carries an outcome."""
        labels = replay.labels
        ahead = settings.target.ahead(replay.frames)
        efficient = settings.target.supervised(labels.efficiency_mask, ahead)
        if not labels.viability_mask.any():
            raise VantageError(
                "no frame carries an outcome, so there is nothing to learn viability from; record outcomes for some policy episodes"
            )
        held = _held_out_frames(replay, settings.held_out, seed)
        return cls(
            features=features,
            outcome=torch.from_numpy(np.nan_to_num(labels.viability_target)),
            monte_carlo=torch.from_numpy(np.nan_to_num(labels.efficiency_target_mc)),
            ahead=ahead,
            viability_train=np.flatnonzero(labels.viability_mask & ~held),
            viability_held=np.flatnonzero(labels.viability_mask & held),
            efficiency_train=np.flatnonzero(efficient & ~held),
            efficiency_held=np.flatnonzero(labels.efficiency_mask & held),
            task=replay.prompt,
            tasks=replay.prompts,
        )


def _held_out_frames(replay: Replay, share: float, seed: int) -> Bool[np.ndarray, "N"]:
    """Whole episodes, the same share of every (task, outcome) pair, so that both halves see both outcomes."""
    episode = replay.frames.episode
    first = np.flatnonzero(replay.frames.frame == 0)
    outcome = np.nan_to_num(replay.frames.outcome[first], nan=2).astype(int)
    group = replay.prompt[first] * 3 + outcome
    rng = np.random.default_rng([seed, 7])
    held = np.zeros(len(first), dtype=bool)
    for one in np.unique(group):
        members = rng.permutation(np.flatnonzero(group == one))
        held[members[: round(share * len(members))]] = True
    return held[episode]


def train_critic(critic: DualCritic, problem: CriticProblem, settings: CriticFit, seed: int) -> list[dict[str, float]]:
    """Gradient steps on both heads; leaves each at its best held-out step. Returns the curve."""
    target = copy.deepcopy(critic).eval()
    adam = torch.optim.AdamW(critic.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    rng = np.random.default_rng([seed, 11])
    best: dict[str, tuple[float, dict[str, Tensor]]] = {}
    curve: list[dict[str, float]] = []
    since = 0
    with one_thread(), bar("critic", settings.steps, "steps") as advance:
        for step in range(settings.steps):
            critic.train()
            viability, efficiency = _losses(critic, target, problem, settings, rng)
            adam.zero_grad(set_to_none=True)
            critic_loss(viability, efficiency).backward()
            adam.step()
            _follow(target, critic, settings.polyak)
            if (step + 1) % settings.check_every and step + 1 < settings.steps:
                continue
            held = _held_out_losses(critic, problem, settings)
            curve.append({"step": step + 1, "loss_viability": viability.item(), "loss_efficiency": efficiency.item()} | held)
            since = 0 if _keep_best(best, critic, held) else since + 1
            advance(settings.check_every, f"held-out BCE {held['val_bce']:.3f}")
            if since >= settings.patience:
                break
    for head, (_, weights) in best.items():
        getattr(critic, head).load_state_dict(weights)
    critic.eval()
    return curve


def _losses(
    critic: DualCritic, target: DualCritic, problem: CriticProblem, settings: CriticFit, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The two terms of Eq. 4 on freshly drawn frames."""
    v = _choose(rng, problem.viability_train, settings.batch)
    e = _choose(rng, problem.efficiency_train, settings.batch)
    every = torch.ones(settings.batch, dtype=torch.bool)
    viability = viability_loss(critic.z_v(problem.features[v]), problem.outcome[v], every, settings.batch)
    if len(e) == 0:  # no success yet: nothing to learn steps from
        return viability, torch.zeros(())
    wanted = _efficiency_targets(target, problem, settings, e)
    return viability, efficiency_loss(critic.v_e(problem.features[e]), wanted, every, settings.batch, unit=float(settings.target.stride))


def _choose(rng: np.random.Generator, rows: Int64[np.ndarray, "M"], batch: int) -> Int64[np.ndarray, "B"]:
    return rows[rng.integers(0, len(rows), batch)] if len(rows) else rows


@torch.no_grad()
def _efficiency_targets(target: DualCritic, problem: CriticProblem, settings: CriticFit, rows: Int64[np.ndarray, "B"]) -> Tensor:
    """TD, Monte-Carlo or their mix, for the drawn rows only."""
    ahead = problem.ahead
    value = target.v_e(problem.features[ahead.row[rows]])
    td = bootstrap(torch.from_numpy(ahead.gain[rows]).float(), torch.from_numpy(ahead.discount[rows]).float(), value)
    return mix(td, problem.monte_carlo[rows], settings.target.mc_share)


@torch.no_grad()
def _follow(target: DualCritic, critic: DualCritic, polyak: float) -> None:
    """Only V_e bootstraps, so only its head has a slow copy."""
    torch._foreach_lerp_(list(target.efficiency.parameters()), list(critic.efficiency.parameters()), polyak)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]


@torch.no_grad()
def _held_out_losses(critic: DualCritic, problem: CriticProblem, settings: CriticFit, at_most: int = 2048) -> dict[str, float]:
    """Viability BCE and Huber distance to the true steps, on at most so many evenly spaced frames of the held-out episodes."""
    critic.eval()
    v, e = (_thin(rows, at_most) for rows in (problem.viability_check, problem.efficiency_check))
    bce = viability_loss(critic.z_v(problem.features[v]), problem.outcome[v], torch.ones(len(v), dtype=torch.bool), len(v))
    unit = float(settings.target.stride)
    v_e = critic.v_e(problem.features[e])
    huber = efficiency_loss(v_e, problem.monte_carlo[e], torch.ones(len(e), dtype=torch.bool), len(e), unit=unit)
    return {"val_bce": float(bce), "val_huber": float(huber)}


def _thin(rows: Int64[np.ndarray, "M"], at_most: int) -> Int64[np.ndarray, "M2"]:
    return rows[np.linspace(0, len(rows) - 1, at_most).astype(int)] if len(rows) > at_most else rows


def _keep_best(best: dict[str, tuple[float, dict[str, Tensor]]], critic: DualCritic, held: dict[str, float]) -> bool:
    """Remember each head where it was best; True if one is better than ever."""
    better = False
    for head, score in (("viability", held["val_bce"]), ("efficiency", held["val_huber"])):
        if head not in best or score < best[head][0]:
            module: nn.Module = getattr(critic, head)
            best[head] = (score, {k: t.clone() for k, t in module.state_dict().items()})
            better = True
    return better


@torch.no_grad()
def assess(critic: DualCritic, problem: CriticProblem) -> dict[str, Any]:
    """How good the heads are on held-out episodes; every rate beside what knowing only the task would give."""
    critic.eval()
    rows, efficient = problem.viability_check, problem.efficiency_check
    p, y, task = torch.sigmoid(critic.z_v(problem.features[rows])).numpy(), problem.outcome[rows].numpy(), problem.task[rows]
    base = _base_rates(problem)
    v_e = critic.v_e(problem.features[efficient])
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
        "explained_variance_v_e": _number(explained_variance(v_e.numpy(), problem.monte_carlo[efficient].numpy())),
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


def save_critic(folder: Path, critic: DualCritic, settings: CriticFit, features: int, t_max: int) -> None:
    """critic.safetensors and config.json."""
    save_file(critic.state_dict(), folder / "critic.safetensors")
    config = {"features": features, "t_max": t_max, "width": settings.width, "stride": settings.target.stride}
    write_json(folder / "config.json", config)


def load_critic(folder: Path) -> DualCritic:
    """Read what `save_critic` wrote."""
    config = json.loads((folder / "config.json").read_text())
    critic = DualCritic(config["features"], config["t_max"], config["width"])
    critic.load_state_dict(load_file(folder / "critic.safetensors"))
    return critic.eval()
