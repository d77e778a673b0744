"""Rows of a replay in, observations and window batches out: what actors and critics read.

A batch is a pure function of the replay, the drawn anchors and a generator (for the shift augmentation); nothing is kept between batches.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from vantage.core.windows import action_mask, window_index
from vantage.data.replay import Replay
from vantage.types import Batch, Observation


def observe(replay: Replay, rows: Int64[np.ndarray, "B"], cameras: tuple[str, ...]) -> Observation:
    """What was seen at these rows. `cameras`: those that the actor looks at; none for a policy on true state."""
    truth = replay.environment_state
    return Observation(
        images=_pictures(replay, rows, cameras),
        state=torch.from_numpy(replay.state[rows]),
        environment_state=None if truth is None else torch.from_numpy(truth[rows]),
        prompts=tuple(replay.prompts[i] for i in replay.prompt[rows]),
    )


def make_batch(
    replay: Replay,
    anchors: Int64[np.ndarray, "B"],
    *,
    horizon: int,
    cameras: tuple[str, ...],
    shift: int = 0,
    rng: np.random.Generator | None = None,
) -> Batch:
    """Windows of `horizon` steps, cut at their segments' ends. `shift`: random shift of the pictures by up to so many pixels."""
    rows, valid = window_index(replay.segment_end, anchors, horizon)
    observation = observe(replay, anchors, cameras)
    if shift and rng is not None and cameras:
        observation = Observation(
            images={name: shift_pictures(pictures, shift, rng) for name, pictures in observation.images.items()},
            state=observation.state,
            environment_state=observation.environment_state,
            prompts=observation.prompts,
        )
    mask = action_mask(rows, valid, np.ones(replay.action.shape[1], dtype=bool))
    return Batch(observation=observation, actions=torch.from_numpy(replay.action[rows]), mask=torch.from_numpy(mask), row=anchors)


def shift_pictures(pictures: UInt8[Tensor, "B P P 3"], reach: int, rng: np.random.Generator) -> UInt8[Tensor, "B P P 3"]:
    """Every picture moved by its own offset of up to `reach` pixels each way, its edge repeated (DrQ, arXiv 2004.13649)."""
    size = pictures.shape[1]
    offset = rng.integers(-reach, reach + 1, size=(len(pictures), 2))
    out = torch.empty_like(pictures)
    line = np.arange(size)
    for dy, dx in np.unique(offset, axis=0):
        chosen = torch.from_numpy(np.flatnonzero((offset[:, 0] == dy) & (offset[:, 1] == dx)))
        ys, xs = (torch.from_numpy(np.clip(line + d, 0, size - 1)) for d in (dy, dx))
        out[chosen] = pictures[chosen][:, ys][:, :, xs]
    return out


def prefetch[T](make: Callable[[int], T], first: int, last: int, ahead: int = 2) -> Iterator[T]:
    """make(first), ..., make(last - 1), in order, computed by one background thread while the caller works."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        waiting = [thread.submit(make, i) for i in range(first, min(first + ahead, last))]
        for i in range(first, last):
            ready = waiting.pop(0).result()
            if i + ahead < last:
                waiting.append(thread.submit(make, i + ahead))
            yield ready


def _pictures(replay: Replay, rows: Int64[np.ndarray, "B"], cameras: tuple[str, ...]) -> dict[str, UInt8[Tensor, "B P P 3"]]:
    if not cameras:
        return {}
    found = {name: None for name in cameras}
    out: dict[str, UInt8[Tensor, "B P P 3"]] = {}
    upto = np.cumsum([0, *(len(table.index) for table in replay.tables)])
    source = np.searchsorted(upto, rows, side="right") - 1
    for i, store in enumerate(replay.stores):
        mine = np.flatnonzero(source == i)
        if not len(mine):
            continue
        pictures = torch.from_numpy(store.gather(rows[mine] - upto[i]))
        for name in found:
            if name not in out:
                side = pictures.shape[2]
                out[name] = torch.empty((len(rows), side, side, 3), dtype=torch.uint8)
            out[name][torch.from_numpy(mine)] = pictures[:, store.header.cameras.index(name)]
    return out
