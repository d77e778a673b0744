"""What of experiments/ runs while its tests run; the test that looks at it comes last."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from idle import functions_that_run

from experiments import publish_study

FOLDER = Path(publish_study.__file__).parent

LAST = "test_every_experiment_ran"


@pytest.fixture(scope="session", autouse=True)
def ran() -> Iterator[set[str]]:
    """`module.function` of everything in experiments/ that a test has called so far."""
    with functions_that_run(FOLDER) as functions:
        yield functions


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the last test at the end, whatever else is run."""
    items.sort(key=lambda item: item.name == LAST)
