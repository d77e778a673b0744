"""Leading a policy by a critic of chunks, at toy size: reach, eight rollouts."""

from pathlib import Path

import pytest
from toy_alone import SEED, TASK, TINY, toy

from experiments import steering
from experiments.outcomes_alone import Plan
from vantage.disk.tables import write_parquet
from vantage.errors import VantageError
from vantage.learn.critic.chunks import ChunkCriticFit
from vantage.learn.critic.steering import SteeringFit
from vantage.stages.fit_policy import PolicyFit


def test_ways_to_lead_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(
        run=toy,
        tasks=(TASK,),
        seeds=(SEED,),
        critic=ChunkCriticFit(critic=TINY),
        fit=PolicyFit(steps=2, batch=8),
        trials=1,
    )
    rows = steering.measure(plan, tmp_path, SteeringFit(steps=3, batch=8))
    ways = ("", ", zero noise", ", best of 8", ", steered noise", ", edited chunks")
    led = [f"{name}{way}" for name in ("SFT", "HABC") for way in ways]
    assert rows["way"].tolist() == ["SFT, equal steps", "SFT, equal steps, zero noise", *led]
    monkeypatch.setattr(steering, "begin", None)
    again = steering.measure(plan, tmp_path)
    assert (again["steps"] == rows["steps"]).all(), "what is there is read, not played"

    monkeypatch.setattr(steering, "OUT", tmp_path / "steering.parquet")
    write_parquet(steering.OUT, rows)
    steering.main([])
    told = capsys.readouterr().out
    assert "| SFT, steered noise | SFT, zero noise | " in told
    with pytest.raises(VantageError, match="'reach-v3' is not compared here; name some of hammer-v3"):
        steering.main([str(tmp_path), TASK])
