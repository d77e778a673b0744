"""The page as a file: self-contained, well-formed, safe, reproducible, and honest about what is missing."""

import re
import shlex
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pyarrow.parquet as pq
import pytest
import report_world
from report_world import TASKS, write_run

from vantage.cli import dispatch
from vantage.config import to_json
from vantage.disk.files import write_json
from vantage.disk.tables import read_parquet, write_parquet
from vantage.learn.critic.steering import ChunkEdits, NoiseSteering
from vantage.recipes.debug import debug
from vantage.report.folder import read_run
from vantage.report.numbers import common_starts, compare
from vantage.report.page import compose, write_report
from vantage.report.words import one_line, signed
from vantage.stages.evaluate import Evaluation
from vantage.types import VantageError

VOID = {"meta", "br", "link", "img", "input", "hr", "source"}


class Structure(HTMLParser):
    """Checks that tags close in order, and gathers addresses and ids."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.ids, self.words = [], [], [], []
        self.tags, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        self.tags.append(tag)
        self.attributes += names
        self.ids += [names["id"]] if "id" in names else []
        self.addresses += [names[name] for name in ("src", "href", "action", "data") if name in names]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        self.words.append(data)


def parse(text):
    structure = Structure()
    structure.feed(text)
    assert structure.open == []
    return structure


def words_of(text):
    """The words of a page as a reader sees them, one space apart."""
    return re.sub(r"[ \n]+", " ", "".join(parse(text).words))


def test_it_is_one_file_that_needs_no_other(toy_page):
    text = toy_page.read_text()
    structure = parse(text)
    assert all(address.startswith("data:video/mp4;base64,") for address in structure.addresses)
    assert len(structure.addresses) == 3
    assert set(re.findall(r"https?://[^\"' )<]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text and "url(" not in text
    assert len(structure.ids) == len(set(structure.ids))
    assert toy_page.stat().st_size < 10_000_000


def test_what_comes_from_files_cannot_become_markup(toy_page):
    text = toy_page.read_text()
    assert TASKS["reach-v3"] == "reach the <goal> & stop"
    assert "<goal>" not in text and "<run>" not in text and "<quick>" not in text
    words = words_of(text)
    assert "reach the <goal> & stop" in words and "toy <run>" in words


HOSTILE = {
    "<script>alert(1)</script>": "a|b `c` <img src=x onerror=alert(2)>",
    "\x1b[31mred\x00\u202e": "</script></svg></style>'\"&amp; {{ 7 * 7 }} {% raw %}",
}
"""Names of tasks, and their prompts, that would do harm if a page took them for markup, or a terminal for
commands."""


@pytest.fixture
def hostile_page(tmp_path, monkeypatch):
    monkeypatch.setattr(report_world, "TASKS", HOSTILE)
    run = write_run(tmp_path / "<img src=x onerror=alert(3)>", rounds=1, episodes=8)
    write_json(run / "recipe.json", {"name": "<b>bold</b>", "</details>": "<!--"})
    return write_report(run, tmp_path / "page.html", episodes=8)


def test_names_that_are_markup_stay_text(hostile_page, toy_page):
    text = hostile_page.read_text()
    structure = parse(text)
    assert set(structure.tags) == set(parse(toy_page.read_text()).tags), (
        "no element that a harmless page has not"
    )
    assert structure.tags.count("script") == 1 + structure.tags.count("article"), (
        "one per episode and the page's own"
    )
    assert not [name for name in structure.attributes if name.startswith("on")]

    words = words_of(text)
    for name in (*HOSTILE, *HOSTILE.values(), "<img src=x onerror=alert(3)>", "<b>bold</b>", "<!--"):
        assert one_line(name) in words
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_a_browser_runs_nothing_of_them(hostile_page, browser):
    browser.open(hostile_page)
    browser.wait("document.querySelector('[data-cell=step]').textContent === '0 of ' +"
                 " document.querySelector('.scrub').getAttribute('aria-valuemax')")  # fmt: skip
    assert browser.evaluate("document.images.length") == 0
    assert browser.evaluate("document.querySelectorAll('h3')[1].textContent") in {
        one_line(name) for name in HOSTILE
    }
    assert browser.problems == []


def test_drawn_again_it_is_the_same(toy_run, toy_page, tmp_path):
    assert write_report(toy_run, toy_page, episodes=3).read_bytes() == toy_page.read_bytes()
    assert compose(read_run(toy_run), 0, "x") == compose(read_run(toy_run), 0, "x")


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        (
            Evaluation(steering=NoiseSteering()),
            "led by a small network, which chose the noise",
        ),
        (Evaluation(steering=ChunkEdits()), "led by a small network, which edited their chunks;"),
        (Evaluation(best_of=8), "executed the most viable of 8 chunks, as a critic judged;"),
        (Evaluation(noise=0.0), ""),
    ],
)
def test_it_says_what_stood_beside_the_policies(tmp_path, evaluation, said):
    run = write_run(tmp_path / "run", rounds=1, episodes=8)
    write_json(run / "recipe.json", {"settings": to_json(replace(debug(), evaluation=evaluation))})
    words = words_of(write_report(run, tmp_path / "page.html", episodes=1).read_text())
    assert said in words if said else "no rollouts to learn that from" not in words


def test_the_headline_says_the_numbers(toy_run, toy_page):
    arms = common_starts(read_run(toy_run))
    gap = compare(arms[2], arms[0])
    ours, theirs = arms[2].trials.success.mean(), arms[0].trials.success.mean()
    words = words_of(toy_page.read_text())
    assert (
        f"HABC raised success from {100 * theirs:.0f}\u202f% to {100 * ours:.0f}\u202f% on 60 paired starts."
        in words
    )
    assert f"{signed(100 * gap.difference.estimate, 1)} percentage points" in words
    assert "further gradient steps on the demonstrations alone" in words
    assert "Draw it again: vantage report" in words and "0123456789abcdef0123" in words


@pytest.mark.parametrize(
    ("ours", "verb"),
    [(0.9, "raised success from"), (0.5, "made no clear difference: from"), (0.1, "lowered success from")],
)
def test_the_headline_claims_no_more_than_the_interval(toy_run, tmp_path, ours, verb):
    run = shutil.copytree(toy_run, tmp_path / "run", ignore=shutil.ignore_patterns("1-episodes"))
    for path, rate in ((run / "round-00/6-eval.parquet", 0.5), (run / "round-02/6-eval.parquet", ours)):
        columns = read_parquet(path)
        write_parquet(path, columns | {"success": np.random.default_rng(0).permutation(60) < 60 * rate})
    assert f"HABC {verb} 50\u202f%" in words_of(compose(read_run(run), 0, "x"))


@pytest.mark.parametrize(
    "missing",
    [
        *(
            "round-*/1-episodes",
            "round-*/2-labels.parquet",
            "round-*/3-critic",
            "round-*/4-weights.parquet",
            "round-*/5-actor",
        ),
        *(
            "round-*/6-eval.parquet",
            "round-*/round.json",
            "control-sft",
            "recipe.json",
            "round-0[12]",
            "round-*/*",
        ),
    ],
)
def test_whatever_is_missing_the_rest_is_shown(toy_run, tmp_path, missing):
    run = shutil.copytree(toy_run, tmp_path / "run")
    for path in run.glob(missing):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = write_report(run, episodes=1).read_text()
    parse(text)
    assert (
        "nan"
        not in re.sub('<script.*?</script>|<style.*?</style>|base64,[^"]*', "", text, flags=re.DOTALL)
        .lower()
        .split()
    )


def test_a_damaged_video_costs_the_video_only(toy_run, tmp_path):
    run = shutil.copytree(toy_run, tmp_path / "run")
    for path in run.glob("round-02/1-episodes/videos/*/*/*.mp4"):
        path.write_bytes(path.read_bytes()[:500])
    text = write_report(run, episodes=1).read_text()
    assert "<video" not in text and "truncated or damaged" in text and 'class="traces"' in text


def test_a_damaged_table_is_one_sentence_and_leaves_the_old_page(toy_run, tmp_path):
    run = shutil.copytree(toy_run, tmp_path / "run", ignore=shutil.ignore_patterns("videos"))
    page = run / "report.html"
    page.write_text("old")
    (run / "round-01/6-eval.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(VantageError, match=r"6-eval.parquet is not a whole parquet file"):
        write_report(run)
    assert page.read_text() == "old"


def test_a_run_without_cameras_shows_traces_without_video(tmp_path):
    text = write_report(
        write_run(tmp_path / "state", rounds=1, episodes=6, pictures=False), episodes=2
    ).read_text()
    assert "<video" not in text and text.count('class="viewer"') == 2


def test_a_session_without_any_interval_has_no_verdict(tmp_path, toy_run):
    run = shutil.copytree(
        toy_run,
        tmp_path / "run",
        ignore=shutil.ignore_patterns("round-01", "round-02", "control-sft", "videos"),
    )
    words = words_of(compose(read_run(run), 0, "x"))
    assert "The policy (supervised) succeeds on" in words and "nothing to compare it with yet" in words


def test_labels_of_before_outcomes_stood_in_them_are_refused_with_what_mends_them(toy_run, tmp_path):
    run = shutil.copytree(toy_run, tmp_path / "an old run")
    for number in (0, 1):
        path = run / f"round-0{number}/2-labels.parquet"
        table = pq.read_table(path)
        pq.write_table(table.drop_columns(["outcome", "outcome_source", "route_whole"]), path)

        with pytest.raises(
            VantageError, match=f"round-0{number}/2-labels.parquet is of an older Vantage"
        ) as refusal:
            read_run(run)
        command = re.search("`vantage (.*)`", str(refusal.value))
        assert command
        dispatch(shlex.split(command[1]))
        assert pq.read_table(path).equals(table.cast(pq.read_schema(path)))
    assert write_report(run, tmp_path / "report.html").read_text()


def test_demonstrations_alone_speak_of_no_rescues(toy_run, tmp_path):
    run = shutil.copytree(toy_run, tmp_path / "run", ignore=shutil.ignore_patterns("videos"))
    for labels in run.glob("round-0[1-9]/2-labels.parquet"):
        labels.unlink()  # as in a run of PPO, whose practice keeps no episodes
    page = write_report(run, tmp_path / "report.html").read_text()
    section = page[page.index('<section id="collected"') :]
    words = words_of(section[: section.index("</section>") + len("</section>")])
    assert "Demonstrations, from which the supervised policy learned" in words and "16" in words
    assert not re.search("rescue|failed|takes over|human", words), words


def test_practice_shows_where_it_began_and_what_was_kept(toy_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    checks = [
        {
            "steps": steps,
            "success": s,
            "length": n,
            "cost": c,
            "kept": kept,
            "falling": False,
            "by_task": {"push-v3": [s, n]},
        }
        for steps, s, n, c, kept in (
            (0, 0.25, float("nan"), 120.0, True),
            (51_234, 0.75, 61.5, 80.0, True),
            (90_000, 0.5, 60.0, 90.0, False),
        )
    ]
    last = sorted(run.glob("round-*"))[-1]
    write_json(last / "5-actor/checks.json", checks)
    write_json(run / "recipe.json", {"recipe": "x", "settings": {"is": "ChunkedPPORun"}})
    page = write_report(run, tmp_path / "page.html").read_text()
    assert "the one after 51,234 environment steps" in words_of(page) and "Chunked PPO" in page
    practice = page[page.index("thousands of environment steps") :]
    row = re.search(r"<span>push-v3</span></td>(.*?)</tr>", practice, re.DOTALL)
    assert row and re.findall(r"<span>([^<]+)</span>", row[1]) == ["0.25", "0.75", "–", "61.5"]
