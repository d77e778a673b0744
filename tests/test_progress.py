"""Text is data for a terminal, a bar keeps the time left, and a file gets whole lines."""

import io
import re
import time

import pytest
from rich.console import Console

from vantage import progress
from vantage.progress import Terminal, bar, printable


def shown(width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The last state of a bar on a terminal of that width."""
    screen = io.StringIO()
    monkeypatch.setattr(
        progress,
        "console",
        Console(file=screen, force_terminal=True, width=width, color_system=None, record=True),
    )
    with bar("evaluation, round 2", 1_800, "trials") as advance:
        advance(400, "0.87 [0.82, 0.91]")
        advance(800, "9 alone, 17 rescued, of 60")
    return progress.console.export_text().splitlines()[-1].split("evaluation")[-1]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_a_bar_never_cuts_its_count_nor_its_time(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    line = shown(width, monkeypatch)
    assert "1200/1800" in line and "left 0:0" in line
    assert ("67%" in line) == (width >= 80) and ("━" in line) == (width >= 120)
    assert ("9 alone, 17 rescued, of 60" in line) == (width >= 100), "the note is the first to be cut"


def test_without_a_terminal_a_stage_is_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "console", Terminal(stderr=True))
    with bar("rollouts, round 1", 16, "episodes") as advance:
        advance(16, "a note of many words that is far too long for eighty columns [and not bold]")
    said = capfd.readouterr().err
    assert len(said.splitlines()) == 1 and said.rstrip().endswith("for eighty columns [and not bold]")


def test_without_a_terminal_a_long_stage_says_every_minute_how_far_it_is(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "console", Terminal(stderr=True))
    monkeypatch.setattr(progress, "BEAT", 0.05)
    with bar("policy, round 1", 1_200, "steps") as advance:
        advance(300)
        time.sleep(0.06)
        advance(300, "loss 0.123")
        advance(600)
    first, last = capfd.readouterr().err.splitlines()
    assert re.fullmatch(
        r"policy, round 1 +600 of 1,200 steps \([\d,.]+ steps/s, 0 s left\) loss 0.123", first
    )
    assert "1,200 steps in" in last


@pytest.mark.parametrize("text", ["a[red]b", "[/x]", "[bold]x[/bold]", ":smile:", "\\"])
def test_text_is_no_markup(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    Terminal().print(text)
    assert capfd.readouterr().out == f"{text}\n"


def test_control_characters_do_not_reach_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    Terminal().print("a\x1b[31mred\x1b]0;title\x07\x9b2J\nnext\tline")
    mark = "\N{REPLACEMENT CHARACTER}"
    assert capfd.readouterr().out == f"a{mark}[31mred{mark}]0;title{mark}{mark}2J\nnext    line\n"
    assert printable("é 手 \U0001f600\n") == "é 手 \U0001f600\n"
