"""SmolVLA, pi0 and pi0.5: one adapter for the flow VLAs, whose networks share an elementwise `forward`.

    Observation, actions ──preprocessor──> images, tokens, state ──model.forward──> |v - u|^2, and phi(s)

phi(s) is the mean of the vision-language prefix after its last norm over tokens that are not padding: the
same in training and acting, whatever noise and time. Padding tokens must stay out: in pi0 and pi0.5 they
attend to everything, noisy actions included. Time runs the other way than in `core.flow` (1 is noise), as
LeRobot has it; `draw` makes it, and it means nothing outside.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vantage.batch import Batch, Observation
from vantage.policies.lerobot.adapter import LeRobotAdapter
from vantage.policies.lerobot.draws import beta
from vantage.policies.lerobot.keys import ACTION, STATE
from vantage.policies.protocol import Draw, PolicyLoss

_TOKENS = "observation.language.tokens"
_TOKEN_MASK = "observation.language.attention_mask"


class FlowVLA(LeRobotAdapter, ABC):
    """A vision-language model with an action expert that is trained by flow matching."""

    def draw(self, batch_size: int, generator: torch.Generator) -> Draw:
        """Noise [B, H, max_action_dim], and times as the policy's own training draws them."""
        return Draw(self._unit_noise(batch_size, generator), self._times(batch_size, generator))

    def forward(self, batch: Batch, draw: Draw) -> PolicyLoss:
        """The squared error of the velocity over the true action dimensions, unmasked, and phi(s) of the same
        pass."""
        ready = self._ready(batch.observation, batch.actions)
        with PrefixTap(self.policy.model, self._prefix_norm()) as tap:
            losses = self._losses(ready, draw)
        return PolicyLoss(losses[:, :, : self.action_dim].float(), self._phi(tap.pooled(), ready))

    @torch.no_grad()
    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s), from a pass over the prefix alone."""
        ready = self._ready(observation)
        embedded, known, attention = self._embed_prefix(ready)
        return self._phi(pool(self._run_prefix(embedded, known, attention), known), ready)

    def _chunk(self, ready: dict[str, Any], generator: torch.Generator) -> Float[Tensor, "B H A"]:
        count = len(ready[_TOKENS])
        noise = self._noise * self._unit_noise(count, generator)
        return self.policy.predict_action_chunk(ready, noise=noise.to(self.device))

    def _unit_noise(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randn(
            count, self.chunk, self.config.max_action_dim, generator=generator, device=generator.device
        )

    def _phi(self, pooled: Float[Tensor, "B D0"], ready: dict[str, Any]) -> Float[Tensor, "B D"]:
        """phi(s) from the pooled prefix."""
        return pooled

    @abstractmethod
    def _times(self, count: int, generator: torch.Generator) -> Float[Tensor, "B"]:
        """Flow times, 1 is noise."""

    @abstractmethod
    def _losses(self, ready: dict[str, Any], draw: Draw) -> Float[Tensor, "B H W"]:
        """Elementwise loss over the W padded action dimensions."""

    @abstractmethod
    def _prefix_norm(self) -> nn.Module:
        """The last norm of the vision-language model."""

    @abstractmethod
    def _embed_prefix(self, ready: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings [B, L, D], which tokens are no padding [B, L], and LeRobot's attention marks [B, L]."""

    @abstractmethod
    def _run_prefix(self, embedded: Tensor, known: Tensor, attention: Tensor) -> Float[Tensor, "B L D"]:
        """The prefix after the last norm."""


class SmolVLA(FlowVLA):
    """LeRobot's `smolvla`: pictures padded LEFT and TOP, the state as the prefix's last token."""

    def __init__(self, *words: Any, **options: Any) -> None:
        """As `LeRobotAdapter`."""
        super().__init__(*words, **options)
        self.feature_dim = int(self.policy.model.vlm_with_expert.config.text_config.hidden_size)

    def _times(self, count: int, generator: torch.Generator) -> Float[Tensor, "B"]:
        return beta(count, 1.5, 1.0, generator) * 0.999 + 0.001

    def _losses(self, ready: dict[str, Any], draw: Draw) -> Float[Tensor, "B H W"]:
        policy = self.policy
        if policy.config.adapt_to_pi_aloha:
            # LeRobot converts joints in place, in its own forward and not in its model's.
            ready[STATE] = policy._pi_aloha_decode_state(ready[STATE].clone())
            ready[ACTION] = policy._pi_aloha_encode_actions_inv(ready[ACTION].clone())

        images, masks = policy.prepare_images(ready)
        state, actions = policy.prepare_state(ready), policy.prepare_action(ready)
        return policy.model.forward(
            images, masks, ready[_TOKENS], ready[_TOKEN_MASK], state, actions, draw.noise, draw.time
        )

    def _prefix_norm(self) -> nn.Module:
        return self.policy.model.vlm_with_expert.get_vlm_model().text_model.norm

    def _embed_prefix(self, ready: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        policy = self.policy
        ready = policy._prepare_batch(ready | {STATE: ready[STATE].clone()})
        images, masks = policy.prepare_images(ready)
        return policy.model.embed_prefix(
            images, masks, ready[_TOKENS], ready[_TOKEN_MASK], state=policy.prepare_state(ready)
        )

    def _run_prefix(self, embedded: Tensor, known: Tensor, attention: Tensor) -> Float[Tensor, "B L D"]:
        from lerobot.policies.common.vla_utils import make_att_2d_masks

        (hidden, _), _ = self.policy.model.vlm_with_expert.forward(
            attention_mask=make_att_2d_masks(known, attention),
            position_ids=torch.cumsum(known, dim=1) - 1,
            past_key_values=None,
            inputs_embeds=[embedded, None],
            use_cache=True,
        )
        return hidden


class PiBase(FlowVLA, ABC):
    """What `pi0` and `pi05` share: pictures padded in the centre, a PaliGemma prefix."""

    def __init__(self, *words: Any, **options: Any) -> None:
        """As `LeRobotAdapter`."""
        super().__init__(*words, **options)
        self.feature_dim = int(self._language_model().config.hidden_size)

    def _times(self, count: int, generator: torch.Generator) -> Float[Tensor, "B"]:
        config = self.config
        drawn = beta(count, config.time_sampling_beta_alpha, config.time_sampling_beta_beta, generator)
        return drawn * config.time_sampling_scale + config.time_sampling_offset

    def _losses(self, ready: dict[str, Any], draw: Draw) -> Float[Tensor, "B H W"]:
        policy = self.policy
        images, masks = policy._preprocess_images(ready)
        words = (images, masks, ready[_TOKENS], ready[_TOKEN_MASK], *self._state_words(ready))
        return policy.model.forward(*words, policy.prepare_action(ready), draw.noise, draw.time)

    def _state_words(self, ready: dict[str, Any]) -> tuple[Tensor, ...]:
        """What the model's forward wants between the tokens and the actions."""
        return ()

    def _language_model(self) -> Any:
        return self.policy.model.paligemma_with_expert.paligemma.model.language_model

    def _prefix_norm(self) -> nn.Module:
        return self._language_model().norm

    def _embed_prefix(self, ready: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        images, masks = self.policy._preprocess_images(ready)
        return self.policy.model.embed_prefix(images, masks, ready[_TOKENS], ready[_TOKEN_MASK])

    def _run_prefix(self, embedded: Tensor, known: Tensor, attention: Tensor) -> Float[Tensor, "B L D"]:
        from lerobot.policies.common.vla_utils import make_att_2d_masks, prepare_attention_masks_4d

        language_model = self._language_model()
        if language_model.layers[0].self_attn.q_proj.weight.dtype == torch.bfloat16:
            embedded = embedded.to(torch.bfloat16)
        # LeRobot's additive masks are only understood by the eager attention, as in its own sampling.
        language_model.config._attn_implementation = "eager"
        (hidden, _), _ = self.policy.model.paligemma_with_expert.forward(
            attention_mask=prepare_attention_masks_4d(make_att_2d_masks(known, attention)),
            position_ids=torch.cumsum(known, dim=1) - 1,
            past_key_values=None,
            inputs_embeds=[embedded, None],
            use_cache=True,
        )
        return hidden


class Pi05(PiBase):
    """LeRobot's `pi05`: proprioception is written into the prompt, so the prefix has it."""


class Pi0(PiBase):
    """LeRobot's `pi0`: proprioception goes to the action expert alone, so phi(s) carries it beside the pooled
    prefix."""

    def __init__(self, *words: Any, **options: Any) -> None:
        """As `LeRobotAdapter`."""
        super().__init__(*words, **options)
        self.feature_dim += self.interface.state_dim or 0

    def _phi(self, pooled: Float[Tensor, "B D0"], ready: dict[str, Any]) -> Float[Tensor, "B D"]:
        return torch.cat([pooled, ready[STATE].float()], dim=1)

    def _state_words(self, ready: dict[str, Any]) -> tuple[Tensor, ...]:
        return (self.policy.prepare_state(ready),)


def pool(hidden: Float[Tensor, "B L D"], known: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
    """Mean over the tokens that are not padding, detached, in float32."""
    weight = known.float().unsqueeze(-1)
    return (hidden.detach().float() * weight).sum(1) / weight.sum(1).clamp_min(1)


class PrefixTap:
    """While open, remembers the prefix's hidden states and padding of the last forward pass; leaves the model
    as it was."""

    def __init__(self, model: Any, norm: nn.Module) -> None:
        """`model`: the policy's inner model. `norm`: the last norm of its vision-language part."""
        self._model, self._norm = model, norm
        self._hidden: Tensor | None = None
        self._known: Tensor | None = None

    def __enter__(self) -> "PrefixTap":
        self._hook = self._norm.register_forward_hook(self._remember)
        embed: Callable[..., Any] = self._model.embed_prefix

        def embed_prefix(*words: Any, **options: Any) -> Any:
            out = embed(*words, **options)
            self._known = out[1]
            return out

        self._model.embed_prefix = embed_prefix
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()
        del self._model.embed_prefix

    def _remember(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        # PaliGemma's norms return (hidden, gate).
        self._hidden = output[0] if isinstance(output, tuple) else output

    def pooled(self) -> Float[Tensor, "B D"]:
        """phi(s) of the pass."""
        assert self._hidden is not None and self._known is not None, "no pass went through the tap"
        return pool(self._hidden, self._known)
