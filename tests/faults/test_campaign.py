"""A slice of `make faults`: a few kills of real runs, and a sample of every kind of bad input, each on the
command line."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from campaign import damage
from campaign.board import Row, add, read, table
from campaign.every import every_case

HERE = Path(__file__).parent


def test_the_campaign_is_as_large_as_it_says() -> None:
    cases = list(every_case(0))
    assert len({case.name for case in cases}) == len(cases)
    tried = Counter(case.family for case in cases)
    assert tried["killed"] >= 100 and tried["bad dataset"] >= 60 and tried["bad checkpoint"] >= 30
    swift = {case.family for case in cases if case.swift}
    assert swift >= {"killed", damage.FAMILY, "bad dataset", "bad checkpoint"}
    assert [case.name for case in cases] == [case.name for case in every_case(0)]


@pytest.mark.timeout(280)
def test_a_slice_of_it_holds(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    words = [sys.executable, str(HERE / "run_faults.py"), "--slice", "--out", str(rows)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    swift = {case.name for case in every_case(0) if case.swift}
    assert {row.name for row in read(rows)} == swift
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 0 and len(read(rows)) == len(swift), "what was tried is not tried again"


def test_rows_survive_a_campaign_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = Row("family", "kind", "name", False, "said", 1.0, 0, "code")
    add(path, row)
    path.write_text(path.read_text() + '{"family": "half')
    add(path, row)
    assert read(path) == [row, row]
    assert table([row]).splitlines()[-1].split() == ["all", "1", "0", "1"]
