"""Where the loop that plays an episode and the page of a person meet; they are two threads of one process.

    page ──take──> what is held, what was pressed ──> loop
    loop ──show──> the newest moment, with its pictures ──after──> page

Older moments are dropped: a slow page sees fewer of them, and never late ones.
"""

import threading
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vantage.collect.controls import Held
from vantage.errors import VantageError

SPEEDS = (1.0, 0.5, 0.25, 0.125)
"""Shares of the world's own speed that a page can ask for."""


class Press(StrEnum):
    """What a person says by one key."""

    BEGIN = "begin"
    """Begin the episode, or go on after a pause."""
    PAUSE = "pause"
    TAKE_OVER = "take over"
    HAND_BACK = "hand back"
    FAILED = "failed"
    """This attempt has failed; the episode ends."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One moment of an episode, as a page shows it."""

    number: int
    facts: Mapping[str, Any]
    """What the page writes beside the pictures, as JSON can hold it."""
    pictures: Mapping[str, UInt8[np.ndarray, "_h _w 3"]]


class Desk:
    """The place of one person. Of several pages, the one that was opened last counts."""

    def __init__(self, speed: float = 1.0) -> None:
        """`speed`: share of the world's own speed."""
        self._changed = threading.Condition()
        self._page = self._opened = 0
        self._held = Held()
        self._presses: list[Press] = []
        self._shown: Shown | None = None
        self._speed = speed
        self._solved: list[bool] = []
        self._ended = False

    # ---- the page's side

    def open_page(self) -> int:
        """A page begins to look; its number. The page before it no longer counts."""
        with self._changed:
            self._opened += 1
            self._page = self._opened
            self._let_go()
            return self._page

    def close_page(self, page: int) -> None:
        """A page looks no longer: what it held is let go, and the world stands still."""
        with self._changed:
            if page == self._page:
                self._page = 0
                self._let_go()

    def counts(self, page: int) -> bool:
        """Whether this page is the one that drives."""
        with self._changed:
            return page == self._page

    @property
    def ended(self) -> bool:
        """Whether the last word was said."""
        with self._changed:
            return self._ended

    def take(self, page: int, held: Held, presses: Collection[Press], speed: float | None) -> bool:
        """What a page says; whether it is the one that counts."""
        with self._changed:
            if page != self._page:
                return False
            if held.number >= self._held.number:
                self._held = held
            self._presses.extend(presses)
            self._speed = self._speed if speed is None else speed
            self._changed.notify_all()
            return True

    def after(self, number: int, patience: float) -> Shown | None:
        """The newest moment, if there is one after `number` within so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_newer(number) or self._ended, patience)
            return self._shown if self._is_newer(number) else None

    def _is_newer(self, number: int) -> bool:
        return self._shown is not None and self._shown.number > number

    # ---- the loop's side

    @property
    def attended(self) -> bool:
        """Whether a page is open."""
        with self._changed:
            return self._page > 0

    @property
    def speed(self) -> float:
        """Share of the world's own speed."""
        with self._changed:
            return self._speed

    def held(self) -> Held:
        """What is held now."""
        with self._changed:
            return self._held

    def presses(self) -> list[Press]:
        """What was pressed since this was asked last, in its order."""
        with self._changed:
            pressed, self._presses = self._presses, []
            return pressed

    def show(self, facts: Mapping[str, Any], pictures: Mapping[str, UInt8[np.ndarray, "_h _w 3"]]) -> None:
        """Show a moment in place of the one before.

        Each says how all episodes so far have ended: the last moment of an episode itself is replaced by the
        first of the next one as soon as that begins, perhaps before any page has seen it.
        """
        with self._changed:
            number = 1 if self._shown is None else self._shown.number + 1
            finished = {"solved": sum(self._solved), "failed": self._solved.count(False)}
            last = {"last": ("solved" if self._solved[-1] else "failed") if self._solved else ""}
            self._shown = Shown(number, {**facts, "finished": finished, **last}, pictures)
            self._changed.notify_all()

    def finish(self, success: bool) -> None:
        """Count an episode that is over, before its last moment is shown."""
        with self._changed:
            self._solved.append(success)

    def wait_for(self, wanted: Collection[Press]) -> Press:
        """Wait until one of these is pressed; what is pressed before it is dropped.

        Raises VantageError where the last word was said meanwhile.
        """
        with self._changed:
            while True:
                if self._ended:
                    raise VantageError("the page has ended while an episode waited for a person")
                while self._presses:
                    pressed = self._presses.pop(0)
                    if pressed in wanted:
                        return pressed
                self._changed.wait(0.5)  # a limit, so that Ctrl-C is heard

    def end(self, facts: Mapping[str, Any]) -> None:
        """Show a last word; pages are let go."""
        self.show(facts, {})
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _let_go(self) -> None:
        self._held = Held()
        self._presses.clear()
        self._changed.notify_all()


_SEATED: list[Desk] = []


@contextmanager
def seated(desk: Desk) -> Generator[None]:
    """While open, operators by hand of this process get their actions from this desk.

    On leaving, pages are let go where nothing was said of it before: a stream that stays open would be cut.
    """
    _SEATED.append(desk)
    try:
        yield
    finally:
        _SEATED.remove(desk)
        if not desk.ended:
            desk.end({"state": "stopped"})


def desk_here() -> Desk:
    """Where a person sits. Raises VantageError where nobody does."""
    if not _SEATED:
        raise VantageError(
            "a person is asked to the controls and no page is open; give the command as `vantage play`"
        )
    return _SEATED[-1]
