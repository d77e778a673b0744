"""multi_task_dit with the flow-matching objective: elementwise loss, and the conditioning vector as features.

    Observation ──CLIP, state, prompt──> z = phi(s)        noise, time, z ──transformer──> |v - (a - noise)|^2

Time 1 is data here, as in `core.flow`. The policy looks at `n_obs_steps` observations. Its window begins with
the first of them, so it learns the actions since then too; acting leaves them out. Its random crop, where it
has one, is part of the loss and seeded by the draw; phi(s) is then taken from the centre crop in a pass of
its own, as in acting.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vantage.batch import Batch, Observation
from vantage.policies.lerobot.adapter import LeRobotAdapter, randomness_of
from vantage.policies.lerobot.draws import beta
from vantage.policies.lerobot.keys import ACTION, STATE
from vantage.policies.protocol import Draw, PolicyLoss


class MultiTaskDiT(LeRobotAdapter):
    """LeRobot's `multi_task_dit`."""

    def __init__(self, *words: Any, **options: Any) -> None:
        """As `LeRobotAdapter`."""
        super().__init__(*words, **options)
        self.feature_dim = int(self.policy.observation_encoder.conditioning_dim)

    def draw(self, batch_size: int, generator: torch.Generator) -> Draw:
        """Noise [B, H, A], and times as the policy's own training draws them."""
        return Draw(self._unit_noise(batch_size, generator), self._times(batch_size, generator))

    def forward(self, batch: Batch, draw: Draw) -> PolicyLoss:
        """The squared error of the velocity, unmasked, and phi(s)."""
        ready = self._inputs(self._ready(batch.observation, batch.actions))
        actions, kept = ready[ACTION], 1 - self.config.sigma_min
        time = draw.time[:, None, None]

        with randomness_of(draw):
            condition = self.policy.observation_encoder.encode(ready)
            point = time * actions + (1 - kept * time) * draw.noise
            velocity = self.policy.noise_predictor(point, draw.time, conditioning_vec=condition)

        error = (velocity - (actions - kept * draw.noise)).square().float()
        phi = self._centred(ready) if self._crops_randomly() else condition.detach().float()
        return PolicyLoss(error, phi)

    @torch.no_grad()
    def features(self, observation: Observation) -> Float[Tensor, "B D"]:
        """phi(s)."""
        return self._centred(self._inputs(self._ready(observation)))

    def _chunk(self, ready: dict[str, Any], generator: torch.Generator) -> Float[Tensor, "B H A"]:
        policy = self.policy
        condition = policy.observation_encoder.encode(self._inputs(ready))
        noise = self._noise * self._unit_noise(len(condition), generator)

        # LeRobot's sampler draws its noise itself; its integrators take what they are given.
        objective = policy.objective
        times = torch.linspace(0, 1, self.config.num_integration_steps + 1, device=self.device)
        by_rk4 = self.config.integration_method == "rk4"
        integrate = objective._rk4_integrate if by_rk4 else objective._euler_integrate
        window = integrate(policy.noise_predictor, noise.to(condition), times, condition)
        return window[:, self.interface.history - 1 :]

    def _inputs(self, ready: dict[str, Any]) -> dict[str, Any]:
        """What LeRobot's encoder expects: an axis of observation steps in the state, and the pictures of all
        cameras in one tensor."""
        state = ready[STATE] if self.interface.history > 1 else ready[STATE][:, None]
        return self.policy._prepare_batch(ready | {STATE: state})

    def _crops_randomly(self) -> bool:
        encoder = self.policy.observation_encoder
        return bool(encoder.training and encoder.do_crop and self.config.image_crop_is_random)

    @torch.no_grad()
    def _centred(self, ready: dict[str, Any]) -> Float[Tensor, "B D"]:
        """The conditioning vector as in acting."""
        encoder = self.policy.observation_encoder
        training = encoder.training
        encoder.eval()
        condition = encoder.encode(ready)
        encoder.train(training)
        return condition.float()

    def _unit_noise(self, count: int, generator: torch.Generator) -> Tensor:
        shape = (count, self.interface.window, self.action_dim)
        return torch.randn(shape, generator=generator, device=generator.device)

    def _times(self, count: int, generator: torch.Generator) -> Float[Tensor, "B"]:
        config = self.config
        if config.timestep_sampling_strategy == "uniform":
            return torch.rand(count, generator=generator, device=generator.device)
        drawn = beta(count, config.timestep_sampling_alpha, config.timestep_sampling_beta, generator)
        return config.timestep_sampling_s * (1 - drawn)
