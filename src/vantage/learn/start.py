"""Where a fit begins -> a policy to train: a checkpoint, or random weights with the scales of the data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vantage.config import to_json
from vantage.data.experience import Experience
from vantage.disk.files import sha256_folder
from vantage.disk.made import noted_sha256
from vantage.policies.build import PolicySpec, build_policy
from vantage.policies.lerobot.parts import in_words, trainable
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.policies.spec import DataFacts, Scale
from vantage.progress import say


@dataclass(frozen=True, slots=True)
class FromCheckpoint:
    """Train a policy further."""

    folder: Path
    """Its checkpoint."""

    def described(self) -> str:
        """By its bytes, for the record of what a fit was begun with."""
        return noted_sha256(self.folder) or sha256_folder(self.folder)


@dataclass(frozen=True, slots=True)
class FromScratch:
    """Train a new policy: random weights, a pure function of the seed."""

    spec: PolicySpec
    seed: int

    def described(self) -> dict[str, Any]:
        """By its settings, for the record of what a fit was begun with."""
        return {"spec": to_json(self.spec), "seed": self.seed}


Start = FromCheckpoint | FromScratch
"""Where training begins."""


def begin(start: Start, experience: Experience) -> Policy:
    """The policy with which training on `experience` begins. Raises VantageError where the two do not fit.

    What had to be filled, changed or left uncompared is printed, and for a policy of several parts what
    trains.
    """
    if isinstance(start, FromCheckpoint):
        return load_policy(start.folder)

    policy = build_policy(start.spec, start.seed, facts_of(experience))
    policy.fit_normaliser(
        experience.state, experience.action, experience.environment_state, experience.segment_end
    )

    for remark in policy.remarks:
        say(remark)
    parts = trainable(policy)
    if len(parts) > 1:
        say(in_words(parts))
    return policy


def facts_of(experience: Experience) -> DataFacts:
    """What these frames offer to a policy."""
    truth, first = experience.environment_state, experience.tables[0]

    return DataFacts(
        cameras=experience.cameras,
        action=Scale.of(experience.action),
        state=Scale.of(experience.state),
        environment_state=None if truth is None else Scale.of(truth),
        action_names=first.action_names,
        state_names=first.state_names,
        fps=float(first.fps),
        prompts=len(experience.prompts),
    )
