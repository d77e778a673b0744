"""The critic of what was done: features of a state and the chunk executed there in, viability and steps to go
out.

    phi(s_t) ──────────────────────┐
    a_t .. a_{t+k-1}, as executed ─┴─> viability head ──> q_v   will it work, if this is done now?
                                   └─> efficiency head ─> Q_e   how soon, if it works?

A sibling of the critic of states: the same heads, losses and folds, on a longer input, with the same credit.
Viability is taught on every labelled window, failures included, by the outcome and by what the critic says of
the state and the chunk k steps later. Both judge the policies that played, from the chunk on.

A window is cut where its segment ends: at a hand-over, because the other driver's actions are no part of it,
and at the end of the episode. What is missing repeats the last action.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from vantage.bounds import check
from vantage.core.returns import ViabilityTarget
from vantage.core.windows import window_index
from vantage.data.experience import Experience
from vantage.disk.files import read_json, write_json
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import Panel, TrainedPanel, load_panel, save_panel, train_panel
from vantage.learn.step import Compute
from vantage.types import Values, VantageError


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkCriticFit:
    """How the critic of states and chunks is trained."""

    critic: CriticFit = field(default_factory=lambda: CriticFit(steps=1000, patience=10, folds=5))
    """Heads, optimiser and folds, and how steps are taught."""
    viability: ViabilityTarget = ViabilityTarget()

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True)
class ChunkCritic:
    """Critics of (phi(s), chunk)."""

    panel: Panel
    length: int
    """k, control steps of a chunk."""

    def values(
        self,
        features: Float[np.ndarray, "N D"],
        chunks: Float[np.ndarray, "N k A"],
        fold: Int64[np.ndarray, "N"],
    ) -> Values:
        """Viability logit and minus the steps to success of recorded windows, by critics that may judge them.

        `fold`: whose turn it is, frame by frame (`TrainedPanel.fold`).
        """
        return self.panel.values(torch.from_numpy(joined(features, chunks)), fold)

    def judge(self, features: Float[Tensor, "N D"], chunks: Float[Tensor, "N C A"]) -> Values:
        """The same of states that were never recorded, and the first k steps of a chunk: the mean of all
        critics. Raises VantageError for chunks of fewer steps."""
        if chunks.shape[1] < self.length:
            raise VantageError(
                f"the critic judges chunks of {self.length} steps and was given {chunks.shape[1]}; "
                "use the policy it was trained beside"
            )
        first = chunks[:, : self.length].flatten(1)
        return self.panel.judge(torch.cat([features.cpu(), first.cpu()], dim=1))


def executed_chunks(experience: Experience, length: int) -> Float32[np.ndarray, "N k A"]:
    """What was executed from every frame on, `length` control steps of it.

    It ends with the frame's segment: then the last action is repeated.
    """
    rows, _ = window_index(experience.segment_end, np.arange(len(experience)), length)
    return experience.action[rows].astype(np.float32)


def joined(
    features: Float[np.ndarray, "N D"], chunks: Float[np.ndarray, "N k A"]
) -> Float32[np.ndarray, "N DkA"]:
    """What the critic reads: the features of a state, then the chunk, step by step."""
    flat = chunks.reshape(len(chunks), -1)
    return np.concatenate([features, flat], axis=1).astype(np.float32)


def train_chunk_critic(
    experience: Experience,
    features: Float32[np.ndarray, "N D"],
    settings: ChunkCriticFit,
    *,
    length: int,
    t_max: int,
    seed: int,
    compute: Compute = Compute(),
) -> tuple[ChunkCritic, TrainedPanel]:
    """Train every critic on what was executed, and say which of them may judge which frame.

    `features`: phi(s) of every frame. `length`: control steps of a chunk, as the policy executes them.
    `t_max`: the longest possible episode in control steps. Raises `VantageError` where no frame carries an
    outcome, and at a step whose loss is NaN or infinite.
    """
    trained = train_panel(
        experience,
        joined(features, executed_chunks(experience, length)),
        settings.critic,
        t_max=t_max,
        seed=seed,
        compute=compute,
        viability=settings.viability,
    )
    return ChunkCritic(trained.panel, length), trained


def save_chunk_critic(folder: Path, critic: ChunkCritic, settings: ChunkCriticFit, t_max: int) -> None:
    """Write critic.safetensors, config.json and chunk.json."""
    save_panel(folder, critic.panel, settings.critic, t_max)
    write_json(folder / "chunk.json", {"length": critic.length})


def load_chunk_critic(folder: Path) -> ChunkCritic:
    """Read what `save_chunk_critic` wrote. Raises VantageError for a folder that holds no such critic."""
    path = folder / "chunk.json"
    if not path.is_file():
        raise VantageError(
            f"{folder} holds no critic of chunks; train one with `vantage fit-chunk-critic {folder.parent}`"
        )
    record: Any = read_json(path)
    length = cast(dict[str, Any], record).get("length") if isinstance(record, dict) else None
    if type(length) is not int or length < 1:
        raise VantageError(f"{path} does not say how long a chunk is; delete {folder} and train it again")
    return ChunkCritic(load_panel(folder), length)
