"""Headless Chromium over its debugging pipe, with the standard library alone: real mouse, touch and keys, and
every console message."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

QUIET = [
    *(
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ),
    *(
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--mute-audio",
    ),
    "--remote-debugging-pipe",
]


def chromium() -> str:
    """Where Chromium is; a root user in CI installs it, everybody else is told how."""
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None and os.environ.get("CI") == "true" and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            "apt-get update && apt-get install -y --no-install-recommends chromium", shell=True, check=True
        )
        found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail(
            "the report is checked in a real browser and there is none: install Debian's package `chromium`",
            pytrace=False,
        )
    return found


class Browser:
    """One page. `problems` collects exceptions, errors on the console and requests that leave the page."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._home = tempfile.mkdtemp()
        self._buffer, self._number, self._session = b"", 0, None
        (their_in, self._out), (self._in, their_out) = os.pipe(), os.pipe()
        # Chromium reads commands from file 3 and answers on file 4; high copies keep the two from overwriting
        # each other.
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (their_in, their_out)]

        def wire() -> None:
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        command = [chromium(), *QUIET, f"--user-data-dir={self._home}", "about:blank"]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, preexec_fn=wire, pass_fds=(3, 4), stdin=quiet, stdout=quiet, stderr=quiet
        )
        for end in (their_in, their_out, *high):
            os.close(end)
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _read(self, patience: float = 60) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._in], [], [], patience)[0], "chromium does not answer"
            piece = os.read(self._in, 1 << 20)
            assert piece, "chromium ended"
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        event = json.loads(message)
        self._note(event.get("method", ""), event.get("params", {}))
        return event

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not params["request"]["url"].startswith(
            ("file:", "data:", "blob:", "about:")
        ):
            self.problems.append(f"request to {params['request']['url']}")

    def open(
        self, page: Path, width: int = 1280, height: int = 900, *, dark: bool = False, touch: bool = False
    ) -> None:
        """Load a file at a window size and colour scheme, and wait until it and its first video are ready."""
        self(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        self("Emulation.setTouchEmulationEnabled", enabled=touch)
        self(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self("Page.navigate", url=page.resolve().as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 20) -> None:
        """Until a JavaScript condition holds."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, f"{condition} never came true; {self.problems}"
            time.sleep(0.05)

    def drag(self, points: list[tuple[float, float]], *, touch: bool = False) -> None:
        """Press at the first point, move through the others, let go."""
        for i, (x, y) in enumerate(points):
            if touch:
                self(
                    "Input.dispatchTouchEvent",
                    type="touchMove" if i else "touchStart",
                    touchPoints=[{"x": x, "y": y}],
                )
            else:
                self(
                    "Input.dispatchMouseEvent",
                    type="mouseMoved" if i else "mousePressed",
                    x=x,
                    y=y,
                    button="left",
                    clickCount=1,
                )
        x, y = points[-1]
        if touch:
            self("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        else:
            self("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)

    def key(self, name: str) -> None:
        """One key stroke."""
        for kind in ("keyDown", "keyUp"):
            self("Input.dispatchKeyEvent", type=kind, key=" " if name == "Space" else name, code=name)

    def screenshot(self, path: Path) -> Path:
        """The whole page as a PNG."""
        answer = self("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def close(self) -> None:
        """End the browser and forget its profile."""
        self._session = None
        self("Browser.close")
        self._process.wait(timeout=20)
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._home, ignore_errors=True)
