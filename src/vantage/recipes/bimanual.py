"""Tasks of two arms with soft objects (docs/bimanual.md)."""

from vantage.algorithms.habc import HABCRun
from vantage.algorithms.improvement import Improvement
from vantage.algorithms.supervised import Supervision
from vantage.collect.operators import Rescue
from vantage.learn.critic.fit import CriticFit
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.flow import FlowConfig
from vantage.stages.collect import Demonstrations, Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.worlds.bimanual.spec import JOINTS, BimanualSpec


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


def _from_true_state(world: BimanualSpec) -> HABCRun:
    sight = TrueState(dim=world.environment_dim)
    net = NetConfig(sight=sight, state_dim=world.state_dim, action_dim=world.action_dim, chunk=8, execute=8)
    return HABCRun(
        worlds=(world,),
        policy=FlowConfig(net=net, relative=JOINTS),
        supervision=Supervision(
            demonstrations=Demonstrations(per_world=200), supervised=PolicyFit(steps=10_000)
        ),
        rounds=2,
        rollouts=Rollouts(per_world=100, operator=Rescue(extension=200)),
        improvement=Improvement(critic=CriticFit(), fit=PolicyFit(steps=1500)),
        evaluation=Evaluation(per_world=100),
    )
