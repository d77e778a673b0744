"""Flow matching: the straight path, its integral, and fair times."""

import pytest
import torch

from vantage.core.flow import draw_time, integrate_euler, path_point


def test_the_path_by_hand() -> None:
    actions, noise = torch.full((3, 1, 1), 4.0), torch.full((3, 1, 1), 2.0)
    point, velocity = path_point(actions, noise, torch.tensor([0.0, 0.25, 1.0]))
    assert point.flatten().tolist() == [2.0, 2.5, 4.0]
    assert velocity.flatten().tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_a_straight_field_is_integrated_exactly(steps: int) -> None:
    noise, actions = torch.randn(5, 4, 2), torch.randn(5, 4, 2)
    torch.testing.assert_close(integrate_euler(lambda x, t: actions - noise, noise, steps), actions)


def test_euler_on_a_curved_field_by_hand() -> None:
    # dx/dt = x from 1: Euler with n steps gives (1 + 1/n)^n.
    assert integrate_euler(lambda x, t: x, torch.ones(1, 1, 1), 2).item() == pytest.approx(2.25)
    assert integrate_euler(lambda x, t: x, torch.ones(1, 1, 1), 1000).item() == pytest.approx(
        torch.e, abs=2e-3
    )


def test_the_optimal_velocity_carries_noise_to_a_gaussian() -> None:
    # Data N(3, 0.5^2): with x_t = (1-t) z + t a the optimal velocity is E[a - z | x_t], linear in x_t.
    mean, std = 3.0, 0.5

    def velocity(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        t = time[:, None, None]
        variance = (1 - t) ** 2 + (t * std) ** 2
        return mean + (t * std**2 - (1 - t)) / variance * (x - t * mean)

    sample = integrate_euler(
        velocity, torch.randn(20_000, 1, 1, generator=torch.Generator().manual_seed(0)), 100
    )
    assert sample.mean().item() == pytest.approx(mean, abs=0.02)
    assert sample.std().item() == pytest.approx(std, abs=0.02)


def test_times_hit_every_stratum_once() -> None:
    time = draw_time(64, torch.Generator().manual_seed(0))
    assert sorted((time * 64).long().tolist()) == list(range(64))
    assert torch.equal(time, draw_time(64, torch.Generator().manual_seed(0)))
