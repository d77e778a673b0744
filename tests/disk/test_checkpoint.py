"""Training state comes back as it was, or says what is wrong with it; a full disk is in test_files.py."""

from pathlib import Path

import pytest
import torch

from vantage.disk.checkpoint import load_state, save_state
from vantage.types import VantageError


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.safetensors"
    assert load_state(path) is None
    tensors = {"a": torch.randn(3, 4).t(), "step": torch.tensor(7)}
    save_state(path, tensors)
    back = load_state(path)
    assert back is not None and back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    assert [file.name for file in path.parent.iterdir()] == ["state.safetensors"], (
        "nothing else is left beside it"
    )


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_state(path, {"a": torch.zeros(300)})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(VantageError, match=r"state\.safetensors is damaged .*; delete it"):
        load_state(path)
