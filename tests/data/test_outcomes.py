from collections.abc import Callable
from pathlib import Path

import pytest

from vantage.data.episodes import Episode
from vantage.data.outcomes import read_outcomes, resolve_outcomes
from vantage.data.v3.read import read_table
from vantage.types import VantageError


def test_values_blanks_and_the_order_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text("note,success,episode_index\nx,1,0\ny,0,1\nz,,2\n,1.0,3\n,nan,4\n")
    assert read_outcomes(path) == {0: True, 1: False, 2: None, 3: True, 4: None}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("episode_index,success\n", "records no outcome at all"),
        ("episode_index,success\n0,\n1,\n", "records no outcome at all; fill in 0 or 1"),
        ("episode_index,success\n0,2\n", "line 2 of .*: the outcome of episode 0 is `2` and must be 0, 1 or empty"),
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
def test_bad_files_are_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text(text)
    with pytest.raises(VantageError, match=sentence):
        read_outcomes(path, 4)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VantageError, match=r"outcomes file .*none.csv does not exist"):
        read_outcomes(tmp_path / "none.csv")


def test_the_csv_goes_before_the_dataset(episode: Callable[..., Episode], dataset: Callable[..., Path], tmp_path: Path) -> None:
    table = read_table(dataset([episode(4), episode(5, success=False), episode(1)]))
    assert resolve_outcomes(table, None) == ({0: True, 1: False, 2: True}, "next.success")
    path = tmp_path / "o.csv"
    path.write_text("episode_index,success\n1,1\n0,0\n")
    assert resolve_outcomes(table, path) == ({0: False, 1: True, 2: None}, "csv")
