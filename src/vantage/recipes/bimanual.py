"""Tasks of two arms with soft objects (docs/bimanual.md)."""

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.improvement import Improvement
from vantage.algorithms.supervised import Supervision
from vantage.collect.operators import Demonstrate, Rescue
from vantage.learn.critic.fit import CriticFit
from vantage.nets.vla import NetConfig, Pixels, TrueState
from vantage.policies.small.flow import FlowConfig
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.worlds.bimanual.spec import JOINTS, BimanualSpec

DEMONSTRATIONS = {"bag-bottle": 40, "pouch-zip": 200, "sack-draw": 200}
"""Of the supervised policy: as many as leave it about where the paper's began (docs/bimanual.md)."""
PIXEL_DEMONSTRATIONS = {"bag-bottle": 100, "pouch-zip": 200, "sack-draw": 200}
"""Of a policy that looks through the cameras: a first guess, from which nothing was measured yet."""
PICTURES = 64
"""Side of the pictures that are drawn for it, in pixels."""
DEMONSTRATORS = {"sack-draw": Demonstrate(clean_share=1.0)}
"""Who demonstrates a task, where it is not the human-like operator: as it samples, the sack's policy repeats
his tremor and misjudgement, and misses (docs/log/2026-11-28-a-steady-hand.md)."""
RESCUE = Rescue(stuck_after=60, drop=1.9, late_at=0.95, extension=200)
"""An operator who may act in half of the episodes. At 25 control steps a second, 60 are 2.4 s."""


def bimanual_bag() -> HABCRun:
    """Two arms open a paper bag and put a bottle in it, from true state: two HABC rounds with rescues
    (docs/bimanual.md)."""
    return _from_true_state(BimanualSpec("bag-bottle"))


def bimanual_pouch() -> HABCRun:
    """Two arms put a marker into a soft pouch and zip it, from true state: two HABC rounds with rescues
    (docs/bimanual.md)."""
    return _from_true_state(BimanualSpec("pouch-zip", limit=500))


def bimanual_sack() -> HABCRun:
    """Two arms put three snacks into a sack and draw its string, from true state: two HABC rounds with
    rescues (docs/bimanual.md)."""
    return _from_true_state(BimanualSpec("sack-draw", limit=600))


def bimanual_bag_pixels() -> HABCRun:
    """The paper bag from three cameras: two HABC rounds with rescues (docs/bimanual.md)."""
    return _from_pixels(BimanualSpec("bag-bottle", image_size=PICTURES))


def bimanual_pouch_pixels() -> HABCRun:
    """The soft pouch from three cameras: two HABC rounds with rescues (docs/bimanual.md)."""
    return _from_pixels(BimanualSpec("pouch-zip", limit=500, image_size=PICTURES))


def bimanual_sack_pixels() -> HABCRun:
    """The drawstring sack from three cameras: two HABC rounds with rescues (docs/bimanual.md)."""
    return _from_pixels(BimanualSpec("sack-draw", limit=600, image_size=PICTURES))


def policy_of(world: BimanualSpec) -> FlowConfig:
    """A flow that sees the true state of a world, and says where its joints go from here. That of the sack,
    whose state and stages are more, is wider."""
    width, seen = (384, 256) if world.task == "sack-draw" else (256, 128)
    return _flow(world, TrueState(dim=world.environment_dim, width=seen), width)


def pixel_policy_of(world: BimanualSpec) -> FlowConfig:
    """A flow that looks through the three cameras of a world, and says where its joints go from here."""
    return _flow(world, Pixels(cameras=world.cameras, size=world.image_size), width=256)


def _flow(world: BimanualSpec, sight: TrueState | Pixels, width: int) -> FlowConfig:
    net = NetConfig(
        width=width,
        sight=sight,
        state_dim=world.state_dim,
        action_dim=world.action_dim,
        chunk=8,
        execute=8,
    )
    return FlowConfig(net=net, relative=JOINTS)


def _from_true_state(world: BimanualSpec) -> HABCRun:
    return _two_rounds(world, policy_of(world), DEMONSTRATIONS[world.task])


def _from_pixels(world: BimanualSpec) -> HABCRun:
    return _two_rounds(world, pixel_policy_of(world), PIXEL_DEMONSTRATIONS[world.task])


def _two_rounds(world: BimanualSpec, policy: FlowConfig, demonstrations: int) -> HABCRun:
    return HABCRun(
        worlds=(world,),
        policy=policy,
        supervision=Supervision(
            demonstrations=Demonstrations(
                per_world=demonstrations, operator=DEMONSTRATORS.get(world.task, Demonstrate())
            ),
            supervised=PolicyFit(steps=10_000),
        ),
        rounds=2,
        rollouts=Rollouts(per_world=100, operator=RESCUE),
        improvement=Improvement(critic=CriticFit(), fit=PolicyFit(steps=1500)),
        evaluation=Evaluation(per_world=100),
    )
