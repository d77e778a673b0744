"""Numbers -> the words that tables, figures and boards print them in."""

import math

from vantage.core.stats import Interval


def hours(seconds: float) -> str:
    """A time as people say it: ``1 h 05 min``, ``12 min``, ``40 s``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int, noun: str) -> str:
    """A number of things: ``1 worker``, ``2 workers``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def fixed(value: float, digits: int = 2) -> str:
    """A number with so many digits, a dash where there is none. Example: 0.5 -> "0.50"."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def span(interval: Interval, digits: int = 3, signed: bool = False) -> str:
    """An estimate with its interval, ``0.713 [0.650, 0.771]``; without one if there is none, a dash where
    there is nothing."""
    if not math.isfinite(interval.estimate):
        return "–"
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    estimate = form.format(interval.estimate)
    if not math.isfinite(interval.low):
        return estimate
    return f"{estimate} [{form.format(interval.low)}, {form.format(interval.high)}]"
