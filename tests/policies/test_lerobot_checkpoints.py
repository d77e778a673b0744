"""Where a LeRobot policy is found, what fits it, what is refused with a sentence, and whose statistics it
keeps."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_lerobot import ACTION, STATE, batch_for, facts, scratch, tiny, tiny_pi

from vantage.algorithms.habc import run_habc
from vantage.config import from_json, to_json
from vantage.disk.files import whole_folder
from vantage.policies.lerobot import (
    LeRobotPolicy,
    LeRobotScratch,
    Lora,
    SmallCLIP,
    SmallVLM,
    load,
    settle_paths,
    trainable,
)
from vantage.policies.lerobot.parts import in_words
from vantage.policies.lerobot.scales import of_scale
from vantage.policies.load import load_policy
from vantage.policies.spec import DataFacts, Scale
from vantage.recipes.debug import debug
from vantage.types import VantageError


@pytest.fixture(scope="module", autouse=True)
def small_pi() -> Iterator[None]:
    with tiny_pi():
        yield


@pytest.fixture(scope="module")
def shelf(small_pi: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The checkpoint of a tiny policy, by type; made once, not to be changed."""
    root = tmp_path_factory.mktemp("shelf")

    def take(kind: str) -> Path:
        folder = root / kind
        if not folder.exists():
            tiny(kind).save(folder)
        return folder

    return take


@pytest.fixture
def copy(shelf: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a tiny checkpoint, to be spoiled."""
    return lambda kind: Path(shutil.copytree(shelf(kind), tmp_path / kind))


def edit(path: Path, change: Callable[[dict], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def from_stock(folder: Path) -> Path:
    """As LeRobot itself would have written it: nothing is known of names, fps or cameras."""
    (folder / "vantage.json").unlink()
    return folder


# ---- where it is found


@pytest.mark.parametrize(
    "place",
    [
        "",
        "pretrained_model",
        "checkpoints/020000/pretrained_model",
        "5-actor",
        "round-01/5-actor",
        "round-11/5-actor",
    ],
)
def test_a_folder_above_it_is_enough(place: str, shelf: Callable[[str], Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(shelf("smolvla"), run / place)
    if place.startswith("checkpoints"):
        (run / "checkpoints" / "last").symlink_to("020000")
        assert LeRobotPolicy(path=str(run / "checkpoints" / "last")).interface(None).chunk == 8
    assert LeRobotPolicy(path=str(run)).interface(None).cameras == {"front": None, "wrist": None}


def test_the_newest_round_counts(shelf: Callable[[str], Path], tmp_path: Path) -> None:
    for number, steps in ((2, 3), (10, 4), (1, 5)):
        folder = tmp_path / f"round-{number:02d}" / "5-actor"
        shutil.copytree(shelf("smolvla"), folder)
        edit(folder / "config.json", lambda values, steps=steps: values.update(n_action_steps=steps))
    assert LeRobotPolicy(path=str(tmp_path)).interface(None).execute == 4


def test_what_is_no_policy_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(VantageError, match=r"holds no policy \(config.json is missing"):
        LeRobotPolicy(path=str(tmp_path)).interface(None)
    with pytest.raises(VantageError, match="does not exist; name a checkpoint folder"):
        LeRobotPolicy(path=str(tmp_path / "nowhere")).interface(None)
    with pytest.raises(
        VantageError, match="nowhere/such_a_policy is no folder here, is not in the hub's cache"
    ):
        LeRobotPolicy(path="nowhere/such_a_policy").interface(None)


@pytest.mark.parametrize("kind", ["diffusion", "pi0_fast", "groot", None])
def test_another_type_is_refused_before_anything_is_built(
    kind: str | None, copy: Callable[[str], Path], monkeypatch
) -> None:
    folder = copy("smolvla")
    edit(folder / "config.json", lambda values: values.update(type=kind))
    monkeypatch.setattr(
        "vantage.policies.lerobot.stock.require_lerobot", lambda: pytest.fail("LeRobot was imported")
    )
    with pytest.raises(
        VantageError, match="which Vantage does not drive; it drives smolvla, pi0, pi05, act, multi_task_dit"
    ):
        LeRobotPolicy(path=str(folder)).build(0, None)


@pytest.mark.parametrize(
    ("kind", "setting", "says"),
    [
        ("multi_task_dit", "objective=diffusion", "drives multi_task_dit with objective=flow_matching"),
        ("multi_task_dit", "n_obs_steps=9", "predicts 8 steps from the first of 9 observations on"),
        ("smolvla", "n_obs_steps=2", "LeRobot's smolvla looks at one observation; set n_obs_steps=1"),
        ("act", "temporal_ensemble_coeff=0.01", "averages overlapping chunks"),
        ("smolvla", "chunk_sise=4", "has no setting 'chunk_sise'; it has"),
        ("smolvla", "chunk_size", "is no setting; write name=value"),
    ],
)
def test_a_variant_that_vantage_does_not_compute_is_refused(
    kind: str, setting: str, says: str, shelf: Callable[[str], Path]
) -> None:
    with pytest.raises(VantageError, match=says):
        LeRobotPolicy(path=str(shelf(kind)), settings=(setting,)).interface(facts(kind))


def test_a_damaged_checkpoint_is_one_sentence(copy: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy("pi05")
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "action_out_proj" in name)
    save_file(
        {name: tensor for name, tensor in weights.items() if name != lost}, folder / "model.safetensors"
    )
    with pytest.raises(
        VantageError, match=f"lacks 1 of its weights, the first {lost}"
    ):  # LeRobot would act with random weights
        load(folder)
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(VantageError, match="is not a whole safetensors file"):
        load(folder)
    (folder / "policy_preprocessor.json").unlink()
    with pytest.raises(VantageError, match=r"lacks policy_preprocessor\.json"):
        load(folder)


def test_weights_of_another_shape_are_one_sentence(shelf: Callable[[str], Path]) -> None:
    with pytest.raises(VantageError, match=r"its weights do not fit its config\.json"):
        LeRobotPolicy(path=str(shelf("act")), settings=("chunk_size=5",)).build(0, None)


# ---- cameras


def test_settings_are_written_over_and_kept(shelf: Callable[[str], Path], tmp_path: Path) -> None:
    policy = LeRobotPolicy(
        path=str(shelf("smolvla")), settings=("n_action_steps=3", "train_expert_only=false")
    ).build(0, facts())
    assert policy.execute == 3 and policy.interface.execute == 3
    policy.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["train_expert_only"] is False


def test_cameras_of_another_name_need_a_rename_map_that_the_checkpoint_keeps(
    shelf: Callable[[str], Path], tmp_path: Path
) -> None:
    data = facts(cameras={"top": (48, 64), "hand": (40, 40)})
    with pytest.raises(
        VantageError,
        match=r"looks at observation.images.front, observation.images.wrist, and the data have hand, top",
    ):
        LeRobotPolicy(path=str(shelf("smolvla"))).interface(data)

    names = (
        ("observation.images.top", "observation.images.front"),
        ("observation.images.hand", "observation.images.wrist"),
    )
    renamed = LeRobotPolicy(path=str(shelf("smolvla")), rename_map=names)
    assert list(renamed.interface(data).cameras) == ["top", "hand"]
    policy = renamed.build(0, data)
    batch = batch_for(policy)
    plain = load(shelf("smolvla"))
    same = type(batch.observation)(
        images={"front": batch.observation.images["top"], "wrist": batch.observation.images["hand"]},
        state=batch.observation.state,
        environment_state=None,
        prompts=batch.observation.prompts,
    )
    torch.testing.assert_close(policy.features(batch.observation), plain.features(same))

    policy.save(tmp_path)
    saved = json.loads((tmp_path / "policy_preprocessor.json").read_text())["steps"][0]["config"][
        "rename_map"
    ]
    assert saved == dict(names)
    assert list(load(tmp_path).cameras) == ["top", "hand"]


def test_a_rename_map_that_leads_nowhere_is_one_sentence(shelf: Callable[[str], Path]) -> None:
    spec = LeRobotPolicy(
        path=str(shelf("smolvla")), rename_map=(("observation.images.front", "observation.images.camera9"),)
    )
    looks = "it looks at observation.images.front, observation.images.wrist, observation.state (on the left"
    with pytest.raises(
        VantageError, match=r"leads to observation.images.camera9, which .* does not look at"
    ) as refused:
        spec.interface(facts())
    assert looks in str(refused.value), "and at no true state"


@pytest.mark.parametrize("kind", ["pi0", "pi05"])
def test_pi_fills_a_camera_that_is_missing(kind: str, shelf: Callable[[str], Path], tmp_path: Path) -> None:
    policy = LeRobotPolicy(path=str(shelf(kind))).build(0, facts(cameras={"wrist": (40, 40)}))
    assert policy.cameras == ("wrist",)
    assert any("no camera for observation.images.front" in remark for remark in policy.remarks)
    batch = batch_for(policy)
    chunk = policy.act(batch.observation, torch.Generator().manual_seed(0))
    policy.save(tmp_path)
    again = load(tmp_path)
    assert again.cameras == ("wrist",), "the checkpoint remembers which cameras it had"
    assert torch.equal(again.act(batch.observation, torch.Generator().manual_seed(0)), chunk)


def test_smolvla_fills_as_many_cameras_as_it_says(shelf: Callable[[str], Path]) -> None:
    one = facts(cameras={"front": (48, 64)})
    with pytest.raises(VantageError, match="say which is which"):
        LeRobotPolicy(path=str(shelf("smolvla"))).interface(one)
    spec = LeRobotPolicy(path=str(shelf("smolvla")), settings=("empty_cameras=1",))
    policy = spec.build(0, one)
    assert policy.cameras == ("front",)
    images, masks = policy.policy.prepare_images(policy._ready(batch_for(policy).observation))
    assert len(images) == 2 and masks[0].all() and not masks[1].any() and (images[1] == -1).all()


def test_empty_cameras_are_asked_of_nobody(copy: Callable[[str], Path]) -> None:
    """LeRobot writes its empty slots into input_features."""
    folder = copy("smolvla")
    slot = {"type": "VISUAL", "shape": [3, 480, 640]}
    edit(
        folder / "config.json",
        lambda values: values["input_features"].update({"observation.images.empty_camera_0": slot}),
    )
    edit(folder / "config.json", lambda values: values.update(empty_cameras=1))
    policy = load(folder)
    assert policy.cameras == ("front", "wrist")
    assert policy.act(batch_for(policy).observation, torch.Generator().manual_seed(0)).isfinite().all()


def test_lerobots_single_camera(copy: Callable[[str], Path]) -> None:
    folder = copy("smolvla")

    def single(values: dict) -> None:
        values["input_features"] = {
            "observation.image": {"type": "VISUAL", "shape": [3, 48, 64]},
            "observation.state": values["input_features"]["observation.state"],
        }

    edit(folder / "config.json", single)
    policy = LeRobotPolicy(path=str(from_stock(folder))).build(0, facts(cameras={"image": (48, 64)}))
    assert policy.cameras == ("image",)
    assert policy.act(batch_for(policy).observation, torch.Generator().manual_seed(0)).isfinite().all()


# ---- dimensions, names, speed


def test_a_robot_with_more_joints_is_padded_as_lerobot_does(shelf: Callable[[str], Path]) -> None:
    data = facts(action_dim=7, action_names=tuple("abcdefg"))
    policy = LeRobotPolicy(path=str(shelf("smolvla"))).build(0, data)
    assert policy.action_dim == 7
    assert any(
        "had 4 action dimensions and the data have 7: from here it has 7" in remark
        for remark in policy.remarks
    )
    batch = batch_for(policy)
    assert policy(batch, policy.draw(4, torch.Generator())).elementwise.shape == (4, 8, 7)
    chunk = policy.act(batch.observation, torch.Generator().manual_seed(0))
    assert chunk.shape == (4, 8, 7)
    with pytest.raises(VantageError, match="holds up to 8 action dimensions and the data have 9"):
        LeRobotPolicy(path=str(shelf("smolvla"))).interface(facts(action_dim=9, action_names=None))
    with pytest.raises(VantageError, match="has 4 action dimensions and the data 7"):
        LeRobotPolicy(path=str(shelf("act"))).interface(data)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"action_names": ("motor 1", "motor 0", "motor 2", "motor 3")},
            "in the order motor 0, motor 1.*reorder the columns",
        ),
        (
            {"state_names": tuple(f"other {i}" for i in range(STATE))},
            "has the state dimensions joint 0.*and the data other 0",
        ),
        ({"fps": 20.0}, "trained at 10 control steps per second and the data have 20"),
        ({"state": None}, "needs observation.state, which the data lack"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes: dict, says: str, shelf: Callable[[str], Path]) -> None:
    with pytest.raises(VantageError, match=says):
        LeRobotPolicy(path=str(shelf("smolvla"))).interface(facts(**changes))


def test_what_was_not_compared_is_said(copy: Callable[[str], Path]) -> None:
    policy = LeRobotPolicy(path=str(from_stock(copy("smolvla")))).build(0, facts())
    said = "\n".join(policy.remarks)
    assert (
        "names of the action dimensions were not compared" in said
        and "names of the state dimensions were not compared" in said
    )
    assert "control steps per second were not compared" in said
    assert LeRobotPolicy(path=str(copy("act"))).build(0, facts("act")).remarks == ()


def test_act_says_that_it_reads_no_prompt(shelf: Callable[[str], Path]) -> None:
    policy = LeRobotPolicy(path=str(shelf("act"))).build(0, facts("act", prompts=3))
    assert any("does not read the task prompt, and the data have 3" in remark for remark in policy.remarks)


# ---- statistics


def stats_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next(folder.glob("policy_preprocessor_step_*_normalizer_processor.safetensors")))


def shifted(offset: float, *, scale: float = 1.0) -> DataFacts:
    """Actions `offset` standard deviations off, and `scale` times as wide."""
    rng = np.random.default_rng(1)
    return facts(action=Scale.of(0.1 + 0.5 * offset + 0.5 * scale * rng.standard_normal((200, ACTION))))


@pytest.mark.parametrize("kind", ["smolvla", "pi05"])
def test_a_checkpoint_keeps_its_statistics_and_foreign_data_are_named(
    kind: str, shelf: Callable[[str], Path], tmp_path: Path
) -> None:
    spec = LeRobotPolicy(path=str(shelf(kind)))
    assert spec.build(0, shifted(0.5)).remarks == ()
    policy = spec.build(0, shifted(20.0))
    assert len(policy.remarks) == ACTION
    assert (
        "action: dimension 2 (motor 2) lies up to" in policy.remarks[2]
        and 'use statistics="data"' in policy.remarks[2]
    )
    policy.save(tmp_path)
    before, after = stats_of(shelf(kind)), stats_of(tmp_path)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert len(spec.build(0, shifted(0.0, scale=100.0)).remarks) == ACTION, (
        "the same mean, a hundred times as wide"
    )


def test_the_datas_statistics_replace_them(shelf: Callable[[str], Path], tmp_path: Path) -> None:
    data = shifted(20.0)
    policy = LeRobotPolicy(path=str(shelf("smolvla")), statistics="data").build(0, data)
    batch = batch_for(policy)
    policy.save(tmp_path)
    saved = stats_of(tmp_path)
    np.testing.assert_allclose(saved["action.mean"].numpy(), data.action.mean, rtol=1e-6)
    np.testing.assert_allclose(saved["action.q99"].numpy(), data.action.q99, rtol=1e-6)
    other = LeRobotPolicy(path=str(shelf("smolvla"))).build(0, facts())
    chunk, plain = (each.act(batch.observation, torch.Generator().manual_seed(0)) for each in (policy, other))
    mean, std = (torch.from_numpy(values).float() for values in (data.action.mean, data.action.std))
    old = facts().action
    was_mean, was_std = (torch.from_numpy(values).float() for values in (old.mean, old.std))
    torch.testing.assert_close((chunk - mean) / std, (plain - was_mean) / was_std, atol=1e-3, rtol=1e-3)


def test_merged_statistics_are_those_of_all_frames(shelf: Callable[[str], Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rng.standard_normal((400, STATE))
    old = 0.1 + 0.5 * rng.standard_normal((400, ACTION))
    new = 3.0 + 2.0 * np.random.default_rng(5).standard_normal((100, ACTION))
    policy = LeRobotPolicy(path=str(shelf("smolvla")), statistics="merged").build(
        0, facts(action=Scale.of(new))
    )
    policy.save(tmp_path)
    saved, both = stats_of(tmp_path), np.concatenate([old, new])
    np.testing.assert_allclose(saved["action.mean"].numpy(), both.mean(0), rtol=1e-5)
    np.testing.assert_allclose(saved["action.std"].numpy(), both.std(0), rtol=1e-5)
    np.testing.assert_allclose(saved["action.max"].numpy(), both.max(0), rtol=1e-5)
    assert float(saved["action.count"]) == 500


def without_statistics(folder: Path, *names: str) -> Path:
    """Remove some statistics from both processors; LeRobot would pass such values unchanged, and in
    silence."""
    for path in folder.glob("*normalizer_processor.safetensors"):
        kept = {name: tensor for name, tensor in load_file(path).items() if name not in names}
        save_file(kept or {"nothing": torch.zeros(1)}, path)
    return folder


@pytest.mark.parametrize(
    ("kind", "lost"), [("smolvla", ("action.mean", "action.std")), ("pi05", ("action.q01", "action.q99"))]
)
def test_missing_statistics_come_from_the_data_and_are_named(
    kind: str, lost: tuple[str, ...], copy: Callable[[str], Path]
) -> None:
    folder = without_statistics(copy(kind), *lost)
    policy = LeRobotPolicy(path=str(folder)).build(0, shifted(0.0))
    names = ", ".join(name.removeprefix("action.") for name in lost)
    assert policy.remarks == (f"action: the checkpoint has no {names}; the data's are used",)
    with pytest.raises(VantageError, match=f"action: the checkpoint has no {names}, and there are no data"):
        load(folder)


def test_a_dimension_that_never_moves_is_not_blown_up() -> None:
    rng = np.random.default_rng(0)
    column = rng.standard_normal((1000, 3))
    column[:, 1] = 0.7
    column[:, 2] = np.where(
        np.arange(1000) < 5, 1.0, 0.0
    )  # a gripper that hardly moves: its quantiles coincide
    values, still = of_scale(Scale.of(column))
    assert still == [1]
    assert values["std"][1] == 1.0 and values["q99"][1] - values["q01"][1] == pytest.approx(2.0)
    assert values["q01"][2] == 0.0 and values["q99"][2] == 1.0
    policy = LeRobotScratch(**{**vars_of(scratch("smolvla"))}).build(
        0, facts(action=Scale.of(np.c_[column, column[:, :1]]))
    )
    assert policy.remarks == (
        "action: dimension 1 (motor 1) never moves in the data; it is passed on without a change of scale",
    )


def test_nothing_is_said_of_columns_that_a_policy_does_not_read() -> None:
    truth = np.c_[np.linspace(-1, 1, 100), np.full(100, 0.7)]
    data = facts("act", environment_state=Scale.of(truth))
    assert scratch("act").build(0, data).remarks == (), "it looks at pictures"

    reads_it = LeRobotScratch(**{**vars_of(scratch("act")), "true_state": True})
    assert reads_it.build(0, data).remarks == (
        "observation.environment_state: dimension 1 never moves in the data; "
        "it is passed on without a change of scale",
    )


def vars_of(spec: LeRobotScratch) -> dict:
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


# ---- moved, frozen, adapted


def test_a_checkpoint_carries_its_backbone_and_may_be_moved(
    shelf: Callable[[str], Path], tmp_path: Path
) -> None:
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy

    policy = load(shelf("smolvla"))
    first = tmp_path / "first" / "5-actor"
    with whole_folder(first) as folder:
        policy.save(folder)
    assert json.loads((first / "config.json").read_text())["vlm_model_name"] == str(first / "vlm")

    observation = batch_for(policy).observation
    chunk = policy.act(observation, torch.Generator().manual_seed(0))
    second = tmp_path / "second"
    first.rename(second)
    assert torch.equal(load_policy(second).act(observation, torch.Generator().manual_seed(0)), chunk)
    with pytest.raises(OSError):
        SmolVLAPolicy.from_pretrained(second)
    settle_paths(second)
    SmolVLAPolicy.from_pretrained(second)

    shutil.rmtree(second / "vlm")
    with pytest.raises(VantageError, match=r"needs the backbone folder .*vlm, which is not there"):
        load(second)


def test_the_device_of_the_checkpoint_stays_in_its_file(copy: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy("smolvla")
    edit(folder / "config.json", lambda values: values.update(device="cuda", compile_model=True))
    policy = load(folder)
    policy.save(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert saved["device"] == "cuda" and saved["compile_model"] is True


def test_what_trains_and_what_is_frozen_is_counted(shelf: Callable[[str], Path]) -> None:
    policy = load(shelf("smolvla"))
    rows = {row.name: row for row in trainable(policy)}
    assert sum(row.trained + row.frozen for row in rows.values()) == sum(
        p.numel() for p in policy.parameters()
    )
    assert rows["action expert"].frozen == 0 < rows["action expert"].trained
    assert rows["vision encoder"].trained == 0 == rows["language model"].trained
    assert rows["projections"].trained > 0
    said = in_words(trainable(policy))
    assert said.startswith("weights that train: action expert") and "; frozen: language model" in said


def test_activations_are_recomputed_where_the_policy_can(shelf: Callable[[str], Path]) -> None:
    plain = LeRobotPolicy(path=str(shelf("pi0"))).build(0, None).train()
    frugal = LeRobotPolicy(path=str(shelf("pi0")), activation_checkpointing=True).build(0, None).train()
    batch = batch_for(plain)
    draw = plain.draw(4, torch.Generator().manual_seed(0))
    gradients = []
    for policy in (plain, frugal):
        loss, features = policy(batch, draw)
        loss.mean().backward()
        gradients.append(
            (features, {name: p.grad for name, p in policy.named_parameters() if p.grad is not None})
        )
    torch.testing.assert_close(gradients[0], gradients[1])
    with pytest.raises(VantageError, match="cannot recompute activations"):
        LeRobotPolicy(path=str(shelf("act")), activation_checkpointing=True).build(0, None)


@pytest.mark.parametrize("kind", ["smolvla", "pi05"])
def test_lora_trains_few_weights_and_stock_lerobot_loads_the_adapter(
    kind: str, shelf: Callable[[str], Path], tmp_path: Path
) -> None:
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class
    from peft import PeftModel

    spec = LeRobotPolicy(path=str(shelf(kind)), lora=Lora(r=4, lora_alpha=8))
    policy = spec.build(0, facts()).train()
    rows = {row.name: row for row in trainable(policy)}
    assert {name for name, row in rows.items() if row.trained} == {"LoRA adapters"}
    names = [name for name, p in policy.named_parameters() if p.requires_grad]
    if kind == "pi05":
        assert any("time_mlp_in" in name for name in names)

    batch = batch_for(policy)
    draw = policy.draw(4, torch.Generator().manual_seed(0))
    plain = LeRobotPolicy(path=str(shelf(kind))).build(0, facts()).train()
    torch.testing.assert_close(
        policy(batch, draw).elementwise, plain(batch, draw).elementwise
    )  # an adapter starts at zero
    sgd = torch.optim.SGD([p for p in policy.parameters() if p.requires_grad], lr=1.0)
    for _ in range(3):
        sgd.zero_grad()
        policy(batch, draw).elementwise.mean().backward()
        sgd.step()
    policy.eval()
    chunk = policy.act(batch.observation, torch.Generator().manual_seed(0))
    assert not torch.equal(plain.eval().act(batch.observation, torch.Generator().manual_seed(0)), chunk)

    folder = tmp_path / "adapter"
    policy.save(folder)
    assert not (folder / "model.safetensors").exists() and (folder / "adapter_model.safetensors").exists()
    again = load_policy(folder)
    torch.testing.assert_close(again.act(batch.observation, torch.Generator().manual_seed(0)), chunk)
    assert any(p.requires_grad for p in again.parameters()), "the adapter goes on training"
    with pytest.raises(VantageError, match="is a LoRA adapter already"):
        LeRobotPolicy(path=str(folder), lora=Lora()).build(0, facts())

    config = PreTrainedConfig.from_pretrained(folder)
    assert config.use_peft
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    stock = PeftModel.from_pretrained(get_policy_class(kind).from_pretrained(base, config=config), folder)
    ready = again._ready(batch.observation)
    noise = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0))
    theirs = again._after(stock.predict_action_chunk(dict(ready), noise=noise))
    torch.testing.assert_close(theirs.float(), chunk)


def test_an_adapter_without_its_base_names_it(shelf: Callable[[str], Path], tmp_path: Path) -> None:
    base = shutil.copytree(shelf("smolvla"), tmp_path / "base")
    LeRobotPolicy(path=str(base), lora=Lora(r=2)).build(0, None).save(tmp_path / "adapter")
    shutil.rmtree(base)
    with pytest.raises(VantageError, match=r"is a LoRA adapter of .*base, which cannot be opened"):
        load(tmp_path / "adapter")


def test_lora_settings_that_peft_refuses_are_one_sentence(shelf: Callable[[str], Path]) -> None:
    with pytest.raises(VantageError, match="peft refuses these settings"):
        LeRobotPolicy(path=str(shelf("act")), lora=Lora()).build(0, None)
    named = LeRobotPolicy(
        path=str(shelf("act")), lora=Lora(target_modules=("linear1",), full_training_modules=("action_head",))
    ).build(0, None)
    assert {row.name for row in trainable(named) if row.trained} >= {"LoRA adapters"}


def test_specs_are_written_as_json_and_come_back() -> None:
    for spec in (
        LeRobotPolicy(
            path="lerobot/smolvla_base",
            rename_map=(("observation.images.front", "observation.images.camera1"),),
            settings=("n_action_steps=8",),
            statistics="merged",
            lora=Lora(r=8, target_modules=("q_proj", "v_proj")),
        ),
        LeRobotScratch(type="smolvla", settings=("chunk_size=16",), backbone=SmallVLM(width=64)),
    ):
        assert from_json(type(spec), json.loads(json.dumps(to_json(spec)))) == spec
    with pytest.raises(VantageError, match="'mine' is none of checkpoint, data, merged"):
        from_json(LeRobotPolicy, {"is": "LeRobotPolicy", "path": "x", "statistics": "mine"})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Lora(r=0), "Lora.r is 0; it must be at least 1"),
        (lambda: SmallVLM(patch=7), "a picture of 96 pixels is not made of patches of 7"),
        (
            lambda: SmallVLM(image_size=48, patch=16, shuffle=2),
            "3 patches along a side cannot be merged by 2",
        ),
        (lambda: SmallVLM(width=100, heads=3), "a width of 100 cannot be shared by 3 heads"),
        (lambda: SmallCLIP(image_size=50), "a picture of 50 pixels is not made of patches of 8"),
        (
            lambda: LeRobotScratch(type="smolvla", backbone=SmallCLIP()),
            "smolvla takes SmallVLM, not SmallCLIP",
        ),
        (
            lambda: LeRobotScratch(type="act", backbone=SmallVLM()),
            "act takes no backbone of this kind, not SmallVLM",
        ),
    ],
)
def test_widths_that_cannot_be_built_are_one_sentence(make: Callable[[], object], says: str) -> None:
    with pytest.raises(VantageError, match=says):
        make()


def test_a_type_from_scratch_is_a_function_of_its_seed(tmp_path: Path) -> None:
    first, same, other = (tiny("multi_task_dit", seed=seed) for seed in (1, 1, 2))
    weights = [policy.state_dict() for policy in (first, same, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])
    assert scratch("multi_task_dit").interface(facts("multi_task_dit")) == first.interface
    with pytest.raises(VantageError, match="the data have no camera side; they have front, wrist"):
        LeRobotScratch(type="act", cameras=("side",)).interface(facts())
    with pytest.raises(VantageError, match="LeRobot's act has no setting 'chunk_sise'; it has chunk_size"):
        LeRobotScratch(type="act", settings=("chunk_sise=3",)).interface(facts())
    with pytest.raises(VantageError, match="settings of act cannot be used by LeRobot"):
        LeRobotScratch(type="act", settings=("chunk_size=many",)).interface(facts())


def test_the_true_state_is_for_act_alone() -> None:
    with pytest.raises(VantageError, match="smolvla looks at pictures; true_state is for act alone"):
        LeRobotScratch(type="smolvla", true_state=True)


def test_what_lerobot_refuses_is_said_before_anything_is_played(tmp_path: Path) -> None:
    wrong = ("dim_model=-3", "pretrained_backbone_weights=null")
    policy = LeRobotScratch(type="act", true_state=True, settings=wrong)
    with pytest.raises(VantageError, match=r"a new act with dim_model=-3, .* cannot be used .*; correct it$"):
        run_habc(tmp_path / "run", replace(debug(), policy=policy), workers=1)
    assert not (tmp_path / "run" / "round-00").exists()


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("smolvla", "vlm_model_name=HuggingFaceTB/SmolVLM2"),
        ("multi_task_dit", "vision_encoder_name=openai/clip"),
    ],
)
def test_a_backbone_that_cannot_be_fetched_is_named(kind: str, missing: str) -> None:
    with pytest.raises(VantageError, match=missing):
        LeRobotScratch(type=kind).build(0, facts(kind))  # type: ignore[arg-type]


def test_prompts_reach_multi_task_dit_from_scratch() -> None:
    """CLIP summarises a prompt at its end mark: prompts that begin alike must not look alike."""
    policy = tiny("multi_task_dit")
    twice = batch_for(policy, 1).observation.at(torch.tensor([0, 0]))
    seen = policy.features(replace(twice, prompts=("push the puck", "pick the puck")))
    assert (seen[0] - seen[1]).abs().max() > 1e-3


def test_the_page_about_policies_holds(
    shelf: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(shelf("smolvla"), tmp_path / "outputs/train/mine/checkpoints/last/pretrained_model")
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    names: dict[str, object] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    renamed = facts(cameras={"top": (48, 64), "wrist": (40, 40)})
    assert names["go_on"].build(0, renamed).execute == 4
    assert list(names["go_on"].interface(renamed).cameras) == ["top", "wrist"]
    assert any(
        row.name == "LoRA adapters" and row.trained for row in trainable(names["adapt"].build(0, facts()))
    )
    assert names["new"].interface(facts("act")).chunk == 16
