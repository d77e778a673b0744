"""Bytes, JSON and folders -> files that are either whole or absent, and back.

    bytes  ──write_whole───> any file
    folder ──whole_folder──> any folder
    record ──write_json────> JSON

Every write goes to a temporary neighbour, is flushed to the disk and then renamed, so that a killed process
or a full disk never leaves half a file under the real name.
"""

import errno
import glob
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from vantage.errors import VantageError

LARGEST_JSON = 64 * 2**20
"""Bytes; the largest that is written here, a page of statistics, has a thousandth of it."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def full_disk_is_a_sentence(path: Path) -> Generator[None]:
    """Turn the operating system's ways of saying "full" into one `VantageError`.

    It names `path`, which was being written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise VantageError(_full(path)) from error
        raise

    except SafetensorError as error:
        # Its writer says in words what the system said.
        if any(f"os error {number})" in str(error) for number in _FULL):
            raise VantageError(_full(path)) from error
        raise


def _full(path: Path) -> str:
    return f"the disk is full: {path} could not be written; free some space and run the same command again."


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Raise VantageError where a file (or a `folder`) must not be written: over something of another kind, or
    through a link that leads out of its folder. Whatever is renamed into place would silently take the
    place of a pipe, a device or a link."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        _check_parents(path)
        return
    except OSError as error:
        raise VantageError(f"{path} cannot be written ({error.strerror}); name another path") from error

    if stat.S_ISLNK(mode) and not path.resolve().is_relative_to(path.parent.resolve()):
        raise VantageError(
            f"{path} is a link that leads out of its folder, to {path.resolve()}; "
            "name that path, or another one"
        )
    mode = path.stat().st_mode if path.exists() else mode
    if folder and not stat.S_ISDIR(mode):
        raise VantageError(f"{path} is {_kind(mode)}; name a folder")
    if not folder and not stat.S_ISREG(mode):
        raise VantageError(f"{path} is {_kind(mode)}; name a file")


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a command writes where its user says, told by how such a file begins."""

    name: str
    begins: tuple[bytes, ...]


PAGE = FileKind("page", (b"<!doctype html",))
PARQUET = FileKind("parquet file", (b"PAR1",))
OUTCOMES = FileKind("csv of outcomes", (b"episode_index", b"\xef\xbb\xbfepisode_index"))
RECORDING = FileKind("recording for Rerun's viewer", (b"RRF",))


def check_replaces(path: Path, kind: FileKind) -> None:
    """Raise VantageError where a file that a user named to be written would take the place of one of another
    kind, such as of what the command reads; and as `check_writable` does."""
    check_writable(path)
    if not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(max(map(len, kind.begins)))
    if head and not head.lower().startswith(tuple(begin.lower() for begin in kind.begins)):
        raise VantageError(f"{path} is there already and is no {kind.name}; name another file, or delete it")


def _check_parents(path: Path) -> None:
    """Raise VantageError where a folder on the way to `path` is none."""
    for parent in path.parents:
        if parent.exists():
            if not parent.is_dir():
                raise VantageError(
                    f"{path} cannot be written, because {parent} is no folder; name another path"
                )
            return


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFLNK: "a link to nothing",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is safe on disk when this returns, and that nobody ever sees half written.

    Raises as `whole_file` does.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path`, to be written, and rename it to `path` when the block succeeds.

    It is flushed to the disk first. Raises VantageError when the disk is full, and where something stands
    that is no file (`check_writable`); whatever was under `path` before is then untouched. A link to a file
    beside it stays a link.
    """
    check_writable(path)
    path = path.resolve() if path.is_symlink() else path
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")

    with full_disk_is_a_sentence(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path)
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            _flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what killed writers of the same file have left.

    It is their temporary files: older than an hour, and of a process that is gone.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        number = leftover.suffixes[-2].removeprefix(".")
        old = time.time() - leftover.stat().st_mtime > 3600
        if old and number.isdigit() and not Path("/proc", number).exists():
            leftover.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Generator[Path]:
    """Yield an empty temporary folder beside `path`, and rename it to `path` when the block succeeds.

    It is deleted when the block fails. A folder that already stands at `path` is replaced at the end. Raises
    VantageError where anything else stands there.
    """
    check_writable(path, folder=True)
    path = path.resolve() if path.is_symlink() else path
    temporary = path.with_name(f".{path.name}.partial")

    with full_disk_is_a_sentence(path):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            yield temporary

            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())

            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
            _flush_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def final_place(folder: Path) -> Path:
    """Where a folder that `whole_folder` is writing will be in the end, as an absolute path.

    Any other folder stays where it is.
    """
    absolute = folder.absolute()
    name = absolute.name
    partial = name.startswith(".") and name.endswith(".partial")
    return absolute.with_name(name.removeprefix(".").removesuffix(".partial")) if partial else absolute


def json_bytes(record: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """What a JSON file holds: a stable layout, two spaces, keys as given."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode()


def write_json(path: Path, record: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write JSON with a stable layout (`json_bytes`), whole or not at all."""
    write_whole(path, json_bytes(record))


def read_json(path: Path) -> Any:
    """Read JSON. Raises VantageError for a missing, damaged, endlessly nested or huge file."""
    if not path.is_file():
        raise VantageError(f"{path} does not exist.")

    try:
        size = path.stat().st_size
        if size > LARGEST_JSON:
            fault = f"{path} has {size:,} bytes, more than any JSON of ours ({LARGEST_JSON:,})"
            raise VantageError(f"{fault}; restore it.")
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise VantageError(f"{path} is not valid JSON ({error}); write it again.") from error
    except RecursionError as error:
        raise VantageError(
            f"{path} is not valid JSON (it is nested too deep to be read); write it again."
        ) from error
    except OSError as error:
        raise VantageError(f"{path} cannot be read ({error.strerror}).") from error


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: Path, ignore: Collection[str] = (".mp4",)) -> str:
    """Hex digest over the relative names and bytes of all files, in name order; files with an `ignore`d
    suffix count by name only."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = "" if path.suffix in ignore else sha256_file(path)
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()
