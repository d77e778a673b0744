"""The uses of a critic of states and chunks, at toy size: reach, eight rollouts."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments import outcomes_alone, rank_chunks
from vantage.algorithms.habc import HABCRun
from vantage.core.returns import EfficiencyTarget
from vantage.disk.tables import write_parquet
from vantage.errors import VantageError
from vantage.learn.critic.chunks import ChunkCriticFit
from vantage.learn.critic.fit import CriticFit
from vantage.progress import silence
from vantage.stages.collect import Rollouts
from vantage.stages.fit_policy import PolicyFit
from vantage.worlds.spec import MetaWorldSpec

TASK, SEED = "reach-v3", 0
TINY = CriticFit(steps=4, folds=2, batch=16, target=EfficiencyTarget(stride=8, mc_share=0.5))


def toy(_task: str, seed: int) -> HABCRun:
    """Reach with a policy that hardly learned it, eight rollouts."""
    settings = rank_chunks.alone("pick-place-v3", seed)
    supervision = settings.supervision
    return replace(
        settings,
        worlds=(MetaWorldSpec(TASK, limit=60),),
        supervision=replace(
            supervision,
            demonstrations=replace(supervision.demonstrations, per_world=2),
            supervised=PolicyFit(steps=40, batch=32),
        ),
        rollouts=Rollouts(per_world=8),
        improvement=replace(settings.improvement, critic=TINY),
    )


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
