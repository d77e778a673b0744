"""What holds the global generators of Python, numpy and torch where they were."""

import random
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from vantage import cli


def dispatch(words: Sequence[str]) -> None:
    """Run a command, which may not move the caller's global generators."""
    with global_generators_stay(ascii(words)):
        cli.dispatch(words)


@contextmanager
def global_generators_stay(what: str) -> Generator[None]:
    """Fail where `what` is done inside and one of the three has moved; an error inside passes through."""
    before = _states()
    yield
    after = _states()
    moved = [name for name, state in before.items() if state != after[name]]
    assert not moved, f"{what} moves the global generator of {' and '.join(moved)}"


def _states() -> dict[str, object]:
    kind, key, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "random": random.getstate(),
        "numpy": (kind, key.tobytes(), *rest),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }
