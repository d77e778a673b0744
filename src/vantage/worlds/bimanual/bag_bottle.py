"""BagBottle: a paper bag whose front leans shut. One arm holds it open, the other puts a bottle in.

The bag is five stiff paper panels on creases: a free base, a back and two sides that give a little, a front
that leans in and springs back, and a lip along the front's upper edge to hold it by. Its numbers are chosen
so that a bottle does not fit through the shut mouth and a careless push tips the bag over.
"""

# MuJoCo's names come from its compiled part, which has no types.
# pyright: reportAttributeAccessIssue=false

import numpy as np
from jaxtyping import Float64

from vantage.worlds.bimanual.world import BimanualWorld, environment_dim

WIDTH, DEPTH, HEIGHT = 0.13, 0.11, 0.105
"""Metres; of the bag, without its lip."""
FLOOR = 0.006
"""Thickness of the bag's bottom (m)."""
LIP = 0.035
"""Height of the lip (m)."""
BOTTLE_RADIUS, BOTTLE_BODY, BOTTLE_TOP = 0.03, 0.085, 0.145
"""Metres: the body's radius, where the neck begins, and the whole height."""
NECK_RADIUS = 0.012
OPEN_ANGLE = 0.06
"""Radians; where the front stands when it is fully opened: a little past upright."""
CREASES = ("front", "lip", "back", "left_side", "right_side")
MARKS = ("lip", "neck", "bottle", "bag")
"""What a hand finds its way by."""
ENVIRONMENT_DIM = environment_dim(7 + len(CREASES) + 7 + 2, len(MARKS))

_FRONT_STIFFNESS = 0.03
"""N m / rad. Held upright, the front pulls back with about 0.1 N at its edge."""
_FRONT_MASS, _LIP_MASS = 0.006, 0.003
_PAPER = "0.80 0.66 0.45 1"
_PAPER_DARK = "0.70 0.56 0.37 1"


class BagBottle(BimanualWorld):
    """Open the bag, stand the bottle in it, let go of both."""

    task: str = "bag-bottle"
    prompt: str = "open the paper bag and put the bottle in it"
    marks: tuple[str, ...] = MARKS

    def __init__(self, *, image_size: int = 96) -> None:
        """Build the scene; `image_size`: side of the pictures in pixels."""
        super().__init__(image_size=image_size)
        model = self.model
        self._bag = model.joint("bag").qposadr[0]
        self._bottle = model.joint("bottle").qposadr[0]
        self._creases = [model.joint(name).qposadr[0] for name in CREASES]
        self._lip = frozenset((model.geom("lip").id, model.geom("front").id))
        self._neck = frozenset((model.geom("neck").id,))
        self._bag_body, self._bottle_body = model.body("bag").id, model.body("bottle").id

    def _objects(self) -> str:
        half_w, half_d, half_h = WIDTH / 2, DEPTH / 2, HEIGHT / 2
        paper = 'condim="3" friction="0.6 0.005 0.0001" contype="1" conaffinity="7" solref="0.012 1"'

        def crease(name: str, axis: str, low: float, high: float, spring: str) -> str:
            return f'<joint name="{name}" axis="{axis}" range="{low} {high}" armature="2e-5" {spring}/>'

        def wall(name: str, where: str, axis: str, size: str) -> str:
            joint = crease(name, axis, -0.5, 0.5, 'stiffness="0.25" damping="0.006"')
            return (
                f'<body name="{name}" pos="{where}">{joint}<geom type="box" size="{size}" '
                f'pos="0 0 {half_h}" mass="0.01" rgba="{_PAPER_DARK}" {paper}/></body>'
            )

        lip = (
            f'<body name="lip" pos="0 0 {HEIGHT}">'
            + crease("lip", "1 0 0", -0.4, 1.2, 'stiffness="0.006" damping="0.0008"')
            + f'<geom name="lip" type="box" size="{half_w - 0.004} 0.0015 {LIP / 2}" pos="0 0 {LIP / 2}" '
            f'mass="{_LIP_MASS}" rgba="0.85 0.25 0.2 1" contype="1" conaffinity="7" condim="4" '
            'friction="1.0 0.01 0.0003" solref="0.01 1"/></body>'
        )
        front = (
            f'<body name="front" pos="0 {-half_d} {FLOOR}">'
            + crease(
                "front",
                "1 0 0",
                -0.75,
                0.4,
                f'stiffness="{_FRONT_STIFFNESS}" damping="0.006" frictionloss="0.0005"',
            )
            + f'<geom name="front" type="box" size="{half_w - 0.004} 0.0015 {half_h}" pos="0 0 {half_h}" '
            f'mass="{_FRONT_MASS}" rgba="{_PAPER}" {paper}/>{lip}</body>'
        )
        back = wall("back", f"0 {half_d} {FLOOR}", "1 0 0", f"{half_w} 0.0015 {half_h}")
        side = f"0.0015 {half_d} {half_h}"
        left = wall("left_side", f"{-half_w} 0 {FLOOR}", "0 1 0", side)
        right = wall("right_side", f"{half_w} 0 {FLOOR}", "0 1 0", side)
        bag = (
            f'<body name="bag"><freejoint name="bag"/><geom type="box" '
            f'size="{half_w} {half_d} {FLOOR / 2}" pos="0 0 {FLOOR / 2}" mass="0.09" rgba="{_PAPER_DARK}" '
            f"{paper}/>{front}{back}{left}{right}</body>"
        )

        glass = 'condim="4" friction="0.8 0.01 0.0003" contype="1" conaffinity="7" solref="0.01 1"'
        body, neck = BOTTLE_BODY / 2, (BOTTLE_TOP - BOTTLE_BODY) / 2
        bottle = (
            '<body name="bottle"><freejoint name="bottle"/>'
            f'<geom name="bottle" type="cylinder" size="{BOTTLE_RADIUS} {body}" pos="0 0 {body}" mass="0.09" '
            f'rgba="0.15 0.55 0.35 1" {glass}/>'
            f'<geom name="neck" type="cylinder" size="{NECK_RADIUS} {neck}" pos="0 0 {BOTTLE_BODY + neck}" '
            f'mass="0.015" rgba="0.9 0.92 0.95 1" {glass}/></body>'
        )
        return bag + bottle

    def _contact(self) -> str:
        parts = ("front", "lip", "back", "left_side", "right_side")
        pairs = [(one, other) for i, one in enumerate(parts) for other in parts[i + 1 :]] + [("bag", "lip")]
        return "".join(f'<exclude body1="{one}" body2="{other}"/>' for one, other in pairs)

    def _place(self, rng: np.random.Generator) -> None:
        qpos = self.data.qpos
        yaw = rng.uniform(-0.2, 0.2)
        bag = (rng.uniform(-0.05, 0.02), rng.uniform(0.47, 0.54), 0.0)
        qpos[self._bag : self._bag + 7] = (*bag, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))

        lean = rng.uniform(0.45, 0.55)
        at_rest = np.array([-lean, lean, 0.0, 0.0, 0.0])
        qpos[self._creases] = at_rest
        # The paper remembers how it was folded: the springs hold it, against its weight, where it leans now.
        weight = 9.81 * (_FRONT_MASS * HEIGHT / 2 + _LIP_MASS * (HEIGHT + LIP / 2))
        folded = at_rest.copy()
        folded[0] += weight * np.sin(lean) / _FRONT_STIFFNESS
        self.model.qpos_spring[self._creases] = folded

        bottle = (rng.uniform(0.15, 0.24), rng.uniform(0.42, 0.58), 0.0)
        turn = rng.uniform(-np.pi, np.pi)
        qpos[self._bottle : self._bottle + 7] = (*bottle, np.cos(turn / 2), 0.0, 0.0, np.sin(turn / 2))

    def _truth(self) -> Float64[np.ndarray, "_O"]:
        """Bag pose (3 + 4), creases (5), bottle pose (3 + 4), what is held (2): the lip by the left gripper,
        the neck by the right one."""
        qpos = self.data.qpos
        held = [self._pinches("left", self._lip), self._pinches("right", self._neck)]
        return np.concatenate(
            (
                qpos[self._bag : self._bag + 7],
                qpos[self._creases],
                qpos[self._bottle : self._bottle + 7],
                held,
            )
        )

    def _done(self) -> bool:
        """The bag upright, the bottle upright on its floor, both grippers out of the way.

        A bottle that stands in the bag holds its mouth open.
        """
        data = self.data
        bag_axes = data.xmat[self._bag_body].reshape(3, 3)
        bottle_axes = data.xmat[self._bottle_body].reshape(3, 3)
        if bag_axes[2, 2] < np.cos(np.radians(10)) or bottle_axes[2, 2] < np.cos(np.radians(15)):
            return False

        x, y, z = bag_axes.T @ (data.xpos[self._bottle_body] - data.xpos[self._bag_body])
        inside = abs(x) < WIDTH / 2 and abs(y) < DEPTH / 2 and -0.005 < z - FLOOR < 0.01
        if not inside:
            return False
        mouth = data.xpos[self._bag_body] + bag_axes @ np.array([0.0, 0.0, HEIGHT + FLOOR])
        return all(np.linalg.norm(data.xpos[gripper] - mouth) > 0.19 for gripper in self._links)
