"""SackDraw: three snacks into a sack, one arm holds it, the other draws its mouth shut.

The sack is a ring of eight stiff staves on sprung hinges: a free base that slides easily, a handle to hold it
by, and a string through the staves' tops that ends in a bead. Pulling the bead away shortens the loop and
draws the staves together; the string runs stiffly, so a sack that nobody holds follows the bead instead.
"""

# MuJoCo's names come from its compiled part, which has no types.
# pyright: reportAttributeAccessIssue=false

import numpy as np
from jaxtyping import Float64

from vantage.worlds.bimanual import arms
from vantage.worlds.bimanual.world import BimanualWorld, environment_dim

RADIUS, HEIGHT = 0.058, 0.10
"""Metres; of the ring that the staves stand on, and of the staves."""
FLOOR = 0.006
"""Thickness of the sack's bottom (m)."""
STAVES = 8
REST = 0.10
"""Radians; how far the staves lean outwards by themselves."""
ITEMS = 3
ITEM = 0.014
"""Half an edge of a snack (m)."""
HANDLE = np.array([-RADIUS - 0.035, 0.0, 0.042])
"""Where the handle is to be pinched, in the sack's frame (m)."""
BEAD = np.array([RADIUS + 0.034, 0.0, HEIGHT + 0.012])
"""Where the bead is when nobody has pulled it, in the sack's frame (m)."""
EYELET = np.array([RADIUS + 0.016, 0.0, HEIGHT + FLOOR])
"""Where the string leaves the sack, in its frame (m)."""
HEMMED = 0.95
"""How far up the staves the string runs, as a share of their height."""
PULL = 0.13
"""Metres that the bead can be pulled."""
SHUT = 0.024
"""Mean distance of the staves' tops from the sack's axis (m) below which the mouth is shut."""
MARKS = ("handle", "bead", *(f"item_{k}" for k in range(ITEMS)), "sack")
"""What a hand finds its way by."""
SCALES = (0.04, 0.012)
"""Metres within which the true state says more finely how far they are: snacks are small, and carried far."""
ENVIRONMENT_DIM = environment_dim(7 + STAVES + 1 + 7 * ITEMS + 2 * (1 + ITEMS), len(MARKS), len(SCALES))

_COLOURS = np.array([(0.85, 0.25, 0.2, 1.0), (0.95, 0.75, 0.15, 1.0), (0.25, 0.5, 0.85, 1.0)])
"""Of the snacks (red, green, blue, opacity)."""


class SackDraw(BimanualWorld):
    """Put three snacks into the sack, hold it, draw it shut."""

    task: str = "sack-draw"
    prompt: str = "put the three snacks into the sack and draw it shut"
    marks: tuple[str, ...] = MARKS
    scales: tuple[float, ...] = SCALES

    def __init__(self, *, image_size: int = 96) -> None:
        """Build the scene; `image_size`: side of the pictures in pixels."""
        super().__init__(image_size=image_size)
        model = self.model
        self._sack = model.joint("sack").qposadr[0]
        self._staves = np.array([model.joint(f"stave_{k}").qposadr[0] for k in range(STAVES)])
        self._bead = model.joint("bead").qposadr[0]
        self._items = [model.joint(f"item_{k}").qposadr[0] for k in range(ITEMS)]
        self._sack_body = model.body("sack").id
        self._item_bodies = [model.body(f"item_{k}").id for k in range(ITEMS)]
        self._item_geoms = [model.geom(f"item_{k}").id for k in range(ITEMS)]
        items = [frozenset((geom,)) for geom in self._item_geoms]
        self._graspable = {
            "left": [frozenset((model.geom("handle").id,)), *items],
            "right": [frozenset((model.geom("bead").id,)), *items],
        }

    def _objects(self) -> str:
        cloth = 'condim="3" friction="0.5 0.005 0.0001" contype="8" conaffinity="7" solref="0.012 1"'
        grip = 'condim="4" friction="1.2 0.02 0.0005" solref="0.01 1"'
        half = RADIUS * np.sin(np.pi / STAVES) * 0.96
        staves = ""
        for k in range(STAVES):
            angle = 2 * np.pi * k / STAVES
            shade = "0.45 0.58 0.36 1" if k % 2 else "0.52 0.66 0.42 1"
            staves += (
                f'<body name="stave_{k}" pos="{RADIUS * np.cos(angle)} {RADIUS * np.sin(angle)} {FLOOR}" '
                f'euler="0 0 {angle}"><joint name="stave_{k}" axis="0 1 0" range="-0.8 0.14" armature="2e-5" '
                f'stiffness="0.015" springref="{REST}" damping="0.004"/>'
                f'<geom type="box" size="0.0015 {half} {HEIGHT / 2}" pos="0 0 {HEIGHT / 2}" mass="0.006" '
                f'rgba="{shade}" {cloth}/><site name="stave_{k}" pos="0 0 {HEMMED * HEIGHT}" size="0.002"/>'
                "</body>"
            )
        slippery = 'priority="1" friction="0.2 0.005 0.0001" contype="1" conaffinity="7" solref="0.012 1"'
        green, apart = "0.36 0.46 0.3 1", 'contype="8" conaffinity="7"'
        x, _, z = HANDLE
        tall, post = z / 2 + 0.005, EYELET[0]
        base = (
            f'<geom name="base" type="cylinder" size="{RADIUS + 0.002} {FLOOR / 2}" pos="0 0 {FLOOR / 2}" '
            f'mass="0.15" rgba="{green}" {slippery}/>'
            f'<geom type="box" size="0.03 0.008 {FLOOR / 2}" pos="{-RADIUS - 0.025} 0 {FLOOR / 2}" '
            f'mass="0.01" rgba="{green}" {slippery}/>'
            f'<geom name="handle" type="box" size="0.014 0.004 {tall}" pos="{x} 0 {tall + FLOOR}" '
            f'mass="0.01" rgba="0.2 0.3 0.75 1" {apart} {grip}/>'
            f'<geom type="box" size="0.0015 0.005 {HEIGHT / 2}" pos="{post} 0 {HEIGHT / 2 + FLOOR}" '
            f'mass="0.004" rgba="0.3 0.3 0.3 1" {apart}/>'
            f'<site name="eyelet" pos="{" ".join(map(str, EYELET))}" size="0.002"/>'
        )
        x, y, z = BEAD
        bead = (
            f'<body name="bead" pos="{x} {y} {z}"><joint name="bead" type="slide" axis="1 0 0" '
            f'range="0 {PULL}" damping="2" frictionloss="1.6" armature="0.01"/>'
            f'<geom name="bead" type="box" size="0.012 0.008 0.016" mass="0.012" rgba="0.9 0.15 0.35 1" '
            f'contype="8" conaffinity="6" {grip}/><site name="string" pos="-0.012 0 0" size="0.002"/></body>'
        )
        sack = f'<body name="sack"><freejoint name="sack"/>{base}{staves}{bead}</body>'

        items = "".join(
            f'<body name="item_{k}"><freejoint name="item_{k}"/><geom name="item_{k}" type="box" '
            f'size="{ITEM} {ITEM} {ITEM}" mass="0.03" contype="1" conaffinity="15" {grip}/></body>'
            for k in range(ITEMS)
        )
        return sack + items

    def _more(self) -> str:
        # From the bead through an eyelet and all staves but the nearest one, which is sewn to its neighbours:
        # the string would pull that one outwards.
        loop = "".join(f'<site site="stave_{k}"/>' for k in range(1, STAVES))
        at_eyelet, at_bead = np.array([EYELET]), np.array([BEAD + (-0.012, 0.0, 0.0)])
        points = np.concatenate((at_bead, at_eyelet, _tops(REST)[1:], at_eyelet, at_bead))
        length = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
        sewn = '<joint joint1="stave_0" joint2="stave_1" polycoef="0 1 0 0 0" solref="0.02 1"/>'
        return (
            f'<tendon><spatial name="string" width="0.0012" limited="true" range="0 {length}" '
            f'rgba="0.85 0.85 0.8 1"><site site="string"/><site site="eyelet"/>{loop}<site site="eyelet"/>'
            f'<site site="string"/></spatial></tendon><equality>{sewn}</equality>'
        )

    def _place(self, rng: np.random.Generator) -> None:
        qpos = self.data.qpos
        yaw = rng.uniform(-0.15, 0.15)
        place = (rng.uniform(-0.05, 0.0), rng.uniform(0.47, 0.53), 0.0)
        qpos[self._sack : self._sack + 7] = (*place, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
        qpos[self._staves] = REST

        # Two to the right of the sack, one behind the other, and one to the left. The true state names them
        # in this order, and turned by less than an eighth, since a cube looks alike from all its sides: what
        # is the same for the hands is the same in numbers. Their colours are drawn for the pictures.
        low = np.array([[0.17, 0.40], [0.17, 0.55], [-0.26, 0.42]])
        high = np.array([[0.24, 0.46], [0.24, 0.61], [-0.20, 0.58]])
        turns = rng.uniform(-np.pi / 4, np.pi / 4, ITEMS)
        for where, (x, y), turn in zip(self._items, rng.uniform(low, high), turns, strict=True):
            qpos[where : where + 7] = (x, y, ITEM, np.cos(turn / 2), 0.0, 0.0, np.sin(turn / 2))
        self.model.geom_rgba[self._item_geoms] = _COLOURS[rng.permutation(ITEMS)]

    def _truth(self) -> Float64[np.ndarray, "_O"]:
        """Sack pose (3 + 4), staves (8), bead (1), poses of the snacks (3 x 7), what is held (2 x 4):
        handle and snacks by the left gripper, bead and snacks by the right one."""
        qpos = self.data.qpos
        held = [self._pinches(side, geoms) for side in arms.SIDES for geoms in self._graspable[side]]
        return np.concatenate(
            (
                qpos[self._sack : self._sack + 7],
                qpos[self._staves],
                qpos[self._bead : self._bead + 1],
                *(qpos[where : where + 7] for where in self._items),
                held,
            )
        )

    def _done(self) -> bool:
        """The sack upright, three snacks in it, its mouth drawn shut."""
        data = self.data
        axes = data.xmat[self._sack_body].reshape(3, 3)
        if axes[2, 2] < np.cos(np.radians(15)) or mouth_radius(data.qpos[self._staves]) > SHUT:
            return False
        centre = data.xpos[self._sack_body]
        return all(is_inside(axes.T @ (data.xpos[item] - centre)) for item in self._item_bodies)


def _tops(lean: float) -> Float64[np.ndarray, "8 3"]:
    """Where the string runs through the staves, in the sack's frame (m)."""
    angles = 2 * np.pi * np.arange(STAVES) / STAVES
    away = RADIUS + HEMMED * HEIGHT * np.sin(lean)
    up = FLOOR + HEMMED * HEIGHT * np.cos(lean)
    return np.stack((away * np.cos(angles), away * np.sin(angles), np.full(STAVES, up)), axis=1)


def mouth_radius(leans: Float64[np.ndarray, "8"]) -> float:
    """Mean distance (m) of the staves' tops from the sack's axis. `leans`: radians, outwards."""
    return float(np.mean(RADIUS + HEIGHT * np.sin(leans)))


def is_inside(point: Float64[np.ndarray, "3"]) -> bool:
    """Whether a point of the sack's frame (m) is between its staves and below its rim."""
    x, y, z = point
    return bool(np.hypot(x, y) < RADIUS and 0.0 < z < HEIGHT)
