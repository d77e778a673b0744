"""The credit ledger of a real run, recomputed here from the contract (spec: the credit ledger) by the slow obvious loops."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny import tiny

from vantage.data.v3.read import read_table
from vantage.data.v3.schema import LABEL_COLUMNS, WEIGHT_COLUMNS

K, H = tiny().improvement.weighing.stride, tiny().policy.net.chunk


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


@pytest.fixture(scope="module", params=[1, 2])
def here(request: pytest.FixtureRequest, finished: Path) -> Path:
    return finished / f"round-{request.param:02d}"


def test_labels_cover_every_frame_and_follow_the_route_rule(here: Path) -> None:
    labels, table = rows(here / "2-labels.parquet"), read_table(here / "1-episodes")
    assert pq.read_table(here / "2-labels.parquet").column_names == list(LABEL_COLUMNS)
    assert [r["index"] for r in labels] == list(range(len(table)))
    assert table.success is not None
    rescued = 0
    for episode in range(table.episodes):
        mine = [r for r in labels if r["episode_index"] == episode]
        human = [bool(table.intervention[r["index"]]) for r in mine]
        won = any(table.success[r["index"]] for r in mine)
        last_human = max((t for t, h in enumerate(human) if h), default=-1)
        rescued += last_human >= 0
        for t, r in enumerate(mine):
            assert r["segment"] == sum(human[i] != human[i - 1] for i in range(1, t + 1))
            if human[t]:
                expected = "intervention"
            elif t > last_human:
                expected = "rollout_success" if won else "rollout_failure"
            else:
                expected = "unlabelled"
            assert (r["route"], r["controller"]) == (expected, "human" if human[t] else "policy")
            assert r["viability_mask"] == expected.startswith("rollout")
            assert r["viability_target"] == (float(won) if r["viability_mask"] else None)
            assert r["efficiency_mask"] == (won and expected in ("rollout_success", "intervention"))
            assert r["efficiency_target_mc"] == (-(len(mine) - 1 - t) if r["efficiency_mask"] else None)
    assert rescued > 0, "the tiny run must contain rescues, or this test proves little"


def test_advantages_gate_and_weights_follow_the_contract(here: Path, finished: Path) -> None:
    ledger = rows(here / "4-weights.parquet")
    assert pq.read_table(here / "4-weights.parquet").column_names == list(WEIGHT_COLUMNS)
    assert len({(r["round"], r["index"]) for r in ledger}) == len(ledger)
    assert sum(r["sampling"] for r in ledger) == pytest.approx(1)
    for number in range(int(here.name[-2:]) + 1):
        labels = {r["index"]: r for r in rows(finished / f"round-{number:02d}" / "2-labels.parquet")}
        mine = {r["index"]: r for r in ledger if r["round"] == number}
        assert mine.keys() == labels.keys()
        for index, r in mine.items():
            label = labels[index]
            last = max(i for i, other in labels.items() if other["episode_index"] == label["episode_index"])
            won = number == 0 or any(labels[i]["efficiency_mask"] for i in range(index - label["frame_index"], last + 1))
            check_row(r, index, last, won, mine)
            assert r["route"] == label["route"]


def check_row(r: dict, index: int, last: int, won: bool, mine: dict[int, dict]) -> None:
    """One row against the formulas of the contract, by hand."""
    assert r["p_v"] == pytest.approx(1 / (1 + np.exp(-r["z_v"])), abs=1e-6)
    assert r["v_e"] <= 0
    left = last - index
    if won and left < K:
        a_v, a_e = mine[last]["z_v"] - r["z_v"], (-left - r["v_e"]) / K
    elif left == 0:
        a_v = a_e = None
    else:
        k = min(K, left)
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
        raw = {"demo": 1.0, "intervention": 1.0, "rollout_success": g, "rollout_failure": 0.0, "unlabelled": 0.0}[r["route"]]
        assert r["raw_weight"] == pytest.approx(raw, abs=1e-6)
        if r["route"] == "demo":
            assert r["weight"] == 1
        elif r["sampling"] > 0:
            assert r["weight"] == pytest.approx(raw / mean, abs=1e-5)
        assert (r["sampling"] > 0) <= (raw > 0)
    assert sum(r["sampling"] * r["weight"] for r in others) / sum(r["sampling"] for r in others) == pytest.approx(1)


def test_an_intervention_window_needs_a_fifth_of_its_steps(here: Path) -> None:
    number = int(here.name[-2:])
    labels = rows(here / "2-labels.parquet")
    weights = {r["index"]: r for r in rows(here / "4-weights.parquet") if r["round"] == number}
    end = {}
    for r in labels:
        end[(r["episode_index"], r["segment"])] = r["index"]
    short = [r for r in labels if r["route"] == "intervention" and end[(r["episode_index"], r["segment"])] - r["index"] + 1 < -(-H // 5)]
    assert short, "the tiny run must contain ends of interventions"
    assert all(weights[r["index"]]["weight"] == 0 and weights[r["index"]]["sampling"] == 0 for r in short)


def test_round_zero_is_supervised_fine_tuning(finished: Path) -> None:
    ledger = rows(finished / "round-00" / "4-weights.parquet")
    assert all(r["route"] == "demo" and r["weight"] == 1 and r["raw_weight"] == 1 for r in ledger)
    assert all(r[name] is None for r in ledger for name in ("z_v", "p_v", "v_e", "a_v", "a_e", "g", "v_parent", "a_parent"))
    assert not (finished / "round-00" / "3-critic").exists()
