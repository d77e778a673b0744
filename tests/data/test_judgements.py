"""What is said on the page of `vantage outcomes` is safe on disk, follows its recordings, and every reader of
outcomes finds it."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vantage.data.audit import audit
from vantage.data.episodes import Episode, save_episode
from vantage.data.fingerprints import fingerprints
from vantage.data.judgements import (
    Journal,
    Judgement,
    Press,
    Said,
    Stretch,
    journal_of,
    pressed,
    read_journal,
    unjudged,
)
from vantage.data.outcomes import attempts_of, journal_as_csv
from vantage.data.outcomes_csv import read_outcomes
from vantage.data.v3.read import Table, read_table
from vantage.data.v3.write import write_dataset
from vantage.disk.tables import read_parquet
from vantage.stages.label import label
from vantage.types import OutcomeSource, VantageError

Make = Callable[..., Episode]
Write = Callable[..., Path]
DRIVERS = ("PPPPP", "PPHHPP", "PPPPPPP", "PPPP")


@pytest.fixture
def write(episode: Make, tmp_path: Path) -> Write:
    """Some of four recordings as the dataset `name`; number 3 repeated is the same content twice."""
    recorded = [episode(drivers=drivers, seed=seed) for seed, drivers in enumerate(DRIVERS)]

    def written(order: Sequence[int], name: str = "arm") -> Path:
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        shutil.rmtree(tmp_path / "journal", ignore_errors=True)
        for number, recording in enumerate(order):
            save_episode(tmp_path / "journal", number, recorded[recording])
        write_dataset(tmp_path / "journal", range(len(order)), tmp_path / name, 20)
        return tmp_path / name

    return written


def opened(root: Path, who: str = "anna") -> Journal:
    table = read_table(root)
    contents = fingerprints(table.action, table.state, table.starts).tolist()
    lengths = [rows.stop - rows.start for rows in table.slices]
    return Journal(root, contents, lengths, who=who, fps=20)


def said(root: Path, presses: Sequence[tuple[int, Press, int]]) -> None:
    journal = opened(root)
    for episode, press, frame in presses:
        journal.press(episode, press, frame)
    journal.close()


def ended(table: Table, csv: Path | None = None) -> list[tuple[int, int, int, bool | None, str | None]]:
    """(episode, first, last, outcome, source) of every attempt and what lies between."""
    return [
        (
            one.episode,
            one.rows.start - table.slices[one.episode].start,
            one.rows.stop - 1 - table.slices[one.episode].start,
            one.outcome,
            None if one.source is None else one.source.value,
        )
        for one in attempts_of(table, csv)
    ]


# -------------------------------------------------------------------------------------------------- presses


def test_an_episode_is_split_into_attempts_and_joined_again() -> None:
    whole = pressed(unjudged(10), Press.SUCCESS, 9)
    assert whole.stretches == (Stretch(0, 9, Said.SUCCESS),) and whole.done

    halves = pressed(whole, Press.SPLIT, 4)
    assert halves.stretches == (Stretch(0, 3), Stretch(4, 9, Said.SUCCESS)), "the outcome was about the end"
    assert not halves.done and halves.begun
    thirds = pressed(pressed(halves, Press.FAILURE, 0), Press.SPLIT, 2)
    assert thirds.stretches == (Stretch(0, 1), Stretch(2, 3, Said.FAILURE), Stretch(4, 9, Said.SUCCESS))
    assert pressed(thirds, Press.SPLIT, 2) == pressed(halves, Press.FAILURE, 0)

    left = pressed(thirds, Press.LEFT_OUT, 0)
    assert left.stretches[0] == Stretch(0, 1, Said.LEFT_OUT)
    assert pressed(left, Press.CLEAR, 1) == thirds
    assert pressed(whole, Press.NOTE, 0, "the gripper slipped").note == "the gripper slipped"


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(VantageError, match="has no frame 10; it has 0 to 9"):
        pressed(unjudged(10), Press.SUCCESS, 10)
    with pytest.raises(VantageError, match="frame 0 begins the first attempt"):
        pressed(unjudged(10), Press.SPLIT, 0)
    with pytest.raises(VantageError, match="keeps at least one attempt"):
        pressed(unjudged(10), Press.LEFT_OUT, 3)


# --------------------------------------------------------------------------------------------------- journal


def test_every_press_is_on_the_disk_and_undone_after_a_restart(write: Write) -> None:
    root = write((0, 1, 2))
    journal = opened(root)
    journal.press(0, Press.SUCCESS, 4)
    assert json.loads(journal.path.read_bytes().splitlines()[-1])["press"] == "success", "before it is closed"
    journal.press(2, Press.SPLIT, 3)
    journal.press(2, Press.NOTE, 3, "zweiter Versuch")
    journal.close()

    again = opened(root, "ben")
    assert again.judgement(2) == Judgement((Stretch(0, 2), Stretch(3, 6)), "zweiter Versuch")
    assert again.last_episode == 2 and again.undo() == (2, 3) and again.judgement(2).note == ""
    assert again.undo() == (2, 3) and again.judgement(2) == unjudged(7)
    assert again.undo() == (0, 4) and again.undo() is None and not again.judgement(0).begun
    again.close()

    lines = [json.loads(line) for line in journal_of(root).read_bytes().splitlines()]
    assert [line.get("who") for line in lines[1:]] == ["anna"] * 3 + ["ben"] * 3
    assert [line["n"] for line in lines[1:]] == [1, 2, 3, 4, 5, 6]
    assert all(line["when"].endswith("+00:00") for line in lines[1:])


def test_a_torn_last_line_is_no_press(write: Write) -> None:
    root = write((0, 1))
    said(root, [(0, Press.SUCCESS, 4), (1, Press.FAILURE, 5)])
    path = journal_of(root)
    whole = path.read_bytes()
    for cut in range(whole.rfind(b"\n", 0, -1) + 1, len(whole)):
        path.write_bytes(whole[:cut])
        assert [one.done for one in read_journal(path).judgements.values()] == [True], cut
    journal = opened(root)
    journal.press(1, Press.UNKNOWN, 0)
    journal.close()
    assert [json.loads(line).get("press") for line in path.read_bytes().splitlines()] == [
        None,
        "success",
        "unknown",
    ]

    path.write_bytes(b"{}\n" + whole)
    with pytest.raises(VantageError, match=r"line 1 of .*arm\.outcomes\.jsonl is damaged"):
        attempts_of(read_table(root), None)


def test_judgements_follow_their_recordings(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    said(write((0, 1, 2, 3)), [(0, Press.FAILURE, 0), (2, Press.FAILURE, 0), (3, Press.UNKNOWN, 0)])
    root = write((2, 3))  # as `lerobot-edit-dataset` deletes episodes in place
    assert [line[3] for line in ended(read_table(root))] == [False, None]
    notice = capsys.readouterr().err
    assert "2 judged episodes have other numbers now" in notice and "1 judged recordings are not in" in notice

    journal = opened(root)
    journal.press(1, Press.SUCCESS, 0)
    assert journal.judgement(0).stretches[0].said is Said.FAILURE
    assert [journal.undo() for _ in range(3)] == [(1, 0), (1, 0), (0, 0)], "by the numbers of now"
    assert journal.undo() is None, "episode 0 of before is gone, and keeps what was said of it"
    journal.close()


def test_a_part_and_a_merged_set_find_the_journals_beside_them(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    said(write((0, 1), "first"), [(0, Press.SUCCESS, 0), (1, Press.FAILURE, 0)])
    said(write((2, 1), "second"), [(0, Press.FAILURE, 0), (1, Press.SUCCESS, 0)])
    merged = write((0, 2, 1), "merged")
    assert [line[3:] for line in ended(read_table(merged))] == [
        (True, "page"),
        (False, "page"),
        (True, "page"),
    ]
    assert "two journals disagree about episodes 2; the later press counts" in capsys.readouterr().err

    journal = opened(merged)  # the page takes it over into a journal of the merged set's own
    journal.close()
    lines = [json.loads(line) for line in journal.path.read_bytes().splitlines()[1:]]
    assert [(line["press"], line["carried"]) for line in lines] == [
        ("carried over", "first.outcomes.jsonl"),
        ("carried over", "second.outcomes.jsonl"),
        ("carried over", "second.outcomes.jsonl"),
    ]
    again = opened(merged)
    assert len(journal.path.read_bytes().splitlines()) == 4 and again.undo() is None
    again.close()


def test_of_a_recording_that_was_there_twice_nobody_knows_which_is_left(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    said(write((3, 0, 3)), [(0, Press.SUCCESS, 0), (2, Press.FAILURE, 0), (1, Press.FAILURE, 0)])
    assert [line[3] for line in ended(read_table(write((3, 0, 3))))] == [True, False, False]

    root = write((0, 3))
    capsys.readouterr()
    assert [line[3:] for line in ended(read_table(root))] == [(False, "page"), (True, "next.success")]
    assert "episodes 1 hold a recording that was there another number of times" in capsys.readouterr().err
    journal = opened(root)
    assert journal.judgement(0).done and not journal.judgement(1).begun
    journal.close()


# --------------------------------------------------------------------------------------------------- readers


def test_the_csv_is_read_back_as_it_was_said(write: Write, tmp_path: Path) -> None:
    root = write((0, 1, 2, 3))
    said(
        root,
        [
            (0, Press.SUCCESS, 0),
            (1, Press.UNKNOWN, 0),
            (2, Press.SPLIT, 3),
            (2, Press.SPLIT, 5),
            (2, Press.FAILURE, 0),
            (2, Press.LEFT_OUT, 4),
            (2, Press.SUCCESS, 6),
        ],
    )
    text, judged = journal_as_csv(root)
    csv = tmp_path / "outcomes.csv"
    csv.write_text(text)
    assert judged == 3 and len(read_outcomes(csv)) == 5

    table = read_table(root)
    by_page, by_csv = ended(table), ended(table, csv)
    assert by_page[:5] == [
        (0, 0, 4, True, "page"),
        (1, 0, 5, None, None),
        (2, 0, 2, False, "page"),
        (2, 3, 4, None, None),
        (2, 5, 6, True, "page"),
    ]
    assert by_page[5] == (3, 0, 3, True, "next.success"), "nobody judged it on the page"
    assert [line[:4] for line in by_csv[:5]] == [line[:4] for line in by_page[:5]]
    assert by_csv[5] == (3, 0, 3, None, None), "a csv speaks for all episodes"
    assert ended(table, journal_of(root)) == by_page, "a journal may be named as a csv is"


def test_label_finds_the_journal_and_an_explicit_csv_wins(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = write((0, 1)), tmp_path / "labels.parquet"
    said(root, [(0, Press.FAILURE, 0)])
    label(root, out)
    labels = read_parquet(out)
    assert labels["outcome_source"].tolist() == ["page"] * 5 + ["next.success"] * 6
    assert labels["outcome"][:5].tolist() == [0] * 5
    assert "1 of 2 episodes were judged on the page" in (notice := capsys.readouterr().err)
    assert "the page and next.success disagree about episodes 0; the page counts" in notice

    csv = tmp_path / "o.csv"
    csv.write_text("episode_index,success\n0,1\n1,0\n")
    label(root, out, outcomes=csv)
    assert set(read_parquet(out)["outcome_source"]) == {"csv"}
    assert "o.csv and the page's journal disagree about episodes 0; the csv counts" in capsys.readouterr().err

    csv.write_text("episode_index,from,to,success\n0,0,4,0\n1,,,0\n")
    label(root, out, outcomes=csv)
    assert "disagree" not in capsys.readouterr().err, "frames 0 to 4 are all of it"


def test_demonstrations_are_judged_too(write: Write) -> None:
    root = write((0, 1))
    said(root, [(1, Press.FAILURE, 0)])
    ends = [(one.outcome, one.source) for one in attempts_of(read_table(root, demos=True), None)]
    assert ends == [(True, OutcomeSource.DEMO), (False, OutcomeSource.PAGE)]


def test_nothing_said_is_no_csv(write: Write) -> None:
    with pytest.raises(VantageError, match="no episode has an outcome yet"):
        journal_as_csv(write((0, 1)))


def test_an_audit_of_a_dataset_that_cannot_be_read_takes_a_journal_too(write: Write) -> None:
    """One finding about the dataset; about the journal only where that is damaged too."""
    root = write(range(4))
    said(root, [(0, Press.SUCCESS, 0)])
    for path in root.glob("data/*/*.parquet"):
        path.write_bytes(b"PAR1")
    journal = journal_of(root)
    found = audit(root, journal).failures
    assert any("is not a whole parquet file" in text for text in found)
    assert not any(journal.name in text for text in found)

    journal.write_text("{}\n" + journal.read_text())
    assert any(f"line 1 of {journal} is damaged" in text for text in audit(root, journal).failures)
