"""What the actors on the small network share: its backbone, its scales, its checkpoint."""

import json
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vantage.config import dumps
from vantage.nets.blocks import Standardise
from vantage.nets.vla import Backbone, ChunkHead, NetConfig, Pixels, TrueState
from vantage.types import Observation, VantageError


class SmallNet(nn.Module):
    """Backbone, head and the scale of the actions."""

    def __init__(self, config: NetConfig, *, flow: bool) -> None:
        """`flow`: the head also takes a noisy chunk and a time."""
        super().__init__()
        self.backbone = Backbone(config)
        self.head = ChunkHead(config, flow=flow)
        self.actions = Standardise(config.action_dim)


class SmallActor[N: SmallNet]:
    """The part of the `Actor` protocol that does not depend on how chunks are made."""

    def __init__(self, config: object, net: NetConfig, network: N) -> None:
        """`config`: what goes into config.json."""
        self._config, self._net = config, network
        self.chunk, self.execute, self.action_dim, self.feature_dim = net.chunk, net.execute, net.action_dim, net.width
        self.cameras = net.sight.cameras if isinstance(net.sight, Pixels) else ()
        self.image_size = net.sight.size if isinstance(net.sight, Pixels) else None

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
        backbone = self._net.backbone
        backbone.state.standardise.fit(torch.from_numpy(state).float())
        self._net.actions.fit(torch.from_numpy(actions).float())
        if isinstance(backbone.config.sight, TrueState):
            if environment_state is None:
                raise VantageError("a true-state policy needs the column observation.environment_state; this data set has none")
            backbone.truth.standardise.fit(torch.from_numpy(environment_state).float())

    @torch.no_grad()
    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s)."""
        return self._net.backbone(observation)

    def save(self, folder: Path) -> None:
        """config.json and model.safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in self._net.state_dict().items()}, folder / "model.safetensors")
        (folder / "config.json").write_text(dumps(self._config))

    def read_weights(self, folder: Path) -> None:
        """Weights of a checkpoint with the same configuration."""
        self._net.load_state_dict(load_file(folder / "model.safetensors"))


def seeded_network[N: SmallNet](build: type[N], config: NetConfig, seed: int, *, flow: bool) -> N:
    """A network whose random weights are a pure function of `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(config, flow=flow)


def read_config(folder: Path) -> object:
    """The config.json of a checkpoint, as JSON values."""
    try:
        return json.loads((folder / "config.json").read_text())
    except FileNotFoundError as error:
        raise VantageError(f"{folder} holds no checkpoint (config.json is missing); name a folder that fit-actor wrote") from error
