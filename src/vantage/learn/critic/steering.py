"""A small network beside a policy that leads it to chunks which a critic finds more viable: two ways.

    NoiseSteering   phi(s) ──> the noise that the flow acts from, of which the flow makes a chunk as always
    ChunkEdits      phi(s), the policy's chunk ──> what is added to the steps of it that are executed

    recorded state ──network──> chunk ──critic that never saw the episode──> viability, uphill

Both begin at nothing: at zero-noise inference, and at the policy's own chunk. When acting, the network alone
stands beside the policy; the critic is not asked any more. Unlike the ways of `extraction.py`, these may
leave what the policy does by itself: the one as far as the flow can be led, the other as far as edits reach.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from safetensors.torch import save_file
from torch import Generator, Tensor, nn

from vantage.batch import Observation
from vantage.bounds import Count, Positive, check
from vantage.config import from_json, to_json
from vantage.data.experience import Experience
from vantage.disk.checkpoint import load_tensors
from vantage.disk.files import read_json, write_json
from vantage.learn.critic.chunks import ChunkCritic
from vantage.learn.critic.extraction import draw_chunks
from vantage.nets.blocks import Standardise, mlp
from vantage.policies.around import Around
from vantage.policies.protocol import Policy
from vantage.policies.small.flow import SmallFlow
from vantage.progress import bar
from vantage.seeding import global_generator_kept, seed_for
from vantage.threads import one_thread
from vantage.types import VantageError

CONFIG, WEIGHTS = "config.json", "steering.safetensors"
REMEDY = "restore it, or delete that folder and train it again"
DRAWN = 4
"""Chunks of the policy that edits are learned on, at every recorded state."""
WATCHED = 2048
"""Recorded states of the curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringFit:
    """How the network is trained."""

    steps: Count = 1000
    """Gradient steps."""
    batch: Count = 256
    """Recorded states of one step."""
    lr: Positive = 1e-3
    width: Count = 128
    """Of its two hidden layers."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSteering:
    """Steering in noise space, after DSRL (arXiv 2506.15799), whose actor chooses the noise of a frozen flow.

    Here the actor climbs the critic of chunks through the Euler steps, on what was recorded.
    """

    reach: Positive = 0.5
    """Largest noise of a step and dimension, in standard deviations of the noise in training."""
    fit: SteeringFit = SteeringFit()

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkEdits:
    """Edits of executed actions: a bounded residual on the policy's own chunk."""

    reach: Positive = 0.2
    """Largest edit of a step and dimension, in standard deviations of what was executed."""
    fit: SteeringFit = SteeringFit()

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)


Steering = NoiseSteering | ChunkEdits
"""Which of the two."""


class _Bounded(nn.Module):
    """reach tanh(f(x)), zero before any training."""

    reach: Tensor

    def __init__(self, inputs: int, outputs: int, width: int, reach: float) -> None:
        super().__init__()
        self.standardise = Standardise(inputs, clip=8.0)
        self.layers = mlp(inputs, width, width, outputs)
        nn.init.zeros_(self.layers[-1].weight)  # pyright: ignore[reportArgumentType]
        nn.init.zeros_(self.layers[-1].bias)  # pyright: ignore[reportArgumentType]
        self.register_buffer("reach", torch.tensor(float(reach)))

    def forward(self, x: Float[Tensor, "B D"]) -> Float[Tensor, "B O"]:
        return self.reach * torch.tanh(self.layers(self.standardise(x)))


class NoiseSteerer(_Bounded):
    """phi(s) -> the noise that a flow begins with."""

    def __init__(self, policy: SmallFlow[Any], width: int, reach: float) -> None:
        """Of the shapes of `policy`."""
        super().__init__(policy.feature_dim, policy.chunk * policy.action_dim, width, reach)

    def led(
        self, policy: SmallFlow[Any], features: Float[Tensor, "B D"], observation: Observation
    ) -> Float[Tensor, "B C A"]:
        """The flow's chunk from the noise of these features, in the world's units, with gradient."""
        noise = self(features).unflatten(1, (policy.chunk, policy.action_dim))
        return policy.in_units(policy.carried(features, noise), observation)

    @torch.no_grad()
    def chunk(self, policy: Policy, observation: Observation, generator: Generator) -> Float[Tensor, "B C A"]:
        """No noise is drawn: one state, one chunk."""
        flow = flow_of(policy)
        return self.led(flow, flow.features(observation), observation)


class ChunkEditor(_Bounded):
    """phi(s) and the executed steps of a chunk -> what is added to them."""

    scale: Tensor

    def __init__(self, policy: Policy, width: int, reach: float) -> None:
        """Of the shapes of `policy`."""
        edited = policy.execute * policy.action_dim
        super().__init__(policy.feature_dim + edited, edited, width, reach)
        self.length = policy.execute
        self.register_buffer("scale", torch.ones(policy.action_dim))

    def edited(self, features: Float[Tensor, "B D"], chunk: Float[Tensor, "B C A"]) -> Float[Tensor, "B C A"]:
        """A chunk with its executed steps edited, in the world's units, with gradient."""
        first = chunk[:, : self.length]
        edit = self(torch.cat([features, first.flatten(1)], dim=1)).unflatten(1, first.shape[1:])
        return torch.cat([first + self.scale * edit, chunk[:, self.length :]], dim=1)

    @torch.no_grad()
    def chunk(self, policy: Policy, observation: Observation, generator: Generator) -> Float[Tensor, "B C A"]:
        """The policy's own chunk, from noise of `generator`, edited."""
        return self.edited(policy.features(observation), policy.act(observation, generator))


class Steered(Around):
    """A policy that a small network leads."""

    def __init__(self, policy: Policy, steerer: NoiseSteerer | ChunkEditor) -> None:
        """`steerer`: trained on this very `policy`."""
        super().__init__(policy)
        self.steerer = steerer

    def act(self, observation: Observation, generator: Generator) -> Float[Tensor, "B C A"]:
        """The chunk that the policy is led to."""
        return self.steerer.chunk(self.policy, observation, generator)


@dataclass(frozen=True, slots=True)
class SteerBy:
    """Makes a policy be led by what stands in a folder."""

    folder: Path
    """What `save_steerer` wrote, trained on this policy."""
    made: int = 0
    """When it was made, so that another one under the same name is read again."""

    def __call__(self, policy: Policy) -> Steered:
        """The policy that is led. Raises VantageError for a folder that holds no such network."""
        return Steered(policy, load_steerer(self.folder, policy))


def flow_of(policy: Policy) -> SmallFlow[Any]:
    """The policy as a flow whose noise can be chosen. Raises VantageError where it is none."""
    if not isinstance(policy, SmallFlow):
        raise VantageError(
            f"NoiseSteering chooses the noise of a flow on the small network, and the policy is a "
            f"{type(policy).__name__}; give ChunkEdits, or leave evaluation.steering unset"
        )
    return cast(SmallFlow[Any], policy)


# ---- training


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordedStates:
    """What steering is trained on."""

    experience: Experience
    features: Float32[np.ndarray, "N D"]
    """phi(s) of every frame, of `policy`."""
    rows: Int64[np.ndarray, "M"]
    """The states, as rows of the experience."""
    policy: Policy
    """Who is led; it is not trained."""
    critic: ChunkCritic
    """On the features of this policy."""
    fold: Int64[np.ndarray, "N"]
    """Whose turn it is, of every frame (`TrainedPanel.fold`)."""


def train_steering(
    states: RecordedStates, settings: Steering, *, seed: int
) -> tuple[NoiseSteerer | ChunkEditor, list[dict[str, float]]]:
    """Climb the viability of the chunks at recorded states, on the CPU.

    Returns the network and its curve: mean viability at the same states, at most `WATCHED` of them, before
    the first step and after every fiftieth. Raises VantageError for a policy that cannot be led so, and where
    the viability is no number.
    """
    fit = settings.fit
    with one_thread(), global_generator_kept(seed_for("steering", seed)):
        problem, rows = _Problem(states, seed), states.rows
        steerer = problem.network(settings)
        steerer.standardise.fit(problem.inputs())
        adam = torch.optim.Adam(steerer.layers.parameters(), lr=fit.lr)
        rng = np.random.default_rng([seed, 23])

        watched = np.random.default_rng([seed, 29]).permutation(len(rows))[:WATCHED]
        curve: list[dict[str, float]] = []
        with bar("steering", fit.steps, "steps") as advance:
            for step in range(fit.steps):
                if step % 50 == 0:
                    curve.append({"step": step, "viability": problem.watch(steerer, watched)})
                picked = rng.integers(len(rows), size=fit.batch)
                viability = problem.viability(steerer, picked, rng).mean()
                if not viability.isfinite():
                    raise VantageError(
                        f"the viability of steered chunks is {viability.item()} at step {step}; "
                        "train the critic of chunks again"
                    )
                adam.zero_grad()
                (-viability).backward()
                adam.step()
                advance(1)
        curve.append({"step": fit.steps, "viability": problem.watch(steerer, watched)})
    return steerer.eval(), curve


class _Problem:
    """Recorded states, and what a chunk is worth there."""

    def __init__(self, states: RecordedStates, seed: int) -> None:
        experience, policy, rows = states.experience, states.policy, states.rows
        self.policy, self.critic = policy.eval().requires_grad_(False), states.critic
        self.features, self.fold = torch.from_numpy(states.features[rows]), states.fold[rows]
        self.rows, self.experience, self.seed = rows, experience, seed
        # Proprioception is all that a chunk in the world's units needs beside the features.
        self.states = experience.loader(policy.chunk, {}, history=policy.interface.history)
        self.executed = torch.from_numpy(experience.action)
        self.low, self.high = self.executed.amin(0), self.executed.amax(0)
        self.drawn: Tensor | None = None

    def network(self, settings: Steering) -> NoiseSteerer | ChunkEditor:
        """The network before any training."""
        if isinstance(settings, NoiseSteering):
            return NoiseSteerer(flow_of(self.policy), settings.fit.width, settings.reach)
        editor = ChunkEditor(self.policy, settings.fit.width, settings.reach)
        editor.scale.copy_(self.executed.std(0))
        self.drawn = self._draw()
        return editor

    def _draw(self) -> Float[Tensor, "M N C A"]:
        """Chunks of the policy at every state."""
        loader = self.experience.loader(
            self.policy.chunk, self.policy.interface.cameras, history=self.policy.interface.history
        )
        generator = torch.Generator().manual_seed(seed_for("chunks to edit", self.seed))
        parts = np.array_split(self.rows, -(-len(self.rows) // 256))
        drawn = [draw_chunks(self.policy, loader.observe(part), DRAWN, generator) for part in parts]
        return torch.cat(drawn).float()

    def inputs(self) -> Float[Tensor, "M D"]:
        """What the network reads, at every state."""
        if self.drawn is None:
            return self.features
        first = self.drawn[:, 0, : self.policy.execute].flatten(1)
        return torch.cat([self.features, first], dim=1)

    def viability(
        self, steerer: NoiseSteerer | ChunkEditor, picked: Int64[np.ndarray, "B"], rng: np.random.Generator
    ) -> Float[Tensor, "B"]:
        """p of the chunks that the policy is led to at some states, by critics that never saw the episodes.

        What goes beyond all that was ever executed is judged as if it ended there, as the world does.
        """
        features = self.features[picked]
        if isinstance(steerer, NoiseSteerer):
            observation = self.states.observe(self.rows[picked])
            chunk = steerer.led(flow_of(self.policy), features, observation)
        else:
            assert self.drawn is not None, "chunks are drawn with the network"
            chunk = steerer.edited(features, self.drawn[picked, rng.integers(DRAWN, size=len(picked))])

        first = chunk[:, : self.critic.length].clamp(self.low, self.high)
        read = torch.cat([features, first.flatten(1)], dim=1)
        return torch.sigmoid(self._z_v(read, self.fold[picked]))

    @torch.no_grad()
    def watch(self, steerer: NoiseSteerer | ChunkEditor, picked: Int64[np.ndarray, "B"]) -> float:
        """Mean viability at these states, of the same chunks every time."""
        return self.viability(steerer, picked, np.random.default_rng(0)).mean().item()

    def _z_v(self, read: Float[Tensor, "B D"], fold: Int64[np.ndarray, "B"]) -> Float[Tensor, "B"]:
        """Viability logit with gradient, the mean of the critics of each row's fold."""
        z_v = read.new_zeros(len(read))
        for number, critics in enumerate(self.critic.panel.folds):
            own = torch.from_numpy(np.flatnonzero(fold == number))
            judged = [critic.z_v(critic.standardise(read[own])) for critic in critics]
            z_v = z_v.index_put((own,), torch.stack(judged).mean(0))
        return z_v


# ---- on disk


@dataclass(frozen=True, slots=True)
class _Stored:
    """What config.json says."""

    steering: Steering


def save_steerer(folder: Path, steerer: NoiseSteerer | ChunkEditor, settings: Steering) -> None:
    """Write steering.safetensors and config.json."""
    tensors = {name: value.contiguous() for name, value in steerer.state_dict().items()}
    save_file(tensors, folder / WEIGHTS)
    write_json(folder / CONFIG, to_json(_Stored(settings)))


def load_steerer(folder: Path, policy: Policy) -> NoiseSteerer | ChunkEditor:
    """Read what `save_steerer` wrote, for the policy that it was trained on. Raises VantageError for a folder
    without it, for files that are damaged, and for another policy."""
    path = folder / CONFIG
    if not path.is_file():
        raise VantageError(f"{folder} holds nothing that steers ({CONFIG} is missing); {REMEDY}")
    try:
        settings = from_json(_Stored, read_json(path), str(path)).steering
    except VantageError as error:
        raise VantageError(f"{error}; {REMEDY}") from error

    tensors: Mapping[str, Tensor] = load_tensors(folder / WEIGHTS, REMEDY)
    with global_generator_kept():  # building it draws weights, which are replaced at once
        if isinstance(settings, NoiseSteering):
            steerer = NoiseSteerer(flow_of(policy), settings.fit.width, settings.reach)
        else:
            steerer = ChunkEditor(policy, settings.fit.width, settings.reach)
    try:
        steerer.load_state_dict(dict(tensors))
    except RuntimeError as error:  # names or shapes
        raise VantageError(
            f"{folder / WEIGHTS} steers a policy of other shapes than the one that acts; {REMEDY}"
        ) from error
    return steerer.to(policy.device).eval()
