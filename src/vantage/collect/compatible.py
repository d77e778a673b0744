"""Worlds, a policy and operators -> one sentence about what does not fit, before the first episode."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from vantage.collect.observe import facts_of_world, interface_in
from vantage.collect.operators import ByHand, Demonstrate, DemonstrateFrom, OperatorSpec, Rescue, begin
from vantage.core.images import divides
from vantage.policies.build import PolicySpec
from vantage.policies.protocol import Interface
from vantage.types import VantageError
from vantage.worlds.spec import MetaWorldSpec, WorldSpec


def check_compatible(
    policy: PolicySpec, worlds: Sequence[WorldSpec], operators: Iterable[OperatorSpec]
) -> None:
    """Check that a policy and operators fit the worlds that they are to act in.

    Raises VantageError where the policy cannot look at a world or act in it, where two worlds differ in what
    a policy must know, or where an operator does not know a task. Nothing is built but the operators.
    """
    if not worlds:
        raise VantageError("there is no world to play in; name at least one with --worlds")

    for number, world in enumerate(worlds):
        if world in worlds[:number]:
            raise VantageError(
                f"{world.task} stands twice among the worlds, and every start of it would be counted twice; "
                "name it once"
            )
    _check_one_robot(worlds)
    for world in worlds:
        if world.limit < 1:
            raise VantageError(
                f"an episode of {world.task} may last {world.limit} control steps; allow it one at least"
            )
        _check_policy(interface_in(policy, world), world)
    for operator in operators:
        for world in worlds:
            _check_operator(operator, world)


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


def _check_policy(interface: Interface, world: WorldSpec) -> None:
    """Compare what a policy wants to see and to do with what a world shows and takes."""
    facts = facts_of_world(world)
    for camera, size in interface.cameras.items():
        if camera not in facts.cameras:
            shown = ", ".join(facts.cameras) or "no camera"
            fault = f"the policy looks at camera {camera!r}, and {world.task} shows {shown}"
            raise VantageError(f"{fault}; name its cameras in the policy")
        have = facts.cameras[camera]
        if size is not None and not divides(have, size):
            fault = f"camera {camera!r} of {world.task} is {have[1]} x {have[0]} px"
            raise VantageError(
                f"{fault}, no multiple of the {size[1]} x {size[0]} that the policy looks at; "
                "change one of them"
            )

    dimensions = (
        ("proprioception", interface.state_dim, world.inputs.state_dim, "state_dim"),
        ("true state", interface.environment_dim, world.inputs.environment_dim, "sight.dim"),
        ("action", interface.action_dim, world.inputs.action_dim, "action_dim"),
    )
    for name, wanted, offered, setting in dimensions:
        if wanted is not None and wanted != offered:
            fault = f"the policy has {wanted} dimensions of {name}, and {world.task} has {offered}"
            raise VantageError(f"{fault}; for a policy on the small network set policy.net.{setting}")


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
        if isinstance(world, MetaWorldSpec) or not isinstance(operator, Demonstrate | Rescue):
            raise  # all tasks of MetaWorld can be operated, and an operator of one's own says what is wrong
        raise VantageError(
            f"{error}; an expert of one's own demonstrates with DemonstrateWith and rescues with RescueWith, "
            "and with the operator NoOne nobody rescues"
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
