import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from vantage.batch import Batch
from vantage.core.segments import last_of_segment, segments
from vantage.data.episodes import Episode, save_episode
from vantage.data.frames import Frames, frames_from_journal
from vantage.data.loader import RandomShift, WindowLoader, prefetch
from vantage.data.v3.read import Table, read_table
from vantage.data.v3.write import write_dataset
from vantage.types import VantageError

Make = Callable[..., Episode]
ROUNDS = (("PPPHHP", "PPPP"), ("HHHHH",), ("PHP", "P"))


@pytest.fixture(scope="module")
def rounds(episode: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Table], list[Frames]]:
    """Three datasets; the second names its cameras in another order."""
    tables, stores = [], []
    for number, drivers in enumerate(ROUNDS):
        folder = tmp_path_factory.mktemp(f"round-{number}")
        cameras = ("wrist", "corner") if number == 1 else ("corner", "wrist")
        for place, each in enumerate(drivers):
            one = episode(
                drivers=each,
                seed=10 * number + place,
                cameras=cameras,
                prompt=f"prompt {number % 2}",
                truth=True,
            )
            save_episode(folder / "j", place, one)
        write_dataset(folder / "j", range(len(drivers)), folder / "d", 20)
        tables.append(read_table(folder / "d"))
        stores.append(
            frames_from_journal(
                folder / "j", range(len(drivers)), folder / "f", dict.fromkeys(cameras, (16, 16))
            )
        )
    return tables, stores


@pytest.fixture
def loader(rounds: tuple[list[Table], list[Frames]]) -> WindowLoader:
    tables, stores = rounds
    segment = np.concatenate(
        [segments(t.intervention[rows], t.cut[rows]) for t in tables for rows in t.slices]
    )
    starts = np.concatenate([t.frame_index == 0 for t in tables])
    return WindowLoader.over(
        tables, last_of_segment(segment, np.cumsum(starts)), 4, stores, ("corner", "wrist")
    )


def same(a: Batch, b: Batch) -> bool:
    return (
        torch.equal(a.actions, b.actions)
        and torch.equal(a.mask, b.mask)
        and all(torch.equal(a.observation.images[c], b.observation.images[c]) for c in a.observation.images)
        and a.observation.prompts == b.observation.prompts
        and np.array_equal(a.row, b.row)
    )


def test_windows_equal_the_obvious_loop(
    loader: WindowLoader, rounds: tuple[list[Table], list[Frames]]
) -> None:
    tables, stores = rounds
    batch = loader.batch(np.arange(len(loader)))
    row = 0
    for table, store in zip(tables, stores, strict=True):
        for rows in table.slices:
            for t in range(rows.start, rows.stop):
                same_driver = [t]
                while (
                    same_driver[-1] + 1 < rows.stop
                    and table.intervention[same_driver[-1] + 1] == table.intervention[t]
                ):
                    same_driver.append(same_driver[-1] + 1)
                for step in range(4):
                    real = step < len(same_driver)
                    assert batch.mask[row, step].tolist() == [real] * 3
                    assert np.array_equal(
                        batch.actions[row, step], table.action[same_driver[step] if real else same_driver[-1]]
                    )
                assert np.array_equal(batch.observation.state[row], table.state[t])
                assert batch.observation.environment_state is not None and table.environment_state is not None
                assert np.array_equal(batch.observation.environment_state[row], table.environment_state[t])
                assert batch.observation.prompts[row] == table.prompts[table.prompt[t]]
                for camera in ("corner", "wrist"):
                    assert np.array_equal(
                        batch.observation.images[camera][row], store.gather(np.array([t]))[camera][0]
                    )
                row += 1
    assert row == len(loader) == 19 and loader.prompts == ("prompt 0", "prompt 1")


def test_what_was_seen_before_is_of_the_same_segment(loader: WindowLoader) -> None:
    """The drivers are PPPHHP PPPP HHHHH PHP P: two steps back, or as far as the segment goes."""
    back = replace(loader, history=3)
    seen = back.observe(np.arange(19))
    rows = [
        [0, 0, 0, 3, 3, 5, 6, 6, 6, 7, 10, 10, 10, 11, 12, 15, 16, 17, 18],
        [0, 0, 1, 3, 3, 5, 6, 6, 7, 8, 10, 10, 11, 12, 13, 15, 16, 17, 18],
    ]
    assert len(seen.earlier) == 2
    for then, expected in zip(seen.earlier, rows, strict=True):
        wanted = loader.observe(np.array(expected))
        assert torch.equal(then.state, wanted.state) and then.prompts == wanted.prompts and not then.earlier
        assert all(torch.equal(then.images[camera], wanted.images[camera]) for camera in ("corner", "wrist"))

    batch = back.batch(np.array([2, 5]))
    assert np.array_equal(batch.actions[0], loader.action[[0, 1, 2, 2, 2, 2]])
    assert batch.mask[0, :, 0].tolist() == [True] * 3 + [False] * 3
    assert batch.mask[1, :, 0].tolist() == [False, False, True, False, False, False]
    part = batch.at(slice(1, 2)).observation
    assert torch.equal(part.earlier[1].state, batch.observation.earlier[1].state[1:])


def test_all_observations_of_a_sample_are_shifted_alike(loader: WindowLoader) -> None:
    """At the first row of a segment all of them are the same picture, and stay so."""
    shifted = replace(loader, history=3, shift=RandomShift(3))
    first = np.array([0, 3, 5, 6, 10, 15])
    seen = shifted.observe(first, np.random.default_rng(0))
    alone = replace(shifted, history=1).observe(first, np.random.default_rng(0))
    for camera in ("corner", "wrist"):
        assert not torch.equal(seen.images[camera], loader.observe(first).images[camera])
        assert torch.equal(seen.images[camera], alone.images[camera]), "looking back draws no other numbers"
        assert all(torch.equal(then.images[camera], seen.images[camera]) for then in seen.earlier)


def test_dimensions_that_nobody_commanded_are_masked(loader: WindowLoader) -> None:
    commanded = np.ones((len(loader), 3), bool)
    commanded[3:5, 2] = False
    batch = replace(loader, commanded=commanded).batch(np.array([3, 0]))
    assert batch.mask[0].tolist() == [[True, True, False]] * 2 + [[False] * 3] * 2
    assert batch.mask[1].tolist() == [[True] * 3] * 3 + [[False] * 3]


def test_a_batch_is_a_pure_function_of_seed_and_step(loader: WindowLoader) -> None:
    shifted = replace(loader, shift=RandomShift(2))
    probability = np.full(len(loader), 1 / len(loader))
    alone = [shifted.drawn(probability, 7, step, 8) for step in range(6)]
    streamed = list(shifted.stream(probability, 7, range(6), 8))
    resumed = list(shifted.stream(probability, 7, range(3, 6), 8))
    assert all(same(a, b) for a, b in zip(alone, streamed, strict=True))
    assert all(same(a, b) for a, b in zip(alone[3:], resumed, strict=True))
    assert not same(alone[0], alone[1]) and not same(alone[0], shifted.drawn(probability, 8, 0, 8))


def test_only_windows_with_probability_are_drawn(loader: WindowLoader) -> None:
    probability = np.zeros(len(loader), np.float32)
    probability[[2, 11]] = 0.5
    assert set(loader.drawn(probability, 0, 0, 64).row) == {2, 11}


def test_a_shift_by_hand() -> None:
    picture = np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1).repeat(3, -1).repeat(300, 0)
    images = {"corner": picture, "wrist": picture}
    moved = RandomShift(1)(images, np.random.default_rng(0))
    seen = {tuple(one[..., 0].ravel().tolist()) for one in np.concatenate(list(moved.values()))}
    assert len(seen) == 9  # every one of the 3 x 3 offsets
    assert (0, 1, 2, 3, 4, 5, 6, 7, 8) in seen and (
        0,
        0,
        1,
        0,
        0,
        1,
        3,
        3,
        4,
    ) in seen  # none; right and down by one, edges repeated
    assert (moved["corner"] != moved["wrist"]).any()  # cameras move on their own
    assert np.array_equal(RandomShift(0)(images, np.random.default_rng(0))["wrist"], picture)


@pytest.mark.parametrize("pixels", [2, 5])
def test_a_shift_of_cameras_of_any_size_repeats_the_edge(pixels: int) -> None:
    """One draw for every sample and camera, in that order; each camera is moved at its own height and
    width."""
    draw = np.random.default_rng(3)
    images = {
        "front": draw.integers(0, 256, (5, 6, 9, 3), np.uint8),
        "wrist": draw.integers(0, 256, (5, 4, 4, 3), np.uint8),
    }
    moved = RandomShift(pixels)(images, np.random.default_rng(7))
    offsets = np.random.default_rng(7).integers(0, 2 * pixels + 1, (5, 2, 2))
    for number, (camera, pictures) in enumerate(images.items()):
        height, width = pictures.shape[1:3]
        for sample in range(5):
            down, across = offsets[sample, number] - pixels
            rows, columns = (
                np.clip(np.arange(height) + down, 0, height - 1),
                np.clip(np.arange(width) + across, 0, width - 1),
            )
            assert np.array_equal(moved[camera][sample], pictures[sample][np.ix_(rows, columns)])


def test_observations_for_reading_are_never_shifted(loader: WindowLoader) -> None:
    rows = np.arange(5)
    plain, shifted = loader.observe(rows), replace(loader, shift=RandomShift(3)).observe(rows)
    assert all(torch.equal(plain.images[camera], shifted.images[camera]) for camera in plain.images)


def test_true_state_needs_no_pictures(loader: WindowLoader) -> None:
    assert replace(loader, stores=(), cameras={}).batch(np.arange(3)).observation.images == {}


def test_what_does_not_fit_is_refused(loader: WindowLoader) -> None:
    with pytest.raises(VantageError, match="hold 10 pictures for 19 frames"):
        replace(loader, stores=loader.stores[:1])
    with pytest.raises(VantageError, match="looks at camera top, which a dataset lacks"):
        replace(loader, cameras={"top": None})


def test_prefetch_keeps_order_runs_ahead_and_surfaces_errors() -> None:
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        if step == 5:
            raise VantageError("five")
        return step * step

    stream = prefetch(make, range(10), ahead=2)
    assert [next(stream) for _ in range(5)] == [0, 1, 4, 9, 16]
    with pytest.raises(VantageError, match="five"):
        next(stream)
    assert made[:6] == list(range(6)) and max(made) <= 7
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_so_many_threads_prepare_batches_and_none_of_them_changes_any(threads: int) -> None:
    together, seen = threading.Barrier(max(threads, 1)), set[str]()

    def make(step: int) -> int:
        seen.add(threading.current_thread().name.split("_")[0])
        together.wait(10)  # opens when so many are at work at once
        return step

    assert list(prefetch(make, range(6), threads=threads)) == list(range(6))
    assert seen == {"prefetch" if threads else "MainThread"}


# --------------------------------------------------------------------- datasets whose pictures differ in size


@pytest.fixture(scope="module")
def two_sizes(episode: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Table], list[Frames]]:
    """Two datasets of the same camera at two sizes, and a third of the first one's."""
    tables, stores = [], []
    for number, (drivers, side) in enumerate([("PPPP", (16, 24)), ("PPPPPP", (32, 20)), ("PP", (16, 24))]):
        folder = tmp_path_factory.mktemp(f"size-{number}")
        save_episode(folder / "j", 0, episode(drivers=drivers, seed=number, cameras=("front",), side=side))
        write_dataset(folder / "j", [0], folder / "d", 20)
        tables.append(read_table(folder / "d"))
        stores.append(frames_from_journal(folder / "j", [0], folder / "f"))
    return tables, stores


@pytest.fixture
def mixed(two_sizes: tuple[list[Table], list[Frames]]) -> WindowLoader:
    tables, stores = two_sizes
    end = np.array([3] * 4 + [9] * 6 + [11] * 2)
    return WindowLoader.over(tables, end, 2, stores, ("front",))


def test_a_batch_holds_pictures_of_one_size(mixed: WindowLoader) -> None:
    assert mixed.sizes == ({"front": (16, 24)}, {"front": (32, 20)})
    assert mixed.size_group(np.arange(12)).tolist() == [0] * 4 + [1] * 6 + [0] * 2
    small, large = mixed.batch(np.array([11, 0, 10])), mixed.batch(np.array([9, 4]))
    assert small.observation.images["front"].shape == (3, 16, 24, 3) and large.observation.images[
        "front"
    ].shape == (2, 32, 20, 3)
    assert np.array_equal(
        small.observation.images["front"][0], mixed.stores[2].gather(np.array([1]))["front"][0]
    )
    with pytest.raises(VantageError, match="come from datasets whose pictures differ in size"):
        mixed.batch(np.array([3, 4]))


def test_all_rows_in_order_by_runs_of_one_size(mixed: WindowLoader, loader: WindowLoader) -> None:
    assert [run.tolist() for run in mixed.runs(3)] == [[0, 1, 2], [3], [4, 5, 6], [7, 8, 9], [10, 11]]
    assert [len(run) for run in loader.runs(8)] == [8, 8, 3], "datasets of one size run into each other"


def test_every_frame_is_drawn_as_often_as_it_should_be_whatever_its_size(mixed: WindowLoader) -> None:
    probability = np.array([1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 4, 0]) / 20
    batches = [mixed.drawn(probability, 3, step, 16) for step in range(400)]
    counts = np.bincount(np.concatenate([batch.row for batch in batches]), minlength=12) / (400 * 16)
    assert np.abs(counts - probability).max() < 0.05
    sizes = {batch.observation.images["front"].shape[1:3] for batch in batches}
    assert sizes == {(16, 24), (32, 20)}
    assert same(batches[5], mixed.drawn(probability, 3, 5, 16)), "a pure function of seed and step"


def test_a_policy_that_wants_one_size_is_told_which_dataset_has_another(mixed: WindowLoader) -> None:
    with pytest.raises(
        VantageError, match=r"dataset 1 holds camera front at 20 x 32 px and the policy wants 24 x 16 px"
    ):
        replace(mixed, cameras={"front": (16, 24)})
