"""The page of a study: its answer first, and names that are markup stay text in it, in its figures and in
Markdown."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from generators import dispatch

from vantage.algorithms import made
from vantage.config import to_json
from vantage.disk.files import write_json
from vantage.disk.made import Stage
from vantage.disk.tables import read_parquet, write_parquet
from vantage.errors import VantageError
from vantage.recipes.debug import debug
from vantage.recipes.study import study_debug
from vantage.report.words import one_line
from vantage.stages.fit_policy import PolicyFit
from vantage.study.meanings import meanings_of, write_meanings
from vantage.study.page import write_study
from vantage.study.plan import MoreSupervised, Study, Supervised, WholeRun
from vantage.study.provenance import crossing
from vantage.study.words import fixed

HOSTILE = {
    "sft": "<script>alert(1)</script>",
    "one": "a|b `c` [x](javascript:alert(2)) $\\frac$",
    "two": "\x1b[31mred\x00\u202e </svg><img src=x onerror=alert(3)> {{ 7 * 7 }}",
}


def study_of(names: dict[str, str], **settings: object) -> Study:
    arms = (
        Supervised(name=names["sft"]),
        MoreSupervised(name=names["one"], after=names["sft"]),
        MoreSupervised(name=names["two"], after=names["sft"]),
    )
    order = (names["sft"], names["one"], names["two"])
    return replace(study_debug(), **{"arms": arms, "order": order, "contrasts": (), **settings})


def write_rows(
    folder: Path, study: Study, rates: dict[str, float], seeds: int = 4, machine: str = "2 x arm"
) -> Path:
    """Rows of 25 trials a cell, of which the named share succeeds."""
    task = study.tasks[0].world.task
    cells = [(arm, seed) for arm in rates for seed in range(seeds)]
    success = np.concatenate(
        [np.random.default_rng(seed).permutation(25) < 25 * rates[arm] for arm, seed in cells]
    )
    whose = {
        "task": np.full(len(success), task),
        "arm": np.repeat([arm for arm, _ in cells], 25),
        "seed": np.repeat([seed for _, seed in cells], 25),
    }
    trials = {"trial": np.tile(np.arange(25), len(cells)), "success": success}
    steps = {"steps": np.where(success, 40, 100), "limit": np.full(len(success), 100)}
    write_parquet(folder / "trials.parquet", whose | trials | steps)

    about = {
        "task": np.full(len(cells), task),
        "arm": np.array([arm for arm, _ in cells]),
        "seed": np.array([seed for _, seed in cells]),
        "fingerprint": np.full(len(cells), "0" * 12),
        "seconds": np.full(len(cells), 9.0),
        "commit": np.full(len(cells), "0123456789"),
        "machine": np.full(len(cells), machine),
    }
    write_parquet(folder / "cells.parquet", about)
    write_json(folder / "study.json", to_json(study))
    return folder


class Reader(HTMLParser):
    """Words, tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"[ \n]+", " ", "".join(self.text))


PLAIN = {"sft": "sft", "one": "one", "two": "two"}


@pytest.mark.parametrize(
    ("two", "verdict"),
    [
        (0.9, "two solves 40.0 points more of the starts than one (95\u00a0% interval"),
        (0.1, "two solves 40.0 points less of the starts than one (95\u00a0% interval"),
        (0.52, "two is not shown to solve more or less of the starts than one: "),
    ],
)
def test_the_page_begins_with_its_answer(tmp_path: Path, two: float, verdict: str) -> None:
    study = study_of(PLAIN, answers=(("two", "one"),))
    folder = write_rows(tmp_path / "rows", study, {"sft": 0.3, "one": 0.5, "two": two})
    words = Reader(write_study(folder, tmp_path / "out").read_text()).words
    assert verdict in words
    assert (
        words.index(verdict) < words.index("The answer") < words.index("two − one") < words.index("Figures")
    )
    assert "of the 2 differences of this study stand" in words


def test_cells_of_an_older_meaning_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three kinds of cells: one says today's meaning, one an older one, and those of before say nothing."""
    names = {"sft": "sft", "one": "one", "two": "two"}
    study = study_of(names)
    folder = write_rows(tmp_path / "rows", study, dict.fromkeys(names, 0.5), seeds=1)
    known = "0 of 3 cells are of an older meaning than today's"
    unknown = "Stored before rows said theirs, so unknown, and counted as 1: "
    write_study(folder, tmp_path / "out")
    page, words = (tmp_path / "out/study.html").read_text(), (tmp_path / "out/results.md").read_text()
    for text in (Reader(page).words, words):
        assert known in text and f"{unknown}3." in text and "Rows of an older meaning" not in text

    cells = read_parquet(folder / "cells.parquet")
    now = made.meanings()["fit policy"] + 2
    monkeypatch.setitem(made.STAGES, "5-actor", Stage("fit policy", now))
    today = meanings_of(study, study.arms[0], study.tasks[0])
    assert today["fit policy"] == now and not {"practice", "interleaved"} & today.keys()
    said = [write_meanings(today), write_meanings(today | {"fit policy": now - 1}), ""]
    write_parquet(folder / "cells.parquet", cells | {"meanings": np.array(said)})
    write_study(folder, tmp_path / "out")
    page, words = (tmp_path / "out/study.html").read_text(), (tmp_path / "out/results.md").read_text()
    for text in (Reader(page).words, words):
        assert "2 of 3 cells are of an older meaning" in text and f"{unknown}1." in text
        assert f"fit policy {now - 1}, now {now}" in text and f"fit policy 1, now {now}" in text
    assert page.index("2 of 3 cells") < page.index("Figures"), "the page says it before it shows anything"
    listed = words[words.index("### Rows of an older meaning") :]
    assert listed.count("| 0 | fit policy") == 2 and "| sft |" not in listed.lower()


def test_pairs_across_supervised_checkpoints_are_marked(tmp_path: Path) -> None:
    """Of three seeds one began at another checkpoint, and another does not say at which."""
    study = study_of(PLAIN)
    folder = write_rows(tmp_path / "rows", study, {"sft": 0.3, "one": 0.5, "two": 0.6}, seeds=3)

    def drawn(checkpoints: dict[str, str]) -> tuple[str, str]:
        """results.md and the page, of cells that say where they began."""
        cells = read_parquet(folder / "cells.parquet")
        keys = zip(cells["arm"], cells["seed"], strict=True)
        begun = np.array([checkpoints.get(f"{arm} {seed}", checkpoints["all"]) for arm, seed in keys])
        write_parquet(folder / "cells.parquet", cells | {"supervised": begun})
        write_study(folder, tmp_path / "out")
        page = Reader((tmp_path / "out/study.html").read_text()).words
        return (tmp_path / "out/results.md").read_text(), page

    heading = "Pairs with different supervised checkpoints"
    for text in drawn({"all": ""}):
        assert "0 of 2 differences stand on pairs of cells that should share theirs" in text
        assert "so unknown, as are processor and libraries: 9 of 9 cells." in text and heading not in text
    for text in drawn({"all": "first"}):
        assert "0 of 2 differences" in text and "so unknown, as are" not in text and heading not in text
    for text in drawn({"all": "first", "one 1": "second", "one 2": ""}):
        assert "2 of 2 differences" in text and "so unknown, as are processor and libraries: 1 of 9" in text
        assert text.count("3 (1 with different supervised checkpoints)") >= 2
        assert f"{study.tasks[0].name}: 1" in text[text.index(heading) :]


def test_arms_that_differ_from_round_0_on_share_no_checkpoint() -> None:
    run = debug()
    longer = replace(run, supervision=replace(run.supervision, supervised=PolicyFit(steps=7)))
    arms = tuple(WholeRun(name=name, run=made) for name, made in (("a", run), ("b", run), ("c", longer)))
    study = Study(tasks=study_debug().tasks, arms=arms)
    task = study.tasks[0].name
    cells = {
        "task": np.full(3, task),
        "arm": np.array(["a", "b", "c"]),
        "seed": np.zeros(3, np.int64),
        "supervised": np.array(["first", "second", "third"]),
    }
    assert crossing(study, cells, "a", "b") == [(task, 0)], "made twice, with two results"
    assert crossing(study, cells, "a", "c") == [], "meant to be different"


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    folder = write_rows(tmp_path / "rows", study_of(PLAIN), {"sft": 0.3, "one": 0.9}, seeds=1)
    words = Reader(write_study(folder, tmp_path / "out").read_text()).words
    assert "(no interval: a task has one seed; 1 pairs of cells)" in words
    assert "nan" not in words.lower().split()


def test_a_number_that_is_not_there_is_a_dash() -> None:
    assert (fixed(0.5), fixed(-0.12345, 3), fixed(math.nan), fixed(math.inf)) == ("0.50", "-0.123", "–", "–")


def test_what_is_shown_first() -> None:
    neighbours = (("one", "sft"), ("two", "one"))
    assert study_of(PLAIN).first_pairs == neighbours
    assert study_of(PLAIN, answers=(("two", "one"),)).first_pairs == (("two", "one"),)
    assert study_of(PLAIN, order=(), contrasts=(("two", "sft"),)).first_pairs == (("two", "sft"),)


def test_an_answer_must_be_a_pair_that_is_compared() -> None:
    with pytest.raises(VantageError, match="'two' beside 'sft' is no pair that the study compares"):
        study_of(PLAIN, answers=(("two", "sft"),))


def test_names_that_are_markup_stay_text(tmp_path: Path) -> None:
    machine = "<b>2 | x</b>\x07"
    folder = write_rows(
        tmp_path / "<img src=x>", study_of(HOSTILE), dict.fromkeys(HOSTILE.values(), 0.5), machine=machine
    )
    harmless = write_rows(tmp_path / "rows", study_of(PLAIN), dict.fromkeys(PLAIN.values(), 0.5))
    page = Reader(write_study(folder, tmp_path / "out").read_text())
    plain = Reader(write_study(harmless, tmp_path / "plain").read_text())
    assert set(page.tags) == set(plain.tags), "every element is the page's own"
    assert not {"script", "img", "image"} & set(page.tags)
    assert not [name for name in page.attributes if name.startswith("on")]
    for name in (*HOSTILE.values(), machine, "<img src=x>"):
        assert re.sub(" +", " ", one_line(name)) in page.words

    for path in (tmp_path / "out").iterdir():
        text = path.read_text()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text), path.name
        if path.suffix == ".svg":
            assert ET.fromstring(text).find(".//{*}script") is None

    tables = (tmp_path / "out/results.md").read_text()
    rows = [line for line in tables.split("\n") if line.startswith("|")]
    bars = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    known = (tmp_path / "plain/results.md").read_text()
    assert bars == {len(re.findall(r"(?<!\\)\|", row)) for row in known.split("\n") if row.startswith("|")}
    assert not re.search(r"(?<!\\)<(?=[A-Za-z/!?])", tables.split("\n", 1)[1]) and "](" not in tables


def test_numbers_of_a_page_have_a_true_minus_and_keep_their_percent_sign(tmp_path: Path) -> None:
    study = study_of(PLAIN, answers=(("two", "one"),))
    folder = write_rows(tmp_path / "rows", study, {"sft": 0.3, "one": 0.5, "two": 0.1})
    page = write_study(folder, tmp_path / "out").read_text()
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page)
    assert any("\u22120.400 [\u2212" in cell for cell in cells)
    assert not [cell for cell in cells if re.search(r"(^|[\s\[>])-\.?\d", cell)]
    assert not re.search(r"\d %", re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL))
    assert "-0.400 [" in (tmp_path / "out/results.md").read_text(), "Markdown stays what other tools read"


def test_a_folder_without_a_study_is_said_before_anything_is_drawn(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(VantageError, match="holds no study"):
        dispatch(["study-report", str(tmp_path), "--out", str(tmp_path / "out")])
    assert capfd.readouterr() == ("", "") and not (tmp_path / "out").exists()
