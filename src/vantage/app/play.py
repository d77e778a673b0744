"""The page of `vantage play`: a person sees the cameras of a simulated world, takes over, and drives.

    loop ──Desk──> GET moments: one stream, every moment with its pictures as JPEG ──> browser
    browser ──POST said: what is held, what was pressed──> Desk ──> loop

A moment in the stream is the length of its head in four bytes, the head (JSON; `sizes` are the bytes of its
pictures), and the pictures. A browser that does not keep up is sent the newest moment, and misses others.
"""

import asyncio
import io
import json
import math
from collections.abc import AsyncGenerator
from typing import Any, cast

from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from vantage.app.requests import json_of, sentence
from vantage.app.static import static_routes
from vantage.collect.controls import Held
from vantage.collect.desk import SPEEDS, Desk, Press, Shown
from vantage.types import VantageError

QUALITY = 85
"""Of the JPEGs; what is recorded is never compressed by it."""
PATIENCE = 0.5
"""Seconds after which the stream says that nothing is new: so that it notices a page that is gone."""
MOST = 64
"""Keys or deflections in one request."""


def application_of(desk: Desk, name: str) -> Starlette:
    """The page of one desk, without a guard; `name` is its title."""
    page = _Page(desk)
    return Starlette(
        routes=[
            *static_routes("play", name),
            Route("/moments", page.moments),
            Route("/said", page.said, methods=["POST"]),
        ],
        exception_handlers={VantageError: sentence},
    )


class _Page:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def moments(self, request: Request) -> Response:
        return StreamingResponse(self._stream(request), media_type="application/octet-stream")

    async def _stream(self, request: Request) -> AsyncGenerator[bytes]:
        """Every newest moment until the page is gone; first the number by which it says what is held."""
        page, number = self._desk.open_page(), 0
        try:
            yield _framed({"page": page, "speeds": SPEEDS, "speed": self._desk.speed}, [])
            while True:
                shown = await asyncio.to_thread(self._desk.after, number, PATIENCE)
                if await request.is_disconnected():
                    return
                if shown is not None:
                    number = shown.number
                    yield await asyncio.to_thread(_packed, shown)
                elif self._desk.ended:
                    return
                elif not self._desk.counts(page):
                    yield _framed({"state": "elsewhere"}, [])
                    return
                else:
                    yield _framed({}, [])
        finally:
            self._desk.close_page(page)

    async def said(self, request: Request) -> Response:
        asked = await json_of(request)
        match asked:
            case {"page": int(page), "n": int(number), "keys": list(keys), "analog": list(analog)}:
                held = Held(_names(cast(list[Any], keys)), _deflections(cast(list[Any], analog)), number)
            case _:
                raise VantageError("the page says its number, n, keys and analog")

        known = {str(press): press for press in Press}
        pressed = [known[word] for word in cast(list[Any], asked.get("presses", [])) if word in known]
        speed = asked.get("speed")
        if speed is not None and speed not in SPEEDS:
            raise VantageError(f"the speed is one of {SPEEDS}")
        counts = self._desk.take(page, held, pressed, speed)
        return JSONResponse({"counts": counts})


def _names(keys: list[Any]) -> frozenset[str]:
    if len(keys) > MOST or not all(isinstance(key, str) and len(key) < 20 for key in keys):
        raise VantageError("keys are names")
    return frozenset(cast(list[str], keys))


def _deflections(analog: list[Any]) -> tuple[float, ...]:
    numbers = all(isinstance(value, int | float) and math.isfinite(value) for value in analog)
    if len(analog) > MOST or not numbers:
        raise VantageError("deflections are numbers")
    return tuple(min(max(float(value), -1.0), 1.0) for value in analog)


def _packed(shown: Shown) -> bytes:
    pictures: list[bytes] = []
    for picture in shown.pictures.values():
        content = io.BytesIO()
        Image.fromarray(picture).save(content, format="JPEG", quality=QUALITY, subsampling=0)
        pictures.append(content.getvalue())
    return _framed({**shown.facts, "number": shown.number, "cameras": list(shown.pictures)}, pictures)


def _framed(facts: dict[str, Any], pictures: list[bytes]) -> bytes:
    head = json.dumps({**facts, "sizes": [len(picture) for picture in pictures]}).encode()
    return b"".join((len(head).to_bytes(4, "big"), head, *pictures))
