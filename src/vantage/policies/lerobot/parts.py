"""A policy -> what trains and what is frozen, part by part, with counts: the table that is printed before a
fit."""

from collections.abc import Sequence
from dataclasses import dataclass

from vantage.policies.protocol import Policy

_PARTS = (
    ("lora_", "LoRA adapters"),
    ("vision_model.", "vision encoder"),
    ("vision_tower.", "vision encoder"),
    ("vision_encoder", "vision encoder"),
    ("model.backbone.", "vision encoder"),
    ("connector.", "vision projection"),
    ("multi_modal_projector.", "vision projection"),
    ("lm_expert.", "action expert"),
    ("gemma_expert.", "action expert"),
    ("noise_predictor.", "action expert"),
    ("model.decoder", "action expert"),
    ("text_encoder.", "language model"),
    ("text_model.", "language model"),
    ("language_model.", "language model"),
    ("lm_head.", "language model"),
    ("vae_encoder", "VAE encoder"),
    ("model.encoder.", "transformer encoder"),
)
"""Fragment of a parameter's name -> part; the first that fits counts."""
_REST = "projections"


@dataclass(frozen=True, slots=True)
class Part:
    """One row of the table: numbers of weights."""

    name: str
    trained: int
    frozen: int


def trainable(policy: Policy) -> tuple[Part, ...]:
    """How many weights of each part train and how many are frozen, largest part first. A policy of other
    makers is one part."""
    counts: dict[str, list[int]] = {}
    for name, parameter in policy.named_parameters():
        part = next((part for fragment, part in _PARTS if fragment in name), _REST)
        row = counts.setdefault(part, [0, 0])
        row[0 if parameter.requires_grad else 1] += parameter.numel()

    rows = [Part(name, trained, frozen) for name, (trained, frozen) in counts.items()]
    return tuple(sorted(rows, key=lambda row: row.trained + row.frozen, reverse=True))


def in_words(parts: Sequence[Part]) -> str:
    """One line of it: what trains, then what is frozen, in thousands of weights."""
    trained = [f"{part.name} {part.trained / 1000:,.0f} k" for part in parts if part.trained]
    frozen = [f"{part.name} {part.frozen / 1000:,.0f} k" for part in parts if part.frozen]
    return f"weights that train: {', '.join(trained) or 'none'}; frozen: {', '.join(frozen) or 'none'}"
