"""A LeRobot policy behind `Policy`: its own processors, its own checkpoint format, and what every type
shares.

    Observation, actions ──preprocessor──> tensors ──network──> normalised actions ──postprocessor──> chunk

Pictures of any size go in as the policy's own code expects them: float in [0, 1], channels first. Resizing
and padding are the policy's. Everything trainable is a parameter of LeRobot's policy (or of the peft model
around it), which is one submodule here.
"""

import copy
from abc import abstractmethod
from collections.abc import Generator as Yields
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from vantage.batch import Observation
from vantage.policies.lerobot.assets import Assets, store_assets
from vantage.policies.lerobot.checkpoint import Record, write_record
from vantage.policies.lerobot.keys import ACTION, ENVIRONMENT_STATE, STATE, camera_of, data_key
from vantage.policies.protocol import Draw, Interface, Policy
from vantage.types import VantageError


class LeRobotAdapter(Policy):
    """What every LeRobot policy shares. Subclasses compute the loss and the features."""

    def __init__(
        self,
        wrapped: nn.Module,
        before: Any,
        after: Any,
        interface: Interface,
        *,
        assets: Assets | None = None,
        remarks: Sequence[str] = (),
        noise: float = 1.0,
        stored: Mapping[str, Any] | None = None,
    ) -> None:
        """`wrapped`: a LeRobot policy, or a peft model around one. `before`, `after`: LeRobot's processor
        pipelines that belong to it.

        `assets`: files that config.json refers to and that are stored beside it. `remarks`: what the caller
        should print. `noise`: scale of the noise that acting starts from. `stored`: settings that config.json
        keeps though the policy was built with others, such as the device.
        """
        super().__init__()
        self.wrapped = wrapped
        self.interface = interface
        self.remarks = tuple(remarks)
        self._before, self._after = before, after
        self._assets, self._noise, self._stored = assets, noise, dict(stored or {})

        rename_map: Mapping[str, str] = next(
            (step.rename_map for step in before.steps if hasattr(step, "rename_map")), {}
        )
        self._raw_keys = {
            camera_of(data_key(key, rename_map)): data_key(key, rename_map)
            for key in self.policy.config.image_features
        }

    @property
    def policy(self) -> Any:
        """LeRobot's policy itself, without the peft model around it."""
        unwrap = getattr(self.wrapped, "get_base_model", None)
        return self.wrapped if unwrap is None else unwrap()

    @property
    def config(self) -> Any:
        """LeRobot's configuration."""
        return self.policy.config

    def with_noise(self, scale: float) -> Policy:
        """The same policy, on the same weights, acting from noise of another scale; 0 is zero-noise
        inference."""
        other = copy.copy(self)
        other._noise = scale
        return other

    @torch.no_grad()
    def act(self, observation: Observation, generator: torch.Generator) -> Float[Tensor, "B H A"]:
        """A chunk in the world's units, on the policy's device; the same for the same generator."""
        training = self.wrapped.training
        self.wrapped.eval()
        chunk = self._chunk(self._ready(observation), generator)
        self.wrapped.train(training)

        # LeRobot's postprocessor ends on the CPU, for a robot; the chunk goes back to where the policy lives.
        return self._after(chunk).to(self.device).float()

    def save(self, folder: Path) -> None:
        """Write a `pretrained_model` folder that stock LeRobot loads: policy (or LoRA adapter) and both
        processors."""
        folder.mkdir(parents=True, exist_ok=True)
        if self._assets is not None:
            store_assets(self._assets, folder, self.config, self._before)

        with self._config_as_stored():
            if self.wrapped is self.policy:
                self.policy.save_pretrained(folder)
            else:
                self.wrapped.save_pretrained(folder, save_embedding_layers=False)  # type: ignore[operator]
                self.config.save_pretrained(folder)
        self._before.save_pretrained(folder)
        self._after.save_pretrained(folder)

        used = tuple(
            key for key, camera in self._policy_cameras().items() if camera in self.interface.cameras
        )
        interface = self.interface
        write_record(
            folder,
            Record(
                cameras=used,
                state_names=interface.state_names,
                action_names=interface.action_names,
                fps=interface.fps,
                noise=self._noise,
            ),
        )

    @abstractmethod
    def _chunk(self, ready: dict[str, Any], generator: torch.Generator) -> Float[Tensor, "B H A"]:
        """A chunk in normalised units; the policy is in evaluation mode, without gradient."""

    @contextmanager
    def _config_as_stored(self) -> Yields[None]:
        """While open, the configuration says what the file should, not what the policy was built with."""
        built = {name: getattr(self.config, name) for name in self._stored}
        for name, value in self._stored.items():
            setattr(self.config, name, value)
        try:
            yield
        finally:
            for name, value in built.items():
                setattr(self.config, name, value)

    def _policy_cameras(self) -> dict[str, str]:
        """Camera key of the policy -> camera of the data."""
        return dict(zip(self.config.image_features, self._raw_keys, strict=True))

    def _ready(
        self, observation: Observation, actions: Float[Tensor, "B H A"] | None = None
    ) -> dict[str, Any]:
        """What LeRobot's preprocessor makes of an observation: renamed, normalised, tokenised, on the
        policy's device.

        Raises VantageError for pictures or numbers that the policy was not made for.
        """
        raw: dict[str, Any] = {"task": list(observation.prompts)}
        steps = [self._raw(step) for step in self._steps(observation)]
        if len(steps) == 1:
            raw |= steps[0]
        else:  # with an axis of observation steps, as LeRobotDataset has it
            raw |= {key: torch.stack([step[key] for step in steps], dim=1) for key in steps[0]}
        if actions is not None:
            raw[ACTION] = self._numbers(actions, self.interface.action_dim, ACTION)

        for step in self._before.steps:
            if hasattr(step, "tensor_device"):
                step.tensor_device = self.device
        return dict(self._before(raw))

    def _steps(self, observation: Observation) -> tuple[Observation, ...]:
        """The observations that the policy looks at, oldest first."""
        steps = (*observation.earlier, observation)
        if len(steps) != self.interface.history:
            raise VantageError(
                f"the policy looks at {self.interface.history} observations and is given {len(steps)}; "
                "keep what was seen at the control steps before"
            )
        return steps

    def _raw(self, observation: Observation) -> dict[str, Tensor]:
        """Pictures and numbers of one observation step, under the data's keys."""
        raw: dict[str, Tensor] = {}

        for camera, size in self.interface.cameras.items():
            raw[self._raw_keys[camera]] = _as_float(self._pictures(observation, camera, size))

        if self.interface.state_dim is not None:
            raw[STATE] = self._numbers(observation.state, self.interface.state_dim, STATE)
        if self.interface.environment_dim is not None:
            truth = observation.environment_state
            if truth is None:
                raise VantageError(f"the policy needs {ENVIRONMENT_STATE}, and this observation has none")
            raw[ENVIRONMENT_STATE] = self._numbers(truth, self.interface.environment_dim, ENVIRONMENT_STATE)

        return raw

    def _pictures(
        self, observation: Observation, camera: str, size: tuple[int, int] | None
    ) -> UInt8[Tensor, "B h w 3"]:
        """One camera's pictures.

        Raises VantageError where they are missing or of a size that does not fit.
        """
        if camera not in observation.images:
            raise VantageError(
                f"the policy looks at the camera {camera}, and the observation has "
                f"{', '.join(observation.images) or 'none'}; "
                "give it, or rename it with a rename map"
            )

        pictures = observation.images[camera]
        given = (pictures.shape[1], pictures.shape[2])
        if size is not None and given != size:
            raise VantageError(
                f"the policy was made for pictures of {size[0]} x {size[1]} (height x width) from the camera "
                f"{camera} and is given {given[0]} x {given[1]}; it does not resize them by itself"
            )
        return pictures

    def _numbers(self, values: Tensor, dim: int, key: str) -> Tensor:
        if values.shape[-1] != dim:
            what = {ACTION: "action", STATE: "state"}.get(key, "true-state")
            fault = f"the policy has {dim} {what} dimensions and the data {values.shape[-1]}"
            raise VantageError(f"{fault}; record for one robot")
        return values.float()


def _as_float(pictures: UInt8[Tensor, "B h w 3"]) -> Float[Tensor, "B 3 h w"]:
    """LeRobot's form of pictures: channels first, in [0, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 255


def padding(mask: Bool[Tensor, "B H A"]) -> Bool[Tensor, "B H"]:
    """LeRobot's `action_is_pad`: steps of which no dimension is valid."""
    return ~mask.any(dim=-1)


@contextmanager
def randomness_of(draw: Draw) -> Yields[None]:
    """While open, what LeRobot's layers draw by themselves (dropout, random crops) is a pure function of
    `draw`.

    The generators of PyTorch are put back afterwards. Without a value (the meta device) nothing is drawn, and
    nothing is seeded.
    """
    device = draw.time.device
    if device.type == "meta":
        yield
        return

    seed = int(draw.time.float().contiguous().view(torch.int32)[0].item()) & 0x7FFFFFFF
    on_cpu = device.type == "cpu"
    others, kind = ([], "cuda") if on_cpu else ([device], device.type)
    with torch.random.fork_rng(devices=others, device_type=kind):
        torch.default_generator.manual_seed(seed)
        if not on_cpu:
            torch.get_device_module(device.type).manual_seed(seed)
        yield
