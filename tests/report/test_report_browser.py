"""The page as people meet it: in a real browser, by mouse, touch and keyboard, wide and narrow, light and
dark."""

import math

import pytest

VIEWER = "document.querySelector('.viewer:not([hidden])')"
VIDEO = f"{VIEWER}.querySelector('video')"
SCRUB = f"{VIEWER}.querySelector('.scrub')"
PLOT = f"[...{VIEWER}.querySelectorAll('svg.traces')].find((s) => s.getBoundingClientRect().width > 0)"
READY = f"{VIDEO} && {VIDEO}.readyState >= 2 && !{VIDEO}.seeking"


def spot(browser, share):
    """Page position at a share of the time axis, after bringing it into view."""
    browser.evaluate(f"{SCRUB}.scrollIntoView({{block: 'center'}})")
    return browser.evaluate(
        f"(() => {{ const p = {PLOT}, b = p.getBoundingClientRect(), d = p.dataset;"
        f" const x = +d.left + (d.right - d.left) * {share}; "
        f"return [b.left + x / d.width * b.width, b.top + b.height / 2]; }})()"
    )


def state(browser):
    """(step, video time in steps, cursor as a share of the axis) of the shown viewer."""
    browser.wait(READY)
    return browser.evaluate(
        f"(() => {{ const v = {VIEWER}, d = JSON.parse(v.querySelector('script').textContent), p = {PLOT};"
        " const x = +p.querySelector('.cursor').getAttribute('x1'), s = p.dataset;"
        f" return [+{SCRUB}.getAttribute('aria-valuenow'), {VIDEO}.currentTime * d.fps, (x - s.left) "
        f"/ (s.right - s.left), d.frames]; }})()"
    )


def check_together(browser, share):
    step, seen, cursor, frames = state(browser)
    assert step == pytest.approx(share * (frames - 1), abs=0.51)
    assert math.floor(seen + 1e-6) == step, "the video shows another step than the plot"
    assert cursor == pytest.approx(step / (frames - 1), abs=1e-6)


def test_it_renders_without_a_single_complaint(browser, toy_page):
    browser.open(toy_page)
    browser.wait(READY)
    assert "HABC" in browser.evaluate("document.querySelector('h1').innerText")
    sections = browser.evaluate("[...document.querySelectorAll('section')].map((section) => section.id)")
    assert sections == ["success", "episodes", "steps", "collected", "weights", "critic", "starts", "actor"]
    shown = browser.evaluate(
        "[...document.querySelectorAll('.fig')].filter((f) => f.offsetParent)"
        ".map((f) => [...f.children].filter((s) => s.getBoundingClientRect().width > 0).length)"
    )
    assert shown and set(shown) == {1}, "each wide figure shows exactly one of its drawings"
    assert browser.problems == []


def test_the_mouse_drags_video_cursor_and_numbers_together(browser, toy_page):
    browser.open(toy_page)
    browser.wait(READY)
    browser.drag([spot(browser, 0.1), spot(browser, 0.4), spot(browser, 0.7)])
    check_together(browser, 0.7)
    data = browser.evaluate(f"JSON.parse({VIEWER}.querySelector('script').textContent)")
    step = state(browser)[0]
    assert (
        browser.evaluate(f"{VIEWER}.querySelector('[data-cell=p_v]').textContent")
        == f"{data['p_v'][step]:.2f}"
    )
    assert browser.evaluate(f"{VIEWER}.querySelector('[data-cell=driver]').textContent") == (
        "human" if data["human"][step] else "policy"
    )
    assert browser.problems == []


def test_a_finger_drags_too(browser, toy_page):
    browser.open(toy_page, 375, 800, touch=True)
    browser.wait(READY)
    browser.drag([spot(browser, 0.2), spot(browser, 0.35), spot(browser, 0.5)], touch=True)
    check_together(browser, 0.5)


def test_keys_step_and_jump(browser, toy_page):
    browser.open(toy_page)
    browser.wait(READY)
    browser.evaluate(f"{SCRUB}.focus()")
    for name in ("ArrowRight", "ArrowRight", "PageUp", "ArrowLeft"):
        browser.key(name)
    assert state(browser)[0] == 11
    browser.key("End")
    check_together(browser, 1.0)
    browser.key("Home")
    check_together(browser, 0.0)


def test_keys_work_from_the_play_button_and_from_nowhere(browser, toy_page):
    browser.open(toy_page)
    browser.wait(READY)
    browser.evaluate(f"{SCRUB}.scrollIntoView({{block: 'center'}})")
    browser.key("ArrowRight")
    assert state(browser)[0] == 1, "left and right step through the episode in sight"
    browser.evaluate(f"{VIEWER}.querySelector('.play button').focus()")
    for name in ("ArrowRight", "PageUp"):
        browser.key(name)
    assert state(browser)[0] == 12
    browser.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
    browser.wait("scrollY === 0")
    browser.key("ArrowRight")
    assert state(browser)[0] == 12, "an episode out of sight stays where it is"


def test_the_video_plays_at_the_speed_that_is_asked_for(browser, toy_page):
    browser.open(toy_page)
    browser.wait(READY)
    speed = f"{VIEWER}.querySelector('select')"
    assert browser.evaluate(f"{speed}.value") == "0.5", (
        "a robot of 40 steps a second is shown at half its speed"
    )
    browser.evaluate(f"{VIEWER}.querySelector('.play button').click()")
    browser.wait(f"!{VIDEO}.paused")
    assert browser.evaluate(f"{VIDEO}.playbackRate") == pytest.approx(0.5 * 40 / 20)
    browser.evaluate(f"{speed}.value = '1', {speed}.dispatchEvent(new Event('change'))")
    assert browser.evaluate(f"{VIDEO}.playbackRate") == pytest.approx(40 / 20)


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (768, 1024), (420, 900)])
def test_the_video_stays_in_sight_of_every_curve(browser, toy_page, width, height):
    browser.open(toy_page, width, height)
    browser.wait(READY)
    spots = browser.evaluate(
        f"(() => {{ const places = [], plot = {PLOT};"
        " for (const curve of plot.querySelectorAll('path.mark')) {"
        "   curve.scrollIntoView({block: 'center'});"
        f"  const film = {VIDEO}.getBoundingClientRect(), box = curve.getBoundingClientRect();"
        "   places.push(film.top >= 0 && film.bottom <= innerHeight && box.bottom <= innerHeight + 1"
        "               && (film.right <= box.left || film.bottom <= box.top)); }"
        " return places; })()"
    )
    assert len(spots) >= 6 and all(spots)


@pytest.mark.parametrize("width", [1400, 420, 360])
def test_names_and_numbers_beside_the_video_keep_apart(browser, toy_page, width):
    browser.open(toy_page, width)
    browser.wait(READY)
    gaps = browser.evaluate(
        "(() => { const gaps = [], words = (e) => { const r = document.createRange();"
        " r.selectNodeContents(e); return r.getBoundingClientRect(); };"
        f" const all = [...{VIEWER}.querySelectorAll('.readout dt, .readout dd')].map(words);"
        " for (const a of all) for (const b of all)"
        "   if (b.left > a.left && b.top < a.bottom - 1 && b.bottom > a.top + 1) gaps.push(b.left - a.right);"
        " return gaps; })()"
    )
    assert gaps and min(gaps) >= 6


def test_playing_moves_the_cursor_and_stops_at_the_end(browser, toy_page):
    browser.open(toy_page)
    browser.wait(READY)
    browser.drag([spot(browser, 0.8)])
    start = state(browser)[0]
    browser.evaluate(f"{VIEWER}.querySelector('.play button').click()")
    browser.wait(f"+{SCRUB}.getAttribute('aria-valuenow') > {start}")
    assert browser.evaluate(f"{VIEWER}.querySelector('.play button').textContent") == "Pause"
    browser.wait(
        f"+{SCRUB}.getAttribute('aria-valuenow') === +{SCRUB}.getAttribute('aria-valuemax') && {VIDEO}.paused"
    )
    assert browser.problems == []


def test_the_video_lasts_as_many_steps_as_the_plot(browser, toy_page):
    browser.open(toy_page)
    browser.wait(READY)
    frames, fps, duration = browser.evaluate(
        f"(() => {{ const d = JSON.parse({VIEWER}.querySelector('script').textContent); "
        f"return [d.frames, d.fps, {VIDEO}.duration]; }})()"
    )
    assert duration == pytest.approx(frames / fps, abs=0.5 / fps)


def test_chips_change_the_episode(browser, toy_page):
    browser.open(toy_page)
    browser.evaluate("document.querySelectorAll('.chips button')[1].click()")
    assert browser.evaluate(f"{VIEWER}.id") == "viewer-1"
    browser.wait(READY)
    browser.drag([spot(browser, 0.5)])
    check_together(browser, 0.5)


@pytest.mark.parametrize("width", [375, 768, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_every_window_in_both_schemes(browser, toy_page, width, dark):
    browser.open(toy_page, width, 900, dark=dark)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in paper[4:-1].split(",")) < 384) is dark
    tiny = browser.evaluate(
        "[...document.querySelectorAll('svg')].filter((s) => s.getBoundingClientRect().width > 0).map((s) =>"
        " 12 * s.getBoundingClientRect().width / s.viewBox.baseVal.width).sort((a, b) => a - b)[0]"
    )
    assert tiny >= 9.5, "text in a figure is shrunk below reading size"
    assert browser.problems == []


def test_a_run_on_true_state_scrubs_without_video(browser, tmp_path):
    from report_world import write_run

    from vantage.report.page import write_report

    page = write_report(write_run(tmp_path / "state", rounds=1, episodes=8, pictures=False), episodes=2)
    browser.open(page)
    assert browser.evaluate("document.querySelectorAll('video').length") == 0
    browser.drag([spot(browser, 0.25), spot(browser, 0.5)])
    frames, step = browser.evaluate(
        f"[+{SCRUB}.getAttribute('aria-valuemax') + 1, +{SCRUB}.getAttribute('aria-valuenow')]"
    )
    assert step == pytest.approx(0.5 * (frames - 1), abs=0.51)
    browser.evaluate(f"{VIEWER}.querySelector('.play button').click()")
    browser.wait(f"+{SCRUB}.getAttribute('aria-valuenow') > {step}")
    assert browser.problems == []
