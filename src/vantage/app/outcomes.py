"""The page of `vantage outcomes`: an engineer watches episodes and says what happened.

    browser ──press──> Journal (on the disk) ──answer──> browser draws it
            ──range requests──> the dataset's own mp4 files

Nothing is shown as said before it is on the disk. Every decision about presses is made here
(`data.judgements`), the script in assets/outcomes.js only plays, draws and asks.
"""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from vantage.app.loopback import serve
from vantage.app.recordings import Recordings
from vantage.app.requests import json_of, sentence
from vantage.app.static import static_routes
from vantage.app.viability import Asking
from vantage.data.judgements import Journal, Press, stretches_in_json, to_csv
from vantage.types import VantageError


def serve_outcomes(
    recordings: Recordings, journal: Journal, *, port: int, started: Callable[[str], None]
) -> None:
    """Answer the page's requests until the process is interrupted (`loopback.serve`).

    What a critic has yet to say is asked behind the page, and no longer than that is open.
    """
    asking = None if recordings.question is None else Asking(recordings.question, recordings.viability)
    try:
        serve(application_of(recordings, journal, asking), port, started)
    finally:
        if asking is not None:
            asking.close()


def application_of(recordings: Recordings, journal: Journal, asking: Asking | None = None) -> Starlette:
    """The page of one dataset, without a guard. `asking`: who computes what is not known of p_v."""
    desk = _Desk(recordings, journal, asking)
    return Starlette(
        routes=[
            *static_routes("outcomes", recordings.table.root.resolve().name),
            Route("/state", desk.state),
            Route("/values", desk.values),
            Route("/episode/{episode:int}", desk.episode),
            Route("/video/{number:int}", desk.video),
            Route("/picture/{camera:int}/{episode:int}/{frame:int}", desk.picture),
            Route("/press", desk.press, methods=["POST"]),
            Route("/undo", desk.undo, methods=["POST"]),
            Route("/outcomes.csv", desk.csv),
        ],
        exception_handlers={VantageError: sentence},
    )


def _csv_of(recordings: Recordings, journal: Journal) -> str:
    episodes = range(len(recordings.lengths))
    judgements = {number: journal.judgement(number) for number in episodes}
    return to_csv(judgements, recordings.fingerprints.tolist())


class _Desk:
    """Answers requests. Presses are taken one after the other: they run in the event loop, which is one."""

    def __init__(self, recordings: Recordings, journal: Journal, asking: Asking | None) -> None:
        self._recordings, self._journal, self._asking = recordings, journal, asking

    async def state(self, request: Request) -> Response:
        table, episodes = self._recordings.table, range(len(self._recordings.lengths))
        return JSONResponse(
            {
                "name": table.root.resolve().name,
                "fps": table.fps,
                "journal": str(self._journal.path),
                "last": self._journal.last_episode,
                "said": list(self._journal.sentences),
                "values": self._values(),
                "episodes": [self._entry(episode) for episode in episodes],
            }
        )

    def _values(self) -> dict[str, str]:
        """How far p_v is: `ready` where nothing is being computed."""
        if self._asking is None:
            return {"state": "ready", "problem": ""}
        return {"state": self._asking.state(), "problem": self._asking.problem}

    async def values(self, request: Request) -> Response:
        return JSONResponse(self._values())

    def _entry(self, episode: int) -> dict[str, Any]:
        """What the page's list has about an episode."""
        judgement = self._journal.judgement(episode)
        return {
            "frames": int(self._recordings.lengths[episode]),
            "attempts": stretches_in_json(judgement),
            "note": judgement.note,
            "n": self._journal.number(episode),
        }

    def episode(self, request: Request) -> Response:
        number = request.path_params["episode"]
        if number >= len(self._recordings.lengths):
            return Response(status_code=404)
        return JSONResponse(self._recordings.described(number))

    def video(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number >= len(self._recordings.video_files):
            return Response(status_code=404)
        path = self._recordings.video_files[number]
        return FileResponse(path, media_type="video/mp4", headers={"cache-control": "private, max-age=3600"})

    def picture(self, request: Request) -> Response:
        asked = request.path_params
        try:
            content, kind = self._recordings.picture(asked["camera"], asked["episode"], asked["frame"])
        except IndexError:
            return Response(status_code=404)
        return Response(content, media_type=kind, headers={"cache-control": "private, max-age=3600"})

    async def press(self, request: Request) -> Response:
        asked = await json_of(request)
        match asked:
            case {"episode": int(episode), "press": str(word), "frame": int(frame), "n": int(seen)}:
                note = asked.get("note", "")
            case _:
                raise VantageError("a press names its episode, press, frame and n")
        if not 0 <= episode < len(self._recordings.lengths) or word not in list(Press):
            raise VantageError(f"there is no episode {episode}, or no press {word!r}")

        self._recordings.check_unchanged()
        if self._journal.number(episode) != seen:
            problem = f"episode {episode} was judged in another tab meanwhile; look at it again"
            return JSONResponse({"problem": problem, "entry": self._entry(episode)}, 409)
        self._journal.press(episode, Press(word), frame, note if isinstance(note, str) else "")
        return JSONResponse({"episode": episode, "entry": self._entry(episode)})

    async def undo(self, request: Request) -> Response:
        self._recordings.check_unchanged()
        undone = self._journal.undo()
        if undone is None:
            return JSONResponse({"episode": None})
        episode, frame = undone
        return JSONResponse({"episode": episode, "frame": frame, "entry": self._entry(episode)})

    async def csv(self, request: Request) -> Response:
        headers = {"content-disposition": 'attachment; filename="outcomes.csv"'}
        return Response(_csv_of(self._recordings, self._journal), media_type="text/csv", headers=headers)
