"""What every actor must do, checked on a real batch."""

from pathlib import Path

import torch

from vantage.batch import Batch
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy


def check_policy(actor: Policy, batch: Batch, folder: Path) -> None:
    """Assert the protocol of design.md: shapes, detachment, determinism, one phi, and a checkpoint that
    changes nothing."""
    assert isinstance(actor, Policy)
    count = len(batch.row)
    actor.eval()
    draw = actor.draw(count, torch.Generator().manual_seed(0))
    again = actor.draw(count, torch.Generator().manual_seed(0))
    assert torch.equal(draw.noise, again.noise) and torch.equal(draw.time, again.time)

    elementwise, features = actor(batch, draw)
    assert elementwise.shape == (count, actor.interface.window, actor.action_dim)
    assert elementwise.requires_grad and (elementwise >= 0).all()
    assert features.shape == (count, actor.feature_dim) and not features.requires_grad
    assert torch.equal(actor(batch, draw).elementwise, elementwise), "the same draw is the same loss"

    torch.testing.assert_close(actor.features(batch.observation), features, atol=1e-4, rtol=1e-4)
    other = actor.draw(count, torch.Generator().manual_seed(1))
    torch.testing.assert_close(actor(batch, other).features, features, atol=1e-5, rtol=1e-5)

    chunk = actor.act(batch.observation, torch.Generator().manual_seed(3))
    assert chunk.shape == (count, actor.chunk, actor.action_dim) and torch.isfinite(chunk).all()
    assert torch.equal(actor.act(batch.observation, torch.Generator().manual_seed(3)), chunk)

    weight = torch.zeros(count)
    (elementwise.mean(dim=(1, 2)) * weight).sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in actor.parameters()), "weight 0 teaches nothing"

    actor.save(folder)
    loaded = load_policy(folder)
    assert torch.equal(loaded.act(batch.observation, torch.Generator().manual_seed(3)), chunk)
    assert torch.equal(loaded(batch, draw).elementwise, elementwise)


def overfit(actor: Policy, batch: Batch, steps: int, lr: float) -> tuple[float, float]:
    """Mean loss on one batch and one draw before and after so many steps."""
    draw = actor.draw(len(batch.row), torch.Generator().manual_seed(0))
    adam = torch.optim.Adam([p for p in actor.parameters() if p.requires_grad], lr=lr)
    actor.train()
    losses = []
    for _ in range(steps + 1):
        loss = actor(batch, draw).elementwise.mean()
        losses.append(loss.item())
        adam.zero_grad()
        loss.backward()
        adam.step()
    return losses[0], losses[-1]
