"""The demonstrations and the policy's own best trials, per task: what self behaviour cloning imitates (arXiv 2509.25718).

    demonstrations ──> start ─┐
    own successes ──admitted?──> buffer ──> batches, every task alike
                                  └──> the longest leaves where it is full

Failures never enter. A row is a window: what was seen, and the up to H actions that followed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from vantage.config import Count, check
from vantage.practice.trials import Trials
from vantage.types import Batch, Observation


@dataclass(frozen=True, slots=True)
class NoLongerThanMedian:
    """A success enters if it is no longer than the median of what its task has (the paper's "high-quality", our reading)."""

    def __call__(self, steps: int, kept: Sequence[int], capacity: int) -> bool:
        """Whether a success of so many steps enters."""
        return not kept or steps <= float(np.median(kept))


@dataclass(frozen=True, slots=True)
class ShorterThanLongest:
    """A success enters while there is room, and then if it is shorter than the longest."""

    def __call__(self, steps: int, kept: Sequence[int], capacity: int) -> bool:
        """Whether a success of so many steps enters."""
        return len(kept) < capacity or steps < max(kept)


@dataclass(frozen=True, slots=True)
class OnlyDemonstrations:
    """Nothing enters: plain behaviour cloning on the demonstrations."""

    def __call__(self, steps: int, kept: Sequence[int], capacity: int) -> bool:
        """False."""
        return False


Admission = NoLongerThanMedian | ShorterThanLongest | OnlyDemonstrations


@dataclass(frozen=True, slots=True)
class BufferRule:
    """What the buffer keeps."""

    capacity: Count = 40
    """Episodes per task; demonstrations count."""
    admission: Admission = NoLongerThanMedian()

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """M windows of one successful episode."""

    steps: int
    """Length of the episode they come from."""
    own: bool
    """The policy's own, not a demonstration."""
    state: Float32[np.ndarray, "M S"]
    environment_state: Float32[np.ndarray, "M E"]
    images: Mapping[str, UInt8[np.ndarray, "M P P 3"]]
    action: Float32[np.ndarray, "M H A"]
    mask: Bool[np.ndarray, "M H"]
    """False where nothing was executed."""


def windows_of(trials: Trials, episode: int) -> Windows:
    """The chunks of one episode, as executed."""
    rows = np.flatnonzero(trials.episode == episode)
    return Windows(
        steps=int(trials.steps[episode]),
        own=True,
        state=trials.state[rows],
        environment_state=trials.environment_state[rows],
        images={camera: pictures[rows] for camera, pictures in trials.images.items()},
        action=trials.action[rows],
        mask=trials.executed[rows],
    )


@dataclass(slots=True)
class DemoBuffer:
    """Successful episodes of K tasks, at most `rule.capacity` of each."""

    rule: BufferRule
    prompts: tuple[str, ...]
    """Of every task."""
    kept: list[list[Windows]] = field(default_factory=list[list[Windows]])
    _rows: Windows | None = None
    _task: Int64[np.ndarray, "M"] | None = None

    def __post_init__(self) -> None:
        if not self.kept:
            self.kept = [[] for _ in self.prompts]

    def start(self, task: int, episode: Windows) -> None:
        """Take a demonstration, whatever its length."""
        self.kept[task].append(episode)
        self._rows = None

    def offer(self, trials: Trials) -> int:
        """Take what the rule admits of some trials, shortest first; returns how many entered. Led episodes are not the policy's own."""
        entered = 0
        for episode in sorted(np.flatnonzero(trials.success & ~trials.led), key=lambda e: int(trials.steps[e])):
            mine = self.kept[trials.task[episode]]
            steps = int(trials.steps[episode])
            if self.rule.admission(steps, [each.steps for each in mine], self.rule.capacity):
                mine.append(windows_of(trials, int(episode)))
                if len(mine) > self.rule.capacity:
                    mine.remove(max(mine, key=lambda each: each.steps))
                entered += 1
        if entered:
            self._rows = None
        return entered

    def __len__(self) -> int:
        """Episodes."""
        return sum(len(mine) for mine in self.kept)

    @property
    def own_share(self) -> float:
        """Share of the episodes that are the policy's own; 0 of an empty buffer."""
        return sum(each.own for mine in self.kept for each in mine) / max(len(self), 1)

    @property
    def lengths(self) -> list[float]:
        """Mean length of what every task has; NaN for a task with nothing."""
        return [float(np.mean([each.steps for each in mine])) if mine else float("nan") for mine in self.kept]

    def draw(self, size: int, rng: np.random.Generator) -> tuple[Batch, Int64[np.ndarray, "B"]]:
        """Windows and their tasks: every task that has any is drawn as often as the others."""
        rows, task = self._table()
        present = np.unique(task)
        first = np.searchsorted(task, present)
        count = np.searchsorted(task, present, side="right") - first
        which = rng.integers(len(present), size=size)
        at = first[which] + (rng.random(size) * count[which]).astype(np.int64)
        mask = torch.from_numpy(rows.mask[at])
        batch = Batch(
            observation=Observation(
                images={camera: torch.from_numpy(pictures[at]) for camera, pictures in rows.images.items()},
                state=torch.from_numpy(rows.state[at]),
                environment_state=torch.from_numpy(rows.environment_state[at]),
                prompts=tuple(self.prompts[k] for k in task[at]),
            ),
            actions=torch.from_numpy(rows.action[at]),
            mask=mask[:, :, None].expand(-1, -1, rows.action.shape[-1]),
            row=at,
        )
        return batch, task[at]

    def _table(self) -> tuple[Windows, Int64[np.ndarray, "M"]]:
        """All windows end to end, task by task."""
        if self._rows is None or self._task is None:
            flat = [each for mine in self.kept for each in mine]
            self._rows = Windows(
                steps=0,
                own=False,
                state=np.concatenate([each.state for each in flat]),
                environment_state=np.concatenate([each.environment_state for each in flat]),
                images={camera: np.concatenate([each.images[camera] for each in flat]) for camera in flat[0].images},
                action=np.concatenate([each.action for each in flat]),
                mask=np.concatenate([each.mask for each in flat]),
            )
            self._task = np.concatenate([np.full(len(each.state), task) for task, mine in enumerate(self.kept) for each in mine])
        return self._rows, self._task

    def tensors(self) -> dict[str, Tensor]:
        """Everything, for a file."""
        rows, _ = self._table()
        flat = [(task, each) for task, mine in enumerate(self.kept) for each in mine]
        columns = {
            "episode.task": np.array([task for task, _ in flat]),
            "episode.steps": np.array([each.steps for _, each in flat]),
            "episode.own": np.array([each.own for _, each in flat]),
            "episode.windows": np.array([len(each.state) for _, each in flat]),
            "state": rows.state,
            "environment_state": rows.environment_state,
            "action": rows.action,
            "mask": rows.mask,
            **{f"image.{camera}": pictures for camera, pictures in rows.images.items()},
        }
        return {f"buffer.{name}": torch.from_numpy(np.ascontiguousarray(column)) for name, column in columns.items()}

    @classmethod
    def read(cls, rule: BufferRule, prompts: tuple[str, ...], tensors: Mapping[str, Tensor]) -> "DemoBuffer":
        """What `tensors` returned."""
        columns = {name.removeprefix("buffer."): t.numpy() for name, t in tensors.items() if name.startswith("buffer.")}
        buffer = cls(rule, prompts)
        at = 0
        for task, steps, own, count in zip(*(columns[f"episode.{name}"] for name in ("task", "steps", "own", "windows")), strict=True):
            rows = slice(at, at + int(count))
            at += int(count)
            windows = Windows(
                steps=int(steps),
                own=bool(own),
                state=columns["state"][rows],
                environment_state=columns["environment_state"][rows],
                images={name.removeprefix("image."): column[rows] for name, column in columns.items() if name.startswith("image.")},
                action=columns["action"][rows],
                mask=columns["mask"][rows],
            )
            buffer.start(int(task), windows)
        return buffer
