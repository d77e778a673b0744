"""Numbers -> SVG: scales, axes and a handful of marks. Colours are CSS classes, for light and dark at once.

    plot(box, x, y) ──axes, line, band, interval, dot──> fragments ──svg──> one <svg> ──save_svg──> a file

A mark's class says what it is (`mark`, `area`, `bar`, `dot`); its colour class says what it means
(`policy`, `human`, `failure` ...). Lengths are in CSS pixels, y grows downwards; NaN breaks a line.
Fragments are `Markup`: every word and attribute in them was escaped by `element`, so a page may take a
drawing as it is; a plain string among the fragments is shown as text.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from markupsafe import Markup, escape

from vantage.disk.files import write_whole
from vantage.report.words import number, one_line

FONT = ", ".join(
    ("ui-sans-serif", "system-ui", "-apple-system", '"Segoe UI"', "Inter", "Roboto", '"Helvetica Neue"')
    + ('"Liberation Sans"', "sans-serif")
)

_LIGHT = {
    "ink": "#16202c", "soft": "#55606e", "line": "#dfe3e8", "grid": "#e8ebef",
    "page": "#fbfaf8", "card": "#ffffff", "tint": "#f3f4f3",
    "policy": "#0b62a8", "human": "#b55d00", "failure": "#8c1d4f", "demo": "#6d7683",
    "unlabelled": "#b3bac4", "efficiency": "#00775c", "gate": "#5b4bb5",
}  # fmt: skip
_DARK = {
    "ink": "#e9edf2", "soft": "#a3adba", "line": "#303844", "grid": "#29313c",
    "page": "#11161d", "card": "#181f28", "tint": "#1e2630",
    "policy": "#6cb4ee", "human": "#f0a144", "failure": "#e07a94", "demo": "#98a2b0",
    "unlabelled": "#566070", "efficiency": "#4cc9a4", "gate": "#ada0f2",
}  # fmt: skip

MEANINGS = ("policy", "human", "failure", "demo", "unlabelled", "efficiency", "gate")
"""The colour classes. Blue, orange, wine red and grey stay apart under every common colour blindness."""


def _variables(palette: dict[str, str]) -> str:
    return ":root{" + "".join(f"--{name}:{value};" for name, value in palette.items()) + "}"


STYLE = (
    _variables(_LIGHT)
    + "@media (prefers-color-scheme:dark){" + _variables(_DARK) + "}"
    + "".join(f".{name}{{--c:var(--{name})}}" for name in MEANINGS)
    + f"svg text{{font-family:{FONT};font-size:12px;fill:var(--soft);font-variant-numeric:tabular-nums}}"
    "svg:not(.traces) text{paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}"
    "svg .strong{fill:var(--ink);font-weight:600}svg .named{fill:var(--c);font-weight:600}"
    ".grid{stroke:var(--grid);stroke-width:1}.axis{stroke:var(--soft);stroke-width:1;opacity:.6}"
    ".guide{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 4;opacity:.8}"
    ".mark{stroke:var(--c);fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}"
    ".mark.thin{stroke-width:1.2;stroke-dasharray:1 3}.mark.fine{stroke-width:1;opacity:.55}"
    ".mark.heavy{stroke-width:2.4}"
    ".area{fill:var(--c);opacity:.16}.bar{fill:var(--c)}.bar.pale{opacity:.45}"
    ".dot{fill:var(--c);stroke:var(--card);stroke-width:1.5}"
    ".dot.hollow{fill:var(--card);stroke:var(--c);stroke-width:2}"
    ".dot.small{stroke-width:.8;fill-opacity:.75}"
    ".cursor{stroke:var(--ink);stroke-width:1.5}"
)  # fmt: skip
"""The palette and the marks, as CSS; the page includes it once, a single .svg file carries it inside."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from data [low, high] to pixels [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value; the middle where the data has no extent."""
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def clip(self, value: float) -> float:
        """The pixel of a value, held inside the plot."""
        return self(min(max(value, self.low), self.high))


@dataclass(frozen=True, slots=True)
class Plot:
    """A rectangle with two scales."""

    x: Scale
    y: Scale

    @property
    def left(self) -> float:
        """Pixel of the left edge."""
        return self.x.start

    @property
    def right(self) -> float:
        """Pixel of the right edge."""
        return self.x.end

    @property
    def top(self) -> float:
        """Pixel of the upper edge."""
        return self.y.end

    @property
    def bottom(self) -> float:
        """Pixel of the lower edge."""
        return self.y.start


def plot(
    box: tuple[float, float, float, float],
    x: tuple[float, float] = (0, 1),
    y: tuple[float, float] = (0, 1),
) -> Plot:
    """A plot in the pixels (left, top, right, bottom) over the data ranges x and y."""
    left, top, right, bottom = box
    return Plot(Scale(*x, left, right), Scale(*y, bottom, top))


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round numbers (1, 2, 2.5 or 5 times a power of ten apart) inside [low, high].

    Example: ticks(0, 97, 4) = [0, 25, 50, 75].
    """
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else []

    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((1, 2, 2.5, 5, 10), key=lambda m: abs(math.log(m * power / raw))) * power

    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]


def element(name: str, attributes: Mapping[str, str | float], content: str = "") -> Markup:
    """One SVG element, and the one place where an attribute or a word of a drawing is escaped.

    Numbers are written with one decimal, empty attributes are left out. `content` is text, or the `Markup`
    of further elements.
    """
    written = [
        f' {key}="{value:.1f}"' if isinstance(value, float) else f' {key}="{escape(one_line(str(value)))}"'
        for key, value in attributes.items()
        if value != ""
    ]
    inside = content if isinstance(content, Markup) else escape(one_line(content))
    end = f">{inside}</{name}>" if inside else "/>"
    return Markup(f"<{name}{''.join(written)}{end}")


def group(parts: Sequence[str]) -> Markup:
    """Fragments one after another; a plain string among them is shown as text."""
    return Markup("").join(parts)


def text(x: float, y: float, words: str, *, anchor: str = "start", cls: str = "") -> Markup:
    """Words at a point; anchor start, middle or end."""
    point = {"x": float(x), "y": float(y), "text-anchor": "" if anchor == "start" else anchor}
    return element("text", {**point, "class": cls}, words)


def rule(x1: float, y1: float, x2: float, y2: float, cls: str = "grid") -> Markup:
    """A straight line."""
    return element("line", {"class": cls, "x1": float(x1), "y1": float(y1), "x2": float(x2), "y2": float(y2)})


def rect(x1: float, y1: float, x2: float, y2: float, cls: str, title: str = "", radius: float = 0) -> Markup:
    """A rectangle between two corners, with a tooltip."""
    corner = {"x": float(min(x1, x2)), "y": float(min(y1, y2))}
    size = {"width": float(abs(x2 - x1)), "height": float(abs(y2 - y1))}
    rounded = {"rx": f"{radius:g}" if radius else ""}
    return element("rect", {"class": cls, **corner, **size, **rounded}, _tip(title))


def dot(x: float, y: float, cls: str, radius: float = 4.5, title: str = "") -> Markup:
    """A disc with a tooltip."""
    disc = {"class": f"dot {cls}", "cx": float(x), "cy": float(y), "r": f"{radius:g}"}
    return element("circle", disc, _tip(title))


def picture(x: float, y: float, width: float, height: float, href: str) -> Markup:
    """A raster picture; `href` is a data: address, so that the drawing needs no other file."""
    corner = {"x": float(x), "y": float(y)}
    return element("image", {**corner, "width": float(width), "height": float(height), "href": href})


def _tip(title: str) -> Markup:
    return element("title", {}, title) if title else Markup("")


def _path(area: Plot, x: Float[np.ndarray, "N"], y: Float[np.ndarray, "N"]) -> str:
    commands, pen = list[str](), "M"
    for px, py in zip(x.tolist(), y.tolist(), strict=True):
        if math.isnan(py) or math.isnan(px):
            pen = "M"
            continue
        commands.append(f"{pen}{area.x(px):.1f},{area.y.clip(py):.1f}")
        pen = "L"
    return "".join(commands)


def line(
    area: Plot,
    x: Float[np.ndarray, "N"],
    y: Float[np.ndarray, "N"],
    cls: str,
    title: str = "",
) -> Markup:
    """A curve with a tooltip; NaN breaks it, values outside the plot are held at its edge."""
    path = _path(area, x, y)
    return element("path", {"class": f"mark {cls}", "d": path}, _tip(title)) if path else Markup("")


def band(
    area: Plot,
    x: Float[np.ndarray, "N"],
    low: Float[np.ndarray, "N"],
    high: Float[np.ndarray, "N"],
    cls: str,
) -> Markup:
    """The area between two curves, each unbroken stretch by itself."""
    known = ~(np.isnan(low) | np.isnan(high))
    edges = np.flatnonzero(np.diff(np.r_[False, known, False].astype(np.int8)))

    pieces = list[str]()
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        part = slice(start, stop)
        there = _path(area, x[part], high[part])
        back = _path(area, x[part][::-1], low[part][::-1])
        pieces.append(f"{there}L{back[1:]}Z")

    return element("path", {"class": f"area {cls}", "d": "".join(pieces)}) if pieces else Markup("")


def interval(area: Plot, x: float, low: float, high: float, cls: str) -> Markup:
    """An upright interval with short feet at data position x."""
    px, top, bottom = area.x(x), area.y.clip(high), area.y.clip(low)
    stem = rule(px, top, px, bottom, f"mark {cls}")
    feet = [rule(px - 4, y, px + 4, y, f"mark {cls}") for y in (top, bottom)]
    return group([stem, *feet])


def axes(
    area: Plot,
    *,
    x_ticks: Sequence[float] = (),
    y_ticks: Sequence[float] = (),
    x_names: Sequence[str] = (),
    y_names: Sequence[str] = (),
    x_label: str = "",
    y_label: str = "",
) -> Markup:
    """Grid lines with numbers at the left, numbers below, and both axes named in words.

    Names, where given, replace the numbers of the ticks.
    """
    parts = list[Markup]()
    for value, name in zip(y_ticks, y_names or [number(v) for v in y_ticks], strict=True):
        y = area.y(value)
        parts += [rule(area.left, y, area.right, y), text(area.left - 8, y + 4, name, anchor="end")]

    for value, name in zip(x_ticks, x_names or [number(v) for v in x_ticks], strict=True):
        parts.append(text(area.x(value), area.bottom + 18, name, anchor="middle"))
    parts.append(rule(area.left, area.bottom, area.right, area.bottom, "axis"))

    if x_label:
        parts.append(text(area.right, area.bottom + 36, x_label, anchor="end"))
    if y_label:
        parts.append(text(area.left, area.top - 10, y_label))
    return group(parts)


def histogram(
    area: Plot,
    edges: Float[np.ndarray, "J"],
    series: Sequence[tuple[str, str, Float[np.ndarray, "K"]]],
) -> Markup:
    """Outlined steps over K bins with J = K + 1 edges; a series is (colour class, name, heights)."""
    parts = list[Markup]()

    for cls, name, height in series:
        # Two points per bin make the steps; a point at the foot of either end closes the outline.
        x = np.repeat(edges, 2)[1:-1]
        y = np.repeat(height, 2)
        if "thin" not in cls:
            parts.append(band(area, x, np.zeros_like(y), y, cls))
        parts.append(line(area, np.r_[edges[0], x, edges[-1]], np.r_[0.0, y, 0.0], cls, name))

    return group(parts)


def stacked(area: Plot, at: float, width: float, parts: Sequence[tuple[str, str, float]]) -> Markup:
    """One stacked column at data position `at`; each part is (colour class, tooltip, amount)."""
    left, right = area.x(at) - width / 2, area.x(at) + width / 2

    drawn, base = list[Markup](), 0.0
    for cls, title, amount in parts:
        if amount > 0:
            # One pixel of air between two parts, unless the part is thinner than that.
            top, bottom = area.y(base + amount), area.y(base)
            drawn.append(rect(left, min(top + 1, bottom), right, bottom, f"bar {cls}", title))
        base += amount
    return group(drawn)


def svg(
    width: float,
    height: float,
    parts: Sequence[str],
    label: str,
    *,
    cls: str = "",
    data: Mapping[str, str] | None = None,
) -> Markup:
    """One figure. `label` says in words what it shows, for those who cannot see it.

    `data` are further attributes, for the page's script.
    """
    frame = {"xmlns": "http://www.w3.org/2000/svg", "class": cls, "viewBox": f"0 0 {width:g} {height:g}"}
    return element("svg", {**frame, "role": "img", "aria-label": label, **(data or {})}, group(parts))


def save_svg(figure: str, path: Path) -> Path:
    """Write a figure as a file of its own, with its style inside."""
    head, body = figure.split(">", 1)
    style = element("style", {}, Markup(STYLE.replace("&", "&amp;").replace("<", "&lt;")))
    write_whole(path, f"{head}>{style}{body}\n".encode())
    return path
