from pathlib import Path

import pytest
from tiny import tiny

from vantage.algorithms.habc import run_habc


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run, done once for every test that only reads it."""
    run = tmp_path_factory.mktemp("finished") / "run"
    run_habc(run, tiny(), workers=1)
    return run
