"""Observations in, vectors out: pictures, numbers, words."""

import re
import zlib
from functools import lru_cache

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vantage.nets.blocks import Standardise, mlp


class ImageEncoder(nn.Module):
    """One camera's pictures to vectors: a patch convolution, three small ones, and the flattened map.

    The map is not pooled, so that positions are kept.
    """

    def __init__(self, size: int, out: int, channels: tuple[int, int, int, int] = (32, 32, 48, 64)) -> None:
        """`size`: side of the square pictures in pixels, a multiple of 16; `out`: width of the vector."""
        super().__init__()
        a, b, c, d = channels

        self.trunk = nn.Sequential(
            nn.Conv2d(3, a, 4, stride=4), nn.ReLU(),
            nn.Conv2d(a, b, 3, padding=1), nn.ReLU(),
            nn.Conv2d(b, c, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(c, d, 3, stride=2, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(d * (size // 16) ** 2, out), nn.LayerNorm(out))
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, images: UInt8[Tensor, "B P P 3"]) -> Float[Tensor, "B out"]:
        """Bytes as the camera gives them; scaled to [-0.5, 0.5] here."""
        x = images.permute(0, 3, 1, 2).float().div_(255).sub_(0.5)
        return self.head(self.trunk(x.contiguous(memory_format=torch.channels_last)))


@lru_cache(maxsize=4096)
def hash_words(prompt: str, buckets: int) -> tuple[int, ...]:
    """The prompt's words as bucket numbers (CRC-32, the same on every machine)."""
    return tuple(zlib.crc32(word.encode()) % buckets for word in re.findall(r"[a-z0-9]+", prompt.lower()))


class TextEncoder(nn.Module):
    """Prompts to vectors: the mean of hashed word embeddings, then a layer.

    No vocabulary to ship, no word unknown.
    """

    def __init__(self, out: int, buckets: int = 2048) -> None:
        """`out`: width of the vector; `buckets`: rows of the table."""
        super().__init__()
        self.buckets = buckets
        self.words = nn.EmbeddingBag(buckets, out, mode="mean")
        self.mix = mlp(out, out, out)

    def forward(self, prompts: tuple[str, ...]) -> Float[Tensor, "B out"]:
        """B prompts; equal ones are encoded once."""
        distinct = list(dict.fromkeys(prompts))
        words = [hash_words(prompt, self.buckets) or (0,) for prompt in distinct]

        device = self.words.weight.device
        offsets = torch.tensor([0] + [len(numbers) for numbers in words[:-1]], device=device).cumsum(0)
        flat = torch.tensor([number for numbers in words for number in numbers], device=device)
        vectors = self.mix(self.words(flat, offsets))

        row = {prompt: i for i, prompt in enumerate(distinct)}
        return vectors[torch.tensor([row[prompt] for prompt in prompts], device=device)]


class StateEncoder(nn.Module):
    """Sensor readings or true state to vectors: standardised and clipped (at 8), then two layers."""

    def __init__(self, dim: int, out: int) -> None:
        """`dim` numbers in, `out` numbers out."""
        super().__init__()
        self.standardise = Standardise(dim, clip=8.0)
        self.layers = mlp(dim, out, out)

    def forward(self, state: Float[Tensor, "B dim"]) -> Float[Tensor, "B out"]:
        """World units in."""
        return self.layers(self.standardise(state))
