"""A credit ledger through the plugin into LeRobot's own sample weighting."""

import shutil
import typing
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from lerobot.policies.pretrained import PreTrainedPolicy
from safetensors.torch import save_file
from test_documented_commands import LINES, RUN_WHOLE

from vantage.algorithms.finetune import Recordings, export_weights
from vantage.batch import Observation
from vantage.cli import dispatch
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.build import build_policy
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.policies.small.gaussian import GaussianConfig, GaussianPolicy
from vantage.policies.small.stochastic_flow import FlowSDEConfig, FPOConfig, NoisyFlowConfig
from vantage.types import VantageError


def weighter(ledger: Path, root: Path | None = None, policy: Any = None, **extra: Any) -> Any:
    """What stock lerobot-train asks for weights."""
    import lerobot.utils.sample_weighting as stock
    import lerobot_policy_vantage

    assert stock.make_sample_weighter is lerobot_policy_vantage.make_sample_weighter
    config = SimpleNamespace(type="vantage", progress_path=str(ledger), extra_params={"draw": False} | extra)
    where = {} if root is None else {"dataset_root": str(root), "dataset_repo_id": "local/data"}
    return stock.make_sample_weighter(config, policy, torch.device("cpu"), **where)


def weights_of(weighter: Any, frames: int) -> list[float]:
    return weighter.compute_batch_weights({"index": torch.arange(frames)})[0].tolist()


def test_the_plugin_gives_stock_training_our_weights(recorded: Path) -> None:
    here = Round.of(recorded, 2)
    ledger = read_parquet(here.weights)
    own = ledger["round"] == 2
    count = int(own.sum())

    found = weighter(here.weights, here.episodes)
    assert weights_of(found, count) == ledger["weight"][own].astype(np.float32).tolist(), "found by content"
    assert weights_of(weighter(here.weights, round=2), count) == weights_of(found, count)
    _, stats = found.compute_batch_weights({"index": torch.arange(count)})
    assert stats["zero_share"] == pytest.approx((ledger["weight"][own] == 0).mean())
    with pytest.raises(VantageError, match="say which"):
        weighter(here.weights)


def test_weights_follow_their_frames_through_a_deletion(recorded: Path, tmp_path: Path) -> None:
    from lerobot.datasets.dataset_tools import delete_episodes
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    here = Round.of(recorded, 2)
    labels, ledger = read_parquet(here.labels), read_parquet(here.weights)
    whole = LeRobotDataset("local/data", root=here.episodes)
    delete_episodes(whole, [0, 5], output_dir=tmp_path / "part", repo_id="local/part")

    kept = ~np.isin(labels["episode_index"], (0, 5))
    expected = ledger["weight"][ledger["round"] == 2][kept].astype(np.float32)
    assert weights_of(weighter(here.weights, tmp_path / "part"), int(kept.sum())) == expected.tolist()


def test_a_ledger_of_other_recordings_is_refused_before_training(recorded: Path, tmp_path: Path) -> None:
    here, before = Round.of(recorded, 2), Round.of(recorded, 1)
    table = pq.read_table(here.weights)
    alone = tmp_path / "4-weights.parquet"
    pq.write_table(table.filter(np.asarray(table["round"]) == 2), alone)
    with pytest.raises(
        VantageError, match=r"4-weights.parquet covers 0 of \d+ frames; make the ledger again"
    ):
        weighter(alone, before.episodes)
    pq.write_table(table.slice(0, len(table) - 5), alone)
    with pytest.raises(VantageError, match=r"covers \d+ of \d+ frames .*; make the ledger again"):
        weighter(alone, here.episodes)


def test_what_lerobot_cannot_weigh_is_said(recorded: Path) -> None:
    policy = torch.nn.Linear(1, 1)
    with pytest.raises(VantageError, match="LeRobot cannot weigh the loss of Linear"):
        weighter(Round.of(recorded, 2).weights, policy=policy)

    import lerobot.utils.sample_weighting as stock

    config = SimpleNamespace(type="vantage", progress_path=None, extra_params={})
    with pytest.raises(VantageError, match=r"name the ledger with --sample_weighting.progress_path"):
        stock.make_sample_weighter(config, None, torch.device("cpu"))


def test_lerobot_reads_our_viability_as_progress(recorded: Path, tmp_path: Path) -> None:
    """The file that LeRobot's viewer draws, by the one reader of it that LeRobot has."""
    from lerobot.rewards.sarm.rabc import RABCWeights

    here = Round.of(recorded, 2)
    recordings = Recordings((), (Round.of(recorded, 1), here))
    shown = next(
        path
        for path in export_weights(recordings, tmp_path)
        if path.name.startswith("02-") and "sarm" in path.name
    )
    stock = RABCWeights(shown, chunk_size=8, device=torch.device("cpu"))

    ledger, labels = read_parquet(here.weights), read_parquet(here.labels)
    own = ledger["round"] == 2
    p_v = dict(
        zip(ledger["index"][own].tolist(), ledger["p_v"][own].astype(np.float32).tolist(), strict=True)
    )
    assert stock.progress_lookup == p_v
    assert stock.episode_lookup == dict(
        zip(labels["index"].tolist(), labels["episode_index"].tolist(), strict=True)
    )
    weights, _ = stock.compute_batch_weights({"index": torch.arange(int(own.sum()))})
    assert weights.isfinite().all()


EXPORTED = NetConfig(
    sight=TrueState(dim=7, width=16), state_dim=4, action_dim=3, chunk=4, execute=2, width=32
)


def acts_when_exported(ours: Policy, folder: Path) -> PreTrainedPolicy:
    """The policy as LeRobot reads it, once what is exported acts as the policy does, bit for bit."""
    import lerobot_policy_vantage.modeling_vantage_small as plugin

    ours.save(folder / "5-actor")
    dispatch(["export", str(folder / "5-actor"), "--out", str(folder / "small")])
    state, truth = torch.randn(5, 4), torch.randn(5, 7)
    seen = Observation(images={}, state=state, environment_state=truth, prompts=("push it",) * 5)
    chunk = ours.act(seen, torch.Generator())
    again = load_policy(folder / "small").act(seen, torch.Generator())
    torch.testing.assert_close(again, chunk, rtol=0, atol=0)

    stock = plugin.VantageSmallPolicy.from_pretrained(folder / "small").eval()
    batch = {"observation.state": state, "observation.environment_state": truth, "task": ["push it"] * 5}
    for step in (0, 1):
        torch.testing.assert_close(stock.select_action(batch), chunk[:, step], rtol=0, atol=0)
    return stock


def test_a_flow_of_relative_actions_is_exported_and_acts_in_lerobot(tmp_path: Path) -> None:
    """From where the robot is; lerobot-train has no statistics to begin one with."""
    import lerobot_policy_vantage.modeling_vantage_small as plugin

    ours = FlowPolicy(FlowConfig(net=EXPORTED, noise=0.0, relative=(0, 2)), seed=1)
    rng = np.random.default_rng(0)
    states, actions, truths = (rng.normal(size=(50, dim)).astype(np.float32) for dim in (4, 3, 7))
    ours.fit_normaliser(states, actions, truths)
    stock = acts_when_exported(ours, tmp_path)

    statistics = {"action": {"mean": np.zeros(3), "std": np.ones(3)}}
    with pytest.raises(VantageError, match="nothing of relative actions; train them by `vantage finetune`"):
        plugin.VantageSmallPolicy(stock.config, dataset_stats=statistics)


@pytest.mark.parametrize("kind", [NoisyFlowConfig, FlowSDEConfig, FPOConfig])
def test_a_flow_that_practised_is_exported_as_it_is_deployed(
    kind: type[NoisyFlowConfig | FlowSDEConfig | FPOConfig], tmp_path: Path
) -> None:
    """Without what is trained by practice alone, and acting from no noise."""
    acts_when_exported(build_policy(kind(net=EXPORTED), seed=1), tmp_path)


def test_a_gaussian_is_exported_and_acts_in_lerobot_with_its_mean(tmp_path: Path) -> None:
    """As policies of chunked PPO are; trained on, it learns the squared distance of the mean."""
    ours = GaussianPolicy(GaussianConfig(net=EXPORTED), seed=1)
    stock = acts_when_exported(ours, tmp_path)

    shutil.copytree(tmp_path / "small", tmp_path / "damaged")
    weights = tmp_path / "damaged" / "model.safetensors"
    save_file({"inside.other": torch.zeros(1)}, weights)
    with pytest.raises(VantageError, match="holds the weights of another policy; restore it"):
        load_policy(tmp_path / "damaged")
    weights.write_bytes(weights.read_bytes()[:9])
    with pytest.raises(VantageError, match="is damaged"):
        load_policy(tmp_path / "damaged")

    state, truth = torch.randn(5, 4), torch.randn(5, 7)
    seen = Observation(images={}, state=state, environment_state=truth, prompts=("push it",) * 5)
    batch = {"observation.state": state, "observation.environment_state": truth, "task": ["push it"] * 5}
    mean = ours.act(seen, torch.Generator())
    action = torch.randn(5, 4, 3)
    loss, _ = stock.forward(batch | {"action": action}, reduction="none")
    scale = ours.actions.std
    torch.testing.assert_close(loss, ((mean - action) / scale).square().mean((1, 2)))

    GaussianPolicy(GaussianConfig(net=EXPORTED, mean_only=False)).save(tmp_path / "sampled")
    with pytest.raises(VantageError, match="acts with samples of its Gaussian, and only the mean"):
        dispatch(["export", str(tmp_path / "sampled"), "--out", str(tmp_path / "other")])
    assert not (tmp_path / "other").exists()


EVALUATED = [line for line in LINES if line.words[0] == "lerobot-eval" and line.page not in RUN_WHOLE]
"""What pages beside the one that runs whole show of stock LeRobot."""


def test_the_words_of_lerobot_are_its_own() -> None:
    """Every option of `lerobot-eval` is a field of LeRobot's settings or of our plugin's, and its value is
    read by the parser that LeRobot reads it with."""
    stock = [line for line in LINES if line.words[0].startswith("lerobot-") and line.page not in RUN_WHOLE]
    assert EVALUATED and stock == EVALUATED, "a page shows another command of LeRobot's: read it here too"
    for line in EVALUATED:
        assert not misread_by_lerobot(line.words[1:]), line


@pytest.mark.parametrize(
    "word",
    ["--eval.episodes=3", "--env.pictures=maybe", "--policy.noises=0", "--seed=x", "--env.type=nowhere"],
)
def test_what_lerobot_does_not_know_is_noticed(word: str) -> None:
    assert misread_by_lerobot(["--policy.path=p", "--env.type=vantage_metaworld", word])


def misread_by_lerobot(words: Sequence[str]) -> str:
    """What `lerobot-eval` would not know of its options; empty where it knows them all."""
    import draccus
    import lerobot_policy_vantage  # noqa: F401 - registers its environments and policies
    from draccus.utils import DraccusException
    from lerobot.configs.eval import EvalPipelineConfig
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.envs.configs import EnvConfig

    options = dict(word.removeprefix("--").split("=", 1) for word in words)
    environments, policies = EnvConfig.get_known_choices(), PreTrainedConfig.get_known_choices()
    environment = environments.get(options.pop("env.type"))
    if environment is None:
        return "env.type"

    options.pop("policy.path")
    top = typing.get_type_hints(EvalPipelineConfig)
    owners = {"env": [environment], "policy": [*policies.values()], "eval": [top["eval"]]}
    for name, value in options.items():
        group, _, last = name.rpartition(".")
        hints = [typing.get_type_hints(kind).get(last) for kind in owners.get(group, [EvalPipelineConfig])]
        known = [hint for hint in hints if hint is not None]
        if not known:
            return name
        try:
            draccus.decode(known[0], yaml.safe_load(value))
        except (DraccusException, ValueError, TypeError):
            return f"{name}={value}"
    return ""
