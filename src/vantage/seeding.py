"""Names and numbers in, seeds out: every random stream of a run is a pure function of what it is for.

Streams never meet: demonstrations, rollouts, training and evaluation each have a purpose of their own, and evaluation seeds do not depend
on the run's seed, so that every policy anywhere is tried on the same starts.
"""

import zlib

import numpy as np


def seed_for(purpose: str, *numbers: int) -> int:
    """A 31-bit seed for a purpose and any numbers: ``seed_for("rollout", run_seed, round, number)``."""
    entropy = [zlib.crc32(purpose.encode()), *numbers]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)
