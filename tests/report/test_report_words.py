"""Words, tables and templates: what people read, and that text stays text in a page, in Markdown and on a
terminal."""

import re
import xml.etree.ElementTree as ET

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup, escape

from vantage.report import render as rendering
from vantage.report.render import plain_symbols, render, symbols
from vantage.report.svg import element, group
from vantage.report.table import Bold, Table
from vantage.report.words import code, fixed, flatten, markdown, one_line, shorten, signed

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=40)
"""Any text that Python can hold, lone surrogates and control characters included."""


def test_differences_and_settings_as_people_write_them():
    assert [signed(28.2), signed(-3.04, 1), signed(0.2), signed(float("nan"))] == ["+28", "−3.0", "0", "–"]
    assert [fixed(0.5), fixed(-0.5), fixed(float("nan"))] == ["0.50", "−0.50", "–"]
    assert flatten({"a": {"b": 1}, "c": [1, 2], "d": [{"e": 0.5}]}) == [
        ("a.b", "1"),
        ("c", "1, 2"),
        ("d[0].e", "0.5"),
    ]
    assert [shorten("abcdef", 6), shorten("abcdefg", 6), shorten("ab cdef", 4)] == ["abcdef", "abcde…", "ab…"]


def test_what_a_terminal_would_obey_becomes_a_mark():
    mark = "\N{REPLACEMENT CHARACTER}"
    assert one_line("\x1b[31mred\x07 \u202egnihton\u2066") == f"{mark}[31mred{mark} {mark}gnihton{mark}"
    assert one_line("one\r\ntwo\tthree\u2028four") == "one two three four"
    assert one_line(b"caf\xe9".decode(errors="surrogateescape")) == f"caf{mark}"
    assert one_line("naïve, 東京, 🦾 – plain") == "naïve, 東京, 🦾 – plain"


@given(ANYTHING)
def test_one_line_can_be_written_anywhere(text):
    shown = one_line(text)
    shown.encode()
    ET.fromstring(f"<a>{escape(shown)}</a>")
    assert shown == one_line(shown) and "\n" not in shown
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", shown)


def test_markdown_by_hand():
    assert markdown("a|b `c` <d> *e* \\ \n#") == r"a\|b \`c\` \<d\> \*e\* \\  #"
    assert markdown("[x](javascript:alert)") == r"[x]\(javascript:alert)"
    assert markdown("0.713 [0.650, 0.771]") == "0.713 [0.650, 0.771]"
    assert code("a b") == "`a b`" and code("a``b") == "``` a``b ```"


@given(ANYTHING)
def test_a_cell_of_a_table_stays_one_cell_of_text(text):
    written = Table(["name", "value"], [[text, Bold(text, text)]]).markdown()
    lines = written.split("\n")
    assert len(lines) == 3
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", lines[2])) == 3, "two cells have three bars"

    cell = markdown(text)
    assert re.sub(r"\\([\\`|<>*(])", r"\1", cell) == one_line(text), "what is read is what was written"


def test_letters_of_the_equations():
    assert symbols("mean g, V_e <b>") == "mean <i>g</i>, <i>V</i><sub>e</sub> &lt;b&gt;"
    assert symbols("going, page_v") == "going, page_v"
    assert plain_symbols("variance explained by V_e") == "variance explained by Vₑ"


def test_an_element_escapes_its_words_and_its_attributes():
    drawn = element("text", {"x": 1.25, "class": 'a" onload="x'}, "<b> & \x1b")
    assert (
        drawn == '<text x="1.2" class="a&#34; onload=&#34;x">&lt;b&gt; &amp; \N{REPLACEMENT CHARACTER}</text>'
    )
    assert group([drawn, "<i>"]) == drawn + Markup("&lt;i&gt;"), "a plain string among drawings is text"


@pytest.fixture
def page(monkeypatch):
    """Renders a template that is given as text."""

    def draw(template, **values):
        loader = jinja2.DictLoader({"page.html": template})
        monkeypatch.setattr(rendering, "_ENVIRONMENT", rendering._ENVIRONMENT.overlay(loader=loader))
        return render("page.html", values)

    return draw


def test_a_template_escapes_all_but_markup(page):
    assert page("{{ a }}|{{ b }}", a="<\x00b>", b=Markup("<b>")) == "&lt;\N{REPLACEMENT CHARACTER}b&gt;|<b>"
    assert page('<i title="{{ a }}">', a='"><script>') == '<i title="&#34;&gt;&lt;script&gt;">'
    assert page("{{ a|tojson }}", a="</script>") == '"\\u003c/script\\u003e"'


def test_a_template_that_names_what_is_not_there_fails(page):
    with pytest.raises(jinja2.UndefinedError, match="nothing"):
        page("{{ nothing }}")
    with pytest.raises(TypeError, match="None"):
        page("{{ a }}", a=None)
