"""One writer for one folder: the second is told who the first is, and a dead one holds nothing."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vantage.disk.lock import LOCK, alone
from vantage.errors import VantageError

PROGRAM = """
import sys, time
from pathlib import Path
from vantage.disk.lock import alone
with alone(Path(sys.argv[1]), "wait"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with alone(folder, "wait for it"):
        sentence = f"process {os.getpid()} on {socket.gethostname()} is writing to {folder}; wait for it"
        with pytest.raises(VantageError) as refused, alone(folder, "wait for it"):
            pass
        assert str(refused.value) == sentence
    with alone(folder, "wait for it"):
        assert (folder / LOCK).exists()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(VantageError, match=f"process {process.pid} on"), alone(tmp_path, "wait"):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with alone(tmp_path, "wait"):
        pass


def test_an_unreadable_note_still_refuses(tmp_path: Path) -> None:
    with alone(tmp_path, "wait"):
        (tmp_path / LOCK).write_text("{")
        with pytest.raises(VantageError, match="another process is writing"), alone(tmp_path, "wait"):
            pass


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VantageError, match="cannot be written to"), alone(tmp_path / "file" / "run", "wait"):
        pass
