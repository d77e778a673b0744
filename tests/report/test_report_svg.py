"""Scales, ticks, words and marks, worked out by hand."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vantage.report import svg as drawing
from vantage.report.svg import Scale, axes, band, line, plot, rect, save_svg, stacked, svg, text, ticks
from vantage.report.words import number, percent


def test_a_scale_maps_by_hand_and_holds_its_edges():
    scale = Scale(10, 20, 100, 300)
    assert [scale(v) for v in (10, 15, 20)] == [100, 200, 300]
    assert scale.clip(25) == 300
    assert Scale(3, 3, 0, 10)(3) == 5


def test_ticks_by_hand():
    assert ticks(0, 97, 4) == [0, 25, 50, 75]
    assert ticks(-58, 0, 2) == [-50, -25, 0] or ticks(-58, 0, 2) == [-50, 0]
    assert ticks(0, 1, 4) == [0, 0.25, 0.5, 0.75, 1]
    assert ticks(2, 2) == [2]
    assert ticks(0, float("nan")) == [0]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 10))
def test_ticks_are_few_even_and_inside(low, extent, count):
    marks = ticks(low, low + extent, count)
    assert len(marks) <= 2 * count + 2
    assert all(low - 1e-6 * extent <= mark <= low + extent * (1 + 1e-6) for mark in marks)
    gaps = np.diff(marks)
    assert np.allclose(gaps, gaps[0] if len(gaps) else 0, rtol=1e-6)


def test_numbers_as_people_write_them():
    assert number(-1234.5) == "−1,234"
    assert number(0.0000001) == "0"
    assert number(0.25) == "0.25"
    assert number(48.5333) == "48.5"
    assert number(float("nan")) == "–"
    assert [percent(rate) for rate in (0.431, 0.125, 0.375, 1, float("nan"))] == [
        "43\u202f%",
        "13\u202f%",
        "38\u202f%",
        "100\u202f%",
        "–",
    ]


def test_a_line_breaks_at_a_gap_and_is_held_at_the_edge():
    area = plot((0, 0, 100, 100), x=(0, 4), y=(0, 1))
    drawn = line(area, np.arange(5.0), np.array([0, 2.0, np.nan, 0.5, 1]), "policy")
    assert re.search('d="([^"]*)"', drawn)[1] == "M0.0,100.0L25.0,0.0M75.0,50.0L100.0,0.0"
    assert line(area, np.arange(2.0), np.full(2, np.nan), "policy") == ""


def test_a_band_closes_each_stretch_by_itself():
    area = plot((0, 0, 40, 10), x=(0, 4), y=(0, 1))
    high = np.array([1, 1, np.nan, 1, 1.0])
    drawn = band(area, np.arange(5.0), np.where(np.isnan(high), np.nan, 0.0), high, "human")
    assert (
        re.search('d="([^"]*)"', drawn)[1]
        == "M0.0,0.0L10.0,0.0L10.0,10.0L0.0,10.0ZM30.0,0.0L40.0,0.0L40.0,10.0L30.0,10.0Z"
    )


def test_columns_stack_to_their_sum():
    area = plot((0, 0, 10, 100), x=(-0.5, 0.5), y=(0, 10))
    drawn = stacked(area, 0, 4, [("policy", "six", 6.0), ("human", "", 0.0), ("failure", "two", 2.0)])
    tops = sorted(float(y) for y in re.findall(r'y="([\d.]+)"', drawn))
    assert tops == [21, 41]  # 8 and 6 of 10, less one pixel of air
    assert drawn.count("<rect") == 2


def test_words_are_escaped_and_a_file_stands_alone(tmp_path):
    area = plot((40, 20, 180, 80))
    parts = [
        axes(area, x_ticks=(0, 1), y_ticks=(0, 1)),
        text(5, 5, "<b> & 'quotes'"),
        rect(0, 0, 1, 1, "bar policy", "a < b"),
    ]
    path = save_svg(svg(200, 100, parts, 'say "it" <now>'), tmp_path / "figure.svg")
    root = ET.parse(path).getroot()
    assert root.get("aria-label") == 'say "it" <now>'
    words = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert "<b> & 'quotes'" in words
    assert "prefers-color-scheme" in next(e.text for e in root.iter() if e.tag.endswith("style"))


def luminance(colour: str) -> float:
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(a: str, b: str) -> float:
    """WCAG 2: (L1 + 0.05) / (L2 + 0.05)."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [drawing._LIGHT, drawing._DARK])
def test_contrast_in_both_schemes(palette):
    for paper in ("page", "card"):
        assert min(contrast(palette[ink], palette[paper]) for ink in ("ink", "soft")) >= 4.5
        assert (
            min(
                contrast(palette[c], palette[paper])
                for c in ("policy", "human", "failure", "demo", "efficiency", "gate")
            )
            >= 3
        )
    on = "#ffffff" if palette is drawing._LIGHT else "#10151c"
    assert min(contrast(palette[c], on) for c in ("policy", "human", "failure", "demo")) >= 4.5, (
        "words inside coloured strips"
    )


def seen_by(colour: str, kind: str) -> np.ndarray:
    """How a dichromat sees a colour, in linear RGB (Viénot, Brettel and Mollon 1999)."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]) ** 2.2
    to_lms = np.array(
        [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]]
    )
    loss = {
        "protan": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
        "deutan": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
    }
    return np.clip(np.linalg.inv(to_lms) @ loss[kind] @ to_lms @ parts, 0, 1) ** (1 / 2.2)


@pytest.mark.parametrize("palette", [drawing._LIGHT, drawing._DARK])
@pytest.mark.parametrize("kind", ["protan", "deutan"])
def test_outcomes_stay_apart_under_colour_blindness(palette, kind):
    seen = {name: seen_by(palette[name], kind) for name in ("policy", "human", "failure")}
    for a, b in (("policy", "human"), ("policy", "failure"), ("human", "failure")):
        assert np.linalg.norm(seen[a] - seen[b]) > 0.3, f"{a} and {b} look alike"
