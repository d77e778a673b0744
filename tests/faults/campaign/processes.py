"""Words in, an ended `vantage` process out: its exit code, what it said, and whether any process of it is
left.

A process is a copy (fork) of this one, which has imported everything already: a command starts in
milliseconds, and is otherwise what a shell would start, in a session of its own, with its own files for what
it says.
"""

import contextlib
import importlib
import os
import resource
import signal
import sys
import time
import traceback
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

PRELOAD = (
    "torch",
    "safetensors.torch",
    "pyarrow.parquet",
    "torch._dynamo",
    "torch.distributed.fsdp",
    "torch.distributed.nn",
    "torch.onnx",
    "pandas",
    "typeguard",
    "tyro._backends._tyro_backend",
    "tyro.constructors._struct_spec_pydantic",
    "vantage.cli",
    "vantage.algorithms.chunked_ppo",
    "vantage.algorithms.finetune",
    "vantage.algorithms.habc",
    "vantage.collect.pool",
    "vantage.commands.settings",
    "vantage.commands.studies",
    "vantage.data.audit",
    "vantage.report.page",
    "vantage.stages.label",
    "vantage.worlds.metaworld.experts.stock",
    "vantage.worlds.metaworld.world",
)
LEROBOT = ("vantage.policies.lerobot.stock", "lerobot.policies.act.modeling_act")
PATIENCE = 300.0
"""Seconds after which a process counts as hanging."""
DISK_EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree")
"""Python's names for what changes a folder."""


def preload(lerobot: bool) -> None:
    """Import once what every command would import again."""
    for name in (*PRELOAD, *(LEROBOT if lerobot else ())):
        importlib.import_module(name)
    from vantage.worlds.spec import MetaWorldSpec

    world = MetaWorldSpec("push-v3", limit=5)()
    world.reset(0)
    world.close()


@dataclass(frozen=True)
class Kill:
    """A signal at a moment: after some seconds, or as a process changes its folder for the n-th time."""

    number: signal.Signals
    seconds: float | None = None
    change: int | None = None
    whole_group: bool = False
    """Its workers get it too, as when somebody presses Ctrl-C."""


@dataclass(frozen=True)
class Ended:
    """A process that is gone."""

    code: int
    """Exit code; negative: the signal that ended it."""
    said: str
    """On stdout and stderr together."""
    seconds: float
    left: int
    """Processes of its session that were alive seconds after its end."""
    signalled: bool
    """Whether the signal met it."""

    @property
    def traceback(self) -> bool:
        """Whether it showed a Python traceback."""
        return "Traceback (most recent call last)" in self.said

    @property
    def last(self) -> str:
        """What it said last, for a report."""
        return " ".join(self.said.split())[-300:]


@dataclass
class Process:
    """A started command."""

    pid: int
    said: Path
    began: float

    def signal(self, number: signal.Signals, *, whole_group: bool = False) -> None:
        """Send a signal; nothing happens where it is gone already."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if whole_group else os.kill)(self.pid, number)

    def ended(self, patience: float) -> int | None:
        """Wait for its end, up to `patience` seconds; its exit code, or None."""
        until = time.monotonic() + patience
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > until:
                return None
            time.sleep(0.005)

    def wait(self, *, signalled: bool = False, patience: float = PATIENCE) -> Ended:
        """Wait for the end of it and of its workers. One that hangs is killed, and has exit code 124."""
        code = self.ended(patience)
        if code is None:
            self.signal(signal.SIGKILL, whole_group=True)
            os.waitpid(self.pid, 0)
            code = 124
        seconds = time.monotonic() - self.began
        until = time.monotonic() + 10
        while (left := session(self.pid)) and time.monotonic() < until:
            time.sleep(0.02)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        said = self.said.read_text(errors="replace")
        return Ended(code, said, seconds, len(left), signalled)

    def workers(self) -> list[int]:
        """Processes that it started, the youngest last."""
        return sorted(pid for pid in session(self.pid) if pid != self.pid)


def session(leader: int) -> list[int]:
    """Living processes of a session."""
    pids: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, _, _, number = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(number) == leader and state != "Z":
                pids.append(int(folder.name))
    return pids


def start(
    words: Sequence[str],
    folder: Path,
    *,
    kill: Kill | None = None,
    file_size: int | None = None,
    memory: int | None = None,
) -> Process:
    """Start `vantage WORDS` in a folder.

    `file_size`: the largest file it may write (a full disk); `memory`: the largest address space; in bytes.
    """

    def run() -> None:
        from vantage.cli import main

        if file_size is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        count = Changes(folder, kill)
        sys.addaudithook(count)
        sys.argv = ["vantage", *words]
        try:
            main()
        finally:
            count.write()

    return fork(run, folder)


def fork(function: Callable[[], object], folder: Path) -> Process:
    """Run a function in a copy of this process, with what it says in a file beside `folder`."""
    said = folder.parent / f"{folder.name}.said-{time.monotonic_ns()}"
    sys.stdout.flush()
    sys.stderr.flush()
    began = time.monotonic()
    pid = os.fork()
    if pid:
        return Process(pid, said, began)

    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.chdir(folder)
        # Workers import the program that they belong to; this one is no part of the command.
        sys.modules["__main__"] = types.ModuleType("__main__")
        function()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    raise AssertionError("not reached")


def ran(words: Sequence[str], folder: Path, **options: object) -> Ended:
    """Run `vantage WORDS` to its end."""
    return start(words, folder, **options).wait()  # type: ignore[arg-type]


class Changes:
    """An audit hook that counts what a process changes in its folder, and kills it at one of them."""

    def __init__(self, folder: Path, kill: Kill | None) -> None:
        self.folder, self.kill, self.count = str(folder), kill, 0
        self.pid = os.getpid()

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Called by Python at every event."""
        if event not in DISK_EVENTS or not self._writes(event, arguments) or os.getpid() != self.pid:
            return
        self.count += 1
        if self.kill is not None and self.count == self.kill.change:
            send = os.killpg if self.kill.whole_group else os.kill
            send(self.pid, self.kill.number)

    def _writes(self, event: str, arguments: tuple[object, ...]) -> bool:
        path = arguments[0]
        if not isinstance(path, str | os.PathLike) or not str(Path(path).absolute()).startswith(self.folder):
            return False
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        return event != "open" or (isinstance(arguments[2], int) and bool(arguments[2] & writing))

    def write(self) -> None:
        """Say how many changes there were, for `changes_of`."""
        if os.getpid() == self.pid:
            Path(self.folder + ".changes").write_text(str(self.count))


def changes_of(folder: Path) -> int:
    """How often the last command in `folder` that ended by itself changed it."""
    return int(Path(f"{folder}.changes").read_text())
