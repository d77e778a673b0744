"""Numbers -> one SVG figure by matplotlib: a card of fixed size whose bytes depend on nothing but what is
drawn.

    with card(840, 300) as sheet:                      lengths are CSS pixels, y grows downwards
        axes = sheet.panel(60, 30, 820, 260, x=(0, 1))     matplotlib's own Axes, in a box of the card
        axes.plot(...)
        figure = sheet.svg("what it shows, in words")

Text stays text. Every colour belongs to the palette, which has a light and a dark form: the figure is a light
card, and browsers that prefer dark show it as a dark one. Both carry their own ground, so a figure is legible
on any page. The extra `study` installs matplotlib.
"""

import base64
import io
import math
import re
import textwrap
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

from vantage.core.stats import Interval
from vantage.errors import VantageError
from vantage.report.words import one_line

try:
    import matplotlib
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as missing:
    raise VantageError(
        "figures are drawn by matplotlib, which is not installed; pip install 'vantage[study]'",
    ) from missing

LIGHT = {
    "card": "#ffffff",
    "ink": "#17212d",
    "soft": "#57626f",
    "grid": "#e6e9ed",
    "axis": "#a9b1bb",
    "grey": "#4a525d",
    "blue": "#0b62a9",
    "teal": "#0e9c80",
    "red": "#c4470d",
    "violet": "#5b4bb6",
    "orange": "#b55d01",
}
"""Name -> colour of the light card. No two are equal, so that each can be told from its colour alone."""
DARK = {
    "card": "#0d1117",
    "ink": "#e9edf2",
    "soft": "#a3adba",
    "grid": "#232a34",
    "axis": "#56616f",
    "grey": "#7d8692",
    "blue": "#5aa6ea",
    "teal": "#3fd0ae",
    "red": "#ff9560",
    "violet": "#ada0f2",
    "orange": "#f0a144",
}
"""The same names on the dark card."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
"""What browsers set the text in. matplotlib measures with DejaVu Sans, which it
brings along and which is wider than these."""

MARGIN = 16.0
"""Pixels between a card's edge and its words."""
NOTE = 16.0
"""Height of a line of a note."""

_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "vantage",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12,
    "text.color": LIGHT["soft"],
    "text.parse_math": False,  # the names of arms and tasks are words, whatever stands in them
    "axes.labelcolor": LIGHT["soft"],
    "axes.edgecolor": LIGHT["axis"],
    "axes.facecolor": "none",
    "axes.linewidth": 1,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "grid.color": LIGHT["grid"],
    "grid.linewidth": 1,
    "xtick.color": LIGHT["axis"],
    "ytick.color": LIGHT["axis"],
    "xtick.labelcolor": LIGHT["soft"],
    "ytick.labelcolor": LIGHT["soft"],
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}
"""Settings of matplotlib while a card is drawn, and only then."""


@dataclass(slots=True)
class Card:
    """A figure under way; `card` makes it."""

    width: float
    height: float
    figure: Figure
    _tips: list[str] = field(default_factory=list[str])
    _pictures: list[str] = field(default_factory=list[str])

    def panel(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        *,
        x: tuple[float, float] = (0.0, 1.0),
        y: tuple[float, float] | None = None,
    ) -> Axes:
        """Axes in a box of the card, over the data ranges `x` and `y`; without `y`,
        heights are the card's own pixels."""
        box = (
            left / self.width,
            1 - bottom / self.height,
            (right - left) / self.width,
            (bottom - top) / self.height,
        )
        axes = self.figure.add_axes(box)
        axes.set_xlim(*x)
        axes.set_ylim(*(y or (bottom, top)))
        axes.tick_params(length=0, pad=6)
        return axes

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        colour: str = "soft",
        bold: bool = False,
        align: str = "left",
        size: float = 12,
    ) -> None:
        """Words whose baseline begins, ends or has its middle (`align`: left,
        right, center) at a point of the card."""
        self.figure.text(
            x / self.width,
            1 - y / self.height,
            one_line(words),
            color=LIGHT[colour],
            weight="bold" if bold else "normal",
            ha=align,
            va="baseline",
            size=size,
        )

    def title(self, words: str) -> None:
        """What the figure shows, at the head of the card."""
        self.text(MARGIN, 28, words, colour="ink", bold=True, size=14)

    def note(self, lines: Sequence[str]) -> None:
        """Small print at the foot of the card, from `note_lines`."""
        for number, words in enumerate(reversed(lines)):
            self.text(MARGIN, self.height - 14 - NOTE * number, words, size=11)

    def tip(self, artist: Artist, words: str) -> None:
        """Show `words` when the pointer rests on an artist, where the figure stands in a page."""
        artist.set_gid(f"tip{len(self._tips)}.")
        self._tips.append(words)

    def picture(self, x: float, y: float, side: float, jpeg: bytes) -> None:
        """A square JPEG with its upper left corner at a point of the card, byte for byte."""
        data = base64.b64encode(jpeg).decode()
        self._pictures.append(
            f'<image x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" '
            f'href="data:image/jpeg;base64,{data}"/>',
        )

    def svg(self, words: str) -> str:
        """The figure as SVG text; `words` say what it shows, for those who cannot see it."""
        out = io.StringIO()
        self.figure.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        drawn = out.getvalue()

        # What matplotlib wraps the drawing in goes, and what says nothing here: turns by nothing, and ids
        # without a reference.
        body = drawn[drawn.index("</defs>") + len("</defs>") : drawn.rindex("</svg>")]
        body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body)
        body = re.sub(r' (d|x|y|width|height|transform)="[^"]*"', lambda match: _rounded(match[0]), body)
        body = re.sub(r"\s*\n\s*", " ", body).replace(" <", "<").replace("> ", ">")
        for number, tip in enumerate(self._tips):
            body = body.replace(f'<g id="tip{number}.">', f"<g><title>{escape(one_line(tip))}</title>")
        used = set(re.findall(r"#([\w.]+)[\")]", body))
        body = re.sub(r' id="([\w.]+)"', lambda match: match[0] if match[1] in used else "", body)

        # Pages have a rule that outlines the text of their own figures; what stands in the element itself
        # goes before it.
        body = body.replace("font-family: 'DejaVu Sans', sans-serif", "stroke: none")
        root = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="{self.width:g}" height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'role="img" aria-label="{escape(one_line(words))}" '
            f'style="font-family: {FONT}; font-variant-numeric: tabular-nums">'
        )
        return f"{root}<style>{_STYLE}</style>{body}{''.join(self._pictures)}</svg>\n"


def _rounded(attribute: str) -> str:
    """Lengths to a hundredth of a pixel, which is as fine as anybody sees."""
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), attribute)


def _dark_rules() -> str:
    """CSS that gives everything drawn in a light colour its dark one; viewers that
    know no such rule show the light card."""
    rules: list[str] = []
    for name, light in LIGHT.items():
        for use in ("fill", "stroke"):
            rules.append(f'[style*="{use}: {light}"]{{{use}:{DARK[name]} !important}}')
    return "@media (prefers-color-scheme:dark){" + "".join(rules) + "}"


_STYLE = "svg *{stroke-linejoin:round}" + _dark_rules()


@contextmanager
def card(width: float, height: float) -> Generator[Card]:
    """An empty card of so many CSS pixels. matplotlib's settings are as before when the block ends."""
    with matplotlib.rc_context(_RC):
        # At 72 dots an inch matplotlib's points, and with them font sizes and line widths, are the card's
        # pixels.
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor=LIGHT["card"])
        yield Card(width, height, figure)


def interval(
    sheet: Card,
    axes: Axes,
    at: Interval,
    y: float,
    colour: str,
    words: str,
    *,
    hollow: bool = False,
) -> None:
    """A dot with its interval lying on its side; without an interval (NaN), the dot alone."""
    if math.isfinite(at.low):
        axes.plot([at.low, at.high], [y, y], color=LIGHT[colour], linewidth=2)
    dot(sheet, axes, at.estimate, y, colour, words, hollow=hollow)


def upright(
    sheet: Card,
    axes: Axes,
    x: float,
    at: Interval,
    colour: str,
    words: str,
    *,
    hollow: bool = False,
) -> None:
    """A dot with its interval standing up; without an interval (NaN), the dot alone."""
    if math.isfinite(at.low):
        axes.plot([x, x], [at.low, at.high], color=LIGHT[colour], linewidth=2)
    dot(sheet, axes, x, at.estimate, colour, words, hollow=hollow)


def dot(
    sheet: Card,
    axes: Axes,
    x: float,
    y: float,
    colour: str,
    words: str,
    *,
    hollow: bool = False,
) -> None:
    """A disc or a ring, with words for the pointer."""
    face, edge = (LIGHT["card"], LIGHT[colour]) if hollow else (LIGHT[colour], LIGHT["card"])
    (disc,) = axes.plot(
        [x],
        [y],
        linestyle="none",
        marker="o",
        markersize=7 if hollow else 8,
        markerfacecolor=face,
        markeredgecolor=edge,
        markeredgewidth=1.8 if hollow else 1,
        clip_on=False,
    )
    sheet.tip(disc, words)


def note_lines(words: str, width: float) -> list[str]:
    """The lines that a note takes on a card of so many pixels, set in 11 pixels of the
    widest font that it may be shown in."""
    return textwrap.wrap(words, int((width - 2 * MARGIN) / 6.5))


def grid(axes: Axes, ticks: Sequence[float], names: Sequence[str], *, along: str = "x") -> None:
    """Lines across the panel at some ticks of one axis (`along`: x or y), named in
    words; the axis itself is not drawn."""
    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_ticks(list(ticks), list(names))
    axes.grid(True, axis="x" if along == "x" else "y")


def bare(axes: Axes, *, keep: Sequence[str] = ()) -> None:
    """Hide the frame of a panel but for the sides to `keep`, and the ticks of the sides that are hidden."""
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(side in keep)
    if "left" not in keep:
        axes.set_yticks([])
