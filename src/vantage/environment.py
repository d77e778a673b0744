"""Environment variables that renderers and threads read when they are loaded: set where they are not yet."""

import os


def prepare_process() -> None:
    """Set what MuJoCo, Mesa and OpenMP read from the environment.

    The command line calls it; a script does before it imports its simulator. Pictures are drawn through EGL,
    which needs no screen. What is set already stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        # Threads that spin long while they wait starve what runs beside them.
        os.environ.setdefault("GOMP_SPINCOUNT", "500")
    os.environ.setdefault("MUJOCO_GL", "egl")
    # Mesa draws small pictures in the thread that asks; threads of its own would crowd the other workers.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # torch warns, once per module, that every parameter had a part in the first loss; some have none.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
