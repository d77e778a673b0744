"""Trials on a robot: rates, differences, how many more would decide, and what a file may look like."""

import json
from pathlib import Path

import numpy as np
import pytest
from generators import dispatch
from scipy.stats import norm

from vantage.core.stats import difference, paired_difference, pairs_needed, trials_needed, wilson
from vantage.data.real_trials import read_trials
from vantage.errors import VantageError
from vantage.report.real_trials import judge


def write(path: Path, lines: list[str]) -> Path:
    """A csv."""
    path.write_text("\n".join(lines) + "\n")
    return path


def test_newcombes_interval_is_that_of_his_paper() -> None:
    apart = difference(56, 70, 48, 80)  # Newcombe (1998), table II, case (a): .2000, .0524 to .3339
    assert apart.estimate == pytest.approx(0.2)
    assert (apart.low, apart.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_unpaired_is_paired_without_correlation() -> None:
    ours, theirs = np.repeat([True, False], 50), np.tile([True, False], 50)
    mine, other = difference(50, 100, 50, 100), paired_difference(ours, theirs)
    assert (mine.low, mine.high) == (pytest.approx(other.low), pytest.approx(other.high))


@pytest.mark.parametrize(("p", "q"), [(0.6, 0.4), (0.9, 0.8), (0.35, 0.3)])
def test_as_many_trials_as_needed_find_it_four_times_in_five(p: float, q: float) -> None:
    n = trials_needed(p, q)
    assert n is not None
    rng = np.random.default_rng(0)
    a, b = rng.binomial(n, p, 20_000) / n, rng.binomial(n, q, 20_000) / n
    pooled = (a + b) / 2
    z = (a - b) / np.sqrt(2 * pooled * (1 - pooled) / n)
    assert (z > norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.02)
    assert trials_needed(0.5, 0.5) is None


def test_as_many_pairs_as_needed_find_it_four_times_in_five() -> None:
    only_ours, only_theirs = 0.25, 0.1
    n = pairs_needed(only_ours, only_theirs)
    assert n is not None
    rng = np.random.default_rng(0)
    counts = rng.multinomial(n, [only_ours, only_theirs, 1 - only_ours - only_theirs], 20_000)
    z = (counts[:, 0] - counts[:, 1]) / np.sqrt(np.maximum(counts[:, 0] + counts[:, 1], 1))
    assert (z > norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.03)
    assert pairs_needed(0.1, 0.1) is None


def test_trials_are_paired_by_their_starts_in_any_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = write(tmp_path / "new.csv", ["start,success", "a,1", "a,1", "b,success", "c,0", "d,True"])
    old = write(tmp_path / "old.csv", ["success,start,note", "0,d,", "0,a,slipped", "1,a,", "0,b,", "1,c,"])
    verdict = judge(read_trials(new), read_trials(old))
    assert verdict.paired and (verdict.only_ours, verdict.only_theirs) == (3, 1)
    assert verdict.our_rate == wilson(4, 5) and verdict.their_rate == wilson(2, 5)
    assert not verdict.decided and verdict.needed == pairs_needed(0.6, 0.2)

    page = tmp_path / "page.html"
    dispatch(["compare", str(new), str(old), "--html", str(page)])
    told = capsys.readouterr().out
    assert (
        "only new solved 3 of the starts, only old 1" in told
        and f"{verdict.needed} paired starts in all" in told
    )
    assert "not told apart yet" in page.read_text()
    dispatch(["compare", str(new), str(old), "--json"])
    assert json.loads(capsys.readouterr().out)["difference"]["estimate"] == pytest.approx(0.4)


def test_a_clear_difference_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = write(tmp_path / "new.csv", ["success", *["1"] * 28, *["0"] * 2])
    old = write(tmp_path / "old.csv", ["success", *["1"] * 12, *["0"] * 18])
    dispatch(["compare", str(new), str(old)])
    assert "new is better than old" in capsys.readouterr().out
    assert judge(read_trials(old), read_trials(new)).sentence.startswith("new is better than old")


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["start;success", "a;1"], "separator is `;`"),
        (["start,outcome", "a,1"], "has no column success"),
        (["success"], "holds no trial"),
        (["success", "1", "maybe"], "line 3 of .*: the outcome is 'maybe'"),
    ],
)
def test_what_a_file_lacks_is_said(tmp_path: Path, lines: list[str], sentence: str) -> None:
    with pytest.raises(VantageError, match=sentence):
        read_trials(write(tmp_path / "t.csv", lines))


def test_other_starts_are_refused(tmp_path: Path) -> None:
    new = read_trials(write(tmp_path / "new.csv", ["start,success", "a,1", "b,1"]))
    old = read_trials(write(tmp_path / "old.csv", ["start,success", "a,1", "a,1"]))
    with pytest.raises(VantageError, match="did not begin on the same starts"):
        judge(new, old)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe\x00success", "is not text in UTF-8"),
        (b"success\n1,2,3\n", "line 2 of .* has 3 cells and the file 1 columns"),
        (b"note,success\nslow, then stuck,0\n", "line 2 of .*; put text that holds a comma into quotes"),
        (b'success,note\n1,"never closed', None),
        (b"success,note\n1\n", None),
        (b"Success , note\n1,x\n", None),
        (b"success\n1" + b"0" * 200_000, "is not text in UTF-8 with commas"),
        (b"success;start\n1;a, b\n", "its separator is `;`"),
    ],
)
def test_a_csv_that_is_none_is_one_sentence(content: bytes, says: str | None, tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    path.write_bytes(content)
    if says is None:
        assert read_trials(path).success == (True,)
        return
    with pytest.raises(VantageError, match=says):
        read_trials(path)


def test_a_page_never_takes_the_place_of_what_is_compared(tmp_path: Path) -> None:
    before = write(tmp_path / "before.csv", ["success", "1", "0"])
    after = write(tmp_path / "after.csv", ["success", "1", "1"])
    with pytest.raises(VantageError, match=r"after.csv is there already and is no page; name another file"):
        dispatch(["compare", str(before), str(after), "--html", str(after)])
    assert after.read_text() == "success\n1\n1\n"
    for _ in range(2):
        dispatch(["compare", str(before), str(after), "--html", str(tmp_path / "page.html")])
    assert "after" in (tmp_path / "page.html").read_text()


def test_a_policy_is_not_compared_with_itself(tmp_path: Path) -> None:
    trials = write(tmp_path / "trials.csv", ["success", "1"])
    (tmp_path / "again.csv").symlink_to(trials)
    with pytest.raises(VantageError, match="are the same file; name the trials of two policies"):
        dispatch(["compare", str(trials), str(tmp_path / "again.csv")])
