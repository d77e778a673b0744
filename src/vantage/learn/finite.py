"""Losses of training steps in; where one is NaN or infinite, one sentence that names its batch.

    step, loss ──> LossWatch ──first bad step──> no_number(which loss, which frames) ──> VantageError

A network that has once taken a step by a loss that is no number has no weights any more: training stops at
that step, and what was saved before it is kept.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from vantage.data.experience import Experience
from vantage.types import VantageError

Naming = Callable[[Int64[np.ndarray, "B"]], Sequence[str]]
"""What the rows of a batch are called, in the order in which a sentence should name them."""
NAMED = 8
"""Frames that a sentence names."""
BY_FEATURES = "the largest features first"
OF_CRITIC = (
    "nothing was written; look at those frames and at the policy whose features these are, or lower the "
    "critic's lr"
)
"""What to do where the loss of a critic is no number."""


class LossWatch:
    """The first step whose loss is NaN or infinite.

    Reading a loss waits for its device, so on a GPU it is read only when somebody asks.
    """

    def __init__(self, device: torch.device) -> None:
        """`device`: where the losses are."""
        self._waits = device.type != "cpu"
        self._first = torch.full((), -1, device=device)

    def see(self, step: int, loss: Float[Tensor, ""]) -> None:
        """Look at the loss of a step."""
        self._first = torch.where((self._first < 0) & ~torch.isfinite(loss), step, self._first)

    def first_bad(self, *, wait: bool) -> int | None:
        """The step; None where every loss was a number.

        `wait`: False: None also where only waiting for the device would tell.
        """
        if self._waits and not wait:
            return None
        step = int(self._first)
        return step if step >= 0 else None


def no_number(
    title: str,
    step: int,
    frames: Sequence[str],
    *,
    what: str = "loss",
    order: str = "the largest actions first",
    remedy: str,
) -> VantageError:
    """The error about a loss that is NaN or infinite.

    `title`: what was trained. `step`: counted from 0. `frames`: names of what its batch holds, in `order`,
    repeated names once. `what`: what of the step is no number. `remedy`: what was kept, and what to do.
    """
    names = [*dict.fromkeys(frames)]
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    return VantageError(
        f"{title}: the {what} of step {step + 1} is NaN or infinite. In its batch: {shown} ({order}); "
        f"{remedy}"
    )


def rows_of(rows: Int64[np.ndarray, "B"]) -> list[str]:
    """Names of rows of which nothing else is known."""
    return [f"row {row}" for row in rows]


def frames_of(experience: Experience, rows: Int64[np.ndarray, "B"]) -> list[str]:
    """Names of B frames, those of the largest actions first."""
    return frames_by_size(experience, experience.action, rows)


def frames_by_size(
    experience: Experience,
    vectors: Float32[np.ndarray, "N D"],
    rows: Int64[np.ndarray, "B"],
) -> list[str]:
    """Names of B of N frames, those first whose vector holds the largest number."""
    return [
        f"round {experience.round[row]} frame {experience.index[row]}" for row in largest_first(vectors, rows)
    ]


def largest_first(
    vectors: Float32[np.ndarray, "N D"], rows: Int64[np.ndarray, "B"]
) -> Int64[np.ndarray, "B"]:
    """B rows of N, those first whose vector holds the largest number; NaN is larger than any."""
    size = np.abs(np.nan_to_num(vectors[rows], nan=np.inf)).max(axis=1)
    return rows[np.argsort(-size, kind="stable")]
