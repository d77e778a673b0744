"""A Starlette application -> a page that only its owner's browser can ask for, until Ctrl-C.

    application ──guarded──> refuses every request without the token, or with a foreign Host or Origin
                ──serve, serving──> http://127.0.0.1:PORT/TOKEN/

It listens on the loopback address alone. Other people of the machine, and pages of other sites in the owner's
browser, do not know the token; the Host is compared so that no name of somebody else's leads here either.
"""

import hmac
import secrets
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vantage.types import VantageError

ADDRESS = "127.0.0.1"

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""Of every answer: nothing is loaded from elsewhere, nothing is told to anybody else."""


def new_token() -> str:
    """128 bits that nobody guesses."""
    return secrets.token_urlsafe(16)


def guarded(application: ASGIApp, token: str, port: int) -> ASGIApp:
    """Answer 403 to whoever does not know the token, and pass on what lies below `/TOKEN`."""
    hosts = {f"{name}:{port}" for name in (ADDRESS, "localhost")}
    origins = {f"http://{host}" for host in hosts}
    secret = token.encode()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"nothing here speaks {scope['type']}")
        headers = Headers(scope=scope)
        given, _, rest = scope["path"].removeprefix("/").partition("/")
        known = hmac.compare_digest(given.encode("utf-8", "replace"), secret)
        own = headers.get("host", "") in hosts and headers.get("origin", next(iter(origins))) in origins
        if not (known and own):
            await PlainTextResponse("403: open the address that `vantage` printed", 403)(scope, receive, send)
            return

        below = {name: value for name, value in scope.items() if name != "raw_path"} | {"path": f"/{rest}"}
        await application(below, receive, _with_headers(send))

    return answer


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message["headers"]}
            extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in there)]
        await send(message)

    return sent


def serve(application: Starlette, port: int, started: Callable[[str], None]) -> None:
    """Answer requests until the process is interrupted. `port`: 0 takes a free one.

    `started`: called with the address when it can be opened. Raises VantageError for a port that is taken.
    """
    with _server(application, port) as (server, listener, address):
        started(address)
        server.run(sockets=[listener])


@contextmanager
def serving(application: Starlette, port: int) -> Generator[str]:
    """Answer requests in a thread of its own while the context is open; gives the address.

    `port`: 0 takes a free one. Raises VantageError for a port that is taken.
    """
    with _server(application, port) as (server, listener, address):
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join(timeout=5)


@contextmanager
def _server(application: Starlette, port: int) -> Generator[tuple[Any, socket.socket, str]]:
    """A server that is not started, the socket it shall listen at, and the address with its token."""
    import uvicorn

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((ADDRESS, port))
        except OverflowError as error:
            raise VantageError(
                f"port {port} is none; name one from 1024 to 65535 with --port, or leave it out"
            ) from error
        except OSError as error:
            raise VantageError(
                f"port {port} cannot be had ({error.strerror}); name another one with --port, or leave it out"
            ) from error
        listener.listen(64)

        port = listener.getsockname()[1]
        token = new_token()
        settings: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False}
        config = uvicorn.Config(
            guarded(application, token, port), lifespan="off", timeout_graceful_shutdown=1, **settings
        )
        yield uvicorn.Server(config), listener, f"http://{ADDRESS}:{port}/{token}/"
