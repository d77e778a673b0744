"""Cards: what they are made of, how they look to others, and that nothing but
what is drawn decides their bytes."""

import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest

from vantage.core.stats import Interval, t_interval
from vantage.study.arms import Family
from vantage.study.figures.card import DARK, LIGHT, card, grid, interval, note_lines
from vantage.study.figures.forest import COLOUR

SVG = "{http://www.w3.org/2000/svg}"


def example(*, words: str = "one dot") -> str:
    with card(300, 120) as sheet:
        axes = sheet.panel(40, 20, 280, 90)
        grid(axes, (0.0, 0.5, 1.0), ("0", "half", "1"))
        sheet.text(40, 14, "a < b", colour="ink", bold=True)
        interval(sheet, axes, Interval(estimate=0.5, low=0.2, high=0.8, n=4), 50, "blue", "0.5 & more")
        return sheet.svg(words)


def test_a_card_is_a_whole_svg_of_its_size() -> None:
    root = ElementTree.fromstring(example(words='says "what"'))
    assert (
        root.tag == f"{SVG}svg"
        and root.attrib["viewBox"] == "0 0 300 120"
        and root.attrib["aria-label"] == 'says "what"'
    )
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"a < b", "half"} <= set(texts), "text is text"
    assert [tip.text for tip in root.iter(f"{SVG}title")] == ["0.5 & more"]
    drawn = example()
    ids, used = set(re.findall(r' id="([^"]*)"', drawn)), set(re.findall(r"#([\w.]+)[\")]", drawn))
    assert ids <= used, "no id that nothing refers to, so that figures can stand in one page"
    assert not re.search(r"\d\.\d{3}", re.sub(r"<style>.*?</style>", "", drawn)), (
        "hundredths of a pixel at most"
    )


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    with pytest.raises(ZeroDivisionError), card(100, 100):
        raise ZeroDivisionError
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}):
        assert example() == example()
        strange = example()
    assert strange == example(), "a user's own settings change nothing"


def test_one_seed_has_no_interval_and_draws_none() -> None:
    for sample, lines in ((np.array([0.4, 0.6, 0.5]), 2), (np.array([0.5]), 1)):
        with card(100, 100) as sheet:
            axes = sheet.panel(0, 0, 100, 100)
            interval(sheet, axes, t_interval(sample), 50, "blue", "")
            assert len(axes.lines) == lines, "a bar and a dot, or the dot alone"


def test_every_colour_has_a_dark_form_and_a_rule() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT), "a colour says which it is"
    style = re.search(r"<style>(.*?)</style>", example())
    assert style is not None
    for name in LIGHT:
        assert f'[style*="fill: {LIGHT[name]}"]{{fill:{DARK[name]} !important}}' in style[1]
    used = set(re.findall(r"(?:fill|stroke): (#\w{6})", example()))
    assert used <= set(LIGHT.values()), "nothing is drawn in a colour that has no dark form"


def luminance(colour: str) -> float:
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_a_card_is_legible(palette: dict[str, str]) -> None:
    assert min(contrast(palette[ink], palette["card"]) for ink in ("ink", "soft")) >= 4.5
    assert (
        min(
            contrast(palette[name], palette["card"])
            for name in ("grey", "blue", "teal", "red", "violet", "orange")
        )
        >= 3
    )


def seen_by(colour: str, kind: str) -> np.ndarray:
    """How a dichromat sees a colour (Viénot, Brettel and Mollon 1999)."""
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]) ** 2.2
    to_lms = np.array(
        [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]],
    )
    loss = {
        "protan": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
        "deutan": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
        "neither": np.eye(3),
    }
    return np.clip(np.linalg.inv(to_lms) @ loss[kind] @ to_lms @ parts, 0, 1) ** (1 / 2.2)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("kind", ["protan", "deutan", "neither"])
def test_families_stay_apart_under_colour_blindness(palette: dict[str, str], kind: str) -> None:
    seen = {family: seen_by(palette[COLOUR[family]], kind) for family in Family}
    for first, second in itertools.combinations(Family, 2):
        assert np.linalg.norm(seen[first] - seen[second]) > 0.25, f"{first} and {second} look alike"


def test_notes_fit_their_card() -> None:
    lines = note_lines("word " * 60, 400)
    assert len(lines) > 1 and max(map(len, lines)) * 6.5 <= 400 - 32


def test_without_matplotlib_a_sentence_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['matplotlib'] = None;"
        "sys.argv = ['vantage', 'study-report', 'docs/results/study-screen'];"
        "from vantage.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") <= 2
    assert "matplotlib" in done.stderr and "vantage[study]" in done.stderr
