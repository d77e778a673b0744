"""Training state is the old one or the new one, never half of either, and says what is wrong with it."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from vantage.disk.checkpoint import load_state, save_state
from vantage.types import VantageError


@pytest.fixture
def files_are_small() -> Iterator[None]:
    """No file may grow above 4,000 bytes: for a program the same as a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.safetensors"
    assert load_state(path) is None
    tensors = {"a": torch.randn(3, 4).t(), "step": torch.tensor(7)}
    save_state(path, tensors)
    back = load_state(path)
    assert back is not None and back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    assert [file.name for file in path.parent.iterdir()] == ["state.safetensors"], "nothing else is left beside it"


def test_a_full_disk_is_a_sentence_and_leaves_the_old_state(tmp_path: Path, files_are_small: None) -> None:
    path = tmp_path / "state.safetensors"
    save_state(path, {"a": torch.ones(3)})
    with pytest.raises(VantageError, match=r"the disk is full: .*state\.safetensors could not be written; free some space"):
        save_state(path, {"a": torch.zeros(3000)})
    back = load_state(path)
    assert back is not None and back["a"].tolist() == [1, 1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_state(path, {"a": torch.zeros(300)})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(VantageError, match=r"state\.safetensors is damaged .*; delete it"):
        load_state(path)
