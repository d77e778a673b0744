"""`weigh` by hand: what it reads of the labels, and what every setting makes of it, by slow loops over the
files."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recorded import CHUNK, IMPROVEMENT, STEPS, sources

from vantage.core.sampling import PoolShares, SharesByNeed
from vantage.core.weights import AWR, HABC, HABCV, FilteredBC, ImitRecap, Rule, Uniform
from vantage.core.windows import WindowRule
from vantage.data.experience import load_experience
from vantage.data.v3.read import read_table
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.stages.fit_policy import read_weights
from vantage.stages.label import label
from vantage.stages.weigh import Weighing, weigh
from vantage.types import VantageError

PLAIN = Weighing(stride=4)


def weighed(run: Path, out: Path, settings: Weighing, *, critic: Path | None = None) -> dict[str, np.ndarray]:
    """The ledger of round 2 by other settings, on the critic of that round."""
    path = out / "4-weights.parquet"
    path.unlink(missing_ok=True)
    weigh(
        sources(run, 2),
        (critic or run / "round-02" / "3-critic") if settings.reads_values else None,
        path,
        settings,
        horizon=CHUNK,
        policy_version=STEPS,
        parent=IMPROVEMENT.parent,
    )
    return read_parquet(path)


SETTINGS = {
    "plain": PLAIN,
    "filtered": replace(PLAIN, rule=FilteredBC()),
    "uniform": replace(PLAIN, rule=Uniform()),
    "habc-v": replace(PLAIN, rule=HABCV()),
    "interventions reweighed": replace(PLAIN, rule=HABC(reweight_interventions=True)),
    "failures drawn": replace(PLAIN, draw_zero_weight=True),
    "stale": replace(PLAIN, stale_after=STEPS),
    "recency": replace(PLAIN, recency=0.25),
    "margin": replace(PLAIN, windows=WindowRule(margin=3)),
    "long windows": replace(PLAIN, windows=WindowRule(human_one_in=2, policy_steps=4)),
    "shares": replace(PLAIN, shares=PoolShares(demo=0.6, intervention=0.1, rollout=0.3)),
    "shares by need": replace(PLAIN, shares=SharesByNeed(demo=0.2, least=0.05)),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_sampling_and_weights_by_slow_loops(recorded: Path, tmp_path: Path, settings: Weighing) -> None:
    ledger = weighed(recorded, tmp_path, settings)
    frames = [frame for number in (0, 1, 2) for frame in frames_of(recorded / f"round-{number:02d}", number)]
    for frame, raw in zip(frames, ledger["raw_weight"], strict=True):
        frame["raw"] = raw
        frame["valid"] = anchors(frame, settings)
        zero_too = settings.draw_zero_weight and frame["route"] != "unlabelled"
        frame["drawn"] = frame["valid"] and (raw > 0 or zero_too)

    sampling = probabilities(frames, settings, shares_of(frames, settings))
    np.testing.assert_allclose(ledger["sampling"], sampling, atol=1e-12)

    others = [
        (p, frame["raw"]) for p, frame in zip(sampling, frames, strict=True) if frame["route"] != "demo"
    ]
    mean = sum(p * raw for p, raw in others) / sum(p for p, _ in others)
    for frame, weight in zip(frames, ledger["weight"], strict=True):
        unit = 1.0 if frame["route"] == "demo" else frame["raw"] / mean
        assert weight == pytest.approx(unit if frame["valid"] else 0.0)


def frames_of(here: Path, number: int) -> list[dict]:
    """One row per frame: its labels, and where its segment and the next hand-over are, counted one by one."""
    table, labels = (
        read_table(here / "1-episodes", demos=number == 0),
        pq.read_table(here / "2-labels.parquet").to_pylist(),
    )
    frames: list[dict] = []
    for rows in table.slices:
        human, episode = table.intervention[rows].tolist(), labels[rows]
        for t, row in enumerate(episode):
            same = [r for r in episode[t:] if r["segment"] == row["segment"]]
            handovers = [i for i in range(1, len(human)) if human[i] != human[i - 1]]
            frames.append(
                row
                | {
                    "round": number,
                    "steps_left": len(same),
                    "handovers": [t - i for i in handovers],
                    "version": int(table.policy_version[rows][t]),
                    "first": t == 0,
                    "alone": row["outcome"] == 1 and not any(human),
                }
            )
    return frames


def anchors(frame: dict, settings: Weighing) -> bool:
    """Whether a window may begin at this frame."""
    rule = settings.windows
    needed = -(-CHUNK // rule.human_one_in) if frame["route"] == "intervention" else rule.policy_steps
    near = any(-rule.margin <= behind < rule.margin for behind in frame["handovers"])
    stale = frame["version"] >= 0 and STEPS - frame["version"] >= settings.stale_after
    return min(frame["steps_left"], CHUNK) >= needed and not near and not stale


def shares_of(frames: list[dict], settings: Weighing) -> PoolShares:
    if isinstance(settings.shares, PoolShares):
        return settings.shares
    last = [frame["alone"] for frame in frames if frame["round"] == 2 and frame["first"]]
    assert 0 < sum(last) < len(last)
    rest = 1 - settings.shares.demo
    rollout = min(max(rest * sum(last) / len(last), settings.shares.least), rest - settings.shares.least)
    return PoolShares(demo=settings.shares.demo, intervention=rest - rollout, rollout=rollout)


def probabilities(frames: list[dict], settings: Weighing, shares: PoolShares) -> list[float]:
    """Every pool its share; inside a pool by round: `recency` times as likely for every round longer ago."""
    pool_of = {"demo": "demo", "intervention": "intervention"}
    pools = [pool_of.get(frame["route"], "rollout") for frame in frames]
    likely = [frame["drawn"] * settings.recency ** (2 - frame["round"]) for frame in frames]
    total = {
        name: sum(x for x, pool in zip(likely, pools, strict=True) if pool == name) for name in set(pools)
    }
    share = {name: getattr(shares, name) for name in total if total[name] > 0}
    return [
        share[pool] / sum(share.values()) * x / total[pool] if pool in share else 0.0
        for x, pool in zip(likely, pools, strict=True)
    ]


def rewritten(recorded: Path, out: Path, column: str, change: dict[int, object]) -> Path:
    """A copy of the recorded run in which some cells of one column of round 2's labels stand differently."""
    run = out / "run"
    shutil.copytree(recorded, run)
    path = run / "round-02" / "2-labels.parquet"
    table = pq.read_table(path)
    values = table.column(column).to_pylist()
    for row, value in change.items():
        values[row] = value
    place, kind = table.column_names.index(column), table.schema.field(column).type
    pq.write_table(table.set_column(place, column, pa.array(values, kind)), path)
    return run


def rows_where(recorded: Path, column: str, value: object) -> list[int]:
    labels = pq.read_table(recorded / "round-02" / "2-labels.parquet").column(column).to_pylist()
    return [row for row, label in enumerate(labels) if label == value]


def test_a_route_rewritten_in_the_labels_moves_routes_and_weights(recorded: Path, tmp_path: Path) -> None:
    failed = rows_where(recorded, "route", "rollout_failure")[:20]
    unlabelled = rows_where(recorded, "route", "unlabelled")[:5]
    change = dict.fromkeys(failed, "rollout_success") | dict.fromkeys(unlabelled, "intervention")
    before = weighed(recorded, tmp_path, PLAIN)
    after = weighed(
        rewritten(recorded, tmp_path, "route", change), tmp_path, PLAIN, critic=recorded / "round-02/3-critic"
    )

    second = np.flatnonzero(before["round"] == 2)
    assert set(before["raw_weight"][second[failed + unlabelled]]) == {0.0}
    assert set(after["route"][second[failed]]) == {"rollout_success"}
    known = np.isfinite(after["g"][second[failed]])
    np.testing.assert_array_equal(
        after["raw_weight"][second[failed]][known], after["g"][second[failed]][known]
    )
    assert known.any() and (after["sampling"][second[failed]] > 0).all()
    assert set(after["raw_weight"][second[unlabelled]]) == {1.0}

    rest = np.setdiff1d(np.arange(len(before["route"])), second[failed + unlabelled])
    for name in ("route", "z_v", "v_e", "a_v", "a_e", "g", "raw_weight"):
        np.testing.assert_array_equal(after[name][rest], before[name][rest], err_msg=name)


@pytest.mark.parametrize("rule", [ImitRecap(), AWR()])
def test_rules_of_whole_episodes_go_by_route_whole_and_never_by_route(
    recorded: Path, tmp_path: Path, rule: Rule, parent: Path
) -> None:
    settings = replace(PLAIN, rule=rule)
    before = weighed(recorded, tmp_path, settings, critic=parent)
    other = rewritten(recorded, tmp_path / "route", "route", dict.fromkeys(range(40), "unlabelled"))
    same = weighed(other, tmp_path, settings, critic=parent)
    for name in before:
        np.testing.assert_array_equal(same[name], before[name], err_msg=name)

    rollouts = rows_where(recorded, "route_whole", "rollout_success")[:9]
    run = rewritten(recorded, tmp_path / "whole", "route_whole", dict.fromkeys(rollouts, "demo"))
    after = weighed(run, tmp_path, settings, critic=parent)
    second = np.flatnonzero(before["round"] == 2)
    assert set(after["route"][second[rollouts]]) == {"demo"}
    assert set(after["raw_weight"][second[rollouts]]) == {1.0}


@pytest.fixture(scope="module")
def parent(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The critic of round 2 with a parent head beside it."""
    from recorded import improvement, improver

    run = tmp_path_factory.mktemp("parent") / "run"
    shutil.copytree(recorded, run)
    for path in (run / "round-02" / "3-critic", run / "round-02" / "5-actor"):
        shutil.rmtree(path)
    (run / "round-02" / "4-weights.parquet").unlink()  # made of the critic that was
    improver(run, 2, improvement(weighing=replace(PLAIN, rule=AWR()))).fit_critic()
    return run / "round-02" / "3-critic"


def test_the_outcome_alone_decides_the_success_frames(recorded: Path, tmp_path: Path) -> None:
    """An outcome rewritten, with every mask and route as it was: only the look-ahead at the episode's end
    changes."""
    labels = pq.read_table(recorded / "round-02" / "2-labels.parquet").to_pylist()
    rows = [row for row, r in enumerate(labels) if r["episode_index"] == 0]
    assert labels[rows[0]]["outcome"] == 1
    run = rewritten(recorded, tmp_path, "outcome", dict.fromkeys(rows, 0.0))
    before = weighed(recorded, tmp_path, PLAIN)
    after = weighed(run, tmp_path, PLAIN, critic=recorded / "round-02/3-critic")

    second = np.flatnonzero(before["round"] == 2)
    last = second[rows[-1]]
    assert before["a_v"][last] == 0 and np.isfinite(before["g"][last]), "a success frame looks at itself"
    assert np.isnan(after["a_v"][last]) and np.isnan(after["g"][last]), "after a failure nothing is known"
    assert after["raw_weight"][last] == 1, "by its route it still counts"
    moved = np.flatnonzero(~np.isclose(before["a_e"], after["a_e"], equal_nan=True))
    assert set(moved) == set(second[rows[-PLAIN.stride :]])


def test_what_was_made_from_other_recordings_is_refused(recorded: Path, tmp_path: Path) -> None:
    """One action of one frame changes: labels, the critic's features and the ledger are each of other
    recordings."""
    run = tmp_path / "run"
    shutil.copytree(recorded, run)
    here = Round.of(run, 2)
    path = next(here.episodes.glob("data/*/*.parquet"))
    table = pq.read_table(path)
    action = np.stack(table.column("action").to_pylist()).astype(np.float32)
    action[3, 0] += 0.5
    place, kind = table.column_names.index("action"), table.schema.field("action").type
    pq.write_table(table.set_column(place, "action", pa.array(action.tolist(), kind)), path)
    with pytest.raises(VantageError, match=r"2-labels.parquet covers \d+ of \d+ frames \(by their content\)"):
        load_experience(sources(run, 2))

    label(here.episodes, here.labels)
    with pytest.raises(
        VantageError, match=r"3-critic holds features of \d+ frames that are not the \d+ frames here"
    ):
        weighed(run, tmp_path, PLAIN)
    with pytest.raises(
        VantageError, match=r"4-weights.parquet was made from other recordings .* \(26 of \d+ frames\)"
    ):
        read_weights(here.weights, load_experience(sources(run, 2)))
