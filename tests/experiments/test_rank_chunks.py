"""How well a critic ranks chunks from the same state, at toy size: reach, eight rollouts."""

from pathlib import Path

import numpy as np
import pytest
from toy_alone import SEED, TASK, TINY, toy

from experiments import rank_chunks
from vantage.disk.tables import write_parquet
from vantage.learn.critic.chunks import ChunkCriticFit
from vantage.progress import silence


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alone")


@pytest.fixture(scope="module")
def begun(work: Path) -> rank_chunks.Begun:
    with silence():
        return rank_chunks.begin(work / f"{TASK}-{SEED}", toy(TASK, SEED), ChunkCriticFit(critic=TINY))


def test_a_moment_is_begun_again_to_the_bit(begun: rank_chunks.Begun) -> None:
    (spec,) = begun.settings.worlds
    world = spec()
    moment = rank_chunks.moment_of(world, begun.policy, spec, start=9)
    assert len(moment.executed) % begun.policy.execute == 0 and len(moment.executed) < spec.limit
    seen = []
    for other in (1, 2):
        world.reset(other)
        moment.restart(world)
        seen.append(world.environment_state())
    np.testing.assert_array_equal(*seen)

    chunk = np.zeros((begun.policy.chunk, 4), np.float32)
    ends = [rank_chunks.play_on(world, begun.policy, spec, moment, chunk, seed) for seed in (5, 5, 6)]
    assert ends[0] == ends[1], "the seed decides what follows"
    world.close()


def test_ranks_are_measured(
    work: Path, monkeypatch: pytest.MonkeyPatch, begun: rank_chunks.Begun, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = rank_chunks.Plan(
        run=toy,
        tasks=(TASK,),
        seeds=(SEED,),
        critic=ChunkCriticFit(critic=TINY),
        states=2,
        chunks=2,
        continuations=1,
    )
    rows = rank_chunks.measure(plan, work)
    assert len(rows["p"]) == 4 and ((rows["p"] > 0) & (rows["p"] < 1)).all()
    assert set(rows["won"]) <= {0, 1} and (rows["away"] > 0).all()
    del begun
    monkeypatch.setattr(rank_chunks, "OUT", work / "ranks.parquet")
    write_parquet(rank_chunks.OUT, known_ranks())
    rank_chunks.main([])
    told = capsys.readouterr().out
    assert "| reach-v3 | critic | 1.000" in told and "| reach-v3 | near zero noise | -1.000" in told
    assert "2 of 3 |" in told, "a state in which every chunk ends alike tells nothing"


def known_ranks() -> dict[str, np.ndarray]:
    """Three states of three chunks: the critic is right in two of them, and nothing matters in the third."""
    won = np.array([0, 2, 4, 4, 0, 2, 3, 3, 3])
    return {
        "task": np.array(["reach-v3"] * 9),
        "seed": np.zeros(9, np.int64),
        "state": np.repeat(np.arange(3), 3),
        "continuations": np.full(9, 4),
        "p": won / 5 + 0.1,
        "away": won / 5 + 0.1,
        "won": won,
        "other": won,
    }
