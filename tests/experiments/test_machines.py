"""Two machines beside one, at toy size, and the arithmetic of what is full first by hand."""

from pathlib import Path

import numpy as np
import pytest

from experiments import machines
from vantage.disk.tables import read_parquet


def test_two_machines_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "machines.parquet"
    machines.run(episodes=4, repeats=1, limit=8, rows=rows)
    told = capsys.readouterr().out

    kept = read_parquet(rows)
    assert kept["form"].tolist() == ["true state", "pixels"] * 2 and kept["nodes"].tolist() == [1, 1, 2, 2]
    assert kept["episodes"].tolist() == [20, 4] * 2
    assert (kept["seconds"] > 0).all() and (kept["here"] > 0).all()
    assert (kept["ray"] >= 0).all() and kept["ray"].sum() > 0, "Ray's own processes work on this machine"
    of_one = kept["bytes"] / kept["episodes"]
    assert (of_one[1::2] > 10 * of_one[::2]).all(), "pictures are the most of an episode"
    machines.table(rows)
    assert capsys.readouterr().out in told


def test_what_is_full_first_by_hand() -> None:
    """Ten episodes of 2 s, each 10 ms here and 1 MB: a processor is full at 200 workers, the link at 250."""
    count = len(machines.FORMS)
    rows = {
        "form": np.repeat(list(machines.FORMS), 2),
        "nodes": np.tile((1, 2), count),
        "episodes": np.full(2 * count, 10),
        "seconds": np.tile((20.0, 10.5), count),
        "here": np.full(2 * count, 0.06),
        "ray": np.full(2 * count, 0.04),
        "bytes": np.full(2 * count, 10_000_000),
    }
    drawn = machines.written(rows)
    assert "| true state | 0.50/s | 0.95/s | 1.90 (1.90 to 1.90) |" in drawn
    assert "| pixels | 2000 ms | 10.0 ms | 1000 kB | 200 | 250 | 360,000 episodes |" in drawn
