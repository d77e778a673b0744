"""Names and numbers in, seeds out: every random stream of a run is a pure function of what it is for.

Streams never meet: demonstrations, rollouts, training and evaluation each have a purpose of their own, and
evaluation seeds do not depend on the run's seed, so that every policy anywhere is tried on the same starts.
"""

import zlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_for(purpose: str, *numbers: int) -> int:
    """A 31-bit seed for a purpose and any numbers: ``seed_for("rollout", run_seed, round, number)``."""
    entropy = [zlib.crc32(purpose.encode()), *numbers]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)


def seed_global_generators(seed: int, device: "torch.device") -> None:
    """Begin torch's global generators at `seed`: the processor's and those of `device`.

    They draw as after ``torch.manual_seed``, which also formats a stack trace for GPUs that are not in use:
    0.35 ms a call, and a training calls it at every step. Without real values (the meta device) only the
    processor's is seeded.
    """
    import torch

    torch.default_generator.manual_seed(seed)
    if device.type not in ("cpu", "meta"):
        module = torch.get_device_module(device)
        getattr(module, "manual_seed_all", module.manual_seed)(seed)


@contextmanager
def global_generator_kept(seed: int | None = None) -> Generator[None]:
    """Put torch's global generators back on leaving, on every device, as if nothing had been drawn inside.

    Initial weights and dropout draw from them, whatever a caller passes. `seed`: where they begin inside;
    None: where they stand.
    """
    import torch  # slow, and most who need a seed do not need it

    on_cpu = torch.get_rng_state()
    on_cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    on_mps = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        if seed is not None:
            torch.manual_seed(seed)
        yield
    finally:
        torch.set_rng_state(on_cpu)
        if on_cuda:
            torch.cuda.set_rng_state_all(on_cuda)
        if on_mps is not None:
            torch.mps.set_rng_state(on_mps)
