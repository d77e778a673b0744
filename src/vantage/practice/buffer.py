"""The demonstrations and the policy's own best trials, per task: what self behaviour cloning imitates.

Source: arXiv 2509.25718.

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

from vantage.batch import Batch, Observation
from vantage.bounds import Count, check
from vantage.learn.finite import largest_first
from vantage.practice.trials import Trials


@dataclass(frozen=True, slots=True)
class NoLongerThanMedian:
    """A success enters if it is no longer than the median of what its task has.

    Our reading of the paper's "high-quality".
    """

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
        """Take what the rule admits of some trials, shortest first; returns how many entered.

        Led episodes are not the policy's own.
        """
        entered = 0
        successes = np.flatnonzero(trials.success & ~trials.led)
        for number in sorted(successes, key=lambda row: int(trials.steps[row])):
            episodes = self.kept[trials.task[number]]
            lengths = [episode.steps for episode in episodes]
            if not self.rule.admission(int(trials.steps[number]), lengths, self.rule.capacity):
                continue

            episodes.append(windows_of(trials, int(number)))
            if len(episodes) > self.rule.capacity:
                episodes.remove(max(episodes, key=lambda episode: episode.steps))
            entered += 1

        if entered:
            self._rows = None
        return entered

    def __len__(self) -> int:
        """Episodes."""
        return sum(len(episodes) for episodes in self.kept)

    @property
    def own_share(self) -> float:
        """Share of the episodes that are the policy's own; 0 of an empty buffer.

        Of the windows drawn it is less (`own_drawn`): a demonstration has one per control step, a trial one
        per chunk.
        """
        own = sum(episode.own for episodes in self.kept for episode in episodes)
        return own / max(len(self), 1)

    @property
    def own_drawn(self) -> float:
        """Share of the windows drawn by `draw` that are the policy's own; 0 of an empty buffer."""
        shares: list[float] = []
        for episodes in filter(None, self.kept):
            own = sum(len(episode.state) for episode in episodes if episode.own)
            shares.append(own / sum(len(episode.state) for episode in episodes))
        return float(np.mean(shares)) if shares else 0.0

    @property
    def lengths(self) -> list[float]:
        """Mean length of what every task has; NaN for a task with nothing."""
        lengths = [[episode.steps for episode in episodes] for episodes in self.kept]
        return [float(np.mean(steps)) if steps else float("nan") for steps in lengths]

    def draw(self, size: int, rng: np.random.Generator) -> tuple[Batch, Int64[np.ndarray, "B"]]:
        """Draw B = `size` windows, and return them with their tasks.

        Every task that has any window is drawn as often as the others.
        """
        rows, task = self._table()

        # The windows lie task by task: draw a task, then a row among its own.
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

    def names(self, windows: Int64[np.ndarray, "B"]) -> list[str]:
        """What drawn windows are called, the largest actions first: their task, and the episode and its
        window, counted from 0."""
        action = self._table()[0].action
        windows = largest_first(action.reshape(len(action), -1), windows)
        flat = self._numbered()
        ends = np.cumsum([len(episode.state) for _, episode in flat])
        firsts = np.append(0, ends[:-1])
        within = np.concatenate([np.arange(len(episodes)) for episodes in self.kept])
        return [
            f"{self.prompts[flat[number][0]]!r}, kept episode {within[number]}, window {row - firsts[number]}"
            for row, number in zip(windows, np.searchsorted(ends, windows, side="right"), strict=True)
        ]

    def _table(self) -> tuple[Windows, Int64[np.ndarray, "M"]]:
        """All windows end to end, task by task."""
        if self._rows is not None and self._task is not None:
            return self._rows, self._task

        flat = self._numbered()
        cameras = flat[0][1].images
        self._rows = Windows(
            steps=0,
            own=False,
            state=np.concatenate([episode.state for _, episode in flat]),
            environment_state=np.concatenate([episode.environment_state for _, episode in flat]),
            images={
                camera: np.concatenate([episode.images[camera] for _, episode in flat]) for camera in cameras
            },
            action=np.concatenate([episode.action for _, episode in flat]),
            mask=np.concatenate([episode.mask for _, episode in flat]),
        )
        self._task = np.concatenate([np.full(len(episode.state), task) for task, episode in flat])
        return self._rows, self._task

    def _numbered(self) -> list[tuple[int, Windows]]:
        """Every episode with the number of its task, task by task."""
        return [(task, episode) for task, episodes in enumerate(self.kept) for episode in episodes]

    def tensors(self) -> dict[str, Tensor]:
        """Everything, for a file: one row per episode, and one row per window, task by task."""
        rows, _ = self._table()
        flat = self._numbered()

        columns = {
            "episode.task": np.array([task for task, _ in flat]),
            "episode.steps": np.array([episode.steps for _, episode in flat]),
            "episode.own": np.array([episode.own for _, episode in flat]),
            "episode.windows": np.array([len(episode.state) for _, episode in flat]),
            "state": rows.state,
            "environment_state": rows.environment_state,
            "action": rows.action,
            "mask": rows.mask,
            **{f"image.{camera}": pictures for camera, pictures in rows.images.items()},
        }
        return {
            f"buffer.{name}": torch.from_numpy(np.ascontiguousarray(column))
            for name, column in columns.items()
        }

    @classmethod
    def read(cls, rule: BufferRule, prompts: tuple[str, ...], tensors: Mapping[str, Tensor]) -> "DemoBuffer":
        """The buffer whose `tensors` these are."""
        columns = _with_prefix("buffer.", {name: tensor.numpy() for name, tensor in tensors.items()})
        images = _with_prefix("image.", columns)
        episodes = [columns[f"episode.{name}"] for name in ("task", "steps", "own", "windows")]

        buffer = cls(rule, prompts)
        first = 0
        for task, steps, own, count in zip(*episodes, strict=True):
            rows = slice(first, first + int(count))
            first += int(count)

            windows = Windows(
                steps=int(steps),
                own=bool(own),
                state=columns["state"][rows],
                environment_state=columns["environment_state"][rows],
                images={camera: pictures[rows] for camera, pictures in images.items()},
                action=columns["action"][rows],
                mask=columns["mask"][rows],
            )
            buffer.start(int(task), windows)
        return buffer


def _with_prefix(prefix: str, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): column for name, column in columns.items() if name.startswith(prefix)}
