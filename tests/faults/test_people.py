"""Recordings as people have them: outcomes as they write them, and drivers as their tools record them, or do
not."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from three import META, Three

from vantage.cli import dispatch
from vantage.data.audit import audit
from vantage.data.experience import load_experience
from vantage.data.outcomes import attempts_of
from vantage.data.outcomes_csv import read_outcomes
from vantage.data.v3.read import read_table
from vantage.disk.layout import Source
from vantage.disk.tables import read_parquet
from vantage.stages.label import label
from vantage.types import VantageError

TheThree = Callable[..., Three]


def said_by(three: Three) -> list[tuple[bool | None, str | None]]:
    """How the dataset says that its episodes ended, and where."""
    return [(attempt.outcome, attempt.source) for attempt in attempts_of(read_table(three.root), None)]


@pytest.mark.parametrize(
    "text",
    [
        "episode_index,success\n0,True\n1,False\n2,\n",
        "episode_index,success\n0,success\n1,failure\n2,pending\n",
        "episode_index,success\n0.0,1.0\n1.0,0.0\n2.0,nan\n",
        "\ufeffepisode_index,success\r\n0,1\r\n1,0\r\n2,None\r\n\r\n",
        "episode_index, success\n0, TRUE\n1, Failure\n2, unknown\n,\n",
    ],
    ids=["pandas", "words", "floats", "excel", "spaces"],
)
def test_a_csv_as_people_write_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_bytes(text.encode())
    assert {line.episode: line.outcome for line in read_outcomes(path)} == {0: True, 1: False, 2: None}


def test_another_separator_is_named(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    path.write_text("episode_index;success\n0;1\n")
    with pytest.raises(VantageError, match="its separator is `;`, and must be a comma"):
        read_outcomes(path)


def test_successes_under_another_name(the_three: TheThree) -> None:
    three = the_three()
    flags = np.asarray(pq.read_table(three.root / "data/chunk-000/file-000.parquet").column("next.success"))
    flags[:8] = False
    three.column("next.success", None).column("is_success", flags).rename_feature(
        "next.success", "is_success"
    )
    assert said_by(three) == [(False, "next.success"), (True, "next.success"), (True, "next.success")]


def test_outcomes_of_meta_episodes(the_three: TheThree) -> None:
    three = the_three().column("next.success", None).forget("next.success")
    table = pq.read_table(three.root / META)
    pq.write_table(
        table.append_column("episode_success", pa.array(["success", None, "failure"])), three.root / META
    )
    assert said_by(three) == [(True, "episode"), (None, None), (False, "episode")]


def test_a_reward_at_the_end_is_a_success(the_three: TheThree) -> None:
    reward = np.zeros(24, np.float32)
    reward[[7, 20]] = 1.0
    three = (
        the_three()
        .column("next.success", None)
        .rename_feature("next.success", "next.reward")
        .column("next.reward", reward)
    )
    three.feature("next.reward", dtype="float32")
    assert said_by(three) == [(True, "next.reward"), (False, "next.reward"), (False, "next.reward")]


def test_no_success_at_all_is_said(
    the_three: TheThree, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three = the_three().column("next.success", np.zeros(24, bool))
    assert said_by(three) == [(False, "next.success")] * 3
    label(three.root, tmp_path / "labels.parquet")
    assert (
        "0 of 3 attempts succeed, by the dataset's own record (next.success); if nobody marked"
        in capsys.readouterr().err
    )
    assert any("if nobody marked successes there" in text for text in audit(three.root).problems)


def test_corrections_alone_need_no_outcome(the_three: TheThree, tmp_path: Path) -> None:
    three = (
        the_three()
        .column("intervention", np.ones(24, bool))
        .column("next.success", None)
        .forget("next.success")
    )
    labels = label(three.root, tmp_path / "labels.parquet")
    assert set(labels.route) == {"intervention"} and np.isnan(labels.outcome).all()


def test_a_policy_that_drove_alone_is_read_so_by_every_stage(the_three: TheThree, tmp_path: Path) -> None:
    three = the_three().column("intervention", None).forget("intervention")
    with pytest.raises(VantageError, match="if the policy drove alone, read it with --driver policy"):
        read_table(three.root)

    out = tmp_path / "labels.parquet"
    dispatch(["label", str(three.root), "--driver", "policy", "--out", str(out)])
    assert set(read_parquet(out)["route"]) == {"rollout_success"}
    experience = load_experience([Source(1, three.root, out, None)])
    assert not experience.frames.intervention.any()


def test_a_column_of_ones_own_says_who_drove(the_three: TheThree, tmp_path: Path) -> None:
    three = the_three()
    human = np.asarray(pq.read_table(three.root / "data/chunk-000/file-000.parquet").column("intervention"))
    three.column("intervention", None).column("teleop", human.astype(np.int64)).rename_feature(
        "intervention", "teleop"
    )
    three.feature("teleop", dtype="int64")
    out = tmp_path / "labels.parquet"
    dispatch(["label", str(three.root), "--intervention-column", "teleop", "--out", str(out)])
    assert np.array_equal(load_experience([Source(1, three.root, out, None)]).frames.intervention, human)
    with pytest.raises(VantageError, match="has no column `hand`; it has"):
        dispatch(["label", str(three.root), "--intervention-column", "hand", "--out", str(out)])


def test_demonstrations_and_rollouts_in_one_dataset(the_three: TheThree, tmp_path: Path) -> None:
    """A merge needs equal columns, so that demonstrations say intervention False, and no success."""
    three = the_three().column("next.success", np.arange(24) == 15)
    out, csv = tmp_path / "labels.parquet", tmp_path / "o.csv"
    dispatch(["label", str(three.root), "--demos", "0,2-2", "--out", str(out)])
    stored = read_parquet(out)
    assert stored["route"][:8].tolist() == stored["route"][16:].tolist() == ["demo"] * 8
    assert (
        stored["route"][8:16].tolist() == ["unlabelled"] * 3 + ["intervention"] * 3 + ["rollout_success"] * 2
    )
    assert (
        stored["controller"][0] == stored["controller"][23] == "human" and stored["controller"][8] == "policy"
    )

    experience = load_experience([Source(1, three.root, out, None)])
    assert [trace.demo for trace in experience.traces] == [True, False, True]
    assert [int(trace.policy_version[0]) for trace in experience.traces] == [-1, 0, -1]

    csv.write_text("episode_index,success\n1,0\n2,failure\n")
    dispatch(["label", str(three.root), "--demos=0-2", "--outcomes", str(csv), "--out", str(out)])
    assert [set(read_parquet(out)["route"][rows]) for rows in (slice(0, 8), slice(8, 16), slice(16, 24))] == [
        {"demo"},
        {"unlabelled"},
        {"unlabelled"},
    ]

    for wrong, sentence in (
        ("0-9", "there is no episode 3"),
        ("2-1", "names no episodes"),
        (",", "names no episodes"),
    ):
        with pytest.raises(VantageError, match=sentence):
            dispatch(["label", str(three.root), f"--demos={wrong}", "--out", str(out)])
    for wrong in ("0\N{EN DASH}2", "0;2", "0..2"):  # as a text processor writes it, and as other tools do
        with pytest.raises(VantageError, match=f"`{re.escape(wrong)}` names no episodes; write numbers"):
            dispatch(["label", str(three.root), "--demos", wrong, "--out", str(out)])


def test_several_attempts_in_one_slice(the_three: TheThree, tmp_path: Path) -> None:
    """Stock DAgger cuts its files by time: two attempts in episode 1, and a reset that nobody judges between
    them."""
    three, out, csv = the_three(), tmp_path / "labels.parquet", tmp_path / "o.csv"
    csv.write_text("episode_index,from,to,success\n0,,,1\n1,0,1,0\n1,4,7,1\n2,1,6,1\n")
    dispatch(["label", str(three.root), "--outcomes", str(csv), "--out", str(out)])
    stored = read_parquet(out)

    assert stored["attempt"].tolist() == [0] * 8 + [0, 0, -1, -1, 1, 1, 1, 1] + [-1, *[0] * 6, -1]
    # PP of the first attempt failed; P and H between belong to nobody; then HH, and PP that succeeded.
    between = ["rollout_failure"] * 2 + ["unlabelled"] * 2 + ["intervention"] * 2 + ["rollout_success"] * 2
    assert stored["route"].tolist() == ["rollout_success"] * 8 + between + [
        "unlabelled",
        *["rollout_success"] * 6,
        "unlabelled",
    ]
    assert stored["segment"][8:16].tolist() == [0, 0, 1, 2, 3, 3, 4, 4]
    assert stored["outcome"][8:16].tolist()[:2] == [0, 0] and np.isnan(stored["outcome"][10:12]).all()
    assert stored["efficiency_target_mc"][12:16].tolist() == [-3, -2, -1, 0]
    assert stored["efficiency_target_mc"][17:23].tolist() == [-5, -4, -3, -2, -1, 0]

    experience = load_experience([Source(1, three.root, out, None)])
    lengths = [len(trace.cut) for trace in experience.traces]
    assert lengths == [8, 2, 2, 4, 1, 6, 1]
    assert [trace.outcome for trace in experience.traces] == [True, False, None, True, None, True, None]
    ends = [7] * 8 + [9, 9, 10, 11, 13, 13, 15, 15] + [16, *[22] * 6, 23]
    assert experience.segment_end.tolist() == ends, "no window crosses the end of an attempt"
    assert experience.frames.success.nonzero()[0].tolist() == [7, 15, 22]
