"""Labelled data sets end to end: what the labels' file knows reaches the frames."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vantage.data.episodes import Episode
from vantage.data.experience import load_replay
from vantage.data.v3.schema import LABEL_COLUMNS
from vantage.disk.layout import Source
from vantage.stages.label import label

Make = Callable[..., Episode]
Write = Callable[..., Path]


def test_outcomes_survive_the_labels(episode: Make, dataset: Write, tmp_path: Path) -> None:
    """A failure that ends in human hands labels nothing, and is still a failure to those who credit whole episodes."""
    drivers = ("PPPHH", "PPPP", "PHHPP", "PPPHH")
    root = dataset([episode(drivers=who, success=False) for who in drivers])
    csv, labels = tmp_path / "o.csv", tmp_path / "2-labels.parquet"
    csv.write_text("episode_index,success\n0,0\n1,1\n2,0\n3,\n")
    label(root, labels, outcomes=csv)
    replay = load_replay([Source(1, root, labels, None)])
    assert [trace.outcome for trace in replay.traces] == [False, True, False, None]
    assert replay.frames.outcome[:5].tolist() == [0.0] * 5 and np.isnan(replay.frames.outcome[-5:]).all()
    table = pq.read_table(labels)
    assert table.column_names == list(LABEL_COLUMNS), "the note is no column"
    pq.write_table(table.replace_schema_metadata(None), labels)
    assert [t.outcome for t in load_replay([Source(1, root, labels, None)]).traces] == [None, True, False, None], "without the note"


def test_labels_in_another_order_reach_their_frames(episode: Make, dataset: Write, tmp_path: Path) -> None:
    root, labels = dataset([episode(drivers="PPHP"), episode(drivers="PPP", success=False)]), tmp_path / "2-labels.parquet"
    label(root, labels)
    straight = load_replay([Source(1, root, labels, None)])
    table = pq.read_table(labels)
    pq.write_table(table.take(pa.array(np.random.default_rng(0).permutation(len(table)))), labels)
    assert load_replay([Source(1, root, labels, None)]).labels.route.tolist() == straight.labels.route.tolist()
