"""A MuJoCo model in, pictures out, thirty times faster than gymnasium's.

A small picture spends its time on shadows, multisampling and triangles, not on pixels: there are no shadows,
reflections or multisampling here, and meshes are decimated. Collision geometry is never touched.
"""

# MuJoCo's names come from its compiled part, which has no types.
# pyright: reportAttributeAccessIssue=false

import atexit
import importlib
import os
import weakref
from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any

import mujoco
import numpy as np
from jaxtyping import UInt8

from vantage.errors import VantageError


class FastRenderer:
    """Pictures at one size, by default square, of one model, or of copies of it.

    Make it before anything else renders the model: it changes its visual quality in place.
    """

    def __init__(self, model: Any, size: int | tuple[int, int], flipped: Sequence[str] = ()) -> None:
        """`size`: side, or height and width, in pixels.

        `flipped`: cameras that hang upside down, to be turned round.
        """
        model.vis.quality.offsamples = 0
        model.vis.quality.shadowsize = 0
        decimate_meshes(model)

        self._renderer = _open_renderer(model, size)
        flags = self._renderer.scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0

        self._flipped = frozenset(flipped)
        self._option, self._view = mujoco.MjvOption(), mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED

        _close_at_exit()
        _OPEN.add(self)

    def __call__(self, model: Any, data: Any, camera: str) -> UInt8[np.ndarray, "_h _w 3"]:
        """What `camera` sees now.

        `model`: the one that `data` belongs to; it may place and size its parts in its own way.
        """
        self._view.fixedcamid = model.camera(camera).id
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(model, data, self._option, None, self._view, everything, self._renderer.scene)
        picture = self._renderer.render()
        return np.ascontiguousarray(picture[::-1, ::-1]) if camera in self._flipped else picture

    def close(self) -> None:
        """Free the graphics context."""
        _OPEN.discard(self)
        self._renderer.close()


def _open_renderer(model: Any, size: int | tuple[int, int]) -> Any:
    height, width = size if isinstance(size, tuple) else (size, size)
    frame = model.vis.global_
    frame.offheight, frame.offwidth = max(frame.offheight, height), max(frame.offwidth, width)
    _draw_without_a_screen()
    _check_device()
    try:
        return mujoco.Renderer(model, height, width)
    except (mujoco.FatalError, AttributeError, ImportError) as error:
        # MuJoCo's C code, its Python, or PyOpenGL gives up.
        library = os.environ.get("MUJOCO_GL") or "not set"
        fault = f"MuJoCo cannot draw here ({error}; MUJOCO_GL is now {library})"
        raise VantageError(
            f"{fault}; export MUJOCO_GL=egl, or in a script call vantage.prepare_process() "
            "before mujoco or gymnasium is imported"
        ) from error


def _draw_without_a_screen() -> None:
    """Let MuJoCo choose its graphics library again where it was imported before `MUJOCO_GL` was set.

    It chooses when it is imported, and without a screen and without that variable chooses one that needs a
    screen: a script that imports its simulator before vantage could not draw.
    """
    context = mujoco.gl_context
    if os.environ.get("MUJOCO_GL") == "egl" and context.GLContext.__module__ == "mujoco.glfw":
        importlib.reload(context)


@cache
def _check_device() -> None:
    """Raise VantageError where `MUJOCO_EGL_DEVICE_ID` names a graphics device that this machine has not.

    MuJoCo would say so too, from the middle of a renderer that it leaves half made.
    """
    named = os.environ.get("MUJOCO_EGL_DEVICE_ID")
    if named is None or not mujoco.gl_context.GLContext.__module__.startswith("mujoco.egl"):
        return
    egl = importlib.import_module("mujoco.egl.egl_ext")
    present = len(egl.eglQueryDevicesEXT())
    if not named.isdigit() or int(named) >= present:
        raise VantageError(
            f"MUJOCO_EGL_DEVICE_ID is {named}, and of graphics devices there are {present} here (counted "
            "from 0, in their own order, not CUDA's); unset it, or name one of them"
        )


_SHARED: "weakref.WeakValueDictionary[Hashable, FastRenderer]" = weakref.WeakValueDictionary()


def shared_renderer(
    form: Hashable, model: Any, size: int | tuple[int, int], flipped: Sequence[str] = ()
) -> FastRenderer:
    """The renderer of this process for models of one form. It is open as long as somebody holds it.

    A context takes 200 MB and half a second: thirty copies of a world that each open their own take 8 GB.
    """
    key = (form, size, tuple(flipped))
    renderer = _SHARED.get(key)
    if renderer is None:
        renderer = _SHARED[key] = FastRenderer(model, size, flipped)
    return renderer


_OPEN: "weakref.WeakSet[FastRenderer]" = weakref.WeakSet()


def _close_at_exit() -> None:
    """Close what is still open before MuJoCo, or dm_control, shuts EGL down."""
    # Exit handlers run backwards, and theirs are registered with the first context or on import: ours is
    # registered anew with every renderer, so it comes before them.
    atexit.unregister(_close_all)
    atexit.register(_close_all)


def _close_all() -> None:
    for renderer in list(_OPEN):
        renderer.close()


def decimate_meshes(model: Any, cell: float = 0.012, at_least: int = 400) -> tuple[int, int]:
    """Merge the vertices of every mesh with `at_least` faces within cubes of side `cell` (metres).

    For drawing only. Rewrites the faces in place: each keeps pointing at real vertices (the one nearest its
    cube's mean), and faces that collapse or repeat go. Returns the number of faces before and after.
    """
    before = after = 0
    for mesh in range(model.nmesh):
        count = int(model.mesh_facenum[mesh])
        before += count
        after += _decimate(model, mesh, cell) if count >= at_least else count
    return before, after


def _decimate(model: Any, mesh: int, cell: float) -> int:
    """Decimate one mesh in place; returns the number of faces that are left."""
    vertices = slice(model.mesh_vertadr[mesh], model.mesh_vertadr[mesh] + model.mesh_vertnum[mesh])
    first, count = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
    faces = model.mesh_face[first : first + count].copy()
    merged = _nearest_to_mean(model.mesh_vert[vertices], cell)[faces]

    # Faces that still have three corners, each set of corners once.
    a, b, c = merged.T
    solid = np.flatnonzero((a != b) & (b != c) & (a != c))
    _, unique = np.unique(np.sort(merged[solid], axis=1), axis=0, return_index=True)
    kept = solid[np.sort(unique)]
    left = len(kept)

    model.mesh_face[first : first + left] = merged[kept]
    model.mesh_facenormal[first : first + left] = model.mesh_facenormal[first : first + count][kept]
    if model.mesh_texcoordadr[mesh] >= 0:
        model.mesh_facetexcoord[first : first + left] = model.mesh_facetexcoord[first : first + count][kept]
    model.mesh_facenum[mesh] = left
    return left


def _nearest_to_mean(vertex: np.ndarray, cell: float) -> np.ndarray:
    """For every vertex, the one of its cube that lies nearest the cube's mean."""
    cube = np.floor(vertex / cell).astype(np.int64)
    _, group, count = np.unique(cube, axis=0, return_inverse=True, return_counts=True)
    mean = np.stack([np.bincount(group, vertex[:, axis]) / count for axis in range(3)], axis=1)

    distance = np.square(vertex - mean[group]).sum(1)
    order = np.lexsort((distance, group))
    nearest = order[np.searchsorted(group[order], np.arange(len(count)))]
    return nearest[group]
