"""Anchor rows -> Batch: windows of H steps with pixels, by index arithmetic over arrays and picture stores.

    rounds end to end   | demonstrations | round 1 | round 2 |        one row per frame
    (seed, step) ──draw──> anchors [B] ──window_index──> rows, valid [B, H] ──gather──> Batch

A batch is a pure function of (seed, step): resuming at step k repeats what an uninterrupted run would have
seen, prefetched or not.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8

from vantage.batch import Batch, Observation
from vantage.core.sampling import draw
from vantage.core.windows import action_mask, earlier_rows, window_index
from vantage.data.frames import Frames
from vantage.data.v3.read import Table
from vantage.seeding import seed_for
from vantage.types import VantageError

Pictures = dict[str, UInt8[np.ndarray, "B _h _w 3"]]
"""Camera -> B pictures, each camera at a size of its own."""


ALL = slice(None)
"""Every row of a batch."""


@dataclass(frozen=True, slots=True)
class Share:
    """Some rows of a batch: what one of several processes computes of it."""

    rows: slice
    size: int
    """Rows of the whole batch."""


@dataclass(frozen=True, slots=True)
class RandomShift:
    """Move every picture by up to `pixels` in both directions, repeating its edge.

    One draw per sample and camera (DrQ's augmentation).
    """

    pixels: int = 4

    def __call__(
        self, images: Pictures, generator: np.random.Generator, share: Share | None = None
    ) -> Pictures:
        """Shifted copies; the same for the same state of the generator and the same order of cameras.

        `share`: which part of a batch these are; it is shifted as it would be within the whole of it.
        """
        if not images:
            return images
        count = len(next(iter(images.values())))
        return self.moved(images, self.offsets(count, len(images), generator, share))

    def offsets(
        self,
        count: int,
        cameras: int,
        generator: np.random.Generator,
        share: Share | None = None,
    ) -> Int64[np.ndarray, "B K 2"]:
        """How far down and across to begin, for each of `count` samples and K = `cameras` cameras."""
        size = count if share is None else share.size
        drawn = generator.integers(0, 2 * self.pixels + 1, (size, cameras, 2))
        return drawn if share is None else drawn[share.rows]

    def moved(self, images: Pictures, offsets: Int64[np.ndarray, "B K 2"]) -> Pictures:
        """Copies shifted by these offsets."""
        return {
            camera: self._shifted(pictures, offsets[:, number])
            for number, (camera, pictures) in enumerate(images.items())
        }

    def _shifted(
        self, pictures: UInt8[np.ndarray, "B _h _w 3"], offsets: Int64[np.ndarray, "B 2"]
    ) -> UInt8[np.ndarray, "B _h _w 3"]:
        """Pictures that begin `offset - pixels` rows and columns later, or earlier, than they did."""
        height, width = pictures.shape[1:3]
        shifted = np.empty_like(pictures)

        # Past its own length a picture shows nothing but its edge, however far it moves.
        reach = np.array([height - 1, width - 1])
        moves = np.clip(offsets - self.pixels, -reach, reach)
        for picture, out, (down, across) in zip(pictures, shifted, moves.tolist(), strict=True):
            # What stays in view is copied; then its edge fills the rest, columns first, so the corners too.
            top, bottom = max(0, -down), min(height, height - down)
            left, right = max(0, -across), min(width, width - across)
            out[top:bottom, left:right] = picture[top + down : bottom + down, left + across : right + across]
            out[top:bottom, :left] = out[top:bottom, left : left + 1]
            out[top:bottom, right:] = out[top:bottom, right - 1 : right]
            out[:top] = out[top]
            out[bottom:] = out[bottom - 1]
        return shifted


def prefetch[T](
    make: Callable[[int], T], steps: Iterable[int], ahead: int = 2, threads: int = 1
) -> Iterator[T]:
    """Yield make(step) for every step, in order, while `threads` threads work up to `ahead` steps further,
    each at least at one; without any, a step is made when it is asked for.

    Errors surface at their step.
    """
    if not threads:
        yield from map(make, steps)
        return

    with ThreadPoolExecutor(threads, "prefetch") as pool:
        waiting: deque[Future[T]] = deque()
        for step in steps:
            waiting.append(pool.submit(make, step))
            if len(waiting) > max(ahead, threads):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def augmentation(seed: int, step: int) -> np.random.Generator:
    """What decides the shifts of one gradient step.

    Given again, another batch of as many rows is shifted alike.
    """
    return np.random.default_rng((seed, step, 1))


def _check_size(number: int, camera: str, have: tuple[int, int], want: tuple[int, int] | None) -> None:
    if want is not None and have != want:
        raise VantageError(
            f"dataset {number} holds camera {camera} at {have[1]} x {have[0]} px and the policy wants "
            f"{want[1]} x {want[0]} px; keep its pictures at that size, or use a policy that resizes by "
            "itself."
        )


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
    """Steps of a window from its anchor on."""
    stores: tuple[Frames, ...] = ()
    """Pictures, dataset by dataset; empty for a policy on true state."""
    cameras: Mapping[str, tuple[int, int] | None] = field(default_factory=dict[str, tuple[int, int] | None])
    """Which cameras to serve, in the policy's order -> the (height, width) that it must be given, or None
    where it resizes by itself."""
    commanded: Bool[np.ndarray, "A"] | Bool[np.ndarray, "N A"] | None = None
    """Action dimensions that somebody commanded, for the robot or for every frame; None: all."""
    shift: RandomShift | None = None
    history: int = 1
    """Observations that the policy looks at: with more than one, windows begin `history` - 1 steps before
    their anchor, and what was seen then stands in `Observation.earlier`. Nothing is taken from another
    segment."""

    def __post_init__(self) -> None:
        """Raise `VantageError` where the pictures do not fit the frames or lack a camera."""
        frames = sum(len(store) for store in self.stores)
        if self.cameras and frames != len(self.action):
            raise VantageError(
                f"the frame stores hold {frames:,} pictures for {len(self.action):,} frames; "
                "build them again."
            )

        missing = {camera for store in self.stores for camera in self.cameras if camera not in store.cameras}
        if missing:
            raise VantageError(
                f"the policy looks at camera {', '.join(sorted(missing))}, which a dataset lacks; record it."
            )
        for number, store in enumerate(self.stores):
            for camera, size in self.cameras.items():
                _check_size(number, camera, store.cameras[camera], size)

    def __len__(self) -> int:
        return len(self.action)

    @classmethod
    def over(
        cls,
        tables: Sequence[Table],
        segment_end: Int64[np.ndarray, "N"],
        horizon: int,
        stores: Sequence[Frames] = (),
        cameras: Mapping[str, tuple[int, int] | None] | Sequence[str] = (),
        shift: RandomShift | None = None,
        history: int = 1,
    ) -> "WindowLoader":
        """Lay tables end to end, with their stores in the same order.

        Cameras named without a size may have any.
        """
        prompts = tuple(dict.fromkeys(prompt for table in tables for prompt in table.prompts))
        truths = [table.environment_state for table in tables]
        known = [truth for truth in truths if truth is not None]
        of_table = [np.array([prompts.index(prompt) for prompt in table.prompts]) for table in tables]

        return cls(
            state=np.concatenate([table.state for table in tables]),
            environment_state=np.concatenate(known) if len(known) == len(truths) else None,
            action=np.concatenate([table.action for table in tables]),
            prompt=np.concatenate(
                [numbers[table.prompt] for numbers, table in zip(of_table, tables, strict=True)]
            ),
            prompts=prompts,
            segment_end=segment_end,
            horizon=horizon,
            stores=tuple(stores),
            cameras=cameras if isinstance(cameras, Mapping) else dict.fromkeys(cameras),
            shift=shift,
            history=history,
        )

    @property
    def sizes(self) -> tuple[dict[str, tuple[int, int]], ...]:
        """The different sizes that pictures come in, camera by camera: one, unless datasets differ."""
        sizes = [{camera: store.cameras[camera] for camera in self.cameras} for store in self.stores]
        return tuple(size for number, size in enumerate(sizes) if size not in sizes[:number])

    def size_group(self, rows: Int64[np.ndarray, "B"]) -> Int64[np.ndarray, "B"]:
        """Which of `sizes` the pictures at these rows have; one batch holds rows of one group."""
        if not self.stores:
            return np.zeros(len(rows), np.int64)
        sizes = [{camera: store.cameras[camera] for camera in self.cameras} for store in self.stores]
        of_store = [self.sizes.index(size) for size in sizes]
        return np.array(of_store, np.int64)[self._owner(rows)]

    def runs(self, length: int) -> Iterator[Int64[np.ndarray, "_"]]:
        """All rows in order, at most `length` at a time and none together whose pictures differ in size."""
        borders = np.flatnonzero(np.diff(self.size_group(np.arange(len(self))))) + 1
        for first, end in pairwise([0, *borders.tolist(), len(self)]):
            for start in range(first, end, length):
                yield np.arange(start, min(start + length, end))

    def _owner(self, rows: Int64[np.ndarray, "B"]) -> Int64[np.ndarray, "B"]:
        """The number of the store that holds each row."""
        return np.searchsorted(np.cumsum([len(store) for store in self.stores]), rows, side="right")

    def pictures(self, rows: Int64[np.ndarray, "B"]) -> Pictures:
        """What the cameras saw at these rows, as stored.

        Raises VantageError for rows whose pictures differ in size.
        """
        if len(self.stores) == 1:
            return self.stores[0].gather(rows, tuple(self.cameras))
        groups = np.unique(self.size_group(rows))
        if len(groups) > 1:
            raise VantageError(
                "these frames come from datasets whose pictures differ in size, which no batch holds "
                "together; draw them by `size_group`, or use a policy that wants one size."
            )

        size = self.sizes[groups[0] if len(groups) else 0]
        gathered = {camera: np.empty((len(rows), *size[camera], 3), np.uint8) for camera in self.cameras}
        owner, first = self._owner(rows), 0
        for number, store in enumerate(self.stores):
            places = np.flatnonzero(owner == number)
            if len(places):
                for camera, pictures in store.gather(rows[places] - first, tuple(self.cameras)).items():
                    gathered[camera][places] = pictures
            first += len(store)
        return gathered

    def observe(
        self,
        rows: Int64[np.ndarray, "B"],
        generator: np.random.Generator | None = None,
        share: Share | None = None,
    ) -> Observation:
        """Observations at these rows, with the earlier ones that the policy looks at.

        Pictures are shifted if the loader has a shift and a generator is given, all those of a sample alike.
        `share`: which part of a batch these rows are.
        """
        offsets: Int64[np.ndarray, "B K 2"] | None = None
        if self.cameras and self.shift is not None and generator is not None:
            offsets = self.shift.offsets(len(rows), len(self.cameras), generator, share)

        if self.history == 1:
            return self._seen(rows, offsets)
        before = earlier_rows(self.segment_end, rows, self.history - 1)
        return self._seen(rows, offsets, tuple(self._seen(then, offsets) for then in before))

    def _seen(
        self,
        rows: Int64[np.ndarray, "B"],
        offsets: Int64[np.ndarray, "B K 2"] | None,
        earlier: tuple[Observation, ...] = (),
    ) -> Observation:
        """What was seen at these rows, with `earlier` beside it."""
        images = self.pictures(rows) if self.cameras else {}
        if self.shift is not None and offsets is not None:
            images = self.shift.moved(images, offsets)

        truth: Float[torch.Tensor, "B E"] | None = None
        if self.environment_state is not None:
            truth = torch.from_numpy(self.environment_state[rows])
        return Observation(
            images={camera: torch.from_numpy(pictures) for camera, pictures in images.items()},
            state=torch.from_numpy(self.state[rows]),
            environment_state=truth,
            prompts=tuple(self.prompts[number] for number in self.prompt[rows]),
            earlier=earlier,
        )

    def batch(
        self,
        rows: Int64[np.ndarray, "B"],
        generator: np.random.Generator | None = None,
        share: Share | None = None,
    ) -> Batch:
        """The windows anchored at these rows. `share`: which part of a larger batch they are."""
        steps, valid = window_index(self.segment_end, rows, self.horizon, self.history - 1)
        commanded = np.ones(self.action.shape[1], np.bool_) if self.commanded is None else self.commanded
        return Batch(
            observation=self.observe(rows, generator, share),
            actions=torch.from_numpy(self.action[steps]),
            mask=torch.from_numpy(action_mask(steps, valid, commanded)),
            row=rows,
        )

    def drawn(
        self,
        probability: Float[np.ndarray, "N"],
        seed: int,
        step: int,
        size: int,
        rows: slice = ALL,
    ) -> Batch:
        """The batch of one gradient step, or some rows of it: a pure function of (seed, step).

        Its augmentation too. Where datasets differ in picture size, a step draws from one size, chosen with
        the probability that its frames have together: over many steps every frame is drawn as often as
        `probability` says.
        """
        probability = probability.astype(np.float64)
        if len(self.stores) > 1 and len(self.sizes) > 1:
            probability = self._of_one_size(probability, seed, step)
        anchors = draw(probability, seed=seed, step=step, batch=size)
        return self.batch(anchors[rows], augmentation(seed, step), Share(rows, size))

    def _of_one_size(
        self, probability: Float64[np.ndarray, "N"], seed: int, step: int
    ) -> Float64[np.ndarray, "N"]:
        group = self.size_group(np.arange(len(self)))
        share = np.bincount(group, weights=probability, minlength=len(self.sizes))
        generator = np.random.default_rng(seed_for("picture size", seed, step))
        chosen = generator.choice(len(share), p=share / share.sum())
        return np.where(group == chosen, probability, 0.0) / share[chosen]

    def stream(
        self,
        probability: Float[np.ndarray, "N"],
        seed: int,
        steps: Iterable[int],
        size: int,
        ahead: int = 2,
        rows: slice = ALL,
        threads: int = 1,
    ) -> Iterator[Batch]:
        """`drawn` for every step, prepared by background threads while the last one is being used."""
        return prefetch(lambda step: self.drawn(probability, seed, step, size, rows), steps, ahead, threads)
