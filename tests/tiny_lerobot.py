"""LeRobot's policies, small and random, built without a hub: facts of made-up data in, `Policy` and batches
out.

SmolVLA, ACT and multi_task_dit are small by their settings. pi0 and pi0.5 are not: their widths and the name
of their tokenizer are written into LeRobot's code, so `tiny_pi` puts small ones there while it is open.
Everything else that runs is LeRobot's own.
"""

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import numpy as np
import torch

from vantage.batch import Batch, Observation
from vantage.policies.lerobot import LeRobotScratch, SmallCLIP, SmallVLM
from vantage.policies.lerobot.adapter import LeRobotAdapter
from vantage.policies.lerobot.backbones import byte_tokenizer
from vantage.policies.protocol import Policy
from vantage.policies.spec import DataFacts, Scale

ACTION, STATE, CHUNK = 4, 6, 8
CAMERAS = {"front": (48, 64), "wrist": (40, 40)}
KINDS = ("smolvla", "pi0", "pi05", "act", "multi_task_dit")

VLM = SmallVLM(
    image_size=64, patch=16, vision_width=32, vision_layers=2, vision_heads=2, width=64, layers=4, heads=4
)
CLIP = SmallCLIP(image_size=40, patch=8, vision_width=32, vision_layers=1, width=32, layers=1, heads=2)
SETTINGS = {
    "smolvla": (
        "num_vlm_layers=4",
        "resize_imgs_with_padding=[64,64]",
        "num_steps=4",
        "max_state_dim=8",
        "max_action_dim=8",
    ),
    "pi0": (
        "image_resolution=[56,56]",
        "tokenizer_max_length=48",
        "num_inference_steps=3",
        "max_state_dim=8",
        "max_action_dim=8",
    ),
    "pi05": (
        "image_resolution=[56,56]",
        "tokenizer_max_length=80",
        "num_inference_steps=3",
        "max_state_dim=8",
        "max_action_dim=8",
    ),
    "act": (
        "pretrained_backbone_weights=null",
        "dim_model=32",
        "n_heads=2",
        "dim_feedforward=64",
        "n_encoder_layers=1",
        "n_vae_encoder_layers=1",
        "latent_dim=4",
    ),
    "multi_task_dit": (
        "hidden_dim=32",
        "num_layers=2",
        "num_heads=2",
        "timestep_embed_dim=16",
        "image_resize_shape=[44,44]",
        "image_crop_shape=[40,40]",
        "tokenizer_max_length=32",
        "num_integration_steps=4",
    ),
}


def cameras_of(kind: str) -> dict[str, tuple[int, int]]:
    """multi_task_dit puts all pictures into one tensor, so there they have one size."""
    return {"front": (48, 48), "wrist": (48, 48)} if kind == "multi_task_dit" else dict(CAMERAS)


def facts(kind: str = "smolvla", *, action_dim: int = ACTION, **changes: object) -> DataFacts:
    """Facts of two cameras, 6 numbers of state and 4 of action at 10 fps."""
    rng = np.random.default_rng(0)
    values: dict[str, object] = {
        "cameras": cameras_of(kind),
        "state": Scale.of(0.5 + 2.0 * rng.standard_normal((400, STATE))),
        "action": Scale.of(0.1 + 0.5 * rng.standard_normal((400, action_dim))),
        "state_names": tuple(f"joint {i}" for i in range(STATE)),
        "action_names": tuple(f"motor {i}" for i in range(action_dim)),
        "fps": 10.0,
    }
    return DataFacts(**(values | changes))  # type: ignore[arg-type]


def scratch(kind: str, *more: str) -> LeRobotScratch:
    """The spec of a tiny policy; `more` settings come last and win."""
    length = f"{'horizon' if kind == 'multi_task_dit' else 'chunk_size'}={CHUNK}"
    return LeRobotScratch(
        type=kind,  # type: ignore[arg-type]
        settings=(length, "n_action_steps=4", *SETTINGS[kind], *more),
        backbone={"smolvla": VLM, "multi_task_dit": CLIP}.get(kind),
    )


def tiny(kind: str, *more: str, seed: int = 0, data: DataFacts | None = None) -> LeRobotAdapter:
    """A tiny policy with random weights.

    LeRobot begins multi_task_dit with zeros wherever the observation comes in, so that a new one would ask
    for the same whatever it is shown; here those are random too.
    """
    policy = scratch(kind, *more).build(seed, facts(kind) if data is None else data)
    if kind == "multi_task_dit":
        awaken(policy, seed)
    return policy


@torch.no_grad()
def awaken(policy: LeRobotAdapter, seed: int = 0) -> None:
    """Fill weights that are all zero with random numbers."""
    generator = torch.Generator().manual_seed(seed)
    for weights in policy.policy.noise_predictor.parameters():
        if not weights.any():
            weights.copy_(0.3 * torch.randn(weights.shape, generator=generator))


def batch_for(policy: Policy, count: int = 4, *, padded: bool = True) -> Batch:
    """Random windows of everything that `policy` looks at; where `padded`, steps at the end are invalid."""
    generator = torch.Generator().manual_seed(0)
    window = policy.interface.window
    earlier = tuple(_observation(policy, count, generator) for _ in range(policy.interface.history - 1))
    observation = replace(_observation(policy, count, generator), earlier=earlier)
    valid = torch.full((count,), window)
    if padded:
        valid = torch.randint(1, window + 1, (count,), generator=generator)
    mask = torch.arange(window)[None, :, None] < valid[:, None, None]
    return Batch(
        observation=observation,
        actions=torch.randn(count, window, policy.action_dim, generator=generator),
        mask=mask.expand(-1, -1, policy.action_dim).clone(),
        row=np.arange(count),
    )


def _observation(policy: Policy, count: int, generator: torch.Generator) -> Observation:
    """Noise for everything that `policy` looks at, at one control step."""
    prompts = ("pick the cube", "go", "place it on the shelf", "a", "b")
    images = {}
    for camera, size in policy.interface.cameras.items():
        shape = (count, *(size or CAMERAS.get(camera, (48, 48))), 3)
        images[camera] = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return Observation(
        images=images,
        state=torch.randn(count, STATE, generator=generator),
        environment_state=None,
        prompts=tuple(prompts[i % len(prompts)] for i in range(count)),
    )


def stock_raw(policy: LeRobotAdapter, batch: Batch) -> dict[str, object]:
    """The same windows as LeRobot's own loader would hand them to a preprocessor: where the policy looks
    back, with an axis of observation steps after the first."""
    steps = (*batch.observation.earlier, batch.observation)
    seen = {}
    for name in batch.observation.images:
        pictures = torch.stack([step.images[name] for step in steps], dim=1)
        seen[f"observation.images.{name}"] = pictures.permute(0, 1, 4, 2, 3).float() / 255
    seen |= {"observation.state": torch.stack([step.state for step in steps], dim=1)}
    return {
        **(seen if len(steps) > 1 else {name: values[:, 0] for name, values in seen.items()}),
        "action": batch.actions,
        "action_is_pad": ~batch.mask.any(-1),
        "task": list(batch.observation.prompts),
    }


@contextlib.contextmanager
def tiny_pi() -> Iterator[None]:
    """While open, LeRobot builds pi0 and pi0.5 at a small width, with a tokenizer of bytes."""
    from lerobot.processor import tokenizer_processor

    tokenizer = byte_tokenizer(("<pad>", "<bos>", "<eos>"), {})
    plain = tokenizer_processor.AutoTokenizer.from_pretrained

    def from_pretrained(name: str, *words: object, **options: object) -> object:
        return tokenizer if name.startswith("google/") else plain(name, *words, **options)

    with contextlib.ExitStack() as stack:
        stack.enter_context(
            mock.patch.object(tokenizer_processor.AutoTokenizer, "from_pretrained", from_pretrained)
        )
        for kind in ("pi0", "pi05"):
            _shrink(importlib.import_module(f"lerobot.policies.{kind}.modeling_{kind}"), stack)
        yield


def _shrink(module: object, stack: contextlib.ExitStack) -> None:
    paligemma, gemma = module.PaliGemmaForConditionalGenerationWithPiGemma, module.PiGemmaForCausalLM  # type: ignore[attr-defined]

    def small_paligemma(config: object) -> object:
        vision = config.vision_config  # type: ignore[attr-defined]
        vision.hidden_size, vision.intermediate_size = 32, 64
        vision.num_hidden_layers, vision.num_attention_heads = 2, 2
        vision.projection_dim = config.text_config.hidden_size  # type: ignore[attr-defined]
        config.text_config.vocab_size = 512  # type: ignore[attr-defined]
        return paligemma(config=config)

    def small_gemma(config: object) -> object:
        config.vocab_size = 512  # type: ignore[attr-defined]
        return gemma(config=config)

    def widths(_variant: str) -> object:
        # LeRobot's attention is written for 8 heads.
        return module.GemmaConfig(width=64, depth=2, mlp_dim=128, num_heads=8, num_kv_heads=1, head_dim=16)  # type: ignore[attr-defined]

    stack.enter_context(
        mock.patch.object(module, "PaliGemmaForConditionalGenerationWithPiGemma", small_paligemma)
    )
    stack.enter_context(mock.patch.object(module, "PiGemmaForCausalLM", small_gemma))
    stack.enter_context(mock.patch.object(module, "get_gemma_config", widths))
