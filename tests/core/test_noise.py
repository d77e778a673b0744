import pytest
import torch

from vantage.core.noise import correlate, whiten


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95])
def test_correlated_noise_has_unit_variance_and_the_given_correlation(rho):
    e = correlate(torch.randn(200_000, 5, 1, generator=torch.Generator().manual_seed(0)), rho)[:, :, 0]
    found = torch.corrcoef(e.T)
    wanted = rho ** (torch.arange(5)[:, None] - torch.arange(5)).abs().float()
    torch.testing.assert_close(found, wanted, atol=0.01, rtol=0)
    torch.testing.assert_close(e.std(0), torch.ones(5), atol=0.01, rtol=0)


def test_whitening_undoes_it_and_needs_no_later_step():
    z = torch.randn(3, 6, 2, generator=torch.Generator().manual_seed(1))
    e = correlate(z, 0.7)
    torch.testing.assert_close(whiten(e, 0.7), z)
    torch.testing.assert_close(whiten(e[:, :2], 0.7), z[:, :2])
