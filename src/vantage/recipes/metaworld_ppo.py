"""Action-chunked PPO with self behaviour cloning on MetaWorld MT10 (arXiv 2509.25718)."""

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.envs.spec import MetaWorldSpec

MT10 = (
    "reach-v3", "push-v3", "pick-place-v3", "door-open-v3", "drawer-open-v3",
    "drawer-close-v3", "button-press-topdown-v3", "peg-insert-side-v3", "window-open-v3", "window-close-v3",
)  # fmt: skip
"""The ten tasks, in MetaWorld's order."""


def metaworld_mt10_ppo_state() -> ChunkedPPORun:
    """Chunked PPO on MT10 from true state: ten demonstrations a task, then two million environment steps; ten minutes on two cores."""
    return ChunkedPPORun(worlds=tuple(MetaWorldSpec(task, limit=200) for task in MT10))
