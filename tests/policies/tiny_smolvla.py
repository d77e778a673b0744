"""A SmolVLA of LeRobot's own code, small and random, built without a hub."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

ACTION, STATE, CHUNK = 4, 6, 8


def build_backbone(folder: Path) -> str:
    """Configuration, tokenizer and processor of a tiny SmolVLM: a folder that `vlm_model_name` may name."""
    from transformers import (
        PreTrainedTokenizerFast,
        SmolVLMConfig,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    special = ["<pad>", "<bos>", "<eos>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    raw = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    raw.add_special_tokens(special)
    names = {
        "image_token": special[3],
        "fake_image_token": special[4],
        "global_image_token": special[5],
        "end_of_utterance_token": special[6],
    }
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, extra_special_tokens=names, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    )
    vision = {
        "model_type": "smolvlm_vision",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 16,
    }
    text = {
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
    }
    image = tokenizer.convert_tokens_to_ids("<image>")
    SmolVLMConfig(
        vision_config=vision, text_config=text, scale_factor=2, image_token_id=image, pad_token_id=tokenizer.pad_token_id
    ).save_pretrained(folder)
    edge = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 64}}
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(**edge), tokenizer=tokenizer, video_processor=SmolVLMVideoProcessor(**edge)
    ).save_pretrained(folder)
    return str(folder)


def tiny_smolvla(folder: Path):
    """A LeRobotPolicy on a tiny random SmolVLA."""
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.factory import make_pre_post_processors
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    from vantage.policies.lerobot import LeRobotPolicy

    torch.manual_seed(0)
    config = SmolVLAConfig(
        vlm_model_name=build_backbone(folder),
        load_vlm_weights=False,
        num_vlm_layers=4,
        chunk_size=CHUNK,
        n_action_steps=4,
        max_state_dim=8,
        max_action_dim=8,
        resize_imgs_with_padding=(64, 64),
        tokenizer_max_length=24,
        num_steps=4,
        device="cpu",
        input_features={
            "observation.images.corner4": PolicyFeature(FeatureType.VISUAL, (3, 48, 48)),
            "observation.state": PolicyFeature(FeatureType.STATE, (STATE,)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (ACTION,))},
    )
    stats = {
        "observation.state": {"mean": torch.full((STATE,), 0.5), "std": torch.full((STATE,), 2.0)},
        "action": {"mean": torch.full((ACTION,), 0.1), "std": torch.full((ACTION,), 0.5)},
    }
    return LeRobotPolicy(SmolVLAPolicy(config), *make_pre_post_processors(config, dataset_stats=stats))
