"""Trials of two policies on a real robot -> what they say about which is better, as numbers, words and a
page."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vantage.core.stats import Interval, difference, paired_difference, pairs_needed, trials_needed, wilson
from vantage.data.real_trials import RealTrials, paired
from vantage.disk.files import write_whole
from vantage.report.render import render
from vantage.report.words import bracket, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Two policies' rates, and how far they are apart."""

    ours: str
    theirs: str
    our_rate: Interval
    their_rate: Interval
    difference: Interval
    """Success rate of ours minus theirs."""
    paired: bool
    """Whether both were tried on the same starts."""
    only_ours: int | None
    """Starts that only ours solved; None where trials are not paired."""
    only_theirs: int | None
    needed: int | None
    """Trials of each (or paired starts) in all after which a difference like this would be found, four times
    in five; None where there is no difference."""

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.difference.low > 0 or self.difference.high < 0

    @property
    def sentence(self) -> str:
        """What the trials say."""
        gap = self.difference
        apart = f"{signed(100 * gap.estimate)} points{bracket(signed(100 * gap.low), signed(100 * gap.high))}"
        if self.decided:
            better, worse = self.ours, self.theirs
            if gap.estimate < 0:
                better, worse = worse, better
            return f"{better} is better than {worse}: the difference in success is {apart}."
        what = "paired starts" if self.paired else "trials of each"
        undecided = f"The trials do not tell {self.ours} and {self.theirs} apart"
        if self.needed is None:
            return f"{undecided}: the difference in success is {apart}."

        return (
            f"{undecided} yet: the difference in success is {apart}. If it is as large as it looks, "
            f"{self.needed:,} {what} in all would show it, four times in five."
        )


def judge(ours: RealTrials, theirs: RealTrials) -> Verdict:
    """Compare two policies' trials, paired where both name their starts.

    Wilson intervals of the rates, Newcombe's of the difference. Raises VantageError where starts are named
    and differ.
    """
    won, lost = sum(ours.success), sum(theirs.success)
    our_rate, their_rate = wilson(won, len(ours.success)), wilson(lost, len(theirs.success))
    pairs = paired(ours, theirs)
    only_ours = only_theirs = None

    if pairs is None:
        apart = difference(won, len(ours.success), lost, len(theirs.success))
        needed = trials_needed(our_rate.estimate, their_rate.estimate)
    else:
        first, second = (np.array(outcomes, np.bool_) for outcomes in pairs)
        apart = paired_difference(first, second)
        only_ours, only_theirs = int((first & ~second).sum()), int((second & ~first).sum())
        needed = pairs_needed(only_ours / len(first), only_theirs / len(first))

    return Verdict(
        ours=ours.name,
        theirs=theirs.name,
        our_rate=our_rate,
        their_rate=their_rate,
        difference=apart,
        paired=pairs is not None,
        only_ours=only_ours,
        only_theirs=only_theirs,
        needed=needed,
    )


def write_page(verdict: Verdict, out: Path) -> None:
    """A page to hand around."""
    values = {"name": f"{verdict.ours} and {verdict.theirs}", "verdict": verdict}
    write_whole(out, render("trials.html", values).encode())
