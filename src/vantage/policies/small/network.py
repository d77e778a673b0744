"""What the small policies share: the backbone, the scales, the checkpoint.

NetConfig ──> backbone, head, action scales (a `Policy`) ──save──> config.json, model.safetensors
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vantage.batch import Observation
from vantage.config import dumps, from_json
from vantage.disk.files import read_json
from vantage.nets.blocks import Standardise
from vantage.nets.vla import Backbone, ChunkHead, NetConfig, Pixels, TrueState
from vantage.policies.protocol import Interface, Policy
from vantage.seeding import global_generator_kept
from vantage.types import VantageError


def interface_of(net: NetConfig) -> Interface:
    """What a small policy looks at and what it returns, read from its settings alone."""
    cameras: dict[str, tuple[int, int] | None] = {}
    environment_dim: int | None = None
    match net.sight:
        case Pixels():
            cameras = {name: (net.sight.size, net.sight.size) for name in net.sight.cameras}
        case TrueState():
            environment_dim = net.sight.dim

    return Interface(
        cameras=cameras,
        state_dim=net.state_dim,
        environment_dim=environment_dim,
        action_dim=net.action_dim,
        chunk=net.chunk,
        execute=net.execute,
    )


class SmallPolicy(Policy):
    """The part of a policy that does not depend on how chunks are made."""

    def __init__(self, config: object, net: NetConfig, seed: int, *, flow: bool) -> None:
        """Random weights, a pure function of `seed`.

        `config`: the settings that `save` writes. `flow`: whether the head also takes a noisy chunk and a
        time.
        """
        super().__init__()
        self.settings, self.net = config, net
        self.interface = interface_of(net)
        self.feature_dim = net.width

        # The caller's generator is put back afterwards: only the weights depend on the seed.
        with global_generator_kept(seed):
            self.backbone = Backbone(net)
            self.head = ChunkHead(net, flow=flow)
            self.actions = Standardise(net.action_dim)

    @property
    def units(self) -> tuple[nn.Module, ...]:
        """The residual layers of the head."""
        return tuple(self.head.blocks)

    def fit_normaliser(
        self,
        state: Float[np.ndarray, "N S"],
        actions: Float[np.ndarray, "N A"],
        environment_state: Float[np.ndarray, "N E"] | None,
        last: Int64[np.ndarray, "N"] | None = None,
    ) -> None:
        """Take the scales of inputs and actions from data: once, from demonstrations.

        They stay with the checkpoint. `last`: the row with which each frame's trajectory ends; None: all are
        one trajectory. Raises VantageError where a policy on true state is given data without
        it.
        """
        self.backbone.state.standardise.fit(torch.from_numpy(state).float())
        self.actions.fit(torch.from_numpy(actions).float())

        if isinstance(self.net.sight, TrueState):
            if environment_state is None:
                raise VantageError(
                    "a true-state policy needs the column observation.environment_state; "
                    "this data set has none"
                )
            self.backbone.truth.standardise.fit(torch.from_numpy(environment_state).float())

    @torch.no_grad()
    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s)."""
        return self.backbone(observation)

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        (folder / "config.json").write_text(dumps(self.settings))

    def read_weights(self, folder: Path) -> None:
        """Take the weights of a checkpoint with the same configuration.

        Raises VantageError for a file that is damaged or another's.
        """
        path = _weights_of(folder)
        try:
            weights = load_file(path)
            self.load_state_dict(weights)
        except SafetensorError as error:
            raise VantageError(f"{path} is damaged ({error}); {RESTORE}") from error
        except RuntimeError as error:  # names or shapes
            raise VantageError(_not_its_weights(path)) from error

        for name, tensor in weights.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise VantageError(f"{path} has NaN or infinite weights, the first in {name}; {RESTORE}")


RESTORE = "restore it, or make the checkpoint again"


def load_small[C, P: SmallPolicy](kind: type[C], make: Callable[[C], P], folder: Path) -> P:
    """The policy that `make` makes of the settings in config.json, with the weights beside them.

    Raises VantageError for settings that are none of `kind`, and for weights that are damaged or another's.
    What the settings ask for is compared with the file before anything of that size is made.
    """
    path = folder / "config.json"
    config = read_config(folder)
    try:
        settings = from_json(kind, config, where=str(path))
    except VantageError as error:
        raise VantageError(f"{error}; {RESTORE}") from error

    weights = _weights_of(folder)
    try:
        with safe_open(weights, "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise VantageError(f"{weights} is damaged ({error}); {RESTORE}") from error
    try:
        with torch.device("meta"):
            wanted = {name: tuple(tensor.shape) for name, tensor in make(settings).state_dict().items()}
    except (RuntimeError, TypeError, OverflowError) as error:  # sizes that no tensor can have
        raise VantageError(f"{path} asks for sizes that no network can have; {RESTORE}") from error
    if shapes != wanted:
        raise VantageError(_not_its_weights(weights))

    policy = make(settings)
    policy.read_weights(folder)
    return policy


def _weights_of(folder: Path) -> Path:
    """The file of weights. Raises VantageError where there is none."""
    path = folder / "model.safetensors"
    if not path.is_file():
        fault = f"{folder} holds no weights (model.safetensors is missing)"
        raise VantageError(f"{fault}; {RESTORE}")
    return path


def _not_its_weights(path: Path) -> str:
    return f"{path} does not hold the weights of the policy in config.json beside it; restore both"


def read_config(folder: Path) -> object:
    """The config.json of a checkpoint, as JSON values. Raises VantageError where there is none."""
    if not (folder / "config.json").is_file():
        hint = "name a folder that fit-policy wrote"
        if (folder / "5-actor").is_dir():
            hint = f"name {folder / '5-actor'}"
        raise VantageError(f"{folder} holds no checkpoint (config.json is missing); {hint}")
    return read_json(folder / "config.json")
