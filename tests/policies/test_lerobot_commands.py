"""The real `lerobot-eval` and `lerobot-rollout`, in a process of their own, on checkpoints that Vantage
saved: they run, and act as Vantage does; what `lerobot-rollout` records while a person corrects is read,
audited and labelled; what the plugin adds runs in them: a watched policy, the small policy, MetaWorld, and
two arms."""

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from stock_lerobot import run_stock
from tiny_lerobot import STATE, facts, tiny

from vantage.algorithms.watch import Watch, viability, write_guarded, write_watch
from vantage.batch import Observation
from vantage.collect.episode import run_episode
from vantage.collect.observe import Memory
from vantage.collect.operators import NoOne
from vantage.core.alarm import Alarm, Calibration
from vantage.core.limits import Limits
from vantage.data.audit import audit
from vantage.data.frames import Raw, make_frames
from vantage.data.v3.read import read_table
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import Panel, save_panel
from vantage.nets.critic import DualCritic
from vantage.nets.vla import NetConfig, Pixels
from vantage.policies.lerobot.adapter import LeRobotAdapter
from vantage.policies.load import load_policy
from vantage.policies.small.export import export
from vantage.policies.small.flow import FlowConfig, FlowPolicy
from vantage.seeding import global_generator_kept, seed_for
from vantage.stages.label import label
from vantage.types import Route, VantageError
from vantage.worlds.bimanual import arms
from vantage.worlds.bimanual.spec import BimanualSpec
from vantage.worlds.spec import MetaWorldSpec, place_of

HERE = Path(__file__).parent
TASK = "pick the cube"
ACTIONS = 18
MOVED = ("--strategy.type=base", f"--robot.stops_after={ACTIONS}")
"""A policy alone on the arm for so many actions, however fast the machine is."""
HELD = 2.0
"""Where the leader of `toy_arm` holds every joint."""
KEYS = {
    # pause, correct, the correction is done, go on, stop
    "dagger": (b" ", b"\t", b"\t", b" ", b"\x1b"),
    # pause, correct, done: lerobot-rollout stops by itself after one correction
    "corrections": (b" ", b"\t", b"\t"),
    # the alarm pauses by itself; correct, the correction is done, stop
    "called": (b"\t", b"\t", b"\x1b"),
}
"""What a person presses, one after the other, while the arm of this name moves."""


@dataclass(frozen=True)
class Ran:
    """What the commands left behind."""

    folder: Path
    act: LeRobotAdapter
    """ACT, which plays the toy world."""
    arm: LeRobotAdapter
    """ACT, which moves the arm."""
    reader: LeRobotAdapter
    """multi_task_dit, whose features the critic of the watched arm reads."""
    goal: FlowPolicy
    """The small policy, which plays MetaWorld."""
    still: FlowPolicy
    """The small policy, which holds two arms nearly still."""

    def log(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / f"{name}.npz") as file:
            return dict(file)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, recorded: Path) -> Ran:
    """Every command of this file, run once."""
    folder = tmp_path_factory.mktemp("stock")
    joints = tuple(f"joint_{number}.pos" for number in range(STATE))
    named = {"state_names": joints, "action_names": joints}
    of_arm = facts("act", action_dim=STATE, cameras={"front": (48, 64)}, **named)
    act, arm = tiny("act"), tiny("act", data=of_arm)
    looking_back = tiny("multi_task_dit", "n_obs_steps=2", "image_crop_shape=[40,40]", data=of_arm)
    for name, policy in (("act", act), ("arm", arm), ("looking-back", looking_back)):
        policy.save(folder / name)
    watched(folder, "watched", "arm", looking_back, WIDE)
    watched(folder, "called", "arm", arm, TIGHT)
    goal = towards_the_goal()
    export(goal, folder / "small")
    still = holding_two_arms()
    export(still, folder / "still")

    play = [
        "lerobot-eval",
        f"--policy.path={folder / 'act'}",
        "--env.discover_packages_path=toy_world",
        "--env.type=toy_world",
        "--eval.n_episodes=2",
        "--eval.batch_size=1",
        "--policy.device=cpu",
        f"--output_dir={folder / 'eval'}",
    ]
    everything = recorded_all(folder / "dagger")
    corrections = ("--dataset.num_episodes=1", *recording(folder / "corrections"))
    run_stock(
        folder,
        KEYS,
        [
            play,
            roll_out(folder, "base", "arm", *MOVED),
            roll_out(folder, "dagger", "looking-back", *everything),
            roll_out(folder, "corrections", "arm", *corrections),
            roll_out(
                folder,
                "watched",
                "watched",
                *MOVED,
                f"--policy.log_path={folder / 'watched.jsonl'}",
                told_of_calls(folder, "watched"),
            ),
            roll_out(
                folder,
                "called",
                "called",
                f"--policy.log_path={folder / 'called.jsonl'}",
                *recorded_all(folder / "called-set"),
            ),
            train_small(folder, recorded),
            play_small(folder, "small", "played", WORLD, "vantage_metaworld"),
            play_small(folder, "still", "played-by-two", TWO_ARMS, "vantage_bimanual"),
        ],
    )
    return Ran(folder, act, arm, looking_back, goal, still)


def roll_out(folder: Path, name: str, policy: str, *more: str) -> list[str]:
    """The words of one `lerobot-rollout`, which ends after a minute whatever happens."""
    return [
        "lerobot-rollout",
        f"--policy.path={folder / policy}",
        "--device=cpu",
        "--robot.discover_packages_path=toy_arm",
        "--robot.type=toy_arm",
        f"--robot.id={name}",
        f"--task={TASK}",
        "--fps=30",
        "--duration=60",
        "--play_sounds=false",
        "--return_to_initial_position=false",
        *more,
    ]


def recorded_all(root: Path) -> tuple[str, ...]:
    """The same, of a person who also keeps what the policy did alone."""
    return ("--strategy.record_autonomous=true", *recording(root))


WIDE = Limits(*(np.full(STATE, bound, np.float32) for bound in (-99, 99, 99)))
TIGHT = Limits(*(np.full(STATE, bound, np.float32) for bound in (-0.05, 0.05, 0.02)))
LIMIT = 40
"""Control steps of a trial in MetaWorld."""
WORLD = MetaWorldSpec("reach-v3", limit=LIMIT)
TWO_ARMS = BimanualSpec("bag-bottle", limit=6, image_size=32)


def critic_of(reader: LeRobotAdapter) -> Panel:
    """Two critics, from random weights, of a policy's features."""
    with global_generator_kept(3):
        return Panel(tuple((DualCritic(reader.feature_dim, 60, 8).eval(),) for _ in range(2)))


def watched(folder: Path, name: str, driver: str, reader: LeRobotAdapter, limits: Limits) -> None:
    """A folder that watches the arm's policy; every p_v is below its threshold."""
    critic = folder / f"{name}-round" / "3-critic"
    critic.mkdir(parents=True)
    save_panel(critic, critic_of(reader), CriticFit(width=8, folds=2), 60)
    alarm = Alarm(0.98, 2)
    found = Watch(
        critic=critic,
        features_of=folder / ("arm" if name == "called" else "looking-back"),
        execute=4,
        fps=30,
        calibration=Calibration(alarm=alarm, offers=(), price=0, calls={}),
        past=(),
        seen=0,
        limits=limits,
        names=tuple(f"joint_{number}.pos" for number in range(STATE)),
    )
    write_watch(found, critic.parent / "watch.json")
    write_guarded(folder / name, folder / driver, found, critic.parent / "watch.json")


def told_of_calls(folder: Path, name: str) -> str:
    """The option that has a program write down every call."""
    program = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
    return "--policy.on_call=" + shlex.join([sys.executable, "-c", program, f"{folder / name}.call"])


def towards_the_goal() -> FlowPolicy:
    """A small policy, from pictures and zero noise, that goes where the goal of the first trial is."""
    world = WORLD()
    world.reset(seed_for("evaluation", place_of(WORLD), 0))
    truth = world.environment_state()
    net = NetConfig(
        sight=Pixels(size=32, width=8), chunk=8, execute=4, width=16, depth=1, text=4, proprioception=4
    )
    policy = FlowPolicy(FlowConfig(net=net, noise=0.0), seed=1)
    away = truth[-3:] - truth[:3]
    policy.actions.mean[:3] = torch.from_numpy(away / np.abs(away).max())
    policy.actions.std.fill_(0.05)
    world.close()
    return policy


def train_small(folder: Path, recorded: Path) -> list[str]:
    """`lerobot-train` of a small policy on true state, on weighted frames."""
    here = Round.of(recorded, 1)
    return [
        "lerobot-train",
        "--policy.type=vantage_small",
        "--policy.true_state=true",
        "--policy.chunk_size=8",
        "--policy.n_action_steps=4",
        "--policy.width=16",
        "--policy.device=cpu",
        "--policy.push_to_hub=false",
        "--dataset.repo_id=local/recorded",
        f"--dataset.root={here.episodes}",
        "--sample_weighting.type=vantage",
        f"--sample_weighting.progress_path={here.weights}",
        '--sample_weighting.extra_params={"round": 1}',
        "--steps=3",
        "--batch_size=8",
        "--num_workers=0",
        f"--output_dir={folder / 'trained'}",
    ]


def holding_two_arms() -> FlowPolicy:
    """A small policy, from three pictures and zero noise, that stays near where episodes begin."""
    cameras = TWO_ARMS.cameras
    sight = Pixels(cameras=cameras, size=32, width=8)
    net = NetConfig(
        sight=sight,
        chunk=4,
        execute=2,
        width=16,
        depth=1,
        text=4,
        proprioception=4,
        state_dim=TWO_ARMS.state_dim,
        action_dim=TWO_ARMS.action_dim,
    )
    policy = FlowPolicy(FlowConfig(net=net, noise=0.0), seed=2)
    policy.actions.mean[:] = torch.from_numpy(np.tile(np.append(arms.HOME, 1.0), 2))
    policy.actions.std.fill_(0.05)
    return policy


def play_small(
    folder: Path, policy: str, out: str, world: MetaWorldSpec | BimanualSpec, kind: str
) -> list[str]:
    """`lerobot-eval` of an exported small policy in one of our worlds, two trials, recorded."""
    return [
        "lerobot-eval",
        f"--policy.path={folder / policy}",
        "--policy.device=cpu",
        f"--env.type={kind}",
        f"--env.task={world.task}",
        f"--env.limit={world.limit}",
        f"--env.image_size={world.image_size}",
        "--seed=0",
        "--eval.n_episodes=2",
        "--eval.batch_size=2",
        "--eval.use_async_envs=false",
        "--eval.recording=true",
        f"--output_dir={folder / out}",
    ]


def recording(root: Path) -> tuple[str, ...]:
    """What a person adds who corrects the policy and records."""
    return (
        "--strategy.type=dagger",
        "--strategy.smooth_handover=false",
        "--teleop.type=toy_leader",
        "--dataset.repo_id=local/rollout_toy",
        f"--dataset.root={root}",
        "--dataset.push_to_hub=false",
    )


def test_stock_lerobot_eval_runs_the_checkpoint_and_acts_as_vantage_does(ran: Ran) -> None:
    assert json.loads((ran.folder / "eval" / "eval_info.json").read_text())["overall"]["n_episodes"] == 2
    seen = ran.log("episode-0")
    observation = Observation(
        images={name: torch.from_numpy(seen[name])[None] for name in ran.act.cameras},
        state=torch.from_numpy(seen["state"]).float()[None],
        environment_state=None,
        prompts=(TASK,),
    )
    chunk = ran.act.act(observation, torch.Generator())[0, : ran.act.execute]
    np.testing.assert_allclose(seen["actions"][: ran.act.execute], chunk.numpy(), atol=1e-5)


def test_stock_lerobot_rollout_moves_the_arm_as_vantage_would(ran: Ran) -> None:
    log, policy = ran.log("base"), ran.arm
    assert policy.execute == 4 and len(log["told"]) == ACTIONS
    for first in range(0, len(log["told"]) - policy.execute, policy.execute):
        row = log["told_at"][first]
        observation = Observation(
            images={"front": torch.from_numpy(log["picture"][row])[None]},
            state=torch.from_numpy(log["state"][row]).float()[None],
            environment_state=None,
            prompts=(TASK,),
        )
        chunk = policy.act(observation, torch.Generator())[0, : policy.execute]
        np.testing.assert_allclose(log["told"][first : first + policy.execute], chunk.numpy(), atol=1e-5)


def test_what_a_person_corrected_is_read_audited_and_labelled(ran: Ran, tmp_path: Path) -> None:
    """The policy drove, a person took over after a pause, and gave the arm back after another one."""
    root, log = ran.folder / "dagger", ran.log("dagger")
    table = read_table(root)
    human = table.intervention
    first, last = np.flatnonzero(human)[[0, -1]]
    assert 0 < first < last < len(human) - 1 and human[first : last + 1].all()
    assert table.state_names == table.action_names == ran.arm.interface.action_names
    assert (table.action[human] == HELD).all() and not (table.action[~human] == HELD).any()

    # What was recorded is what the arm showed, without the pauses; the first look is not recorded.
    looks = log["state"][1:].astype(np.float32)
    shown = np.array([np.flatnonzero((looks == state).all(1))[0] + 1 for state in table.state])
    gaps = np.diff(shown)
    assert (np.delete(gaps, [first - 1, last]) == 1).all() and gaps[first - 1] > 1 and gaps[last] > 1
    store = make_frames(root, tmp_path / "frames", {"front": None}, Raw())
    pictures = store.gather(np.arange(len(human)))["front"].astype(int)
    assert np.abs(pictures - log["picture"][shown]).mean() < 8, "but for the video's losses"

    outcomes = tmp_path / "outcomes.csv"
    outcomes.write_text("episode_index,success\n0,1\n")
    found = audit(root, outcomes)
    facts = found.facts
    assert facts is not None and (facts.handovers, facts.segments, facts.human_frames, facts.rescued) == (
        2,
        3,
        human.sum(),
        1,
    )
    assert all("jumps at" in problem for problem in found.problems), "the pauses, and nothing else"
    label(root, tmp_path / "labels.parquet", outcomes=outcomes)
    labels = read_parquet(tmp_path / "labels.parquet", ("route", "segment"))
    assert set(labels["route"][:first]) == {Route.UNLABELLED}, "no outcome crosses a hand-over"
    assert set(labels["route"][first : last + 1]) == {Route.INTERVENTION}
    assert set(labels["route"][last + 1 :]) == {Route.ROLLOUT_SUCCESS}


def test_corrections_alone_are_read_as_corrections(ran: Ran, tmp_path: Path) -> None:
    """What `lerobot-rollout --strategy.type=dagger` records unless it is told otherwise."""
    root = ran.folder / "corrections"
    table = read_table(root)
    assert table.intervention.all() and (table.action == HELD).all()
    outcomes = tmp_path / "outcomes.csv"
    outcomes.write_text("episode_index,success\n0,1\n")
    facts = audit(root, outcomes).facts
    assert facts is not None and facts.ends_in_human_hands == 1
    label(root, tmp_path / "labels.parquet", outcomes=outcomes)
    assert set(read_parquet(tmp_path / "labels.parquet", ("route",))["route"]) == {Route.INTERVENTION}


def log_of(ran: Ran, name: str) -> tuple[list[dict], list[dict]]:
    """(predictions, changed actions) of a watched policy."""
    lines = [json.loads(line) for line in (ran.folder / f"{name}.jsonl").read_text().splitlines()]
    return [line for line in lines if "p_v" in line], [line for line in lines if "limited_by" in line]


def test_a_watched_policy_acts_bit_for_bit_as_it_would_alone(ran: Ran) -> None:
    """The arm moves as it is told and as it stands, so equal actions go with equal pictures all the way."""
    alone, watched = ran.log("base")["told"], ran.log("watched")["told"]
    assert len(alone) == len(watched) == ACTIONS and alone.tobytes() == watched.tobytes()
    predictions, changed = log_of(ran, "watched")
    assert changed == []
    assert [line["step"] for line in predictions] == list(range(0, 4 * len(predictions), 4))
    assert [line["called"] for line in predictions] == [number == 1 for number in range(len(predictions))]
    call = json.loads((ran.folder / "watched.call").read_text())
    assert call == predictions[1], "the command is told, once"


def test_p_v_is_that_of_the_critic_on_what_the_arm_showed(ran: Ran) -> None:
    """The critic reads another policy than drives, one that looks back two steps."""
    seen, memory, panel = ran.log("watched"), Memory(2), critic_of(ran.reader)
    predictions, _ = log_of(ran, "watched")
    for step, row in enumerate(seen["told_at"]):
        present = Observation(
            images={"front": torch.from_numpy(seen["picture"][row])[None]},
            state=torch.from_numpy(seen["state"][row]).float()[None],
            environment_state=None,
            prompts=(TASK,),
        )
        observation = memory.recall(present)
        if step % 4 == 0:
            features = ran.reader.eval().features(observation).float().numpy()
            assert predictions[step // 4]["p_v"] == pytest.approx(viability(panel, features)[0], abs=1e-5)


def test_a_folder_may_not_say_what_is_started_or_written(ran: Ran, tmp_path: Path) -> None:
    from lerobot_policy_vantage.modeling_vantage_watch import VantageWatchPolicy

    shutil.copytree(ran.folder / "watched", tmp_path / "from-a-stranger")
    config = tmp_path / "from-a-stranger" / "config.json"
    plain = json.loads(config.read_text())
    for setting in ({"on_call": "touch owned"}, {"log_path": str(tmp_path / "elsewhere")}):
        config.write_text(json.dumps(plain | setting))
        with pytest.raises(VantageError, match="which no folder may"):
            VantageWatchPolicy.from_pretrained(tmp_path / "from-a-stranger")


def test_a_call_pauses_for_a_correction_and_actions_stay_within_bounds(ran: Ran) -> None:
    predictions, changed = log_of(ran, "called")
    assert [line["called"] for line in predictions] == [False, True]
    table = read_table(ran.folder / "called-set")
    human = table.intervention
    assert human.any() and not human[0] and human[np.flatnonzero(human)[0] :].all(), (
        "it did not go on by itself"
    )
    given = table.action[~human]
    assert (np.abs(given) <= 0.05).all() and (np.abs(np.diff(given, axis=0)) <= 0.02 + 1e-6).all()
    assert (table.action[human] == HELD).all(), "a person is not held back"

    assert {line["limited_by"] for line in changed} <= {"range", "rate"} and len(changed) >= 6
    names = ran.arm.interface.action_names
    assert names is not None
    for line in changed:
        if line["step"] < len(given):
            dimension = names.index(line["dimension"])
            assert line["given"] == pytest.approx(given[line["step"], dimension]) != line["wanted"]


def test_lerobot_train_trains_the_small_policy_on_weighted_frames(ran: Ran, recorded: Path) -> None:
    checkpoint = ran.folder / "trained" / "checkpoints" / "last" / "pretrained_model"
    policy, table = load_policy(checkpoint), read_table(Round.of(recorded, 1).episodes)
    assert isinstance(policy, FlowPolicy) and policy.execute == 4
    assert table.environment_state is not None
    np.testing.assert_allclose(policy.actions.mean.numpy(), table.action.mean(0), atol=1e-5)
    np.testing.assert_allclose(
        policy.backbone.truth.standardise.std.numpy(), table.environment_state.std(0), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("world", "out"), [(WORLD, "played"), (TWO_ARMS, "played-by-two")], ids=["metaworld", "bimanual"]
)
def test_lerobot_eval_plays_our_worlds_as_we_do(
    ran: Ran, world: MetaWorldSpec | BimanualSpec, out: str
) -> None:
    """Same starts, same pictures, same actions (they are computed in one batch there), same successes."""
    (told,) = json.loads((ran.folder / out / "eval_info.json").read_text())["per_task"]
    policy = (ran.goal if world is WORLD else ran.still).eval()
    built, ours = world(), []
    for trial in range(2):
        seed = seed_for("evaluation", place_of(world), trial)
        ours.append(
            run_episode(built, policy, NoOne(), task=world.task, seed=seed, limit=world.limit, pictures=False)
        )
    low, high = built.action_low, built.action_high
    built.close()
    successes = [bool(episode.success.any()) for episode in ours]
    assert told["metrics"]["successes"] == successes == [world is WORLD, False]

    recorded = sorted((ran.folder / out).rglob("data/*/*.parquet"))
    actions = [np.stack(pq.read_table(path)["action"].to_numpy()) for path in recorded]
    for theirs, episode in zip(actions, ours, strict=True):
        executed = np.clip(theirs[: len(episode.action)], low, high)
        np.testing.assert_allclose(executed, episode.action, atol=1e-5)
    assert not np.array_equal(ours[0].action[:4], ours[1].action[:4])
