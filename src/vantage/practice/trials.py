"""Trials of a chunk policy as a table.

What was seen at the beginning of every chunk, what was drawn, and how the episode ended:

episode 0: chunk, chunk, chunk (success) | episode 1: chunk, chunk ... (limit) | ...
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """E episodes of N chunks, end to end. A row of N is a chunk, a row of E an episode."""

    task: Int64[np.ndarray, "E"]
    seed: Int64[np.ndarray, "E"]
    success: Bool[np.ndarray, "E"]
    steps: Int64[np.ndarray, "E"]
    """Executed by the policy, up to success where there is one."""
    spent: Int64[np.ndarray, "E"]
    """Environment steps, those that an operator led included."""
    limit: Int64[np.ndarray, "E"]
    """Control steps after which the policy is out of time."""
    led: Bool[np.ndarray, "E"]
    """Whether an operator drove first."""
    end_state: Float32[np.ndarray, "E K"]
    """The true state after the last step."""
    episode: Int64[np.ndarray, "N"]
    """Row of E."""
    elapsed: Float32[np.ndarray, "N"]
    """Share of the limit that was over when the chunk began."""
    state: Float32[np.ndarray, "N S"]
    environment_state: Float32[np.ndarray, "N K"]
    images: dict[str, UInt8[np.ndarray, "N P P 3"]]
    path: Float32[np.ndarray, "N Q H A"]
    """What the policy drew (`StochasticPolicy`); the plain chunk where it did not explore."""
    action: Float32[np.ndarray, "N H A"]
    """The chunk within the world's limits, as it was executed."""
    executed: Bool[np.ndarray, "N H"]

    @property
    def chunk_steps(self) -> Int64[np.ndarray, "N"]:
        """n_k: executed steps of every chunk."""
        return self.executed.sum(axis=1)

    @property
    def steps_to_go(self) -> Int64[np.ndarray, "N"]:
        """Control steps from the beginning of every chunk to the end of its episode."""
        done = np.cumsum(self.chunk_steps) - self.chunk_steps
        first = np.flatnonzero(np.append(True, self.last[:-1]))
        return self.steps[self.episode] - (done - done[first][self.episode])

    @property
    def last(self) -> Bool[np.ndarray, "N"]:
        """Chunks with which their episode ended."""
        return np.append(self.episode[1:] != self.episode[:-1], True)

    @property
    def won(self) -> Bool[np.ndarray, "N"]:
        """Chunks that ended in success."""
        return self.last & self.success[self.episode]


def join_trials(parts: Sequence[Trials]) -> Trials:
    """Lay the trials of several groups end to end."""
    offsets = np.cumsum([0] + [len(part.task) for part in parts[:-1]])
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in Trials.__dataclass_fields__
        if name not in ("episode", "images")
    }

    cameras = parts[0].images
    return Trials(
        **columns,
        episode=np.concatenate([part.episode + offset for part, offset in zip(parts, offsets, strict=True)]),
        images={camera: np.concatenate([part.images[camera] for part in parts]) for camera in cameras},
    )
