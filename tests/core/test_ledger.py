"""The core put together as the stages do: traces and a critic's values in, the columns of the credit ledger
out, and what they promise."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from core_episodes import episode, traces
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.credit import join_labels, label_episode
from vantage.core.returns import ParentTarget, stride_rows
from vantage.core.sampling import draw, drawable, sampling_probability
from vantage.core.segments import last_of_segment
from vantage.core.timeline import timeline
from vantage.core.weights import (
    AWR,
    HABC,
    HABCV,
    ExponentialWeights,
    FilteredBC,
    ImitDAgger,
    ImitRecap,
    RejectionTargets,
    Rule,
    Uniform,
    gate,
    gather_evidence,
    normalise,
)
from vantage.core.windows import valid_anchors
from vantage.types import Route, Trace, Values, VantageError

RULES = (
    Uniform(),
    FilteredBC(),
    HABC(),
    HABC(reweight_interventions=True),
    HABCV(),
    ImitRecap(),
    ImitDAgger(),
    AWR(),
    ExponentialWeights(),
    RejectionTargets(),
)


@dataclass
class Ledger:
    route: np.ndarray
    valid: np.ndarray
    g: np.ndarray
    raw: np.ndarray
    sampling: np.ndarray
    weight: np.ndarray


def ledger(
    episodes: list[Trace],
    rule: Rule,
    *,
    seed: int = 0,
    stride: int = 2,
    horizon: int = 4,
    zeros: bool = False,
) -> Ledger:
    frames, labels = timeline(episodes), join_labels([label_episode(trace) for trace in episodes])
    route = labels.credited(rule.credit)
    z, v, parent = np.random.default_rng(seed).normal(size=(3, len(frames)))
    strides = stride_rows(frames.stretch_starts(), frames.success, stride)
    evidence = gather_evidence(
        route=route,
        outcome=frames.outcome,
        intervention=frames.intervention,
        values=Values(z_v=z, v_e=-np.abs(v), v_parent=parent),
        strides=strides,
        parent=ParentTarget().ahead(frames),
    )
    raw = rule(evidence)
    valid = valid_anchors(last_of_segment(labels.segment, frames.episode), route, horizon)
    sampling = sampling_probability(route, drawable(raw, route, valid, draw_zero_weight=zeros))
    weight = normalise(raw, sampling, frames.demo, valid)
    return Ledger(route, valid, gate(evidence.p_v, evidence.a_v, evidence.a_e), raw, sampling, weight)


DEMO = episode("HHHH", True, demo=True)
ROUND = st.lists(traces(demo=None), min_size=1, max_size=4).map(lambda drawn: [DEMO, *drawn])


@given(ROUND, st.sampled_from(RULES), st.integers(0, 2**31), st.booleans())
def test_the_columns_keep_their_promises(episodes, rule, seed, zeros):
    try:
        table = ledger(episodes, rule, seed=seed, zeros=zeros)
    except VantageError as error:  # Imit-Recap where no autonomous frame has an advantage
        assert isinstance(rule, ImitRecap) and "parent advantage" in str(error)
        return
    demo = table.route == Route.DEMO
    assert table.sampling.sum() == pytest.approx(1)
    assert (table.sampling[~table.valid] == 0).all() and (table.weight[~table.valid] == 0).all()
    assert (table.weight[demo] == 1).all() and (table.raw[demo] == 1).all()
    assert (table.raw[table.route == Route.UNLABELLED] == 0).all()
    assert np.isfinite(table.weight).all() and (table.weight >= 0).all()
    if not zeros:
        assert (table.sampling[table.raw == 0] == 0).all()
    drawn = ~demo & (table.sampling > 0)
    if (
        np.dot(table.sampling[drawn], table.raw[drawn]) > 1e-3
    ):  # the mean weight of a batch, in expectation, is 1
        assert np.average(table.weight[drawn], weights=table.sampling[drawn]) == pytest.approx(1)


@given(ROUND, st.integers(0, 2**31))
def test_the_habc_row_of_the_ledger(episodes, seed):
    table = ledger(episodes, HABC(), seed=seed)
    expected = {Route.DEMO: 1.0, Route.ROLLOUT_FAILURE: 0.0, Route.INTERVENTION: 1.0, Route.UNLABELLED: 0.0}
    for route, value in expected.items():
        assert (table.raw[table.route == route] == value).all()
    success = table.route == Route.ROLLOUT_SUCCESS
    np.testing.assert_array_equal(table.raw[success], np.where(np.isnan(table.g), 1.0, table.g)[success])


@given(ROUND, st.integers(0, 2**31))
def test_failed_and_unlabelled_frames_never_reach_the_actor(episodes, seed):
    table = ledger(episodes, HABC(reweight_interventions=True), seed=seed)
    rows = draw(table.sampling, seed=seed, step=0, batch=64)
    assert not np.isin(table.route[rows], [Route.ROLLOUT_FAILURE, Route.UNLABELLED]).any()
    assert table.valid[rows].all()


def test_drawing_failures_counts_their_zeros():
    episodes = [episode("P" * 4, True), episode("P" * 12, False)]
    alone, with_zeros = ledger(episodes, FilteredBC()), ledger(episodes, FilteredBC(), zeros=True)
    np.testing.assert_allclose(alone.weight[:4], 1)
    # 4 of 16 windows weigh 1, c = 1/4, so that the 4 weigh 4 and the mean over all 16 stays 1.
    np.testing.assert_allclose(with_zeros.weight, [4.0] * 4 + [0.0] * 12)


def test_one_worked_round():
    # A demonstration, an autonomous success, a rescue and a failure; windows of 5 steps, of which a human one
    # needs 1.
    episodes = [
        episode("HH", True, demo=True),
        episode("PP", True),
        episode("PHHP", True),
        episode("PPP", False),
    ]
    table = ledger(episodes, FilteredBC(), horizon=5)
    s, f, i, d, u = (
        Route.ROLLOUT_SUCCESS,
        Route.ROLLOUT_FAILURE,
        Route.INTERVENTION,
        Route.DEMO,
        Route.UNLABELLED,
    )
    assert list(table.route) == [d, d, s, s, u, i, i, s, f, f, f]
    np.testing.assert_array_equal(table.raw, [1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0])
    # 1/4 on two demonstrations, 1/4 on two human frames, 1/2 on three successful ones.
    np.testing.assert_allclose(table.sampling, [1 / 8, 1 / 8, 1 / 6, 1 / 6, 0, 1 / 8, 1 / 8, 1 / 6, 0, 0, 0])
    np.testing.assert_allclose(table.weight, table.raw)


def test_recap_keeps_what_habc_leaves_out():
    rescue = [episode("P" * 20 + "H" * 5, True)]
    assert (ledger(rescue, HABC()).raw[:20] == 0).all()
    assert ledger(rescue, ImitRecap()).raw[:20].sum() == 5  # a quarter of the 20 steps that led into trouble


@given(traces(outcome=st.just(True)), st.integers(0, 2**31))
def test_the_outcome_moves_no_advantage_before_a_cut(trace, seed):
    cuts = np.flatnonzero(trace.cut)
    won = ledger([DEMO, trace], Uniform(), seed=seed).g[4:]
    lost = ledger([DEMO, replace(trace, outcome=False)], Uniform(), seed=seed).g[4:]
    upto = (
        cuts[-1] if len(cuts) else max(0, len(won) - 2)
    )  # stride 2: only the last two frames can tell a success
    np.testing.assert_array_equal(won[:upto], lost[:upto])
