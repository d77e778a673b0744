"""Which episodes are chosen, and what is drawn of them."""

import re
import xml.etree.ElementTree as ET

import numpy as np

from vantage.report.episode import (
    Watch,
    _use,
    choose,
    deepest_dip,
    fall_and_rise,
    handovers,
    interest,
    largest_fall,
    shared_ranges,
    smooth,
    story,
    traces,
)
from vantage.report.folder import read_run
from vantage.report.numbers import Kind
from vantage.types import Route


def watch(kind, p_v, human=None, prompt="", number=0):
    p = np.array(p_v, float)
    values = {
        "p_v": p,
        "v_e": -np.arange(len(p))[::-1].astype(float),
        "a_v": p - 0.5,
        "a_e": p * 0,
        "g": p + 0.5,
        "raw_weight": p + 0.5,
        "weight": p + 0.5,
    }
    driver = np.zeros(len(p), bool) if human is None else np.array(human, bool)
    route = np.where(driver, "intervention", "rollout_success")
    return Watch(
        round=1,
        number=number,
        first=0,
        kind=kind,
        prompt=prompt,
        human=driver,
        route=route,
        gated=~driver,
        uses=dict.fromkeys(Route, "imitated"),
        values=values,
    )


def test_interest_by_hand():
    assert interest(watch(Kind.RESCUED, [0.9, 0.2, 0.5, 0.8], [0, 0, 1, 1])) == 0.8 - 0.5
    assert np.isclose(
        interest(watch(Kind.ALONE, [0.7, 0.3, 0.6, 0.9])), 0.7 - 0.3
    )  # the lower rim of the dip counts
    assert interest(watch(Kind.ALONE, [0.1, 0.2, 0.9])) == 0
    assert np.isclose(interest(watch(Kind.FAILED, [0.5, 0.8, 0.1, 0.2])), 0.8 - 0.1)


def test_tracks_by_hand():
    p = np.array([0.5, 0.9, 0.2, 0.7, 0.6])
    assert np.isclose(deepest_dip(p), 0.7 - 0.2) and np.isclose(largest_fall(p), 0.9 - 0.2)
    human = np.array([0, 0, 1, 1, 0], bool)
    assert np.isclose(fall_and_rise(p, human), (0.9 - 0.2) + (0.7 - 0.2))
    assert np.allclose(smooth(np.arange(5.0), 3), [1 / 3, 1, 2, 3, 11 / 3])


def test_the_use_of_frames_is_read_from_what_they_count():
    assert _use(Route.ROLLOUT_SUCCESS, np.array([0.4, 1.3]), True) == "imitated, weighted by g"
    assert _use(Route.INTERVENTION, np.ones(3), False) == "imitated"
    assert _use(Route.ROLLOUT_FAILURE, np.zeros(3), False) == "teaches the critic only"
    assert _use(Route.UNLABELLED, np.zeros(3), False) == "not judged, not imitated"
    assert _use(Route.ROLLOUT_SUCCESS, np.zeros(3), False) == "not imitated"
    assert _use(Route.ROLLOUT_FAILURE, np.array([0.0, 1.0]), False) == "imitated in part"
    assert _use(Route.ROLLOUT_FAILURE, np.array([0.0, 2.5]), False) == "imitated, weighted"


def test_the_toy_run_uses_the_gate_on_successful_rollouts_alone(toy_run):
    for one in choose(read_run(toy_run), 500):
        assert (one.gated == (one.route == Route.ROLLOUT_SUCCESS)).all()
        assert one.uses[Route.ROLLOUT_SUCCESS] == "imitated, weighted by g"
        assert one.uses[Route.INTERVENTION] == "imitated"
        counted = one.values["weight"] > 0
        assert not counted[(one.route == Route.UNLABELLED) | (one.route == Route.ROLLOUT_FAILURE)].any()


def test_stories_say_what_happened():
    rescued = watch(Kind.RESCUED, [0.9, 0.2, 0.5, 0.8], [0, 0, 1, 0])
    assert handovers(rescued) == [2, 3]
    assert story(rescued) == (
        "A human took over at step 2, with viability at 0.50, and handed back at step 3; "
        "the policy finished at step 4."
    )
    twice = story(watch(Kind.RESCUED, [0.9, 0.2, 0.5, 0.8, 0.7, 0.9], [0, 1, 0, 0, 1, 1]))
    assert twice.endswith("and handed back at step 2, took over again at step 4 and finished at step 6.")
    assert "finished the task at step 4" in story(watch(Kind.RESCUED, [0.9, 0.2, 0.5, 0.8], [0, 0, 1, 1]))
    assert (
        story(watch(Kind.ALONE, [0.7, 0.3, 0.9]))
        == "The policy succeeded alone in 3 steps. Viability was lowest, 0.30, at step 1."
    )
    assert "0.80, at step 1 and 0.20 at the end" in story(watch(Kind.FAILED, [0.5, 0.8, 0.2]))


def test_every_kind_is_chosen_before_a_second_of_any(toy_run):
    chosen = choose(read_run(toy_run), 6)
    assert [w.kind for w in chosen][:2] == [Kind.RESCUED, Kind.ALONE]
    assert len({w.number for w in chosen}) == len(chosen)
    assert {w.round for w in chosen} == {2}
    assert choose(read_run(toy_run), 6)[0].number == chosen[0].number


def test_fewer_episodes_than_asked_for_is_fine(toy_run):
    assert len(choose(read_run(toy_run), 500)) == 16
    assert choose(read_run(toy_run), 0) == []


def test_the_figure_shades_the_human_and_reaches_across_the_axis():
    one = watch(Kind.RESCUED, [0.9, 0.2, 0.5, 0.8, 0.9], [0, 0, 1, 1, 0])
    drawn = traces(one, shared_ranges([one]), 640)
    root = ET.fromstring(drawn)
    left, right = float(root.get("data-left")), float(root.get("data-right"))
    shade = next(e for e in root if e.get("class") == "area human")
    at = lambda step: left + (right - left) * step / 4  # noqa: E731
    assert float(shade.get("x")) == round(at(2), 1)
    assert np.isclose(float(shade.get("x")) + float(shade.get("width")), at(4), atol=0.11)
    path = next(e.get("d") for e in root if e.get("class") == "mark policy")
    xs = [float(x) for x in re.findall(r"[ML]([\d.]+),", path)]
    assert (xs[0], xs[-1], len(xs)) == (left, right, 5)


def test_g_is_faint_where_it_decides_nothing():
    one = watch(Kind.RESCUED, [0.9, 0.2, 0.5, 0.8, 0.9], [0, 0, 1, 1, 1])
    drawn = ET.fromstring(traces(one, shared_ranges([one]), 640))
    steps = {
        e.get("class"): e.get("d").count("M") + e.get("d").count("L") for e in drawn if e.tag.endswith("path")
    }
    assert steps["mark gate fine"] == 5, "all of g is there"
    strong = [e.get("d") for e in drawn if e.get("class") == "mark gate"]
    assert len(re.findall("[ML]", strong[0])) == 3, "two steps of the policy, and the stroke to the next"
    assert len(re.findall("[ML]", strong[1])) == 5, "the weight has a value at every step"


def test_a_curve_that_leaves_its_plot_is_marked():
    long, high = watch(Kind.ALONE, [0.5] * 200), watch(Kind.ALONE, [0.5] * 3)
    high.values["a_v"][1] = 7.0
    ranges = shared_ranges([long, high])
    assert ranges.a_v < 7
    tips = [e.text for e in ET.fromstring(traces(high, ranges, 640)).iter() if e.tag.endswith("title")]
    assert tips.count("cut: goes to 7") == 1
    assert not any(
        "cut" in tip
        for tip in [
            e.text for e in ET.fromstring(traces(long, ranges, 640)).iter() if e.tag.endswith("title")
        ]
    )


def test_value_axes_are_shared_by_all_chosen_episodes():
    short, long = watch(Kind.ALONE, [0.5] * 3), watch(Kind.ALONE, [0.5] * 100)
    assert shared_ranges([short, long]).v_e == -99 * 1.04
    assert shared_ranges([short]).v_e == -2 * 1.04
