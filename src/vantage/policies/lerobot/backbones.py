"""Widths -> a small backbone for a policy that starts from scratch, with a byte-level tokenizer: no hub, no
corpus.

SmallVLM(...)  ──write──> config.json, tokenizer, processor      a folder for SmolVLA's vlm_model_name
SmallCLIP(...) ──write──> config.json, tokenizer, weights        a folder for multi_task_dit's encoder names
"""

import importlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vantage.bounds import Count, check
from vantage.policies.lerobot.assets import Assets
from vantage.policies.lerobot.stock import quietly
from vantage.types import VantageError

_SPECIAL = (
    "<pad>",
    "<bos>",
    "<eos>",
    "<image>",
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallVLM:
    """SmolVLM's architecture at a small width: a vision transformer, pixel shuffle, and a Llama."""

    image_size: Count = 96
    """Side of the square that pictures are resized to."""
    patch: Count = 8
    """Side of a patch, in pixels."""
    shuffle: Count = 2
    """Patches that are merged into one token, along each side."""
    vision_width: Count = 96
    vision_layers: Count = 4
    vision_heads: Count = 4
    width: Count = 128
    """Of the language model; it is phi's dimension too."""
    layers: Count = 4
    heads: Count = 4

    def __post_init__(self) -> None:
        """Raise `VantageError` for widths that cannot be built."""
        check(self)
        patches = _patches(self.image_size, self.patch)
        if patches % self.shuffle:
            raise VantageError(
                f"{patches} patches along a side cannot be merged by {self.shuffle}; "
                "change image_size, patch or shuffle"
            )
        _check_heads(self.vision_width, self.vision_heads)
        _check_heads(self.width, self.heads)

    def write(self, folder: Path) -> None:
        """Write the folder."""
        transformers: Any = importlib.import_module("transformers")
        names = ("image_token", "fake_image_token", "global_image_token", "end_of_utterance_token")
        tokenizer = byte_tokenizer(_SPECIAL, dict(zip(names, _SPECIAL[3:], strict=True)))

        vision = {
            "model_type": "smolvlm_vision",
            "hidden_size": self.vision_width,
            "intermediate_size": 2 * self.vision_width,
            "num_hidden_layers": self.vision_layers,
            "num_attention_heads": self.vision_heads,
            "image_size": self.image_size,
            "patch_size": self.patch,
        }
        text = {
            "model_type": "llama",
            "hidden_size": self.width,
            "intermediate_size": 2 * self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "head_dim": self.width // self.heads,
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
        }

        transformers.SmolVLMConfig(
            vision_config=vision,
            text_config=text,
            scale_factor=self.shuffle,
            image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
            pad_token_id=tokenizer.pad_token_id,
        ).save_pretrained(folder)

        edge: dict[str, Any] = {
            "size": {"longest_edge": self.image_size},
            "max_image_size": {"longest_edge": self.image_size},
        }
        processor = transformers.SmolVLMProcessor(
            image_processor=transformers.SmolVLMImageProcessor(**edge),
            tokenizer=tokenizer,
            video_processor=transformers.SmolVLMVideoProcessor(**edge),
        )
        processor.save_pretrained(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallCLIP:
    """CLIP's architecture at a small width: two transformers, for pictures and for text."""

    image_size: Count = 96
    patch: Count = 8
    vision_width: Count = 96
    vision_layers: Count = 4
    width: Count = 64
    """Of the text encoder, whose random weights multi_task_dit freezes."""
    layers: Count = 2
    heads: Count = 4
    prompt_bytes: Count = 64
    """Longest prompt."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for widths that cannot be built."""
        check(self)
        _patches(self.image_size, self.patch)
        _check_heads(self.vision_width, self.heads)
        _check_heads(self.width, self.heads)

    def write(self, folder: Path) -> None:
        """Write the folder. The weights in it are drawn from PyTorch's generator."""
        transformers: Any = importlib.import_module("transformers")
        # CLIP reads its summary of a prompt at the end mark; without one it would see the first byte alone.
        tokenizer = byte_tokenizer(_SPECIAL[:3], {}, marked=True)
        tokenizer.save_pretrained(folder)
        text = {
            "hidden_size": self.width,
            "intermediate_size": 2 * self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": self.prompt_bytes,
            "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        vision = {
            "hidden_size": self.vision_width,
            "intermediate_size": 2 * self.vision_width,
            "num_hidden_layers": self.vision_layers,
            "num_attention_heads": self.heads,
            "image_size": self.image_size,
            "patch_size": self.patch,
        }
        config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=self.width)
        transformers.CLIPModel(config).save_pretrained(folder)


def _patches(image_size: int, patch: int) -> int:
    """Patches along a side."""
    if image_size % patch:
        raise VantageError(
            f"a picture of {image_size} pixels is not made of patches of {patch}; change image_size or patch"
        )
    return image_size // patch


def _check_heads(width: int, heads: int) -> None:
    if width % heads:
        raise VantageError(f"a width of {width} cannot be shared by {heads} heads; change one of them")


def byte_tokenizer(special: tuple[str, ...], named: dict[str, str], *, marked: bool = False) -> Any:
    """A tokenizer of single bytes: every prompt has a code, and none was learned.

    `named`: role -> special token. `marked`: put <bos> before and <eos> after every prompt.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = {character: number for number, character in enumerate(alphabet)}
    raw = Tokenizer(models.BPE(vocab=numbers, merges=[]))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    raw.add_special_tokens(list(special))
    if marked:
        marks = [(mark, raw.token_to_id(mark)) for mark in ("<bos>", "<eos>")]
        raw.post_processor = processors.TemplateProcessing(single="<bos> $A <eos>", special_tokens=marks)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        extra_special_tokens=named,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
    )


def make_assets(backbone: SmallVLM | SmallCLIP, seed: int) -> Assets:
    """The files of a backbone, a pure function of its widths and `seed`."""
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]), quietly():
        torch.manual_seed(seed)
        backbone.write(Path(folder))
        return Assets.of(Path(folder))
