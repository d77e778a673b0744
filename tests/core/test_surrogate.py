import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vantage.core.surrogate import (
    Discount,
    Potential,
    StepCost,
    chunk_advantages,
    clipped_surrogate,
    clipped_value_loss,
    divergence,
    potential_ahead,
    standardise_by_task,
)

STEPS = np.array([5, 5, 3, 5, 5])
WON = np.array([False, False, True, False, False])
LAST = np.array([False, False, True, False, True])
ZEROS = np.zeros(5)


def test_rewards_by_hand():
    # A success on the third step of its chunk: two steps of discount. Nothing else pays.
    np.testing.assert_allclose(Discount(gamma=0.9).reward(STEPS, WON, ZEROS, ZEROS), [0, 0, 0.81, 0, 0])
    np.testing.assert_allclose(
        StepCost(cost=0.1).reward(STEPS, WON, ZEROS, ZEROS), [-0.5, -0.5, 0.7, -0.5, -0.5]
    )
    # gamma 0.5: five steps cost 0.1 (1 + 1/2 + 1/4 + 1/8 + 1/16), three 0.1 (1 + 1/2 + 1/4), and the success
    # is worth 1/4.
    half = StepCost(cost=0.1, gamma=0.5).reward(STEPS, WON, ZEROS, ZEROS)
    np.testing.assert_allclose(half, [-0.19375, -0.19375, 0.25 - 0.175, -0.19375, -0.19375])


def test_a_potential_adds_up_to_minus_its_first_value():
    phi = np.array([-0.8, -0.5, -0.1, -0.9, -0.7])
    after = np.array([-0.5, -0.1, 0.0, -0.7, 0.0])
    shaped = Potential(gamma=0.9, scale=2.0).reward(STEPS, WON, phi, after) - Discount(gamma=0.9).reward(
        STEPS, WON, phi, after
    )
    since = np.array([0, 5, 10, 0, 5])
    assert (0.9 ** since[:3] * shaped[:3]).sum() == pytest.approx(2 * 0.8)
    assert (0.9 ** since[3:] * shaped[3:]).sum() == pytest.approx(2 * 0.9)
    np.testing.assert_allclose(
        Potential(gamma=0.9, scale=0.0).reward(STEPS, WON, phi, after),
        Discount(gamma=0.9).reward(STEPS, WON, phi, after),
    )


def test_advantages_by_hand():
    # One episode of two chunks, 2 and 1 steps; gamma 0.5, lambda 0.5; success on the last step.
    value = np.array([0.5, 0.8])
    reward = np.array([0.0, 1.0])
    one = {"steps": np.array([2, 1]), "success": np.array([False, True]), "last": np.array([False, True])}
    advantage, target = chunk_advantages(
        reward, value, np.full(2, 9.0), **one, gamma=0.5, lam=0.5, limit_bootstraps=True
    )
    # A_1 = 1 - 0.8 (no bootstrap from the 9 behind a success); A_0 = 0.25 * 0.8 - 0.5 + (0.25)^2 * 0.2.
    np.testing.assert_allclose(advantage, [0.2 - 0.5 + 0.0625 * 0.2, 0.2])
    np.testing.assert_allclose(target, advantage + value)


def test_the_limit_is_an_end_or_bootstraps():
    one = {
        "steps": np.array([4]),
        "success": np.array([False]),
        "last": np.array([True]),
        "gamma": 0.5,
        "lam": 1.0,
    }
    value, end, nothing = np.array([0.3]), np.array([0.8]), np.zeros(1)
    assert chunk_advantages(nothing, value, end, **one, limit_bootstraps=False)[0] == pytest.approx(-0.3)
    assert chunk_advantages(nothing, value, end, **one, limit_bootstraps=True)[0] == pytest.approx(
        0.5**4 * 0.8 - 0.3
    )


chunks = st.tuples(st.integers(1, 8), st.floats(-1, 1), st.floats(-1, 1))
episodes = st.lists(
    st.tuples(st.lists(chunks, min_size=1, max_size=6), st.booleans()), min_size=1, max_size=4
)


@given(episodes, st.floats(0.5, 1), st.floats(0, 1), st.booleans())
def test_advantages_against_the_slow_definition(drawn, gamma, lam, bootstraps):
    rows = [
        (n, r, v, i == len(chunks) - 1, won and i == len(chunks) - 1)
        for chunks, won in drawn
        for i, (n, r, v) in enumerate(chunks)
    ]
    steps, reward, value, last, success = (np.array(column) for column in zip(*rows, strict=True))
    end = np.linspace(-1, 1, len(rows))
    found, _ = chunk_advantages(
        reward, value, end, steps, success, last, gamma=gamma, lam=lam, limit_bootstraps=bootstraps
    )
    for k in range(len(rows)):
        total, weight, j = 0.0, 1.0, k
        while True:
            after = 0.0 if success[j] else (end[j] if bootstraps else 0.0) if last[j] else value[j + 1]
            total += weight * (reward[j] + gamma ** steps[j] * after - value[j])
            if last[j]:
                break
            weight *= (gamma * lam) ** steps[j]
            j += 1
        assert found[k] == pytest.approx(total, abs=1e-9)


@given(episodes, st.floats(0.5, 1), st.floats(0, 1), st.booleans())
def test_shaping_moves_no_advantage(drawn, gamma, lam, bootstraps):
    """Ng, Harada and Russell: with a critic that has learned V - Phi, every advantage is what it was without
    shaping, also behind a limit that bootstraps."""
    rows = [
        (n, phi, v, i == len(chunks) - 1, won and i == len(chunks) - 1)
        for chunks, won in drawn
        for i, (n, phi, v) in enumerate(chunks)
    ]
    steps, phi, value, last, success = (np.array(column) for column in zip(*rows, strict=True))
    end, phi_end = np.linspace(-1, 1, len(rows)), np.linspace(0.7, -0.9, len(rows))
    after = potential_ahead(phi, phi_end, success, last, limit_bootstraps=bootstraps)
    given_all = {"gamma": gamma, "lam": lam, "limit_bootstraps": bootstraps}

    plain = Discount(gamma=gamma).reward(steps, success, phi, after)
    shaped = Potential(gamma=gamma, scale=2.0).reward(steps, success, phi, after)
    ours, _ = chunk_advantages(shaped, value - 2 * phi, end - 2 * phi_end, steps, success, last, **given_all)
    theirs, _ = chunk_advantages(plain, value, end, steps, success, last, **given_all)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


@given(st.lists(st.integers(1, 6), min_size=2, max_size=8))
def test_chunking_does_not_change_a_return(lengths):
    # lambda 1 and no critic: the advantage of a chunk is the discounted return, whichever way the episode is
    # cut.
    n = np.array(lengths)
    last = np.arange(len(n)) == len(n) - 1
    price, nothing = Discount(gamma=0.97), np.zeros(len(n))
    found, _ = chunk_advantages(
        price.reward(n, last, nothing, nothing),
        nothing,
        nothing,
        n,
        last,
        last,
        gamma=0.97,
        lam=1.0,
        limit_bootstraps=False,
    )
    assert found[0] == pytest.approx(0.97 ** (n.sum() - 1))


def test_standardise_by_task_by_hand():
    found = standardise_by_task(np.array([1.0, 3.0, 10.0, 10.0]), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(found, [-1, 1, 0, 0])
    np.testing.assert_allclose(
        standardise_by_task(np.array([0.0, 2e-4]), np.zeros(2, int), floor=1e-3), [-0.1, 0.1]
    )


def test_clipped_surrogate_by_hand():
    # Ratios 1.5 and 0.5 on both signs of A: a gain is clipped at 1.2 or 0.8, a loss is not.
    log_ratio = torch.log(torch.tensor([[1.5], [1.5], [0.5], [0.5]]))
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])
    found = clipped_surrogate(log_ratio, advantage, clip=0.2, denominator=4)
    assert found.item() == pytest.approx(-(1.2 - 1.5 + 0.5 - 0.8) / 4)
    halves = [
        clipped_surrogate(log_ratio[i : i + 2], advantage[i : i + 2], clip=0.2, denominator=4) for i in (0, 2)
    ]
    assert sum(halves).item() == pytest.approx(found.item())
    twice = clipped_surrogate(log_ratio.expand(4, 3), advantage, clip=0.2, denominator=4)
    assert twice.item() == pytest.approx(found.item()), "several estimates of a ratio count as their mean"


def test_pulling_back_by_hand():
    # A = -1: the clip lets go of a ratio below 0.8 (no gradient), the parabola pulls it back towards 1 - eps.
    log_ratio = torch.log(torch.tensor([[0.5], [0.8], [0.9], [1.5]])).requires_grad_()
    advantage = torch.tensor([-1.0, -1.0, -1.0, 1.0])
    found = clipped_surrogate(log_ratio, advantage, clip=0.2, denominator=4, pull_back=True)
    by_hand = [-(0.5 + 0.25 / 0.4), -(0.8 + 0.04 / 0.4), -(0.9 + 0.01 / 0.4), 1.2]
    assert found.item() == pytest.approx(-sum(by_hand) / 4)
    found.backward()
    assert log_ratio.grad is not None
    assert (
        log_ratio.grad[0] < 0
        and abs(log_ratio.grad[1]) < 1e-6
        and log_ratio.grad[2] > 0
        and log_ratio.grad[3] == 0
    )


def test_the_surrogates_gradient_at_ratio_one_is_the_policy_gradient():
    log_ratio = torch.zeros(3, 1, requires_grad=True)
    clipped_surrogate(log_ratio, torch.tensor([1.0, -2.0, 3.0]), clip=0.2, denominator=3).backward()
    torch.testing.assert_close(log_ratio.grad, -torch.tensor([[1.0], [-2.0], [3.0]]) / 3)


def test_clipped_value_loss_by_hand():
    value, before, target = torch.tensor([1.0, 0.1]), torch.zeros(2), torch.tensor([1.0, 1.0])
    # The first moved 1.0 and may move 0.2: it is judged at 0.2. The second moved 0.1: as it is.
    assert clipped_value_loss(value, before, target, clip=0.2, denominator=2).item() == pytest.approx(
        0.5 * (0.64 + 0.81) / 2
    )
    free = clipped_value_loss(value, before, target, clip=float("inf"), denominator=2)
    assert free.item() == pytest.approx(0.5 * 0.81 / 2)


@given(st.floats(-3, 3))
def test_divergence_is_never_negative(log_ratio):
    assert divergence(torch.tensor([log_ratio])).item() >= -1e-6


def test_divergence_is_the_kl_of_two_gaussians():
    old, new = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(0.3, 1.0)
    x = old.sample((400_000,))
    assert divergence(new.log_prob(x) - old.log_prob(x)).mean().item() == pytest.approx(0.3**2 / 2, rel=0.03)
