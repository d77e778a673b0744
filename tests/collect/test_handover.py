"""The hand-over table: every pair that means something, and every pair that must mean nothing."""

import itertools

import pytest

from vantage.collect.handover import TABLE, Event, Phase, human_drives, next_phase

A, R, C = Phase.AUTONOMOUS, Phase.REACTING, Phase.CORRECTING


@pytest.mark.parametrize(
    ("phase", "event", "after"),
    [
        (A, Event.TROUBLE, R),
        (R, Event.CLEARED, A),
        (R, Event.TAKE_OVER, C),
        (A, Event.TAKE_OVER, C),
        (C, Event.HAND_BACK, A),
    ],
)
def test_the_table(phase: Phase, event: Event, after: Phase) -> None:
    assert next_phase(phase, event) is after


def test_every_other_pair_changes_nothing() -> None:
    others = [pair for pair in itertools.product(Phase, Event) if pair not in TABLE]
    assert len(others) == 3 * 5 - 5
    assert all(next_phase(phase, event) is phase for phase, event in others)
    assert all(next_phase(phase, None) is phase for phase in Phase)


def test_only_a_human_at_the_controls_drives() -> None:
    assert [human_drives(phase) for phase in (A, R, C)] == [False, False, True]


def test_a_story_with_two_interventions() -> None:
    phase, story = A, []
    for event in (
        None,
        Event.TROUBLE,
        None,
        Event.TAKE_OVER,
        None,
        Event.HAND_BACK,
        Event.TROUBLE,
        Event.CLEARED,
        Event.TROUBLE,
        Event.TAKE_OVER,
    ):
        phase = next_phase(phase, event)
        story.append(phase)
    assert story == [A, R, R, C, C, A, R, A, R, C]
