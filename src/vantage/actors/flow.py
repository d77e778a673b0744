"""The flow-matching actor: trained by Eq. 1, acts by carrying noise to a chunk in a few Euler steps."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vantage.actors.protocol import ActorLoss, Draw
from vantage.config import dumps, from_json
from vantage.core.flow import draw_time, integrate_euler, path_point
from vantage.nets.blocks import Standardise
from vantage.nets.vla import Backbone, ChunkHead, NetConfig, Pixels, TrueState
from vantage.types import Batch, Observation, VantageError


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """A flow-matching actor on the small network."""

    net: NetConfig = NetConfig()
    euler_steps: int = 5
    """Integration steps when acting."""


class _FlowNet(nn.Module):
    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.backbone = Backbone(config)
        self.head = ChunkHead(config, flow=True)
        self.actions = Standardise(config.action_dim)


class FlowActor:
    """Implements `Actor` with the small VLA (or its true-state form)."""

    def __init__(self, config: FlowConfig, seed: int = 0) -> None:
        """Random weights, a pure function of `seed`."""
        self.config = config
        net = config.net
        self.chunk, self.execute, self.action_dim, self.feature_dim = net.chunk, net.execute, net.action_dim, net.width
        self.cameras = net.sight.cameras if isinstance(net.sight, Pixels) else ()
        self.image_size = net.sight.size if isinstance(net.sight, Pixels) else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._net = _FlowNet(net)

    @property
    def module(self) -> nn.Module:
        """Everything trainable."""
        return self._net

    def fit_normaliser(
        self,
        state: Float[np.ndarray, "N S"],
        actions: Float[np.ndarray, "N A"],
        environment_state: Float[np.ndarray, "N E"] | None,
    ) -> None:
        """Take the scales of inputs and actions from data (demonstrations, once); they stay with the checkpoint."""
        fit_scales(self._net.backbone, self._net.actions, state, actions, environment_state)

    def draw(self, batch_size: int, generator: torch.Generator) -> Draw:
        """Standard normal noise [B, H, A] and stratified times."""
        noise = torch.randn(batch_size, self.chunk, self.action_dim, generator=generator)
        return Draw(noise, draw_time(batch_size, generator))

    def loss(self, batch: Batch, noise: Tensor, time: Tensor) -> ActorLoss:
        """|v(x_t, t, s) - (a - noise)|^2 per step and dimension (Eq. 1), in standardised action units."""
        features = self._net.backbone(batch.observation)
        point, target = path_point(self._net.actions(batch.actions), noise, time)
        velocity = self._net.head(features, point, time)
        return ActorLoss((velocity - target).square(), features.detach())

    @torch.no_grad()
    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s)."""
        return self._net.backbone(observation)

    @torch.no_grad()
    def act(self, observation: Observation, generator: torch.Generator) -> Float[Tensor, "B H A"]:
        """A chunk in the world's units, from noise of `generator`."""
        features = self._net.backbone(observation)
        noise = torch.randn(len(features), self.chunk, self.action_dim, generator=generator)
        chunk = integrate_euler(lambda x, t: self._net.head(features, x, t), noise, self.config.euler_steps)
        return self._net.actions.inverse(chunk)

    def save(self, folder: Path) -> None:
        """config.json and model.safetensors."""
        save_net(folder, self._net, dumps(self.config))

    @classmethod
    def load(cls, folder: Path) -> "FlowActor":
        """Read what `save` wrote."""
        actor = cls(from_json(FlowConfig, read_config(folder)))
        load_net(folder, actor._net)
        return actor


def fit_scales(
    backbone: Backbone,
    scale: Standardise,
    state: Float[np.ndarray, "N S"],
    actions: Float[np.ndarray, "N A"],
    environment_state: Float[np.ndarray, "N E"] | None,
) -> None:
    """Set the standardisers of a small network from data."""
    backbone.state.standardise.fit(torch.from_numpy(state).float())
    scale.fit(torch.from_numpy(actions).float())
    if isinstance(backbone.config.sight, TrueState):
        if environment_state is None:
            raise VantageError("a true-state policy needs the column observation.environment_state; this data set has none")
        backbone.truth.standardise.fit(torch.from_numpy(environment_state).float())


def save_net(folder: Path, net: nn.Module, config: str) -> None:
    """Weights and configuration of a small network, as safetensors and JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(config)


def read_config(folder: Path) -> object:
    """The config.json of a checkpoint, as JSON values."""
    try:
        return json.loads((folder / "config.json").read_text())
    except FileNotFoundError as error:
        raise VantageError(f"{folder} holds no checkpoint (config.json is missing); name a folder that fit-actor wrote") from error


def load_net(folder: Path, net: nn.Module) -> None:
    """Weights into a network of the same configuration."""
    net.load_state_dict(load_file(folder / "model.safetensors"))
