"""The page of `vantage outcomes` in a real browser, by keyboard alone."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from grey_recordings import LENGTHS, Page, level, open_journal, record
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from vantage.data.fingerprints import fingerprints
from vantage.data.judgements import Press, Said, Stretch, journal_of, read_journal
from vantage.data.outcomes import attempts_of
from vantage.data.v3.read import read_table
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.stages.label import label

Copy = Callable[[str], Path]
Serve = Callable[..., Page]

IDLE = "body[data-episode]:not([data-busy])"
SHOWN = """camera => {
  const screen = document.querySelectorAll("#cameras .screen")[camera].firstChild;
  if (screen.tagName === "VIDEO" && (screen.seeking || screen.readyState < 2)) return null;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [1, 1];
  canvas.getContext("2d").drawImage(screen, 0, 0, 1, 1);
  return canvas.getContext("2d").getImageData(0, 0, 1, 1).data[0];
}"""


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Tab]:
    """A tab that fails the test for what a browser complains of, and for requests to anybody else."""
    problems: list[str] = []
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: problems.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request", lambda request: request.url.startswith("http://127.0.0.1:") or problems.append(request.url)
    )
    yield page
    context.close()
    assert [one for one in problems if "ERR_CONNECTION_REFUSED" not in one] == []


def press(tab: Tab, *keys: str) -> None:
    """Press keys one after the other, each when the page has done with the one before."""
    for key in keys:
        tab.keyboard.press(key)
        tab.wait_for_selector(IDLE)


def at(tab: Tab) -> tuple[int, int]:
    """(episode, frame) that the page says it shows."""
    episode, frame = tab.evaluate("[document.body.dataset.episode, document.body.dataset.frame]")
    return int(episode), int(frame)


def until[T](ask: Callable[[], T], wanted: Callable[[T], bool], seconds: float = 15) -> T:
    deadline = time.monotonic() + seconds
    while not wanted(value := ask()):
        assert time.monotonic() < deadline, f"it stayed {value!r}"
        time.sleep(0.02)
    return value


def check_pictures(tab: Tab, episode: int, frame: int) -> None:
    """Both cameras show that frame, to the grey level."""
    for camera in (0, 1):
        wanted = level(episode, frame) - 8 * camera
        until(lambda: tab.evaluate(SHOWN, camera), lambda grey: grey is not None and abs(grey - wanted) <= 2)  # noqa: B023


def said(root: Path, episode: int) -> tuple[Stretch, ...]:
    """What the journal says of an episode, as the dataset is numbered now."""
    table = read_table(root)
    content = fingerprints(table.action, table.state, table.starts)[episode]
    judgements = read_journal(journal_of(root)).judgements
    return next(one.stretches for recording, one in judgements.items() if recording.fingerprint == content)


def test_episodes_are_judged_by_keyboard(dataset: Copy, serve: Serve, tab: Tab, tmp_path: Path) -> None:
    root = dataset("films")
    table = read_table(root)
    contents, index = fingerprints(table.action, table.state, table.starts), table.index
    ledger = tmp_path / "4-weights.parquet"
    p_v = np.linspace(0, 1, len(table))
    columns = {"round": index * 0, "index": index, "fingerprint": contents[table.episode_index], "p_v": p_v}
    write_parquet(ledger, columns)
    page = serve(root, "--critic", ledger, "--who", "anna")
    tab.goto(page.address)
    tab.wait_for_selector(IDLE)

    # It plays by itself, stops at the end, and every frame can be looked at.
    until(lambda: at(tab), lambda now: now == (0, LENGTHS[0] - 1))
    check_pictures(tab, 0, LENGTHS[0] - 1)
    press(tab, "ArrowLeft", "ArrowLeft", "ArrowRight")
    assert at(tab) == (0, LENGTHS[0] - 2)
    press(tab, "Home", "ArrowRight")
    check_pictures(tab, 0, 1)
    press(tab, "Shift+ArrowRight")
    assert at(tab) == (0, 21)
    check_pictures(tab, 0, 21)
    assert tab.locator("#p_v").count() == 1 and "policy, pᵥ 0.2" in tab.inner_text("#time")
    assert tab.inner_text("h2") == "Episode 0 · put <b>the cube</b> into the bin", "text is text"

    # The first is a success; the page goes on by itself, to another place in the same file.
    press(tab, "s")
    assert said(root, 0) == (Stretch(0, 23, Said.SUCCESS),) and at(tab)[0] == 1
    press(tab, "Space", "Home")
    check_pictures(tab, 1, 0)

    # The second is two attempts and a reset between them; one press too many is undone.
    press(tab, *["ArrowRight"] * 10, "m", *["ArrowRight"] * 4, "Enter", "ArrowLeft", "x")
    assert said(root, 1) == (Stretch(0, 9), Stretch(10, 13, Said.LEFT_OUT), Stretch(14, 29)), "m, enter, x"
    press(tab, "Home", "f", "s", "Control+z", "f")
    assert said(root, 1) == (
        Stretch(0, 9, Said.FAILURE),
        Stretch(10, 13, Said.LEFT_OUT),
        Stretch(14, 29, Said.FAILURE),
    )
    assert at(tab)[0] == 2

    # A note; letters in it are letters.
    press(tab, "t")
    tab.keyboard.type("stuck: fuss")
    press(tab, "Escape", "u", "p")
    assert at(tab)[0] == 2 and said(root, 2) == (Stretch(0, 19, Said.UNKNOWN),)
    assert tab.input_value("#note") == "stuck: fuss"
    press(tab, ".", ".", ".", ",")
    assert tab.inner_text(".speed [aria-pressed=true]") == "2×"

    # Nothing is outside the window, in light and dark, wide and narrow.
    for width, scheme in ((1400, "light"), (420, "dark")):
        tab.set_viewport_size({"width": width, "height": 860})
        tab.emulate_media(color_scheme=scheme)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), width

    # Killed, nothing is lost, nothing more is said, and it goes on where it was.
    page.kill()
    tab.keyboard.press("f")
    until(lambda: tab.is_visible("#problem"), bool)
    assert "what was saved is safe" in tab.inner_text("#problem")
    assert said(root, 2) == (Stretch(0, 19, Said.UNKNOWN),) and tab.locator(".mark-of.unknown").count() == 1
    again = serve(root)
    tab.goto(again.address)
    tab.wait_for_selector(IDLE)
    assert at(tab)[0] == 3 and tab.inner_text("#progress") == "3 of 4 episodes judged"
    press(tab, "z")
    assert at(tab)[0] == 2 and "2 of 4" in tab.inner_text("#progress"), "undone after a restart"
    press(tab, "z", "u", "s")
    assert tab.inner_text("#saved") == "all 4 episodes are judged and saved"

    labels = tmp_path / "labels.parquet"
    label(root, labels)
    columns = read_parquet(labels, ("outcome_source", "attempt", "route"))
    assert set(columns["outcome_source"]) == {"page", ""} and columns["attempt"][24:54].tolist() == (
        [0] * 10 + [-1] * 4 + [1] * 16
    )
    with tab.expect_download() as download:
        tab.evaluate("document.getElementById('csv').click()")
    assert _ends(root, Path(download.value.path())) == _ends(root, None)


def _ends(root: Path, csv: Path | None) -> list[tuple[int, slice, bool | None]]:
    return [(one.episode, one.rows, one.outcome) for one in attempts_of(read_table(root), csv)]


@pytest.mark.parametrize("kind", ["pictures", "bare"])
def test_without_films_it_shows_what_there_is(dataset: Copy, serve: Serve, tab: Tab, kind: str) -> None:
    page = serve(dataset(kind))
    tab.goto(page.address)
    tab.wait_for_selector(IDLE)
    until(lambda: at(tab), lambda now: now == (0, LENGTHS[0] - 1))
    press(tab, "n", "Space", "Home", "ArrowRight", "ArrowRight")
    assert at(tab) == (1, 2)
    if kind == "pictures":
        check_pictures(tab, 1, 2)
        press(tab, "v")
    assert tab.locator("#curves figure").count() == 2 and tab.locator("#curves polyline").count() == 4 + 3
    press(tab, "f")
    assert at(tab)[0] == 2


BUTTONS = """() => [...document.querySelectorAll(".verdict [data-press]")].map(button => {
  const style = getComputedStyle(button);
  const numbers = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  return [button.dataset.press, button.ariaPressed === "true", numbers(style.color),
          numbers(style.backgroundColor), numbers(style.borderTopColor)];
})"""


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two colours, as the guidelines for accessible pages count it (WCAG 2.2, 1.4.3)."""

    def luminance(colour: Sequence[float]) -> float:
        linear = [((c / 255 + 0.055) / 1.055) ** 2.4 if c > 10 else c / 255 / 12.92 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_answer_looks_like_one(scheme: str, dataset: Copy, serve: Serve, tab: Tab) -> None:
    """Grey on white is how a button looks that cannot be pressed, and one that was pressed could not be
    read."""
    tab.emulate_media(color_scheme=scheme)
    tab.goto(serve(dataset("bare")).address)
    tab.wait_for_selector(IDLE)
    press(tab, "a", "Space", "Home", *["ArrowRight"] * 5, "m")
    for key, answer in (("s", "success"), ("f", "failure"), ("u", "unknown"), ("x", "left out")):
        press(tab, key)
        buttons = {word: shown for word, *shown in tab.evaluate(BUTTONS)}
        assert [word for word, shown in buttons.items() if shown[0]] == [answer]
        for word, (_, ink, ground, _) in buttons.items():
            assert contrast(ink, ground) >= 4.5, (word, ink, ground)
        if answer != "left out":
            _, _, ground, edge = buttons[answer]
            assert ground == edge and max(ground) - min(ground) > 60, f"{answer} is no grey"
            borders = [tuple(buttons[one][3]) for one in ("success", "failure", "unknown")]
            assert len(set(borders)) == 3


def test_it_notices_that_episodes_have_other_numbers(dataset: Copy, serve: Serve, tab: Tab) -> None:
    """As `lerobot-edit-dataset` leaves a folder (test_dataset.py has it do so)."""
    root = dataset("bare")
    journal = open_journal(root)
    for episode, word in ((0, Press.SUCCESS), (1, Press.FAILURE), (3, Press.FAILURE)):
        journal.press(episode, word, 0)
    journal.close()
    shutil.rmtree(root)
    record(root, cameras=(), which=(1, 2, 3))

    page = serve(root)
    tab.goto(page.address)
    tab.wait_for_selector(IDLE)
    assert "2 judged episodes have other numbers now" in tab.inner_text("#said")
    assert "1 judged recordings are not in the dataset now" in tab.inner_text("#said")
    assert at(tab)[0] == 1, "the only one that is not judged"
    press(tab, "s")
    assert [end[2] for end in _ends(root, None)] == [False, True, False]


def test_a_quick_hand_is_not_kept_waiting(dataset: Copy, serve: Serve, tab: Tab) -> None:
    """Keys pressed faster than the page can show anything all count, in their order."""
    root = dataset("films")
    page = serve(root)
    tab.goto(page.address)
    tab.wait_for_selector(IDLE)
    words: Sequence[Said] = (Said.SUCCESS, Said.FAILURE, Said.UNKNOWN, Said.SUCCESS)
    for word in words:
        tab.keyboard.press(word.value[0])
    tab.wait_for_selector(IDLE)
    assert [said(root, number)[0].said for number in range(4)] == [*words]


def test_a_hundred_episodes_fit_into_ten_minutes(dataset: Copy, serve: Serve, tab: Tab) -> None:
    """Six seconds each: from a press to the next episode's pictures takes a small part of them."""
    tab.goto(serve(dataset("films")).address)
    tab.wait_for_selector(IDLE)
    until(lambda: tab.evaluate(SHOWN, 0), lambda grey: grey is not None)
    waited: list[float] = []
    for episode, key in ((1, "s"), (2, "f"), (3, "u")):
        began = time.monotonic()
        press(tab, key)
        assert at(tab)[0] == episode
        for camera in (0, 1):
            until(lambda: tab.evaluate(SHOWN, camera), lambda grey: grey is not None)  # noqa: B023
        waited.append(time.monotonic() - began)
    assert np.median(waited) < 2, waited


def test_the_curve_appears_when_the_critic_has_looked(
    recorded: Path, serve: Serve, tab: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is there at once; episodes are judged while the critic looks at them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = Path(shutil.copytree(Round.of(recorded, 2).episodes, tmp_path / "arm"))
    tab.goto(serve(root, "--critic", Round.of(recorded, 1).critic).address)
    tab.wait_for_selector("#computing")
    assert tab.locator("#p_v").count() == 0
    press(tab, "s")
    assert said(root, 0)[0].said is Said.SUCCESS

    tab.wait_for_selector("#p_v", timeout=60_000)
    tab.wait_for_selector(IDLE)
    assert tab.locator("#computing").count() == 0 and at(tab)[0] == 1
    press(tab, "p")
    assert tab.locator("#p_v").count() == 1 and "pᵥ 0." in tab.inner_text("#time"), "of every episode"
