"""A template and the values it names -> HTML: the one place where a page's text is put into markup.

Templates lie in templates/. Every value is escaped where it enters a page (jinja2's autoescape) and loses
its control characters; what enters as it is has the type `Markup`, which only `svg.element` and the filter
`symbols` make. A name that a page does not know is an error, and so is a value that is None.
"""

import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import cast

import jinja2
from markupsafe import Markup, escape

from vantage.report.svg import FONT, STYLE
from vantage.report.words import bracket, fixed, number, one_line, percent, signed

_SYMBOLS = re.compile(r"\b(?:([pVA])_([ve])|(g))\b")
_SUBSCRIPTS = {"v": "ᵥ", "e": "ₑ"}
_MINUS = re.compile(r"(?<![^\s\[(])-(?=\.?\d)")
_PERCENT = re.compile(r"(?<=\d) %")


def symbols(words: str) -> Markup:
    """The letters of the equations as they are printed. Example: "V_e" -> "<i>V</i><sub>e</sub>"."""

    def printed(match: re.Match[str]) -> str:
        letter, below, alone = match.groups()
        return f"<i>{alone}</i>" if alone else f"<i>{letter}</i><sub>{below}</sub>"

    return Markup(_SYMBOLS.sub(printed, str(escape(one_line(words)))))


def plain_symbols(words: str) -> str:
    """The same where no markup can stand, as in an attribute. Example: "V_e" -> "Vₑ"."""
    return _SYMBOLS.sub(lambda m: m[3] or m[1] + _SUBSCRIPTS[m[2]], words)


def true_minus(words: str) -> str:
    """Numbers of a table with the minus of the rest of the page; names with a hyphen stay as they are.

    Example: "-0.05 [-0.1, +0.2]" -> "−0.05 [−0.1, +0.2]".
    """
    return _MINUS.sub("−", words)


def _check(value: object) -> object:
    """A value as it enters a page."""
    if value is None:
        raise TypeError("a template prints a value that is None")
    if isinstance(value, str) and not isinstance(value, Markup):
        return one_line(value)
    return value


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vantage.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_check,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    filters = cast("dict[str, Callable[..., str]]", environment.filters)
    for write in (bracket, fixed, number, percent, plain_symbols, signed, symbols, true_minus):
        filters[write.__name__] = write

    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment


_ENVIRONMENT = _environment()


def render(template: str, values: Mapping[str, object]) -> str:
    """The page that a template makes of these values. Style and script are inside: it needs no other file."""
    assets = files("vantage.report") / "assets"
    style = f"{palette()}{(assets / 'page.css').read_text(encoding='utf-8')}"
    script = (assets / "page.js").read_text(encoding="utf-8")
    page = _ENVIRONMENT.get_template(template)
    # Marks in the place of style and script, so that what is done to words is not done to them.
    words = page.render({**values, "style": Markup("\0style\0"), "script": Markup("\0script\0")})
    # A line never ends between a number and its percent sign.
    words = _PERCENT.sub("\u00a0%", words)
    return words.replace("\0style\0", style).replace("\0script\0", script)


def render_alone(template: str, values: Mapping[str, object]) -> str:
    """The page that a template makes of these values alone: its style and script are files beside it."""
    return _ENVIRONMENT.get_template(template).render({**values})


def palette() -> str:
    """Colours for light and dark, the font, and the marks of drawings, as CSS."""
    return f":root{{--font:{FONT}}}{STYLE}\n"
