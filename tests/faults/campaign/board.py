"""Verdicts -> rows that are kept as they come, and a table of what was tried, held and lost."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Row:
    """One case that was tried."""

    family: str
    kind: str
    name: str
    held: bool
    said: str
    seconds: float
    seed: int
    code: str
    """sha256 of src/ and of the campaign, first digits: verdicts hold while both stay the same."""


def code() -> str:
    """The digest that rows are kept by."""
    digest = hashlib.sha256()
    for folder in (ROOT / "src", ROOT / "tests/faults"):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def read(path: Path) -> list[Row]:
    """Rows of a file; a last line that a killed campaign wrote half is left out."""
    rows: list[Row] = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(Row(**json.loads(line)))
        except ValueError:
            continue
    return rows


def add(path: Path, row: Row) -> None:
    """Append a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text() if path.exists() else ""
    with path.open("a") as file:
        file.write(("\n" if text and not text.endswith("\n") else "") + json.dumps(asdict(row)) + "\n")


def counts(rows: Iterable[Row]) -> dict[tuple[str, str], tuple[int, int]]:
    """(family, kind) -> (tried, held), in the order of the rows."""
    tried, held = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in rows:
        tried[row.family, row.kind] += 1
        held[row.family, row.kind] += row.held
    return {key: (number, held[key]) for key, number in tried.items()}


def table(rows: Sequence[Row]) -> str:
    """The table, in columns of text."""
    lines = [f"{'':<64}{'tried':>7}{'held':>7}{'lost':>7}"]
    family = ""
    for (of, kind), (tried, held) in counts(rows).items():
        if of != family:
            whole = [row for row in rows if row.family == of]
            lines.append(_line(of, len(whole), sum(row.held for row in whole)))
            family = of
        lines.append(_line(f"  {kind}", tried, held))
    lines.append(_line("all", len(rows), sum(row.held for row in rows)))
    return "\n".join(lines)


def _line(name: str, tried: int, held: int) -> str:
    return f"{name[:63]:<64}{tried:>7}{held:>7}{tried - held:>7}"


BEGIN, END = "<!-- faults:begin -->", "<!-- faults:end -->"


def on_page(page: str, rows: Sequence[Row], of: int) -> str:
    """The text of docs/reliability.md with the table of `rows` in it, and what was lost below.

    `of`: how many cases the campaign has.
    """
    codes = ", ".join(f"`{code}` ({n:,})" for code, n in Counter(row.code for row in rows).most_common())
    lost = [f"- {row.name}: {row.said}" for row in rows if not row.held]
    seeds = ", ".join(sorted({str(row.seed) for row in rows}))
    parts = [
        BEGIN,
        markdown(rows),
        "",
        f"Tried when this was written: {len(rows):,} of the campaign's {of:,} cases (seed {seeds}), "
        f"one row each in",
        "docs/results/faults.parquet, by the digest of src/ and of the campaign that they were tried on:",
        f"{codes}. What is missing or lost here was not tried again since.",
    ]
    if lost:
        parts += ["", "Lost:", "", *lost]
    before, _, rest = page.partition(BEGIN)
    return before + "\n".join([*parts, END]) + rest.partition(END)[2]


def markdown(rows: Sequence[Row]) -> str:
    """The same as a table of docs/reliability.md."""
    lines = ["| what was done | tried | held | lost |", "|---|---:|---:|---:|"]
    family = ""
    for (of, kind), (tried, held) in counts(rows).items():
        if of != family:
            whole = [row for row in rows if row.family == of]
            lost = len(whole) - sum(row.held for row in whole)
            lines.append(f"| **{of}** | **{len(whole)}** | **{len(whole) - lost}** | **{lost}** |")
            family = of
        lines.append(f"| {kind} | {tried} | {held} | {tried - held} |")
    return "\n".join(lines)
