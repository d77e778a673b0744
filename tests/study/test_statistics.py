"""Differences by hand, in worlds whose answer is known, and their intervals over many such worlds."""

from dataclasses import replace

import numpy as np
import pytest

from vantage.study.statistics import contrast, grids, hold_together, rate
from vantage.study.words import span


def trials(**arms: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of arms given as success [tasks, seeds, starts]; a success takes 10 steps (arm a) or 12, the limit
    is 20."""
    rows: dict[str, list[object]] = {
        name: [] for name in ("task", "world", "arm", "seed", "trial", "success", "steps", "limit")
    }
    for arm, success in arms.items():
        for (task, seed, trial), won in np.ndenumerate(success):
            values = (
                f"task-{task}",
                f"task-{task}",
                arm,
                seed,
                trial,
                bool(won),
                10 if arm == "a" else 12,
                20,
            )
            for column, value in zip(rows.values(), values, strict=True):
                column.append(value)
    return {name: np.array(column) for name, column in rows.items()}


A = np.array([[[1, 1, 0, 0], [1, 1, 1, 0]], [[1, 1, 1, 1], [1, 0, 1, 1]]], bool)
B = np.array([[[1, 0, 0, 0], [0, 1, 0, 0]], [[1, 1, 1, 1], [1, 1, 1, 1]]], bool)


def test_a_contrast_by_hand() -> None:
    found = contrast(trials(a=A, b=B), "a", "b")
    assert found is not None
    # task 0: 5/8 - 2/8; task 1: 7/8 - 8/8
    assert found.by_task == {"task-0": 3 / 8, "task-1": -1 / 8}
    assert found.difference.estimate == pytest.approx(1 / 8) and found.difference.n == 4
    # runs of task 0: a .5, .75 beat b .25, .25 always; of task 1: a 1, .75 against b 1, 1: two ties in four
    assert found.improvement.estimate == pytest.approx((1 + 0.25) / 2)
    assert found.shared_steps.estimate == -2 and found.shared_steps.n == 2 + 7
    # all starts, failures at 20: task 0 (5*10 + 3*20 - 2*12 - 6*20) / 8, task 1 (7*10 + 20 - 8*12) / 8
    assert found.limit_steps.estimate == pytest.approx(((110 - 144) / 8 + (90 - 96) / 8) / 2)
    assert found.difference.low < 1 / 8 < found.difference.high


def test_p_counts_every_way_to_swap_two_arms_by_hand() -> None:
    found = contrast(trials(a=A, b=B), "a", "b")
    # cells: task 0 +.25, +.5, task 1 0, -.25, a half and a half of a half each: sums of +-1 +-2 +-0 +-1 as
    # far from 0 as 2: 12 of 16
    assert found is not None and found.p == 12 / 16
    better = np.ones((2, 10, 4), bool)
    worse = better & (np.arange(4) > 0)
    sure = contrast(trials(a=better, b=worse), "a", "b")
    assert sure is not None and sure.p == 1 / 20_001, (
        "20 cells: too many to try all, and none of the tried is as far"
    )
    none = contrast(trials(a=A, b=A), "a", "b")
    assert none is not None and none.p == 1


@pytest.mark.parametrize(
    ("p", "stands"),
    [
        ((0.03, 0.01, 0.02), (True, True, True)),  # .05 / 3, / 2, / 1
        ((0.03, 0.01, 0.04), (False, True, False)),  # .03 > .05 / 2, and what lies behind falls with it
        ((0.02, 0.03, 0.04), (False, False, False)),
        ((), ()),
    ],
)
def test_differences_that_stand_together_by_hand(p: tuple[float, ...], stands: tuple[bool, ...]) -> None:
    found = contrast(trials(a=A, b=B), "a", "b")
    assert found is not None
    assert hold_together([replace(found, p=each) for each in p]) == list(stands)


def test_only_seeds_that_both_have_finished_count() -> None:
    rows = trials(a=A, b=B)
    missing = (rows["arm"] == "b") & (rows["seed"] == 1)
    found = contrast({name: column[~missing] for name, column in rows.items()}, "a", "b")
    assert found is not None and found.difference.n == 2
    assert found.by_task == {"task-0": 1 / 4, "task-1": 0.0}
    ends = (
        found.difference.low,
        found.difference.high,
        found.improvement.low,
        found.detectable,
        found.shared_steps.low,
    )
    assert np.isnan(ends).all(), "one seed a task says nothing of the scatter between seeds"
    assert span(found.difference, signed=True) == "+0.125"
    assert contrast(rows, "a", "nobody") is None


def test_order_of_rows_does_not_matter() -> None:
    rows = trials(a=A, b=B)
    order = np.random.default_rng(0).permutation(len(rows["seed"]))
    assert contrast(rows, "a", "b") == contrast(
        {name: column[order] for name, column in rows.items()}, "a", "b"
    )


def test_an_arm_beside_itself_is_no_difference() -> None:
    found = contrast(trials(a=A, b=A), "a", "b")
    assert found is not None and (found.difference.estimate, found.difference.low, found.difference.high) == (
        0,
        0,
        0,
    )
    assert found.improvement.estimate == 0.5 and found.detectable == 0


def test_rates_count_tasks_the_same() -> None:
    found = rate(trials(a=A), "a")
    assert found is not None and found.overall.estimate == pytest.approx((5 / 8 + 7 / 8) / 2)
    assert found.by_task["task-0"].estimate == 5 / 8 and found.steps == 10
    assert found.reached == {"task-0": 0.75, "task-1": 1.0}
    assert grids(trials(a=A), "a")["task-1"].steps.tolist() == [[10] * 4, [10, 20, 10, 10]]


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Seeds and starts both differ; the true difference is 0.1. A crossed bootstrap errs on the wide side."""
    rng, hits = np.random.default_rng(1), 0
    for _ in range(60):
        seed, start = rng.normal(0, 0.08, (2, 8, 1)), rng.normal(0, 0.15, (2, 1, 40))
        a = rng.random((2, 8, 40)) < np.clip(0.6 + rng.normal(0, 0.05, (2, 8, 1)) + seed + start, 0, 1)
        b = rng.random((2, 8, 40)) < np.clip(0.5 + rng.normal(0, 0.05, (2, 8, 1)) + seed + start, 0, 1)
        found = contrast(trials(a=a, b=b), "a", "b")
        assert found is not None
        hits += found.difference.low <= 0.1 <= found.difference.high
    assert hits >= 54, "95 % of 60 is 57"
