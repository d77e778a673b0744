"""Defects that another checker plants in a dataset, each of them named by ours: `robovet demo --v3`."""

from pathlib import Path

import pytest
from robovet.fixtures import make_demo_dataset_v3

from vantage.data.audit import audit
from vantage.data.findings import Finding, Level


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finding, ...]:
    """What audit finds where four defects were planted."""
    return _found(tmp_path_factory.mktemp("planted"), defects=True)


def _found(root: Path, *, defects: bool) -> tuple[Finding, ...]:
    return tuple(audit(make_demo_dataset_v3(root / "demo", defects=defects), demos=True).findings)


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (Level.FAILURE, "447 pictures and its dataset needs 451 (at the latest from frame"),  # VIDEO-405
        (Level.WARNING, "statistics of `action` for episode 1 that are not the data's"),  # STATS-302
        (Level.WARNING, "quantiles of `observation.state` out of order"),  # STATS-304
        (Level.WARNING, "episode 1 that begins between two pictures of camera cam_top"),  # TIME-205
    ],
)
def test_a_planted_defect_is_named(planted: tuple[Finding, ...], level: Level, words: str) -> None:
    assert [finding for finding in planted if finding.level is level and words in finding.text]


def test_the_short_video_names_its_episode(planted: tuple[Finding, ...]) -> None:
    """All of the file is one piece: whatever is missing at its end, the last episode's pictures are."""
    (short,) = [finding.text for finding in planted if finding.level is Level.FAILURE]
    assert "of episode 3 on" in short


def test_nothing_of_it_is_said_about_the_clean_one(tmp_path: Path, planted: tuple[Finding, ...]) -> None:
    clean = _found(tmp_path, defects=False)
    assert [finding for finding in clean if finding.level is Level.FAILURE] == []
    assert len(clean) == len(planted) - 4, clean
