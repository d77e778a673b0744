"""Best-of-N and steering as settings of a run: a critic is trained on the policy that acts, and chooses for
it or trains what leads it."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from vantage.algorithms.habc import HABCRun, evaluate_round, improver, run_habc
from vantage.collect.episode import run_episode
from vantage.collect.operators import NoOne
from vantage.collect.pool import Job, Played, play_here, stamp
from vantage.disk.layout import Round
from vantage.learn.critic.chunks import ChunkCriticFit
from vantage.learn.critic.extraction import BestOfN
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.steering import ChunkEdits, NoiseSteering, SteerBy, SteeringFit
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.load import load_policy
from vantage.policies.small.gaussian import GaussianConfig
from vantage.progress import silence
from vantage.recipes.debug import debug, debug_ppo
from vantage.stages.collect import Rollouts
from vantage.stages.evaluate import Evaluation
from vantage.stages.fit_chunk_critic import fit_chunk_critic
from vantage.stages.fit_policy import PolicyFit
from vantage.stages.fit_steering import fit_steering
from vantage.types import VantageError
from vantage.worlds.spec import MetaWorldSpec

SPEC = MetaWorldSpec("reach-v3", limit=50)


def small() -> HABCRun:
    """Reach, with a policy that hardly learned it; nobody rescues."""
    settings, fit = debug(), CriticFit(steps=4, folds=2, batch=16)
    supervision = settings.supervision
    return replace(
        settings,
        worlds=(SPEC,),
        supervision=replace(
            supervision,
            demonstrations=replace(supervision.demonstrations, per_world=2),
            supervised=PolicyFit(steps=40, batch=32),
        ),
        rounds=1,
        rollouts=Rollouts(per_world=6),
        rescues="none",
        improvement=replace(
            settings.improvement,
            critic=fit,
            chunk_critic=ChunkCriticFit(critic=fit),
            fit=PolicyFit(steps=4, batch=16),
        ),
        evaluation=Evaluation(per_world=3, best_of=6),
    )


@dataclass
class Watched:
    """Plays here, and remembers what it was given."""

    jobs: list[Job]

    def __call__(self, jobs: Iterable[Job]) -> Iterator[Played]:
        self.jobs.extend(jobs)
        return play_here(self.jobs)

    def each[A, B](self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        return map(function, items)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, to its end."""
    run = tmp_path_factory.mktemp("small") / "run"
    with silence():
        run_habc(run, small(), workers=1)
    return run


def test_the_trials_of_a_round_are_those_of_the_policy_that_chooses(ran: Path, tmp_path: Path) -> None:
    settings, watched = small(), Watched([])
    run = shutil.copytree(ran, tmp_path / "run", symlinks=True)
    with silence():
        first, last = Round.of(run, 0), Round.of(run, 1)
        assert not first.acting_critic.exists(), "before any rollout there is nothing to learn it from"
        last.evaluation.unlink()
        evaluate_round(last, settings, watched)
        chooses = BestOfN(last.acting_critic, 6, stamp(last.acting_critic))
        assert [job.acting for job in watched.jobs] == [chooses] * 3

        made = {}
        for actor in (first.actor, last.actor):
            out = tmp_path / actor.parent.name
            made[actor] = out / "critic.safetensors"
            fit_chunk_critic(
                improver(last, settings).sources,
                actor,
                out,
                settings.improvement.chunk_critic,
                t_max=settings.t_max,
                seed=improver(last, settings).train_seed,
            )
    kept = (last.acting_critic / "critic.safetensors").read_bytes()
    assert kept == made[last.actor].read_bytes(), "it looks through the policy that acts"
    assert kept != made[first.actor].read_bytes()

    world, plain = SPEC(), load_policy(last.actor)
    one, other = (
        run_episode(world, actor, NoOne(), task=SPEC.task, seed=0, limit=50, pictures=False).action
        for actor in (chooses(plain), plain)
    )
    assert len(one) != len(other) or (one != other).any(), "another chunk than the first is chosen"
    world.close()


@pytest.mark.parametrize(
    "steering", [NoiseSteering(fit=SteeringFit(steps=3)), ChunkEdits(fit=SteeringFit(steps=3))]
)
def test_the_trials_of_a_round_are_those_of_the_policy_that_is_led(
    steering: NoiseSteering | ChunkEdits, ran: Path, tmp_path: Path
) -> None:
    settings, watched = replace(small(), evaluation=Evaluation(per_world=3, steering=steering)), Watched([])
    run = shutil.copytree(ran, tmp_path / "run", symlinks=True)
    with silence():
        first, last = Round.of(run, 0), Round.of(run, 1)
        for current in (first, last):
            current.evaluation.unlink()
            evaluate_round(current, settings, watched)
        assert not first.steering.exists() and {job.acting for job in watched.jobs[:3]} == {None}
        watched.jobs = watched.jobs[3:]
        led = SteerBy(last.steering, stamp(last.steering))
        assert [job.acting for job in watched.jobs] == [led] * 3

        # Made again of the same round, it is the same to the last bit: nothing else goes into it.
        again = tmp_path / "again"
        fit_steering(
            improver(last, settings).sources,
            last.actor,
            last.acting_critic,
            again,
            steering,
            noise=None,
            seed=improver(last, settings).train_seed,
        )
    name = "steering.safetensors"
    assert (again / name).read_bytes() == (last.steering / name).read_bytes()
    world, plain = SPEC(), load_policy(last.actor)
    one, other = (
        run_episode(world, actor, NoOne(), task=SPEC.task, seed=0, limit=50, pictures=False).action
        for actor in (led(plain), plain)
    )
    assert len(one) != len(other) or (one != other).any()
    world.close()


def test_a_choice_among_equal_chunks_and_without_a_critic_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VantageError, match="at noise 0 all of them are the same"):
        Evaluation(best_of=8, noise=0.0)
    with pytest.raises(VantageError, match=r"trains no critic of chunks; leave evaluation\.best_of unset"):
        replace(debug_ppo(), evaluation=Evaluation(best_of=8)).check_compatible()
    with pytest.raises(VantageError, match="both say how the chunk is chosen"):
        Evaluation(best_of=8, steering=ChunkEdits())
    with pytest.raises(VantageError, match="noise is 0, and with NoiseSteering the noise is chosen"):
        Evaluation(noise=0.0, steering=NoiseSteering())
    with pytest.raises(VantageError, match=r"trains no critic of chunks; leave evaluation\.steering unset"):
        replace(debug_ppo(), evaluation=Evaluation(steering=ChunkEdits())).check_compatible()
    gaussian = GaussianConfig(net=NetConfig(sight=TrueState()))
    led = replace(debug(), policy=gaussian, evaluation=Evaluation(steering=NoiseSteering()))
    with pytest.raises(VantageError, match="the noise of a FlowConfig, and the policy is a GaussianConfig"):
        led.check_compatible()
    with pytest.raises(VantageError, match="holds no critic of chunks"):
        BestOfN(tmp_path, 8)(load_policy_of(tmp_path))


def load_policy_of(folder: Path):
    from vantage.policies.build import build_policy

    policy = build_policy(debug().policy, 0)
    policy.save(folder / "actor")
    return load_policy(folder / "actor")
