import math

import numpy as np
import pytest

from vantage.core.self_bc import ConstantBC, GradientBC, NoSelfBC, RampBC, Standing, SuccessBC

NOW = Standing(steps=300_000, success=np.array([1.0, 0.5, 0.0]), gradient_ratio=4.0)


def test_rules_side_by_side():
    b = math.tanh(1)
    wanted = {
        NoSelfBC(): (1, [0, 0, 0]),
        ConstantBC(beta=0.2): (1, [0.2, 0.2, 0.2]),
        RampBC(over=300_000): (b, [1 - b] * 3),
        SuccessBC(beta_max=0.4, floor=0.1): (1, [0.04, 0.2, 0.4]),
        GradientBC(share=0.5, floor=0.1): (1, [0.5 * 0.5 * 4] * 3),
    }
    for rule, (ppo, bc) in wanted.items():
        found = rule(NOW)
        assert found[0] == pytest.approx(ppo)
        np.testing.assert_allclose(found[1], bc)


def test_the_ramp_begins_as_imitation_and_ends_as_ppo():
    begin, end = (
        RampBC(over=100)(Standing(steps=t, success=np.zeros(2), gradient_ratio=1.0)) for t in (0, 10_000)
    )
    assert begin[0] == 0 and (begin[1] == 1).all()
    assert end[0] == pytest.approx(1) and end[1] == pytest.approx(np.zeros(2))
