import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.distributional import Bins, HLGauss, TwoHot, cross_entropy, expectation

FIVE = Bins(low=-4.0, high=0.0, count=5)  # centres -4, -3, -2, -1, 0


def test_bins():
    assert FIVE.width == 1.0
    assert FIVE.centres(torch.zeros(1)).tolist() == [-4, -3, -2, -1, 0]
    assert Bins().count == 201 and Bins().width == 1.0


def test_two_hot_by_hand():
    target = TwoHot()(torch.tensor([-2.25, -3.0, 7.0, -99.0]), FIVE)
    # -2.25 lies a quarter of the way from -2 to -3; -3 is a centre; what is off the support goes to its end.
    assert target.tolist() == [[0, 0.25, 0.75, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]


def test_hl_gauss_by_hand():
    target = HLGauss(sigma=0.75)(torch.tensor([-2.0], dtype=torch.float64), FIVE)[0]

    def phi(x: float) -> float:
        return 0.5 * (1 + math.erf(x / math.sqrt(2)))

    edges = [-4.5, -3.5, -2.5, -1.5, -0.5, 0.5]
    mass = [phi((b + 2) / 0.75) - phi((a + 2) / 0.75) for a, b in pairwise(edges)]
    assert target.tolist() == pytest.approx([m / sum(mass) for m in mass])
    assert target[2] == target.max() and target[1] == pytest.approx(target[3])


@given(st.lists(st.floats(-200, 0), min_size=1, max_size=5))
def test_two_hot_keeps_the_mean_and_both_are_distributions(values):
    value = torch.tensor(values, dtype=torch.float64)
    for projection in (TwoHot(), HLGauss()):
        target = projection(value, Bins())
        assert target.min() >= 0 and torch.allclose(target.sum(-1), torch.ones_like(value))
    torch.testing.assert_close(expectation(TwoHot()(value, Bins()).log(), Bins()), value, atol=1e-6, rtol=0)


def test_hl_gauss_keeps_the_mean_away_from_the_ends():
    value = torch.tensor([-150.3, -10.9], dtype=torch.float64)
    torch.testing.assert_close(expectation(HLGauss()(value, Bins()).log(), Bins()), value, atol=0.01, rtol=0)


def test_expectation_by_hand():
    logits = torch.tensor([0.0, 0.0, math.log(2.0), 0.0, 0.0])  # weights 1 1 2 1 1 of 6
    assert expectation(logits, FIVE).item() == pytest.approx((-4 - 3 - 2 * 2 - 1 + 0) / 6)


def test_cross_entropy_by_hand():
    logits, target = torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[0.25, 0.75]])
    # softmax 1/4, 3/4: -(1/4 ln 1/4 + 3/4 ln 3/4)
    assert cross_entropy(logits, target).item() == pytest.approx(0.25 * math.log(4) + 0.75 * math.log(4 / 3))


def test_cross_entropy_teaches_the_mean():
    value, logits = torch.tensor([-37.5, -120.0]), torch.zeros(2, 201, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.5)
    for _ in range(200):
        optimiser.zero_grad()
        cross_entropy(logits, TwoHot()(value, Bins())).mean().backward()
        optimiser.step()
    torch.testing.assert_close(expectation(logits, Bins()), value, atol=0.5, rtol=0)
