"""Several critics, and which of them may judge which frame: one critic, an ensemble, cross-fitting, or both.

    folds = 1     every critic has seen every episode
    folds = K     critic k has seen all but fold k, and judges fold k alone: no weight comes from a critic
                  that saw the episode
    members = M   M critics per fold, averaged

Heads only: the features are those of the policy that played the round, which has imitated successful episodes
of the rounds before.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from safetensors.torch import load_file, save_file
from torch import Tensor

from vantage.core.returns import ViabilityTarget
from vantage.data.experience import Experience
from vantage.disk.files import write_json
from vantage.learn.critic.fit import CriticFit, train_critic
from vantage.learn.critic.problem import CriticProblem, deal_folds
from vantage.learn.finite import frames_by_size
from vantage.learn.step import Compute, under
from vantage.nets.critic import DualCritic
from vantage.seeding import global_generator_kept
from vantage.types import Values


@dataclass(frozen=True, slots=True)
class Panel:
    """K folds of M critics."""

    folds: tuple[tuple[DualCritic, ...], ...]

    @torch.no_grad()
    def values(self, features: Float[Tensor, "N D"], fold: Int64[np.ndarray, "N"]) -> Values:
        """z_v and V_e of every frame, the mean of the critics that may judge it.

        `features`: on any device. `fold`: whose turn it is, frame by frame.
        """
        z_v, v_e = np.empty(len(features), np.float32), np.empty(len(features), np.float32)

        for number, critics in enumerate(self.folds):
            rows = fold == number
            device = critics[0].t_max.device
            shown = features[torch.from_numpy(rows).to(features.device)].to(device)
            own = _mean_of(critics, shown)
            z_v[rows], v_e[rows] = own.z_v, own.v_e

        return Values(z_v=z_v, v_e=v_e)

    @torch.no_grad()
    def judge(self, features: Float[Tensor, "N D"]) -> Values:
        """z_v and V_e of states that no critic has seen, the mean of all of them."""
        device = self.folds[0][0].t_max.device
        return _mean_of([critic for critics in self.folds for critic in critics], features.to(device))


def _mean_of(critics: Sequence[DualCritic], features: Float[Tensor, "N D"]) -> Values:
    """What several critics say of the same frames, averaged."""
    judged = [critic(features) for critic in critics]
    z_v = torch.stack([z for z, _ in judged]).mean(0)
    v_e = torch.stack([v for _, v in judged]).mean(0)
    return Values(z_v=z_v.cpu().numpy(), v_e=v_e.cpu().numpy())


class TrainedPanel(NamedTuple):
    """What training a panel leaves."""

    panel: Panel
    fold: Int64[np.ndarray, "N"]
    """Of every frame."""
    curve: list[dict[str, float]]
    """Of the first critic."""
    problem: CriticProblem
    """Whose held-out frames judge the panel: with several folds, every labelled frame."""


def train_panel(
    experience: Experience,
    features: Float32[np.ndarray, "N D"],
    settings: CriticFit,
    *,
    t_max: int,
    seed: int,
    compute: Compute = Compute(),
    viability: ViabilityTarget | None = None,
) -> TrainedPanel:
    """Train every critic of the panel, on the device of `compute`.

    `features`: phi(s) of every frame. `t_max`: the longest possible episode in control steps. `viability`:
    how it is taught; None: by the outcome alone. Raises `VantageError` where no frame carries an outcome, and
    at a step whose loss is NaN or infinite.
    """
    fold = deal_folds(experience, settings.folds, seed)
    named = partial(frames_by_size, experience, features)
    folds: list[tuple[DualCritic, ...]] = []
    curves: list[list[dict[str, float]]] = []
    problems: list[CriticProblem] = []

    for number in range(settings.folds):
        unseen = fold == number if settings.folds > 1 else None
        members: list[DualCritic] = []
        for member in range(settings.members):
            # A published stream: initial weights, then dropout, from one seed per critic.
            own_seed = seed + 1_000_003 * (number * settings.members + member)
            with global_generator_kept(own_seed):
                critic = DualCritic(features.shape[1], t_max, settings.width, settings.dropout)
                problem = pose(
                    experience, features, critic, settings, seed=seed, unseen=unseen, viability=viability
                )
                curves.append(train_critic(critic, problem, settings, own_seed, compute, named))
            problems.append(problem)
            members.append(critic)
        folds.append(tuple(members))

    problem = problems[0].all_held_out(experience) if settings.folds > 1 else problems[0]
    return TrainedPanel(Panel(tuple(folds)), fold, curves[0], problem)


def pose(
    experience: Experience,
    features: Float32[np.ndarray, "N D"],
    critic: DualCritic,
    settings: CriticFit,
    *,
    seed: int,
    unseen: np.ndarray | None = None,
    viability: ViabilityTarget | None = None,
) -> CriticProblem:
    """The problem of one critic, whose standardisation is fitted to the features first."""
    x = torch.from_numpy(features)
    critic.standardise.fit(x)
    standardised = critic.standardise(x)

    return CriticProblem.of(
        experience,
        standardised,
        settings.target,
        held_out=settings.held_out,
        seed=seed,
        unseen=unseen,
        viability=viability,
    )


def save_panel(folder: Path, panel: Panel, settings: CriticFit, t_max: int) -> None:
    """Write critic.safetensors and config.json."""
    tensors = {
        f"{fold}.{member}.{name}": value.cpu()
        for fold, critics in enumerate(panel.folds)
        for member, critic in enumerate(critics)
        for name, value in critic.state_dict().items()
    }
    save_file(tensors, folder / "critic.safetensors")

    config: dict[str, int | float] = {
        "features": int(panel.folds[0][0].standardise.mean.shape[0]),
        "t_max": t_max,
        "width": settings.width,
        "stride": settings.target.stride,
        "folds": len(panel.folds),
        "members": len(panel.folds[0]),
    }
    if settings.dropout is not None:  # its layers are counted in the names of the weights
        config["dropout"] = settings.dropout
    write_json(folder / "config.json", config)


def load_panel(folder: Path) -> Panel:
    """Read what `save_panel` wrote, onto the CPU."""
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "critic.safetensors")

    def read(fold: int, member: int) -> DualCritic:
        with global_generator_kept():  # building it draws weights, which are replaced at once
            critic = DualCritic(config["features"], config["t_max"], config["width"], config.get("dropout"))
        prefix = f"{fold}.{member}."
        critic.load_state_dict(under(prefix, tensors))
        return critic.eval()

    return Panel(tuple(tuple(read(k, m) for m in range(config["members"])) for k in range(config["folds"])))
