"""Jobs in, results out of a Ray cluster: whole episodes on any number of machines.

    item ──its folders, as values──> a worker anywhere ──result, and what it put into the journal──> here

No folder has to be shared. A folder that is a field of a job is sent along (a checkpoint once for each
machine; paths inside of worlds and operators are not), and the episode that it puts into its journal comes
back with its result, compressed, and is written here. A job is a pure function of what it is given, so the
bytes are those of one machine, and a job whose machine died is played again by Ray on another one.

Every machine needs the same version of Vantage. The user's own modules that a job's classes stand in are sent
as they are here; what these import must be installed there.
"""

import atexit
import dataclasses
import functools
import hashlib
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, cast

from pyarrow import Codec

from vantage.bounds import short
from vantage.disk.files import whole_folder, write_whole
from vantage.environment import prepare_process
from vantage.errors import LostProcess, VantageError, is_installed
from vantage.version import __version__

JOURNAL = "journal"
"""The field of an item that names a folder for results; every other path is a folder that is read."""
ACTING = "acting"
"""The field of an item that holds a value whose own paths are folders that are read, such as a critic's."""
RETRIES = 3
"""How often a job is played again whose machine or process was lost."""
AHEAD = 4
"""Jobs that are handed out for each processor of the cluster; the rest wait here."""
KEPT = 4
"""Folders that a worker keeps; a run of PPO sends a new checkpoint in every iteration."""
PATIENCE = 10.0
"""Seconds in which a cluster must answer."""
STARTING = 120.0
"""Seconds in which its machines must have imported Vantage."""
GPU_SHARE = 0.1
"""What a policy that acts on a GPU asks of one."""

type Files = Mapping[str, bytes]
"""Name below a folder -> content."""
type PackedFiles = Mapping[str, tuple[int, bytes]]
"""Name below a folder -> size of the content, and the content compressed."""


@dataclass(frozen=True, slots=True)
class Ray:
    """The machines of a Ray cluster."""

    address: str = "auto"
    """As `ray.init` takes it: auto (the one that this machine belongs to), HOST:PORT, ray://HOST:PORT."""


@contextmanager
def open_cluster(machines: Ray) -> Generator["Cluster"]:
    """A pool of all processors of a Ray cluster, which lives as long as the context.

    Raises VantageError where there is no cluster, and where it has another version of Vantage;
    ModuleNotFoundError without ray.
    """
    import ray

    prepare_process()
    passed = {name: os.environ[name] for name in ("MUJOCO_GL", "LP_NUM_THREADS") if name in os.environ}
    terminated = signal.getsignal(signal.SIGTERM)
    try:
        _knock(machines.address)
        ray.init(
            machines.address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": passed | {"OMP_NUM_THREADS": "1"}},
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise VantageError(
            f"there is no Ray cluster at {machines.address!r} ({error}); "
            "start one with `ray start --head`, and on every other machine `ray start --address HOST:PORT`"
        ) from error

    try:
        signal.signal(signal.SIGTERM, terminated)  # Ray has put an answer of its own there
        yield Cluster(ray)
    finally:
        ray.shutdown()


def check_cluster(machines: Ray) -> None:
    """Raise what `open_cluster` does, where it would."""
    with open_cluster(machines):
        pass


def _knock(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


class Cluster:
    """Plays jobs on a cluster that is connected (`vantage.collect.pool.Pool`)."""

    def __init__(self, ray: Any) -> None:
        """Raises VantageError where a machine of the cluster has another version of Vantage, or none."""
        self._ray = ray
        self._sent = dict[tuple[Path, int], tuple[str, Any]]()
        self._far = ray.remote(max_retries=RETRIES, scheduling_strategy="SPREAD")(_there)

        for name, there in self._versions():
            if there != __version__:
                raise VantageError(
                    f"{name}, a machine of the cluster, has vantage {there} and this one {__version__}; "
                    "install one"
                )

    def _versions(self) -> list[tuple[str, str]]:
        """(name, version of Vantage) of every machine that lives."""
        errors = self._ray.exceptions
        asked = [
            (node["NodeManagerHostname"], self._on_node(node["NodeID"], _version).remote())
            for node in self._ray.nodes()
            if node["Alive"]
        ]
        found, until = list[tuple[str, str]](), time.monotonic() + STARTING
        for name, reference in asked:
            try:
                found.append((name, self._ray.get(reference, timeout=max(until - time.monotonic(), 0))))
            except (errors.NodeDiedError, errors.TaskUnschedulableError):
                continue  # a machine that died a moment ago is listed until its heartbeats are missed
            except errors.GetTimeoutError as error:
                raise VantageError(
                    f"the machines of the cluster did not start within {STARTING:g} s; see what "
                    "`ray status` says"
                ) from error
            except errors.RayError as error:
                raise VantageError(
                    f"the cluster cannot import vantage; install it there ({error})"
                ) from error
        if not found:
            raise VantageError("every machine of the cluster has gone; see what `ray status` says")
        return found

    def each[A, B](self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """`function` of every item, in the order they end.

        Raises `LostProcess` where a job's machine was lost again and again, and what the function raised.
        """
        waiting, under_way = iter(items), dict[Any, A]()
        room = AHEAD * self.room
        while True:
            for item in waiting:
                under_way[self._hand_out(function, item)] = item
                if len(under_way) >= room:
                    break
            if not under_way:
                return

            (ended, *_), _ = self._ray.wait(list(under_way), num_returns=1)
            item = under_way.pop(ended)
            result, files = self._fetch(ended)
            for name, content in files.items():
                write_whole(_journal(item) / name, unpacked(*content))
            yield result

    @property
    def room(self) -> int:
        """Processors of the cluster."""
        return max(int(self._ray.cluster_resources().get("CPU", 1)), 1)

    def call[*A, B](self, near: str, function: Callable[[*A], B], *args: *A) -> Future[B]:
        """Have a function called on the node `near` (its identifier; empty: none) where that has room and
        lives, else on any.

        The future raises `LostProcess` where its machine was lost again and again, and what the function
        raised.
        """
        for value in (function, *args):
            self._send_modules(value)
        where: Any = "SPREAD"
        if near:
            where = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(near, soft=True)
        remote = self._ray.remote(max_retries=RETRIES, num_cpus=1, scheduling_strategy=where)(function)
        theirs, ours = remote.remote(*args).future(), Future[B]()

        def settle(ended: Future[B]) -> None:
            error = ended.exception()
            if error is None:
                ours.set_result(ended.result())
            else:
                ours.set_exception(self._said(error))

        theirs.add_done_callback(settle)
        return ours

    def on_every_node(self, function: Callable[..., Any], *args: Any) -> None:
        """Have a function called once on every machine that lives."""
        nodes = [node["NodeID"] for node in self._ray.nodes() if node["Alive"]]
        self._ray.wait(
            [self._on_node(node, function).remote(*args) for node in nodes],
            num_returns=len(nodes),
            timeout=PATIENCE,
        )

    def _on_node(self, node: str, function: Callable[..., Any]) -> Any:
        """A function to be called on a certain machine, whatever else that does."""
        affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        return self._ray.remote(num_cpus=0, scheduling_strategy=affinity(node, soft=False))(function)

    def _hand_out(self, function: Callable[[Any], Any], item: Any) -> Any:
        """A reference to what comes back; the item's folders go along."""
        self._send_modules(item)
        self._send_modules(function)
        gpu = GPU_SHARE if str(getattr(item, "device", "cpu")).startswith("cuda") else 0
        if gpu and not self._ray.cluster_resources().get("GPU"):  # it would wait for one for ever
            raise VantageError(
                f"the policy acts on {item.device}, and no machine of the cluster has a GPU; add one "
                "(`ray status` lists them), or have all of it computed on --compute.device cpu"
            )
        try:
            folders = {name: self._send(path) for name, path in _paths(item).items() if name != JOURNAL}
            digests = {name: digest for name, (digest, _) in folders.items()}
            return self._far.options(num_cpus=1, num_gpus=gpu).remote(
                function, item, digests, *(reference for _, reference in folders.values())
            )
        except self._ray.exceptions.RayError as error:
            raise self._said(error) from None

    def _send_modules(self, value: Any) -> None:
        """Have the user's own modules that a value needs sent along with it."""
        for module in _own_modules(value):
            self._ray.cloudpickle.register_pickle_by_value(sys.modules[module])

    def _send(self, folder: Path) -> tuple[str, Any]:
        """(digest, reference) of a folder's files, which are put into the cluster's memory once."""
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        if not paths:
            raise VantageError(f"{folder} holds no file, and the machines of the cluster need what was in it")

        # When it was changed is asked first: what is written from here on is sent once more, and never taken
        # for what was sent.
        key = (folder, max(path.stat().st_mtime_ns for path in paths))
        if key not in self._sent:
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
            while len(self._sent) >= KEPT:
                del self._sent[next(iter(self._sent))]
            self._sent[key] = (_digest(files), self._ray.put(files))
        return self._sent[key]

    def _fetch(self, reference: Any) -> tuple[Any, PackedFiles]:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise self._said(error) from None

    def _said(self, error: Any) -> BaseException:
        """What is to be raised here: what a job raised, or a sentence where it was lost."""
        lost = self._ray.exceptions
        if isinstance(error, lost.RayTaskError):
            return error.cause or error
        if isinstance(
            error,
            (lost.WorkerCrashedError, lost.NodeDiedError, lost.OutOfMemoryError, lost.ObjectLostError),
        ):
            return LostProcess(
                f"a job was lost {RETRIES + 1} times with the process or the machine that played it "
                f"({type(error).__name__}); nothing that was finished is lost: give the same command again "
                "to go on"
            )
        if isinstance(error, lost.RayError):
            return LostProcess(
                f"the cluster could not take or play a job ({type(error).__name__}: "
                f"{short(str(error).strip())}); nothing that was finished is lost: give the same command "
                "again to go on"
            )
        return error


def _paths(item: Any) -> dict[str, Path]:
    """The folders that an item names, by field; ``acting.critic`` is a field of what stands in `ACTING`."""
    if not dataclasses.is_dataclass(item):
        return {}
    values = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    inner = {f"{ACTING}.{name}": path for name, path in _paths(values.get(ACTING)).items()}
    return {name: value for name, value in values.items() if isinstance(value, Path)} | inner


def _moved(item: Any, folders: Mapping[str, Path]) -> Any:
    """The item with other folders in the place of those that it names."""
    own: dict[str, Any] = {name: path for name, path in folders.items() if "." not in name}
    inner = {name.removeprefix(f"{ACTING}."): path for name, path in folders.items() if "." in name}
    if inner:
        own[ACTING] = _moved(getattr(item, ACTING), inner)
    return dataclasses.replace(item, **own) if own else item


def _journal(item: Any) -> Path:
    return _paths(item)[JOURNAL]


_CODEC = Codec("zstd", compression_level=3)
"""Pictures of a simulator come down to less than a quarter in two hundredths of the time in which they were
rendered; a higher level takes five times as long for a tenth less."""


def packed(content: bytes) -> tuple[int, bytes]:
    """(size, the content compressed): what crosses the network."""
    return len(content), _CODEC.compress(content, asbytes=True)


def unpacked(size: int, content: bytes) -> bytes:
    """The inverse of `packed`."""
    return _CODEC.decompress(content, size, asbytes=True)


def _digest(files: Files) -> str:
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _own_modules(value: Any) -> set[str]:
    """Modules of the user's own in which a function, or the classes of a value and of its fields, are."""
    if isinstance(value, list | tuple):
        return set[str]().union(*map(_own_modules, cast(Sequence[Any], value)))
    fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
    inner = (getattr(value, field.name) for field in fields)
    module = value.__module__ if isinstance(value, FunctionType) else type(value).__module__
    return set[str]().union(*map(_own_modules, inner)) | ({module} if _is_own(module) else set[str]())


@functools.cache
def _is_own(module: str) -> bool:
    """Whether a module is neither a part of Vantage nor installed."""
    file = getattr(sys.modules[module], "__file__", None)
    if file is None or module.partition(".")[0] == "vantage":
        return False
    return not is_installed(Path(file))


# ------------------------------------------------------------------------------------------ on the other side


def _version() -> str:
    return __version__


def _there(
    function: Callable[[Any], Any], item: Any, digests: Mapping[str, str], *contents: Files
) -> tuple[Any, PackedFiles]:
    """Call the function in this process of the cluster, with the item's folders in a folder of its own."""
    prepare_process()
    moved: dict[str, Path] = {
        name: _folder_of(digest, files)
        for (name, digest), files in zip(digests.items(), contents, strict=True)
    }
    if JOURNAL not in _paths(item):
        return function(_moved(item, moved)), {}

    journal = Path(tempfile.mkdtemp(dir=_scratch()))
    try:
        result = function(_moved(item, moved | {JOURNAL: journal}))
        return result, {path.name: packed(path.read_bytes()) for path in sorted(journal.iterdir())}
    finally:
        shutil.rmtree(journal)


def _folder_of(digest: str, files: Files) -> Path:
    """The folder of these files in this process's scratch space."""
    folder = _scratch() / digest
    if folder.exists():
        folder.touch()  # what was used last goes last
    else:
        kept = sorted(_scratch().glob("*"), key=lambda path: path.stat().st_mtime_ns)
        for old in kept[: max(len(kept) - KEPT + 1, 0)]:
            shutil.rmtree(old)
        with whole_folder(folder) as temporary:
            for name, content in files.items():
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / name).write_bytes(content)
    return folder


@functools.cache
def _scratch() -> Path:
    """A folder of this process alone, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="vantage-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
