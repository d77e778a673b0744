"""Named tensors in, one whole file out, and back: training state that survives a kill at any moment."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vantage.disk.files import whole_file
from vantage.errors import VantageError


def save_state(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors so that the file is the old state or the new one, never half of either, and safe on disk.

    Raises VantageError on a full disk; the old state is then untouched.
    """
    with whole_file(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)


def load_state(path: Path) -> dict[str, Tensor] | None:
    """What `save_state` wrote, or None where nothing was. Raises VantageError for a damaged file."""
    if not path.exists():
        return None
    return load_tensors(path, "delete it, and that part of the run begins again")


def load_tensors(path: Path, remedy: str) -> dict[str, Tensor]:
    """The named tensors of a safetensors file, on the CPU.

    Raises VantageError for a file that is missing or damaged; `remedy` is what to do then.
    """
    if not path.is_file():
        raise VantageError(f"{path} does not exist; {remedy}")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        raise VantageError(f"{path} is damaged ({error}); {remedy}") from error
