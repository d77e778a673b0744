"""Chunked PPO: a known world that it must solve faster and faster, and runs that survive being killed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from generators import global_generators_stay
from line_world import LineSpec, line_actor
from tiny import fingerprint

from vantage.algorithms.chunked_ppo import ChunkedPPORun, run_chunked_ppo
from vantage.algorithms.supervised import Supervision, sources_up_to
from vantage.collect.episode import run_episode
from vantage.collect.observe import interface_in
from vantage.collect.operators import DemonstrateStock, NoOne
from vantage.core.self_bc import NoSelfBC
from vantage.core.surrogate import Potential
from vantage.data.v3.read import read_table
from vantage.disk.layout import Round
from vantage.nets.value import StateValue
from vantage.nets.vla import NetConfig, Pixels, TrueState
from vantage.policies.build import SmallConfig
from vantage.policies.load import load_policy
from vantage.policies.small.flow import FlowConfig
from vantage.policies.small.gaussian import GaussianConfig, GaussianPolicy
from vantage.policies.small.stochastic_flow import FlowSDEConfig, FPOConfig, NoisyFlowConfig
from vantage.practice.buffer import BufferRule, DemoBuffer
from vantage.practice.lockstep import Driven, Group, Start, play_group
from vantage.practice.ppo import ChunkedPPO, PPOFit
from vantage.practice.settings import Checks, OperatorLead, Play, Practice, ReplayedLead
from vantage.practice.trainer import PracticeTask, Trainer, by_task, deal
from vantage.recipes.debug import debug_ppo
from vantage.stages.collect import Demonstrations
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_policy import PolicyFit
from vantage.types import VantageError
from vantage.worlds.metaworld.experts.stock import StockExpert
from vantage.worlds.spec import MetaWorldSpec


def tiny() -> ChunkedPPORun:
    """Some seconds of everything."""
    return replace(
        debug_ppo(),
        supervision=Supervision(
            demonstrations=Demonstrations(per_world=2, operator=DemonstrateStock()),
            supervised=PolicyFit(steps=60, batch=32, log_every=20),
        ),
        practice=replace(
            debug_ppo().practice,
            steps=3_000,
            play=Play(episodes=8, limit=100, side_by_side=4),
            checks=Checks(every=1_000, per_world=2, limit=100),
        ),
        evaluation=Evaluation(per_world=2),
        limit=100,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("ppo") / "run"
    with global_generators_stay("run_chunked_ppo"):
        run_chunked_ppo(run, tiny(), workers=1)
    return run


def test_killed_in_practice_it_ends_the_same(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    iterate, calls = Trainer.iterate, []

    def interrupted(self: Trainer, pool: object) -> object:
        calls.append(self.spent)
        if len(calls) in (2, 5):
            raise KeyboardInterrupt
        return iterate(self, pool)

    monkeypatch.setattr(Trainer, "iterate", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_chunked_ppo(tmp_path / "run", tiny(), workers=1)
    run_chunked_ppo(tmp_path / "run", tiny(), workers=1)
    assert len(calls) > len(set(calls)), "some iterations were made again"
    assert fingerprint(tmp_path / "run") == fingerprint(finished)


def test_killed_while_it_lets_go_of_its_state_it_ends_the_same(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    left = run / "round-01" / ".practice" / "acting" / "config.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    run_chunked_ppo(run, tiny(), workers=1)
    assert fingerprint(run) == fingerprint(finished) and not left.parents[1].exists()


def test_two_workers_make_the_same_run_as_one(finished: Path, tmp_path: Path) -> None:
    run_chunked_ppo(tmp_path / "run", tiny(), workers=2)
    assert fingerprint(tmp_path / "run") == fingerprint(finished)


SMALL = NetConfig(sight=TrueState(width=32), width=32, chunk=5, execute=5)


@pytest.mark.parametrize(
    "config",
    [
        GaussianConfig(
            net=NetConfig(sight=Pixels(size=48, width=32), width=32, chunk=5, execute=5), log_std=-1.2
        ),
        NoisyFlowConfig(net=SMALL),
        FlowSDEConfig(net=SMALL),
        FPOConfig(net=SMALL, draws=2),
    ],
    ids=["pixels", "noisy-flow", "flow-sde", "fpo"],
)
def test_every_actor_practises(config: SmallConfig, tmp_path: Path) -> None:
    settings = replace(
        tiny(),
        worlds=(MetaWorldSpec("push-v3", limit=120, image_size=48),),
        policy=config,
        supervision=replace(tiny().supervision, supervised=PolicyFit(steps=10, batch=16)),
        practice=Practice(
            steps=900,
            fit=PPOFit(warm_up=0, epochs=2, batch=64, bc_batch=16),
            play=Play(episodes=4, limit=60, side_by_side=4),
            checks=Checks(every=400, per_world=1, limit=60),
        ),
        evaluation=Evaluation(per_world=1),
        limit=60,
    )
    run_chunked_ppo(tmp_path / "run", settings, workers=1)
    lines = [
        json.loads(line)
        for line in (tmp_path / "run/round-01/5-actor/metrics.jsonl").read_text().splitlines()
    ]
    assert len(lines) >= 3 and all(
        np.isfinite(line["policy_loss"]) and line["policy_steps"] > 0 for line in lines
    )
    assert any(line["bc_loss"] > 0 for line in lines), "the buffer is cloned"
    before, after = (load_policy(Round.of(tmp_path / "run", n).actor) for n in (0, 1))
    assert type(before) is type(after)
    checks = json.loads((tmp_path / "run/round-01/5-actor/checks.json").read_text())
    assert checks[0]["steps"] == 0 and checks[-1]["steps"] >= 900 and checks[0]["kept"]


def test_in_a_known_world_ppo_learns_to_hurry(tmp_path: Path) -> None:
    """On a line of half-width 1 the fastest policy moves 0.1 a step; this one begins at a quarter of that."""
    actor = line_actor(tmp_path)
    critic = StateValue(2, width=32)
    learner = ChunkedPPO(actor, critic, PPOFit(lr=3e-4, warm_up=0, batch=256))
    buffer = DemoBuffer(BufferRule(), ("go",))
    world = LineSpec(task="line", limit=60)

    def play(first: int, *, explores: bool):
        actor.save(tmp_path)
        return play_group(Group(0, tuple(Start(world, 0, first + i) for i in range(40)), tmp_path, explores))

    before = play(10**6, explores=False)
    weights = NoSelfBC()(learner.standing(0, np.zeros(1)))
    for i in range(25):
        learner.update(play(1000 * i, explores=True), ("go",), buffer, weights, seed=i)
    after = play(10**6, explores=False)
    assert after.success.mean() >= before.success.mean() > 0.9
    assert after.steps.mean() < 0.6 * before.steps.mean(), (before.steps.mean(), after.steps.mean())


def test_the_potential_learns_how_far_success_is(tmp_path: Path) -> None:
    actor = line_actor(tmp_path)
    learner = ChunkedPPO(
        actor, StateValue(2, width=32), PPOFit(lr=1e-6, warm_up=0, price=Potential(), batch=256)
    )
    buffer, weights = DemoBuffer(BufferRule(), ("go",)), NoSelfBC()(learner.standing(0, np.zeros(1)))
    world = LineSpec(task="line", limit=60)
    for i in range(25):
        trials = play_group(
            Group(0, tuple(Start(world, 0, 1000 * i + j) for j in range(30)), tmp_path, explores=True)
        )
        learner.update(trials, ("go",), buffer, weights, seed=i)
    assert learner.efficiency is not None
    truth = torch.from_numpy(trials.environment_state)
    said = -60 * learner.efficiency(truth, ("go",) * len(truth)).detach().numpy()
    won = trials.success[trials.episode]
    assert (
        np.abs(said - trials.steps_to_go)[won].mean()
        < 0.35 * np.abs(trials.steps_to_go - trials.steps_to_go[won].mean())[won].mean()
    )
    again = ChunkedPPO(line_actor(tmp_path / "again"), StateValue(2, width=32), learner.settings)
    again.load(learner.state())
    torch.testing.assert_close(again.state(), learner.state())


def test_a_density_of_another_shape_is_refused(tmp_path: Path) -> None:
    actor = line_actor(tmp_path)
    learner = ChunkedPPO(actor, StateValue(2, width=32), PPOFit())
    trials = play_group(Group(0, (Start(LineSpec(task="line", limit=60), 0, 1),), tmp_path, explores=True))
    actor.log_prob = lambda *_: torch.zeros(len(trials.path))
    with pytest.raises(VantageError, match=r"log_prob of GaussianPolicy returned \(\d+,\)"):
        learner.update(
            trials,
            ("go",),
            DemoBuffer(BufferRule(), ("go",)),
            NoSelfBC()(learner.standing(0, np.zeros(1))),
            seed=0,
        )


@pytest.mark.parametrize("settings", [{"kl_stop": 0.0}, {"kl_stop": 0.1, "kl_end": 0.2}, {"average": 1.0}])
def test_settings_that_cannot_learn_are_named(settings: dict[str, float]) -> None:
    with pytest.raises(VantageError, match=r"[fF]it\.\w+"):
        PPOFit(**settings)


def test_a_plain_flow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VantageError, match="a FlowConfig has no density"):
        run_chunked_ppo(tmp_path, replace(tiny(), policy=FlowConfig()), workers=1)


def trainer_that_plays(play: Play, finished: Path, folder: Path) -> Trainer:
    """A trainer on the finished run's supervised policy."""
    settings, start = tiny(), Round.of(finished, 0)
    task = PracticeTask(
        worlds=settings.worlds,
        policy=start.actor,
        sources=sources_up_to(start, interface_in(settings.policy, settings.worlds[0])),
        demonstrator=settings.supervision.demonstrations.operator,
        practice=replace(settings.practice, play=play),
        seed=settings.seed,
    )
    return Trainer.begin(task, folder / ".practice")


def test_unsolved_tasks_are_led_and_drawn_more_often(finished: Path, tmp_path: Path) -> None:
    trainer = trainer_that_plays(
        Play(episodes=400, limit=100, lead=OperatorLead(share=0.8, steps=30)), finished, tmp_path
    )
    trainer.iteration, trainer.success = 1, np.array([0.2, 1.0])
    starts = trainer.draw_starts()
    tasks, leads = (
        np.array([s.task for s in starts]),
        np.array([s.lead.steps if s.lead else 0 for s in starts]),
    )
    assert np.bincount(tasks).tolist() == [291, 109] or abs(np.bincount(tasks)[0] - 400 * 0.8 / 1.1) <= 1
    assert (leads[tasks == 1] == 0).all() and (leads[tasks == 0] > 0).mean() == pytest.approx(0.64, abs=0.1)
    assert leads.max() == 30 and len({s.seed for s in starts}) == 400


def test_a_replayed_demonstration_leads_to_where_it_was(finished: Path, tmp_path: Path) -> None:
    trainer = trainer_that_plays(
        Play(episodes=200, limit=40, lead=ReplayedLead(share=1, steps=1000)), finished, tmp_path
    )
    trainer.iteration, trainer.success = 1, np.array([0.0, 1.0])
    starts = trainer.draw_starts()
    led = [s for s in starts if s.lead]
    assert {s.task for s in starts} == {0, 1} and {s.task for s in led} == {0}
    table = read_table(Round.of(finished, 0).episodes, demos=True)
    lengths = np.diff(table.starts)
    of_task = table.prompt[table.starts[:-1]] == 0
    assert (
        len({s.seed for s in led}) == of_task.sum()
        and max(len(s.lead.actions) for s in led) > 0.8 * lengths[of_task].max()
    )
    for start in led[:5]:
        trials = play_group(Group(0, (start,), Round.of(finished, 0).actor, explores=True))
        gone = len(start.lead.actions)
        shown = [
            rows for rows in table.slices if np.array_equal(table.action[rows][:gone], start.lead.actions)
        ]
        assert len(shown) == 1, "it is one demonstration, from its first action on"
        np.testing.assert_array_equal(trials.environment_state[0], table.environment_state[shown[0]][gone])
        assert trials.led.all() and trials.spent[0] - trials.steps[0] == gone


def test_playing_together_is_playing_alone(finished: Path) -> None:
    spec = MetaWorldSpec("push-v3", limit=60)
    folder = Round.of(finished, 0).actor
    together = play_group(Group(0, tuple(Start(spec, 0, seed) for seed in (5, 6, 7)), folder, explores=False))
    actor = GaussianPolicy.load(folder)
    for i, seed in enumerate((5, 6, 7)):
        alone = run_episode(spec(), actor, NoOne(), task="push-v3", seed=seed, limit=60, pictures=False)
        assert (len(alone), alone.outcome) == (together.steps[i], together.success[i])
        mine = together.episode == i
        actions = together.action[mine][together.executed[mine]]
        # A batch of three rounds differently from a batch of one; contact makes more of it, slowly.
        np.testing.assert_allclose(actions[:15], alone.action[:15], atol=1e-5)
        np.testing.assert_allclose(actions, alone.action, atol=0.05)


def test_an_operator_may_lead_and_that_costs_steps(finished: Path) -> None:
    spec = MetaWorldSpec("push-v3", limit=20)
    folder = Round.of(finished, 0).actor
    leads = (Driven(DemonstrateStock(), 25), None, Driven(DemonstrateStock(), 500))
    starts = tuple(Start(spec, 0, 3, lead) for lead in leads)
    found = play_group(Group(0, starts, folder, explores=True))
    led, alone, solved = (np.flatnonzero(found.episode == i)[0] for i in range(3))
    world, expert = spec(), StockExpert("push-v3")
    world.reset(3)
    beginning = world.environment_state()
    for _ in range(25):
        world.step(expert.act(world.environment_state()))
    np.testing.assert_allclose(found.environment_state[led], world.environment_state())
    np.testing.assert_allclose(found.environment_state[[alone, solved]], [beginning, beginning])
    assert found.elapsed[led] == 0 and (found.spent - found.steps)[:2].tolist() == [25, 0]
    assert 25 < (found.spent - found.steps)[2] < 500, "the operator solved it, and the episode began again"
    np.testing.assert_array_equal(found.led, [True, False, True])


def test_deal_by_hand_and_without_bias() -> None:
    share = np.array([0.5, 0.3, 0.2])
    np.testing.assert_array_equal(deal(share, 10, np.random.default_rng(0)), [5, 3, 2])
    drawn = np.stack([deal(share, 7, np.random.default_rng(i)) for i in range(4000)])
    assert (drawn.sum(1) == 7).all()
    assert (np.abs(drawn - 7 * share) < 1).all()
    np.testing.assert_allclose(drawn.mean(0), 7 * share, atol=0.03)


def test_by_task_by_hand() -> None:
    found = by_task(np.array([1.0, np.nan, 3.0, np.nan]), np.array([0, 0, 0, 2]), 3)
    np.testing.assert_array_equal(found, [2.0, np.nan, np.nan])
