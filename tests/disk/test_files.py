"""Files are whole or absent, and nothing that is no file, or lies elsewhere, is ever replaced."""

import os
import resource
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vantage.disk.files import (
    OUTCOMES,
    PAGE,
    PARQUET,
    RECORDING,
    check_replaces,
    check_writable,
    whole_file,
    whole_folder,
    write_whole,
)
from vantage.errors import VantageError


def test_a_pipe_a_socket_and_a_device_stay_what_they_are(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "socket"))
        for path, kind in (
            (tmp_path / "pipe", "a named pipe"),
            (tmp_path / "socket", "a socket"),
            (Path("/dev/null"), "a device"),
        ):
            before = path.lstat()
            with pytest.raises(VantageError, match=f"is {kind}; name a file"):
                write_whole(path, b"x")
            with pytest.raises(VantageError, match=f"is {kind}; name a folder"), whole_folder(path):
                pass
            assert stat.S_IFMT(path.lstat().st_mode) == stat.S_IFMT(before.st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipe", "socket"]


def test_a_file_is_no_folder_and_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(VantageError, match="is a folder; name a file"):
        write_whole(tmp_path / "folder", b"x")
    with pytest.raises(VantageError, match="is a file; name a folder"), whole_folder(tmp_path / "file"):
        pass
    with pytest.raises(VantageError, match=r"because .*file is no folder"):
        write_whole(tmp_path / "file" / "below" / "x", b"x")
    assert (tmp_path / "file").read_text() == "kept"


def test_links(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "target").write_text("precious")
    (inside / "real").write_text("old")

    (inside / "out").symlink_to(outside / "target")
    (inside / "dangling").symlink_to(outside / "nothing")
    for name in ("out", "dangling"):
        with pytest.raises(VantageError, match=r"is a link that leads out of its folder, to .*outside"):
            write_whole(inside / name, b"x")
    assert (outside / "target").read_text() == "precious" and (inside / "out").is_symlink()

    (inside / "alias").symlink_to("real")
    write_whole(inside / "alias", b"new")
    assert (inside / "alias").is_symlink() and (inside / "real").read_text() == "new"

    (tmp_path / "shortcut").symlink_to(inside)
    write_whole(tmp_path / "shortcut" / "new", b"x")
    assert (inside / "new").read_text() == "x", "a folder on the way may be a link: it is the user's own"


def test_what_fails_leaves_what_was(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "x") as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "y") as folder:
        (folder / "half").write_text("half")
        _ = 1 / 0
    assert (tmp_path / "x").read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_a_killed_writer_has_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    dead, fresh, living = (
        tmp_path / f".x.{number}.tmp" for number in (gone.stdout.strip(), "999999999", os.getppid())
    )
    for path in (dead, fresh, living):
        path.write_text("half")
    for path in (dead, living):
        os.utime(path, (0, 0))
    write_whole(tmp_path / "x", b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([fresh, living, tmp_path / "x"])


def test_a_new_path_may_be_written(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b" / "c")
    check_writable(tmp_path / "a" / "b" / "c", folder=True)
    check_writable(tmp_path, folder=True)


def test_training_state_on_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    """The writer of safetensors says it in its own way."""
    program = (
        "import signal, sys, torch; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from vantage.disk.checkpoint import save_state\n"
        "from vantage.errors import VantageError\n"
        "from pathlib import Path\n"
        "try: save_state(Path(sys.argv[1]), {'x': torch.zeros(10_000)})\n"
        "except VantageError as error: print(error)\n"
    )

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))

    words = [sys.executable, "-c", program, str(tmp_path / "state.safetensors")]
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=small_disk)
    assert done.stdout.startswith("the disk is full: "), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_output_takes_the_place_of_its_own_kind_only(tmp_path: Path) -> None:
    kinds = {
        PAGE: b"<!DOCTYPE html>",
        PARQUET: b"PAR1...",
        OUTCOMES: b"episode_index,success",
        RECORDING: b"RRF2",
    }
    for kind, content in kinds.items():
        path = tmp_path / "out"
        path.write_bytes(content)
        check_replaces(path, kind)
        for other in kinds.keys() - {kind}:
            with pytest.raises(
                VantageError, match=f"out is there already and is no {other.name}; name another"
            ):
                check_replaces(path, other)
        path.write_bytes(b"")
        check_replaces(path, kind)
        path.unlink()
        check_replaces(path, kind)
    with pytest.raises(VantageError, match="is a folder; name a file"):
        check_replaces(tmp_path, PAGE)
