"""What users of LeRobot, Evo-RL, RLinf, openpi and their neighbours reported in public threads: which test
holds each, and those that are held here."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import jaxtyping
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from campaign.datasets import FRONT
from line_world import LineSpec, line_actor
from safetensors.torch import load_file, save_file
from three import DATA, Three
from tiny_lerobot import KINDS, batch_for, tiny, tiny_pi

from vantage.batch import Observation
from vantage.collect.episode import _ChunkedPolicy
from vantage.data.v3.read import read_table
from vantage.disk.tables import read_parquet
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.load import load_policy
from vantage.policies.protocol import Policy
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.practice.lockstep import Group, Start, play_group
from vantage.stages.label import label
from vantage.types import VantageError

TheThree = Callable[..., Three]
TESTS = Path(__file__).parents[1]

HELD = {
    "pictures that are not square (lerobot#4292)": (
        "policies/test_lerobot_pictures.py::test_store_and_policy_equal_lerobots_dataset_and_policy",
    ),
    "camera names differ (lerobot#2262)": (
        "policies/test_lerobot_checkpoints.py::test_cameras_of_another_name_need_a_rename_map_that_the_checkpoint_keeps",
        "policies/test_lerobot_checkpoints.py::test_a_rename_map_that_leads_nowhere_is_one_sentence",
    ),
    "corrections only (LeRobot's DAgger)": (
        "faults/test_people.py::test_corrections_alone_need_no_outcome",
        "policies/test_lerobot_commands.py::test_corrections_alone_are_read_as_corrections",
        "commands/test_finetune.py::test_corrections_alone_are_imitated_by_a_rule_without_a_critic",
    ),
    "demonstrations merged with rollouts (lerobot#2626)": (
        "faults/test_people.py::test_demonstrations_and_rollouts_in_one_dataset",
        "data/test_audit.py::test_demonstrations_among_rollouts_are_suspected",
    ),
    "a csv as people write it": (
        "faults/test_people.py::test_a_csv_as_people_write_it",
        "faults/test_people.py::test_another_separator_is_named",
    ),
    "intervention as numbers, under other names (Evo-RL, RLinf)": (
        "faults/test_columns.py::test_who_drove_in_any_type_and_under_any_known_name",
        "faults/test_columns.py::test_numbers_that_are_no_flag_name_their_frame",
        "faults/test_columns.py::test_a_list_of_one_is_one_value",
    ),
    "False everywhere means nobody pressed (lerobot#3914)": (
        "faults/test_people.py::test_no_success_at_all_is_said",
    ),
    "no statistics, or another robot's (lerobot#694, #4206)": (
        "policies/test_lerobot_checkpoints.py::test_missing_statistics_come_from_the_data_and_are_named",
        "policies/test_lerobot_checkpoints.py::test_a_checkpoint_keeps_its_statistics_and_foreign_data_are_named",
        "policies/test_lerobot_checkpoints.py::test_the_datas_statistics_replace_them",
    ),
    "meta/episodes is not the data (lerobot#4143)": (
        "faults/test_meta.py::test_rows_that_are_not_the_data",
        "faults/test_meta.py::test_rows_in_another_order_are_the_same_rows",
    ),
    "fewer cameras than the policy (lerobot#2269)": (
        "policies/test_lerobot_checkpoints.py::test_empty_cameras_are_asked_of_nobody",
        "policies/test_lerobot_checkpoints.py::test_smolvla_fills_as_many_cameras_as_it_says",
        "policies/test_lerobot_checkpoints.py::test_pi_fills_a_camera_that_is_missing",
    ),
    "a LoRA adapter's folder (lerobot#3975)": (
        "policies/test_lerobot_checkpoints.py::test_lora_trains_few_weights_and_stock_lerobot_loads_the_adapter",
        "policies/test_lerobot_checkpoints.py::test_an_adapter_without_its_base_names_it",
    ),
    "the same width in another order (lerobot#4416)": (
        "data/test_replay.py::test_dimensions_in_another_order_are_put_right",
        "policies/test_lerobot_checkpoints.py::test_what_does_not_fit_is_refused_by_name",
    ),
    "fps differs between sources (lerobot#2786)": (
        "data/test_replay.py::test_recordings_of_different_rates_are_refused",
    ),
    "video times a little off (lerobot#3177)": (
        "faults/test_meta.py::test_times_a_little_off_do_not_move_a_picture",
        "faults/test_meta.py::test_times_that_disagree_are_said",
    ),
    "outcomes per episode, or under another name (Evo-RL, OpenTau)": (
        "faults/test_people.py::test_outcomes_of_meta_episodes",
        "faults/test_people.py::test_successes_under_another_name",
    ),
    "a pi0 or pi0.5 checkpoint, or another type (lerobot#4206)": (
        "policies/test_lerobot_policies.py::test_pi_equals_lerobots_own_loss_without_padding",
        "policies/test_lerobot_checkpoints.py::test_another_type_is_refused_before_anything_is_built",
    ),
    "a single camera, observation.image (lerobot#1317)": (
        "faults/test_pictures.py::test_a_single_camera_under_another_name",
        "policies/test_lerobot_checkpoints.py::test_lerobots_single_camera",
    ),
    "columns of openpi, RLinf and LIBERO (openpi#387)": (
        "faults/test_public_faults.py::test_columns_of_other_converters_are_named_with_what_they_may_be",
    ),
    "a set that is partly downloaded (lerobot#959)": (
        "faults/test_meta.py::test_an_incomplete_download",
        "faults/test_meta.py::test_files_that_are_damaged_missing_or_none",
    ),
    "hardware clocks (lerobot#3513)": (
        "faults/test_columns.py::test_jitter_cuts_nothing",
        "faults/test_columns.py::test_clocks_that_tell_no_time",
    ),
    "fps 29.97 (lerobot#2001)": ("faults/test_meta.py::test_a_rate_that_is_no_whole_number",),
    "pictures by path (lerobot#2529)": ("faults/test_pictures.py::test_cells_that_hold_no_picture",),
    "leftovers of macOS and editors": (
        "faults/test_meta.py::test_what_an_operating_system_or_an_editor_left",
    ),
    "depth (lerobot#3644)": (
        "faults/test_pictures.py::test_depth_cameras_are_left_out_with_a_sentence",
        "faults/test_pictures.py::test_cells_that_hold_no_picture",
    ),
    "quantiles of pi0.5 (lerobot#2105)": (
        "policies/test_lerobot_checkpoints.py::test_missing_statistics_come_from_the_data_and_are_named",
        "policies/test_lerobot_checkpoints.py::test_merged_statistics_are_those_of_all_frames",
        "policies/test_lerobot_checkpoints.py::test_a_dimension_that_never_moves_is_not_blown_up",
    ),
    "the first chunk after a hand-over (lerobot#3747)": (
        "data/test_audit.py::test_jumps_at_handovers",
        "data/test_audit.py::test_a_policy_that_resumes_on_what_it_saw_before",
    ),
    "fewer steps executed than predicted (lerobot#4454)": (
        "commands/test_finetune.py::test_the_policys_own_preset_is_the_default",
    ),
    "several tasks in an episode, language columns (lerobot#4380)": (
        "faults/test_meta.py::test_the_prompt_may_change_within_an_episode",
        "faults/test_meta.py::test_a_dataset_as_converters_write_it",
    ),
    "v2.1 converted to v3 (lerobot#3786)": ("faults/test_meta.py::test_a_dataset_as_converters_write_it",),
    "evaluation shares state between worlds (lerobot#4327)": (
        "faults/test_public_faults.py::test_worlds_that_are_played_in_turn_share_nothing",
        "faults/test_public_faults.py::test_a_world_that_ends_early_leaves_the_others_as_they_were",
    ),
    "several renderers in a process (Metaworld#448, RLinf#965)": (
        "worlds/test_render.py::test_copies_of_a_world_share_a_context_and_nothing_else",
        "worlds/test_render.py::test_two_sizes_are_drawn_side_by_side",
        "faults/test_public_faults.py::test_a_graphics_device_that_is_not_there_is_named",
    ),
    "weights in bf16 (lerobot#2956)": (
        "faults/test_public_faults.py::test_a_checkpoint_in_bfloat16_acts_and_is_kept",
    ),
    "pictures in 0 to 1 where bytes belong (lerobot#4292)": (
        "faults/test_public_faults.py::test_pictures_that_are_no_bytes_are_refused",
    ),
    "a checkpoint moved to another machine (lerobot#4291)": (
        "policies/test_lerobot_checkpoints.py::test_a_checkpoint_carries_its_backbone_and_may_be_moved",
        "policies/test_lerobot_checkpoints.py::test_a_backbone_that_cannot_be_fetched_is_named",
    ),
    "a recorder slower than its fps (lerobot#2786)": (
        "faults/test_public_faults.py::test_a_slow_recorder_changes_no_label",
    ),
    "a run's folder instead of the policy (lerobot#4023)": (
        "policies/test_lerobot_checkpoints.py::test_a_folder_above_it_is_enough",
    ),
    "a data set behind a link, or that cannot be written to": (
        "faults/test_public_faults.py::test_a_linked_folder_that_cannot_be_written_to_is_labelled_elsewhere",
    ),
    "prompts of any words": ("faults/test_meta.py::test_tasks_of_any_words",),
    "pictures of any colours": ("faults/test_pictures.py::test_pictures_of_any_colours",),
}
"""Fault -> the tests that fail where it comes back."""


@pytest.mark.parametrize("fault", HELD)
def test_every_public_fault_has_its_test(fault: str) -> None:
    for test in HELD[fault]:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (TESTS / file).read_text(), test


# ------------------------------------------------------------------------------------- columns of other tools


def _rename(three: Three, names: dict[str, str]) -> None:
    three.edit(DATA, lambda table: table.rename_columns([names.get(old, old) for old in table.column_names]))
    for old, new in names.items():
        three.rename_feature(old, new)


def test_columns_of_other_converters_are_named_with_what_they_may_be(the_three: TheThree) -> None:
    """As openpi's and RLinf's converters call them; with the two renamed, the rest is known by its names."""
    three = the_three("front", images=True)
    others = {"observation.state": "state", "action": "actions", "next.success": "is_success"}
    _rename(three, others | {FRONT: "image", "next.done": "done", "intervention": "intervene_flag"})
    with pytest.raises(VantageError) as refused:
        read_table(three.root)
    sentence = str(refused.value)
    assert "has no column `observation.state`, `action`" in sentence
    assert "`state` may be `observation.state`" in sentence and "`actions` may be `action`" in sentence
    assert "rename" in sentence and "record" not in sentence, "nobody can record it again"

    _rename(three, {"state": "observation.state", "actions": "action"})
    table = read_table(three.root)
    assert table.cameras == ("image",) and table.success is not None
    assert table.success.any() and table.intervention.any()


# ---------------------------------------------------------------------------------------- worlds side by side


def small_flow() -> Policy:
    """A new policy of the true state, which acts from noise three steps at a time."""
    sight = TrueState(dim=2, width=16)
    net = NetConfig(sight=sight, state_dim=1, action_dim=1, chunk=4, execute=3, width=32)
    return FlowPolicy(FlowConfig(net=net))


def test_worlds_that_are_played_in_turn_share_nothing() -> None:
    """LeRobot's parallel tasks shared the queue of one policy.

    Two worlds of one policy, in turn and unequally long: each moves as it does alone, bit by bit.
    """
    policy, spec = small_flow(), LineSpec("line", limit=20)

    def moves(seed: int, steps: int) -> "list[float]":
        world = spec()
        world.reset(seed)
        driver = _ChunkedPolicy(policy, torch.Generator().manual_seed(seed), policy.execute)
        for _ in range(steps):
            action = driver.next_action(world, None)
            world.step(action)
            yield float(action[0])

    alone = [list(moves(seed, steps)) for seed, steps in ((1, 5), (2, 14))]
    together = list(zip_longest(moves(1, 5), moves(2, 14)))
    assert [first for first, _ in together if first is not None] == alone[0]
    assert [second for _, second in together] == alone[1]


def test_a_world_that_ends_early_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    """Nothing that is played after its end counts, and nobody is given another world's picture."""
    line_actor(tmp_path / "actor")
    spec, seeds = LineSpec("line", limit=60), (3, 4, 5, 6)

    def played(*seeds: int) -> "list[tuple[int, bool, np.ndarray]]":
        starts = tuple(Start(spec, 0, seed) for seed in seeds)
        trials = play_group(Group(0, starts, tmp_path / "actor", explores=False))
        shown = [
            trials.action[trials.episode == i][trials.executed[trials.episode == i]]
            for i in range(len(seeds))
        ]
        return list(zip(trials.steps.tolist(), trials.success.tolist(), shown, strict=True))

    together, alone = played(*seeds), [played(seed)[0] for seed in seeds]
    lengths = [steps for steps, _, _ in together]
    assert len(set(lengths)) > 2 and all(success for _, success, _ in together), (
        "they end one after the other"
    )
    for (steps, success, actions), (its_steps, its_success, its_actions) in zip(together, alone, strict=True):
        assert (steps, success) == (its_steps, its_success) and len(actions) == steps
        np.testing.assert_allclose(actions, its_actions, atol=1e-5)  # a batch of one rounds in its own way


def test_a_graphics_device_that_is_not_there_is_named() -> None:
    """MuJoCo stops in the middle of a renderer, with two tracebacks."""
    program = (
        "import mujoco\n"
        "from vantage.types import VantageError\n"
        "from vantage.worlds.render import FastRenderer\n"
        "model = mujoco.MjModel.from_xml_string('<mujoco/>')\n"
        "try: FastRenderer(model, 16)\n"
        "except VantageError as error: print(error)"
    )
    odd = os.environ | {"MUJOCO_GL": "egl", "MUJOCO_EGL_DEVICE_ID": "700"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=odd, capture_output=True, text=True
    )
    assert done.stdout.startswith("MUJOCO_EGL_DEVICE_ID is 700, and of graphics devices there are ")
    assert "unset it" in done.stdout and done.stderr == ""


# ------------------------------------------------------------------------------------- precision and pictures


def in_bfloat16(folder: Path) -> None:
    """Keep a checkpoint's weights as bf16, as many are published."""
    path = folder / "model.safetensors"
    kept = {
        name: tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor
        for name, tensor in load_file(path).items()
    }
    save_file(kept, path, {"format": "pt"})


@pytest.mark.parametrize("kind", ["flow", *KINDS])
def test_a_checkpoint_in_bfloat16_acts_and_is_kept(kind: str, tmp_path: Path) -> None:
    """NumPy has no bf16: actions come out as float32, of the loaded policy and of the one saved again."""
    with tiny_pi():
        policy = small_flow() if kind == "flow" else tiny(kind)
        policy.save(tmp_path / "first")
        in_bfloat16(tmp_path / "first")
        observation = (
            policy.interface.fake_batch(4).observation if kind == "flow" else batch_for(policy).observation
        )
        loaded = load_policy(tmp_path / "first")
        chunk = loaded.act(observation, torch.Generator().manual_seed(0))
        assert chunk.dtype == torch.float32 and np.isfinite(chunk.numpy()).all()
        assert loaded.features(observation).float().isfinite().all()

        loaded.save(tmp_path / "second")
        again = load_policy(tmp_path / "second")
        assert torch.equal(again.act(observation, torch.Generator().manual_seed(0)), chunk)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.int64])
def test_pictures_that_are_no_bytes_are_refused(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies divide by 255: pictures in 0 to 1 would have turned black, and nobody been told."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as it is for users, who check no types
    with pytest.raises(VantageError, match=r"camera front are \w+ and must be bytes \(uint8, 0 to 255\)"):
        Observation(
            images={"front": torch.ones(1, 8, 8, 3, dtype=kind)},
            state=torch.zeros(1, 2),
            environment_state=None,
            prompts=("go",),
        )


# ----------------------------------------------------------------------------------------------------- clocks


def test_a_slow_recorder_changes_no_label(the_three: TheThree, tmp_path: Path) -> None:
    """LeRobot writes frame_index / fps whatever the clock said, so a camera that made 30 of it 21 cannot be
    seen. Steps are counted, not seconds: whatever rate is declared, the labels are the same, and the page
    says so."""
    stored = []
    for fps in (30, 21):
        three = the_three().info(fps=fps)
        three.column("timestamp", (np.tile(np.arange(8), 3) / fps).astype(np.float32))
        label(three.root, tmp_path / f"{fps}.parquet")
        stored.append(read_parquet(tmp_path / f"{fps}.parquet"))
    assert stored[0]["efficiency_target_mc"][:8].tolist() == [-7, -6, -5, -4, -3, -2, -1, 0]
    for name, values in stored[0].items():
        np.testing.assert_array_equal(values, stored[1][name], err_msg=name)
    page = " ".join((TESTS.parent / "docs/robot.md").read_text().split())
    assert "Vantage counts control steps, not seconds" in page and "`frame_index / fps`" in page


# ---------------------------------------------------------------------------------------- where a data set is


def test_a_linked_folder_that_cannot_be_written_to_is_labelled_elsewhere(
    the_three: TheThree, tmp_path: Path
) -> None:
    three = the_three("front")
    link, out = tmp_path / "linked", tmp_path / "labels.parquet"
    link.symlink_to(three.root, target_is_directory=True)
    before = {path: path.stat().st_mtime_ns for path in three.root.rglob("*")}
    for path in [three.root, *before]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        label(link, out)
    finally:
        for path in [three.root, *before]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert pq.read_table(out).num_rows == 24
    assert {path: path.stat().st_mtime_ns for path in three.root.rglob("*")} == before
