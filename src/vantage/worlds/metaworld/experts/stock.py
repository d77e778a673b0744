"""MetaWorld's own scripted policies: the demonstrators that published MetaWorld numbers have learned from."""

import warnings

import numpy as np
from jaxtyping import Float32
from metaworld.policies import ENV_POLICY_MAP

from vantage.types import VantageError

# Its policies ask for more than the limits of the action.
warnings.filterwarnings("ignore", message="Constant.s. may be too high", module="metaworld")


class StockExpert:
    """The policy that MetaWorld ships for a task: fast, without noise, not always successful."""

    def __init__(self, task: str) -> None:
        """Raises VantageError for a task that MetaWorld has no policy for."""
        if task not in ENV_POLICY_MAP:
            known = ", ".join(sorted(ENV_POLICY_MAP))
            raise VantageError(f"MetaWorld has no scripted policy for {task}; it has them for {known}")
        self._policy = ENV_POLICY_MAP[task]()

    def act(self, state: Float32[np.ndarray, "39"]) -> Float32[np.ndarray, "4"]:
        """Its action, within the limits."""
        # A copy, because the policy for door-open writes into what it is given.
        action = self._policy.get_action(state.astype(np.float64))
        return np.clip(action, -1.0, 1.0).astype(np.float32)
