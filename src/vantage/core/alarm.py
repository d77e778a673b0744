"""Viability at every prediction of a policy -> when to call for help, and what that costs and saves.

    p_v    0.9  0.8  0.3  0.2  0.1
    below            x    x    x          threshold 0.5
    call                       !          patience 3: three predictions in a row

A threshold is bought with past episodes: a call in one that the policy would have solved loses a success, a
call in one that it would not saves the steps that were left. `calibrate` says what every price buys, each
episode judged by an alarm that was chosen without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

from vantage.bounds import Count, Share, check
from vantage.core.stats import Interval, wilson
from vantage.errors import VantageError

THRESHOLDS = tuple(round(0.02 * number, 2) for number in range(50))
"""From 0, which never calls, to 0.98."""
PATIENCES = (1, 2, 3, 5, 8)
PRICES = (0.0, 0.02, 0.05, 0.1, 0.2)
"""Shares of the successes that may be lost, for the table."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Calls once viability has stayed below a threshold for several predictions in a row."""

    threshold: Share
    """p_v below which a prediction counts; 0 never calls."""
    patience: Count
    """Predictions in a row."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def count(self, p_v: Float[np.ndarray, "B"], streak: Int64[np.ndarray, "B"]) -> Int64[np.ndarray, "B"]:
        """The predictions in a row below the threshold, after one more; `streak` of them before it."""
        return np.where(p_v < self.threshold, streak + 1, 0)

    def first(self, p_v: Float[np.ndarray, "K"]) -> int | None:
        """Which of K predictions calls; None: none does. The same as counting them one by one."""
        if len(p_v) < self.patience:
            return None
        below = np.convolve(p_v < self.threshold, np.ones(self.patience, np.int64), "valid")
        calling = np.flatnonzero(below == self.patience)
        return int(calling[0]) + self.patience - 1 if len(calling) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a policy drove of one episode, from its start until its end or until a person took over."""

    episode: int
    p_v: Float[np.ndarray, "K"]
    """At every prediction."""
    at: Int64[np.ndarray, "K"]
    """The control step of every prediction, from 0."""
    steps: int
    """Control steps that the policy drove."""
    solved: bool | None
    """True: the policy succeeded alone. False: it failed, or a person took over. None: nobody knows."""
    taken_over: bool
    """Whether a person took over, which is where what the policy drove ends."""

    def called(self, alarm: Alarm) -> int | None:
        """The control step at which the alarm calls."""
        number = alarm.first(self.p_v)
        return None if number is None else int(self.at[number])


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What one price buys, measured on episodes that did not choose the alarm."""

    price: float
    """Share of the successes that might be lost, of the episodes that chose."""
    alarm: Alarm
    """Chosen by all episodes: what is used from now on."""
    lost: Interval
    """Share of the successes in which it called."""
    caught: Interval
    """Share of the others in which it called."""
    saved: int
    """Control steps that were left in those."""
    of: int
    """Control steps of all those that were not solved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """An alarm, what it was chosen from, and when it would have called."""

    alarm: Alarm
    offers: tuple[Offer, ...]
    """By price; the chosen one's among them."""
    price: float
    calls: dict[int, int | None]
    """Episode -> the control step at which an alarm that was chosen without it calls."""

    @property
    def chosen(self) -> Offer:
        """The offer that was taken."""
        return next(offer for offer in self.offers if offer.price == self.price)


def calibrate(past: Sequence[Watched], price: float, *, prices: Sequence[float] = PRICES) -> Calibration:
    """Choose threshold and patience: the most steps saved for at most `price` of the successes lost.

    Raises VantageError where there is no success to lose, or nothing to save.
    """
    known = [watched for watched in past if watched.solved is not None]
    solved = np.array([bool(watched.solved) for watched in known], np.bool_)
    if solved.sum() < 2 or solved.all():
        raise VantageError(
            "an alarm is chosen on episodes that the policy solved alone and others that it did not; here "
            f"are {int(solved.sum())} and {int((~solved).sum())}: "
            "give outcomes, or more episodes (two solved ones at least)"
        )

    grid = [Alarm(0.0, 1)] + [Alarm(level, count) for level in THRESHOLDS[1:] for count in PATIENCES]
    step = np.array([[_or_nan(watched.called(alarm)) for watched in known] for alarm in grid])
    called = ~np.isnan(step)
    length = np.array([watched.steps for watched in known])
    saved = np.where(called & ~solved, length - step, 0.0)

    lost, total = called[:, solved].sum(1), saved.sum(1)
    won, others = int(solved.sum()), int((~solved).sum())

    offers: list[Offer] = []
    calls: dict[int, int | None] = {}
    for allowed in sorted({*prices, price}):
        # Without an episode means without what it lost and saved.
        without = [
            _choose(
                lost - (called[:, number] & solved[number]),
                total - saved[:, number],
                won - int(solved[number]),
                allowed,
            )
            for number in range(len(known))
        ]
        own = called[without, np.arange(len(known))]
        offers.append(
            Offer(
                price=allowed,
                alarm=grid[_choose(lost, total, won, allowed)],
                lost=wilson(int((own & solved).sum()), won),
                caught=wilson(int((own & ~solved).sum()), others),
                saved=int(saved[without, np.arange(len(known))].sum()),
                of=int(length[~solved].sum()),
            )
        )
        if allowed == price:
            alarm = offers[-1].alarm
            calls = {
                watched.episode: watched.called(grid[place])
                for watched, place in zip(known, without, strict=True)
            }
            calls |= {watched.episode: watched.called(alarm) for watched in past if watched.solved is None}

    chosen = next(offer for offer in offers if offer.price == price)
    return Calibration(alarm=chosen.alarm, offers=tuple(offers), price=price, calls=calls)


def _choose(lost: Int64[np.ndarray, "G"], saved: Float64[np.ndarray, "G"], won: int, price: float) -> int:
    """The row of the grid that saves most, of those that lose at most `price` of `won` successes.

    Of equal ones that which loses least, and then the lowest threshold.
    """
    affordable = lost <= price * won + 1e-9
    order = np.lexsort((np.arange(len(lost)), lost, -np.where(affordable, saved, -1.0)))
    return int(order[0])


def _or_nan(step: int | None) -> float:
    return np.nan if step is None else float(step)
