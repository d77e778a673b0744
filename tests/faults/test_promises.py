"""SECURITY.md and docs/reliability.md: each line has a test that exists, the table is what was stored, and
every make target stands in `make help`."""

import re
from pathlib import Path

import pyarrow.parquet as pq
from campaign import board
from campaign.every import every_case

ROOT = Path(__file__).parents[2]


def test_every_line_of_the_security_page_has_its_test() -> None:
    page = (ROOT / "SECURITY.md").read_text()
    lines = [line for line in page.split("## Not trusted")[1].splitlines() if line.startswith("| ")][1:]
    named = [re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", line) for line in lines]
    assert len(lines) >= 15 and all(named), "every line names a test"
    lost = [f"{file}::{test}" for tests in named for file, test in tests if not _has(ROOT / file, test)]
    assert lost == []


def _has(path: Path, test: str) -> bool:
    return path.is_file() and f"def {test}(" in path.read_text()


def test_the_table_of_the_reliability_page_is_what_was_stored() -> None:
    rows = [board.Row(**row) for row in pq.read_table(ROOT / "docs/results/faults.parquet").to_pylist()]
    page = (ROOT / "docs/reliability.md").read_text()
    assert board.markdown(rows) in page
    assert board.on_page(page, rows, len(list(every_case(0)))) == page, "run_faults.py --publish writes it"
    assert not [row.name for row in rows if re.search(r"/(root|work|tmp)/", row.said)]


def test_every_target_of_the_makefile_is_explained_and_every_documented_one_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    explained = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    assert set(phony.split()) - {"help"} == explained - {"help"}
    pages = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]
    named = {
        target
        for page in pages
        for target in re.findall(r"(?:`|^)make ([a-z-]+)\b", page.read_text(), re.MULTILINE)
    }
    assert "faults" in named and named - explained == set()
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    assert {
        name
        for name in ("test", "check", "mutants", "faults", "bench", "lock")
        if f"make {name}" in contributing
    } == {
        "test",
        "check",
        "mutants",
        "faults",
        "bench",
        "lock",
    }
