"""The one training step: however a batch is cut it learns the same, it goes on exactly where it stood, and it
averages by hand."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from vantage.core.losses import flow_loss
from vantage.learn.optim import OptimConfig, Rate, constant_rate, group_parameters, move_towards
from vantage.learn.step import Compute, Learner, Part, under, whole
from vantage.types import VantageError

BATCH = 64


def network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 8))


def lesson(module: nn.Module, step: int):
    """The weighted, masked loss of one drawn batch, by parts."""
    generator = torch.Generator().manual_seed(step)
    x, y = torch.randn(BATCH, 3, generator=generator), torch.randn(BATCH, 4, 2, generator=generator)
    mask = torch.rand(BATCH, 4, 2, generator=generator) < 0.7
    weight = torch.rand(BATCH, generator=generator)

    def loss_of(part: Part) -> Tensor:
        rows = part.of(BATCH)
        error = (module(x[rows]).unflatten(1, (4, 2)) - y[rows]).square()
        return flow_loss(error, mask[rows], weight[rows], BATCH)

    return loss_of


def fit(accumulate: int, steps: int = 5) -> tuple[list[float], list[float], nn.Module]:
    module = network()
    learner = Learner(module, OptimConfig(warmup=2), steps, Compute(accumulate=accumulate))
    taken = [learner.step(lesson(module, step)) for step in range(steps)]
    return [t.loss.item() for t in taken], [t.grad_norm.item() for t in taken], module


@given(st.integers(1, 200), st.integers(1, 20))
def test_parts_are_alike_and_leave_nothing_out(size: int, count: int) -> None:
    if size < count:
        with pytest.raises(VantageError, match=f"a batch of {size} has no {count} parts"):
            Part(0, count).of(size)
        return
    rows = [list(range(size))[Part(number, count).of(size)] for number in range(count)]
    assert [row for part in rows for row in part] == list(range(size))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


@pytest.mark.parametrize("accumulate", [2, 4, 7])
def test_one_times_64_and_4_times_16_train_alike(accumulate: int) -> None:
    once, cut = fit(1), fit(accumulate)
    assert cut[0] == pytest.approx(once[0], abs=1e-6), "the same loss"
    assert cut[1] == pytest.approx(once[1], abs=1e-6), "the same gradient"
    for a, b in zip(once[2].parameters(), cut[2].parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_it_goes_on_exactly_where_it_stood() -> None:
    config = OptimConfig(warmup=2, rates=(Rate("2.", 1e-2),))
    straight = Learner(network(), config, 8)
    for step in range(8):
        straight.step(lesson(straight.module, step))

    first = Learner(network(), config, 8)
    for step in range(3):
        first.step(lesson(first.module, step))
    saved = {name: tensor.clone() for name, tensor in first.state().items()}
    again = Learner(network(seed=9), config, 8)
    again.load(saved)
    for step in range(3, 8):
        again.step(lesson(again.module, step))

    assert again.step_count == 8
    assert straight.state().keys() == again.state().keys()
    for name, tensor in straight.state().items():
        assert torch.equal(tensor, again.state()[name]), name


def test_buffers_are_part_of_the_state_and_frozen_parameters_are_not() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 8))
    module[0].requires_grad_(False)
    learner = Learner(module, OptimConfig(), 10)
    learner.step(lesson(module, 0))
    names = set(learner.state())
    assert {"buffer.1.running_mean", "param.2.weight", "average.2.weight", "adam.exp_avg.2.weight"} <= names
    assert not any(".0.weight" in name for name in names)

    other = Learner(copy.deepcopy(module), OptimConfig(), 10)
    nn.init.zeros_(other.module[1].running_mean)
    other.load(learner.state())
    assert torch.equal(other.module[1].running_mean, module[1].running_mean)


def test_the_state_of_another_module_is_refused() -> None:
    saved = Learner(network(), OptimConfig(), 10).state()
    with pytest.raises(VantageError, match=r"is not of these settings \(average\.0\.bias\); delete it"):
        Learner(nn.Sequential(nn.SiLU(), nn.Linear(3, 8), nn.Linear(8, 8)), OptimConfig(), 10).load(saved)
    with pytest.raises(VantageError, match=r"\(average\.0\.bias\)"):
        Learner(network(), OptimConfig(ema=0.0), 10).load(saved)


def test_the_average_by_hand() -> None:
    """One number at 1, pushed by the sign of its gradient to 0.9, 0.8 ...; the average follows by 9/10, 9/11
    ... at first."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.ones_(module.weight)
    learner = Learner(
        module, OptimConfig(lr=0.1, warmup=0, weight_decay=0.0, floor=1.0, ema=0.95, clip=None), 10
    )
    average, value = 1.0, 1.0
    for step in range(1, 4):
        learner.step(lambda part: module.weight.sum())
        value -= 0.1
        average += (1 - step / (step + 9)) * (value - average)
        assert module.weight.item() == pytest.approx(value, abs=1e-6)
        assert learner.average["weight"].item() == pytest.approx(average, abs=1e-6)
    learner.apply_average()
    assert module.weight.item() == pytest.approx(average, abs=1e-6)


def test_without_an_average_there_is_no_copy() -> None:
    module = network()
    learner = Learner(module, OptimConfig(ema=0.0), 10)
    learner.step(lesson(module, 0))
    before = copy.deepcopy(module.state_dict())
    learner.apply_average()
    assert learner.average == {} and not any(name.startswith("average") for name in learner.state())
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_rates_by_name_and_a_rate_for_the_step() -> None:
    module = network()
    config = OptimConfig(lr=1e-3, warmup=1, rates=(Rate("2.bias", 4e-3), Rate("2.", 2e-3)), floor=0.5)
    groups = group_parameters(dict(module.named_parameters()), config.rates)
    assert [len(group.parameters) for group in groups] == [2, 1, 1]

    learner = Learner(module, config, 3)
    # Warm-up: half of each peak; then the peak; then half a cosine to half of it: (1 + 1/2) / 2 at its
    # middle.
    wanted = [0.5, 1.0, 0.75]
    for step, share in enumerate(wanted):
        taken = learner.step(lesson(module, step))
        assert taken.lr == pytest.approx(share * 1e-3)
        rates = [group["lr"] for group in learner.adam.param_groups]
        assert rates == pytest.approx([share * 1e-3, share * 4e-3, share * 2e-3])
    learner.step(lesson(module, 3), lr=7e-3)
    assert [group["lr"] for group in learner.adam.param_groups] == pytest.approx([7e-3, 2e-3, 1e-3])


def test_clipping_is_by_the_norm_before_and_none_is_not_measured() -> None:
    module = nn.Linear(1, 1, bias=False)
    learner = Learner(module, OptimConfig(clip=0.5), 10)
    assert learner.step(lambda part: 3 * module.weight.sum()).grad_norm.item() == pytest.approx(3.0)
    assert module.weight.grad is not None and module.weight.grad.item() == pytest.approx(0.5, rel=1e-4)
    free = Learner(module, constant_rate(1e-3))
    assert math.isnan(free.step(lambda part: 3 * module.weight.sum()).grad_norm.item())
    assert module.weight.grad.item() == pytest.approx(3.0)


def test_bfloat16_is_for_the_pass_and_not_for_what_is_kept() -> None:
    module = network()
    learner = Learner(module, OptimConfig(), 20, Compute(precision="bfloat16"))
    seen: list[torch.dtype] = []
    module[2].register_forward_hook(lambda _, __, out: seen.append(out.dtype))
    losses = [learner.step(lesson(module, 0)).loss.item() for _ in range(20)]
    assert set(seen) == {torch.bfloat16}
    assert all(tensor.dtype == torch.float32 for name, tensor in learner.state().items() if name != "step")
    assert losses[-1] < losses[0]

    small = Learner(network(), OptimConfig(), 20, Compute(precision="bfloat16", accumulate=4), whole=True)
    assert (small.compute.precision, small.compute.accumulate) == ("float32", 1)


def test_a_loss_that_is_there_already_has_one_part() -> None:
    loss = torch.tensor(2.0)
    assert whole(loss)(Part()) is loss
    with pytest.raises(AssertionError):
        whole(loss)(Part(0, 2))
    assert under("a/", {"a/x": loss, "b/x": loss}) == {"x": loss}


def test_a_device_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert Compute(device="auto").torch_device() == torch.device("cpu")
    with pytest.raises(
        VantageError, match=r"compute\.device is cuda, which torch does not see here; set it to cpu"
    ):
        Compute(device="cuda").torch_device()
    with pytest.raises(VantageError, match=r"accumulate is 0; it must be at least 1"):
        Compute(accumulate=0)


def test_a_slow_copy_follows_by_hand() -> None:
    slow, fast = nn.Linear(2, 2), nn.Linear(2, 2)
    wanted = 0.75 * slow.weight.detach() + 0.25 * fast.weight.detach()
    move_towards(slow, fast, 0.25)
    torch.testing.assert_close(slow.weight.detach(), wanted)
