"""Work in, results out of other processes, one of which may die.

A worker that is killed takes the executor's other workers with it, and what they were at. What they were at
is a pure function of what they were given, so it can be done again: `Workers.each` does it once more in
fresh processes, and only then gives up with one sentence.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

import torch

from vantage.errors import LostProcess
from vantage.progress import console

RETRIES = 1
"""How often lost work is done again."""
_UNKNOWN = 255
"""What multiprocessing says of a process whose exit code it could not read."""


class Workers:
    """Worker processes for any work; fresh ones take the place of those that were lost."""

    def __init__(self, count: int, *, preload: Sequence[str], begin: Callable[[], None]) -> None:
        """`preload`: modules that are imported once for all; `begin`: called first in every process."""
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        _start_deaf_to_interrupts()
        self._count, self._begin = count, begin
        self._executor = self._open()
        self._processes = dict[int, BaseProcess]()

    def submit[**P, A](self, function: Callable[P, A], *args: P.args, **named: P.kwargs) -> Future[A]:
        """Have a function called in one of them. Of a broken executor, the future says that it is broken."""
        # Processes start as they are needed. They are noted while they live: those of a broken executor are
        # gone from it before anybody can ask how they ended.
        others = set(multiprocessing.active_children())
        with _interrupts_wait():
            try:
                future = self._executor.submit(function, *args, **named)
            except BrokenProcessPool as error:
                future = Future[A]()
                future.set_exception(error)
            for process in set(multiprocessing.active_children()) - others:
                self._processes[process.pid or 0] = process
        return future

    def each[A, B](self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """`function` of every item, in the order they end.

        Raises `LostProcess` where a worker died, and another one when the lost work was done again.
        """
        waiting = list(items)
        for attempt in range(RETRIES + 1):
            futures = {self.submit(function, item): item for item in waiting}
            waiting = list[A]()
            for future in as_completed(futures):
                try:
                    result = future.result()
                except BrokenProcessPool:
                    waiting.append(futures[future])
                    continue
                yield result
            if not waiting:
                return
            self.renew(given_up=attempt == RETRIES)

    def renew(self, *, given_up: bool = False) -> None:
        """Say which worker died and likely why, and go on with fresh ones.

        Raises `LostProcess` with the same words instead where it is `given_up`.
        """
        self._executor.shutdown(wait=True)  # it reads how they ended, and only one can
        lost = self._how_it_died()
        self._processes.clear()
        if given_up:
            raise LostProcess(
                f"{lost}, after what it was at had been begun again; nothing that was finished is lost: give "
                "the same command again to go on, with fewer --workers if memory is short"
            )
        console.print(f"{lost}; what it was at is done again")
        self._executor = self._open()

    def close(self, *, wait: bool) -> None:
        """Let the processes go; `wait` until they have ended what they are at, or end them there."""
        self._executor.shutdown(wait=wait, cancel_futures=not wait)
        if not wait:
            for process in self._processes.values():
                process.terminate()
        self._processes.clear()

    def _open(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._count, mp_context=self._context, initializer=self._begin)

    def _how_it_died(self) -> str:
        """The process that ended first, in words; the executor ends its others by SIGTERM."""
        codes = {pid: process.exitcode for pid, process in self._processes.items()}
        first = [pid for pid, code in codes.items() if code not in (None, 0, _UNKNOWN, -signal.SIGTERM)]
        if not first:
            pids = " or ".join(str(pid) for pid in sorted(codes))
            return f"a worker process ({pids or 'it had hardly begun'}) was ended from outside"
        return f"worker process {first[0]} {_ended(codes[first[0]] or 0)}"


def _ended(code: int) -> str:
    """How a process ended, by its exit code: negative is a signal."""
    if code > 0:
        return f"ended by itself with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    match -code:
        case signal.SIGKILL:
            why = "as the system does when memory runs out"
        case signal.SIGSEGV | signal.SIGBUS | signal.SIGILL | signal.SIGFPE | signal.SIGABRT:
            why = "it crashed: a fault in a library, or in a world of one's own"
        case _:
            why = "from outside"
    return f"was killed by {name} ({why})"


def _start_deaf_to_interrupts() -> None:
    """Start the process that forks the workers, with interrupts blocked in it and in all of them.

    Ctrl-C reaches every process of a terminal. This one answers it, and ends the workers: theirs would be a
    traceback each, even while they import.
    """
    resource_tracker.ensure_running()  # otherwise started below, where it would unblock them again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _interrupts_wait() -> Generator[None]:
    """Answer Ctrl-C when the context ends: a process that is being started must be known to be ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    waiting = list[int]()
    before = signal.signal(signal.SIGINT, lambda number, _frame: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if waiting:
        raise KeyboardInterrupt


@contextmanager
def open_workers(count: int, *, preload: Sequence[str], quiet: bool = False) -> Generator[Workers]:
    """Worker processes for any work, which do not outlive this process.

    `preload`: modules that are imported once for all of them. `quiet`: they print nothing and use one thread
    each, for work that would show its own progress. Where the context ends by an error, nobody waits for
    them.
    """
    workers = Workers(count, preload=preload, begin=_begin_quietly if quiet else leave_with_parent)
    try:
        yield workers
    except BaseException:
        workers.close(wait=False)
        raise
    workers.close(wait=True)


def _begin_quietly() -> None:
    """How a quiet worker begins."""
    leave_with_parent()
    console.quiet = True
    torch.set_num_threads(1)


def leave_with_parent() -> None:
    """End this worker when the process that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_outlive, args=(parent.sentinel,), daemon=True).start()


def _outlive(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
