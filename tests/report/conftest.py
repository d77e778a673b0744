"""One small run folder and its page, shared by the report's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from report_world import write_run

from vantage.report.page import write_report


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "toy <run>", episodes=16)


@pytest.fixture(scope="session")
def toy_page(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(toy_run, tmp_path_factory.mktemp("page") / "report.html", episodes=3)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    one = Browser()
    yield one
    one.close()
