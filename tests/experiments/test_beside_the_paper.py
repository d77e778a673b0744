"""The tables beside the paper's numbers, of trials that are put in by hand."""

import shutil
from pathlib import Path

import pytest
from trials_by_hand import trials

from experiments import beside_the_paper
from vantage.recipes.study_bimanual import study_bimanual
from vantage.study.rows import Results

ROOT = Path(__file__).parent.parent.parent


def by_hand(solved: dict[tuple[str, str, int], int]) -> Results:
    """Results in which (task, arm, seed) has solved its first so many starts of twenty."""
    return Results(Path("nowhere"), study_bimanual(), {"trials": trials(solved)})


def test_the_page_is_drawn_from_the_stored_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    beside_the_paper.main()
    assert (tmp_path / beside_the_paper.PAGE).read_text() == (ROOT / beside_the_paper.PAGE).read_text()


def test_success_stands_beside_the_papers() -> None:
    results = by_hand(
        {
            ("bag-bottle", "sft", 0): 10,
            ("bag-bottle", "sft", 1): 12,
            ("bag-bottle", "habc", 0): 15,
            ("pouch-zip", "sft", 0): 4,
        }
    )
    drawn = beside_the_paper.beside(results)
    assert "| SFT | 0.200 [0.081, 0.416], 1 seed | 0.36 | 0.550 [" in drawn and "], 2 seeds | 0.44 |" in drawn
    assert "| HABC | – | 0.60 | 0.750 [0.531, 0.888], 1 seed | 0.78 | – | 0.22 |" in drawn
    assert len(drawn.splitlines()) == 4, "methods without rows are left out"


def test_differences_are_of_the_same_starts_and_seeds() -> None:
    results = by_hand(
        {
            ("bag-bottle", "sft-more", 0): 10,
            ("bag-bottle", "habc", 0): 15,
            ("bag-bottle", "habc", 1): 20,
            ("sack-draw", "sft-more", 0): 2,
            ("sack-draw", "sft-more", 1): 2,
            ("sack-draw", "habc", 0): 4,
            ("sack-draw", "habc", 1): 6,
        }
    )
    (line,) = beside_the_paper.differences(results).splitlines()[2:]
    pair, pouch, bag, sack = (cell.strip() for cell in line.strip("|").split("|"))
    assert pair == "HABC − SFT, equal steps" and pouch == "–"
    assert bag.startswith("+0.250 ["), "of seed 0 alone, which both have"
    assert sack.startswith("+0.150 [")


def test_every_arm_that_is_compared_is_one_of_the_study() -> None:
    arms = {arm.name for arm in study_bimanual().arms}
    assert set(beside_the_paper.PAPER) <= arms
    assert {arm for pair in beside_the_paper.PAIRS for arm in pair} <= arms
    assert set(beside_the_paper.TASKS) == {task.name for task in study_bimanual().tasks}
