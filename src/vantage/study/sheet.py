"""A table of a study with its title and how to read it, which Markdown and the page share."""

from dataclasses import dataclass

from vantage.report.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table."""

    title: str
    words: str
    """How to read it."""
    table: Table
