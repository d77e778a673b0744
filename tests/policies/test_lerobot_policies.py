"""LeRobot's five policies, tiny and random, through one contract, against LeRobot's own loss, and back into
stock LeRobot."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from contract import check_policy, overfit
from tiny_lerobot import CHUNK, KINDS, batch_for, stock_raw, tiny, tiny_pi

from vantage.batch import Batch
from vantage.core.losses import flow_loss
from vantage.policies.lerobot.adapter import LeRobotAdapter, padding
from vantage.types import VantageError

FLOWS = ("smolvla", "pi0", "pi05", "multi_task_dit")


@pytest.fixture(scope="module", autouse=True)
def small_pi() -> Iterator[None]:
    with tiny_pi():
        yield


@pytest.fixture(scope="module")
def built(small_pi: None) -> dict[str, LeRobotAdapter]:
    """One policy per type, shared by the tests that leave it as it was."""
    return {kind: tiny(kind) for kind in KINDS}


@pytest.fixture(params=KINDS)
def policy(request: pytest.FixtureRequest, built: dict[str, LeRobotAdapter]) -> Iterator[LeRobotAdapter]:
    yield built[request.param].eval()
    built[request.param].zero_grad(set_to_none=True)


def test_the_contract(policy: LeRobotAdapter, tmp_path: Path) -> None:
    check_policy(policy, batch_for(policy), tmp_path / "policy")


def stock_loss(policy: LeRobotAdapter, batch: Batch) -> torch.Tensor:
    """LeRobot's own forward on the windows, preprocessed by its own processor."""
    raw = stock_raw(policy, batch)
    pad = raw.pop("action_is_pad")
    ready = policy._before(raw) | {"action_is_pad": pad}
    if policy.config.type == "multi_task_dit" and policy.interface.history == 1:
        ready["observation.state"] = ready["observation.state"][:, None]
    return policy.policy.forward(ready)[0]


def masked(policy: LeRobotAdapter, batch: Batch, draw) -> torch.Tensor:
    """Vantage's loss with LeRobot's reduction: the mean over valid elements."""
    elementwise = policy(batch, draw).elementwise
    return (elementwise * batch.mask).sum() / batch.mask.sum()


def test_smolvla_equals_lerobots_own_loss_where_both_mask(built: dict[str, LeRobotAdapter]) -> None:
    policy = built["smolvla"].train()
    batch = batch_for(policy)
    draw = policy.draw(4, torch.Generator().manual_seed(2))
    raw = stock_raw(policy, batch)
    ready = policy._before({name: value for name, value in raw.items() if name != "action_is_pad"})
    theirs, _ = policy.policy.forward(
        ready | {"action_is_pad": raw["action_is_pad"]}, noise=draw.noise, time=draw.time
    )
    torch.testing.assert_close(masked(policy, batch, draw), theirs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", ["pi0", "pi05"])
def test_pi_equals_lerobots_own_loss_without_padding(
    kind: str, built: dict[str, LeRobotAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = built[kind].train()
    batch = batch_for(policy, padded=False)
    draw = policy.draw(4, torch.Generator().manual_seed(2))
    monkeypatch.setattr(policy.policy.model, "sample_noise", lambda *_: draw.noise)
    monkeypatch.setattr(policy.policy.model, "sample_time", lambda *_: draw.time)
    torch.testing.assert_close(masked(policy, batch, draw), stock_loss(policy, batch), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", ["smolvla", "pi0", "pi05"])
def test_times_are_drawn_as_lerobot_draws_them(kind: str, built: dict[str, LeRobotAdapter]) -> None:
    policy, share = built[kind], torch.linspace(0.05, 0.95, 19)
    ours = policy.draw(10_000, torch.Generator().manual_seed(0)).time
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = policy.policy.model.sample_time(10_000, "cpu")
    assert (ours.quantile(share) - theirs.quantile(share)).abs().max() < 0.02


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_multi_task_dit_equals_lerobots_own_loss(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ("dropout=0", "image_crop_is_random=false", "do_mask_loss_for_padding=true")
    policy = tiny("multi_task_dit", *plain, f"n_obs_steps={steps}").train()
    assert policy.interface.history == steps and policy.chunk == CHUNK - steps + 1
    batch = batch_for(policy)
    draw = policy.draw(4, torch.Generator().manual_seed(2))
    monkeypatch.setattr(policy.policy.objective, "_sample_timesteps", lambda *_: draw.time)
    torch.manual_seed(7)
    noise = torch.randn(4, CHUNK, 4)
    torch.manual_seed(7)
    torch.testing.assert_close(
        masked(policy, batch, draw._replace(noise=noise)), stock_loss(policy, batch), atol=1e-6, rtol=1e-6
    )


@pytest.mark.parametrize("training", [True, False])
def test_act_equals_lerobots_own_loss_without_padding(training: bool) -> None:
    policy = tiny("act", "dropout=0").train(training)
    batch = batch_for(policy, padded=False)
    torch.manual_seed(7)
    noise = torch.randn(4, 4)
    torch.manual_seed(7)
    theirs = stock_loss(policy, batch)
    draw = policy.draw(4, torch.Generator().manual_seed(2))._replace(noise=noise)
    torch.testing.assert_close(masked(policy, batch, draw), theirs, atol=1e-6, rtol=1e-6)


def test_act_counts_the_divergence_of_a_window_by_its_valid_steps() -> None:
    policy = tiny("act", "dropout=0", "kl_weight=10").train()
    plain = tiny("act", "dropout=0", "kl_weight=0").train()
    batch = batch_for(policy)
    draw = policy.draw(4, torch.Generator().manual_seed(2))
    extra = policy(batch, draw).elementwise - plain(batch, draw).elementwise
    divergence = extra[:, :1, :1]
    assert (divergence > 0).all()
    torch.testing.assert_close(extra, divergence.expand_as(extra), atol=1e-4, rtol=1e-4)


def test_a_step_is_padding_where_no_dimension_of_it_is_valid() -> None:
    mask = torch.tensor([[[True, True], [False, True], [False, False]]])
    assert padding(mask).tolist() == [[False, False, True]]


def test_what_stands_in_padded_steps_moves_no_latent_of_act() -> None:
    """In training ACT's latent is read off the actions; off the valid ones alone."""
    policy = tiny("act", "dropout=0").train()
    batch = batch_for(policy)
    assert policy.config.use_vae and not batch.mask.all()
    draw = policy.draw(4, torch.Generator().manual_seed(2))
    other = replace(batch, actions=torch.where(batch.mask, batch.actions, batch.actions + 3))
    ours, theirs = (policy(one, draw).elementwise[batch.mask] for one in (batch, other))
    torch.testing.assert_close(ours, theirs)


def test_in_training_the_loss_is_a_function_of_batch_and_draw_and_moves_no_generator(
    policy: LeRobotAdapter,
) -> None:
    policy.train()
    batch = batch_for(policy)
    draw = policy.draw(4, torch.Generator().manual_seed(2))
    before = torch.get_rng_state()
    first = policy(batch, draw).elementwise
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(123)
    assert torch.equal(policy(batch, draw).elementwise, first)
    assert not torch.equal(policy(batch, policy.draw(4, torch.Generator().manual_seed(3))).elementwise, first)


def test_in_training_features_are_those_of_acting_and_blind_to_actions(policy: LeRobotAdapter) -> None:
    batch = batch_for(policy)
    expected = policy.features(batch.observation)
    policy.train()
    draw = policy.draw(4, torch.Generator().manual_seed(2))
    seen = policy(batch, draw).features
    torch.testing.assert_close(seen, expected, atol=1e-4, rtol=1e-4)
    other = Batch(observation=batch.observation, actions=batch.actions + 3.0, mask=batch.mask, row=batch.row)
    torch.testing.assert_close(policy(other, draw).features, seen, atol=1e-5, rtol=1e-5)
    assert policy.training, "reading features leaves the mode as it was"


def test_in_training_it_acts_as_it_will_when_it_is_deployed(policy: LeRobotAdapter) -> None:
    """Nothing is dropped, and training goes on as it was."""
    observation = batch_for(policy).observation
    deployed = policy.eval().act(observation, torch.Generator().manual_seed(0))
    policy.train()
    assert torch.equal(policy.act(observation, torch.Generator().manual_seed(0)), deployed)
    assert policy.training and policy.wrapped.training


def test_features_see_state_and_pictures(policy: LeRobotAdapter) -> None:
    observation = batch_for(policy).observation
    seen = policy.features(observation)
    moved = replace(observation, state=observation.state + 1.0)
    black = {name: torch.zeros_like(pictures) for name, pictures in observation.images.items()}
    dark = replace(observation, images=black)
    assert (policy.features(moved) - seen).abs().max() > 1e-3
    assert (policy.features(dark) - seen).abs().max() > 1e-3
    for number, then in enumerate(observation.earlier):
        before = list(observation.earlier)
        before[number] = replace(then, state=then.state + 1.0)
        assert (policy.features(replace(observation, earlier=tuple(before))) - seen).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["pi0", "pi05"])
def test_padding_is_masked_where_lerobot_ignores_it(
    kind: str, built: dict[str, LeRobotAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = built[kind].train()
    batch = batch_for(policy)
    draw = policy.draw(4, torch.Generator().manual_seed(2))
    monkeypatch.setattr(policy.policy.model, "sample_noise", lambda *_: draw.noise)
    monkeypatch.setattr(policy.policy.model, "sample_time", lambda *_: draw.time)
    everything = policy(batch, draw).elementwise.mean()
    torch.testing.assert_close(everything, stock_loss(policy, batch), atol=1e-6, rtol=1e-6)
    assert (masked(policy, batch, draw) - everything).abs() > 1e-3


def test_an_action_dimension_that_nobody_commanded_teaches_nothing(policy: LeRobotAdapter) -> None:
    policy.train()
    batch = batch_for(policy)
    batch.mask[:, :, 1] = False
    draw = policy.draw(4, torch.Generator().manual_seed(2))
    flow_loss(policy(batch, draw).elementwise, batch.mask, torch.ones(4), 4).backward()
    last = {"act": "model.action_head.weight", "multi_task_dit": "noise_predictor.output_proj.weight"}
    name = last.get(policy.config.type, "model.action_out_proj.weight")
    gradient = dict(policy.policy.named_parameters())[name].grad
    assert gradient is not None and gradient[0].any() and not gradient[1].any()


def test_one_batch_is_learned(policy: LeRobotAdapter) -> None:
    fresh = (
        tiny(policy.config.type, "dropout=0")
        if policy.config.type in ("act", "multi_task_dit")
        else tiny(policy.config.type)
    )
    before, after = overfit(fresh, batch_for(fresh), steps=8 if fresh.config.type == "act" else 25, lr=3e-3)
    assert after < 0.8 * before


@pytest.mark.parametrize("kind", KINDS)
def test_stock_lerobot_loads_the_folder_and_gives_the_same_chunk(
    kind: str, built: dict[str, LeRobotAdapter], tmp_path: Path
) -> None:
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    policy = built[kind]
    policy.save(tmp_path)
    config = PreTrainedConfig.from_pretrained(tmp_path)
    stock = get_policy_class(config.type).from_pretrained(tmp_path, config=config)
    before, after = make_pre_post_processors(
        config,
        pretrained_path=str(tmp_path),
        preprocessor_overrides={
            "device_processor": {"device": "cpu"},
            "rename_observations_processor": {"rename_map": {}},
        },
    )

    batch = batch_for(policy)
    raw = {
        name: value
        for name, value in stock_raw(policy, batch).items()
        if name.startswith("observation") or name == "task"
    }
    ready = before(raw)
    noise = torch.randn(4, CHUNK, 8, generator=torch.Generator().manual_seed(5))
    match kind:
        case "act":
            chunk = stock.predict_action_chunk(ready)
        case "multi_task_dit":
            # It looks at two observations. The earlier one fills its queue; what it would do then is dropped.
            seen = {key for key in ready if key.startswith(("observation.images", "observation.state"))}
            earlier, present = (
                {key: v[:, i] if key in seen else v for key, v in ready.items()} for i in (0, 1)
            )
            stock.reset()
            stock.select_action(earlier)
            stock._queues["action"].clear()
            torch.manual_seed(5)
            chunk = torch.stack([stock.select_action(present) for _ in range(4)], dim=1)
        case _:
            chunk = stock.predict_action_chunk(ready, noise=noise)
    steps = chunk.shape[1]
    ours = policy.act(batch.observation, torch.Generator().manual_seed(5))[:, :steps]
    torch.testing.assert_close(ours, after(chunk).float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", FLOWS)
def test_zero_noise_inference_shares_the_weights_and_survives_the_disk(
    kind: str, built: dict[str, LeRobotAdapter], tmp_path: Path
) -> None:
    from vantage.policies.load import load_policy

    policy = built[kind].eval()
    observation = batch_for(policy).observation
    zero_noise = policy.with_noise(0.0)
    first, second = (zero_noise.act(observation, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(policy.act(observation, torch.Generator().manual_seed(1)), first)
    assert zero_noise.wrapped is policy.wrapped
    zero_noise.save(tmp_path)
    assert torch.equal(load_policy(tmp_path).act(observation, torch.Generator().manual_seed(3)), first)


def test_act_acts_from_no_noise(built: dict[str, LeRobotAdapter]) -> None:
    with pytest.raises(VantageError, match="does not act from noise"):
        built["act"].with_noise(0.0)


def test_what_does_not_fit_is_one_sentence(built: dict[str, LeRobotAdapter]) -> None:
    policy = built["smolvla"]
    batch = batch_for(policy)
    draw = policy.draw(4, torch.Generator())
    other = Batch(
        observation=batch.observation,
        actions=batch.actions[:, :, :3],
        mask=batch.mask[:, :, :3],
        row=batch.row,
    )
    with pytest.raises(VantageError, match="the policy has 4 action dimensions and the data 3"):
        policy(other, draw)
    blind = type(batch.observation)(
        images={}, state=batch.observation.state, environment_state=None, prompts=batch.observation.prompts
    )
    with pytest.raises(
        VantageError, match="the policy looks at the camera front, and the observation has none"
    ):
        policy.features(blind)
    blank = replace(batch_for(built["multi_task_dit"]).observation, earlier=())
    with pytest.raises(VantageError, match="looks at 2 observations and is given 1; keep what was seen"):
        built["multi_task_dit"].features(blank)
    act = built["act"]
    seen = batch_for(act).observation
    small = type(seen)(
        images={name: pictures[:, :32, :32] for name, pictures in seen.images.items()},
        state=seen.state,
        environment_state=None,
        prompts=seen.prompts,
    )
    with pytest.raises(VantageError, match="made for pictures of 48 x 64"):
        act.features(small)


@pytest.mark.parametrize("kind", ["pi0", "act"])
def test_loss_and_features_stay_on_one_device(kind: str) -> None:
    """On the meta device an operation with a tensor left on the CPU fails. LeRobot's other types read values
    there (`item`, `nonzero`)."""
    policy = tiny(kind)
    batch = batch_for(policy).to("meta")
    draw = policy.draw(4, torch.Generator()).to("meta")
    policy.to("meta").train()
    loss, features = policy(batch, draw)
    loss.mean().backward()
    assert loss.device.type == features.device.type == "meta"
    assert policy.features(batch.observation).device.type == "meta"
