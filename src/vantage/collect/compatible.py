"""Worlds, a policy and operators -> one sentence about what does not fit, before the first episode."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from vantage.collect.observe import facts_of_world, interface_in
from vantage.collect.operators import (
    ByHand,
    Demonstrate,
    DemonstrateFrom,
    DemonstrateStock,
    OperatorSpec,
    Rescue,
    begin,
)
from vantage.config import is_own
from vantage.core.images import divides
from vantage.policies.build import PolicySpec
from vantage.policies.lerobot.spec import LeRobotPolicy, LeRobotScratch
from vantage.policies.protocol import Interface
from vantage.policies.small.flow import FlowConfig
from vantage.policies.small.gaussian import GaussianConfig
from vantage.types import VantageError
from vantage.worlds.own import check_own_world
from vantage.worlds.spec import MetaWorldSpec, WorldSpec


def check_compatible(
    policy: PolicySpec,
    worlds: Sequence[WorldSpec],
    operators: Iterable[OperatorSpec],
    noises: Iterable[float | None] = (),
) -> None:
    """Check that a policy and operators fit the worlds that they are to act in.

    `noises`: scales of the noise that the policy is to act from; None: its own.

    Raises VantageError where the policy cannot look at a world or act in it, where it acts from no noise but
    is told a scale, where two worlds differ in what a policy must know, or where an operator does not know a
    task. Nothing is built but the operators, and
    worlds of one's own and of gymnasium's, which are tried.
    """
    if not worlds:
        raise VantageError("there is no world to play in; name at least one with --worlds")

    for world in worlds:
        check_own_world(world)
    for number, world in enumerate(worlds):
        if world in worlds[:number]:
            raise VantageError(
                f"{world.task} stands twice among the worlds, and every start of it would be counted twice; "
                "name it once"
            )
        if is_own(type(cast(object, world))) and world.task in [other.task for other in worlds[:number]]:
            raise VantageError(
                f"two worlds of the run are called {world.task!r}, whose trials could not be told apart; "
                "have their task say in what they differ"
            )
    _check_one_robot(worlds)
    if _is_noiseless(policy) and (scales := [noise for noise in noises if noise is not None]):
        raise VantageError(
            f"the policy ({_called(policy)}) does not act from noise, so its scale cannot be {scales[0]:g}; "
            "leave noise unset"
        )
    for world in worlds:
        if world.limit < 1:
            raise VantageError(
                f"an episode of {world.task} may last {world.limit} control steps; allow it one at least"
            )
        _check_policy(policy, interface_in(policy, world), world)
    for operator in operators:
        for world in worlds:
            _check_operator(operator, world)


def _is_noiseless(policy: PolicySpec) -> bool:
    """Whether a policy is known to act from no noise; of a checkpoint of LeRobot's that is not known here."""
    return isinstance(policy, GaussianConfig) or (isinstance(policy, LeRobotScratch) and policy.type == "act")


def _called(policy: PolicySpec) -> str:
    return policy.type if isinstance(policy, LeRobotScratch) else type(policy).__name__


def _check_one_robot(worlds: Sequence[WorldSpec]) -> None:
    """All worlds of a run are of one robot: their episodes stand in one data set."""
    first = worlds[0]
    for world in worlds[1:]:
        for name, ours, theirs in (
            ("robot", first.robot, world.robot),
            ("control rate", f"{first.fps} Hz", f"{world.fps} Hz"),
            ("cameras, state and actions", first.inputs, world.inputs),
        ):
            if ours != theirs:
                raise VantageError(
                    f"{first.task} and {world.task} differ in {name} ({ours}, {theirs}); "
                    "make a run of each, or build them alike"
                )


def _check_policy(policy: PolicySpec, interface: Interface, world: WorldSpec) -> None:
    """Compare what a policy wants to see and to do with what a world shows and takes."""
    facts = facts_of_world(world)
    for camera, size in interface.cameras.items():
        if camera not in facts.cameras:
            shown = ", ".join(facts.cameras) or "no camera"
            fault = f"the policy looks at camera {camera!r}, and {world.task} shows {shown}"
            raise VantageError(f"{fault}; {_other_sight(policy, world)}")
        have = facts.cameras[camera]
        if size is not None and not divides(have, size):
            fault = f"camera {camera!r} of {world.task} is {have[1]} x {have[0]} px"
            raise VantageError(
                f"{fault}, no multiple of the {size[1]} x {size[0]} that the policy looks at; "
                "change one of them"
            )

    inputs = world.inputs
    dimensions = (
        ("true state", interface.environment_dim, inputs.environment_dim, "sight.dim"),
        ("proprioception", interface.state_dim, inputs.state_dim, "state-dim"),
        ("action", interface.action_dim, inputs.action_dim, "action-dim"),
    )
    differ = [row for row in dimensions if row[1] is not None and row[1] != row[2]]
    if not differ:
        return

    (name, wanted, offered, _), *others = differ
    ours = [f"{wanted} dimensions of {name}", *(f"{wanted} of {name}" for name, wanted, _, _ in others)]
    theirs = [str(offered), *(str(offered) for _, _, offered, _ in others)]
    fault = f"the policy has {_listed(ours)}, and {world.task} has {_listed(theirs)}"
    if isinstance(policy, LeRobotPolicy | LeRobotScratch):
        raise VantageError(f"{fault}; name a policy of this robot")
    options = [f"--policy.net.{setting} {offered}" for _, _, offered, setting in differ]
    if isinstance(policy, FlowConfig) and max((-1, *policy.relative)) >= min(
        inputs.state_dim, inputs.action_dim
    ):
        options.append("--policy.relative (with no number behind it)")
    raise VantageError(f"{fault}; for a policy on the small network give {' '.join(options)}")


def _other_sight(policy: PolicySpec, world: WorldSpec) -> str:
    """What to do about a policy that looks at a camera that a world lacks."""
    if isinstance(policy, LeRobotPolicy | LeRobotScratch):
        return "name its cameras in the policy"
    inputs = world.inputs
    if inputs.cameras:
        return f"give --policy.net.sight.cameras {' '.join(inputs.cameras)}"
    return f"give --policy.net.sight TrueState --policy.net.sight.dim {inputs.environment_dim}"


def _listed(words: Sequence[str]) -> str:
    """One, two and three."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _check_operator(operator: OperatorSpec, world: WorldSpec) -> None:
    """Build the operator of one episode, which raises VantageError where it does not know the task."""
    if isinstance(operator, DemonstrateFrom):
        return  # check_demonstrations
    if isinstance(operator, ByHand):
        _check_by_hand(operator, world)
        return
    if isinstance(operator, Rescue):
        _check_commanded(operator, world)
        operator = replace(operator, permission=1.0)

    try:
        begin(operator, world.task, world.limit, np.random.default_rng(0))
    except VantageError as error:
        if isinstance(world, MetaWorldSpec) or not isinstance(
            operator, Demonstrate | DemonstrateStock | Rescue
        ):
            raise  # all tasks of MetaWorld can be operated, and an operator of one's own says what is wrong
        # Of a world of one's own there is nothing to choose among: the names of all tasks would not help.
        own = is_own(type(cast(object, world)))
        unknown = f"nobody of Vantage's can do {world.task}, a world of your own" if own else error
        raise VantageError(
            f"{unknown}; an expert of one's own demonstrates with DemonstrateWith "
            "(--demonstrations.operator DemonstrateWith --demonstrations.operator.expert FILE.py:CLASS) and "
            "rescues with RescueWith (so for --rollouts.operator), and with the operator NoOne nobody rescues"
        ) from error


def _check_commanded(operator: Rescue, world: WorldSpec) -> None:
    """The action dimensions that a rescuer commands are dimensions of the world's actions."""
    count = world.inputs.action_dim
    if strange := [number for number in operator.actions if number >= count]:
        raise VantageError(
            f"the rescuer commands action dimension {strange[0]}, and {world.task} has {count}; "
            f"name some of 0 to {count - 1} in its actions"
        )


def _check_by_hand(operator: ByHand, world: WorldSpec) -> None:
    """Build the world, to see whether a person can see it and hold its action."""
    built = world()
    try:
        operator.check_world(built)
    finally:
        built.close()
