"""One tiny random-weight SmolVLA of LeRobot's, through the same contract, and back into stock LeRobot."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from contract import check_policy, overfit
from tiny_smolvla import ACTION, CHUNK, STATE, tiny_smolvla

from vantage.core.losses import flow_loss
from vantage.types import Batch, Observation, VantageError


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory):
    return tiny_smolvla(tmp_path_factory.mktemp("backbone"))


def batch(count: int = 4, actions: int = ACTION) -> Batch:
    g = torch.Generator().manual_seed(0)
    observation = Observation(
        images={"corner4": torch.randint(0, 256, (count, 48, 48, 3), dtype=torch.uint8, generator=g)},
        state=torch.randn(count, STATE, generator=g),
        environment_state=None,
        prompts=("pick the cube", "go", "place it on the shelf", "a")[:count],
    )
    mask = torch.rand(count, CHUNK, 1, generator=g) < 0.7
    return Batch(
        observation=observation,
        actions=torch.randn(count, CHUNK, actions, generator=g),
        mask=mask.expand(-1, -1, actions).clone(),
        row=np.arange(count),
    )


def test_the_contract(actor, tmp_path: Path) -> None:
    check_policy(actor, batch(), tmp_path / "actor")


def test_masked_outside_it_equals_lerobots_own_loss(actor) -> None:
    seen = batch()
    noise, time = draw = actor.draw(4, torch.Generator().manual_seed(2))
    elementwise, _ = actor(seen, draw)
    ready = actor._ready(seen.observation, seen.actions) | {"action_is_pad": ~seen.mask[..., 0]}
    theirs, _ = actor.policy.forward(dict(ready), noise=noise, time=time, reduction="none")
    mask = seen.mask.float()
    torch.testing.assert_close((elementwise * mask).sum((1, 2)) / mask.sum((1, 2)), theirs)


def test_one_batch_is_learned(actor, tmp_path: Path) -> None:
    before, after = overfit(tiny_smolvla(tmp_path), batch(), steps=30, lr=3e-3)
    assert after < 0.7 * before


def test_a_window_of_weight_zero_moves_nothing(actor) -> None:
    seen = batch()
    elementwise, _ = actor(seen, actor.draw(4, torch.Generator().manual_seed(2)))
    actor.policy.zero_grad()
    flow_loss(elementwise, seen.mask, torch.zeros(4), 4).backward()
    assert not any(p.grad.any() for p in actor.policy.parameters() if p.grad is not None)


def test_stock_lerobot_loads_the_checkpoint(actor, tmp_path: Path) -> None:
    from lerobot.policies.factory import make_pre_post_processors
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    actor.save(tmp_path)
    policy = SmolVLAPolicy.from_pretrained(str(tmp_path))
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(tmp_path))
    seen = batch().observation
    raw = {
        "observation.images.corner4": seen.images["corner4"].permute(0, 3, 1, 2).float() / 255,
        "observation.state": seen.state,
        "task": list(seen.prompts),
    }
    noise = torch.randn(4, CHUNK, 8, generator=torch.Generator().manual_seed(5))
    theirs = after(policy.predict_action_chunk(before(raw), noise=noise).flatten(0, 1)).unflatten(0, (4, CHUNK))
    torch.testing.assert_close(actor.act(seen, torch.Generator().manual_seed(5)), theirs.float())


def test_another_action_dimension_is_one_sentence(actor) -> None:
    with pytest.raises(VantageError, match="the policy has 4 action dimensions and the data 3"):
        actor(batch(actions=3), actor.draw(4, torch.Generator()))


def test_a_name_that_cannot_be_reached_is_one_sentence() -> None:
    from vantage.policies.lerobot import LeRobotPolicy

    with pytest.raises(VantageError, match="cannot be loaded"):
        LeRobotPolicy.from_pretrained("nowhere/such_a_policy")


def test_the_plugin_gives_stock_training_our_weights(tmp_path: Path) -> None:
    import lerobot.utils.sample_weighting as stock
    import lerobot_policy_vantage

    path = tmp_path / "4-weights.parquet"
    pq.write_table(pa.table({"round": [0, 0, 1, 1, 1], "index": [0, 1, 0, 1, 2], "weight": [1.0, 1.0, 0.0, 0.5, 2.0]}), path)
    assert stock.make_sample_weighter is lerobot_policy_vantage.make_sample_weighter
    config = SimpleNamespace(type="vantage", progress_path=str(path), extra_params={"round": 1})
    weighter = stock.make_sample_weighter(config, None, torch.device("cpu"))
    weight, stats = weighter.compute_batch_weights({"index": torch.tensor([2, 0, 1, 2])})
    assert weight.tolist() == [2.0, 0.0, 0.5, 2.0] and stats["zero_share"] == 0.25
    with pytest.raises(ValueError, match="say which"):
        stock.make_sample_weighter(SimpleNamespace(type="vantage", progress_path=str(path), extra_params={}), None, torch.device("cpu"))
