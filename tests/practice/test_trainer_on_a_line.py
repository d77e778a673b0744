"""Practice in the known world: which starts a check plays, which checkpoint is kept, what is remembered and
cloned."""

import copy
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from line_world import Line, LineSpec, line_actor, record_line_demonstrations
from test_buffer import trials_of

from vantage.algorithms.chunked_ppo import ChunkedPPORun, practise
from vantage.collect.operators import DemonstrateStock
from vantage.collect.pool import Job, Played, play_here
from vantage.core.self_bc import ConstantBC
from vantage.data.experience import load_experience
from vantage.disk.files import read_json
from vantage.disk.layout import Round, Source
from vantage.policies.load import load_policy
from vantage.practice.buffer import BufferRule, DemoBuffer, ShorterThanLongest
from vantage.practice.lockstep import Group, Start, play_group
from vantage.practice.ppo import PPOFit
from vantage.practice.settings import Checks, Play, Practice, ReplayedLead
from vantage.practice.trainer import PracticeTask, Trainer, demonstrations_of
from vantage.seeding import seed_for
from vantage.types import VantageError
from vantage.worlds.spec import place_of

WORLD = LineSpec(task="line", limit=30)
PRACTICE = Practice(
    steps=400,
    play=Play(episodes=8, limit=30, side_by_side=4),
    fit=PPOFit(warm_up=1, epochs=2, batch=64, bc_batch=16),
    self_bc=ConstantBC(),
    checks=Checks(every=150, per_world=6, limit=40),
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Round:
    """Round 0 on the line: demonstrations that hurry, a policy that creeps."""
    here = Round.of(tmp_path_factory.mktemp("line"), 0)
    record_line_demonstrations(here, 5)
    line_actor(here.actor)
    return here


def task_of(start: Round, practice: Practice = PRACTICE) -> PracticeTask:
    return PracticeTask(
        worlds=(WORLD,),
        policy=start.actor,
        sources=[Source(0, start.episodes, start.labels, None)],
        demonstrator=DemonstrateStock(),
        practice=practice,
        seed=7,
    )


class Watched:
    """This process as a pool, which keeps the groups that it plays."""

    def __init__(self) -> None:
        self.groups: list[Group] = []

    def __call__(self, jobs: Iterable[Job]) -> Iterator[Played]:
        return play_here(jobs)

    def each[A, B](self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        items = list(items)
        self.groups += items
        return play_here.each(function, items)

    @property
    def starts(self) -> list[Start]:
        return [start for group in self.groups for start in group.starts]


def test_a_check_plays_the_development_starts_as_deployed(start: Round, tmp_path: Path) -> None:
    trainer, pool = Trainer.begin(task_of(start), tmp_path / ".practice"), Watched()
    check = trainer.check(pool)
    assert sorted(s.seed for s in pool.starts) == sorted(
        seed_for("development", place_of(WORLD), i) for i in range(6)
    )
    assert not {s.seed for s in pool.starts} & {
        seed_for("evaluation", place_of(WORLD), i) for i in range(100)
    }
    assert {s.world.limit for s in pool.starts} == {40} and not any(group.explores for group in pool.groups)
    assert not any(s.lead for s in pool.starts)

    trials = play_group(Group(0, tuple(pool.starts), start.actor, explores=False))
    cost = np.where(trials.success, trials.steps, 40).mean()
    assert check["cost"] == pytest.approx(cost) and check["success"] == pytest.approx(trials.success.mean())
    assert check["steps"] == 0 and check["kept"] and not check["falling"]


def test_practice_plays_new_starts_with_noise(start: Round, tmp_path: Path) -> None:
    trainer, pool = Trainer.begin(task_of(start), tmp_path / ".practice"), Watched()
    trainer.iterate(pool)
    trainer.iterate(pool)
    wanted = {seed_for("practice", 7, iteration, place) for iteration in (0, 1) for place in range(8)}
    assert {s.seed for s in pool.starts} == wanted
    assert all(group.explores for group in pool.groups) and {s.world.limit for s in pool.starts} == {30}
    assert "policy_loss" not in trainer.lines[0], "the critic warms up for one iteration"
    assert trainer.lines[1]["policy_steps"] > 0
    steps = play_group(replace(pool.groups[0], actor=start.actor)).spent.sum()
    steps += play_group(replace(pool.groups[1], actor=start.actor)).spent.sum()
    assert trainer.lines[0]["steps"] == steps


def test_failures_cost_their_limit_in_a_check(start: Round, tmp_path: Path) -> None:
    practice = replace(PRACTICE, checks=replace(PRACTICE.checks, limit=16))
    trainer, pool = Trainer.begin(task_of(start, practice), tmp_path / ".practice"), Watched()
    check = trainer.check(pool)
    trials = play_group(Group(0, tuple(pool.starts), start.actor, explores=False))
    assert 0 < check["success"] < 1, "some fail"
    assert check["cost"] == pytest.approx(np.where(trials.success, trials.steps, 16).mean())


def test_steps_that_lead_to_a_start_are_spent(start: Round, tmp_path: Path) -> None:
    """A replayed demonstration costs environment steps like the policy's own."""
    lead = ReplayedLead(share=1.0, steps=3)
    practice = replace(PRACTICE, play=replace(PRACTICE.play, lead=lead))
    trainer, pool = Trainer.begin(task_of(start, practice), tmp_path / ".practice"), Watched()
    trainer.iterate(pool)
    played = [play_group(replace(group, actor=start.actor)) for group in pool.groups]
    own, spent = (sum(int(getattr(trials, name).sum()) for trials in played) for name in ("steps", "spent"))
    assert any(trials.led.any() for trials in played) and trainer.spent == spent > own


def test_the_best_checkpoint_is_kept_whatever_comes_later(start: Round, tmp_path: Path) -> None:
    """The same policy made faster, slower, and a little slower than at first: costs fall, rise and stay
    above."""
    trainer, pool = Trainer.begin(task_of(start), tmp_path / ".practice"), Watched()
    speed, checks = trainer.learner.averaged.actions.std.clone(), []
    middle = trainer.learner.averaged.actions.mean.clone()
    for factor in (1.0, 3.0, 0.2, 2.0):
        trainer.learner.averaged.actions.std.copy_(speed * factor)
        trainer.learner.averaged.actions.mean.copy_(middle * factor)
        checks.append(trainer.check(pool))
    costs = [check["cost"] for check in checks]
    assert costs[1] < costs[3] < costs[0] < costs[2]
    assert [check["kept"] for check in checks] == [True, True, False, False]
    assert [check["falling"] for check in checks][2]
    torch.testing.assert_close(load_policy(trainer.best).actions.std, speed * 3)


def test_practice_that_only_harms_ends_with_the_policy_that_it_began_with(
    start: Round, tmp_path: Path
) -> None:
    ruin = PPOFit(
        warm_up=0, epochs=4, batch=16, lr=0.3, adapt=1.0, kl_stop=1e9, kl_end=1e9, bc_batch=16, average=0.0
    )
    settings = ChunkedPPORun(worlds=(WORLD,), seed=7, policy=load_policy(start.actor).config)
    here = Round.of(tmp_path, 1)
    begun = Round.of(tmp_path, 0)
    shutil.copytree(start.folder, begun.folder)
    quick = load_policy(start.actor)
    quick.actions.std *= 3
    quick.actions.mean *= 3
    quick.save(begun.actor)
    practise(begun, here, replace(settings, practice=replace(PRACTICE, fit=ruin)), play_here)
    checks = read_json(here.actor / "checks.json")
    assert [check["kept"] for check in checks] == [True] + [False] * (len(checks) - 1) and len(checks) >= 3
    assert checks[-1]["cost"] > checks[0]["cost"] + 5, "the last policy is much worse"
    kept, entered = load_policy(here.actor).state_dict(), quick.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in entered.items())


def test_led_trials_are_neither_cloned_nor_remembered(start: Round, tmp_path: Path) -> None:
    trials = trials_of((0, True, 5), (0, True, 3), (0, False, 9), (0, True, 7))
    trials = replace(trials, led=np.array([False, True, False, False]))
    buffer = DemoBuffer(BufferRule(admission=ShorterThanLongest()), ("go",))
    assert buffer.offer(trials) == 2
    assert sorted(one.steps for one in buffer.kept[0]) == [5, 7] and buffer.own_share == 1

    trainer = Trainer.begin(task_of(start), tmp_path / ".practice")
    trainer._remember(trials)
    assert trainer.success.tolist() == [2 / 3] and trainer.lengths.tolist() == [6.0]
    trainer.iteration = 1
    trainer._remember(replace(trials, led=np.array([True, True, True, False])))
    keep = PRACTICE.play.memory
    assert trainer.success[0] == pytest.approx(keep * 2 / 3 + (1 - keep) * 1.0)
    assert trainer.lengths[0] == pytest.approx(keep * 6 + (1 - keep) * 7)
    trainer._remember(replace(trials, led=np.ones(4, bool)))
    assert trainer.success[0] == pytest.approx(keep * 2 / 3 + (1 - keep) * 1.0), (
        "a task that was only led stays"
    )


def test_a_demonstration_gives_a_window_per_frame_masked_past_its_end(start: Round) -> None:
    policy = load_policy(start.actor)
    found = demonstrations_of(load_experience(task_of(start).sources), policy, (Line.prompt,))
    assert len(found) == 5
    for number, (task, windows) in enumerate(found):
        steps = windows.steps
        assert (task, windows.own, len(windows.state)) == (0, False, steps)
        for t in range(steps):
            real = min(policy.chunk, steps - t)
            assert windows.mask[t].tolist() == [True] * real + [False] * (policy.chunk - real), (number, t)
    assert any(not windows.mask.all() for _, windows in found)


def test_a_trainer_that_saved_itself_goes_on_with_everything(start: Round, tmp_path: Path) -> None:
    trainer = Trainer.begin(task_of(start), tmp_path / ".practice")
    trainer.check(play_here)
    for _ in range(3):
        trainer.iterate(play_here)
    trainer.save()
    again = Trainer.begin(task_of(start), tmp_path / ".practice")
    assert (again.iteration, again.spent, again.lines, again.checked) == (
        3,
        trainer.spent,
        trainer.lines,
        trainer.checked,
    )
    before, after = trainer.learner.state(), again.learner.state()
    assert all(torch.equal(before[name], after[name]) for name in before)
    line, other = (copy.deepcopy(one.iterate(play_here)) for one in (trainer, again))
    assert line == other


def test_a_policy_that_looks_back_is_not_practised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = line_actor(tmp_path)
    actor.interface = replace(actor.interface, history=2)
    monkeypatch.setattr("vantage.practice.lockstep.load_policy", lambda _folder: actor)
    with pytest.raises(VantageError, match="looks at 2 observations, and practice keeps one of a chunk"):
        play_group(Group(0, (Start(WORLD, 0, seed=1),), tmp_path, explores=False))
