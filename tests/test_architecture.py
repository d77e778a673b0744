"""The tree keeps its promises: layers, habits, and documents that name what exists."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_layers_hold() -> None:
    done = subprocess.run([str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_no_pickle_and_no_postponed_annotations() -> None:
    banned = re.compile(r"from __future__ import annotations|\bimport pickle\b|torch\.load\(|torch\.save\(|allow_pickle=True")
    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path in SOURCES if (match := banned.search(path.read_text()))]
    assert found == []


def test_every_module_says_what_it_turns_into_what() -> None:
    silent = [path for path in SOURCES if path.read_text().strip() and not path.read_text().startswith('"""')]
    assert silent == []


def test_the_tour_names_files_that_exist() -> None:
    named = re.findall(r"\*\*([a-z_/]+\.py)\*\*", (ROOT / "docs/tour.md").read_text())
    assert len(named) >= 10
    assert [name for name in named if not (ROOT / "src/vantage" / name).exists()] == []


def test_links_in_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links and [link for link in links if not (ROOT / link).exists()] == []


def test_nothing_names_a_registry_or_a_machine() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    banned = re.compile(r"/(?:root|work|tmp)/|pypi\.org|files\.pythonhosted|download\.pytorch")
    text = [name for name in tracked if name.endswith((".py", ".md", ".toml", ".lock", "Makefile", ".sh", ".json"))]
    found = [name for name in text if name != "tests/test_architecture.py" and banned.search((ROOT / name).read_text(errors="replace"))]
    assert found == []
