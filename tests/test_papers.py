"""PAPERS.md promises a function and a test for every equation; here it is held to that."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROW = re.compile(
    r"^\| (?P<source>[^|]+) \| (?P<what>[^|]+) "
    r"\| `(?P<function>[\w.]+)` \| `(?P<file>[\w./-]+)::(?P<test>\w+)` \|$"
)
LINES = [line for line in (ROOT / "PAPERS.md").read_text().splitlines() if line.startswith("| ")]
ROWS = [match for line in LINES if (match := ROW.match(line))]


def test_every_line_of_the_tables_is_understood():
    headers = [line for line in LINES if line.endswith("| Function | Test |")]
    assert len(LINES) == len(ROWS) + len(headers) and len(ROWS) > 30


@pytest.mark.parametrize("number", range(1, 10))
def test_no_equation_of_habc_is_missing(number):
    assert any(re.search(rf"\bEq\. {number}\b", row["source"]) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["function"])
def test_function_and_test_exist(row):
    module, name = row["function"].rsplit(".", 1)
    assert callable(getattr(import_module(module), name))
    tests = ast.parse((ROOT / row["file"]).read_text())
    assert row["test"] in {node.name for node in tests.body if isinstance(node, ast.FunctionDef)}


def test_every_test_file_names_its_function():
    for row in ROWS:
        source = (ROOT / row["file"]).read_text()
        assert re.search(rf"\b{row['function'].rsplit('.', 1)[1]}\b", source), (
            f"{row['file']} never names {row['function']}"
        )
