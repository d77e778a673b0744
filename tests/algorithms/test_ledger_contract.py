"""The credit ledger of a run, recomputed here from the contract (docs/data.md) by the slow obvious loops.

The recorded run holds every route, cut and outcome; the simulated one shows that nothing depends on how they
came about.
"""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from recorded import CHUNK, IMPROVEMENT
from tiny import tiny

from vantage.data.v3.read import read_table
from vantage.data.v3.schema import LABEL_COLUMNS, WEIGHT_COLUMNS

RUNS = {
    "recorded": (IMPROVEMENT.weighing.stride, CHUNK),
    "finished": (tiny().improvement.weighing.stride, tiny().policy.net.chunk),
}
"""Fixture -> stride of the advantages, steps of a window."""


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


@pytest.fixture(
    scope="module",
    params=[(run, number) for run in RUNS for number in (1, 2)],
    ids=lambda p: f"{p[0]}-{p[1]}",
)
def here(request: pytest.FixtureRequest) -> Path:
    run, number = request.param
    return request.getfixturevalue(run) / f"round-{number:02d}"


@pytest.fixture
def stride(here: Path, request: pytest.FixtureRequest) -> int:
    return RUNS[request.node.callspec.params["here"][0]][0]


@pytest.fixture
def horizon(here: Path, request: pytest.FixtureRequest) -> int:
    return RUNS[request.node.callspec.params["here"][0]][1]


def test_labels_cover_every_frame_and_follow_the_route_rule(here: Path) -> None:
    labels, table = rows(here / "2-labels.parquet"), read_table(here / "1-episodes")
    assert pq.read_table(here / "2-labels.parquet").column_names == list(LABEL_COLUMNS)
    assert [r["index"] for r in labels] == list(range(len(table)))
    assert table.success is not None
    rescued = 0
    for episode in range(table.episodes):
        mine = [r for r in labels if r["episode_index"] == episode]
        human = [bool(table.intervention[r["index"]]) for r in mine]
        cut = [bool(table.cut[r["index"]]) for r in mine]
        outcome = mine[0]["outcome"]
        if mine[0]["outcome_source"] == "next.success":
            assert outcome == float(any(table.success[r["index"]] for r in mine))
        last_human = max((t for t, h in enumerate(human) if h), default=-1)
        rescued += last_human >= 0
        for t, r in enumerate(mine):
            check_label(r, t, len(mine), human, cut, last_human, outcome)
    assert rescued > 0, "the run must contain rescues, or this test proves little"


def check_label(
    r: dict, t: int, length: int, human: list[bool], cut: list[bool], last_human: int, outcome: float | None
) -> None:
    """One row of an episode of `length` frames against the route rule, by hand."""
    assert r["segment"] == sum(human[i] != human[i - 1] or cut[i] for i in range(1, t + 1))
    ended = {1.0: "rollout_success", 0.0: "rollout_failure", None: "unlabelled"}[outcome]
    expected = ended if t > last_human else "unlabelled"
    if human[t]:
        expected = ended = "intervention"
    assert (r["route"], r["controller"]) == (expected, "human" if human[t] else "policy")
    assert r["route_whole"] == ended and r["outcome"] == outcome
    assert r["viability_mask"] == expected.startswith("rollout")
    assert r["viability_target"] == (outcome if r["viability_mask"] else None)
    assert r["efficiency_mask"] == (outcome == 1 and expected in ("rollout_success", "intervention"))
    assert r["efficiency_target_mc"] == (-(length - 1 - t) if r["efficiency_mask"] else None)


def test_advantages_gate_and_weights_follow_the_contract(here: Path, stride: int) -> None:
    ledger = rows(here / "4-weights.parquet")
    assert pq.read_table(here / "4-weights.parquet").column_names == list(WEIGHT_COLUMNS)
    assert len({(r["round"], r["index"]) for r in ledger}) == len(ledger)
    assert sum(r["sampling"] for r in ledger) == pytest.approx(1)
    for number in range(int(here.name[-2:]) + 1):
        folder = here.parent / f"round-{number:02d}"
        labels = {r["index"]: r for r in rows(folder / "2-labels.parquet")}
        cut = read_table(folder / "1-episodes", demos=number == 0).cut
        mine = {r["index"]: r for r in ledger if r["round"] == number}
        assert mine.keys() == labels.keys()
        for index, r in mine.items():
            label = labels[index]
            end = index
            while end + 1 in labels and labels[end + 1]["frame_index"] > 0 and not cut[end + 1]:
                end += 1
            last_frame = end + 1 not in labels or labels[end + 1]["frame_index"] == 0
            check_row(r, index, end, last_frame and label["outcome"] == 1, mine, stride)
            assert r["route"] == label["route"]


def check_row(r: dict, index: int, end: int, succeeds: bool, mine: dict[int, dict], stride: int) -> None:
    """One row against the formulas of the contract, by hand. `end`: last row before a cut or the episode's
    end."""
    assert r["p_v"] == pytest.approx(1 / (1 + np.exp(-r["z_v"])), abs=1e-6)
    assert r["v_e"] <= 0
    left = end - index
    if succeeds and left < stride:
        a_v, a_e = mine[end]["z_v"] - r["z_v"], (-left - r["v_e"]) / stride
    elif left == 0:
        a_v = a_e = None
    else:
        k = min(stride, left)
        a_v, a_e = mine[index + k]["z_v"] - r["z_v"], (-k + mine[index + k]["v_e"] - r["v_e"]) / k
    if a_v is None or a_e is None:
        assert (r["a_v"], r["a_e"], r["g"]) == (None, None, None)
        return
    assert r["a_v"] == pytest.approx(a_v, abs=1e-4)
    assert r["a_e"] == pytest.approx(a_e, abs=1e-4)
    assert r["g"] == pytest.approx(1 + np.tanh((1 - r["p_v"]) * a_v + r["p_v"] * a_e), abs=1e-4)


def test_raw_weights_and_their_unit_mean(here: Path) -> None:
    ledger = rows(here / "4-weights.parquet")
    others = [r for r in ledger if r["route"] != "demo"]
    mean = sum(r["sampling"] * r["raw_weight"] for r in others) / sum(r["sampling"] for r in others)
    for r in ledger:
        g = 1.0 if r["g"] is None else r["g"]
        raw = {
            "demo": 1.0,
            "intervention": 1.0,
            "rollout_success": g,
            "rollout_failure": 0.0,
            "unlabelled": 0.0,
        }[r["route"]]
        assert r["raw_weight"] == pytest.approx(raw, abs=1e-6)
        if r["route"] == "demo":
            assert r["weight"] == 1
        elif r["sampling"] > 0:
            assert r["weight"] == pytest.approx(raw / mean, abs=1e-5)
        assert (r["sampling"] > 0) <= (raw > 0)
    assert sum(r["sampling"] * r["weight"] for r in others) / sum(
        r["sampling"] for r in others
    ) == pytest.approx(1)


def test_an_intervention_window_needs_a_fifth_of_its_steps(here: Path, horizon: int) -> None:
    number = int(here.name[-2:])
    labels = rows(here / "2-labels.parquet")
    weights = {r["index"]: r for r in rows(here / "4-weights.parquet") if r["round"] == number}
    end = {}
    for r in labels:
        end[(r["episode_index"], r["segment"])] = r["index"]
    short = [
        r
        for r in labels
        if r["route"] == "intervention"
        and end[(r["episode_index"], r["segment"])] - r["index"] + 1 < -(-horizon // 5)
    ]
    assert short, "the run must contain ends of interventions"
    assert all(weights[r["index"]]["weight"] == 0 and weights[r["index"]]["sampling"] == 0 for r in short)


@pytest.mark.parametrize("run", RUNS)
def test_round_zero_is_supervised_fine_tuning(run: str, request: pytest.FixtureRequest) -> None:
    start = request.getfixturevalue(run) / "round-00"
    ledger = rows(start / "4-weights.parquet")
    failed = {r["index"] for r in rows(start / "2-labels.parquet") if r["outcome"] == 0}
    assert all(r["route"] == ("unlabelled" if r["index"] in failed else "demo") for r in ledger)
    assert all(r["weight"] == r["raw_weight"] == (r["index"] not in failed) for r in ledger), (
        "failures are not imitated"
    )
    assert all(
        r[name] is None
        for r in ledger
        for name in ("z_v", "p_v", "v_e", "a_v", "a_e", "g", "v_parent", "a_parent")
    )
    assert not (start / "3-critic").exists()
