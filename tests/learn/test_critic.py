"""The critic in a known world: a corridor whose chances of success and steps to go can be written down."""

import numpy as np
import torch

from vantage.core.returns import EfficiencyTarget, efficiency_ahead, stride_rows
from vantage.core.stats import explained_variance
from vantage.learn.critic.fit import CriticFit, train_critic
from vantage.learn.critic.problem import CriticProblem
from vantage.learn.critic.quality import assess
from vantage.nets.critic import DualCritic

LENGTH, K = 40, 8


def corridor(settings: CriticFit, episodes: int = 400) -> tuple[CriticProblem, np.ndarray]:
    """Episodes walk 40 cells, one a step. Each has a colour c in (0, 1), seen in every frame, and succeeds
    with probability c."""
    rng = np.random.default_rng(0)
    colour = rng.random(episodes)
    won = rng.random(episodes) < colour
    cell = np.tile(np.arange(LENGTH), episodes)
    frames = np.repeat(np.arange(episodes), LENGTH)
    starts, last = cell == 0, cell == LENGTH - 1
    features = np.stack([cell / LENGTH - 0.5, colour[frames] - 0.5], axis=1).astype(np.float32) * 3
    held, success = frames >= int(0.8 * episodes), won[frames]
    problem = CriticProblem(
        features=torch.from_numpy(features),
        outcome=torch.from_numpy(success.astype(np.float32)),
        monte_carlo=torch.from_numpy(-(LENGTH - 1.0 - cell).astype(np.float32)),
        ahead=efficiency_ahead(stride_rows(starts, last & success, settings.target.stride)),
        viability_train=np.flatnonzero(~held),
        viability_held=np.flatnonzero(held),
        efficiency_train=np.flatnonzero(~held & success),
        efficiency_held=np.flatnonzero(held & success),
        task=np.zeros(len(cell), dtype=np.int64),
        tasks=("walk",),
    )
    return problem, colour[frames]


def test_both_heads_find_the_truth() -> None:
    settings = CriticFit(steps=600, target=EfficiencyTarget(stride=K, mc_share=0.5))
    problem, chance = corridor(settings)
    torch.manual_seed(0)
    critic = DualCritic(2, t_max=80, width=64)
    train_critic(critic, problem, settings, seed=0)
    with torch.no_grad():
        z_v, v_e = critic(problem.features)
    p = torch.sigmoid(z_v).numpy()
    assert np.abs(p - chance).mean() < 0.08, "p_v is the chance of success"
    rows = problem.efficiency_held
    assert explained_variance(v_e.numpy()[rows], problem.monte_carlo.numpy()[rows]) > 0.95
    assert np.abs(v_e.numpy()[rows] - problem.monte_carlo.numpy()[rows]).mean() < 3


def test_quality_is_what_the_known_world_allows() -> None:
    settings = CriticFit(steps=400)
    problem, chance = corridor(settings)
    torch.manual_seed(0)
    critic = DualCritic(2, t_max=80, width=64)
    train_critic(critic, problem, settings, seed=0)
    with torch.no_grad():
        z_v, v_e = critic(problem.features)
    quality = assess(z_v.numpy(), v_e.numpy(), problem)
    best = -np.mean(np.log(np.where(problem.outcome.numpy() > 0.5, chance, 1 - chance)))
    assert quality["bce"] < quality["bce_base_rate"] - 0.1
    assert quality["bce"] > best - 0.1
    assert 0.7 < quality["auc"] < 0.95 and quality["ece"] < 0.15
    assert sum(row["n"] for row in quality["reliability"]) == len(problem.viability_held)


def test_it_stops_when_held_out_episodes_say_so() -> None:
    settings = CriticFit(steps=3000, patience=3, check_every=20)
    problem, _ = corridor(settings, episodes=20)
    torch.manual_seed(0)
    critic = DualCritic(2, t_max=80, width=64)
    curve = train_critic(critic, problem, settings, seed=0)
    looks = [row["val_bce"] for row in curve if "val_bce" in row]
    assert len(looks) < 3000 / 20, "it stopped early"
    rows = problem.viability_check
    with torch.no_grad():
        kept = torch.nn.functional.binary_cross_entropy_with_logits(
            critic.z_v(problem.features[rows]), problem.outcome[rows]
        )
    assert abs(kept.item() - min(looks)) < 1e-5, "and kept its best"


def test_monte_carlo_and_chunk_td_agree_where_the_world_is_simple() -> None:
    values = []
    for share in (1.0, 0.0):
        settings = CriticFit(
            steps=800, patience=100, polyak=0.05, target=EfficiencyTarget(stride=K, mc_share=share)
        )
        problem, _ = corridor(settings)
        torch.manual_seed(0)
        critic = DualCritic(2, t_max=80, width=64)
        train_critic(critic, problem, settings, seed=0)
        with torch.no_grad():
            values.append(critic.v_e(problem.features[problem.efficiency_held]).numpy())
    assert np.abs(values[0] - values[1]).mean() < 4
