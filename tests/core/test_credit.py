import time
from dataclasses import replace

import numpy as np
import pytest
from core_episodes import episode, traces
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.credit import join_labels, label_episode, steps_to_success, whole_episode_route
from vantage.types import Controller, Labels, Route, Trace

CODES = {
    "D": Route.DEMO,
    "S": Route.ROLLOUT_SUCCESS,
    "F": Route.ROLLOUT_FAILURE,
    "I": Route.INTERVENTION,
    "u": Route.UNLABELLED,
}
NAN = np.nan

EPISODES = {  # picture, outcome, routes, steps to success where they may be learnt
    "autonomous success": ("PPP", True, "SSS", [-2, -1, 0]),
    "autonomous failure": ("PPP", False, "FFF", [NAN] * 3),
    "one intervention, success": ("PPHHPP", True, "uuIISS", [NAN, NAN, -3, -2, -1, 0]),
    "one intervention, failure": ("PPHHPP", False, "uuIIFF", [NAN] * 6),
    "two interventions": ("PHPHPP", True, "uIuISS", [NAN, -4, NAN, -2, -1, 0]),
    "three interventions": ("PHPHPHP", True, "uIuIuIS", [NAN, -5, NAN, -3, NAN, -1, 0]),
    "ends in human hands, success": ("PPHH", True, "uuII", [NAN, NAN, -1, 0]),
    "ends in human hands, failure": ("PPHH", False, "uuII", [NAN] * 4),
    "starts in human hands": ("HHPP", True, "IISS", [-3, -2, -1, 0]),
    "human throughout": ("HHH", True, "III", [-2, -1, 0]),
    "one-frame segments": ("PHPHP", False, "uIuIF", [NAN] * 5),
    "success on the last frame, one frame long": ("P", True, "S", [0]),
    "one human frame": ("H", True, "I", [0]),
    "no outcome": ("PPHHP", None, "uuIIu", [NAN] * 5),
    "no outcome, autonomous": ("PPP", None, "uuu", [NAN] * 3),
    "a cut in an autonomous episode": ("PP|PP", True, "SSSS", [-3, -2, -1, 0]),
    "a cut in the suffix": ("PHP|P", True, "uISS", [NAN, -2, -1, 0]),
    "a cut before the human": ("PP|HP", False, "uuIF", [NAN] * 4),
}


def spell(labels: Labels) -> str:
    return "".join({str(route): letter for letter, route in CODES.items()}[name] for name in labels.route)


@pytest.mark.parametrize("name", EPISODES)
def test_episodes_by_hand(name):
    picture, outcome, routes, steps = EPISODES[name]
    labels = label_episode(episode(picture, outcome))
    labelled = np.array([letter in "SF" for letter in routes])
    assert spell(labels) == routes
    np.testing.assert_array_equal(labels.viability_mask, labelled)
    np.testing.assert_array_equal(labels.viability_target, np.where(labelled, float(bool(outcome)), NAN))
    np.testing.assert_array_equal(labels.efficiency_target_mc, np.array(steps, np.float32))
    np.testing.assert_array_equal(labels.efficiency_mask, ~np.isnan(steps))
    assert labels.viability_target.dtype == labels.efficiency_target_mc.dtype == np.float32
    driven = picture.replace("|", "")
    assert list(labels.controller) == [
        Controller.HUMAN if letter == "H" else Controller.POLICY for letter in driven
    ]


def test_success_at_the_time_limit_is_a_success():
    labels = label_episode(episode("P" * 300, True))
    assert spell(labels) == "S" * 300
    assert labels.efficiency_target_mc[0] == -299 and labels.efficiency_target_mc[299] == 0


@pytest.mark.parametrize("name", EPISODES)
def test_whole_episode_credit_labels_every_policy_frame(name):
    picture, outcome, routes, _ = EPISODES[name]
    trace = episode(picture, outcome)
    letter = "u" if outcome is None else "S" if outcome else "F"
    wanted = "".join("I" if route == "I" else letter for route in routes)
    assert spell(replace(label_episode(trace), route=whole_episode_route(trace))) == wanted
    assert label_episode(trace).route_whole.tolist() == whole_episode_route(trace).tolist()


def test_demonstrations_teach_the_critic_only_where_a_switch_says_so():
    demo = episode("HHH", True, demo=True)
    plain = label_episode(demo)
    assert spell(plain) == "DDD" and not plain.viability_mask.any() and not plain.efficiency_mask.any()
    assert np.isnan(plain.viability_target).all() and np.isnan(plain.efficiency_target_mc).all()
    both = label_episode(demo, demo_viability=True, demo_efficiency=True)
    np.testing.assert_array_equal(both.viability_target, [1, 1, 1])
    np.testing.assert_array_equal(both.efficiency_target_mc, [-2, -1, 0])
    assert not label_episode(demo, demo_viability=True).efficiency_mask.any()
    failed = label_episode(episode("HH", False, demo=True), demo_viability=True, demo_efficiency=True)
    assert (failed.viability_target == 0).all() and not failed.efficiency_mask.any()
    unknown = label_episode(episode("HH", None, demo=True), demo_viability=True, demo_efficiency=True)
    assert not unknown.viability_mask.any() and not unknown.efficiency_mask.any()


def test_switches_for_demonstrations_leave_rollouts_alone():
    trace = episode("PPHHPP", True)
    assert_same(label_episode(trace), label_episode(trace, demo_viability=True, demo_efficiency=True))


def test_steps_to_success_by_hand():
    np.testing.assert_array_equal(steps_to_success(4), [-3, -2, -1, 0])
    np.testing.assert_array_equal(steps_to_success(1), [0])


def test_join_labels_lays_episodes_end_to_end():
    joined = join_labels([label_episode(episode("PH", True)), label_episode(episode("P", False))])
    assert spell(joined) == "uIF"
    np.testing.assert_array_equal(joined.segment, [0, 1, 0])
    np.testing.assert_array_equal(joined.efficiency_target_mc, [NAN, 0, NAN])


FIELDS = (
    "segment",
    "controller",
    "route",
    "viability_target",
    "viability_mask",
    "efficiency_target_mc",
    "efficiency_mask",
)


def assert_same(one: Labels, other: Labels, fields=FIELDS, rows=slice(None)):
    for field in fields:
        np.testing.assert_array_equal(getattr(one, field)[rows], getattr(other, field)[rows], err_msg=field)


def oracle(trace: Trace) -> list[tuple[Route, float, float]]:
    """The ledger's sentences as an obvious loop: route, viability target, efficiency target (NaN: masked)."""
    rows, length = [], len(trace.cut)
    for t in range(length):
        human_later = any(trace.intervention[u] for u in range(t, length))
        if trace.intervention[t]:
            route = Route.INTERVENTION
        elif trace.outcome is None or human_later:
            route = Route.UNLABELLED
        else:
            route = Route.ROLLOUT_SUCCESS if trace.outcome else Route.ROLLOUT_FAILURE
        viability = {Route.ROLLOUT_SUCCESS: 1.0, Route.ROLLOUT_FAILURE: 0.0}.get(route, NAN)
        timed = route == Route.ROLLOUT_SUCCESS or (route == Route.INTERVENTION and trace.outcome is True)
        rows.append((route, viability, -(length - 1 - t) if timed else NAN))
    return rows


@given(traces())
def test_labels_are_the_obvious_loop(trace):
    labels = label_episode(trace)
    routes, viability, efficiency = zip(*oracle(trace), strict=True)
    assert list(labels.route) == list(routes)
    np.testing.assert_array_equal(labels.viability_target, viability)
    np.testing.assert_array_equal(labels.efficiency_target_mc, efficiency)
    np.testing.assert_array_equal(labels.viability_mask, ~np.isnan(viability))
    np.testing.assert_array_equal(labels.efficiency_mask, ~np.isnan(efficiency))


@given(traces())
def test_nothing_before_the_suffix_carries_the_outcome(trace):
    human = np.flatnonzero(trace.intervention)
    if len(human):
        assert not label_episode(trace).viability_mask[: human[-1] + 1].any()


@given(traces(outcome=st.just(True)))
def test_the_outcome_changes_exactly_what_it_may(trace):
    won, lost = label_episode(trace), label_episode(replace(trace, outcome=False))
    assert_same(won, lost, ("segment", "controller", "viability_mask"))
    labelled = won.viability_mask
    assert (won.viability_target[labelled] == 1).all() and (lost.viability_target[labelled] == 0).all()
    np.testing.assert_array_equal(won.route != lost.route, labelled)
    np.testing.assert_array_equal(won.efficiency_mask, labelled | trace.intervention)
    assert not lost.efficiency_mask.any()


@given(traces(), st.data())
def test_one_flag_changes_only_what_the_route_rule_says(trace, data):
    t = data.draw(st.integers(0, len(trace.cut) - 1))
    flipped = trace.intervention.copy()
    flipped[t] = ~flipped[t]
    before, after = label_episode(trace), label_episode(replace(trace, intervention=flipped))
    rest = ("route", "viability_target", "viability_mask", "efficiency_target_mc", "efficiency_mask")
    assert_same(before, after, rest, slice(t + 1, None))  # credit only ever looks ahead
    assert_same(
        before, after, (*rest, "controller"), np.flatnonzero(trace.intervention & flipped)
    )  # human frames stay what they are
    if trace.intervention[t + 1 :].any():  # a later intervention already cuts the outcome off
        assert_same(before, after, rest, slice(0, t))


@given(traces())
def test_both_route_tables_agree_where_nobody_intervened(trace):
    alone = replace(trace, intervention=np.zeros_like(trace.intervention))
    assert label_episode(alone).route.tolist() == whole_episode_route(alone).tolist()


def test_labelling_takes_tens_of_microseconds():
    import subprocess
    import sys

    code = """
import numpy as np, time
from vantage.core.credit import label_episode
from vantage.types import Trace
n = 300
human, version, cut = np.arange(n) % 100 > 70, np.zeros(n, np.int64), np.zeros(n, bool)
trace = Trace(intervention=human, policy_version=version, cut=cut, outcome=True)
label_episode(trace)
best = 1.0
for _ in range(20):
    start = time.perf_counter()
    for _ in range(50): label_episode(trace)
    best = min(best, (time.perf_counter() - start) / 50)
print(best)
"""
    start = time.perf_counter()  # a fresh interpreter: here the type checks of the tests would be timed too
    best = float(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    )
    assert best < 100e-6, f"{best * 1e6:.0f} us per episode (measured in {time.perf_counter() - start:.1f} s)"
