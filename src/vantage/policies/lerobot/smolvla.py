"""SmolVLA as an actor: LeRobot's own policy, processors and checkpoint format, with an elementwise loss and features of the same pass.

    Observation, actions ── the checkpoint's preprocessor ──> SmolVLA ──> |v - u|^2 per step and dimension, and phi(s)

phi(s) is the masked mean of the vision-language prefix after its last norm: the same in training and acting, whatever noise and time.
Time runs the other way here than in `core.flow` (1 is noise), as LeRobot has it; it is drawn by `draw` and means nothing outside.
A checkpoint's own processors stay with it: fine-tuning on other data does not move its scales.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vantage.policies.protocol import Draw, Interface, Policy, PolicyLoss
from vantage.types import Batch, Observation, VantageError

_IMAGES = "observation.images."


class LeRobotPolicy(Policy):
    """A SmolVLA policy of LeRobot's."""

    def __init__(self, policy: Any, preprocess: Any, postprocess: Any) -> None:
        """`policy`: a SmolVLAPolicy; the two processors: LeRobot pipelines that belong to it."""
        if policy.config.type != "smolvla":
            raise VantageError(f"Vantage does not drive LeRobot's {policy.config.type!r} yet; use a SmolVLA checkpoint")
        super().__init__()
        self.policy, self._preprocess, self._postprocess = policy, preprocess, postprocess
        config = policy.config
        cameras = tuple(name.removeprefix(_IMAGES) for name in config.image_features)
        sides = {int(side) for feature in config.image_features.values() for side in feature.shape[1:]}
        if len(sides) > 1:
            raise VantageError(
                f"this checkpoint wants pictures of sides {sorted(sides)}; Vantage's frame store holds square ones of one size"
            )
        size = (min(sides), min(sides)) if sides else None
        self.interface = Interface(
            cameras={camera: size for camera in cameras},
            state_dim=int(config.robot_state_feature.shape[0]),
            environment_dim=None,
            action_dim=int(config.action_feature.shape[0]),
            chunk=int(config.chunk_size),
            execute=int(config.n_action_steps),
        )
        self.feature_dim = int(policy.model.vlm_with_expert.config.text_config.hidden_size)

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path) -> "LeRobotPolicy":
        """A checkpoint folder, or a name on the hub such as ``lerobot/smolvla_base``. VantageError where it cannot be had."""
        try:
            from lerobot.policies.factory import make_pre_post_processors
            from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
        except ImportError as error:
            raise VantageError("LeRobot's SmolVLA is not installed; install vantage[lerobot]") from error
        try:
            policy = SmolVLAPolicy.from_pretrained(str(path_or_id))
            device = {"device_processor": {"device": str(policy.config.device)}}
            before, after = make_pre_post_processors(policy.config, pretrained_path=str(path_or_id), preprocessor_overrides=device)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise VantageError(f"the checkpoint {path_or_id} cannot be loaded ({reason}); name a folder or a reachable hub name") from error
        return cls(policy, before, after)

    @classmethod
    def load(cls, folder: Path) -> "LeRobotPolicy":
        """Read what `save`, or LeRobot, wrote."""
        return cls.from_pretrained(folder)

    @property
    def frozen_backbone(self) -> bool:
        """Whether only the action expert trains, so that features may be cached across rounds."""
        return bool(self.policy.config.train_expert_only)

    def draw(self, batch_size: int, generator: torch.Generator) -> Draw:
        """Noise [B, H, max_action_dim], and times from SmolVLA's Beta(1.5, 1) on [0.001, 1)."""
        noise = torch.randn(batch_size, self.chunk, self.policy.config.max_action_dim, generator=generator)
        return Draw(noise, torch.rand(batch_size, generator=generator) ** (1 / 1.5) * 0.999 + 0.001)

    def forward(self, batch: Batch, draw: Draw) -> PolicyLoss:
        """Elementwise flow-matching loss over the true action dimensions, unmasked, and phi(s) of the same pass."""
        if batch.actions.shape[2] != self.action_dim:
            raise VantageError(
                f"the policy has {self.action_dim} action dimensions and the data {batch.actions.shape[2]}; record for one robot"
            )
        ready = self._ready(batch.observation, batch.actions)
        policy = self.policy
        with _PrefixTap(policy.model) as tap:
            images, masks = policy.prepare_images(ready)
            tokens, known = ready["observation.language.tokens"], ready["observation.language.attention_mask"]
            state, actions = policy.prepare_state(ready), policy.prepare_action(ready)
            elementwise = policy.model.forward(images, masks, tokens, known, state, actions, draw.noise, draw.time)
        return PolicyLoss(elementwise[:, :, : self.action_dim], tap.pooled())

    @torch.no_grad()
    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s), from the prefix alone."""
        from lerobot.policies.smolvla.modeling_smolvla import make_att_2d_masks

        ready, model = self._ready(observation), self.policy.model
        images, masks = self.policy.prepare_images(ready)
        tokens, known = ready["observation.language.tokens"], ready["observation.language.attention_mask"]
        embedded, padded, attention = model.embed_prefix(images, masks, tokens, known, state=self.policy.prepare_state(ready))
        (hidden, _), _ = model.vlm_with_expert.forward(
            attention_mask=make_att_2d_masks(padded, attention),
            position_ids=torch.cumsum(padded, dim=1) - 1,
            past_key_values=None,
            inputs_embeds=[embedded, None],
            use_cache=True,
        )
        return pool(hidden, padded)

    @torch.no_grad()
    def act(self, observation: Observation, generator: torch.Generator) -> Float[Tensor, "B H A"]:
        """A chunk in the world's units; the same for the same generator."""
        training = self.policy.training
        count = len(observation.prompts)
        noise = torch.randn(count, self.chunk, self.policy.config.max_action_dim, generator=generator)
        chunk = self.policy.predict_action_chunk(self._ready(observation), noise=noise)
        self.policy.train(training)
        return self._postprocess(chunk.flatten(0, 1)).unflatten(0, (count, self.chunk)).float()

    def save(self, folder: Path) -> None:
        """A checkpoint that stock LeRobot loads: policy and both processors."""
        folder.mkdir(parents=True, exist_ok=True)
        self.policy.save_pretrained(folder)
        self._preprocess.save_pretrained(folder)
        self._postprocess.save_pretrained(folder)

    def _ready(self, observation: Observation, actions: Tensor | None = None) -> dict[str, Any]:
        """What the preprocessor makes of an observation: normalised, tokenised, on the policy's device."""
        raw: dict[str, Any] = {_IMAGES + name: _as_float(observation.images[name]) for name in self.cameras}
        raw |= {"observation.state": observation.state, "task": list(observation.prompts)}
        if actions is not None:
            raw["action"] = actions
        ready: Mapping[str, Any] = self._preprocess(raw)
        return dict(ready)


def _as_float(pictures: Tensor) -> Tensor:
    """uint8 [B, P, P, 3] to float [B, 3, P, P] in [0, 1], LeRobot's form."""
    return pictures.permute(0, 3, 1, 2).float() / 255


def pool(hidden: Float[Tensor, "B L D"], known: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
    """Mean over the tokens that are not padding, detached."""
    weight = known.float().unsqueeze(-1)
    return ((hidden.detach().float() * weight).sum(1) / weight.sum(1).clamp_min(1)).detach()


class _PrefixTap:
    """While open, remembers the prefix's hidden states and padding of the last forward pass; leaves the model as it was."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._hidden: Tensor | None = None
        self._known: Tensor | None = None

    def __enter__(self) -> "_PrefixTap":
        model = self._model
        norm: nn.Module = model.vlm_with_expert.get_vlm_model().text_model.norm
        self._hook = norm.register_forward_hook(self._remember)
        embed = model.embed_prefix

        def embed_prefix(*words: Any, **options: Any) -> Any:
            out = embed(*words, **options)
            self._known = out[1]
            return out

        model.embed_prefix = embed_prefix
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()
        del self._model.embed_prefix

    def _remember(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self._hidden = output

    def pooled(self) -> Float[Tensor, "B D"]:
        assert self._hidden is not None and self._known is not None, "no pass went through the tap"
        return pool(self._hidden, self._known)
