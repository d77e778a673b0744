"""Named tensors in, one whole file out: training state that survives a kill at any moment."""

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from vantage.disk.files import whole_file


def save_state(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write atomically: the file is the old state or the new one, never half of either. Raises VantageError on a full disk."""
    with whole_file(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)


def load_state(path: Path) -> dict[str, Tensor] | None:
    """What `save_state` wrote, or None where nothing was."""
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        return {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a mapping
