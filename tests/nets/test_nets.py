"""Networks: shapes, what they look at, and what they must not."""

import torch

from vantage.batch import Observation
from vantage.nets.blocks import Standardise, time_features
from vantage.nets.critic import DualCritic
from vantage.nets.encoders import ImageEncoder, TextEncoder, hash_words
from vantage.nets.vla import Backbone, NetConfig


def observation(batch: int, *, seed: int = 0, prompts: tuple[str, ...] | None = None) -> Observation:
    g = torch.Generator().manual_seed(seed)
    return Observation(
        images={
            c: torch.randint(0, 256, (batch, 48, 48, 3), dtype=torch.uint8, generator=g)
            for c in ("corner4", "gripperPOV")
        },
        state=torch.randn(batch, 4, generator=g),
        environment_state=torch.randn(batch, 39, generator=g),
        prompts=prompts or ("push it",) * batch,
    )


def test_a_vla_never_reads_the_true_state() -> None:
    backbone = Backbone(NetConfig()).eval()
    seen = observation(3)
    told = Observation(
        images=seen.images, state=seen.state, environment_state=torch.full((3, 39), 1e6), prompts=seen.prompts
    )
    blind = Observation(images=seen.images, state=seen.state, environment_state=None, prompts=seen.prompts)
    assert torch.equal(backbone(seen), backbone(told))
    assert torch.equal(backbone(seen), backbone(blind))


def test_every_input_of_a_vla_changes_its_features() -> None:
    backbone = Backbone(NetConfig()).eval()
    seen, other = observation(3), observation(3, seed=1)
    changed = [
        Observation(
            images=seen.images | {"corner4": other.images["corner4"]},
            state=seen.state,
            environment_state=None,
            prompts=seen.prompts,
        ),
        Observation(
            images=seen.images | {"gripperPOV": other.images["gripperPOV"]},
            state=seen.state,
            environment_state=None,
            prompts=seen.prompts,
        ),
        Observation(images=seen.images, state=other.state, environment_state=None, prompts=seen.prompts),
        Observation(images=seen.images, state=seen.state, environment_state=None, prompts=("reach it",) * 3),
    ]
    assert all(not torch.allclose(backbone(seen), backbone(one)) for one in changed)


def test_equal_prompts_get_equal_vectors_in_any_company() -> None:
    text = TextEncoder(8)
    alone, together = text(("open the drawer",)), text(("close it", "open the drawer", "open the drawer"))
    torch.testing.assert_close(together[1], alone[0])
    assert torch.equal(together[1], together[2])
    assert not torch.allclose(together[0], together[1])
    assert torch.isfinite(text(("",))).all()


def test_words_are_hashed_the_same_everywhere() -> None:
    import binascii

    assert hash_words("Push, push!", 2048) == (binascii.crc32(b"push") % 2048,) * 2


def test_the_image_encoder_keeps_positions() -> None:
    encoder = ImageEncoder(48, 16).eval()
    left, right = torch.zeros(1, 48, 48, 3, dtype=torch.uint8), torch.zeros(1, 48, 48, 3, dtype=torch.uint8)
    left[:, 20:28, 4:12], right[:, 20:28, 36:44] = 255, 255
    assert not torch.allclose(encoder(left), encoder(right))


def test_standardise_by_hand() -> None:
    scale = Standardise(2, clip=2.0)
    scale.fit(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))  # mean (1, 5), std (1, 0 -> 1)
    assert torch.equal(scale(torch.tensor([[3.0, 5.5], [9.0, 5.0]])), torch.tensor([[2.0, 0.5], [2.0, 0.0]]))
    assert torch.equal(scale.inverse(torch.tensor([[2.0, 0.5]])), torch.tensor([[3.0, 5.5]]))


def test_time_features_tell_times_apart() -> None:
    f = time_features(torch.linspace(0, 1, 50), 32)
    distance = torch.cdist(f, f) + torch.eye(50)
    assert f.shape == (50, 32) and distance.min() > 0.01


def test_the_critic_stays_in_its_range() -> None:
    critic = DualCritic(6, t_max=200).eval()
    _, v_e = critic(torch.randn(500, 6) * 100)
    assert ((v_e <= 0) & (v_e >= -200)).all()
