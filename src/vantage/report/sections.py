"""Words, tables and figures -> the few HTML shapes that the page is built from. Cells and intros are HTML; names are escaped here."""

from collections.abc import Sequence
from html import escape

from vantage.report.figures import number


def section(name: str, title: str, intro: str, body: str) -> str:
    """A titled part of the page with one sentence on how to read it."""
    return f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(title)}</h2><p>{intro}</p>{body}</section>'


def panel(title: str, words: str, body: str) -> str:
    """A card with a heading, a sentence and a figure or table."""
    sentence = f"<p>{words}</p>" if words else ""
    return f'<div class="panel"><h3>{escape(title)}</h3>{sentence}{body}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of HTML cells; no head row where `head` is empty."""
    top = "<thead><tr>" + "".join(f'<th scope="col">{cell}</th>' for cell in head) + "</tr></thead>" if head else ""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def signed(value: float, digits: int = 0) -> str:
    """A difference with its sign. Example: 28.2 -> "+28", -3.04 with one digit -> "−3.0"."""
    if value != value:
        return "–"
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text.lstrip("+−") if float(f"{value:.{digits}f}") == 0 else text


__all__ = ["number", "panel", "section", "signed", "table"]
