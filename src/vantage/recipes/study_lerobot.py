"""LeRobot's policies in the small networks' place: ACT in the study from true state, a SmolVLA in the
quickstart."""

from dataclasses import replace

from vantage.core.weights import HABC, FilteredBC
from vantage.learn.optim import OptimConfig
from vantage.policies.lerobot.backbones import SmallVLM
from vantage.policies.lerobot.spec import LeRobotScratch
from vantage.recipes.quickstart import quickstart
from vantage.recipes.study import state_base, weighing_of
from vantage.stages.fit_policy import PolicyFit
from vantage.study.plan import MoreSupervised, Online, Study, StudyTask, Suite, Supervised
from vantage.worlds.spec import MetaWorldSpec

SMALL_ACT = LeRobotScratch(
    type="act",
    true_state=True,
    settings=(
        "chunk_size=16",
        "n_action_steps=8",
        "dim_model=96",
        "n_heads=4",
        "dim_feedforward=192",
        "n_encoder_layers=2",
        "n_decoder_layers=1",
        "use_vae=false",
        "dropout=0",
    ),
)
"""LeRobot's ACT at a size that two cores train in minutes, from true state."""

OPTIM = OptimConfig(lr=5e-4)
"""Learning rate of ACT here; chosen on development starts (docs/log)."""


def study_act() -> Study:
    """LeRobot's ACT in the loop, from true state: SFT, SFT with equal steps, filtered BC and HABC on three
    tasks."""
    state = state_base()
    base = replace(
        state,
        policy=SMALL_ACT,
        supervision=replace(
            state.supervision, supervised=PolicyFit(steps=4000, batch=64, optim=OPTIM, save_every=1_000_000)
        ),
        improvement=replace(
            state.improvement, fit=PolicyFit(steps=800, batch=64, optim=OPTIM, save_every=1_000_000)
        ),
    )

    return Study(
        base=base,
        tasks=(
            StudyTask(world=MetaWorldSpec("bin-picking-v3", limit=240), demonstrations=10),
            StudyTask(world=MetaWorldSpec("pick-place-v3", limit=160), demonstrations=10),
            StudyTask(world=MetaWorldSpec("peg-insert-side-v3", limit=240), demonstrations=8),
        ),
        arms=(
            Supervised(),
            MoreSupervised(name="sft-more"),
            Online(name="filtered-bc", weighing=weighing_of(FilteredBC())),
            Online(name="habc", weighing=weighing_of(HABC())),
        ),
        order=("sft", "sft-more", "filtered-bc", "habc"),
        contrasts=(("habc", "sft-more"), ("habc", "sft"), ("filtered-bc", "sft-more")),
        answers=(("habc", "sft-more"), ("filtered-bc", "sft-more"), ("habc", "filtered-bc")),
    )


TINY_SMOLVLA = LeRobotScratch(
    type="smolvla",
    backbone=SmallVLM(image_size=48, vision_width=64, vision_layers=2, width=96, layers=2),
    settings=(
        "chunk_size=16",
        "n_action_steps=8",
        "resize_imgs_with_padding=[48,48]",
        "num_vlm_layers=2",
        "load_vlm_weights=false",
        "freeze_vision_encoder=false",
        "train_expert_only=false",
        "expert_width_multiplier=0.75",
    ),
)
"""LeRobot's SmolVLA, of 0.4 M weights and with pictures of 48 pixels a side, so that two cores train it."""


def study_smolvla() -> Study:
    """LeRobot's SmolVLA in the quickstart's place, from pixels: SFT, SFT with equal steps, filtered BC and
    HABC, one round on the quickstart's three tasks."""
    first = quickstart()
    optim = OptimConfig(lr=1e-3)
    base = replace(
        first,
        worlds=(),
        policy=TINY_SMOLVLA,
        supervision=replace(first.supervision, supervised=PolicyFit(steps=2000, batch=32, optim=optim)),
        improvement=replace(first.improvement, fit=PolicyFit(steps=1000, batch=32, optim=optim)),
        control=False,
    )

    return Study(
        base=base,
        tasks=(Suite(name="quickstart", worlds=first.worlds),),
        arms=(
            Supervised(),
            MoreSupervised(name="sft-more", rounds=1),
            Online(name="filtered-bc", rounds=1, weighing=weighing_of(FilteredBC())),
            Online(name="habc", rounds=1, weighing=weighing_of(HABC())),
        ),
        order=("sft", "sft-more", "filtered-bc", "habc"),
        contrasts=(("habc", "sft-more"), ("habc", "sft"), ("filtered-bc", "sft-more")),
        answers=(("habc", "sft-more"), ("filtered-bc", "sft-more"), ("habc", "filtered-bc")),
    )
