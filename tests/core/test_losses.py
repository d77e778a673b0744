import math

import pytest
import torch
from torch.nn import functional as F

from vantage.core.losses import (
    critic_loss,
    efficiency_loss,
    flow_loss,
    masked_mean,
    parent_loss,
    viability_loss,
)

NAN = float("nan")
YES, NO = True, False


def test_flow_loss_by_hand():
    error = torch.tensor([[[1.0, 3.0], [5.0, 7.0]], [[2.0, 4.0], [6.0, 8.0]]])
    mask = torch.tensor([[[YES, YES], [NO, NO]], [[YES, NO], [YES, NO]]])
    # window 0: 1 + 3 = 4; window 1: 2 + 6 = 8; over H A = 4: 1 and 2. Weights 0.5 and 1.5, B = 2: (0.5 + 3) /
    # 2.
    assert flow_loss(error, mask, torch.tensor([0.5, 1.5]), 2).item() == pytest.approx(1.75)


def test_flow_loss_of_ones_is_the_mean_squared_error():
    prediction, target = torch.randn(2, 5, 3, 4, generator=torch.manual_seed(0)).unbind()
    error = (prediction - target) ** 2
    torch.testing.assert_close(
        flow_loss(error, torch.ones_like(error, dtype=torch.bool), torch.ones(5), 5),
        F.mse_loss(prediction, target),
    )


def test_what_is_masked_or_weighs_nothing_has_no_gradient():
    error = torch.full((2, 1, 2), NAN)
    error[0, 0, 0] = 3.0
    error.requires_grad_()
    flow_loss(error, ~error.isnan(), torch.tensor([2.0, 1.0]), 2).backward()
    assert error.grad is not None and error.grad.tolist() == [[[0.5, 0]], [[0, 0]]]  # 2 / (H A = 2) / (B = 2)


def test_one_batch_of_64_is_four_of_16():
    g = torch.manual_seed(1)
    error, weight = torch.rand(64, 3, 2, generator=g), torch.rand(64, generator=g)
    mask, labelled = torch.rand(64, 3, 2, generator=g) > 0.3, torch.rand(64, generator=g) > 0.6
    z, v, y = (
        torch.randn(64, generator=g),
        torch.randn(64, generator=g),
        (torch.rand(64, generator=g) > 0.5).float(),
    )
    logits, bins = torch.randn(64, 5, generator=g), torch.rand(64, 5, generator=g)
    count = int(labelled.sum())

    def losses(rows: slice) -> torch.Tensor:
        return torch.stack(
            [
                flow_loss(error[rows], mask[rows], weight[rows], 64),
                viability_loss(z[rows], y[rows], labelled[rows], count),
                efficiency_loss(v[rows], y[rows], labelled[rows], count, weight[rows]),
                parent_loss(logits[rows], bins[rows], labelled[rows], count),
            ]
        )

    whole, parts = losses(slice(None)), [losses(slice(start, start + 16)) for start in range(0, 64, 16)]
    torch.testing.assert_close(torch.stack(parts).sum(0), whole)


def test_viability_loss_by_hand():
    z = torch.tensor([0.0, math.log(3.0), 5.0], requires_grad=True)
    loss = viability_loss(z, torch.tensor([1.0, 0.0, NAN]), torch.tensor([YES, YES, NO]), 2)
    # p = 1/2, y = 1: ln 2; p = 3/4, y = 0: -ln(1/4) = 2 ln 2; two labelled windows.
    assert loss.item() == pytest.approx(1.5 * math.log(2))
    loss.backward()
    assert z.grad is not None and z.grad.tolist() == pytest.approx([-0.25, 0.375, 0])  # (p - y) / 2


def test_efficiency_loss_by_hand():
    v = torch.tensor([-1.5, -5.0, -7.0], requires_grad=True)
    loss = efficiency_loss(v, torch.tensor([-1.0, -2.0, NAN]), torch.tensor([YES, YES, NO]), 2)
    # errors -0.5 and -3, delta 1: 0.5 * 0.25 = 0.125 and 3 - 0.5 = 2.5; two windows.
    assert loss.item() == pytest.approx(2.625 / 2)
    loss.backward()
    assert v.grad is not None and v.grad.tolist() == pytest.approx([-0.25, -0.5, 0])


def test_efficiency_loss_in_units_of_the_stride():
    # errors -4 and -12 steps are -0.5 and -1.5 units of 8: 0.125 and 1.5 - 0.5 = 1.
    loss = efficiency_loss(
        torch.tensor([-12.0, -20.0]), torch.tensor([-8.0, -8.0]), torch.tensor([YES, YES]), 2, unit=8.0
    )
    assert loss.item() == pytest.approx(1.125 / 2)


def test_weights_are_per_window():
    assert (
        masked_mean(
            torch.tensor([1.0, 2.0, 4.0]), torch.tensor([YES, NO, YES]), 4, torch.tensor([3.0, 9.0, 0.25])
        ).item()
        == 1.0
    )


def test_critic_loss_adds_its_terms():
    assert critic_loss(torch.tensor(2.0), torch.tensor(3.0)).item() == 5.0
    assert critic_loss(torch.tensor(2.0), torch.tensor(3.0), coefficients=(0.5, 2.0)).item() == 7.0


def test_nothing_supervised_is_loss_zero():
    z = torch.zeros(2, requires_grad=True)
    loss = viability_loss(z, torch.full((2,), NAN), torch.tensor([NO, NO]), 0) + efficiency_loss(
        z, torch.full((2,), NAN), torch.tensor([NO, NO]), 0
    )
    loss.backward()
    assert loss.item() == 0.0 and z.grad is not None and z.grad.tolist() == [0, 0]


def test_parent_loss_by_hand():
    logits = torch.tensor([[0.0, 0.0], [1.0, 9.0]])
    target = torch.tensor([[0.5, 0.5], [NAN, NAN]])
    assert parent_loss(logits, target, torch.tensor([YES, NO]), 1).item() == pytest.approx(math.log(2))
