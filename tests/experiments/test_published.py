"""What docs/ shows is what its commands make of the stored rows: figures byte for byte, tables line for
line."""

import re
from pathlib import Path

import pytest

from experiments import (
    beside_the_paper,
    critic_table,
    evening,
    first_evening,
    machines,
    outcomes_alone,
    pixel_gap,
    publish_study,
    quickstart_table,
    rank_chunks,
    steering,
    training_start,
)
from vantage.disk.tables import read_parquet
from vantage.study.rows import Results

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # commands of docs/ are given there


def test_every_table_that_a_command_draws_stands_once_on_its_page() -> None:
    for page in (Path("README.md"), *Path("docs").glob("*.md")):
        for edge in ("begin", "end"):
            marks = re.findall(rf"<!-- ([\w-]+):{edge} -->", page.read_text())
            assert len(marks) == len(set(marks)), f"{page}: {sorted(marks)}"


def test_the_quickstarts_figure_and_tables() -> None:
    trials = quickstart_table.kept(quickstart_table.KEPT, quickstart_table.ARMS)
    assert quickstart_table.figure(trials) == quickstart_table.FIGURE.read_text()
    for page in ("README.md", "docs/results.md"):
        assert quickstart_table.table(trials) in Path(page).read_text(), page
    both = trials | quickstart_table.kept(quickstart_table.RECIPE, quickstart_table.OWN)
    assert quickstart_table.table(both) in Path("docs/results.md").read_text()


def test_the_tables_of_experiments() -> None:
    results = Path("docs/results.md").read_text()
    assert critic_table.table(read_parquet(critic_table.OUT)) in results
    assert training_start.table(read_parquet(training_start.OUT)) in results
    assert pixel_gap.table(read_parquet(pixel_gap.OUT)) in results
    assert pixel_gap.side_by_side() in results
    assert outcomes_alone.table(read_parquet(outcomes_alone.OUT)) in results
    assert outcomes_alone.contrasts(read_parquet(outcomes_alone.OUT)) in results
    assert outcomes_alone.trust_table(read_parquet(outcomes_alone.CRITICS)) in results
    assert steering.table(read_parquet(steering.OUT)) in results
    assert steering.contrasts(read_parquet(steering.OUT), steering.PAIRS) in results
    assert rank_chunks.table(read_parquet(rank_chunks.OUT)) in results


def test_the_tables_of_machines_and_of_two_arms() -> None:
    assert machines.written(read_parquet(machines.KEPT)) in Path("docs/devices.md").read_text()
    results, page = Results.read(beside_the_paper.ROWS), beside_the_paper.PAGE.read_text()
    assert beside_the_paper.beside(results) in page and beside_the_paper.differences(results) in page


def test_what_rescues_and_the_outcome_are_worth() -> None:
    state, alone = (Results.read(Path(f"docs/results/study-{name}")) for name in ("state", "alone"))
    front = Path("README.md").read_text()
    assert publish_study.worth(state) in front
    assert publish_study.worth(alone, publish_study.WORTH_ALONE) in front


def test_the_table_of_the_first_evening(capsys: pytest.CaptureFixture[str]) -> None:
    first_evening.table(Path("docs/results/first_evening.parquet"))
    assert capsys.readouterr().out.strip() in Path("docs/results.md").read_text()


def test_the_table_of_the_evening(capsys: pytest.CaptureFixture[str]) -> None:
    evening.table(Path("docs/results/evening.parquet"))
    assert capsys.readouterr().out.strip() in Path("docs/results.md").read_text()
