"""A table of a study as rows of text, which Markdown and the page share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table."""

    title: str
    words: str
    """How to read it."""
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
