"""Labelled data sets end to end: what the labels' file knows reaches the frames."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vantage.data.episodes import Episode, save_episode
from vantage.data.experience import load_experience
from vantage.data.v3.read import read_table
from vantage.data.v3.schema import LABEL_COLUMNS
from vantage.data.v3.write import write_dataset
from vantage.disk.layout import Source
from vantage.stages.label import Labelling, label
from vantage.types import VantageError

Make = Callable[..., Episode]
Write = Callable[..., Path]


def test_outcomes_survive_the_labels(episode: Make, dataset: Write, tmp_path: Path) -> None:
    """A failure that ends in human hands labels nothing, and is still a failure to those who credit whole
    episodes."""
    drivers = ("PPPHH", "PPPP", "PHHPP", "PPPHH")
    root = dataset([episode(drivers=who, success=False) for who in drivers])
    csv, labels = tmp_path / "o.csv", tmp_path / "2-labels.parquet"
    csv.write_text("episode_index,success\n0,0\n1,1\n2,0\n3,\n")
    label(root, labels, outcomes=csv)
    replay = load_experience([Source(1, root, labels, None)])
    assert [trace.outcome for trace in replay.traces] == [False, True, False, None]
    assert replay.frames.outcome[:5].tolist() == [0.0] * 5 and np.isnan(replay.frames.outcome[-5:]).all()
    table = pq.read_table(labels)
    assert table.column_names == list(LABEL_COLUMNS)
    assert table.column("outcome").to_pylist() == [0] * 5 + [1] * 4 + [0] * 5 + [None] * 5
    assert table.column("outcome_source").to_pylist() == ["csv"] * 14 + [None] * 5
    whole = table.column("route_whole").to_pylist()
    assert whole[:5] == ["rollout_failure"] * 3 + ["intervention"] * 2, (
        "whole-episode credit reaches what comes before a hand-over"
    )


def renamed(root: Path, out: Path, change: Callable[[dict], None]) -> Path:
    """A copy of the data set with another info.json."""
    shutil.copytree(root, out)
    root, path = out, out / "meta" / "info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))
    return root


def test_dimensions_in_another_order_are_put_right(episode: Make, dataset: Write, tmp_path: Path) -> None:
    """Two recordings of one robot whose joints stand in another order are one recording."""

    def name_joints(*names: str) -> Callable[[dict], None]:
        return lambda info: info["features"]["action"].update(names=list(names))

    width = read_table(dataset([episode(drivers="P")])).action.shape[1]
    joints = [f"joint_{i}" for i in range(width)]
    first = renamed(dataset([episode(drivers="PPP", seed=1)]), tmp_path / "first", name_joints(*joints))
    second = renamed(
        dataset([episode(drivers="PPP", seed=2)]), tmp_path / "second", name_joints(*reversed(joints))
    )
    sources = []
    for number, root in enumerate((first, second)):
        labels = tmp_path / f"labels-{number}.parquet"
        label(root, labels)
        sources.append(Source(number, root, labels, None))

    experience = load_experience(sources)
    np.testing.assert_array_equal(experience.action[3:], read_table(second).action[:, ::-1])

    other = renamed(second, tmp_path / "other", name_joints("gripper", *joints[1:]))
    with pytest.raises(VantageError, match=r"other dimensions .*gripper, joint_0"):
        load_experience([sources[0], replace(sources[1], episodes=other)])


def test_recordings_of_different_rates_are_refused(episode: Make, dataset: Write, tmp_path: Path) -> None:
    sources = []
    for number, fps in enumerate((20, 10)):
        journal, root, labels = (
            tmp_path / f"{name}-{number}" for name in ("journal", "episodes", "labels.parquet")
        )
        save_episode(journal, 0, episode(drivers="PPP"))
        write_dataset(journal, [0], root, fps)
        label(root, labels)
        sources.append(Source(number, root, labels, None))
    with pytest.raises(VantageError, match=r"was recorded at 10 control steps a second and .* at 20"):
        load_experience(sources)


def test_one_episode_has_one_outcome(episode: Make, dataset: Write, tmp_path: Path) -> None:
    root, labels = dataset([episode(drivers="PPHP")]), tmp_path / "2-labels.parquet"
    label(root, labels)
    table = pq.read_table(labels)
    torn = table.set_column(
        table.column_names.index("outcome"), "outcome", pa.array([1.0, 1.0, 0.0, 1.0], pa.float32())
    )
    pq.write_table(torn, labels)
    with pytest.raises(VantageError, match="episode 0 several outcomes"):
        load_experience([Source(1, root, labels, None)])


def test_demonstrations_succeed_unless_somebody_says_otherwise(
    episode: Make, dataset: Write, tmp_path: Path
) -> None:
    root, labels, csv = (
        dataset([episode(drivers="HH"), episode(drivers="HHH")]),
        tmp_path / "2-labels.parquet",
        tmp_path / "o.csv",
    )
    label(root, labels, demos=True)
    assert pq.read_table(labels).column("outcome_source").to_pylist() == ["demo"] * 5

    csv.write_text("episode_index,success\n1,0\n")
    label(root, labels, demos=True, outcomes=csv)
    assert pq.read_table(labels).column("outcome_source").to_pylist() == ["demo"] * 2 + ["csv"] * 3
    experience = load_experience([Source(0, root, labels, None)])
    assert [trace.outcome for trace in experience.traces] == [True, False], (
        "a failed demonstration stays a failure"
    )
    assert [trace.demo for trace in experience.traces] == [True, True]
    assert experience.labels.route.tolist() == ["demo"] * 2 + ["unlabelled"] * 3, "and is not imitated"
    assert not experience.labels.viability_mask.any()

    label(root, labels, demos=True, outcomes=csv, settings=Labelling(demo_viability=True))
    judged = load_experience([Source(0, root, labels, None)]).labels
    assert judged.viability_target.tolist() == [1.0] * 2 + [0.0] * 3, "the critic may learn from it"


def test_labels_in_another_order_reach_their_frames(episode: Make, dataset: Write, tmp_path: Path) -> None:
    root, labels = (
        dataset([episode(drivers="PPHP"), episode(drivers="PPP", success=False)]),
        tmp_path / "2-labels.parquet",
    )
    label(root, labels)
    straight = load_experience([Source(1, root, labels, None)])
    table = pq.read_table(labels)
    pq.write_table(table.take(pa.array(np.random.default_rng(0).permutation(len(table)))), labels)
    assert (
        load_experience([Source(1, root, labels, None)]).labels.route.tolist()
        == straight.labels.route.tolist()
    )
