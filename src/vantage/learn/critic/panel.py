"""Several critics, and which of them may judge which frame: one critic, an ensemble, cross-fitting, or both.

    folds = 1     every critic has seen every episode
    folds = K     critic k has seen all but fold k, and judges fold k alone: no weight comes from a critic
                  that saw the episode
    members = M   M critics per fold, averaged

Heads only: the features are those of the policy that played the round, which has imitated successful episodes
of the rounds before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from safetensors.torch import save_file
from torch import Tensor

from vantage.bounds import Bounds, Count, Decay, Positive, check
from vantage.config import from_json, name_of
from vantage.core.returns import ViabilityTarget
from vantage.data.experience import Experience
from vantage.disk.checkpoint import load_tensors
from vantage.disk.files import read_json, write_json
from vantage.learn.critic.fit import CriticFit, train_critic
from vantage.learn.critic.problem import CriticProblem, deal_folds
from vantage.learn.finite import frames_by_size
from vantage.learn.step import Compute, under
from vantage.nets.critic import DualCritic
from vantage.seeding import global_generator_kept
from vantage.types import Values, VantageError


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
    """Read what `save_panel` wrote, onto the CPU.

    Raises VantageError for a file that is missing or damaged, and for weights that are not of the networks
    in config.json. They are compared before anything of that size is made.
    """
    stored, weights = _stored(folder), folder / WEIGHTS
    tensors = load_tensors(weights, REMEDY)

    def make() -> DualCritic:
        return DualCritic(stored.features, stored.t_max, stored.width, stored.dropout)

    numbers = [(fold, member) for fold in range(stored.folds) for member in range(stored.members)]
    try:
        with torch.device("meta"):
            shapes = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    except (RuntimeError, TypeError, OverflowError) as error:  # sizes that no tensor can have
        raise VantageError(f"{folder / CONFIG} asks for sizes that no network can have; {REMEDY}") from error
    wanted = {f"{k}.{m}.{name}": shape for k, m in numbers for name, shape in shapes.items()}
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != wanted:
        raise VantageError(f"{weights} does not hold the critics that {CONFIG} beside it says; {REMEDY}")
    bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        raise VantageError(f"{weights} has NaN or infinite weights, the first in {bad[0]}; {REMEDY}")

    def read(fold: int, member: int) -> DualCritic:
        with global_generator_kept():  # building it draws weights, which are replaced at once
            critic = make()
        critic.load_state_dict(under(f"{fold}.{member}.", tensors))
        return critic.eval()

    return Panel(tuple(tuple(read(k, m) for m in range(stored.members)) for k in range(stored.folds)))


CONFIG, WEIGHTS, FEATURES = "config.json", "critic.safetensors", "features.safetensors"
REMEDY = "restore it, or delete that folder and train the critic again"
"""Where a file of a critic is not what was written."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What config.json says of the networks."""

    features: Count
    t_max: Positive
    width: Count
    folds: Annotated[int, Bounds(least=1, most=1000)]
    members: Annotated[int, Bounds(least=1, most=1000)]
    dropout: Decay | None = None

    def __post_init__(self) -> None:
        check(self)


def _stored(folder: Path) -> _Stored:
    """Raises VantageError for a folder without a config.json, or with one that is no critic's."""
    path = folder / CONFIG
    if not path.is_file():
        raise VantageError(f"{folder} holds no critic ({CONFIG} is missing); name 3-critic of a round")
    config: Any = read_json(path)
    names = {field.name for field in fields(_Stored)}
    if not isinstance(config, dict) or not names - {"dropout"} <= config.keys():
        raise VantageError(f"{path} does not describe a critic; {REMEDY}")

    values = {name: value for name, value in cast(dict[str, Any], config).items() if name in names}
    try:
        return from_json(_Stored, values | {"is": name_of(_Stored)}, str(path))
    except VantageError as error:
        raise VantageError(f"{error}; {REMEDY}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFeatures:
    """What a critic looked at, frame by frame, and whose turn each frame is."""

    features: Float32[Tensor, "N D"]
    fold: Int64[np.ndarray, "N"]
    fingerprint: Int64[np.ndarray, "N"] | None
    """None: of an earlier version, which did not keep it."""


def load_features(folder: Path, panel: Panel) -> KeptFeatures:
    """Read features.safetensors beside a critic. Raises VantageError where it is missing, damaged or not of
    that critic."""
    path, width = folder / FEATURES, panel.folds[0][0].standardise.mean.shape[0]
    tensors = load_tensors(path, REMEDY)
    features, fold = tensors.get("features"), tensors.get("fold")
    fingerprint = tensors.get("fingerprint")

    fits = features is not None and features.dtype == torch.float32 and features.ndim == 2
    if features is None or fold is None or not fits or features.shape[1] != width:
        raise VantageError(f"{path} does not hold the {width} features that its critic reads; {REMEDY}")
    columns = [fold] if fingerprint is None else [fold, fingerprint]
    whole = all(column.dtype == torch.int64 and column.shape == features.shape[:1] for column in columns)
    if not whole or bool(((fold < 0) | (fold >= len(panel.folds))).any()):
        raise VantageError(f"{path} does not say which critic judges which frame; {REMEDY}")
    return KeptFeatures(
        features=features,
        fold=fold.numpy(),
        fingerprint=None if fingerprint is None else fingerprint.numpy(),
    )
