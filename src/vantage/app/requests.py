"""What every local page does with a request: read its JSON, and say in one sentence what is wrong with it."""

import json
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vantage.types import VantageError

LARGEST = 64 * 1024
"""Bytes of a request."""


def sentence(request: Request, error: Exception) -> Response:
    """What is wrong, for the page to show."""
    return JSONResponse({"problem": str(error)}, 400)


async def json_of(request: Request) -> dict[str, Any]:
    """The body of a request. Raises VantageError for one that is too long, or no JSON of names and values."""
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST:
            raise VantageError("the request is too long")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise VantageError("the request is no JSON") from error
    if not isinstance(value, dict):
        raise VantageError("the request names nothing")
    return cast(dict[str, Any], value)
