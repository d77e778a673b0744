"""The two sides of the step's benchmark do the same work."""

from pathlib import Path

import torch

from benchmarks.bench_step import Ours, StepSize, Stock
from benchmarks.timing import median_interval
from vantage.policies.lerobot import SmallVLM

TINY = StepSize(
    backbone=SmallVLM(
        image_size=32,
        patch=16,
        shuffle=1,
        vision_width=16,
        vision_layers=1,
        vision_heads=1,
        width=16,
        layers=2,
        heads=1,
    ),
    chunk=4,
    batch=2,
    warm_up=1,
    pairs=2,
)


def test_weights_windows_and_optimiser_are_the_same(tmp_path: Path) -> None:
    policy = TINY.policy()
    policy.save(tmp_path)
    batch = TINY.windows(policy)
    ours, stock = Ours(policy, batch, 100), Stock(tmp_path, batch, 100)

    theirs = {name: p for name, p in stock.policy.named_parameters() if p.requires_grad}
    own = {name: p for name, p in policy.policy.named_parameters() if p.requires_grad}
    assert own.keys() == theirs.keys() and len(own) == len(ours.learner.parameters)
    assert all(torch.equal(own[name], theirs[name]) for name in own)

    prepared = policy._ready(batch.observation, batch.actions)
    stocks = stock._preprocess()
    shared = {key for key, value in stocks.items() if isinstance(value, torch.Tensor) and key in prepared}
    assert len(shared) == TINY.cameras + 4, "pictures, state, actions, tokens and their mask"
    for key in shared:
        torch.testing.assert_close(prepared[key], stocks[key])

    ours.step(0), stock.step(0)
    (group,), (other,) = ours.learner.adam.param_groups, stock.optimiser.param_groups
    assert all(group[name] == other[name] for name in ("betas", "eps", "weight_decay"))
    assert ours.learner.optim.clip == stock.clip == 10.0 and not ours.learner.average


def test_intervals_of_medians_by_hand() -> None:
    assert median_interval(range(1, 41)) == (14, 27), "the classical ranks for 40 values"
    assert median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0]) == (1.0, 6.0), "P(all on one side) = 2 / 64"
    assert median_interval([2.0, 1.0]) == (1.0, 2.0)
