from collections.abc import Callable
from pathlib import Path

import pytest

from vantage.data.episodes import Episode
from vantage.data.outcomes import LEFT_OUT, Attempt, attempts_of
from vantage.data.outcomes_csv import Outcome, read_outcomes
from vantage.data.v3.read import Table, read_table
from vantage.types import VantageError

Make = Callable[..., Episode]
Write = Callable[..., Path]


@pytest.fixture
def four(episode: Make, dataset: Write) -> Table:
    """Four episodes of ten frames."""
    return read_table(dataset([episode(10, seed=seed) for seed in range(4)]))


def outcomes_in(path: Path) -> dict[int, Outcome]:
    return {line.episode: line.outcome for line in read_outcomes(path)}


def judged(attempts: list[Attempt]) -> list[tuple[Outcome, str | None]]:
    return [(attempt.outcome, attempt.source) for attempt in attempts]


def test_values_blanks_and_the_order_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text("note,success,episode_index\nx,1,0\ny,0,1\nz,,2\n,1.0,3\n,nan,4\n")
    assert outcomes_in(path) == {0: True, 1: False, 2: None, 3: True, 4: None}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("episode_index,success\n", "records no outcome at all"),
        ("episode_index,success\n0,\n1,\n", "records no outcome at all; fill in 0 or 1"),
        (
            "episode_index,success\n0,2\n",
            "line 2 of .*: the outcome of episode 0 is `2` and must be 0, 1 or empty",
        ),
        ("episode_index,success\n0,yes\n", "is `yes` and must be 0, 1 or empty"),
        ("episode_index,success\n0,0.5\n", "is `0.5` and must be"),
        ("episode_index,success\n0,1\n0,1\n", "line 3 of .*: episode 0 has an outcome already"),
        ("episode_index,success\n4,1\n", r"there is no episode 4; the dataset has 4 \(0 to 3\)"),
        ("episode_index,success\n-1,1\n", "`-1` is not an episode number"),
        ("episode_index,success\nx,1\n", "`x` is not an episode number"),
        ("episode,success\n0,1\n", "has no column episode_index"),
        ("", "has no column episode_index and success"),
    ],
)
def test_bad_files_are_one_sentence(text: str, sentence: str, four: Table, tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text(text)
    with pytest.raises(VantageError, match=sentence):
        attempts_of(four, path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VantageError, match=r"outcomes file .*none.csv does not exist"):
        read_outcomes(tmp_path / "none.csv")


def test_other_encodings_are_named(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_bytes("episode_index,success\n0,1\n".encode("utf-16"))
    with pytest.raises(VantageError, match=r"is not text in UTF-8 with commas .*; save it as CSV UTF-8"):
        read_outcomes(tmp_path / "o.csv")


def test_the_csv_goes_before_the_dataset(episode: Make, dataset: Write, tmp_path: Path) -> None:
    table = read_table(dataset([episode(4), episode(5, success=False), episode(1)]))
    own = "next.success"
    assert judged(attempts_of(table, None)) == [(True, own), (False, own), (True, own)]
    path = tmp_path / "o.csv"
    path.write_text("episode_index,success\n1,1\n0,0\n")
    assert judged(attempts_of(table, path)) == [(False, "csv"), (True, "csv"), (None, None)]


# ------------------------------------------------------------------------------------- several in one episode


def stretches(attempts: list[Attempt]) -> list[tuple[int, int, int, int, Outcome]]:
    """(episode, number, first row, one past the last, outcome)."""
    return [(a.episode, a.number, a.rows.start, a.rows.stop, a.outcome) for a in attempts]


def test_attempts_tile_the_frames(four: Table, tmp_path: Path) -> None:
    """Episodes of 10 frames: lines in any order, ends that are left open, frames between and after."""
    path = tmp_path / "o.csv"
    path.write_text("episode_index,from,to,success\n1,5.0,7.0,failure\n1,,2,1\n2,4,,\n3,,,1\n")
    left_out = [(1, LEFT_OUT, 13, 15, None), (1, LEFT_OUT, 18, 20, None), (2, LEFT_OUT, 20, 24, None)]
    said = [
        (0, 0, 0, 10, None),
        (1, 0, 10, 13, True),
        (1, 1, 15, 18, False),
        (2, 0, 24, 30, None),
        (3, 0, 30, 40, True),
    ]
    assert stretches(attempts_of(four, path)) == sorted(left_out + said, key=lambda stretch: stretch[2])


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("0,0,4,1\n0,4,9,0\n", "line 3 of .*: frame 4 of episode 0 is in the attempt of line 2 of .* too"),
        ("0,0,4,1\n0,,,0\n", "is in the attempt of"),
        ("0,,,1\n0,,,0\n", "line 3 of .*: episode 0 has an outcome already"),
        ("0,5,10,1\n", r"line 2 of .*: episode 0 has no frame 10; it has 10 \(0 to 9\)"),
        ("0,7,6,1\n", "the attempt begins at frame 7 and ends at frame 6"),
        ("0,-1,6,1\n", "`-1` is not a frame; count them from 0"),
        ("0,2.5,6,1\n", "`2.5` is not a frame"),
    ],
)
def test_attempts_that_cannot_be(lines: str, sentence: str, four: Table, tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text(f"episode_index,from,to,success\n{lines}")
    with pytest.raises(VantageError, match=sentence):
        attempts_of(four, path)


def test_an_attempt_has_a_beginning_and_an_end(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("episode_index,from,success\n0,1,1\n")
    with pytest.raises(VantageError, match="only one of the columns from and to"):
        read_outcomes(tmp_path / "o.csv")
