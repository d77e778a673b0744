"""Recording in the known world: what a row holds, when a policy decides again, and which episodes are played
and kept."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from line_world import Line, LineSpec

from vantage.batch import Observation
from vantage.collect.episode import run_episode
from vantage.collect.handover import Event, Phase
from vantage.collect.operators import Demonstrate, NoOne, Rescue, Rescues, operator_of
from vantage.collect.pool import Job, Played, Pool, play_here
from vantage.data.episodes import Episode
from vantage.data.v3.read import read_table
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.gaussian import GaussianConfig, GaussianPolicy
from vantage.seeding import seed_for
from vantage.stages.collect import Demonstrations, Rollouts, collect_demonstrations, collect_rollouts
from vantage.types import VantageError

WORLD = LineSpec(task="line", limit=24)


@dataclass(frozen=True, slots=True)
class Between(Rescue):
    """Somebody drives from control step `first` until before `after`, at a fixed speed."""

    first: int = 5
    after: int = 11
    speed: float = 0.0

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> "Driver":
        return Driver(self)


@dataclass(slots=True)
class Driver:
    spec: Between

    def watch(self, phase: Phase, t: int, state: np.ndarray) -> Event | None:
        return {self.spec.first: Event.TAKE_OVER, self.spec.after: Event.HAND_BACK}.get(t)

    def act(self, state: np.ndarray) -> np.ndarray:
        return np.array([self.spec.speed], np.float32)


@dataclass(frozen=True, slots=True)
class SometimesHelpful(Demonstrate):
    """Goes to the goal, or in one of two episodes nowhere."""

    def __call__(self, task: str, limit: int, rng: np.random.Generator) -> "Demonstrator":
        return Demonstrator(float(rng.integers(2)))


@dataclass(slots=True)
class Demonstrator:
    speed: float

    def watch(self, phase: Phase, t: int, state: np.ndarray) -> Event | None:
        return Event.TAKE_OVER if phase is not Phase.CORRECTING else None

    def act(self, state: np.ndarray) -> np.ndarray:
        return (self.speed * np.sign(state[1:] - state[:1])).astype(np.float32)


def policy_of(scale: float) -> GaussianPolicy:
    """Random, deciding for four steps and executing two of them; `scale` of what it asks for."""
    net = NetConfig(sight=TrueState(dim=2, width=16), state_dim=1, action_dim=1, chunk=4, execute=2, width=16)
    policy = GaussianPolicy(GaussianConfig(net=net), seed=2).eval()
    policy.actions.std.fill_(scale)
    return policy


def played(policy: GaussianPolicy, operator: NoOne | Rescue, seed: int, limit: int = 24) -> Episode:
    return run_episode(
        Line(), policy, operator, task="line", seed=seed, limit=limit, policy_version=9, pictures=False
    )


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_row_is_what_was_seen_and_then_done(seed: int) -> None:
    """From the start of the seed on, every state follows from the row before it; actions are those that were
    executed."""
    episode = played(policy_of(4.0), Between(first=5, after=11, speed=0.5), seed)
    world = Line()
    world.reset(seed)
    asked = episode.policy_action
    for t in range(len(episode)):
        np.testing.assert_allclose(episode.state[t], world.proprioception())
        np.testing.assert_allclose(episode.environment_state[t], world.environment_state())
        human = 5 <= t < 11
        assert episode.intervention[t] == human
        assert episode.action[t] == (0.5 if human else asked[t])
        won = world.step(episode.action[t])
        assert won == (t == len(episode) - 1 and bool(episode.outcome)) == episode.success[t]
    assert (np.abs(episode.action) <= 1).all() and (np.abs(asked) == 1).any(), "limits are kept, and matter"
    assert (episode.policy_version == 9).all() and episode.done.tolist() == [False] * (len(episode) - 1) + [
        True
    ]


def test_a_person_is_kept_within_the_limits_too() -> None:
    episode = played(policy_of(0.3), Between(first=2, after=6, speed=3.0), seed=1)
    assert episode.intervention.any() and (episode.action[episode.intervention] == 1).all()


def test_a_policy_decides_every_two_steps_and_anew_at_every_handover() -> None:
    policy = policy_of(0.3)
    episode = played(policy, Between(first=5, after=10, speed=0.7), seed=6)
    assert len(episode) == 24 + 5, "human time extends the limit"
    queue: list[float] = []
    decisions = []
    for t in range(len(episode)):
        if t and episode.intervention[t] != episode.intervention[t - 1]:
            queue = []
        if not queue:
            decisions.append(t)
            seen = Observation(
                images={},
                state=torch.from_numpy(episode.state[t : t + 1]),
                environment_state=torch.from_numpy(episode.environment_state[t : t + 1]),
                prompts=("go",),
            )
            with torch.no_grad():
                queue = policy.mean(seen)[0, :2, 0].clamp(-1, 1).tolist()
        assert episode.policy_action[t, 0] == pytest.approx(queue.pop(0), abs=1e-6)
    assert decisions[:8] == [0, 2, 4, 5, 7, 9, 10, 12]


def test_human_time_extends_the_limit_by_so_much_and_no_more() -> None:
    for extension, length in ((100, 24 + 12), (7, 24 + 7), (0, 24)):
        episode = played(policy_of(0.0), Between(first=3, after=15, speed=0.0, extension=extension), seed=8)
        assert not episode.outcome and len(episode) == length


def rollouts(
    folder: Path, number: int, rescues: Rescues = "all", pool: Pool = play_here, **changes: object
) -> Round:
    here = Round.of(folder, number)
    settings = Rollouts(**{"per_world": 4, "operator": Between(), **changes})
    policy_of(0.3).save(folder / "policy")
    collect_rollouts(
        here,
        (WORLD,),
        settings,
        policy=folder / "policy",
        policy_version=33,
        seed=7,
        cameras={},
        pool=pool,
        rescues=rescues,
    )
    return here


class Interrupted:
    """A pool that plays one episode, and then somebody presses Ctrl-C."""

    def __call__(self, jobs: Iterable[Job]) -> Iterator[Played]:
        yield from play_here(islice(jobs, 1))
        raise KeyboardInterrupt

    def each[A, B](self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        return map(function, items)


def test_with_half_of_the_rescues_each_episode_is_as_with_all_or_as_with_none(tmp_path: Path) -> None:
    tables = {
        kind: read_table(rollouts(tmp_path / kind, 1, kind).episodes) for kind in ("all", "half", "none")
    }
    half = tables["half"]
    assert not tables["none"].intervention.any()

    kinds: list[str] = []
    for number, ours in enumerate(half.slices):
        operator = operator_of(Between(), "half", seed_for("rollout", 7, 1, number))
        kinds.append("none" if operator == NoOne() else "all")
        theirs = tables[kinds[-1]].slices[number]
        np.testing.assert_array_equal(half.action[ours], tables[kinds[-1]].action[theirs])
        np.testing.assert_array_equal(half.intervention[ours], tables[kinds[-1]].intervention[theirs])
    assert set(kinds) == {"all", "none"}


def test_half_is_half() -> None:
    drawn = [operator_of(Between(), "half", seed) == Between() for seed in range(1000)]
    assert 440 < sum(drawn) < 560, "five standard deviations of a fair coin are 79"


def test_rollouts_that_were_begun_with_other_rescues_are_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        rollouts(tmp_path, 1, "none", pool=Interrupted())
    for other in ("half", "all"):
        with pytest.raises(VantageError, match="with another rescues; delete it"):
            rollouts(tmp_path, 1, other)
    rollouts(tmp_path, 1, "none")


def test_rollouts_begin_at_starts_of_their_round(tmp_path: Path) -> None:
    rounds = [rollouts(tmp_path, number) for number in (1, 2)]
    for here in rounds:
        seeds = read_parquet(here.episodes / "meta" / "vantage_episodes.parquet")["seed"]
        assert seeds.tolist() == [seed_for("rollout", 7, here.number, number) for number in range(4)]
        table = read_table(here.episodes)
        assert set(table.policy_version) == {33} and table.intervention.any()
        for rows, seed in zip(table.slices, seeds, strict=True):
            world = Line()
            world.reset(int(seed))
            np.testing.assert_allclose(table.environment_state[rows][0], world.environment_state())
        assert not here.journal.exists()


def test_a_late_record_says_later_who_drove_and_changes_nothing_else(tmp_path: Path) -> None:
    plain, late = rollouts(tmp_path / "plain", 1), rollouts(tmp_path / "late", 1, recorded_late=2)
    ours, theirs = read_table(plain.episodes), read_table(late.episodes)
    np.testing.assert_array_equal(ours.action, theirs.action)
    for rows in ours.slices:
        assert theirs.intervention[rows].tolist() == [
            *ours.intervention[rows][:1].repeat(2),
            *ours.intervention[rows][:-2],
        ]
    assert (ours.intervention != theirs.intervention).any()


def test_noise_reaches_the_policy(tmp_path: Path) -> None:
    with pytest.raises(VantageError, match="does not act from noise"):
        rollouts(tmp_path, 1, noise=0.5)


def test_only_attempts_that_succeed_become_demonstrations(tmp_path: Path) -> None:
    here, settings = (
        Round.of(tmp_path, 0),
        Demonstrations(per_world=4, operator=SometimesHelpful(), attempts=5),
    )
    collect_demonstrations(here, (WORLD,), settings, seed=5, cameras={}, pool=play_here)
    wanted, tried = [], 0
    while len(wanted) < 4:
        seed = seed_for("demonstration", 5, tried)
        attempt = run_episode(
            Line(),
            None,
            settings.operator,
            task="line",
            seed=seed,
            limit=24,
            policy_version=-1,
            pictures=False,
        )
        wanted += [seed] * bool(attempt.outcome)
        tried += 1
    assert tried > 4, "some attempts fail"
    ours = read_parquet(here.episodes / "meta" / "vantage_episodes.parquet")
    assert ours["seed"].tolist() == wanted and ours["success"].all()
    table = read_table(here.episodes, demos=True)
    assert table.intervention.all() and set(table.policy_version) == {-1}
    np.testing.assert_array_equal(table.action, table.policy_action)

    impossible = replace(settings, per_world=30, attempts=1)
    with pytest.raises(VantageError, match=r"solved line in \d+ of 30 attempts, fewer than the 30"):
        collect_demonstrations(
            Round.of(tmp_path / "none", 0), (WORLD,), impossible, seed=5, cameras={}, pool=play_here
        )
