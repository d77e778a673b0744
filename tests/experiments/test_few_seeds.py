"""Rates and differences with an interval where there is one seed, and the page that they stand on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from trials_by_hand import trials

from experiments import few_seeds
from vantage.core.stats import paired_difference, wilson

ROOT = Path(__file__).parent.parent.parent


def test_one_seed_has_an_interval_over_its_starts() -> None:
    table = trials({("a", "ours", 0): 10, ("b", "ours", 0): 4, ("a", "theirs", 0): 6, ("b", "theirs", 0): 5})
    assert few_seeds.success(table, "ours") == wilson(14, 40)
    ours = np.concatenate([np.arange(20) < 10, np.arange(20) < 4])
    theirs = np.concatenate([np.arange(20) < 6, np.arange(20) < 5])
    assert few_seeds.difference(table, "ours", "theirs") == paired_difference(ours, theirs)
    assert (
        few_seeds.success(table, "nobody") is None and few_seeds.difference(table, "ours", "nobody") is None
    )


def test_several_seeds_are_drawn_too() -> None:
    table = trials({("a", "ours", 0): 10, ("a", "ours", 1): 16, ("a", "theirs", 0): 6, ("a", "theirs", 1): 8})
    measured, compared = few_seeds.success(table, "ours"), few_seeds.difference(table, "ours", "theirs")
    assert measured is not None and compared is not None
    assert measured.estimate == pytest.approx(26 / 40) and measured.n == 2, "cells, not starts"
    assert compared.estimate == pytest.approx(12 / 40) and compared.n == 2


def test_the_page_is_drawn_from_the_stored_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    few_seeds.main("alone")
    assert (tmp_path / "docs/results.md").read_text() == (ROOT / "docs/results.md").read_text()
