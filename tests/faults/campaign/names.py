"""Names that are markup, control characters or long: files are called exactly so, and no terminal and no page
obeys them."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from campaign.cases import Case, Shop, Verdict, held, lost
from campaign.input import base, crashed
from campaign.processes import ran
from campaign.programs import RUN, STUDY, copy_of_reference, reference

FAMILY = "odd names"
NOT_UTF8 = "caf\udce9"
NAMES = (
    "[/x]",
    "a[red]b[/red]",
    "[link=file:///etc/passwd]x[/link]",
    "<script>alert(1)</script>".replace("/", "\u2215"),
    "a\x1b[31mb",
    "a\x1b]0;title\x07b",
    "a\nb\tc",
    "a\rb",
    "two words",
    "\u5355\u8bcd",
    "a\u202eb",
    NOT_UTF8,
    "%s%n{0.__class__}",
    "'; rm -rf x; \"",
    "n" * 200,
)
HOSTILE = "<img src=x onerror=alert(1)>|[red]\x1b[31m{{7*7}}"


def cases(_seed: int) -> Iterator[Case]:
    """Names of files and folders; then names inside of studies."""
    for number, name in enumerate(NAMES):
        yield Case(FAMILY, "of datasets and outputs", f"name: {name!r}", _files(name), swift=number in (0, 5))
    for name in NAMES[:6]:
        yield Case(FAMILY, "of run folders", f"run: {name!r}", _run(name))
    for what in ("arm", "task"):
        yield Case(FAMILY, f"of {what}s in a study", f"study: {what}", _study(what))


def _said_wrong(said: str) -> str:
    """What a terminal would obey; lines and tabs are ours."""
    bad = [character for character in said if ord(character) < 32 and character not in "\n\t\r"]
    return f"control characters reach the terminal: {bad[:3]!r}" if bad else ""


def _files(name: str) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        shutil.copytree(base(shop, (), False), room / name)
        page, labels = f"{name[:180]}.html", f"{name[:180]}.parquet"
        for words, product in (
            (["audit", name, "--html", page], page),
            (["label", name, "--out", labels], labels),
        ):
            ended = ran(words, room)
            wrong = crashed(ended) or _said_wrong(ended.said)
            if not wrong and ended.code == 2 and name == NOT_UTF8 and "is not UTF-8" in ended.said:
                return held("refused with a sentence")
            if wrong or ended.code != 0:
                return lost(f"vantage {words[0]} {wrong or f'ends with {ended.code}: {ended.last}'}")
            if not (room / product).is_file():
                return lost(f"vantage {words[0]} did not write the file of that name")
        text = (room / page).read_text()
        if "<script>alert" in text or "\x1b" in text:
            return lost("the page holds the name as it stands")
        return held()

    return attempt


def _run(name: str) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        copy_of_reference(RUN, shop.shelf, room).rename(room / name)
        words = [word if word != "made" else name for word in RUN.words(shop.shelf, 1)]
        for command in (words, ["verify", name], ["report", name]):
            ended = ran(command, room)
            wrong = crashed(ended) or _said_wrong(ended.said)
            if wrong or ended.code != 0:
                return lost(f"vantage {command[0]} {wrong or f'ends with {ended.code}: {ended.last}'}")
        page = (room / name / "report.html").read_text()
        return lost("the page holds the name as it stands") if "\x1b" in page else held()

    return attempt


def _study(what: str) -> Callable[[Shop, Path], Verdict]:
    def attempt(shop: Shop, room: Path) -> Verdict:
        rows = room / "rows"
        shutil.copytree(reference(STUDY, shop.shelf).folder / "made/rows", rows)
        old = "habc" if what == "arm" else "push-v3"
        for path in rows.glob("*.parquet"):
            table = pq.read_table(path)
            if what in table.column_names:
                column = [HOSTILE if value == old else value for value in table.column(what).to_pylist()]
                place = table.column_names.index(what)
                pq.write_table(table.set_column(place, what, [column]), path)
        study = rows / "study.json"
        study.write_text(study.read_text().replace(json.dumps(old), json.dumps(HOSTILE)))
        ended = ran(["study-report", "rows", "--out", "page"], room)
        wrong = crashed(ended) or _said_wrong(ended.said)
        if wrong:
            return lost(f"vantage study-report {wrong}")
        if ended.code == 2:
            return held(ended.last)  # a task that is none
        text = "".join(path.read_text() for path in (room / "page").rglob("*.html"))
        if "<img src=x" in text or "\x1b" in text or ("49" in text and "{{7*7}}" not in text):
            return lost("the page obeys the name")
        return held()

    return attempt
