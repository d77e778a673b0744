"""What a user names -> a LeRobot policy: a checkpoint to go on from, or a type to start from scratch. Both
are settings, written as JSON.

    LeRobotPolicy(path="lerobot/smolvla_base", lora=Lora(r=16)) ──interface(data)──> Interface, nothing built
    LeRobotScratch(type="act", settings=("chunk_size=16",))     ──build(seed, data)──> Policy, on the CPU

`remarks` of the built policy are sentences for the caller to print: what was filled, what changed, what could
not be compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vantage.policies.lerobot import lora as adapters
from vantage.policies.lerobot import stock
from vantage.policies.lerobot.act import ACT
from vantage.policies.lerobot.adapter import LeRobotAdapter
from vantage.policies.lerobot.assets import Assets, backbone_settings, make_folder, missing_backbone
from vantage.policies.lerobot.backbones import SmallCLIP, SmallVLM, make_assets
from vantage.policies.lerobot.checkpoint import Checkpoint, open_checkpoint
from vantage.policies.lerobot.flow_vla import Pi0, Pi05, SmolVLA
from vantage.policies.lerobot.keys import ACTION, ENVIRONMENT_STATE, IMAGES, STATE
from vantage.policies.lerobot.lora import Lora
from vantage.policies.lerobot.multi_task_dit import MultiTaskDiT
from vantage.policies.lerobot.scales import Choice, of_data, settle
from vantage.policies.lerobot.signature import Signature, agree, read_signature, with_settings
from vantage.policies.protocol import Interface
from vantage.policies.spec import DataFacts
from vantage.types import VantageError

ADAPTERS: dict[str, type[LeRobotAdapter]] = {
    "smolvla": SmolVLA,
    "pi0": Pi0,
    "pi05": Pi05,
    "act": ACT,
    "multi_task_dit": MultiTaskDiT,
}
"""LeRobot's type -> the class that drives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeRobotPolicy:
    """A checkpoint to go on from."""

    path: str
    """A checkpoint folder, a run folder of lerobot-train or of Vantage, a LoRA adapter, or a hub name such as
    ``lerobot/smolvla_base``."""
    rename_map: tuple[tuple[str, str], ...] = ()
    """(key of the data, key of the policy), as in LeRobot: ``("observation.images.front",
    "observation.images.camera1")``. Empty: what the checkpoint has saved."""
    settings: tuple[str, ...] = ()
    """``name=value`` over its config.json, as after ``--policy.`` in LeRobot: ``n_action_steps=8``,
    ``train_expert_only=false``."""
    statistics: Choice = "checkpoint"
    """Whose normalisation statistics it keeps."""
    lora: Lora | None = None
    """Train low-rank adapters instead of the weights."""
    activation_checkpointing: bool = False
    """Compute activations again in the backward pass, where the policy can: less memory, more time."""

    def interface(self, data: DataFacts | None) -> Interface:
        """What the policy looks at and returns on these data, from JSON files alone. Raises VantageError
        where they do not fit."""
        checkpoint = open_checkpoint(self.path)
        return self._agree(checkpoint, data)[1]

    def build(self, seed: int, data: DataFacts | None) -> LeRobotAdapter:
        """The policy with its weights, in evaluation mode on the CPU. `seed`: of new adapters.

        Without data it is used as its checkpoint says. Raises VantageError where something is missing or does
        not fit.
        """
        checkpoint = open_checkpoint(self.path)
        signature, interface, remarks = self._agree(checkpoint, data)
        self._refuse_settings(checkpoint, signature)

        config, stored, assets = _read_config(checkpoint, self.settings, interface)
        policy = stock.build(config, seed, checkpoint.name)
        stock.load_weights(policy, checkpoint.weights, checkpoint.name)
        _checkpoint_activations(policy, self.activation_checkpointing, checkpoint.name)

        tokenizer = next(iter(backbone_settings(checkpoint.config, checkpoint.folder).values()), None)
        rename_map = dict(self.rename_map) if self.rename_map else None
        before, after = stock.load_processors(
            config, checkpoint.folder, checkpoint.name, rename_map, tokenizer
        )
        remarks += _settle_scales(before, after, config, self.statistics, data)

        adapter = ADAPTERS[signature.type](
            self._adapted(policy, checkpoint, seed),
            before,
            after,
            interface,
            assets=assets,
            remarks=remarks,
            noise=checkpoint.record.noise,
            stored=stored,
        )
        return adapter.eval()

    def _agree(
        self, checkpoint: Checkpoint, data: DataFacts | None
    ) -> tuple[Signature, Interface, tuple[str, ...]]:
        config = with_settings(checkpoint.config, self.settings, checkpoint.name)
        signature = read_signature(config, checkpoint.name)
        rename_map = dict(self.rename_map) or checkpoint.rename_map
        interface, remarks = agree(signature, checkpoint.name, rename_map, checkpoint.record, data)
        return signature, interface, remarks

    def _refuse_settings(self, checkpoint: Checkpoint, signature: Signature) -> None:
        if self.lora is not None and checkpoint.base is not None:
            raise VantageError(
                f"{checkpoint.name} is a LoRA adapter already, which goes on training; "
                "leave the LoRA settings out"
            )

    def _adapted(self, policy: Any, checkpoint: Checkpoint, seed: int) -> Any:
        if checkpoint.base is not None:
            return adapters.load(policy, checkpoint.folder)
        if self.lora is not None:
            return adapters.wrap(policy, self.lora, checkpoint.name, seed)
        return policy


@dataclass(frozen=True, slots=True, kw_only=True)
class LeRobotScratch:
    """A policy type to start from scratch, with the data's cameras, dimensions and statistics, as
    lerobot-train does."""

    type: Literal["smolvla", "pi0", "pi05", "act", "multi_task_dit"]
    """LeRobot's name of the policy."""
    settings: tuple[str, ...] = ()
    """``name=value`` of its configuration, as after ``--policy.`` in LeRobot: ``chunk_size=16``."""
    backbone: SmallVLM | SmallCLIP | None = None
    """For smolvla or multi_task_dit: a small backbone made for it, instead of one from the hub."""
    cameras: tuple[str, ...] = ()
    """The cameras it looks at; empty: all that the data have."""
    true_state: bool = False
    """Read the simulator's true state instead of pictures (act only): for cheap research runs, never a
    robot."""
    activation_checkpointing: bool = False
    """Compute activations again in the backward pass, where the policy can: less memory, more time."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for a type that Vantage does not drive or that cannot see the true state, and
        for a backbone of the wrong kind."""
        if self.type not in ADAPTERS:
            raise VantageError(
                f"Vantage trains no {self.type!r} of LeRobot's; it trains {', '.join(ADAPTERS)}"
            )
        if self.true_state and self.type != "act":
            raise VantageError(f"{self.type} looks at pictures; true_state is for act alone, so leave it out")
        wanted = {"smolvla": SmallVLM, "multi_task_dit": SmallCLIP}.get(self.type)
        if self.backbone is not None and type(self.backbone) is not wanted:
            fitting = "no backbone of this kind" if wanted is None else wanted.__name__
            raise VantageError(
                f"{self.type} takes {fitting}, not {type(self.backbone).__name__}; "
                "change or leave out the backbone"
            )

    def interface(self, data: DataFacts) -> Interface:
        """What the policy looks at and returns on these data. Raises VantageError for settings that LeRobot
        or Vantage refuses."""
        config = self._config(data, ())
        return self._interface(config, data)

    def build(self, seed: int, data: DataFacts) -> LeRobotAdapter:
        """The policy with random weights, a pure function of the settings, the data's shape and `seed`; in
        evaluation mode on the CPU."""
        assets = None if self.backbone is None else make_assets(self.backbone, seed)
        with make_folder(assets, self.type) as paths:
            config = self._config(data, paths)
            interface = self._interface(config, data)
            typed = f" with {', '.join(self.settings)}" if self.settings else ""
            policy = stock.build(config, seed, f"a new {self.type}{typed}")
            _checkpoint_activations(policy, self.activation_checkpointing, f"a new {self.type}")
            used = {*config.input_features, *config.output_features}
            statistics, remarks = of_data(data, config.image_features, used)
            before, after = stock.fresh_processors(config, statistics)

        if self.type == "act" and data.prompts > 1:
            remarks += (
                f"act does not read the task prompt, and the data have {data.prompts} different ones",
            )
        adapter = ADAPTERS[self.type](
            policy, before, after, interface, assets=assets, remarks=remarks, stored={"device": None}
        )
        return adapter.eval()

    def _config(self, data: DataFacts, paths: Sequence[str]) -> Any:
        chosen = {setting.partition("=")[0] for setting in self.settings}
        fixed = ["objective=flow_matching"] if self.type == "multi_task_dit" else []
        defaults = [setting for setting in fixed if setting.partition("=")[0] not in chosen]
        config = stock.fresh_config(self.type, ["device=cpu", *defaults, *self.settings, *paths])

        unknown = [camera for camera in self.cameras if camera not in data.cameras]
        if unknown:
            raise VantageError(
                f"the data have no camera {unknown[0]}; they have {', '.join(sorted(data.cameras)) or 'none'}"
            )
        used = () if self.true_state else self.cameras or tuple(data.cameras)
        config.input_features = {
            f"{IMAGES}.{camera}": stock.feature("VISUAL", (3, *data.cameras[camera])) for camera in used
        }
        if data.state is not None:
            config.input_features[STATE] = stock.feature("STATE", (data.state.dim,))
        if data.environment_state is not None and not used and self.type == "act":
            config.input_features[ENVIRONMENT_STATE] = stock.feature("ENV", (data.environment_state.dim,))
        config.output_features = {ACTION: stock.feature("ACTION", (data.action.dim,))}
        return config

    def _interface(self, config: Any, data: DataFacts) -> Interface:
        signature = read_signature(stock.as_json(config), f"a new {self.type}")
        sizes = {
            key.removeprefix(f"{IMAGES}."): None if signature.any_size else size
            for key, size in signature.cameras.items()
        }

        return Interface(
            cameras=sizes,
            state_dim=signature.state_dim,
            environment_dim=signature.environment_dim,
            action_dim=data.action.dim,
            chunk=signature.chunk,
            execute=signature.execute,
            history=signature.history,
            state_names=data.state_names,
            action_names=data.action_names,
            fps=data.fps,
        )


def load(folder: Path) -> LeRobotAdapter:
    """A LeRobot policy as its checkpoint says, in evaluation mode on the CPU. Raises VantageError where
    something is missing."""
    return LeRobotPolicy(path=str(folder)).build(0, None)


def _read_config(
    checkpoint: Checkpoint, settings: Sequence[str], interface: Interface
) -> tuple[Any, dict[str, Any], Assets | None]:
    """LeRobot's configuration to build with, what its file should keep saying instead, and the backbone
    stored beside it."""
    stored = {
        name: checkpoint.config[name] for name in ("device", "compile_model") if name in checkpoint.config
    }
    beside = backbone_settings(checkpoint.config, checkpoint.folder)
    gone = None if beside else missing_backbone(checkpoint.config)
    if gone is not None:
        raise VantageError(
            f"{checkpoint.name} needs the backbone folder {gone}, which is not there; "
            "restore it, or name it in settings"
        )

    # A compiled forward would bypass the hooks that read the features.
    plain = ["compile_model=false"] if "compile_model" in checkpoint.config else []
    paths = [f"{name}={path}" for name, path in beside.items()]
    config = stock.read_config(checkpoint.folder, ["device=cpu", *plain, *paths, *settings], checkpoint.name)
    config.output_features = config.output_features | {
        ACTION: stock.feature("ACTION", (interface.action_dim,))
    }
    if interface.state_dim is not None:
        config.input_features = config.input_features | {
            STATE: stock.feature("STATE", (interface.state_dim,))
        }

    assets = Assets.of(Path(next(iter(beside.values())))) if beside else None
    return config, stored, assets


def _settle_scales(
    before: Any, after: Any, config: Any, choice: Choice, data: DataFacts | None
) -> tuple[str, ...]:
    """Choose the statistics, put them into both processors, and return what has to be said."""
    normaliser = next(step for step in before.steps if hasattr(step, "norm_map"))
    features: Mapping[str, Any] = config.input_features | config.output_features
    modes = {
        key: str(normaliser.norm_map.get(feature.type, "IDENTITY")).rpartition(".")[2]
        for key, feature in features.items()
    }
    known = {
        key: {name: np.asarray(value, np.float64) for name, value in values.items()}
        for key, values in normaliser.stats.items()
    }

    relative = bool(getattr(config, "use_relative_actions", False))
    settled, remarks = settle(known, modes, choice, data, relative_actions=relative)
    replaced = {key for key, values in settled.items() if not _same(values, known.get(key, {}))}
    for step in (*before.steps, *after.steps):
        if not hasattr(step, "norm_map"):
            continue
        step.features = {key: features.get(key, feature) for key, feature in step.features.items()}
        if replaced:
            step.stats = step.stats | {key: settled[key] for key in replaced}
            step.to(device=step.device)
    return remarks


def _same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def _checkpoint_activations(policy: Any, wanted: bool, name: str) -> None:
    if not wanted:
        return
    model = getattr(policy, "model", None)
    enable = getattr(model, "gradient_checkpointing_enable", None)
    if enable is None:
        raise VantageError(
            f"{name} ({policy.config.type}) cannot recompute activations; pi0 and pi05 can: "
            "leave activation_checkpointing out"
        )
    enable()
