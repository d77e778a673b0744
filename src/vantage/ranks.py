"""One process of a run, or several: which of them this is, what only the first one does, and how they add up.

    torchrun --nproc-per-node 2 -m vantage run ...      two processes of one run (`accelerate launch` as well)
        collect, label, weigh, evaluate, report         the first one alone, while the others wait
        fit critic, fit policy                          all of them, each its part (learn/step.py)

The launcher names a process by RANK, of WORLD_SIZE. Whoever was not launched so is the first one of one.
torch is imported where it is needed: a command that prints its help needs none.
"""

import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, NoReturn, cast

from vantage.errors import LostProcess, VantageError

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = 600.0
"""Seconds that a process waits for the others within a training step."""

_LOST = ("closed by peer", "reset by peer", "timed out", "timeout", "broken pipe", "aborted", "nccl error")
"""What gloo, NCCL and the store say when another process is gone, in lower case."""


def launched() -> int:
    """How many processes the launcher started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def launched_as() -> int:
    """Which of the processes that the launcher started this is, counted from 0; before they met, too."""
    return int(os.environ.get("RANK", "0"))


def count() -> int:
    """Processes that work together; 1 before they met (`joined`)."""
    if not _met():
        return 1
    import torch.distributed as dist

    return dist.get_world_size()


def number() -> int:
    """Which of them this is, counted from 0."""
    if not _met():
        return 0
    import torch.distributed as dist

    return dist.get_rank()


def is_first() -> bool:
    """Whether this is the one that writes files and talks to people."""
    return number() == 0


@contextmanager
def joined(patience: float = PATIENCE) -> Generator[None]:
    """Meet the other processes of the run, where a launcher started several; part on leaving.

    Tensors on the CPU travel by gloo, those on CUDA by NCCL. `patience`: seconds after which a process that
    waits for another one gives up. Raises `LostProcess` where the others do not come.
    """
    if launched() == 1 or _met():
        yield
        return

    import torch
    import torch.distributed as dist

    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl"
    before = signal.signal(signal.SIGTERM, _stopped)
    try:
        with lost_process_is_a_sentence():
            dist.init_process_group(backend, timeout=timedelta(seconds=patience))
        yield
        wait()  # so that nobody takes the leaving of who is done first for a loss
    finally:
        signal.signal(signal.SIGTERM, before)
        if dist.is_initialized():
            dist.destroy_process_group()


def first_alone[**P](work: Callable[P, None]) -> Callable[P, None]:
    """Make a function one that the first process runs while the others wait for it, however long it takes.

    For work that writes files and returns nothing. Where it fails the others end too.
    """

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        if count() == 1:
            return work(*args, **kwargs)

        with _patient_channel() as tell:
            done = False
            try:
                if is_first():
                    work(*args, **kwargs)
                    done = True
            finally:
                done = tell(done)
        if not done:
            raise VantageError("the first process of this run stopped; its own message says why")

    return run


@contextmanager
def _patient_channel() -> Generator[Callable[[bool], bool]]:
    """A function by which the first process tells the others whether it is done; they wait for it up to a
    week."""
    import torch
    import torch.distributed as dist

    def tell(done: bool) -> bool:
        message = torch.tensor(int(done))
        with lost_process_is_a_sentence():
            dist.broadcast(message, 0, group)
        return bool(message)

    with lost_process_is_a_sentence():
        group = cast("dist.ProcessGroup", dist.new_group(backend="gloo", timeout=timedelta(days=7)))
    try:
        yield tell
    finally:
        dist.destroy_process_group(group)


def wait() -> None:
    """Until all processes are here."""
    if count() > 1:
        import torch.distributed as dist

        with lost_process_is_a_sentence():
            dist.barrier()


def total(tensor: "Tensor") -> "Tensor":
    """The sum of a tensor over all processes, without gradient."""
    if count() == 1:
        return tensor
    import torch.distributed as dist

    summed = tensor.detach().clone()
    with lost_process_is_a_sentence():
        dist.all_reduce(summed)
    return summed


def agreed(value: int, what: str) -> int:
    """`value`, which every process has. Raises `VantageError` where they differ; `what` says what it is."""
    if count() == 1:
        return value
    import torch
    import torch.distributed as dist

    ends = torch.tensor([value, -value])  # the largest, and minus the smallest, in one round
    with lost_process_is_a_sentence():
        dist.all_reduce(ends, dist.ReduceOp.MAX)
    if int(ends.sum()):
        raise VantageError(
            f"the processes of this run differ in {what}; put the run on a disk that all of them see",
        )
    return value


@contextmanager
def lost_process_is_a_sentence() -> Generator[None]:
    """Turn what torch says when another process is gone into one `LostProcess`."""
    try:
        yield
    except RuntimeError as error:
        if launched() == 1 or not any(words in str(error).lower() for words in _LOST):
            raise
        raise LostProcess(
            "another process of this run is gone or does not answer; start the run again, with as many "
            "processes as you like: it goes on from the state that was saved last"
        ) from error


def _stopped(*_: object) -> NoReturn:
    """What launchers make of the others when one process has ended."""
    raise LostProcess(
        "stopped from outside, as launchers do when another process of the run has ended; start the run "
        "again: it goes on from the state that was saved last"
    )


def _met() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized()
