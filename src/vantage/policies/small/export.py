"""A small policy's checkpoint in; the same as a folder of stock LeRobot's (`vantage_small`) out, and back.

    runs/x/round-02/5-actor ──export──> config.json (type vantage_small), model.safetensors, processors
                            <─small_of── config.json

Nothing of LeRobot is imported: the plugin (plugins/lerobot_policy_vantage) runs what is written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from safetensors.torch import save_file

from vantage.disk.checkpoint import load_tensors
from vantage.disk.files import whole_folder, write_json
from vantage.nets.vla import NetConfig, Pixels, TrueState
from vantage.policies.protocol import Policy
from vantage.policies.small.flow import FlowConfig, FlowPolicy, SmallFlow
from vantage.policies.small.gaussian import GaussianConfig, GaussianPolicy
from vantage.policies.small.network import RESTORE, read_config
from vantage.types import VantageError

TYPE = "vantage_small"
PICTURES, STATE, TRUTH = "observation.images.", "observation.state", "observation.environment_state"
INSIDE = "policy."
"""What the plugin's module puts before the names of weights."""


def check_exportable(policy: Policy, checkpoint: Path) -> SmallFlow | GaussianPolicy:
    """The policy of a checkpoint, which `export` can write.

    Raises VantageError for LeRobot's own, and for a Gaussian that acts with samples.
    """
    match policy:
        case SmallFlow():
            return policy
        case GaussianPolicy() if policy.config.mean_only:
            return policy
        case GaussianPolicy():
            raise VantageError(
                f"{checkpoint} acts with samples of its Gaussian, and only the mean is exported; "
                "set mean_only to true in its config.json"
            )
        case _:
            raise VantageError(
                f"{checkpoint} is a {type(policy).__name__}, and only policies on the small network are "
                "exported; a checkpoint of LeRobot's runs as it is"
            )


def export(policy: SmallFlow | GaussianPolicy, out: Path, image_size: int = 96) -> None:
    """Write a flow, or the mean of a Gaussian, on the small network as LeRobot's `vantage_small`.

    `image_size`: side in pixels of the pictures that it will be shown; they shrink to what it looks at.
    Raises VantageError for a side that is no multiple of that.
    """
    net, sight = policy.net, policy.net.sight
    if isinstance(sight, Pixels) and (image_size < 1 or image_size % sight.size):
        raise VantageError(
            f"pictures of {image_size} px cannot be shrunk to the {sight.size} px that the policy looks at; "
            f"name a multiple of {sight.size} with --image-size"
        )
    features: dict[str, Any] = {STATE: {"type": "STATE", "shape": [net.state_dim]}}
    match sight:
        case Pixels():
            shape = [3, image_size, image_size]
            features |= {f"{PICTURES}{name}": {"type": "VISUAL", "shape": shape} for name in sight.cameras}
        case TrueState():
            features[TRUTH] = {"type": "ENV", "shape": [sight.dim]}

    config: dict[str, Any] = {
        "type": TYPE,
        "input_features": features,
        "output_features": {"action": {"type": "ACTION", "shape": [net.action_dim]}},
        "device": "cpu",
        "chunk_size": net.chunk,
        "n_action_steps": net.execute,
        "true_state": isinstance(sight, TrueState),
        "picture_size": sight.size if isinstance(sight, Pixels) else 48,
        "sight_width": sight.width,
        "width": net.width,
        "depth": net.depth,
        "text": net.text,
        "proprioception": net.proprioception,
        "gaussian": isinstance(policy, GaussianPolicy),
    }
    if isinstance(policy, SmallFlow):
        config |= {"euler_steps": policy.config.euler_steps, "noise": policy.config.noise}
    if isinstance(policy, FlowPolicy):
        config["relative"] = list(policy.config.relative)
    device = {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}}
    scaled = {name: "IDENTITY" for name in ("VISUAL", "STATE", "ENV", "ACTION")}
    outputs = cast(dict[str, Any], config["output_features"])
    normal = {"eps": 1e-8, "features": features | outputs, "norm_map": scaled}
    before = [
        {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
        {"registry_name": "to_batch_processor", "config": {}},
        device,
        {"registry_name": "normalizer_processor", "config": normal},
    ]
    after = [
        {"registry_name": "unnormalizer_processor", "config": normal | {"features": outputs}},
        device,
    ]
    known = policy.state_dict()
    names = small_policy(small_of(config)).state_dict()  # without what is trained by practice alone
    weights = {f"{INSIDE}{name}": known[name].detach().cpu().contiguous() for name in names}
    with whole_folder(out) as folder:
        write_json(folder / "config.json", config)
        save_file(weights, folder / "model.safetensors")
        write_json(folder / "policy_preprocessor.json", {"name": "policy_preprocessor", "steps": before})
        write_json(folder / "policy_postprocessor.json", {"name": "policy_postprocessor", "steps": after})


def small_policy(config: FlowConfig | GaussianConfig, seed: int = 0) -> FlowPolicy | GaussianPolicy:
    """A policy of random weights, a pure function of `seed`."""
    return GaussianPolicy(config, seed) if isinstance(config, GaussianConfig) else FlowPolicy(config, seed)


def load_exported(folder: Path) -> FlowPolicy | GaussianPolicy:
    """Read what `export`, or lerobot-train with this type, wrote. Raises VantageError where it is damaged."""
    policy = small_policy(small_of(cast(Mapping[str, Any], read_config(folder))))
    path = folder / "model.safetensors"
    if not path.is_file():
        raise VantageError(f"{folder} holds no weights (model.safetensors is missing); copy the whole folder")
    weights = {name.removeprefix(INSIDE): tensor for name, tensor in load_tensors(path, RESTORE).items()}
    try:
        policy.load_state_dict(weights)
    except RuntimeError as error:  # names or shapes
        raise VantageError(f"{path} holds the weights of another policy; {RESTORE}") from error
    return policy


def small_of(config: Mapping[str, Any]) -> FlowConfig | GaussianConfig:
    """Vantage's own settings of a `vantage_small` configuration."""
    features = cast(Mapping[str, Any], config["input_features"])
    sight: Pixels | TrueState
    if config["true_state"]:
        sight = TrueState(dim=features[TRUTH]["shape"][0], width=config["sight_width"])
    else:
        cameras = tuple(key.removeprefix(PICTURES) for key in features if key.startswith(PICTURES))
        sight = Pixels(cameras=cameras, size=config["picture_size"], width=config["sight_width"])
    net = NetConfig(
        sight=sight,
        state_dim=features[STATE]["shape"][0],
        action_dim=config["output_features"]["action"]["shape"][0],
        chunk=config["chunk_size"],
        execute=config["n_action_steps"],
        **{name: config[name] for name in ("width", "depth", "text", "proprioception")},
    )
    if config.get("gaussian"):
        return GaussianConfig(net=net)
    return FlowConfig(
        net=net,
        euler_steps=config["euler_steps"],
        noise=config["noise"],
        relative=tuple(config.get("relative", ())),
    )
