"""Anchor rows -> Batch: windows of H steps with pixels, by index arithmetic over arrays in memory and a memory map.

    rounds end to end   | demonstrations | round 1 | round 2 |        one row per frame
    (seed, step) ──draw──> anchors [B] ──window_index──> rows, valid [B, H] ──gather──> Batch

A batch is a pure function of (seed, step): resuming at step k repeats what an uninterrupted run would have seen, prefetched or not.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8

from vantage.core.sampling import draw
from vantage.core.windows import action_mask, window_index
from vantage.data.frames import FrameStore
from vantage.data.v3.read import Table
from vantage.types import Batch, Observation, VantageError


@dataclass(frozen=True, slots=True)
class RandomShift:
    """Move every picture by up to `pixels` in both directions, repeating its edge; one draw per sample and camera (DrQ's augmentation)."""

    pixels: int = 4

    def __call__(self, images: UInt8[np.ndarray, "B C P P 3"], generator: np.random.Generator) -> UInt8[np.ndarray, "B C P P 3"]:
        """Shifted copies; the same for the same state of the generator."""
        batch, cameras, side = images.shape[:3]
        edge = np.clip(np.arange(-self.pixels, side + self.pixels), 0, side - 1)
        padded = images.take(edge, axis=2).take(edge, axis=3)
        offsets = generator.integers(0, 2 * self.pixels + 1, (batch, cameras, 2))
        out = np.empty_like(images)
        for place in np.ndindex(batch, cameras):
            y, x = offsets[place]
            out[place] = padded[place][y : y + side, x : x + side]
        return out


def prefetch[T](make: Callable[[int], T], steps: Iterable[int], ahead: int = 2) -> Iterator[T]:
    """Yield make(step) for every step, in order, while one thread works up to `ahead` steps further; its errors surface at their step."""
    with ThreadPoolExecutor(1, "prefetch") as pool:
        waiting: deque[Future[T]] = deque()
        for step in steps:
            waiting.append(pool.submit(make, step))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def augmentation(seed: int, step: int) -> np.random.Generator:
    """What decides the shifts of one gradient step; given again, another batch of as many rows is shifted alike."""
    return np.random.default_rng((seed, step, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLoader:
    """N frames of one or several datasets, end to end, served as windows."""

    state: Float32[np.ndarray, "N S"]
    environment_state: Float32[np.ndarray, "N E"] | None
    action: Float32[np.ndarray, "N A"]
    prompt: Int64[np.ndarray, "N"]
    """Row of `prompts`."""
    prompts: tuple[str, ...]
    segment_end: Int64[np.ndarray, "N"]
    """Last row of each frame's segment (`core.segments.last_of_segment`)."""
    horizon: int
    """H."""
    stores: tuple[FrameStore, ...] = ()
    """Pictures, dataset by dataset; empty for a policy on true state."""
    cameras: tuple[str, ...] = ()
    """Which cameras to serve, in the actor's order."""
    commanded: Bool[np.ndarray, "A"] | Bool[np.ndarray, "N A"] | None = None
    """Action dimensions that somebody commanded, for the robot or for every frame; None: all."""
    shift: RandomShift | None = None

    def __post_init__(self) -> None:
        frames = sum(len(store) for store in self.stores)
        if self.cameras and frames != len(self.action):
            raise VantageError(f"the frame stores hold {frames:,} pictures for {len(self.action):,} frames; build them again.")
        missing = {camera for store in self.stores for camera in self.cameras if camera not in store.header.cameras}
        if missing:
            raise VantageError(f"the policy looks at camera {', '.join(sorted(missing))}, which a dataset lacks; record it.")
        if len({store.header.size for store in self.stores}) > 1:
            raise VantageError("the frame stores differ in picture size; build them at one size.")

    def __len__(self) -> int:
        return len(self.action)

    @classmethod
    def over(
        cls,
        tables: Sequence[Table],
        segment_end: Int64[np.ndarray, "N"],
        horizon: int,
        stores: Sequence[FrameStore] = (),
        cameras: tuple[str, ...] = (),
        shift: RandomShift | None = None,
    ) -> "WindowLoader":
        """Lay tables end to end, with their stores in the same order."""
        prompts = tuple(dict.fromkeys(prompt for table in tables for prompt in table.prompts))
        truths = [table.environment_state for table in tables]
        known = [truth for truth in truths if truth is not None]
        return cls(
            state=np.concatenate([table.state for table in tables]),
            environment_state=np.concatenate(known) if len(known) == len(truths) else None,
            action=np.concatenate([table.action for table in tables]),
            prompt=np.concatenate([np.array([prompts.index(prompt) for prompt in table.prompts])[table.prompt] for table in tables]),
            prompts=prompts,
            segment_end=segment_end,
            horizon=horizon,
            stores=tuple(stores),
            cameras=cameras,
            shift=shift,
        )

    def pictures(self, rows: Int64[np.ndarray, "B"]) -> UInt8[np.ndarray, "B C P P 3"]:
        """What the cameras saw at these rows, as stored."""
        first, *others = self.stores
        if not others:
            found = first.gather(rows)
        else:
            found = np.empty((len(rows), *first.header.shape[1:]), np.uint8)
            ends = np.cumsum([len(store) for store in self.stores])
            owner = np.searchsorted(ends, rows, side="right")
            for number, store in enumerate(self.stores):
                mine = owner == number
                found[mine] = store.gather(rows[mine] - (ends[number] - len(store)))[:, self._order(store, first.header.cameras)]
        return found[:, self._order(first, self.cameras)]

    @staticmethod
    def _order(store: FrameStore, cameras: Sequence[str]) -> list[int] | slice:
        have = store.header.cameras
        return slice(None) if have == tuple(cameras) else [have.index(camera) for camera in cameras]

    def observe(self, rows: Int64[np.ndarray, "B"], generator: np.random.Generator | None = None) -> Observation:
        """Observations at these rows; shifted if the loader has a shift and a generator is given."""
        images: dict[str, UInt8[torch.Tensor, "B P P 3"]] = {}
        if self.cameras:
            pixels = self.pictures(rows)
            if self.shift is not None and generator is not None:
                pixels = self.shift(pixels, generator)
            images = {camera: torch.from_numpy(pixels[:, place]) for place, camera in enumerate(self.cameras)}
        truth: Float[torch.Tensor, "B E"] | None = None
        if self.environment_state is not None:
            truth = torch.from_numpy(self.environment_state[rows])
        return Observation(
            images=images,
            state=torch.from_numpy(self.state[rows]),
            environment_state=truth,
            prompts=tuple(self.prompts[number] for number in self.prompt[rows]),
        )

    def batch(self, rows: Int64[np.ndarray, "B"], generator: np.random.Generator | None = None) -> Batch:
        """The windows anchored at these rows."""
        steps, valid = window_index(self.segment_end, rows, self.horizon)
        commanded = np.ones(self.action.shape[1], np.bool_) if self.commanded is None else self.commanded
        return Batch(
            observation=self.observe(rows, generator),
            actions=torch.from_numpy(self.action[steps]),
            mask=torch.from_numpy(action_mask(steps, valid, commanded)),
            row=rows,
        )

    def drawn(self, probability: Float[np.ndarray, "N"], seed: int, step: int, size: int) -> Batch:
        """The batch of one gradient step: a pure function of (seed, step), augmentation included."""
        rows = draw(probability.astype(np.float64), seed=seed, step=step, batch=size)
        return self.batch(rows, augmentation(seed, step))

    def stream(self, probability: Float[np.ndarray, "N"], seed: int, steps: Iterable[int], size: int, ahead: int = 2) -> Iterator[Batch]:
        """`drawn` for every step, prepared by one background thread while the last one is being used."""
        return prefetch(lambda step: self.drawn(probability, seed, step, size), steps, ahead)
