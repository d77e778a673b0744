"""Rollouts that explore: noises and chunk lengths take turns, starts are the doubtful ones, and episodes that
failed are gone on with where they could still succeed."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from line_world import Line, LineSpec
from tiny import tiny

from vantage.algorithms.habc import HABCRun, run_habc
from vantage.batch import Observation
from vantage.collect.episode import Beginning, run_episode
from vantage.collect.exploration import AnyStart, BeforeFailure, DoubtfulStart, Exploration
from vantage.collect.operators import NoOne
from vantage.collect.pool import Job, Played, play_here
from vantage.core.weights import FilteredBC
from vantage.data.episodes import Episode, save_episode
from vantage.data.v3.read import Table, read_table
from vantage.data.v3.write import write_dataset
from vantage.disk.layout import Round
from vantage.disk.tables import read_parquet, write_parquet
from vantage.errors import VantageError
from vantage.learn.critic.panel import load_panel
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.load import load_policy
from vantage.policies.small.gaussian import GaussianConfig, GaussianPolicy
from vantage.seeding import seed_for
from vantage.stages.collect import Rollouts, collect_rollouts
from vantage.stages.starts import Place, choose_starts
from vantage.stages.weigh import Weighing


def test_every_pair_of_noise_and_chunk_length_has_its_turn_equally_often() -> None:
    explored = Exploration(noises=(0.0, 1.0, 1.5), executes=(4, 8))
    pairs = [(explored.noise(turn), explored.execute(turn)) for turn in range(12)]
    assert sorted(pairs) == sorted([(n, e) for n in (0.0, 1.0, 1.5) for e in (4, 8)] * 2)
    assert Exploration().noise(3) is None and Exploration().execute(3) is None
    assert [Exploration(executes=(4, 8)).execute(turn) for turn in range(4)] == [4, 8, 4, 8]


def on_a_line(**changes: object) -> tuple[np.ndarray, np.ndarray, dict]:
    """(states, actions, info) of an episode of a random policy that predicts four steps and executes two."""
    net = NetConfig(sight=TrueState(dim=2, width=16), state_dim=1, action_dim=1, chunk=4, execute=2, width=16)
    policy = GaussianPolicy(GaussianConfig(net=net), seed=2).eval()
    policy.actions.std.fill_(0.3)
    arguments = {"task": "line", "seed": 6, "limit": 12, "pictures": False} | changes
    episode = run_episode(Line(), policy, NoOne(), **arguments)
    decided = []
    for t in range(len(episode)):
        seen = Observation(
            images={},
            state=torch.from_numpy(episode.state[t : t + 1]),
            environment_state=torch.from_numpy(episode.environment_state[t : t + 1]),
            prompts=("go",),
        )
        with torch.no_grad():
            decided.append(policy.mean(seen)[0, 0, 0].clamp(-1, 1).item())
    # A step at which the policy has just decided is the first of the chunk that it predicts there.
    return episode.environment_state, np.isclose(episode.action[:, 0], decided, atol=1e-6), dict(episode.info)


@pytest.mark.parametrize("execute", [1, 2, 3, 4])
def test_so_many_steps_of_a_chunk_are_executed(execute: int) -> None:
    _, decided, _ = on_a_line(execute=execute)
    assert decided.tolist() == [t % execute == 0 for t in range(12)]


def test_an_episode_begins_where_its_lead_ends_and_has_its_whole_limit() -> None:
    world = Line()
    world.reset(3)
    away = np.full((4, 1), -np.sign(world.goal - world.x), np.float32)
    for action in away:
        world.step(action)
    states, _, info = on_a_line(beginning=Beginning(3, away, world.environment_state()))
    assert np.allclose(states[0], world.environment_state()) and info == {"lead": 4}
    assert len(states) == 12
    assert on_a_line()[2] == {}


def test_a_world_that_does_not_repeat_itself_is_one_sentence() -> None:
    world = Line()
    world.reset(3)
    still = np.zeros((4, 1), np.float32)
    on_a_line(beginning=Beginning(3, still, world.environment_state()))
    with pytest.raises(VantageError, match="again from start 3 is elsewhere after 4 control steps"):
        on_a_line(beginning=Beginning(3, still, world.environment_state() + np.float32(0.01)))


# ---- which episodes are gone on with, by hand


def by_hand(here: Round, episodes: list[tuple[bool, list[float], dict]]) -> None:
    """A round of (success, p_v of each step, what its record says), its actions numbered through."""
    for number, (won, p_v, info) in enumerate(episodes):
        steps = len(p_v)
        last = np.arange(steps) == steps - 1
        episode = Episode(
            state=np.zeros((steps, 1), np.float32),
            environment_state=np.zeros((steps, 2), np.float32),
            action=np.full((steps, 1), number, np.float32)
            + 0.01 * np.arange(steps, dtype=np.float32)[:, None],
            policy_action=np.zeros((steps, 1), np.float32),
            intervention=np.arange(steps) >= info.pop("rescued_at", steps),
            policy_version=np.zeros(steps, np.int64),
            success=last & won,
            done=last,
            prompt="go",
            task="line",
            seed=100 + number,
            info=info,
        )
        save_episode(here.journal, number, episode)
    write_dataset(here.journal, range(len(episodes)), here.episodes, Line.fps)

    values = np.concatenate([p_v for _, p_v, _ in episodes])
    round_of = np.repeat([0, here.number], [len(values), len(values)])
    # The ledger also speaks of round 0, whose frames have the same numbers.
    ledger = {"round": round_of, "index": np.tile(np.arange(len(values)), 2), "p_v": np.tile(values, 2)}
    ledger["p_v"][: len(values)] = 1.0
    write_parquet(here.weights, ledger, nullable=("p_v",))


def test_what_failed_alone_is_gone_on_with_where_it_could_still_succeed(tmp_path: Path) -> None:
    by_hand(
        Round.of(tmp_path, 1),
        [
            (True, [0.9, 0.9, 0.9], {}),
            (False, [0.4, 0.6, 0.7, 0.55, 0.2, 0.1], {}),
            (False, [0.9, 0.9, 0.9], {"rescued_at": 1}),
            (False, [0.9, 0.9, 0.9], {"lead": 2}),
            (False, [np.nan, np.nan, np.nan], {}),
        ],
    )
    worlds = [LineSpec(task="line", limit=9)] * 60
    places = choose_starts(BeforeFailure(share=1.0, viable=0.5), Round.of(tmp_path, 2), worlds, 7, play_here)
    leads: dict[int, set[int]] = {}
    for number, place in enumerate(places):
        assert place.seed == seed_for("rollout", 7, 2, number) and place.beginning is not None
        steps, own = len(place.beginning.lead), place.beginning.seed - 100
        assert np.allclose(place.beginning.lead[:, 0], own + 0.01 * np.arange(steps))
        leads.setdefault(place.beginning.seed, set()).add(steps)
    assert leads == {101: {3}, 104: {0, 1, 2}}, "the last viable step; where none is known, any"

    others = [LineSpec(task="another", limit=9)] * 3
    elsewhere = choose_starts(BeforeFailure(share=1.0), Round.of(tmp_path, 2), others, 7, play_here)
    assert [place.beginning for place in elsewhere] == [None] * 3, "nothing failed in that world"


# ---- a whole run, whose second round explores from what its first has left


def exploring(starts: AnyStart | DoubtfulStart | BeforeFailure) -> HABCRun:
    recipe = tiny()
    explored = Exploration(noises=(1.0, 2.0), executes=(4, 8), starts=starts)
    return replace(
        recipe,
        control=False,
        rescues="half",
        rollouts=replace(recipe.rollouts, per_world=12, exploration=explored),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds that go on from failures."""
    folder = tmp_path_factory.mktemp("exploring") / "run"
    run_habc(folder, exploring(BeforeFailure(share=0.7, viable=0.3)), workers=1)
    return folder


def recorded(here: Round) -> tuple[Table, list[dict], np.ndarray]:
    ours = read_parquet(here.episodes / "meta" / "vantage_episodes.parquet")
    return read_table(here.episodes), [json.loads(info) for info in ours["info"]], ours["seed"]


def test_failures_are_gone_on_with_from_their_last_viable_moment(run: Path) -> None:
    first, second = Round.of(run, 1), Round.of(run, 2)
    before, _, starts = recorded(first)
    after, infos, seeds = recorded(second)
    ledger = read_parquet(first.weights)
    own = ledger["round"] == 1
    p_v = ledger["p_v"][own][np.argsort(ledger["index"][own])]

    led = [number for number, info in enumerate(infos) if info]
    assert 3 <= len(led) < 12
    for number in led:
        steps = infos[number]["lead"]
        rows = before.slices[starts.tolist().index(seeds[number])]
        assert before.success is not None and not before.success[rows].any()
        assert not before.intervention[rows].any()
        # MetaWorld repeats itself: the episode begins in the very state that was recorded.
        begun = after.environment_state[after.slices[number]][0]
        assert np.array_equal(begun, before.environment_state[rows][steps])
        viable = np.flatnonzero(p_v[rows] >= 0.3)
        assert not len(viable) or steps == viable[-1]
    assert len({(seeds[n], tuple(after.action[after.slices[n]][0])) for n in led}) == len(led), (
        "episodes that begin alike draw noise of their own"
    )

    # The others begin where they would have.
    plain = [seed_for("rollout", 0, 2, number) for number in range(12)]
    assert all(seeds[n] == plain[n] for n in range(12) if n not in led)
    assert recorded(first)[1] == [{}] * 12, "the first round has no failures to go on with"


def test_a_stage_that_is_started_again_begins_its_episodes_where_it_would_have(run: Path) -> None:
    starts, worlds = BeforeFailure(share=0.7, viable=0.3), [tiny().worlds[0]] * 12
    _, infos, seeds = recorded(Round.of(run, 2))
    places = choose_starts(starts, Round.of(run, 2), worlds, 0, play_here)
    leads = [None if place.beginning is None else len(place.beginning.lead) for place in places]
    assert leads == [info.get("lead") for info in infos]
    begun = [place.seed if place.beginning is None else place.beginning.seed for place in places]
    assert begun == seeds.tolist()


class Noting:
    """A pool that notes its jobs, and then somebody presses Ctrl-C."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def __call__(self, jobs: Iterable[Job]) -> Iterator[Played]:
        self.jobs += jobs
        raise KeyboardInterrupt

    def each[A, B](self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        return map(function, items)


def test_the_episodes_of_every_world_take_turns(run: Path, tmp_path: Path) -> None:
    worlds = (tiny().worlds[0], replace(tiny().worlds[0], task="reach-v3"))
    settings = Rollouts(
        per_world=4, operator=NoOne(), exploration=Exploration(noises=(0.5, 2.0), executes=(4, 8))
    )
    pool = Noting()
    with pytest.raises(KeyboardInterrupt):
        collect_rollouts(
            Round.of(tmp_path, 1),
            worlds,
            settings,
            policy=Round.of(run, 0).actor,
            policy_version=0,
            seed=0,
            cameras={},
            pool=pool,
        )
    for world in worlds:
        played = [(job.noise, job.execute) for job in pool.jobs if job.world == world]
        assert played == [(0.5, 4), (2.0, 4), (0.5, 8), (2.0, 8)]


def test_of_several_starts_the_most_doubtful_is_played(run: Path) -> None:
    first, worlds = Round.of(run, 1), [tiny().worlds[0]] * 6
    chosen = choose_starts(DoubtfulStart(candidates=5), Round.of(run, 2), worlds, 0, play_here)
    policy, panel = load_policy(Round.of(run, 0).actor), load_panel(first.critic)
    world = worlds[0]()

    def viability(seed: int) -> float:
        world.reset(seed)
        seen = Observation(
            images={},
            state=torch.from_numpy(world.proprioception()[None]),
            environment_state=torch.from_numpy(world.environment_state()[None]),
            prompts=(world.prompt,),
        )
        with torch.no_grad():
            return float(1 / (1 + np.exp(-panel.judge(policy.features(seen)).z_v[0])))

    moved = 0
    for number, place in enumerate(chosen):
        own = seed_for("rollout", 0, 2, number)
        offered = [own, *(seed_for("start", own, other) for other in range(1, 5))]
        assert place.seed == min(offered, key=lambda seed: abs(viability(seed) - 0.5))
        assert place.beginning is None
        moved += place.seed != own
    assert moved, "otherwise nothing was chosen"

    early = choose_starts(DoubtfulStart(), first, worlds, 0, play_here)
    assert early == [Place(seed_for("rollout", 0, 1, number)) for number in range(6)], "no critic yet"


def test_what_cannot_be_explored_is_refused_before_the_first_episode() -> None:
    recipe = tiny()

    def of(**changes: object) -> HABCRun:
        return replace(recipe, rollouts=replace(recipe.rollouts, exploration=Exploration(**changes)))

    with pytest.raises(
        VantageError, match="17 steps of a chunk, and the policy predicts 16; give 16 at most"
    ):
        of(executes=(16, 17)).check_compatible()
    gaussian = GaussianConfig(net=NetConfig(sight=TrueState()))
    with pytest.raises(VantageError, match="does not act from noise, so its scale cannot be 2"):
        replace(of(noises=(2.0,)), policy=gaussian).check_compatible()
    blind = replace(recipe.improvement, weighing=Weighing(rule=FilteredBC()))
    with pytest.raises(VantageError, match="chosen by a critic, and FilteredBC trains none"):
        replace(of(starts=DoubtfulStart()), improvement=blind).check_compatible()
    replace(of(starts=BeforeFailure()), improvement=blind).check_compatible()
    with pytest.raises(VantageError, match=r"rollouts\.noise is 1, and rollouts\.exploration\.noises"):
        Rollouts(noise=1.0, exploration=Exploration(noises=(1.0,)))
    with pytest.raises(VantageError, match=r"Exploration\.noises is -1"):
        Exploration(noises=(-1.0,))
