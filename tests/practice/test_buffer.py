from dataclasses import replace

import numpy as np
import pytest

from vantage.practice.buffer import (
    BufferRule,
    DemoBuffer,
    NoLongerThanMedian,
    OnlyDemonstrations,
    ShorterThanLongest,
    Windows,
    windows_of,
)
from vantage.practice.trials import Trials, join_trials

H, A = 3, 2


def trials_of(*episodes: tuple[int, bool, int]) -> Trials:
    """Episodes as (task, success, steps), cut into chunks of three."""
    counts = [-(-steps // H) for _, _, steps in episodes]
    n = sum(counts)
    executed = np.concatenate(
        [np.arange(c * H).reshape(c, H) < steps for c, (_, _, steps) in zip(counts, episodes, strict=True)]
    )
    return Trials(
        task=np.array([task for task, _, _ in episodes]),
        seed=np.arange(len(episodes)),
        success=np.array([won for _, won, _ in episodes]),
        steps=np.array([steps for _, _, steps in episodes]),
        spent=np.array([steps for _, _, steps in episodes]),
        limit=np.full(len(episodes), 100),
        led=np.zeros(len(episodes), bool),
        end_state=np.zeros((len(episodes), 5), np.float32),
        episode=np.repeat(np.arange(len(episodes)), counts),
        elapsed=np.zeros(n, np.float32),
        state=np.zeros((n, 4), np.float32),
        environment_state=np.repeat([steps for _, _, steps in episodes], counts)[:, None].astype(np.float32)
        * np.ones((1, 5), np.float32),
        images={},
        path=np.zeros((n, 1, H, A), np.float32),
        action=np.zeros((n, H, A), np.float32),
        executed=executed,
    )


def demo(steps: int) -> Windows:
    trials = trials_of((0, True, steps))
    return windows_of(trials, 0)


def test_trials_know_their_chunks():
    trials = join_trials([trials_of((0, True, 4)), trials_of((1, False, 6), (0, True, 2))])
    np.testing.assert_array_equal(trials.episode, [0, 0, 1, 1, 2])
    np.testing.assert_array_equal(trials.chunk_steps, [3, 1, 3, 3, 2])
    np.testing.assert_array_equal(trials.steps_to_go, [4, 1, 6, 3, 2])
    np.testing.assert_array_equal(trials.last, [False, True, False, True, True])
    np.testing.assert_array_equal(trials.won, [False, True, False, False, True])


@pytest.mark.parametrize(
    ("rule", "lengths"),
    [
        (NoLongerThanMedian(), [5, 5, 8, 9]),
        (ShorterThanLongest(), [5, 5, 8, 9]),
        (OnlyDemonstrations(), [8, 10, 12]),
    ],
)
def test_admission_and_eviction_by_hand(rule, lengths):
    buffer = DemoBuffer(BufferRule(capacity=4, admission=rule), ("a", "b"))
    for steps in (8, 10, 12):
        buffer.start(0, demo(steps))
    # In order of length: 5, 5, 9 (median of 5 5 8 10 12 -> after eviction 5 5 8 10 is 6.5: no; yet shorter
    # than the longest), 20 never.
    buffer.offer(trials_of((0, True, 9), (0, True, 5), (0, False, 4), (0, True, 20), (0, True, 5)))
    found = sorted(each.steps for each in buffer.kept[0])
    assert found == (lengths if not isinstance(rule, NoLongerThanMedian) else [5, 5, 8, 10])
    assert not buffer.kept[1], "nobody offered task b anything"


def test_what_was_not_executed_is_masked():
    windows = windows_of(trials_of((0, True, 5), (0, True, 4)), 1)
    assert windows.mask.tolist() == [[True, True, True], [True, False, False]]


def test_failures_never_enter():
    buffer = DemoBuffer(BufferRule(admission=ShorterThanLongest()), ("a",))
    assert buffer.offer(trials_of((0, False, 3), (0, False, 9))) == 0
    assert len(buffer) == 0 and np.isnan(buffer.lengths).all()


def test_every_task_is_drawn_alike_however_much_it_has():
    buffer = DemoBuffer(BufferRule(), ("a", "empty", "c"))
    buffer.start(0, demo(3))
    for steps in (30, 60):
        buffer.start(2, demo(steps))
    batch, task = buffer.draw(6000, np.random.default_rng(0))
    assert np.bincount(task, minlength=3) / 6000 == pytest.approx([0.5, 0, 0.5], abs=0.03)
    assert all(
        prompt == "ac"[k // 2] for prompt, k in zip(batch.observation.prompts[:50], task[:50], strict=True)
    )
    assert batch.actions.shape == (6000, H, A) and batch.mask.shape == (6000, H, A)
    assert set(batch.observation.environment_state[task == 2, 0].tolist()) == {30.0, 60.0}


def test_a_buffer_survives_its_file():
    buffer = DemoBuffer(BufferRule(capacity=3), ("a", "b"))
    buffer.start(1, demo(4))
    buffer.offer(trials_of((0, True, 7), (1, True, 2)))
    again = DemoBuffer.read(buffer.rule, buffer.prompts, buffer.tensors())
    assert [[e.steps for e in mine] for mine in again.kept] == [[7], [4, 2]]
    ours, theirs = (each.draw(40, np.random.default_rng(5))[0] for each in (buffer, again))
    assert (
        (ours.actions == theirs.actions).all()
        and (ours.mask == theirs.mask).all()
        and (ours.row == theirs.row).all()
    )


def test_own_windows_are_drawn_by_the_window_and_the_share_of_them_is_logged():
    """One demonstration and one trial of 60 steps: half of the episodes are its own, and a fourth of what is
    drawn where the demonstration has three windows for each of the trial's."""
    buffer = DemoBuffer(BufferRule(admission=ShorterThanLongest()), ("a", "b"))
    demonstration = demo(60)
    buffer.start(
        0,
        replace(
            demonstration,
            own=False,
            **{
                name: np.concatenate([getattr(demonstration, name)] * 3)
                for name in ("state", "environment_state", "action", "mask")
            },
        ),
    )
    buffer.offer(trials_of((0, True, 60)))
    assert buffer.own_share == 0.5 and buffer.own_drawn == pytest.approx(0.25)

    _, own = drawn_own(buffer)
    assert own == pytest.approx(0.25, abs=0.02)

    # A task is drawn as often as another, however few windows it has.
    buffer.offer(trials_of((1, True, 3)))
    assert buffer.own_share == pytest.approx(2 / 3) and buffer.own_drawn == pytest.approx((0.25 + 1) / 2)
    _, own = drawn_own(buffer)
    assert own == pytest.approx(0.625, abs=0.02)
    assert DemoBuffer(BufferRule(), ("a",)).own_drawn == 0.0


def drawn_own(buffer):
    """Some windows, and the share of them that is the policy's own."""
    batch, _ = buffer.draw(8000, np.random.default_rng(0))
    flat = [episode for episodes in buffer.kept for episode in episodes]
    own = np.concatenate([np.full(len(episode.state), episode.own) for episode in flat])
    return batch, own[batch.row].mean()
