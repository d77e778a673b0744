"""One writer for one folder: a lock that the kernel holds, and drops when its process is gone, however it
went."""

import fcntl
import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from vantage.errors import VantageError

LOCK = ".lock"
"""Name of the file that is locked; it stays, and means nothing by itself."""


@contextmanager
def alone(folder: Path, remedy: str, *, name: str = LOCK, what: Path | None = None) -> Generator[None]:
    """Keep other processes from writing to a folder meanwhile; makes the folder where it is not there.

    `name`: of the file that is locked, for a part of a folder with a writer of its own. `what`: that part,
    for sentences; None: the folder.

    Raises VantageError where one is at it, which names the process and ends with `remedy`. On a file system
    that has no locks nothing is held.
    """
    with _opened(folder, name) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise VantageError(f"{_holder(file)} is writing to {what or folder}; {remedy}") from error
        except OSError:
            yield
            return

        _sign(file)
        yield


def _opened(folder: Path, name: str) -> TextIO:
    """The file that is locked, of a folder that is made where it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / name).open("a+", encoding="utf-8")
    except OSError as error:
        raise VantageError(
            f"{folder} cannot be written to ({error.strerror}); name another folder"
        ) from error


def _sign(file: TextIO) -> None:
    """Say who holds the lock; on a full disk the lock holds without it."""
    with suppress(OSError):
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        file.flush()


def _holder(file: TextIO) -> str:
    """Who holds a lock, as far as its file says."""
    file.seek(0)
    try:
        said = json.loads(file.read())
        return f"process {said['pid']} on {said['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
