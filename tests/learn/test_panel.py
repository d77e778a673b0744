"""Cross-fitting: no weight comes from a critic that saw the episode."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vantage.disk.layout import Round
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import Panel, load_features, load_panel, save_panel
from vantage.learn.critic.problem import deal_evenly
from vantage.learn.parent import ParentFit, parent_values, save_parent
from vantage.nets.critic import DualCritic, ParentHead
from vantage.types import VantageError


def test_every_kind_is_dealt_out_evenly() -> None:
    kind = np.array([0] * 11 + [1] * 7 + [5] * 4)
    fold = deal_evenly(kind, 3, seed=0)
    for one in (0, 1, 5):
        counts = np.bincount(fold[kind == one], minlength=3)
        assert counts.max() - counts.min() <= 1
    assert (deal_evenly(kind, 1, seed=0) == 0).all()
    assert (deal_evenly(kind, 3, seed=1) != fold).any() and (deal_evenly(kind, 3, seed=0) == fold).all()


def critic(seed: int) -> DualCritic:
    torch.manual_seed(seed)
    return DualCritic(4, t_max=50, width=8).eval()


def test_a_panel_judges_by_fold_and_averages_members(tmp_path: Path) -> None:
    panel = Panel(((critic(0), critic(1)), (critic(2), critic(3))))
    x, fold = torch.randn(10, 4), np.array([0, 1] * 5)
    values = panel.values(x, fold)
    with torch.no_grad():
        for k, (a, b) in enumerate(panel.folds):
            mine = fold == k
            wanted = (a(x)[0] + b(x)[0]).numpy() / 2
            np.testing.assert_allclose(values.z_v[mine], wanted[mine], rtol=1e-5)
            wanted = (a(x)[1] + b(x)[1]).numpy() / 2
            np.testing.assert_allclose(values.v_e[mine], wanted[mine], rtol=1e-5)
    unseen = panel.judge(x)
    with torch.no_grad():
        everyone = torch.stack([torch.stack(one(x)) for critics in panel.folds for one in critics]).mean(0)
    np.testing.assert_allclose(np.stack([unseen.z_v, unseen.v_e]), everyone.numpy(), rtol=1e-5)
    save_panel(tmp_path, panel, CriticFit(width=8, folds=2, members=2), 50)
    again = load_panel(tmp_path).values(x, fold)
    np.testing.assert_array_equal(again.z_v, values.z_v)
    np.testing.assert_array_equal(again.v_e, values.v_e)


def test_a_panel_with_dropout_is_read_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    panel = Panel(((DualCritic(4, t_max=50, width=8, dropout=0.2).eval(),),))
    save_panel(tmp_path, panel, CriticFit(width=8, dropout=0.2), 50)
    x, fold = torch.randn(10, 4), np.zeros(10, np.int64)
    np.testing.assert_array_equal(load_panel(tmp_path).values(x, fold).z_v, panel.values(x, fold).z_v)


def test_a_parent_head_of_other_settings_is_refused(tmp_path: Path) -> None:
    fit = ParentFit(width=8)
    head, features = ParentHead(4, fit.bins.count, fit.width), torch.randn(10, 4)
    save_parent(tmp_path, head)
    with torch.no_grad():
        wanted = head.eval()(features).double().softmax(-1) @ torch.linspace(
            -200, 0, 201, dtype=torch.float64
        )
    np.testing.assert_allclose(parent_values(tmp_path, features, fit), wanted, rtol=1e-6)
    with pytest.raises(
        VantageError, match=r"does not fit 4 features and a parent head of width 16 over 201 bins; delete"
    ):
        parent_values(tmp_path, features, ParentFit(width=16))
    with pytest.raises(VantageError, match=r"does not fit 5 features"):
        parent_values(tmp_path, torch.randn(10, 5), fit)


def test_a_panel_without_critics_is_refused() -> None:
    with pytest.raises(VantageError, match=r"CriticFit\.folds is 0; it must be at least 1"):
        CriticFit(folds=0)


# ------------------------------------------------------------------------------ critics that are not whole


def _config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _tensor(folder: Path, file: str, name: str, make: Callable[[torch.Tensor], torch.Tensor]) -> None:
    tensors = load_file(folder / file)
    tensors[name] = make(tensors[name]).contiguous()
    save_file(tensors, folder / file)


FIRST = "0.0.viability.0.weight"
LYING: dict[str, tuple[Callable[[Path], object], str]] = {
    "no settings": (lambda f: (f / "config.json").unlink(), "holds no critic"),
    "no JSON": (lambda f: (f / "config.json").write_text("{"), "is not valid JSON"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), "does not describe a critic"),
    "a width that is none": (
        lambda f: _config(f, width="wide"),
        "config.json.width: expected int, found 'wide'",
    ),
    "a width of 0": (lambda f: _config(f, width=0), "width is 0; it must be at least 1"),
    "another width": (lambda f: _config(f, width=9), "does not hold the critics that config.json"),
    "a width beyond memory": (lambda f: _config(f, width=10**7), "does not hold the critics that config"),
    "a width beyond any tensor": (lambda f: _config(f, width=10**30), "sizes that no network can have"),
    "folds without end": (lambda f: _config(f, folds=10**9), "folds is 1000000000"),
    "a fold too many": (lambda f: _config(f, folds=2), "does not hold the critics that config.json"),
    "time that is NaN": (lambda f: _config(f, t_max=math.nan), "t_max is nan"),
    "no weights": (lambda f: (f / "critic.safetensors").unlink(), "critic.safetensors does not exist"),
    "weights cut short": (
        lambda f: (f / "critic.safetensors").write_bytes((f / "critic.safetensors").read_bytes()[:99]),
        "critic.safetensors is damaged",
    ),
    "weights that are NaN": (
        lambda f: _tensor(f, "critic.safetensors", FIRST, lambda t: t * math.nan),
        f"NaN or infinite weights, the first in {FIRST}",
    ),
    "no features": (lambda f: (f / "features.safetensors").unlink(), "features.safetensors does not exist"),
    "features of another width": (
        lambda f: _tensor(f, "features.safetensors", "features", lambda t: t[:, :-1]),
        "does not hold the 32 features",
    ),
    "a fold that there is not": (
        lambda f: _tensor(f, "features.safetensors", "fold", lambda t: t + 1),
        "does not say which critic judges which frame",
    ),
    "folds of other frames": (
        lambda f: _tensor(f, "features.safetensors", "fold", lambda t: t[:-1]),
        "does not say which critic judges which frame",
    ),
}
"""What is done to a critic's folder, and what is said."""


@pytest.mark.parametrize("name", LYING)
def test_a_critic_that_is_not_whole_is_one_sentence(name: str, recorded: Path, tmp_path: Path) -> None:
    """What a folder says of itself is not trusted: a stranger's critic can be watched with."""
    spoil, says = LYING[name]
    critic = tmp_path / "3-critic"
    shutil.copytree(Round.of(recorded, 1).critic, critic)
    load_features(critic, load_panel(critic))
    spoil(critic)
    with pytest.raises(VantageError, match=re.escape(says)):
        load_features(critic, load_panel(critic))
