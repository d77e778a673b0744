"""Several critics, and which of them may judge which frame: one critic, an ensemble, cross-fitting, or both.

folds = 1   every critic has seen every episode              members = M   M critics per fold, averaged
folds = K   critic k has seen all but fold k, and judges fold k alone: no weight comes from a critic that saw the episode

Heads only: the features are those of the policy that played the round, which has imitated successful episodes of the rounds before.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from safetensors.torch import load_file, save_file
from torch import Tensor

from vantage.data.experience import Experience
from vantage.disk.files import write_json
from vantage.learn.critic import CriticFit, CriticProblem, deal_folds, train_critic
from vantage.nets.critic import DualCritic
from vantage.types import Values


@dataclass(frozen=True, slots=True)
class Panel:
    """K folds of M critics."""

    folds: tuple[tuple[DualCritic, ...], ...]

    @torch.no_grad()
    def values(self, features: Float[Tensor, "N D"], fold: Int64[np.ndarray, "N"]) -> Values:
        """z_v and V_e of every frame, the mean of the critics that may judge it. `fold`: whose turn it is, frame by frame."""
        z_v, v_e = np.empty(len(features), np.float32), np.empty(len(features), np.float32)
        for k, critics in enumerate(self.folds):
            mine = fold == k
            judged = [critic(features[torch.from_numpy(mine)]) for critic in critics]
            z_v[mine] = torch.stack([z for z, _ in judged]).mean(0).numpy()
            v_e[mine] = torch.stack([v for _, v in judged]).mean(0).numpy()
        return Values(z_v=z_v, v_e=v_e)


def train_panel(
    replay: Experience, features: Float32[np.ndarray, "N D"], settings: CriticFit, *, t_max: int, seed: int
) -> tuple[Panel, Int64[np.ndarray, "N"], list[dict[str, float]], CriticProblem]:
    """Train every critic of the panel.

    Returns the panel, the fold of every frame, the curve of the first critic, and the problem whose held-out frames judge the panel: with
    several folds, every frame is held out.
    """
    x = torch.from_numpy(features)
    fold = deal_folds(replay, settings.folds, seed)
    panel: list[tuple[DualCritic, ...]] = []
    curve: list[dict[str, float]] = []
    problem: CriticProblem | None = None
    for k in range(settings.folds):
        members: list[DualCritic] = []
        for m in range(settings.members):
            own = seed + 1_000_003 * (k * settings.members + m)
            torch.manual_seed(own)
            critic = DualCritic(features.shape[1], t_max, settings.width, settings.dropout)
            critic.standardise.fit(x)
            posed = CriticProblem.of(replay, critic.standardise(x), settings, seed, fold == k if settings.folds > 1 else None)
            found = train_critic(critic, posed, settings, own)
            curve, problem = curve or found, problem or posed
            members.append(critic)
        panel.append(tuple(members))
    assert problem is not None
    return Panel(tuple(panel)), fold, curve, problem.all_held_out(replay) if settings.folds > 1 else problem


def save_panel(folder: Path, panel: Panel, settings: CriticFit, t_max: int) -> None:
    """critic.safetensors and config.json."""
    tensors = {
        f"{k}.{m}.{name}": value
        for k, members in enumerate(panel.folds)
        for m, critic in enumerate(members)
        for name, value in critic.state_dict().items()
    }
    save_file(tensors, folder / "critic.safetensors")
    width = int(panel.folds[0][0].standardise.mean.shape[0])
    config = {
        "features": width,
        "t_max": t_max,
        "width": settings.width,
        "stride": settings.target.stride,
        "folds": len(panel.folds),
        "members": len(panel.folds[0]),
    }
    write_json(folder / "config.json", config)


def load_panel(folder: Path) -> Panel:
    """Read what `save_panel` wrote."""
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "critic.safetensors")

    def read(k: int, m: int) -> DualCritic:
        critic = DualCritic(config["features"], config["t_max"], config["width"])
        prefix = f"{k}.{m}."
        critic.load_state_dict({name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)})
        return critic.eval()

    return Panel(tuple(tuple(read(k, m) for m in range(config["members"])) for k in range(config["folds"])))
