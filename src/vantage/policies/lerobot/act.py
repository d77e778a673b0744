"""ACT: the error of each action in the chunk, the VAE's divergence, and features of the encoder.

    Observation, actions ──backbone──> tokens ──encoder, decoder──> chunk ──> |a - a_hat| + kl_weight * KL
                                         └── tokens with a zero latent ──encoder──> mean over tokens = phi(s)

In training ACT encodes the window's own actions into a latent, which the encoder mixes into every token.
Features read there would tell a critic what the actions are. So phi(s) comes from the encoder with the latent
at zero, as in acting: the backbone's pass is shared.

The divergence of a window is added to each of its elements, so that weights and masks apply to it as to the
error: the mean over valid elements is then LeRobot's loss, with windows counted by their valid steps in both
terms (LeRobot counts them alike in the second; without padding there is no difference). Outside training mode
there is no latent and no divergence, as in LeRobot.
"""

from collections.abc import Generator as Yields
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vantage.batch import Batch, Observation
from vantage.policies.lerobot.adapter import LeRobotAdapter, padding, randomness_of
from vantage.policies.lerobot.keys import ACTION, IMAGES
from vantage.policies.protocol import Draw, Policy, PolicyLoss


class ACT(LeRobotAdapter):
    """LeRobot's `act`. It reads no prompt."""

    def __init__(self, *words: Any, **options: Any) -> None:
        """As `LeRobotAdapter`."""
        super().__init__(*words, **options)
        self.feature_dim = int(self.config.dim_model)

    def draw(self, batch_size: int, generator: torch.Generator) -> Draw:
        """The latent's noise [B, latent_dim], and numbers that seed dropout."""
        device = generator.device
        noise = torch.randn(batch_size, self.config.latent_dim, generator=generator, device=device)
        return Draw(noise, torch.rand(batch_size, generator=generator, device=device))

    def forward(self, batch: Batch, draw: Draw) -> PolicyLoss:
        """|a - a_hat| per step and dimension plus the window's weighted divergence, unmasked; phi(s) of the
        same backbone pass."""
        ready = self._inputs(self._ready(batch.observation, batch.actions))
        ready["action_is_pad"] = padding(batch.mask)

        model = self.policy.model
        encoder = _EncoderTap(model.encoder)
        with randomness_of(draw), encoder.open(), _latent_noise(model, draw.noise):
            predicted, (mean, log_variance) = model(ready)

        error = F.l1_loss(predicted, ready[ACTION], reduction="none").float()
        if mean is not None:
            divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=-1)
            error = error + self.config.kl_weight * divergence[:, None, None]
        return PolicyLoss(error, self._phi(encoder))

    @torch.no_grad()
    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s)."""
        training = self.wrapped.training
        self.wrapped.eval()
        encoder = _EncoderTap(self.policy.model.encoder)
        with encoder.open():
            self.policy.model(self._inputs(self._ready(observation)))
        self.wrapped.train(training)
        return encoder.output.float().mean(0)

    def with_noise(self, scale: float) -> Policy:
        """Refused: ACT acts from no noise."""
        return Policy.with_noise(self, scale)

    def _chunk(self, ready: dict[str, Any], generator: torch.Generator) -> Float[Tensor, "B H A"]:
        return self.policy.predict_action_chunk(ready)

    def _inputs(self, ready: dict[str, Any]) -> dict[str, Any]:
        """What ACT's network expects: the pictures of all cameras under one key."""
        if self.config.image_features:
            ready[IMAGES] = [ready[key] for key in self.config.image_features]
        return ready

    @torch.no_grad()
    def _phi(self, tap: "_EncoderTap") -> Float[Tensor, "B D"]:
        """phi(s) from the pass that `tap` saw: its output, or in training a second run of the encoder with
        the latent at zero."""
        if not self.wrapped.training:
            return tap.output.detach().float().mean(0)

        model = self.policy.model
        latent = torch.zeros(tap.tokens.shape[1], self.config.latent_dim, device=self.device)
        tokens = torch.cat([model.encoder_latent_input_proj(latent)[None], tap.tokens.detach()[1:]])
        model.encoder.eval()
        encoded = model.encoder(tokens, pos_embed=tap.positions)
        model.encoder.train()
        return encoded.float().mean(0)


class _EncoderTap:
    """Remembers what went into ACT's transformer encoder, and what came out: tokens [L, B, D]."""

    def __init__(self, encoder: nn.Module) -> None:
        self._encoder = encoder

    @contextmanager
    def open(self) -> Yields[None]:
        hook = self._encoder.register_forward_hook(self._remember, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()

    def _remember(
        self, _module: nn.Module, words: tuple[Tensor, ...], options: dict[str, Tensor], output: Tensor
    ) -> None:
        self.tokens, self.positions, self.output = words[0], options["pos_embed"], output


@contextmanager
def _latent_noise(model: Any, noise: Float[Tensor, "B L"]) -> Yields[None]:
    """While open, ACT's latent is its mean plus its deviation times `noise`, instead of noise that the
    network draws itself."""
    if not (model.config.use_vae and model.training):
        yield
        return

    seen: dict[str, Tensor] = {}
    size = model.config.latent_dim

    def remember(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen["parameters"] = output

    def replace(_module: nn.Module, _inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        mean, log_variance = seen["parameters"][:, :size], seen["parameters"][:, size:]
        return (mean + (log_variance / 2).exp() * noise,)

    hooks = (
        model.vae_encoder_latent_output_proj.register_forward_hook(remember),
        model.encoder_latent_input_proj.register_forward_pre_hook(replace),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
