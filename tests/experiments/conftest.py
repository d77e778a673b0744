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


@pytest.fixture(scope="module", autouse=True)
def its_experiment_ran(request: pytest.FixtureRequest, ran: set[str]) -> Iterator[None]:
    """`test_NAME.py` runs experiments/NAME.py, where there is one and the whole file is run."""
    yield
    named = request.path.stem.removeprefix("test_")
    chosen = request.config.getoption("keyword") or any("::" in word for word in request.config.args)
    if (FOLDER / f"{named}.py").exists() and not chosen:
        assert any(name.startswith(f"{named}.") for name in ran), f"no test here runs experiments/{named}.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the last test at the end, whatever else is run."""
    items.sort(key=lambda item: item.name == LAST)
