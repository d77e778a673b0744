"""Fixed-seed loss curves: a change that should not alter training shows the same numbers; one that should,
new ones, with a reason."""

import json
from pathlib import Path

import pytest
import torch

from vantage.batch import Batch, Observation
from vantage.core.losses import flow_loss
from vantage.learn.optim import OptimConfig
from vantage.learn.step import Learner, whole
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.build import SmallConfig, build_policy
from vantage.policies.small.flow import FlowConfig
from vantage.threads import one_thread

CURVES = Path(__file__).with_name("curves.json")
CONFIGS: dict[str, SmallConfig] = {
    "pixels": FlowConfig(net=NetConfig(width=64)),
    "true state": FlowConfig(net=NetConfig(sight=TrueState(), width=64)),
}


def curve(config: SmallConfig, steps: int = 12) -> list[float]:
    """Weighted flow-matching losses of the first steps on one fixed batch."""
    g = torch.Generator().manual_seed(0)
    images = {
        c: torch.randint(0, 256, (8, 48, 48, 3), dtype=torch.uint8, generator=g)
        for c in ("corner4", "gripperPOV")
    }
    seen = Observation(
        images=images,
        state=torch.randn(8, 4, generator=g),
        environment_state=torch.randn(8, 39, generator=g),
        prompts=("open it", "close it") * 4,
    )
    mask = (torch.rand(8, 16, 1, generator=g) < 0.8).expand(-1, -1, 4)
    batch = Batch(
        observation=seen, actions=torch.randn(8, 16, 4, generator=g), mask=mask, row=torch.arange(8).numpy()
    )
    weight = torch.rand(8, generator=g) * 2
    actor = build_policy(config, seed=0)
    learner = Learner(actor, OptimConfig(warmup=3), steps)
    losses = []
    with one_thread():
        for step in range(steps):
            draw = actor.draw(8, torch.Generator().manual_seed(step))
            loss = flow_loss(actor(batch, draw).elementwise, batch.mask, weight, 8)
            learner.step(whole(loss))
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", CONFIGS)
def test_the_curve_is_the_golden_one(name: str) -> None:
    golden = json.loads(CURVES.read_text())[name]
    assert curve(CONFIGS[name]) == pytest.approx(golden, rel=2e-3), (
        "rewrite with `python tests/golden/test_golden_curves.py` if meant"
    )


if __name__ == "__main__":
    CURVES.write_text(json.dumps({name: curve(config) for name, config in CONFIGS.items()}, indent=1) + "\n")
