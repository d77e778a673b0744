"""The evening at toy size: a recording, a csv, two fine-tunings, and the table of it all."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.evening import NAMES, Evening, evenings, play, table
from vantage.disk.tables import read_parquet
from vantage.stages.evaluate import Evaluation


def toy(out: Path) -> Evening:
    """One evening of a few seconds."""
    (evening,) = evenings(out, ("pick-place-v3",), 1)
    settings = evening.settings
    base, supervision = settings.improvement, settings.supervision
    small = replace(
        settings,
        supervision=replace(
            supervision,
            demonstrations=replace(supervision.demonstrations, per_world=2),
            supervised=replace(supervision.supervised, steps=4, batch=8),
        ),
        rollouts=replace(settings.rollouts, per_world=2),
        improvement=replace(base, fit=replace(base.fit, steps=3, batch=8)),
        evaluation=Evaluation(per_world=2),
        worlds=tuple(replace(world, limit=110) for world in settings.worlds),
    )
    return Evening(evening.folder, small)


def test_an_evening_runs_through_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evening, rows = toy(tmp_path / "work"), tmp_path / "evening.parquet"
    play([evening], rows)
    trials = read_parquet(rows)
    assert {str(arm): int((trials["arm"] == arm).sum()) for arm in set(trials["arm"])} == dict.fromkeys(
        NAMES, 2
    )

    second = evening.folder / "habc-2"
    assert set(read_parquet(second / "round-02" / "4-weights.parquet")["round"]) == {0, 1, 2}
    table(rows)
    told = capsys.readouterr().out
    assert (
        "| HABC |" in told
        and "filtered BC - supervised, equal steps" in told
        and "2 paired starts, 1 seeds a task" in told
    )
