"""Values -> the words people read: numbers, rates, differences, settings, and text that is safe to show.

Everything here returns plain text. Markup is added, and text escaped, where a page or drawing is put
together.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from vantage.progress import printable

_LINE_BREAKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_MARKDOWN = re.compile(r"[\\`|>*]|<(?=[A-Za-z/!?])")  # a "<" before anything else is no tag and stays
_LINK = re.compile(r"\]\(")


def one_line(text: str) -> str:
    """Text from a file or a path as one line: line breaks and tabs become spaces.

    All else is as in `printable`.
    """
    return printable(_LINE_BREAKS.sub(" ", text))


def markdown(text: str) -> str:
    """Text as it can stand anywhere in a Markdown document, in a cell of a table too, and be read as it was.

    Pipes, backticks, stars, angle brackets of tags and backslashes are escaped, a link's "](" is broken, and
    control characters become visible marks as in `one_line`. Example: "a|b <c>" -> "a\\|b \\<c\\>", and
    "p < 0.01" stays as it is.
    """
    return _LINK.sub(r"]\\(", _MARKDOWN.sub(r"\\\g<0>", one_line(text)))


def code(text: str) -> str:
    """Text as a code span of Markdown, fenced by more backticks than it holds in a row; not for a table."""
    text = one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    air = " " if len(fence) > 1 else ""
    return f"{fence}{air}{text}{air}{fence}"


def number(value: float, digits: int = 3) -> str:
    """A number with few digits, thousands apart and a true minus; a dash where it is not finite.

    Example: -1234.5 -> "−1,234".
    """
    if not math.isfinite(value):
        return "–"

    if abs(value) >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.{digits}g}"
        if "e" in text:
            text = f"{value:.{digits + 2}f}".rstrip("0").rstrip(".")

    return "0" if text in ("-0", "") else text.replace("-", "−")


def percent(rate: float) -> str:
    """A rate as a whole percentage, halves rounded up, with a narrow space. Example: 0.125 -> "13 %"."""
    if not math.isfinite(rate):
        return "–"
    return f"{math.floor(100 * rate + 0.5)}\u202f%".replace("-", "−")


def signed(value: float, digits: int = 0) -> str:
    """A difference with its sign, none where it rounds to 0. Example: 28.2 -> "+28"; -3.04, 1 -> "−3.0"."""
    if math.isnan(value):
        return "–"
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text.lstrip("+−") if float(f"{value:.{digits}f}") == 0 else text


def fixed(value: float, digits: int = 2) -> str:
    """A number with so many decimals, a true minus, and a dash for NaN. Example: -0.5 -> "−0.50"."""
    return signed(value, digits).lstrip("+")


def shorten(text: str, length: int) -> str:
    """Text of at most `length` characters, with an ellipsis where some are missing."""
    return text if len(text) <= length else text[: max(length - 1, 0)].rstrip() + "…"


def bracket(low: str, high: str) -> str:
    """The words of an interval as " [low, high]"; nothing where an end is not known."""
    return "" if "–" in (low, high) else f" [{low}, {high}]"


def flatten(settings: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested settings as lines of (dotted name, value). Example: {"a": {"b": 1}} -> [("a.b", "1")]."""
    if isinstance(settings, Mapping) and settings:
        groups = [(f"{name}.{key}" if name else str(key), value) for key, value in settings.items()]
        return [line for path, value in groups for line in flatten(value, path)]

    if isinstance(settings, list) and any(isinstance(value, Mapping | list) for value in settings):
        return [line for i, value in enumerate(settings) for line in flatten(value, f"{name}[{i}]")]
    if isinstance(settings, list):
        return [(name, ", ".join(map(str, settings)))]

    return [(name, f"{settings:.6g}" if isinstance(settings, float) else str(settings))]
