"""The uses of a critic of states and chunks, at toy size: reach, eight rollouts."""

from pathlib import Path

import pytest
from toy_alone import SEED, TASK, TINY, toy

from experiments import outcomes_alone, rank_chunks
from vantage.disk.tables import write_parquet
from vantage.errors import VantageError
from vantage.learn.critic.chunks import ChunkCriticFit
from vantage.progress import silence
from vantage.stages.fit_policy import PolicyFit


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alone")


@pytest.fixture(scope="module")
def begun(work: Path) -> rank_chunks.Begun:
    with silence():
        return rank_chunks.begin(work / f"{TASK}-{SEED}", toy(TASK, SEED), ChunkCriticFit(critic=TINY))


def test_ways_are_compared(
    work: Path, monkeypatch: pytest.MonkeyPatch, begun: rank_chunks.Begun, capsys: pytest.CaptureFixture[str]
) -> None:
    del begun  # its files are used
    plan = outcomes_alone.Plan(
        run=toy,
        tasks=(TASK,),
        seeds=(SEED,),
        critic=ChunkCriticFit(critic=TINY),
        fit=PolicyFit(steps=2, batch=8),
        trials=1,
    )
    rows, critics = outcomes_alone.measure(plan, work)
    assert len(rows["way"]) == 2 * (1 + len(outcomes_alone.WAYS)) + 2, "best of N has no form without noise"
    assert critics["rollouts"].tolist() == [8] and abs(critics["central"][0]) <= 1
    monkeypatch.setattr(outcomes_alone, "begin", None)
    again, _ = outcomes_alone.measure(plan, work)
    assert all((again[name] == rows[name]).all() for name in rows), "what is there is read, not played"

    monkeypatch.setattr(outcomes_alone, "OUT", work / "ways.parquet")
    monkeypatch.setattr(outcomes_alone, "CRITICS", work / "critics.parquet")
    write_parquet(outcomes_alone.OUT, rows)
    write_parquet(outcomes_alone.CRITICS, critics)
    outcomes_alone.main([])
    told = capsys.readouterr().out
    assert (
        "| HABC, best of 8 |" in told and "| HABC | SFT, equal steps | " in told and "| reach-v3 | " in told
    )
    with pytest.raises(VantageError, match="'reach-v3' is not compared here; name some of hammer-v3"):
        outcomes_alone.main([str(work), TASK])
