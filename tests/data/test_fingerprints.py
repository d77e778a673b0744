"""A table knows which recordings it describes: after a deletion, a split and a merge it is matched by
content, or refused."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vantage.data.audit import audit
from vantage.data.episodes import Episode, save_episode
from vantage.data.experience import load_experience
from vantage.data.fingerprints import fingerprints, from_words, in_words, read_fingerprints, rows_of
from vantage.data.outcomes import attempts_of
from vantage.data.outcomes_csv import unproven
from vantage.data.v3.meta import read_info
from vantage.data.v3.read import read_table
from vantage.data.v3.write import write_dataset
from vantage.disk.layout import Source
from vantage.disk.tables import read_parquet
from vantage.stages.label import label
from vantage.types import VantageError

Make = Callable[..., Episode]

DRIVERS = ("PPPPP", "PPHHPP", "PPPPPPP", "PPPP")
SUCCESS = (True, True, False, True)


@pytest.fixture
def write(episode: Make, tmp_path: Path) -> Callable[[Sequence[int]], Path]:
    """A dataset of some of four recordings, in an order of one's own, as `lerobot-edit-dataset` leaves it."""
    recordings = [
        episode(drivers=drivers, seed=seed, success=success)
        for seed, (drivers, success) in enumerate(zip(DRIVERS, SUCCESS, strict=True))
    ]

    def written(order: Sequence[int]) -> Path:
        folder = tmp_path / "-".join(map(str, order))
        shutil.rmtree(folder, ignore_errors=True)
        for number, recording in enumerate(order):
            save_episode(folder / "journal", number, recordings[recording])
        write_dataset(folder / "journal", range(len(order)), folder / "data", 20)
        return folder / "data"

    return written


def test_only_content_decides(write: Callable[[Sequence[int]], Path]) -> None:
    whole, part = (read_table(write(order)) for order in ((0, 1, 2, 3), (3, 1)))
    first, second = (fingerprints(table.action, table.state, table.starts) for table in (whole, part))
    assert len(set(first.tolist())) == 4 and second.tolist() == [first[3], first[1]]
    assert ((first >= 0) & (first < 2**48)).all()

    for name in ("action", "state"):
        changed = {"action": part.action.copy(), "state": part.state.copy()}
        changed[name][-1, -1] = np.nextafter(changed[name][-1, -1], np.float32(9))
        other = fingerprints(**changed, starts=part.starts)
        assert other[0] == second[0] and other[1] != second[1], name

    index, stored = read_fingerprints(read_info(part.root))
    assert index.tolist() == list(range(10)) and stored.tolist() == second[part.episode_index].tolist()
    assert fingerprints(part.action, part.state, np.array([0, 3, 10]))[0] != second[0], (
        "its length is content too"
    )


def test_a_csv_keeps_them_as_words() -> None:
    assert in_words(255) == "ep-0000000000ff" and from_words(" EP-0000000000FF ") == 255
    for wrong in ("255", "ep-ff", "ep-00000000000g", ""):
        with pytest.raises(ValueError, match="is no fingerprint"):
            from_words(wrong)


def test_labels_follow_their_recordings(
    write: Callable[[Sequence[int]], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, labels = write((0, 1, 2, 3)), tmp_path / "2-labels.parquet"
    label(whole, labels)
    before = load_experience([Source(1, whole, labels, None)])
    assert "other numbers" not in capsys.readouterr().err

    deleted = load_experience([Source(1, write((2, 3)), labels, None)])
    rows = np.flatnonzero(np.isin(before.frames.episode, (2, 3)))
    assert deleted.labels.route.tolist() == before.labels.route[rows].tolist()
    assert [trace.outcome for trace in deleted.traces] == [False, True]
    assert "were matched by their content" in capsys.readouterr().err

    merged = load_experience([Source(1, write((3, 0, 2, 1)), labels, None)])
    assert [trace.outcome for trace in merged.traces] == [True, True, False, True]
    assert [len(trace.cut) for trace in merged.traces] == [4, 5, 7, 6]
    assert merged.labels.controller[16:].tolist() == ["policy"] * 2 + ["human"] * 2 + ["policy"] * 2
    assert merged.segment_end[16:].tolist() == [17, 17, 19, 19, 21, 21]


def test_labels_of_other_recordings_are_refused(
    write: Callable[[Sequence[int]], Path], tmp_path: Path
) -> None:
    labels = tmp_path / "2-labels.parquet"
    label(write((0, 1)), labels)
    with pytest.raises(
        VantageError, match=r"2-labels.parquet covers 5 of 12 frames \(by their content\); run `vantage label"
    ):
        load_experience([Source(1, write((0, 2)), labels, None)])
    with pytest.raises(VantageError, match=r"covers 5 of 10 frames"):
        load_experience([Source(1, write((0, 0)), labels, None)])

    label(write((0, 0, 1)), labels)
    with pytest.raises(VantageError, match=r"holds the recording that begins at frame 6 more than once"):
        load_experience([Source(1, write((1, 0)), labels, None)])


def test_labels_without_fingerprints_go_by_the_index(
    write: Callable[[Sequence[int]], Path], tmp_path: Path
) -> None:
    data, labels = write((0, 1)), tmp_path / "2-labels.parquet"
    label(data, labels)
    table = pq.read_table(labels)
    mixed = table.drop_columns(["fingerprint", "attempt"]).take(
        pa.array(np.random.default_rng(0).permutation(len(table)))
    )
    pq.write_table(mixed, labels)
    experience = load_experience([Source(1, data, labels, None)])
    assert experience.labels.route.tolist() == table["route"].to_pylist()


def test_labels_without_fingerprints_say_that_nothing_shows_whose_they_are(
    write: Callable[[Sequence[int]], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, labels = write((0, 1)), tmp_path / "2-labels.parquet"
    label(data, labels)
    load_experience([Source(1, data, labels, None)])
    assert "no fingerprints" not in capsys.readouterr().err
    pq.write_table(pq.read_table(labels).drop_columns(["fingerprint"]), labels)
    load_experience([Source(1, data, labels, None)])
    assert "2-labels.parquet has no fingerprints" in " ".join(capsys.readouterr().err.split())


def _stamped(path: Path, seconds: float) -> Path:
    """The file, last written so many seconds after all began."""
    os.utime(path, (1e9 + seconds, 1e9 + seconds))
    return path


@pytest.fixture
def edited(write: Callable[[Sequence[int]], Path], tmp_path: Path) -> Path:
    """A data set of which episode 0 was deleted in place, as lerobot-edit-dataset leaves it: 3 episodes, and
    what it was in NAME_old."""
    root = tmp_path / "mine" / "rollouts"
    shutil.copytree(write((0, 1, 2, 3)), root.with_name("rollouts_old"))
    shutil.copytree(write((1, 2, 3)), root)
    _stamped(root.with_name("rollouts_old") / "meta/info.json", 0)
    _stamped(root / "meta/info.json", 200)
    return root


def test_a_csv_by_hand_of_before_a_deletion_is_keyed_again_by_what_was_deleted_from(
    edited: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv, table = tmp_path / "o.csv", read_table(edited)
    for lines, outcomes in {
        "0,1\n1,1\n2,0\n3,1\n": [True, False, True],
        "0,1\n2,0\n": [None, False, None],
        "2,0\n": [None, False, None],
    }.items():
        csv.write_text(f"episode_index,success\n{lines}")
        _stamped(csv, 100)
        assert [attempt.outcome for attempt in attempts_of(table, csv)] == outcomes
        assert "its lines are taken for those of" in " ".join(capsys.readouterr().err.split())
        assert not unproven(table, csv)

    # Written after the deletion it means what it says; where it may be older than both, nobody can tell.
    _stamped(csv, 300)
    assert [attempt.outcome for attempt in attempts_of(table, csv)] == [None, None, False]
    assert not capsys.readouterr().err
    _stamped(csv, -100)
    with pytest.raises(VantageError, match="perhaps more than once; correct its numbers"):
        attempts_of(table, csv)
    csv.write_text("episode_index,success\n4,0\n")
    _stamped(csv, 100)
    with pytest.raises(VantageError, match=r"line 2 .* is about episode 4, which .*rollouts_old lacks too"):
        attempts_of(table, csv)


def test_a_csv_of_some_episodes_that_says_not_which_is_doubted_and_one_of_all_is_not(
    write: Callable[[Sequence[int]], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, csv = write((1, 2, 3)), tmp_path / "o.csv"
    table = read_table(data)
    csv.write_text("episode_index,success\n0,1\n2,1\n")
    doubt = f"{csv} names 2 of 3 episodes, and nothing in it shows which recordings they are"
    assert unproven(table, csv).startswith(doubt)
    label(data, tmp_path / "labels.parquet", outcomes=csv)
    assert "nothing in it shows which" in " ".join(capsys.readouterr().err.split())
    assert any(text.startswith(doubt) for text in audit(data, csv).problems)

    csv.write_text("episode_index,success\n0,1\n1,\n2,1\n")
    assert not unproven(table, csv), "written for all of them"
    words = [in_words(value) for value in fingerprints(table.action, table.state, table.starts).tolist()]
    csv.write_text(f"episode_index,success,fingerprint\n0,1,{words[0]}\n")
    assert not unproven(table, csv), "it says whose it is"
    csv.write_text("episode_index,success\n1,0\n")
    assert unproven(read_table(data, demos=[0]), csv).startswith(f"{csv} names 1 of 2 episodes")
    csv.write_text("episode_index,success\n1,0\n2,1\n")
    assert not unproven(read_table(data, demos=[0]), csv), "demonstrations need no outcome"


def test_rows_in_any_order_are_found() -> None:
    draw = np.random.default_rng(1)
    described, index = np.repeat([7, 3, 9], [4, 2, 5]), np.arange(11)
    shuffle = draw.permutation(11)
    rows = rows_of(Path("x"), described[shuffle], index[shuffle], np.repeat([9, 7], [5, 4]), "again")
    assert index[shuffle][rows].tolist() == [6, 7, 8, 9, 10, 0, 1, 2, 3]


def test_outcomes_follow_their_recordings(
    write: Callable[[Sequence[int]], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, csv = read_table(write((0, 1, 2, 3))), tmp_path / "o.csv"
    words = [in_words(value) for value in fingerprints(whole.action, whole.state, whole.starts).tolist()]
    lines = [f"{number},{int(number == 1)},{word}" for number, word in enumerate(words)]
    csv.write_text("\n".join(["episode_index,success,fingerprint", *lines]))
    assert [attempt.outcome for attempt in attempts_of(whole, csv)] == [False, True, False, False]
    assert not capsys.readouterr().err

    part = read_table(write((2, 1, 0)))
    assert [attempt.outcome for attempt in attempts_of(part, csv)] == [False, True, False]
    said = capsys.readouterr().err
    assert "2 lines are about episodes with other numbers now, and 1 about some that are gone" in said

    csv.write_text(f"episode_index,success,fingerprint\n0,1,{words[3]}\n")
    with pytest.raises(VantageError, match="is about other recordings than"):
        attempts_of(part, csv)
    csv.write_text(f"episode_index,success,fingerprint\n0,1,{words[3]}\n1,1,\n")
    with pytest.raises(VantageError, match=r"line 3 .*: episode 1 has no fingerprint, and others have one"):
        attempts_of(part, csv)
    csv.write_text("episode_index,success,fingerprint\n0,1,12\n")
    with pytest.raises(VantageError, match="`12` is no fingerprint of an episode"):
        attempts_of(part, csv)


def test_fingerprints_stand_beside_every_index(
    write: Callable[[Sequence[int]], Path], tmp_path: Path
) -> None:
    data, labels = write((1, 2)), tmp_path / "2-labels.parquet"
    label(data, labels)
    stored = read_parquet(labels)
    table = read_table(data)
    assert (
        stored["fingerprint"].tolist()
        == fingerprints(table.action, table.state, table.starts)[table.episode_index].tolist()
    )
    assert not stored["attempt"].any()
