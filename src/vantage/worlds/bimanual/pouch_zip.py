"""PouchZip: a marker into a soft pouch whose mouth one arm holds open; then the zip is drawn shut.

The pouch has a stiff back and bottom, and a front of cloth: a mesh of edges that do not stretch, sewn to the
back along its sides and its bottom. A tab on the lip is sprung towards the back, so the mouth is shut unless
the tab is pulled. The zip runs along the back's upper edge; a tooth closes when the zip passes it while the
lip is near, and opens when the zip is drawn back over it.
"""

# MuJoCo's names come from its compiled part, which has no types.
# pyright: reportAttributeAccessIssue=false

import numpy as np
from jaxtyping import Bool, Float64

from vantage.worlds.bimanual.world import BimanualWorld, environment_dim

WIDTH, HEIGHT = 0.20, 0.10
"""Metres; of the pouch's front, along x and upwards."""
FLOOR = 0.006
"""Thickness of the bottom (m)."""
BACK = 0.010
"""Where the back stands, in the pouch's frame (m, along y)."""
BULGE = 0.042
"""How far the front stands out in the middle of the lip when it is pulled tight (m)."""
COLUMNS, ROWS = 5, 4
"""Vertices of the front, from left to right and from the bottom to the lip."""
TEETH = COLUMNS - 2
ZIP_START, ZIP_WAY = -0.088, 0.176
"""Where the zip begins (m, along x), and how far it runs."""
PULL_AT = 0.168
"""Metres above the table, where the zip is to be pinched."""
NEAR = 0.035
"""Metres from its place within which the lip is caught by the zip."""
CATCH = 0.016
"""Metres from a tooth up to which the zip may still catch the lip there."""
MARKER_RADIUS, MARKER_HALF = 0.007, 0.025
"""Metres; half of the marker's length without its round ends."""
TAB = np.array([0.0, 0.002 - BULGE - 0.004, FLOOR + HEIGHT + 0.022])
"""Where the tab is when the lip is pulled tight, in the pouch's frame (m)."""
MARKS = ("tab", "zip_pull", "marker", "pouch")
"""What a hand finds its way by."""
ENVIRONMENT_DIM = environment_dim(7 + 3 + 1 + TEETH + 7 + 4, len(MARKS))


class PouchZip(BimanualWorld):
    """Hold the pouch open, put the marker in, zip it."""

    task: str = "pouch-zip"
    prompt: str = "put the marker into the pouch and zip it"
    marks: tuple[str, ...] = MARKS

    def __init__(self, *, image_size: int = 96) -> None:
        """Build the scene; `image_size`: side of the pictures in pixels."""
        super().__init__(image_size=image_size)
        model = self.model
        self._pouch = model.joint("pouch").qposadr[0]
        self._tab = [model.joint(f"tab_{axis}").qposadr[0] for axis in "xyz"]
        self._zip = model.joint("zip").qposadr[0]
        self._marker = model.joint("marker").qposadr[0]
        self._pouch_body, self._marker_body = model.body("pouch").id, model.body("marker").id
        self._teeth = [model.equality(f"tooth_{k}").id for k in range(TEETH)]
        # A tooth pulls its vertex to its place on the back, wherever the vertex is when it closes.
        self.model.eq_data[self._teeth, 3:6] = 0.0
        self._lip_bodies = [model.body(f"front_{(ROWS - 1) * COLUMNS + 1 + k}").id for k in range(TEETH)]
        self._lip_shut = np.stack([_shut(k) for k in range(TEETH)])
        self._tab_geom = frozenset((model.geom("tab").id,))
        self._pull_geom = frozenset((model.geom("zip_pull").id,))
        self._marker_geom = frozenset((model.geom("marker").id,))
        self._hanging = self._hang()

    def _hang(self) -> Float64[np.ndarray, "_Q"]:
        """Positions of everything after the front has come to rest, with the pouch where the scene has it."""
        import mujoco

        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self._marker : self._marker + 3] = (0.25, 0.45, MARKER_RADIUS)
        for _ in range(1000):
            mujoco.mj_step(self.model, self.data)
        return self.data.qpos.copy()

    def _objects(self) -> str:
        hard = 'condim="3" friction="0.6 0.005 0.0001" contype="1" conaffinity="7" solref="0.012 1"'
        grip = 'condim="4" friction="1.2 0.02 0.0005" solref="0.01 1"'
        points, elements, pinned = _front()
        front = (
            '<flexcomp name="front" type="direct" dim="2" mass="0.03" radius="0.003" rgba="0.92 0.62 0.28 1" '
            f'point="{_words(points)}" element="{_words(elements)}"><edge equality="true" damping="0.01"/>'
            '<contact selfcollide="none" solref="0.008 1" condim="3" friction="0.6" contype="1" '
            f'conaffinity="7"/><pin id="{_words(pinned)}"/></flexcomp>'
        )
        zipper = (
            f'<body name="zip" pos="{ZIP_START} {BACK} {FLOOR + HEIGHT + 0.006}"><joint name="zip" '
            f'type="slide" axis="1 0 0" range="0 {ZIP_WAY}" damping="0.5" frictionloss="0.6" '
            'armature="0.005"/>'
            '<geom type="box" size="0.008 0.008 0.006" mass="0.01" rgba="0.2 0.2 0.2 1" contype="8" '
            'conaffinity="6"/><geom name="zip_pull" type="box" size="0.006 0.008 0.034" pos="0 0 0.040" '
            f'mass="0.004" rgba="0.9 0.15 0.2 1" contype="8" conaffinity="6" {grip}/></body>'
        )
        slides = "".join(
            f'<joint name="tab_{axis}" type="slide" axis="{direction}" damping="0.3" armature="0.005" '
            f"{spring}/>"
            for axis, direction, spring in (
                ("x", "1 0 0", 'stiffness="20"'),
                ("y", "0 1 0", f'stiffness="8" springref="{BULGE + 0.02}"'),
                ("z", "0 0 1", 'stiffness="2"'),
            )
        )
        tab = (
            f'<body name="tab" pos="{_words(TAB)}" gravcomp="1">{slides}<geom name="tab" type="box" '
            f'size="0.010 0.004 0.016" mass="0.004" rgba="0.1 0.65 0.3 1" contype="8" conaffinity="6" '
            f"{grip}/></body>"
        )
        pouch = (
            '<body name="pouch" pos="0 0.5 0"><freejoint name="pouch"/>'
            f'<geom type="box" size="{WIDTH / 2} 0.045 {FLOOR / 2}" pos="0 -0.015 {FLOOR / 2}" mass="0.25" '
            f'rgba="0.42 0.3 0.14 1" {hard}/><geom type="box" size="{WIDTH / 2} 0.002 {HEIGHT / 2}" '
            f'pos="0 {BACK} {HEIGHT / 2 + FLOOR}" mass="0.05" rgba="0.72 0.44 0.17 1" {hard}/>'
            f"{front}{zipper}{tab}</body>"
        )
        marker = (
            '<body name="marker" pos="0.2 0.45 0.01"><joint name="marker" type="free" damping="2e-5"/>'
            '<inertial pos="0 0 0" mass="0.02" diaginertia="4e-6 2e-5 2e-5"/><geom name="marker" '
            f'type="capsule" size="{MARKER_RADIUS}" fromto="{-MARKER_HALF} 0 0 {MARKER_HALF} 0 0" '
            f'rgba="0.15 0.25 0.85 1" contype="1" conaffinity="7" priority="1" condim="4" '
            'friction="1.0 0.01 0.0003" solref="0.004 1"/></body>'
        )
        return pouch + marker

    def _more(self) -> str:
        lip = (ROWS - 1) * COLUMNS
        middle = lip + COLUMNS // 2
        ties = f'<connect body1="tab" body2="front_{middle}" anchor="0 0.004 -0.022" solref="0.01 1"/>'
        for k in range(TEETH):
            ties += (
                f'<connect name="tooth_{k}" body1="pouch" body2="front_{lip + 1 + k}" '
                f'anchor="{_words(_shut(k))}" active="false" solref="0.02 1"/>'
            )
        return f"<equality>{ties}</equality>"

    def _place(self, rng: np.random.Generator) -> None:
        qpos = self.data.qpos
        arms_at = qpos[:16].copy()
        qpos[:] = self._hanging
        qpos[:16] = arms_at
        yaw = rng.uniform(-0.12, 0.12)
        place = (rng.uniform(-0.06, -0.01), rng.uniform(0.50, 0.55), 0.0)
        qpos[self._pouch : self._pouch + 7] = (*place, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
        turn = rng.uniform(-0.5, 0.5)
        marker = (rng.uniform(0.16, 0.23), rng.uniform(0.42, 0.58), MARKER_RADIUS)
        qpos[self._marker : self._marker + 7] = (*marker, np.cos(turn / 2), 0.0, 0.0, np.sin(turn / 2))

    def _before_physics(self) -> None:
        """Close the teeth that the zip passes with the lip near; open those that it is drawn back over."""
        data = self.data
        at = ZIP_START + data.qpos[self._zip]
        axes, centre = data.xmat[self._pouch_body].reshape(3, 3), data.xpos[self._pouch_body]
        for k, (tooth, body) in enumerate(zip(self._teeth, self._lip_bodies, strict=True)):
            apart = axes.T @ (data.xpos[body] - centre) - self._lip_shut[k]
            if at < tooth_at(k) - 0.004:
                data.eq_active[tooth] = 0
            elif at < tooth_at(k) + CATCH and np.linalg.norm(apart) < NEAR:
                data.eq_active[tooth] = 1

    def closed(self) -> Bool[np.ndarray, "3"]:
        """Which teeth are closed, from the left."""
        return np.array(self.data.eq_active[self._teeth], dtype=bool)

    def _truth(self) -> Float64[np.ndarray, "_O"]:
        """Pouch pose (3 + 4), tab (3), zip (1), teeth (3), marker pose (3 + 4), what is held (4): tab, zip
        and marker by the left gripper, the marker by the right one."""
        qpos = self.data.qpos
        held = [
            self._pinches("left", self._tab_geom),
            self._pinches("left", self._pull_geom),
            self._pinches("left", self._marker_geom),
            self._pinches("right", self._marker_geom),
        ]
        return np.concatenate(
            (
                qpos[self._pouch : self._pouch + 7],
                qpos[self._tab],
                qpos[self._zip : self._zip + 1],
                self.closed(),
                qpos[self._marker : self._marker + 7],
                held,
            )
        )

    def _done(self) -> bool:
        """The pouch upright, the marker in it, all teeth closed and the zip at its end."""
        data = self.data
        axes, centre = data.xmat[self._pouch_body].reshape(3, 3), data.xpos[self._pouch_body]
        if axes[2, 2] < np.cos(np.radians(15)) or not self.closed().all():
            return False
        if data.qpos[self._zip] < 0.9 * ZIP_WAY:
            return False
        ends = data.xmat[self._marker_body].reshape(3, 3)[:, 0] * np.array([[MARKER_HALF], [-MARKER_HALF]])
        return all(is_inside(axes.T @ (data.xpos[self._marker_body] + end - centre)) for end in ends)


def is_inside(point: Float64[np.ndarray, "3"]) -> bool:
    """Whether a point of the pouch's frame (m) is between its back and its front, as that is sewn, and below
    the lip."""
    x, y, z = point
    across, up = x / WIDTH + 0.5, (z - FLOOR) / HEIGHT
    return bool(0.0 < across < 1.0 and 0.0 < up < 1.0 and 0.002 - _out(across, up) - 0.002 < y < BACK)


def tooth_at(tooth: int) -> float:
    """Where along the zip a tooth is, in the pouch's frame (m)."""
    return -WIDTH / 2 + WIDTH * (tooth + 1) / (COLUMNS - 1)


def _out(across: float, up: float) -> float:
    """How far the front stands out (m), pulled tight; both shares from 0 to 1."""
    return float(BULGE * np.sin(np.pi * across) * up**0.7)


def _shut(tooth: int) -> Float64[np.ndarray, "3"]:
    """Where a vertex of the lip is when its tooth is closed, in the pouch's frame (m)."""
    return np.array([tooth_at(tooth), 0.004, FLOOR + HEIGHT])


def _front() -> tuple[list[float], list[int], list[int]]:
    """The front's vertices (pulled tight), triangles, and the vertices that are sewn to the back."""
    points: list[float] = []
    pinned: list[int] = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            across, up = column / (COLUMNS - 1), row / (ROWS - 1)
            points += [-WIDTH / 2 + WIDTH * across, 0.002 - _out(across, up), FLOOR + HEIGHT * up]
            if row == 0 or column in (0, COLUMNS - 1):
                pinned.append(row * COLUMNS + column)
    elements: list[int] = []
    for row in range(ROWS - 1):
        for column in range(COLUMNS - 1):
            first = row * COLUMNS + column
            elements += [first, first + 1, first + COLUMNS + 1, first, first + COLUMNS + 1, first + COLUMNS]
    return points, elements, pinned


def _words(numbers: "list[float] | list[int] | Float64[np.ndarray, '_']") -> str:
    """Numbers as MJCF has them."""
    return " ".join(f"{number:.5g}" for number in numbers)
