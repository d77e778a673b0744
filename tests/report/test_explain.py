"""An episode's weights in words: the numbers are the ledger's, and the reasons are the route rule's."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from generators import dispatch

from vantage.disk.tables import read_parquet
from vantage.errors import VantageError
from vantage.report.explain import Explanation, _reason, explain
from vantage.report.folder import read_run

SAID = {
    "demo": "A demonstration",
    "intervention": "A correction",
    "rollout_success": "It carries the success",
    "rollout_failure": "It carries the failure",
    "unlabelled": "not judged, not imitated",
}


@pytest.fixture(scope="module")
def explained(recorded: Path) -> Callable[[int, int | None], Explanation]:
    run = read_run(recorded)
    return lambda episode, number=None: explain(run, episode, number)


def test_stretches_are_the_segments_of_every_episode(
    recorded: Path, explained: Callable[[int, int | None], Explanation]
) -> None:
    labels = read_parquet(recorded / "round-01" / "2-labels.parquet")
    seen = set[str]()
    for episode in np.unique(labels["episode_index"]):
        rows = labels["episode_index"] == episode
        segments = [rows & (labels["segment"] == number) for number in np.unique(labels["segment"][rows])]
        told = explained(int(episode), 1).stretches
        assert [(one.first, one.last) for one in told] == [
            (labels["frame_index"][segment].min(), labels["frame_index"][segment].max())
            for segment in segments
        ]
        for stretch, segment in zip(told, segments, strict=True):
            (route,) = np.unique(labels["route"][segment])
            assert SAID[str(route)] in stretch.sentences[0]
            assert (stretch.driver == "a person") == (labels["controller"][segment] == "human").all()
            seen.add(str(route))
    assert seen == set(SAID) - {"demo"}, "the recording has them all"


def test_a_hand_over_is_why_nothing_is_credited_before_it(
    recorded: Path, explained: Callable[[int, int | None], Explanation]
) -> None:
    labels = read_parquet(recorded / "round-01" / "2-labels.parquet")
    rescued = (labels["outcome"] == 1) & (labels["controller"] == "human")
    episode = int(labels["episode_index"][rescued][0])
    first, second = explained(episode, 1).stretches[:2]
    assert first.driver == "the policy" and second.driver == "a person"
    assert f"took over at frame {second.first}, and no outcome crosses a hand-over" in first.sentences[0]
    assert first.sentences[-1] == "Its frames count 0."


def test_weights_viability_and_extremes_are_the_ledgers(
    recorded: Path, explained: Callable[[int, int | None], Explanation]
) -> None:
    labels = read_parquet(recorded / "round-01" / "2-labels.parquet")
    ledger = read_parquet(recorded / "round-01" / "4-weights.parquet")
    own = ledger["round"] == 1
    place = {int(index): row for index, row in zip(ledger["index"][own], np.flatnonzero(own), strict=True)}
    alone = (labels["route"] == "rollout_success") & (labels["segment"] == 0)
    episode = int(labels["episode_index"][alone][0])
    rows = np.array([place[int(i)] for i in labels["index"][labels["episode_index"] == episode]])
    weight, p_v = ledger["weight"][rows], ledger["p_v"][rows]
    counting = weight[weight > 0]

    (stretch,) = explained(episode, 1).stretches
    text = " ".join(stretch.sentences)
    assert f"success of {p_v[0]:.2f} at its beginning and {p_v[-1]:.2f} at its end" in text
    assert f"count {counting.mean():.2f} on average, {counting.min():.2f} to {counting.max():.2f}" in text
    most, least = int(weight.argmax()), int(np.where(weight > 0, weight, np.inf).argmin())
    assert f"Frame {most} counts most, {weight[most]:.2f}" in text
    assert f"Frame {least} counts least, {weight[least]:.2f}" in text

    # The reason is the larger term of Eq. 7, with its sign.
    value = {name: float(ledger[name][rows][most]) for name in ("p_v", "a_v", "a_e")}
    viability, steps = (1 - value["p_v"]) * value["a_v"], value["p_v"] * value["a_e"]
    reason = f"by {value['a_v']:.2f} logits" if viability > abs(steps) else f"gained {value['a_e']:.2f} steps"
    assert reason in text


@pytest.mark.parametrize(
    ("p_v", "a_v", "a_e", "said"),
    [
        (0.2, 1.0, 0.1, "viability rose from there, by 1.00 logits"),
        (0.2, -1.0, 0.1, "viability fell from there, by 1.00 logits"),
        (0.9, 1.0, 2.0, "every step from there gained 2.00 steps on what the critic had expected"),
        (0.9, 1.0, -2.0, "every step from there lost 2.00 steps on what the critic had expected"),
        (0.5, 0.01, 0.01, "neither viability nor the steps to success changed much"),
        (0.5, np.nan, np.nan, "nothing follows by which it could be judged, so it counts as it is"),
    ],
)
def test_the_reason_is_the_larger_term_of_the_gate(p_v: float, a_v: float, a_e: float, said: str) -> None:
    """By hand: (1 - p_v) A_v beside p_v A_e (Eq. 7)."""
    g = 1 + np.tanh((1 - p_v) * a_v + p_v * a_e)
    own = {name: np.array([value]) for name, value in (("p_v", p_v), ("a_v", a_v), ("a_e", a_e), ("g", g))}
    assert _reason(own, 0) == said


def test_demonstrations_are_explained_by_the_round_that_weighed_them(
    explained: Callable[[int, int | None], Explanation],
) -> None:
    told = explained(0, 0)
    assert "of round 0" in told.title and told.title.endswith("a demonstration")
    assert told.stretches[0].sentences[0].startswith("A demonstration: imitated")


def test_what_is_not_there_is_one_sentence(
    recorded: Path, explained: Callable[[int, int | None], Explanation], tmp_path: Path
) -> None:
    with pytest.raises(VantageError, match=r"has no episode 999; it has 0 to \d+"):
        explained(999, 1)
    with pytest.raises(VantageError, match="has no labels of a round 7; rounds with labels: 0, 1"):
        explained(0, 7)


def test_the_command_prints_it(
    recorded: Path, explained: Callable[[int, int | None], Explanation], capsys: pytest.CaptureFixture[str]
) -> None:

    dispatch(["explain", str(recorded), "0", "--round", "1"])
    out = capsys.readouterr().out
    told = explained(0, 1)
    assert out.startswith(told.title)
    assert re.findall(r"^frames (\d+) to (\d+), ", out, re.M) == [
        (str(one.first), str(one.last)) for one in told.stretches
    ]
    for stretch in told.stretches:
        for sentence in stretch.sentences:
            assert f"  {sentence}\n" in out
