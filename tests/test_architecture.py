"""The tree keeps its promises: layers, habits, and documents that name what exists."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_layers_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_no_pickle_and_no_postponed_annotations() -> None:
    banned = re.compile(
        r"from __future__ import annotations|\bimport pickle\b|torch\.load\(|torch\.save\(|allow_pickle=True"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in SOURCES
        if (match := banned.search(path.read_text()))
    ]
    assert found == []


def test_every_module_says_what_it_turns_into_what() -> None:
    silent = [path for path in SOURCES if path.read_text().strip() and not path.read_text().startswith('"""')]
    assert silent == []


def test_recordings_are_audited_and_labelled_without_torch() -> None:
    """Importing it takes longer than labelling a million frames."""
    modules = ("commands.recordings", "data.audit", "report.audit_view", "stages.label")
    program = "import sys, {}; print('torch' in sys.modules)".format(
        ", ".join(f"vantage.{name}" for name in modules)
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_tour_names_what_exists() -> None:
    tour = (ROOT / "docs/tour.md").read_text()
    stops = re.findall(r"\*\*([a-z_/]+\.py)\*\* \(([^)]+)\)", tour)
    assert len(stops) == 10
    for name, parts in stops:
        source = (ROOT / "src/vantage" / name).read_text()
        for part in re.findall(r"`(\w+)`", parts):
            assert re.search(rf"^(class|def) {part}\b", source, re.MULTILINE), f"{name} has no {part}"

    beside = re.findall(r"`([a-z_0-9]+/[a-z_0-9/]*(?:\.py)?)`", tour)
    folders = (ROOT / "src/vantage", ROOT)
    assert beside and [name for name in beside if not any((top / name).exists() for top in folders)] == []


def test_links_in_the_documents_lead_somewhere() -> None:
    pages = [
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "docs/log").glob("*.md")),
        *ROOT.glob("*.md"),
    ]
    lost: list[str] = []
    for page in pages:
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
            name, _, heading = link.partition("#")
            target = page.parent / name if name else page
            if not target.exists() or (heading and heading not in _headings(target)):
                lost.append(f"{page.relative_to(ROOT)}: {link}")
    assert pages and lost == []


def _headings(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_nothing_names_a_registry_or_a_machine() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    banned = re.compile(r"/(?:root|work|tmp)/|pypi\.org|files\.pythonhosted|download\.pytorch")
    text = [
        name
        for name in tracked
        if name.endswith((".py", ".md", ".toml", ".lock", "Makefile", ".sh", ".json"))
    ]
    found = [
        name
        for name in text
        if name != "tests/test_architecture.py" and banned.search((ROOT / name).read_text(errors="replace"))
    ]
    assert found == []
