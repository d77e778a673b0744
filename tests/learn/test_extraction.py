"""What is made of a critic of chunks, in a world in which the best chunk is known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from line_world import Line
from safetensors.torch import load_file, save_file
from test_chunk_critic import K, Walk, recorded

from vantage.batch import Batch, Observation
from vantage.collect.episode import run_episode
from vantage.collect.operators import NoOne
from vantage.core.weights import sigmoid
from vantage.data.experience import Experience
from vantage.learn.critic.chunks import ChunkCritic
from vantage.learn.critic.extraction import (
    JUDGED,
    BestOf,
    Judged,
    Verdict,
    draw_chunks,
    judge_recorded,
    load_judged,
    save_judged,
)
from vantage.policies.protocol import Draw, Interface, Policy, PolicyLoss
from vantage.stages.fit_policy import relabelled
from vantage.types import Values, VantageError


class Coin(Policy):
    """Goes left or right for K steps, as a coin falls; what it knows is where it is and where the goal is."""

    interface = Interface(cameras={}, state_dim=1, environment_dim=2, action_dim=1, chunk=K, execute=K)
    feature_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    def draw(self, batch_size: int, generator: torch.Generator) -> Draw:
        return Draw(torch.zeros(batch_size, K, 1), torch.zeros(batch_size))

    def forward(self, batch: Batch, draw: Draw) -> PolicyLoss:
        return PolicyLoss(batch.actions * self.nothing, self.features(batch.observation))

    def features(self, observation: Observation) -> torch.Tensor:
        assert observation.environment_state is not None
        return observation.environment_state

    def act(self, observation: Observation, generator: torch.Generator) -> torch.Tensor:
        side = torch.rand(len(observation), generator=generator) < 0.5
        return torch.where(side, 1.0, -1.0)[:, None, None].expand(-1, K, 1).clone()

    def save(self, folder: Path) -> None:
        (folder / "coin").write_text("two sides")


@dataclass(frozen=True, slots=True)
class Knows(ChunkCritic):
    """The true critic: towards the goal is viable. Those of fold 1 have it the wrong way round."""

    def values(self, features: np.ndarray, chunks: np.ndarray, fold: np.ndarray) -> Values:
        towards = np.sign(features[:, 1] - features[:, 0]) * chunks.mean((1, 2))
        z_v = np.where(fold == 1, -4, 4) * towards
        return Values(z_v=z_v.astype(np.float32), v_e=np.zeros(len(chunks), np.float32))

    def judge(self, features: torch.Tensor, chunks: torch.Tensor) -> Values:
        return self.values(features.numpy(), chunks.numpy(), np.zeros(len(chunks), np.int64))


class Near(Line):
    """The goal is five steps away, on one side or the other, and there are four to reach its edge."""

    def reset(self, seed: int) -> None:
        self.x, self.goal = 0.0, 0.45 if seed % 2 else -0.45


TRUE = Knows(panel=None, length=K)  # type: ignore[arg-type]


def rate(policy: Policy, starts: int = 300) -> float:
    world = Near()
    ends = [
        run_episode(world, policy, NoOne(), task="line", seed=seed, limit=K, pictures=False).outcome
        for seed in range(starts)
    ]
    return float(np.mean([end == 1 for end in ends]))


def test_the_best_of_n_succeeds_as_often_as_one_of_n_does() -> None:
    """Half of the chunks succeed, so the best of N does with 1 - 2^-N: by a true critic, a known lift."""
    chances = [rate(BestOf(Coin(), TRUE, count)) for count in (1, 2, 4)]
    np.testing.assert_allclose(chances, [0.5, 0.75, 0.9375], atol=0.08)  # 3 standard errors at n = 300


def test_every_observation_is_given_the_best_of_its_own_chunks(tmp_path: Path) -> None:
    policy, critic = Coin(), TRUE
    where = torch.tensor([[0.0, 1.0], [0.0, -1.0]]).repeat(20, 1)
    seen = Observation(images={}, state=where[:, :1], environment_state=where, prompts=("go",) * 40)
    generator = torch.Generator().manual_seed(0)
    chunks = draw_chunks(policy, seen, 16, generator)
    assert chunks.shape == (40, 16, K, 1) and (chunks[:, :, 0, 0].std(1) > 0).all()

    best = BestOf(policy, critic, 16).act(seen, torch.Generator().manual_seed(0))
    assert (best[:, 0, 0] == where[:, 1]).all()
    assert all((chunk == own).all((1, 2)).any() for chunk, own in zip(best, chunks, strict=True))
    BestOf(policy, critic, 16).save(tmp_path)
    assert (tmp_path / "coin").exists(), "a checkpoint that acts without the critic"


@pytest.fixture(scope="module")
def line() -> Experience:
    """Ten episodes of two frames: at 0, the goal at 1 or at -1."""
    seen = np.array([[0.0, 1.0], [0.0, -1.0]])
    return recorded([Walk(seen, np.array([1.0, 1.0]), bool(number % 2)) for number in range(10)])


def judged_of(line: Experience) -> Judged:
    fold = line.frames.episode % 2
    rows = np.flatnonzero(line.frames.episode < 8)
    return judge_recorded(line, rows, Coin(), TRUE, fold, count=6, seed=0, batch=3)


def test_recorded_states_are_judged_by_the_critics_of_their_fold(line: Experience) -> None:
    judged = judged_of(line)
    goal = np.array([1.0, -1.0])[line.frames.frame[judged.rows]]
    wrong = line.frames.episode[judged.rows] % 2 == 1
    both = judged.chunks[:, :, 0, 0].std(1) > 0
    np.testing.assert_array_equal(judged.best[both, 0, 0], np.where(wrong, -goal, goal)[both])
    side = judged.chunks[:, :, 0, 0] * np.where(wrong, -goal, goal)[:, None]
    np.testing.assert_allclose(judged.viability, sigmoid(4 * side.ravel()).reshape(side.shape), rtol=1e-6)
    np.testing.assert_allclose(judged.worth, judged.viability.mean(1))
    assert both.sum() > 12
    again = judged_of(line)
    np.testing.assert_array_equal(again.chunks, judged.chunks)


def test_what_was_judged_is_kept_and_refuses_other_frames(line: Experience, tmp_path: Path) -> None:
    judged = judged_of(line)
    executed = np.linspace(0.2, 0.8, len(judged.rows))
    save_judged(tmp_path / JUDGED, judged, executed, line.fingerprint)
    verdict = load_judged(tmp_path, line)
    np.testing.assert_allclose(verdict.advantage[judged.rows], executed - judged.worth)
    np.testing.assert_array_equal(verdict.best[verdict.target[judged.rows]], judged.best)
    others = np.setdiff1d(np.arange(len(line)), judged.rows)
    assert np.isnan(verdict.advantage[others]).all() and (verdict.target[others] == -1).all()

    shorter = recorded([Walk(np.zeros((3, 2)), np.zeros(3), True)])
    with pytest.raises(VantageError, match=r"judges 20 frames that are not the 3 frames here now; delete"):
        load_judged(tmp_path, shorter)
    with pytest.raises(VantageError, match=r"holds no judged chunks; .* `vantage fit-chunk-critic"):
        load_judged(tmp_path / "elsewhere", line)


@pytest.mark.parametrize("damage", ["cut", "lacks", "beyond"])
def test_judged_chunks_that_are_not_whole_are_one_sentence(
    line: Experience, tmp_path: Path, damage: str
) -> None:
    path, judged = tmp_path / JUDGED, judged_of(line)
    save_judged(path, judged, judged.worth, line.fingerprint)
    kept = load_file(path)
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-40])
        case "lacks":
            save_file({name: kept[name] for name in ("rows", "advantage", "fingerprint")}, path)
        case "beyond":
            save_file(kept | {"rows": kept["rows"] + 1000}, path)
    words = r"is damaged|does not hold judged chunks; delete .* `vantage fit-chunk-critic"
    with pytest.raises(VantageError, match=words):
        load_judged(tmp_path, line)


def test_only_judged_windows_get_the_best_chunk_as_their_last_steps() -> None:
    """A policy that looks back two steps: its window begins with what was done since."""
    actions = torch.arange(24.0).reshape(2, 6, 2)
    mask = torch.ones(2, 6, 2, dtype=torch.bool)
    mask[:, 4:] = False
    seen = Observation(images={}, state=torch.zeros(2, 1), environment_state=None, prompts=("go",) * 2)
    batch = Batch(observation=seen, actions=actions, mask=mask, row=np.array([3, 1]))
    best = -np.arange(16, dtype=np.float32).reshape(2, 4, 2)
    verdict = Verdict(advantage=np.zeros(4), target=np.array([-1, -1, 0, 1]), best=best)

    after = relabelled(batch, verdict)
    np.testing.assert_array_equal(after.actions[0, :2], actions[0, :2])
    np.testing.assert_array_equal(after.actions[0, 2:], best[1])
    np.testing.assert_array_equal(after.actions[1], actions[1])
    assert after.mask[0].all() and (after.mask[1] == mask[1]).all()
    assert not mask[0, 4:].any() and actions[0, 2, 0] == 4, "the batch itself is left alone"
