"""`vantage play`: a person in headless Chromium takes over, drives, hands back, says failed, and closes the
page; the episodes stand in the round as any others."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from dot_recipe import DotSpec
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from vantage.app.loopback import serving
from vantage.app.play import application_of
from vantage.collect.desk import Desk, seated
from vantage.commands.play import played_recipe
from vantage.commands.runs import start
from vantage.data.episodes import journalled, load_episode
from vantage.disk.layout import Round

RECIPE = f"{Path(__file__).parent / 'dot_recipe.py'}:make"
COLUMN = """() => {
  const canvas = document.querySelector("#cameras canvas");
  const row = canvas.getContext("2d").getImageData(0, 16, canvas.width, 1).data;
  return [...Array(canvas.width).keys()].map((place) => row[4 * place]);
}"""
"""The grey levels of one line of the picture."""


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Tab]:
    """A tab that fails the test for what a browser complains of, and for requests to anybody else."""
    problems: list[str] = []
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: problems.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda one: one.url.startswith("http://127.0.0.1:") or problems.append(one.url))
    yield page
    context.close()
    assert problems == []


def wait(tab: Tab, **facts: object) -> None:
    """Until the page says so, as in state="running", human="true"."""
    tab.wait_for_selector("body" + "".join(f"[data-{name}='{value}']" for name, value in facts.items()))


def step(tab: Tab) -> int:
    """The control step that the page shows; -1 where none is."""
    return int(tab.evaluate("document.body.dataset.t ?? -1"))


def until(wanted: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def moments(response: httpx.Response) -> Iterator[dict]:
    """The heads of a stream of moments; their pictures are passed over."""
    kept = b""
    for piece in response.iter_raw():
        kept += piece
        while len(kept) >= 4:
            length = int.from_bytes(kept[:4], "big")
            if len(kept) < 4 + length:
                break
            head = json.loads(kept[4 : 4 + length])
            end = 4 + length + sum(head["sizes"])
            if len(kept) < end:
                break
            kept = kept[end:]
            yield head


def interrupt_the_second_episode(run: Path) -> None:
    """The command as a user gives it, driven by a client of its address: one episode that failed, one that is
    under way when Ctrl-C comes."""
    command = [sys.executable, "-m", "vantage", "play", RECIPE, "--out", str(run), "--no-browser", "true"]
    process = subprocess.Popen(
        [*command, "--workers", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    page, episodes = 0, 0

    with httpx.Client(timeout=60) as client, client.stream("GET", address + "moments") as stream:

        def say(*presses: str) -> None:
            said = {"page": page, "n": 0, "keys": [], "analog": [], "presses": presses}
            assert client.post(address + "said", json=said).json() == {"counts": True}

        base = address.rstrip("/").rsplit("/", 1)[0]
        assert client.get(f"{base}/moments").status_code == 403, "only with the token"
        for wrong in ({"page": page}, {"page": 1, "n": 0, "keys": [1], "analog": []}):
            assert client.post(address + "said", json=wrong).status_code == 400
        for head in moments(stream):
            page = head.get("page", page)
            if head.get("state") == "ready":
                episodes += 1
                say("begin")
            elif head.get("state") == "running" and head["t"] >= 8 and episodes == 1:
                say("failed")
            elif head.get("state") == "running" and head["t"] >= 8:
                break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "run the same command again" in err and "Traceback" not in err


def test_a_person_rescues_and_the_round_holds_what_they_did(tab: Tab, tmp_path: Path) -> None:
    run = tmp_path / "run"
    interrupt_the_second_episode(run)
    here = Round.of(run, 1)
    assert list(journalled(here.journal)) == [0], "the whole one is kept, the other is not half there"
    assert not load_episode(here.journal, 0).outcome and not load_episode(here.journal, 0).intervention.any()

    desk, problems = Desk(), list[BaseException]()

    def work() -> None:
        try:
            start(RECIPE, run, workers=1, settings=played_recipe(RECIPE).value)
        except BaseException as error:
            problems.append(error)
        desk.end({"state": "ended", "sentence": "The run is done."})

    with serving(application_of(desk, "run"), 0) as address, seated(desk):
        playing = threading.Thread(target=work, daemon=True)
        playing.start()
        tab.goto(address)

        # The second episode, from its beginning again: the policy, a rescue to the end.
        wait(tab, state="ready", t="0")
        assert "push the dot" in tab.inner_text("#title")
        tab.keyboard.press("Enter")
        wait(tab, state="running", human="false")
        until(lambda: step(tab) > 10)
        tab.keyboard.press("Space")
        wait(tab, human="true")
        for _ in range(6):  # every change of a key is answered by a picture
            tab.keyboard.down("d")
            tab.wait_for_timeout(40)
            tab.keyboard.up("d")
            tab.wait_for_timeout(40)
        levels = tab.evaluate(COLUMN)
        assert max(levels) > 220 and min(levels) < 90, "the picture is the world's"
        tab.keyboard.down("d")
        wait(tab, solved="1")
        tab.keyboard.up("d")
        assert int(tab.evaluate("document.body.dataset.answers")) >= 12
        latency = float(tab.evaluate("document.body.dataset.latency"))
        assert 0 < latency < 1000 and "key to picture" in tab.inner_text("#latency")

        # The third: driven from the first step, handed back, and said to have failed.
        wait(tab, state="ready", solved="1", failed="0")
        assert tab.inner_text("#state").startswith("The last one was solved. Ready.")
        tab.keyboard.press("Space")
        wait(tab, state="running", human="true")
        until(lambda: step(tab) > 10)
        tab.keyboard.press("b")
        wait(tab, human="false")
        before = step(tab)
        until(lambda: step(tab) > before + 10)
        tab.keyboard.press("x")

        # The fourth: the page is closed in the middle and opened again.
        wait(tab, state="ready", failed="1")
        tab.keyboard.press("Enter")
        wait(tab, state="running")
        until(lambda: step(tab) > 5)
        tab.goto("about:blank")
        until(lambda: not desk.attended)
        time.sleep(0.3)
        tab.goto(address)
        wait(tab, state="paused")
        stood = step(tab)
        time.sleep(0.2)
        assert step(tab) == stood, "time stands still"
        tab.click("[data-press='take over']")
        wait(tab, state="running", human="true")
        tab.keyboard.down("d")
        wait(tab, state="ended")
        playing.join(timeout=20)
        assert problems == [] and tab.inner_text("#state") == "The run is done."

    rows = pq.read_table(here.episodes / "data").to_pydict()
    episode = np.array(rows["episode_index"])
    human, won = np.array(rows["intervention"]), np.array(rows["next.success"])
    action = np.array(rows["action"]).reshape(len(episode))
    assert set(episode) == {0, 1, 2, 3} and [bool(won[episode == one].any()) for one in range(4)] == [
        False,
        True,
        False,
        True,
    ]
    switches = [np.flatnonzero(np.diff(human[episode == one].astype(int))).size for one in range(4)]
    assert switches == [0, 1, 1, 1] and not human[episode == 1][0] and human[episode == 2][0]
    assert (action[(episode == 3) & human][-10:] == 1).all(), "the key that was held"
    assert stood > 5 and not human[episode == 3][:stood].any()
    recipe = json.loads((run / "recipe.json").read_text())
    assert recipe["settings"]["rollouts"]["operator"]["is"] == "RescueByHand"
    assert DotSpec().task in set(pq.read_table(Round.of(run, 1).evaluation)["task"].to_pylist())
