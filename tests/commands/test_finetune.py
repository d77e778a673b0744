"""From recordings to a better policy by one command: LeRobot's options, its presets, its checkpoints;
interrupted and gone on with."""

import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from generators import dispatch
from recorded import episode_of
from tiny_finetune import ACT
from tiny_finetune import finetune_words as words
from torch import Tensor

from vantage.algorithms.finetune import FineTune, label_recordings, recordings_of, settings_of
from vantage.algorithms.plan import in_time
from vantage.batch import Observation
from vantage.commands.finetune import defaults
from vantage.commands.lerobot_words import translate
from vantage.data.episodes import Episode, save_episode
from vantage.data.v3.read import read_table
from vantage.data.v3.write import write_dataset
from vantage.disk.files import read_json, sha256_file, sha256_folder
from vantage.disk.layout import Round
from vantage.disk.lock import alone
from vantage.disk.tables import read_parquet
from vantage.errors import VantageError
from vantage.learn import features
from vantage.learn.features import TOGETHER, time_features
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.lerobot.preset import preset_of
from vantage.policies.lerobot.spec import LeRobotPolicy, LeRobotScratch
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.stages.label import label
from vantage.types import Reading


@pytest.fixture(scope="module")
def tuned(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished fine-tuning."""
    out = tmp_path_factory.mktemp("tuned") / "run"
    dispatch(words(recorded, out))
    return out


def test_it_makes_a_checkpoint_that_stock_lerobot_opens(tuned: Path) -> None:
    from lerobot.policies.act.modeling_act import ACTPolicy

    assert ACTPolicy.from_pretrained(tuned / "round-01" / "5-actor").config.n_action_steps == 4
    assert (tuned / "report.html").exists()
    assert sha256_folder(tuned / "round-01" / "5-actor") != sha256_folder(tuned / "start" / "5-actor")


def test_its_page_says_what_it_learned_from_and_what_to_do_next(tuned: Path) -> None:
    """By hand from the labels: how many rollouts worked, were rescued, and failed."""
    labels = read_parquet(tuned / "round-01" / "2-labels.parquet")
    page = " ".join((tuned / "report.html").read_text().split())
    lead = page[page.index("<h1>Round 1 is trained.") : page.index("</header>")]
    assert "vantage compare before.csv after.csv" in lead
    assert str(tuned / "round-01" / "5-actor") in lead

    counts = dict.fromkeys(("that worked", "that a person rescued", "that failed", "without an outcome"), 0)
    for episode in np.unique(labels["episode_index"]):
        rows = labels["episode_index"] == episode
        (outcome,) = np.unique(labels["outcome"][rows])
        helped = (labels["controller"][rows] == "human").any()
        words = "that a person rescued" if helped else "that worked"
        words = words if outcome == 1 else "that failed" if outcome == 0 else "without an outcome"
        counts[words] += 1
    assert all(counts.values()), "the recording has all kinds"
    for words, count in counts.items():
        assert f"{count} {words}" in lead


def test_labels_and_weights_are_those_of_the_recordings(tuned: Path, recorded: Path) -> None:
    ours, theirs = (read_parquet(run / "round-01" / "2-labels.parquet") for run in (tuned, recorded))
    for name in ("index", "outcome", "route", "segment"):
        np.testing.assert_array_equal(ours[name], theirs[name])

    weights = read_parquet(tuned / "round-01" / "4-weights.parquet")
    assert set(weights["round"]) == {0, 1}
    assert len(weights["index"]) == sum(
        len(read_parquet(tuned / f"round-0{n}" / "2-labels.parquet")["index"]) for n in (0, 1)
    )
    succeeded = weights["route"] == "rollout_success"
    assert weights["weight"][succeeded].std() > 0.01, "the critic tells successes apart"


def test_the_policys_own_preset_is_the_default(recorded: Path, tmp_path: Path, tuned: Path) -> None:
    own = preset_of(LeRobotScratch(type="act", settings=("n_action_steps=4", "chunk_size=8")))
    assert (own.lr, own.clip, own.execute, own.apart) == (1e-5, 10.0, 4, ())

    settings = settings_of(tuned)
    optim = settings.improvement.fit.optim
    assert (optim.lr, optim.clip, optim.floor) == (own.lr, own.clip, 1.0)
    assert settings.improvement.weighing.stride == settings.improvement.critic.target.stride == 4

    typed = defaults(translate(words(recorded, tmp_path / "run", "--fit.optim.lr", "3e-4")[1:]))
    assert typed.improvement.fit.optim.lr == own.lr, "what was typed counts afterwards"


def test_warm_up_shrinks_with_a_short_training() -> None:
    smolvla = preset_of(LeRobotScratch(type="smolvla"))
    assert (smolvla.lr, smolvla.betas, smolvla.clip) == (1e-4, (0.9, 0.95), 10)
    assert [smolvla.warmup_of(steps) for steps in (300, 30_000, 60_000)] == [10, 1000, 1000]


def test_started_again_it_goes_on_and_ends_the_same(
    tuned: Path, recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(tuned, out, symlinks=True)
    for product in ("round-01/5-actor", "round-01/4-weights.parquet", "round-01/round.json"):
        path = out / product
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    dispatch(words(recorded, out))
    assert "supervised policy" not in capfd.readouterr().err, "it is there already"
    assert sha256_folder(out / "round-01" / "5-actor") == sha256_folder(tuned / "round-01" / "5-actor")


@pytest.mark.parametrize("workers", [0, 3])
def test_the_number_of_workers_changes_no_weight(
    workers: int, tuned: Path, recorded: Path, tmp_path: Path
) -> None:
    dispatch(words(recorded, tmp_path / "run", f"--num_workers={workers}"))
    assert sha256_folder(tmp_path / "run/round-01/5-actor") == sha256_folder(tuned / "round-01/5-actor")


def test_the_next_round_learns_from_the_last_ones_recordings_too(
    tuned: Path, recorded: Path, tmp_path: Path
) -> None:
    out, new = tmp_path / "second", recorded / "round-02" / "1-episodes"
    dispatch(["finetune", "--from", str(tuned), "--rollouts", str(new), "--out", str(out)])

    settings = settings_of(out)
    assert settings.policy == LeRobotPolicy(path=str(tuned / "round-01" / "5-actor"))
    assert settings.improvement == settings_of(tuned).improvement and settings.outcomes == ()
    found = recordings_of(out, settings)
    assert [current.folder for current in found.rounds] == [
        tuned / "round-00",
        tuned / "round-01",
        out / "round-02",
    ]
    assert [current.number for current in found.demonstrations] == [0]

    weights = read_parquet(out / "round-02" / "4-weights.parquet")
    assert set(weights["round"]) == {0, 1, 2}
    assert not set(weights["route"][weights["round"] == 0]) - {"demo"}
    assert (out / "round-02" / "5-actor" / "model.safetensors").exists()


def test_a_plan_says_what_there_is_and_leaves_nothing(
    recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dispatch(words(recorded, tmp_path / "run", "--plan"))
    told = capfd.readouterr().out
    assert f"{recorded / 'round-01' / '1-episodes'}: rollouts, 15 episodes (8 succeeded, 5 failed)" in told
    assert "rollout_success" in told and "parameters train" in told and "6 steps of" in told
    assert re.search(r"\ntraining takes [\d.]+ [MG]B of memory\n", told)
    assert not (tmp_path / "run").exists()


def test_what_was_learned_from_is_not_named_again(
    tuned: Path, recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The recordings of the run before are learned from anyway; a copy under another name is said."""
    again, out = recorded / "round-01" / "1-episodes", tmp_path / "second"
    with pytest.raises(
        VantageError, match=r"is one of the recordings of .*; name only what was recorded since"
    ):
        dispatch(["finetune", "--from", str(tuned), "--rollouts", str(again), "--out", str(out), "--plan"])
    assert not out.exists()

    copy = Path(shutil.copytree(again, tmp_path / "copy"))
    csv = str(recorded / "round-01" / "outcomes.csv")
    more = ["--rollouts", str(copy), "--outcomes", csv, "--out", str(out), "--plan"]
    dispatch(["finetune", "--from", str(tuned), *more])
    assert (
        f"15 episodes of {copy} are in {again} too, frame by frame: they count twice"
        in capfd.readouterr().out
    )


@pytest.mark.parametrize(
    ("says", "missing", "other"), [("0", "success", "failure"), ("1", "failure", "success")]
)
def test_outcomes_of_one_kind_are_doubted(
    says: str, missing: str, other: str, recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A critic was trained on failures alone, and nobody was told."""
    csv, rollouts = tmp_path / "o.csv", recorded / "round-01"
    csv.write_text("episode_index,success\n" + "".join(f"{number},{says}\n" for number in range(15)))
    given = words(recorded, tmp_path / "run", "--plan")
    given[given.index(str(rollouts / "outcomes.csv"))] = str(csv)
    doubt = f"no frame of a {missing} is credited in any data set: the critic cannot learn what leads to"
    dispatch(given)
    assert f"{doubt} {missing}, and will expect {other} everywhere" in capfd.readouterr().out
    dispatch([*given, "--weighing.rule", "ImitDAgger"])
    assert doubt not in capfd.readouterr().out, "there is no critic"
    if says == "0":
        dispatch([word for word in given if word != "--plan"])
        assert doubt in " ".join(capfd.readouterr().err.split())


def planned(recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capfd.readouterr()
    dispatch(words(recorded, tmp_path / "run", "--plan", "--json", *more))
    return json.loads(capfd.readouterr().out)


def test_a_plan_counts_all_that_takes_time(
    recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Features of every frame, as often as a critic reads them, and the demonstrations that come first."""
    frames = sum(len(read_table(Round.of(recorded, number).episodes, demos=number == 0)) for number in (0, 1))
    told = planned(recorded, tmp_path, capfd)
    assert told["feature_frames"] == frames and told["supervised_steps"] == 5
    parts = (
        6 * told["seconds_per_step"],
        5 * told["supervised_seconds_per_step"],
        frames * told["seconds_per_feature"],
    )
    assert min(parts) > 0 and told["seconds"] == pytest.approx(sum(parts))

    chunks = planned(recorded, tmp_path, capfd, "--weighing.rule", "ExponentialWeights")
    assert chunks["feature_frames"] == frames, "the critic of chunks reads them"
    none = planned(recorded, tmp_path, capfd, "--weighing.rule", "ImitDAgger")
    assert none["feature_frames"] == 0 and none["seconds_per_feature"] == 0

    dispatch(words(recorded, tmp_path / "run", "--plan"))
    said = capfd.readouterr().out
    assert re.search(rf"features of {frames:,} frames for the critic, [\d.]+ m?s each: about \d", said)
    assert "5 steps of" in said
    assert "beside reading pictures and the critic's own steps" in said


class SlowEyes(FlowPolicy):
    """A policy whose features take two milliseconds a frame."""

    passes: ClassVar[list[int]] = []

    def features(self, observation: Observation) -> Tensor:
        self.passes.append(len(observation))
        time.sleep(0.002 * len(observation))
        return super().features(observation)


@pytest.mark.parametrize(("frames", "largest"), [(5000, TOGETHER), (40, 40)])
def test_features_are_timed_in_passes_as_large_as_they_are_computed_in(frames: int, largest: int) -> None:
    SlowEyes.passes.clear()
    policy = SlowEyes(FlowConfig(net=NetConfig(sight=TrueState(width=16), width=32)))
    assert 0.002 <= time_features(policy, frames) < 0.006
    assert SlowEyes.passes == [8, largest]


def test_a_slow_policy_is_timed_on_fewer_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """At four frames a second a whole pass would take a minute."""
    monkeypatch.setattr(features, "PATIENCE", 0.1)
    SlowEyes.passes.clear()
    policy = SlowEyes(FlowConfig(net=NetConfig(sight=TrueState(width=16), width=32)))
    assert 0.002 <= time_features(policy, 5000) < 0.006
    assert SlowEyes.passes[0] == 8 <= SlowEyes.passes[1] <= 50


def test_a_time_is_said_in_units_of_its_size() -> None:
    sizes = (2e-6, 0.0042, 0.0421, 0.21, 2.56, 89, 600, 7200)
    said = ["0.1 ms", "4.2 ms", "42 ms", "0.21 s", "2.6 s", "89 s", "10 min", "2.0 h"]
    assert [in_time(seconds) for seconds in sizes] == said


def test_demonstrations_among_rollouts_are_named_by_their_episodes(
    recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As a merge of both holds them: they are labelled as `vantage label --demos 0-1,4` does."""
    dispatch(words(recorded, tmp_path / "run", "--plan", "--demo-episodes", "0-1,4"))
    told = capfd.readouterr().out
    assert "rollouts, 15 episodes (8 succeeded, 5 failed)" in told
    assert "3 of the episodes are demonstrations" in told

    here, labels = Round.of(recorded, 1), tmp_path / "labels.parquet"
    csv = here.folder / "outcomes.csv"
    label(here.episodes, labels, outcomes=csv, demos={0, 1, 4})
    settings = FineTune(rollouts=(here.episodes,), outcomes=(csv,), demo_episodes=("0-1,4",))
    recordings = recordings_of(tmp_path / "run", settings)
    label_recordings(tmp_path / "run", recordings, settings)
    assert recordings.last.labels.read_bytes() == labels.read_bytes()

    for typed, sentence in (
        (["0", "none"], "has 2 words for 1 data sets of rollouts"),
        (["4-1"], "--demo-episodes 4-1: `4-1` names no episodes"),
        (["all"], "name a data set of demonstrations with --demos"),
        (["20"], "there is no episode 20"),
    ):
        with pytest.raises(VantageError, match=sentence):
            dispatch(words(recorded, tmp_path / "other", "--plan", "--demo-episodes", *typed))
    assert not (tmp_path / "other").exists()


def test_who_drove_is_read_as_it_is_said(recorded: Path, tmp_path: Path) -> None:
    """`--driver policy` is about the rollouts; demonstrations stay what they are."""
    demos, rollouts = Round.of(recorded, 0), Round.of(recorded, 1)
    csv = rollouts.folder / "outcomes.csv"
    alone = Reading(driver="policy")
    settings = FineTune(
        demos=(demos.episodes,), rollouts=(rollouts.episodes,), outcomes=(csv,), reading=alone
    )
    recordings = recordings_of(tmp_path / "run", settings)
    label_recordings(tmp_path / "run", recordings, settings)

    label(rollouts.episodes, tmp_path / "alone.parquet", outcomes=csv, reading=alone)
    label(rollouts.episodes, tmp_path / "as-recorded.parquet", outcomes=csv)
    made = recordings.last.labels.read_bytes()
    assert made == (tmp_path / "alone.parquet").read_bytes()
    assert made != (tmp_path / "as-recorded.parquet").read_bytes()
    label(demos.episodes, tmp_path / "demos.parquet", demos=True)
    assert recordings.rounds[0].labels.read_bytes() == (tmp_path / "demos.parquet").read_bytes()


def test_a_new_policy_looks_at_the_cameras_that_are_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("demos", "rollouts"):
        recorded = [
            with_pictures(episode_of(("P" * 12, number == 1), seed=number, version=0)) for number in (0, 1)
        ]
        for number, episode in enumerate(recorded):
            save_episode(tmp_path / f"{name}-journal", number, episode)
        write_dataset(tmp_path / f"{name}-journal", range(2), tmp_path / name, 20, images=True)
    asked = [word for word in ACT if "true-state" not in word]
    data = ["--demos", str(tmp_path / "demos"), "--rollouts", str(tmp_path / "rollouts")]
    line = ["finetune", *asked, "--policy.pretrained_backbone_weights=null", *data, "--batch_size=2"]
    line += ["--out", str(tmp_path / "run"), "--plan"]

    dispatch([*line, "--cameras", "wrist"])
    told = capfd.readouterr().out
    assert "the policy looks at wrist; " in told
    assert "pictures take 111 kB on the disk; " in told, "48 frames of 32 x 24 pixels, three bytes each"
    with pytest.raises(
        VantageError, match=r"--cameras top: the data sets have no such camera in common \(front, wrist\)"
    ):
        dispatch([*line, "--cameras", "top"])


def test_corrections_alone_are_imitated_by_a_rule_without_a_critic(
    recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As LeRobot's DAgger records by default; beside other rollouts they need no csv of their own."""
    for number in (0, 1):
        save_episode(tmp_path / "journal", number, episode_of(("H" * 15, None), seed=number, version=0))
    write_dataset(tmp_path / "journal", range(2), tmp_path / "corrections", 20)
    demos = ["--demos", str(recorded / "round-00" / "1-episodes")]
    line = ["finetune", *ACT, *demos, "--out", str(tmp_path / "run"), "--plan"]
    corrections = ["--rollouts", str(tmp_path / "corrections")]
    with pytest.raises(VantageError, match=r"nothing to learn from; .*--weighing\.rule ImitDAgger"):
        dispatch([*line, *corrections])
    dispatch([*line, *corrections, "--weighing.rule", "ImitDAgger"])
    assert "30 intervention frames" in capfd.readouterr().out

    both = [*corrections, str(recorded / "round-01" / "1-episodes")]
    dispatch([*line, *both, "--outcomes", "none", str(recorded / "round-01" / "outcomes.csv")])
    assert "15 episodes (8 succeeded, 5 failed)" in capfd.readouterr().out


def with_pictures(episode: Episode) -> Episode:
    """The same with two cameras of 32 x 24 pixels."""
    grey = np.zeros((len(episode.state), 24, 32, 3), np.uint8)
    return replace(episode, images={"front": grey, "wrist": grey})


def test_what_does_not_go_together_is_said_before_anything_is_made(recorded: Path, tmp_path: Path) -> None:
    data, other = (str(recorded / f"round-0{number}" / "1-episodes") for number in (1, 0))
    odd = str(tmp_path / "odd.csv")
    Path(odd).write_text("hello\n")
    cases = {
        "no policy to fine-tune": ["--rollouts", data],
        "nothing to learn from but demonstrations": [*ACT, "--demos", data],
        "2 files of outcomes for 1 data sets": [
            *ACT,
            "--demos",
            data,
            "--rollouts",
            data,
            "--outcomes",
            "a.csv",
            "b.csv",
        ],
        "is named twice": [*ACT, "--demos", data, "--rollouts", data],
        "nowhere does not exist": [*ACT, "--demos", data, "--rollouts", "nowhere"],
        "is not a LeRobotDataset": [*ACT, "--demos", str(tmp_path), "--rollouts", data],
        "outcomes file no does not exist": [*ACT, "--rollouts", data, "--outcomes", "no", "--demos", other],
        "has no column episode_index": [*ACT, "--rollouts", data, "--outcomes", odd, "--demos", other],
        "learns from demonstrations first": [*ACT, "--rollouts", data],
        "is no run of `vantage finetune`": ["--from", str(recorded), "--rollouts", data],
        "has no setting 'chunk'": [*ACT, "--policy.chunk=3", "--demos", data, "--rollouts", data],
        "write it as lerobot-train has it": [*ACT, "--rename_map", "front", "--rollouts", data],
        "'data/rollout_1' stands before any option; name": ["data/rollout_1", *ACT],
        "is no setting of LoRA": ["--policy.path", data, "--peft.rank=3", "--rollouts", data],
    }
    for sentence, options in cases.items():
        with pytest.raises(VantageError, match=sentence):
            dispatch(["finetune", *options, "--out", str(tmp_path / "run")])
        assert not (tmp_path / "run").exists(), sentence


def test_a_csv_that_does_not_fit_leaves_a_folder_that_the_right_one_may_take(
    recorded: Path, tmp_path: Path
) -> None:
    """The demonstrations are labelled before it is looked at, and are not kept either."""
    out, unfit = tmp_path / "run", tmp_path / "unfit.csv"
    unfit.write_text("episode_index,success\n99,1\n")
    typed = words(recorded, out)
    right = typed.index("--outcomes") + 1
    with pytest.raises(VantageError, match=r"line 2 of .*unfit.csv: there is no episode 99"):
        dispatch([*typed[:right], str(unfit), *typed[right + 1 :]])
    assert {path.name for path in out.iterdir()} <= {".lock"}
    dispatch(["weights", *typed[1:]])
    assert (out / "round-01/4-weights.parquet").exists()


def test_lerobots_options_are_spelled_as_ours() -> None:
    assert translate(["--num_workers=4", "--steps=3", "--batch_size", "8", "--policy.device=cuda"]) == [
        *("--compute.workers", "4"),
        *("--fit.steps", "3"),
        *("--fit.batch", "8"),
        *("--compute.device", "cuda"),
    ]
    assert translate(["--policy.type=act"]) == ["--policy", "LeRobotScratch", "--policy.type", "act"]
    assert translate(
        ["--policy.path=a", "--policy.n_action_steps=8", "--policy.use_vae", "false", "--demos", "x", "y"]
    ) == [
        *("--policy.path", "a", "--demos", "x", "y"),
        *("--policy.settings", "n_action_steps=8", "use_vae=false"),
    ]
    assert translate(['--rename_map={"a.b": "c"}', "--peft.r=16", "--peft.lora_alpha=8"]) == [
        *("--policy.rename-map", "a.b", "c"),
        *("--policy.lora", "Lora", "--policy.lora.r", "16", "--policy.lora.lora-alpha", "8"),
    ]
    assert translate(["--weighing.rule", "HABCV", "--policy.lora", "Lora"]) == [
        "--weighing.rule",
        "HABCV",
        "--policy.lora",
        "Lora",
    ]


def test_settings_come_back_from_their_file(tuned: Path) -> None:
    settings = settings_of(tuned)
    assert isinstance(settings, FineTune) and settings.demos[0].name == "1-episodes"
    assert Round.of(tuned, 0).episodes.is_symlink()


def test_weights_alone_are_those_of_the_fine_tuning(
    tuned: Path, recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    dispatch(["weights", *words(recorded, out)[1:]])
    written = [Path(line) for line in capfd.readouterr().out.splitlines()]
    assert not (out / "round-01" / "5-actor").exists()
    name = "round-01/4-weights.parquet"
    assert sha256_file(out / name) == sha256_file(tuned / name)

    ledger = read_parquet(out / name)
    ours = read_parquet(next(path for path in written if path.name == "01-1-episodes-weights.parquet"))
    rows = ledger["round"] == 1
    np.testing.assert_array_equal(ours["index"], ledger["index"][rows])
    counted = ledger["weight"][rows].astype(np.float64) * ledger["sampling"][rows]
    np.testing.assert_allclose(ours["weight"], counted / counted.mean(), rtol=1e-5)
    assert ours["weight"].mean() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(ours["fingerprint"], ledger["fingerprint"][rows])
    viability = read_parquet(out / "weights" / "01-1-episodes-sarm_progress.parquet")
    np.testing.assert_array_equal(viability["fingerprint"], ledger["fingerprint"][rows])
    np.testing.assert_array_equal(viability["progress_sparse"], ledger["p_v"][rows].astype(np.float32))

    dispatch(words(recorded, out))
    assert sha256_folder(out / "round-01" / "5-actor") == sha256_folder(tuned / "round-01" / "5-actor")


def test_a_run_that_somebody_works_on_is_left_alone(tuned: Path, recorded: Path) -> None:
    before = sha256_folder(tuned / "round-01" / "5-actor")
    with alone(tuned, "wait"):
        for command in (words(recorded, tuned), ["weights", *words(recorded, tuned)[1:]]):
            with pytest.raises(
                VantageError,
                match=r"process \d+ on .* is writing to .*; wait for it, or name another folder with --out",
            ):
                dispatch(command)
    assert sha256_folder(tuned / "round-01" / "5-actor") == before


def test_stages_of_a_run_of_this_kind_are_gone_on_with_by_its_own_command(tuned: Path) -> None:
    with pytest.raises(VantageError, match="was made by `vantage finetune`"):
        dispatch(["fit-policy", str(tuned / "round-01")])


def test_what_was_changed_since_a_run_was_made_is_found(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tuned, run, symlinks=True)
    dispatch(["verify", str(run)])
    assert "round-01: as it was made" in capsys.readouterr().out

    (run / "round-01" / "3-critic" / "config.json").write_text("{}")
    shutil.rmtree(run / "round-01" / "5-actor")
    with pytest.raises(SystemExit) as ended:
        dispatch(["verify", str(run)])
    told = capsys.readouterr().out
    assert ended.value.code == 1
    assert "3-critic: changed since it was made" in told and "5-actor: gone" in told
    assert "round-01/3-critic and what stands behind it there" in told
    part = run / "round-01"
    for command in ("verify", "report"):
        with pytest.raises(VantageError, match=re.escape(f"it is a part of the run {run.resolve()}; name")):
            dispatch([command, str(part)])
        with pytest.raises(VantageError, match="name the folder that `vantage run` or"):
            dispatch([command, str(tmp_path / "nothing" / "at" / "all")])
    (tmp_path / "begun/round-00").mkdir(parents=True)
    with pytest.raises(VantageError, match=r"no round of .*begun is finished, so there are no checksums yet"):
        dispatch(["verify", str(tmp_path / "begun")])


def test_the_record_of_a_fine_tuning_names_the_policy_that_entered(tuned: Path) -> None:
    sums = read_json(tuned / "round-01" / "round.json")["sha256"]
    assert sums["../start/5-actor"] == sha256_folder(tuned / "start" / "5-actor")
