"""A critic of states and chunks in, something better to do out: three ways.

    BestOfN             N chunks are drawn when acting, the best is executed       a critic beside the policy
    RejectionTargets    at every recorded state the best of N chunks is imitated   acting stays as it was
    ExponentialWeights  what was executed is imitated, by exp(advantage / T)       acting stays as it was

The first is `Evaluation.best_of`. The others are weighting rules (`core/weights.py`); what they need of the
critic is judged here, once per recorded state, by critics that never saw its episode. The chunks are the
policy's own, so none of the three leaves what it may do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from safetensors.torch import save_file
from torch import Generator, Tensor

from vantage.batch import Observation
from vantage.core.weights import sigmoid
from vantage.data.experience import Experience
from vantage.disk.checkpoint import load_tensors
from vantage.learn.critic.chunks import ChunkCritic, load_chunk_critic
from vantage.policies.around import Around
from vantage.policies.protocol import Policy
from vantage.seeding import seed_for
from vantage.types import VantageError

JUDGED = "judged.safetensors"
"""In the folder of a critic of chunks."""


class BestOf(Around):
    """A policy that executes the most viable of `count` chunks of another policy."""

    def __init__(self, policy: Policy, critic: ChunkCritic, count: int) -> None:
        """`critic`: trained on the features of this very `policy`."""
        super().__init__(policy)
        self.critic, self.count = critic, count

    @torch.no_grad()
    def act(self, observation: Observation, generator: Generator) -> Float[Tensor, "B C A"]:
        """The chunk that the critic finds most viable, of those that the policy draws."""
        chunks = draw_chunks(self.policy, observation, self.count, generator)
        size = len(observation)
        features = self.policy.features(observation).repeat_interleave(self.count, 0)
        judged = self.critic.judge(features, chunks.flatten(0, 1)).z_v.reshape(size, self.count)
        return chunks[torch.arange(size), torch.from_numpy(judged.argmax(1))]


@dataclass(frozen=True, slots=True)
class BestOfN:
    """Makes a policy choose: what it draws when acting, and which critic executes the most viable."""

    critic: Path
    """Folder of a critic of chunks, trained on the features of this policy."""
    count: int
    made: int = 0
    """When it was made, so that another critic under the same name is read again."""

    def __call__(self, policy: Policy) -> BestOf:
        """The policy that chooses. Raises VantageError for a folder that holds no critic of chunks."""
        return BestOf(policy, load_chunk_critic(self.critic), self.count)


def draw_chunks(
    policy: Policy, observation: Observation, count: int, generator: Generator
) -> Float[Tensor, "B N C A"]:
    """N = `count` chunks of a policy at each observation."""
    rows = torch.arange(len(observation)).repeat_interleave(count)
    return policy.act(observation.at(rows), generator).unflatten(0, (len(observation), count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Chunks of a policy at some recorded states, and what critics say that never saw the episode."""

    rows: Int64[np.ndarray, "M"]
    """The states, as rows of the experience."""
    chunks: Float32[np.ndarray, "M N C A"]
    viability: Float[np.ndarray, "M N"]
    """p of each chunk."""

    @property
    def best(self) -> Float32[np.ndarray, "M C A"]:
        """The most viable chunk at each state."""
        return self.chunks[np.arange(len(self.rows)), self.viability.argmax(1)]

    @property
    def worth(self) -> Float[np.ndarray, "M"]:
        """What each state is worth under the policy: the mean viability of its chunks."""
        return self.viability.mean(1)


def judge_recorded(
    experience: Experience,
    rows: Int64[np.ndarray, "M"],
    policy: Policy,
    critic: ChunkCritic,
    fold: Int64[np.ndarray, "N"],
    *,
    count: int,
    seed: int,
    batch: int = 256,
) -> Judged:
    """Draw N = `count` chunks of `policy` at recorded states, and judge them by critics of other folds.

    `fold`: whose turn it is, of every frame of `experience` (`TrainedPanel.fold`). `batch`: states at once.
    """
    loader = experience.loader(policy.chunk, policy.interface.cameras, history=policy.interface.history)
    generator = torch.Generator().manual_seed(seed_for("chunks to judge", seed))
    chunks = np.zeros((len(rows), count, policy.chunk, policy.action_dim), np.float32)
    viability = np.zeros((len(rows), count))

    for start in range(0, len(rows), batch):
        part = slice(start, start + batch)
        observation = loader.observe(rows[part]).to(policy.device)
        drawn = draw_chunks(policy, observation, count, generator).float().cpu().numpy()
        features = policy.features(observation).float().cpu().numpy().repeat(count, 0)
        first = drawn.reshape(-1, *drawn.shape[2:])[:, : critic.length]
        z_v = critic.values(features, first, fold[rows[part]].repeat(count)).z_v
        chunks[part], viability[part] = drawn, sigmoid(z_v).reshape(-1, count)

    return Judged(rows=rows, chunks=chunks, viability=viability)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the critic of chunks says of recorded states, as it is kept beside it: M of N are judged."""

    advantage: Float[np.ndarray, "N"]
    """Viability of the executed chunk minus the mean viability of the policy's own; NaN where none is
    judged."""
    target: Int64[np.ndarray, "N"]
    """Row of `best`; -1 where none is judged."""
    best: Float32[np.ndarray, "M C A"]
    """The most viable chunk."""


def save_judged(
    path: Path,
    judged: Judged,
    executed: Float[np.ndarray, "M"],
    fingerprint: Int64[np.ndarray, "N"],
) -> None:
    """Write what was judged. `executed`: viability of what was executed; `fingerprint`: of every frame."""
    tensors = {
        "rows": judged.rows,
        "advantage": executed - judged.worth,
        "best": judged.best,
        "fingerprint": fingerprint,
    }
    save_file({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in tensors.items()}, path)


def load_judged(folder: Path, experience: Experience) -> Verdict:
    """Read what `save_judged` wrote into a critic's folder. Raises VantageError where nothing was judged
    there, or other frames were."""
    path = folder / JUDGED
    if not path.is_file():
        raise VantageError(
            f"{folder} holds no judged chunks; delete it if it is there, and run "
            f"`vantage fit-chunk-critic {folder.parent}`"
        )
    again = f"delete {folder}, and run `vantage fit-chunk-critic {folder.parent}`"
    kept = {name: tensor.numpy() for name, tensor in load_tensors(path, again).items()}
    if not _are_judged(kept):
        raise VantageError(f"{path} does not hold judged chunks; {again}")
    count = len(kept["fingerprint"])
    if count != len(experience) or (kept["fingerprint"] != experience.fingerprint).any():
        raise VantageError(
            f"{path} judges {count:,} frames that are not the {len(experience):,} frames here now; {again}"
        )

    advantage, target = np.full(count, np.nan), np.full(count, -1)
    advantage[kept["rows"]], target[kept["rows"]] = kept["advantage"], np.arange(len(kept["rows"]))
    return Verdict(advantage=advantage, target=target, best=kept["best"])


def _are_judged(kept: Mapping[str, np.ndarray]) -> bool:
    """Whether tensors are those of `save_judged`, each judged row a frame."""
    if set(kept) != {"rows", "advantage", "best", "fingerprint"}:
        return False
    rows, count = kept["rows"], len(kept["fingerprint"])
    alike = rows.ndim == 1 and len(rows) == len(kept["advantage"]) == len(kept["best"])
    return alike and kept["best"].ndim == 3 and not ((rows < 0) | (rows >= count)).any()
