"""What `vantage outcomes` answers: to its owner the dataset's own bytes, to everybody else nothing."""

import asyncio
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from grey_recordings import LENGTHS, Page, open_journal
from starlette.applications import Starlette

from vantage.algorithms.watch import features_of, watch
from vantage.app.outcomes import application_of
from vantage.app.recordings import open_recordings
from vantage.app.viability import Asking, compute
from vantage.cli import main
from vantage.commands.outcomes import outcomes
from vantage.data.fingerprints import fingerprints
from vantage.data.judgements import journal_of, read_journal
from vantage.data.v3.read import read_table
from vantage.data.viability import stored_viability
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.types import VantageError

Copy = Callable[[str], Path]
Serve = Callable[..., Page]


def test_only_its_owner_is_answered_and_films_come_by_ranges(dataset: Copy, serve: Serve) -> None:
    root = dataset("films")
    page = serve(root)
    base, token = page.address.rstrip("/").rsplit("/", 1)
    host = base.removeprefix("http://")
    assert host.startswith("127.0.0.1:") and len(token) >= 20

    with httpx.Client() as client:
        for path in ("/", "/state", f"/{token[:-1]}x/", f"/{token}x/state", "/video/0", f"/{token.lower()}/"):
            assert client.get(base + path).status_code == 403, path
        for headers in (
            {"host": "evil.example"},
            {"host": f"evil.example:{host.split(':')[1]}"},
            {"host": "127.0.0.1"},
            {"origin": "http://evil.example"},
            {"origin": "null"},
        ):
            assert client.get(page.address + "state", headers=headers).status_code == 403, headers
            assert client.post(page.address + "undo", json={}, headers=headers).status_code == 403, headers

        answer = client.get(page.address)
        assert answer.status_code == 200 and "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer" and "server" not in answer.headers
        assert client.get(page.address + "state", headers={"origin": base}).status_code == 200
        assert client.get(page.address.replace("127.0.0.1", "localhost") + "state").status_code == 200

        described = client.get(page.address + "episode/1").json()
        assert [camera["first"] for camera in described["cameras"]] == [LENGTHS[0]] * 2
        assert described["human"] == [[8, 13]] and described["recorded_by"] == "next.success"
        film = page.address + described["cameras"][0]["video"]
        content = next(root.glob("videos/*front/*/*.mp4")).read_bytes()

        whole = client.get(film)
        assert (whole.status_code, whole.content) == (200, content)
        assert whole.headers["accept-ranges"] == "bytes" and whole.headers["content-type"] == "video/mp4"
        for wanted, expected in (("0-99", content[:100]), ("100-", content[100:]), ("-10", content[-10:])):
            part = client.get(film, headers={"range": f"bytes={wanted}"})
            assert (part.status_code, part.content) == (206, expected), wanted
            assert part.headers["content-range"].endswith(f"/{len(content)}")
        beyond = client.get(film, headers={"range": f"bytes={len(content)}-"})
        assert beyond.status_code == 416
        assert beyond.headers["content-range"] in (f"*/{len(content)}", f"bytes */{len(content)}")
        head = client.head(film)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(content))

        for path in (
            "video/2",
            "video/../state/../../x",
            "picture/0/0/0",
            "picture/0/9/0",
            "episode/4",
            "assets/x",
        ):
            assert client.get(page.address + path).status_code in (403, 404), path
        sneaky = client.build_request("GET", page.address)
        sneaky.url = sneaky.url.copy_with(raw_path=f"/{token}/assets/..%2f..%2f__init__.py".encode())
        assert client.send(sneaky).status_code == 404

        for body in ({}, [], {"episode": 9, "press": "success", "frame": 0, "n": 0}, "x" * 70_000):
            answer = client.post(page.address + "press", json=body)
            assert answer.status_code == 400 and answer.json()["problem"], body
        press = {"episode": 0, "press": "success", "frame": 3, "n": 0}
        assert client.post(page.address + "press", json=press | {"frame": 24}).status_code == 400
        assert (
            client.get(page.address + "outcomes.csv")
            .json()["problem"]
            .startswith("no episode has an outcome")
        )
        assert not read_journal(journal_of(root)).judgements

        assert client.post(page.address + "press", json=press).json()["entry"]["n"] == 1
        late = client.post(page.address + "press", json=press | {"press": "failure"})
        assert late.status_code == 409 and late.json()["entry"]["attempts"] == [[0, 23, "success"]]
        csv = client.get(page.address + "outcomes.csv")
        assert csv.text.startswith("episode_index,from,to,success,fingerprint,note\n0,,,1,ep-")

    said = r"process .* is writing to .*/arm\.outcomes\.jsonl; judge on the page that is open"
    with pytest.raises(VantageError, match=said):
        outcomes(root, no_browser=True)


def without_a_loop[T](answer: Coroutine[Any, Any, T]) -> T:
    """Run it in a thread of its own: a browser's tests keep a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, answer).result()


def asked(application: Starlette, path: str, body: object) -> httpx.Response:
    """The answer to a POST, without a server or a guard."""

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            return await client.post(path, json=body)

    return without_a_loop(answer())


@pytest.mark.parametrize("changed", ["meta/info.json", "meta/episodes", "data", "everything"])
def test_a_press_about_episodes_that_were_renumbered_meanwhile_is_refused(
    changed: str, dataset: Copy
) -> None:
    root = dataset("bare")
    recordings = open_recordings(root, intervention_column=None, critic=None)
    journal = open_journal(root)
    page = application_of(recordings, journal)
    press = {"episode": 1, "press": "success", "frame": 3, "n": 0}
    assert asked(page, "/press", press).status_code == 200
    before = journal_of(root).read_bytes()

    if changed == "everything":  # as lerobot-edit-dataset does in place: the old folder moves away
        root.rename(root.with_name("arm_old"))
    else:
        file = next(file for file in (root / changed, *(root / changed).rglob("*.parquet")) if file.is_file())
        file.write_bytes(file.read_bytes())
    for path, body in (("/press", press | {"n": 1}), ("/undo", {})):
        answer = asked(page, path, body)
        assert answer.status_code == 400
        assert "changed while this page was open" in answer.json()["problem"]
        assert "end `vantage outcomes` with Ctrl-C and start it again" in answer.json()["problem"]
    assert journal_of(root).read_bytes() == before
    journal.close()


def test_pictures_come_as_they_lie(dataset: Copy) -> None:
    root = dataset("pictures")
    recordings = open_recordings(root, intervention_column=None, critic=None)
    cameras = recordings.described(2)["cameras"]
    assert [camera["pictures"] for camera in cameras] == ["picture/0/2", "picture/1/2"]

    rows = pq.read_table(next(root.glob("data/*/*.parquet")))
    stored = rows.column("observation.images.wrist")[sum(LENGTHS[:2]) + 19].as_py()["bytes"]
    assert recordings.picture(1, 2, 19) == (stored, "image/png")
    for wrong in ((1, 2, 20), (1, 4, 0), (2, 0, 0), (-1, 0, 0)):
        with pytest.raises(IndexError):
            recordings.picture(*wrong)


def test_a_name_that_leads_out_of_the_dataset_is_never_served(dataset: Copy) -> None:
    root = dataset("films")
    info = json.loads((root / "meta/info.json").read_text())
    secret = root.parent / "secret.mp4"
    secret.write_bytes(next(root.glob("videos/*/*/*.mp4")).read_bytes())
    info["video_path"] = "../secret.mp4"
    (root / "meta/info.json").write_text(json.dumps(info))

    recordings = open_recordings(root, intervention_column=None, critic=None)
    cameras = recordings.described(0)["cameras"]
    assert all("names a file outside its own folder" in camera["problem"] for camera in cameras)
    assert recordings.video_files == []


def test_a_broken_camera_keeps_nobody_from_judging_by_the_others(dataset: Copy) -> None:
    root = dataset("films")
    film = next(root.glob("videos/*wrist/*/*.mp4"))
    film.write_bytes(film.read_bytes()[:500])
    recordings = open_recordings(root, intervention_column=None, critic=None)
    front, wrist = recordings.described(3)["cameras"]
    assert front["first"] == sum(LENGTHS[:3]) and "is truncated or damaged" in wrist["problem"]


def test_recordings_without_a_driver_are_shown_without_one(dataset: Copy) -> None:
    root = dataset("bare")
    info = json.loads((root / "meta/info.json").read_text())
    del info["features"]["intervention"]
    (root / "meta/info.json").write_text(json.dumps(info))
    assert open_recordings(root, intervention_column=None, critic=None).described(1)["human"] is None
    with pytest.raises(VantageError, match="has no column `who`"):
        open_recordings(root, intervention_column="who", critic=None)


def test_what_was_acknowledged_survives_a_kill(dataset: Copy, serve: Serve) -> None:
    """SIGKILL at random moments of a stream of presses: all that was answered is in the journal, in order."""
    root, draw = dataset("bare"), random.Random(7)
    acknowledged: list[tuple[int, list[list[object]]]] = []
    for _ in range(2):
        page = serve(root)

        def stream(address: str) -> None:
            words = ("success", "failure", "unknown", "split", "split", "note")
            with httpx.Client() as client:
                entries = client.get(address + "state").json()["episodes"]
                while True:
                    episode = draw.randrange(len(entries))
                    body = {"episode": episode, "press": draw.choice(words), "n": entries[episode]["n"]}
                    body |= {"frame": draw.randrange(1, LENGTHS[episode]), "note": "é" * draw.randrange(300)}
                    try:
                        answer = client.post(address + "press", json=body)
                    except httpx.HTTPError:
                        return
                    if answer.status_code == 200:
                        entries[episode] = answer.json()["entry"]
                        acknowledged.append((entries[episode]["n"], entries[episode]["attempts"]))

        client = threading.Thread(target=stream, args=(page.address,))
        client.start()
        before = len(acknowledged)
        while len(acknowledged) < before + 5:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.15))
        page.kill()
        client.join()
        read_journal(journal_of(root))

    content = journal_of(root).read_bytes()
    lines = [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
    stored = {line["n"]: line["attempts"] for line in lines if "n" in line}
    assert len(acknowledged) > 10
    assert [number for number, attempts in acknowledged if stored.get(number) != attempts] == []
    assert list(stored) == [*range(1, len(stored) + 1)]
    assert len(stored) <= len(acknowledged) + 2, "one press a kill may be written and not answered"


# ------------------------------------------------------------------------------------------------ beside it


@pytest.mark.parametrize("module", ["starlette", "uvicorn"])
def test_without_its_extra_it_says_what_to_install(
    module: str, dataset: Copy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = [f"vantage.app.{name}" for name in ("outcomes", "loopback", "recordings")]
    theirs = [name for name in sys.modules if name.startswith(f"{module}.")]
    for name in ours + theirs:  # what another test has imported would not be looked for again
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)  # as Python marks a module that cannot be imported
    monkeypatch.setattr(sys, "argv", ["vantage", "outcomes", str(dataset("bare")), "--no-browser"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 2 and f"needs {module}" in told and "pip install 'vantage[pages]'" in told


def test_ctrl_c_is_how_it_ends(dataset: Copy, serve: Serve) -> None:
    page = serve(dataset("bare"))
    page.process.send_signal(signal.SIGINT)
    _, err = page.process.communicate(timeout=30)
    assert page.process.returncode == 0 and "ended; what was said is in" in err and "Traceback" not in err


def test_nobody_else_imports_the_server() -> None:
    modules = ("cli", "commands.outcomes", "data.audit", "stages.label", "report.audit_view")
    names = ", ".join(f"vantage.{name}" for name in modules)
    program = f"import sys, {names}; print({{'starlette', 'uvicorn'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_values_of_a_critic_are_matched_by_content(dataset: Copy, tmp_path: Path) -> None:
    table = read_table(dataset("bare"))
    contents, lengths = fingerprints(table.action, table.state, table.starts), np.diff(table.starts)
    p_v = np.linspace(0, 1, len(table))
    ledger = tmp_path / "run" / "round-02" / "4-weights.parquet"
    there = np.repeat(contents, lengths)
    columns = {
        "round": np.full(len(table), 1),
        "index": table.index + 1000,
        "fingerprint": np.where(table.episode_index == 0, 5, there),
        "p_v": np.where(table.episode_index == 3, np.nan, p_v),
    }
    backwards = np.arange(len(table))[::-1]
    write_parquet(ledger, {name: column[backwards] for name, column in columns.items()}, ("p_v",))

    for path in (tmp_path / "run", ledger.parent, ledger.parent / "3-critic", ledger):
        values = stored_viability(path, contents, lengths)
        assert sorted(values) == [1, 2] and np.array_equal(values[2], p_v[table.slices[2]])
    with pytest.raises(VantageError, match="its critic has not seen them"):
        stored_viability(ledger, contents + 1, lengths)
    with pytest.raises(VantageError, match="holds no values of a critic"):
        stored_viability(tmp_path, contents, lengths)

    progress = tmp_path / "00-arm-sarm_progress.parquet"
    write_parquet(progress, {"index": table.index, "progress_sparse": p_v.astype(np.float32)})
    assert np.allclose(stored_viability(progress, contents, lengths)[3], p_v[table.slices[3]])
    with pytest.raises(VantageError, match="is about 100 frames and the data set has 76"):
        stored_viability(progress, contents[:3], lengths[:3] + np.array([0, 2, 0]))

    # Ours say whose they are: after a deletion every value is still beside its recording.
    columns = {"index": table.index, "fingerprint": contents[table.episode_index]}
    write_parquet(progress, columns | {"progress_sparse": p_v.astype(np.float32)})
    values = stored_viability(progress, contents[[3, 1]], lengths[[3, 1]])
    assert np.allclose(values[0], p_v[table.slices[3]]) and np.allclose(values[1], p_v[table.slices[1]])
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(VantageError, match=r"notes.txt is no table of values \(parquet\); name a run"):
        stored_viability(tmp_path / "notes.txt", contents, lengths)


def seen(application: Starlette, path: str) -> dict[str, Any]:
    """What the page gets, without a network."""

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            return await client.get(path)

    return without_a_loop(answer()).json()


def test_a_critic_looks_at_recordings_that_it_has_not_seen_and_what_it_says_is_kept(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round 2 by the critic of round 1 is as in `vantage watch`; round 2 by its own is the ledger's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, second = Round.of(recorded, 1), Round.of(recorded, 2)
    policy = features_of(first.critic)
    past = watch(second.episodes, first.critic, features_of=policy).past
    before = sorted(recorded.rglob("*"))

    opened = open_recordings(second.episodes, critic=first.critic)
    assert opened.question is not None and opened.viability == {} and opened.described(0)["p_v"] is None
    compute(opened.question, tmp_path / "p_v.parquet")
    shown = stored_viability(tmp_path / "p_v.parquet", opened.fingerprints, opened.lengths)
    assert len(shown) == len(read_table(second.episodes).slices)
    for watched in past:
        np.testing.assert_array_equal(shown[watched.episode][watched.at], watched.p_v)

    (kept,) = (tmp_path / "cache").rglob("*.parquet")
    again = open_recordings(second.episodes, critic=first.folder)
    assert again.question is None and sorted(recorded.rglob("*")) == before
    assert all(np.array_equal(again.viability[episode], shown[episode]) for episode in shown)

    kept.write_bytes(b"PAR1")  # damaged: to be asked again
    assert open_recordings(second.episodes, critic=first.folder).question is not None

    ledger = read_parquet(second.weights)
    own = open_recordings(second.episodes, critic=recorded)
    assert own.question is None
    assert np.array_equal(np.concatenate([*own.viability.values()]), ledger["p_v"][ledger["round"] == 2])


def test_what_a_critic_cannot_say_is_said_on_the_page(
    recorded: Path, dataset: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = dataset("bare")
    opened = open_recordings(root, critic=recorded)
    assert opened.question is not None
    asking = Asking(opened.question, opened.viability)
    assert asking.state() == "computing"
    asking.wait()
    with closing(open_journal(root)) as journal:
        answer = seen(application_of(opened, journal, asking), "/state")["values"]
    assert answer["state"] == "failed"
    assert re.search(r"p_v is not shown: .*environment_state of 7 numbers, which .* lacks", answer["problem"])
    asking.close()


def test_the_work_behind_a_page_ends_with_it(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = open_recordings(Round.of(recorded, 2).episodes, critic=Round.of(recorded, 1).critic)
    assert opened.question is not None
    asking = Asking(opened.question, opened.viability)
    assert [*tmp_path.glob("vantage-viability-*")]
    asking.close()
    assert asking.state() == "failed" and opened.viability == {}
    assert not [*tmp_path.iterdir()], "nothing is left of it"
