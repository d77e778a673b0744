"""Tables of stored studies -> docs/results.md, figures -> docs/figures/, so that no number is copied by hand.

python -m benchmarks.publish_study state screen
"""

import re
import shutil
import sys
from pathlib import Path

from vantage.study.page import write_study

RESULTS = Path("docs/results.md")
FIGURES = Path("docs/figures")


def publish(name: str) -> None:
    """Draw one study again and put its tables between its marks."""
    folder = Path(f"docs/results/study-{name}")
    drawn = Path("runs") / f"report-{name}"
    write_study(folder, drawn)
    FIGURES.mkdir(parents=True, exist_ok=True)
    for figure in sorted(drawn.glob("*.svg")):
        shutil.copy(figure, FIGURES / f"study-{name}-{figure.name}")
    begin, end = f"<!-- study-{name}:begin -->", f"<!-- study-{name}:end -->"
    text = RESULTS.read_text()
    if begin not in text:
        text = text.rstrip() + f"\n\n## The study `{name}`\n\n{begin}\n{end}\n"
    head, *sheets = (drawn / "results.md").read_text().strip().split("### ")
    body = head + "".join(f"### {sheet}" for sheet in sheets if not sheet.startswith("Rollouts"))  # the longest, and the least asked for
    RESULTS.write_text(re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{body}\n{end}", text, flags=re.DOTALL))


if __name__ == "__main__":
    for study in sys.argv[1:]:
        publish(study)
