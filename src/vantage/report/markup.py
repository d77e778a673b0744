"""Words, tables and figures -> the few HTML shapes that the page is built from. Cells and intros are HTML; names are escaped here."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any


def section(name: str, title: str, intro: str, body: str) -> str:
    """A titled part of the page with one sentence on how to read it."""
    return f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(title)}</h2><p>{intro}</p>{body}</section>'


def panel(title: str, words: str, body: str) -> str:
    """A card with a heading, a sentence (either may be empty) and a figure or table."""
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    sentence = f"<p>{words}</p>" if words else ""
    return f'<div class="panel">{heading}{sentence}{body}</div>'


def panels(*cards: str) -> str:
    """Cards side by side where there is room."""
    return f'<div class="panels">{"".join(cards)}</div>'


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Colour keys: (colour class, words)."""
    return '<p class="legend">' + "".join(f'<span class="{cls}"><i></i>{escape(words)}</span>' for cls, words in entries) + "</p>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of HTML cells; no head row where `head` is empty."""
    top = "<thead><tr>" + "".join(f'<th scope="col">{cell}</th>' for cell in head) + "</tr></thead>" if head else ""
    names = [re.sub("<[^>]*>", "", name) for name in head] or [""] * max(map(len, rows), default=0)
    body = "".join("<tr>" + "".join(map(_cell, names, row)) + "</tr>" for row in rows)
    return f'<div class="scroll"><table{' class="many"' if len(head) > 3 else ""}>{top}<tbody>{body}</tbody></table></div>'


def _cell(name: str, content: str) -> str:
    # The name is shown beside the value where the screen is too narrow for columns.
    return f'<td data-name="{escape(name)}"><span>{content}</span></td>' if name else f"<td>{content}</td>"


def signed(value: float, digits: int = 0) -> str:
    """A difference with its sign. Example: 28.2 -> "+28", -3.04 with one digit -> "−3.0"."""
    if value != value:
        return "–"
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text.lstrip("+−") if float(f"{value:.{digits}f}") == 0 else text


def wide(drawings: Sequence[str]) -> str:
    """One figure drawn at several widths (`charts.WIDTHS`), of which the page shows the one that fits."""
    return f'<div class="fig">{"".join(drawings)}</div>'


def bracket(low: str, high: str) -> str:
    """An interval as " [low, high]"; nothing where it is not known."""
    return "" if "–" in (low, high) else f" [{low}, {high}]"


def flatten(settings: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, value) lines. Example: {"a": {"b": 1}} -> [("a.b", "1")]."""
    if isinstance(settings, Mapping) and settings:
        return [line for key, value in settings.items() for line in flatten(value, f"{name}.{key}" if name else str(key))]
    if isinstance(settings, list) and any(isinstance(value, Mapping | list) for value in settings):
        return [line for i, value in enumerate(settings) for line in flatten(value, f"{name}[{i}]")]
    if isinstance(settings, list):
        return [(name, ", ".join(map(str, settings)))]
    return [(name, f"{settings:.6g}" if isinstance(settings, float) else str(settings))]
