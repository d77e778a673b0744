"""What a local page is made of and never changes: its HTML, its style, its script and icon."""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from vantage.report.render import palette, render_alone

_KINDS = {"js": "text/javascript", "svg": "image/svg+xml"}
"""Media types of assets, by the end of their names."""


def static_routes(page: str, title: str) -> list[BaseRoute]:
    """Routes of the page `page`: templates/PAGE.html with that title, and assets/PAGE.css, PAGE.js and the
    icon."""
    html = render_alone(f"{page}.html", {"name": title})
    assets = files("vantage.app") / "assets"
    style = palette() + (assets / f"{page}.css").read_text(encoding="utf-8")
    served = {name: (assets / name).read_text(encoding="utf-8") for name in (f"{page}.js", "icon.svg")}

    def answer_page(request: Request) -> Response:
        return Response(html, media_type="text/html")

    def answer_style(request: Request) -> Response:
        return Response(style, media_type="text/css")

    def answer_asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in served:
            return Response(status_code=404)
        return Response(served[name], media_type=_KINDS[name.rpartition(".")[2]])

    return [
        Route("/", answer_page),
        Route(f"/{page}.css", answer_style),
        Route("/assets/{name}", answer_asset),
    ]
