"""Two ViperX 300 S arms that face each other across a table, as MJCF text.

Meshes are for drawing only: what touches is a capsule or a box, and two pads a gripper. Lengths, masses and
joint ranges are gym-aloha's (assets/NOTICE); the servos are ours: gravity is compensated, as the real servos
do it, and each joint is a critically damped position servo with a limited torque.
"""

from importlib.resources import files
from types import MappingProxyType
from typing import Final

import numpy as np

SIDES: Final = ("left", "right")
JOINTS: Final = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
"""Of one arm, from the base outwards."""
LIMITS: Final = np.array(
    [
        (-1.5, 1.5),
        (-1.85005, 1.25664),
        (-1.76278, 1.6057),
        (-3.14158, 3.14158),
        (-1.8675, 2.23402),
        (-3.14158, 3.14158),
    ]
)
"""Radians. gym-aloha lets the waist turn right round; here it looks at the table."""
HOME: Final = np.array([0.0, -0.96, 1.16, 0.0, -0.3, 0.0])
"""Radians; where an episode starts."""
FINGER_SHUT, FINGER_OPEN = 0.021, 0.057
"""Metres: where one finger's slide stands when the gripper is shut and open."""
TOOL = 0.140
"""Metres from the gripper link to the point between the pads, along the way that the gripper points."""
BASE_X = 0.469
"""Metres from the middle of the table to each arm's foot."""

_SERVOS = MappingProxyType(
    {
        # joint: stiffness (N m / rad), greatest torque (N m), armature (kg m^2)
        "waist": (300.0, 40.0, 0.10),
        "shoulder": (500.0, 60.0, 0.12),
        "elbow": (300.0, 40.0, 0.08),
        "forearm_roll": (60.0, 12.0, 0.02),
        "wrist_angle": (60.0, 12.0, 0.02),
        "wrist_rotate": (30.0, 6.0, 0.01),
    }
)
_FINGER = (1500.0, 8.0)
"""Stiffness (N / m) and greatest force (N) of a finger's servo."""

_LINKS = ("base", "shoulder", "upper_arm", "upper_forearm", "lower_forearm", "wrist")
_GRIPPER = ("gripper", "gripper_prop", "gripper_bar", "finger_left", "finger_right")


def mesh_files() -> dict[str, bytes]:
    """The meshes by the name of their file, to be handed to MuJoCo."""
    folder = files("vantage.worlds.bimanual") / "assets"
    return {f"{name}.stl": (folder / f"{name}.stl").read_bytes() for name in _LINKS + _GRIPPER}


def assets() -> str:
    """The `<asset>` elements of both arms."""
    scale = "0.001 0.001 0.001"
    return "".join(f'<mesh name="{n}" file="{n}.stl" scale="{scale}"/>' for n in _LINKS + _GRIPPER)


def actuators() -> str:
    """Sixteen position servos: six joints and two fingers of the left arm, then of the right one."""
    text = ""
    for side in SIDES:
        for joint, (low, high) in zip(JOINTS, LIMITS, strict=True):
            stiffness, force, _ = _SERVOS[joint]
            text += (
                f'<position joint="{side}/{joint}" kp="{stiffness}" dampratio="1" '
                f'ctrlrange="{low} {high}" forcerange="-{force} {force}"/>'
            )
        for finger in ("left_finger", "right_finger"):
            stiffness, force = _FINGER
            text += (
                f'<position joint="{side}/{finger}" kp="{stiffness}" dampratio="1" '
                f'ctrlrange="{FINGER_SHUT} {FINGER_OPEN}" forcerange="-{force} {force}"/>'
            )
    return text


def body(side: str) -> str:
    """The `<body>` of one arm; the left one stands at -x and looks along +x."""
    foot = f'pos="-{BASE_X} 0.5 0"' if side == "left" else f'pos="{BASE_X} 0.5 0" euler="0 0 3.14159265"'
    # An arm's parts never meet each other: they meet objects (1) and the other arm.
    bits = 'contype="2" conaffinity="5"' if side == "left" else 'contype="4" conaffinity="3"'
    colour = "0.16 0.17 0.2 1" if side == "left" else "0.3 0.3 0.34 1"
    accent = "0.95 0.55 0.1 1" if side == "left" else "0.15 0.5 0.9 1"
    turned = 'quat="0.707107 0 0 0.707107"'

    def drawn(mesh: str, where: str, tint: str = colour) -> str:
        return f'<geom type="mesh" mesh="{mesh}" {where} contype="0" conaffinity="0" rgba="{tint}" mass="0"/>'

    def solid(shape: str) -> str:
        return f'<geom {shape} {bits} group="3" mass="0"/>'

    def joint(name: str, axis: str) -> str:
        low, high = LIMITS[JOINTS.index(name)]
        armature = _SERVOS[name][2]
        return f'<joint name="{side}/{name}" axis="{axis}" range="{low} {high}" armature="{armature}"/>'

    def finger(name: str, sign: int) -> str:
        pad = (
            f'<geom name="{side}/{name}_pad" type="box" size="0.0195 0.003 0.006" '
            f'pos="0.0655 {-sign * 0.0215:.4f} 0" {bits} group="3" mass="0" condim="4" '
            'friction="1.2 0.02 0.0005" solref="0.01 1"/>'
        )
        knuckle = solid(f'type="box" size="0.02 0.006 0.012" pos="0.025 {-sign * 0.013:.4f} 0"')
        axis = "0 1 0" if sign > 0 else "0 -1 0"
        return (
            f'<body name="{side}/{name}_link" pos="0.0687 0 0" gravcomp="1">'
            '<inertial pos="0.0173 0 0" mass="0.035" diaginertia="2.5e-5 1.5e-5 1.3e-5"/>'
            f'<joint name="{side}/{name}" type="slide" axis="{axis}" range="{FINGER_SHUT} {FINGER_OPEN}" '
            'armature="0.05"/>'
            + drawn(
                "finger_left" if sign > 0 else "finger_right",
                f'pos="0.005 {-sign * 0.052:.4f} 0" euler="3.14 1.57 0"',
                accent,
            )
            + pad
            + knuckle
            + "</body>"
        )

    # The right finger's slide runs along -y, so that both read 0.021 when shut and 0.057 when open.
    gripper = (
        f'<body name="{side}/gripper_link" pos="0.069744 0 0" gravcomp="1">'
        f'<camera name="{side}_wrist" pos="0.01 0 0.1" xyaxes="0 -1 0 0.54 0 0.84" fovy="75"/>'
        '<inertial pos="0.0395662 0 0.004" mass="0.251652" diaginertia="0.00069 0.00065 0.00047"/>'
        + joint("wrist_rotate", "1 0 0")
        + drawn("gripper", f'pos="-0.02 0 0" {turned}')
        + drawn("gripper_bar", f'pos="-0.020175 0 0" {turned}')
        + drawn("gripper_prop", f'pos="-0.02 0 0" {turned}')
        + solid('type="box" size="0.03 0.072 0.03" pos="0.045 0 0"')
        + finger("left_finger", 1)
        + finger("right_finger", -1)
        + "</body>"
    )
    return (
        f'<body name="{side}/base" {foot} gravcomp="1">{drawn("base", turned)}'
        f'<body name="{side}/shoulder_link" pos="0 0 0.079" gravcomp="1">'
        '<inertial pos="0.00026 0 0.0116" mass="0.798614" diaginertia="0.0012 0.0011 0.00094"/>'
        + joint("waist", "0 0 1")
        + drawn("shoulder", f'pos="0 0 -0.003" {turned}')
        + f'<body name="{side}/upper_arm_link" pos="0 0 0.04805" gravcomp="1">'
        '<inertial pos="0.0206949 0 0.226459" mass="0.792592" diaginertia="0.0091 0.0089 0.00076"/>'
        + joint("shoulder", "0 1 0")
        + drawn("upper_arm", turned)
        + solid('type="capsule" size="0.045" fromto="0.02 0 0.06 0.02 0 0.28"')
        + f'<body name="{side}/upper_forearm_link" pos="0.05955 0 0.3" gravcomp="1">'
        '<inertial pos="0.105723 0 0" mass="0.322228" diaginertia="0.00144 0.00134 0.00015"/>'
        + joint("elbow", "0 1 0")
        + drawn("upper_forearm", "")
        + solid('type="capsule" size="0.03" fromto="0.02 0 0 0.18 0 0"')
        + f'<body name="{side}/lower_forearm_link" pos="0.2 0 0" gravcomp="1">'
        '<inertial pos="0.0513 0.0068 0" mass="0.414823" diaginertia="0.00059 0.00055 0.00016"/>'
        + joint("forearm_roll", "1 0 0")
        + drawn("lower_forearm", 'quat="0 1 0 0"')
        + f'<body name="{side}/wrist_link" pos="0.1 0 0" gravcomp="1">'
        '<inertial pos="0.046743 0 0.010565" mass="0.115395" diaginertia="5.5e-5 4.6e-5 4.3e-5"/>'
        + joint("wrist_angle", "0 1 0")
        + drawn("wrist", turned)
        + solid('type="capsule" size="0.028" fromto="0 0 0 0.06 0 0"')
        + gripper
        + "</body></body></body></body></body></body>"
    )
