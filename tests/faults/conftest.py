"""A fresh copy of "the three" for every test, in milliseconds."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from three import FPS, Three, write_three


@pytest.fixture(scope="session")
def written_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    made: dict[tuple[tuple[str, ...], bool, float], Path] = {}

    def get(cameras: tuple[str, ...], images: bool, fps: float) -> Path:
        key = (cameras, images, fps)
        if key not in made:
            made[key] = write_three(tmp_path_factory.mktemp("three"), cameras, images, fps)
        return made[key]

    return get


@pytest.fixture
def the_three(written_once: Callable[..., Path], tmp_path: Path) -> Callable[..., Three]:
    """`the_three()` without cameras, `the_three("front")` with a video, `the_three("front", images=True)`
    with PNG in the data file."""

    def copy(*cameras: str, images: bool = False, fps: float = FPS) -> Three:
        root = tmp_path / f"three-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(written_once(cameras, images, fps), root)
        return Three(root)

    return copy
