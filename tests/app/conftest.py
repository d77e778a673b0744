"""Datasets whose pictures say which frame they are, the page of one of them, and a browser."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from grey_recordings import Page, record
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One dataset of every kind, to be copied."""
    folder = tmp_path_factory.mktemp("recorded")
    return {
        "films": record(folder / "films" / "arm"),
        "pictures": record(folder / "pictures" / "arm", images=True),
        "bare": record(folder / "bare" / "arm", cameras=()),
    }


@pytest.fixture
def dataset(templates: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    def copied(kind: str) -> Path:
        return Path(shutil.copytree(templates[kind], tmp_path / kind / "arm"))

    return copied


@pytest.fixture
def serve() -> Iterator[Callable[..., Page]]:
    """Start the command as a user does, in a process of its own."""
    running: list[Page] = []

    def started(root: Path, *words: object) -> Page:
        command = [sys.executable, "-m", "vantage", "outcomes", str(root), "--no-browser", *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        assert address, process.stderr.read()
        running.append(Page(process, address))
        return running[-1]

    yield started
    for page in running:
        page.kill()
        for stream in (page.process.stdout, page.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.fail(
            "the page is checked in a real browser: install Debian's package `chromium`", pytrace=False
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
