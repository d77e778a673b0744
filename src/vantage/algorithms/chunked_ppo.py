"""Action-chunked PPO with self behaviour cloning (arXiv 2509.25718), as its algorithm box would read.

    round-00   demonstrations ──> supervised policy ──> evaluate
    round-01   practise: play with noise ──> advantages ──> PPO + self-cloning of the best trials ──> ...
               the checkpoint that did best on development starts ──> evaluate

PPO is supervision, worlds and practice. A run that was killed goes on where it was.
"""

import json
import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import tyro

from vantage import ranks
from vantage.algorithms.made import PRACTICE, check_run, note_made
from vantage.algorithms.supervised import Supervision, sources_up_to, supervise_policy
from vantage.bounds import Count, Whole, check
from vantage.collect.cluster import Ray
from vantage.collect.compatible import check_compatible
from vantage.collect.observe import interface_in
from vantage.collect.operators import DemonstrateStock
from vantage.collect.pool import Pool, open_pool
from vantage.disk.files import whole_folder, write_json
from vantage.disk.layout import Round
from vantage.disk.record import write_record
from vantage.learn.optim import OptimConfig
from vantage.learn.step import Compute
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.build import PolicySpec
from vantage.policies.load import load_policy
from vantage.policies.small.gaussian import GaussianConfig
from vantage.policies.small.stochastic_flow import FlowSDEConfig, FPOConfig, NoisyFlowConfig
from vantage.practice.board import PracticeBoard
from vantage.practice.ppo import check_whole
from vantage.practice.settings import Practice
from vantage.practice.trainer import PracticeTask, Trainer
from vantage.stages.collect import Demonstrations
from vantage.stages.evaluate import Evaluation, evaluate
from vantage.stages.fit_policy import PolicyFit
from vantage.tracking import curve_of, record
from vantage.types import VantageError
from vantage.worlds.spec import WorldSpec

GAUSSIAN = GaussianConfig(net=NetConfig(sight=TrueState(), chunk=5, execute=5), log_std=-1.2, correlation=0.5)
"""From true state, in chunks of five."""

SUPERVISION = Supervision(
    demonstrations=Demonstrations(per_world=10, operator=DemonstrateStock()),
    supervised=PolicyFit(steps=2500, batch=256, optim=OptimConfig(weight_decay=0.3)),
)
"""Ten demonstrations a task of MetaWorld's own scripted policies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkedPPORun:
    """Everything that decides what a run does; its JSON form is recipe.json."""

    worlds: tuple[WorldSpec, ...]
    """The tasks; their limit is that of demonstrations."""
    seed: Whole = 0
    policy: PolicySpec = GAUSSIAN
    supervision: Annotated[Supervision, tyro.conf.arg(name="")] = SUPERVISION
    """Round 0: demonstrations, and supervised fine-tuning on them."""
    practice: Practice = Practice()
    """Round 1: reinforcement learning."""
    evaluation: Evaluation = Evaluation(per_world=50)
    limit: Count = 500
    """Of the evaluation: the cap of MetaWorld itself."""
    compute: Compute = Compute()
    """On what policy and critic are trained, and on what a policy acts when it is evaluated; practice is
    played on the CPU, by many workers."""

    def __post_init__(self) -> None:
        """Raise `VantageError` for numbers out of their bounds."""
        check(self)

    def check_compatible(self) -> None:
        """Raise VantageError for a policy without a density, batches in parts, and what does not fit."""
        if not isinstance(self.policy, GaussianConfig | NoisyFlowConfig | FlowSDEConfig | FPOConfig):
            remedy = "set policy to a GaussianConfig, a NoisyFlowConfig, a FlowSDEConfig or an FPOConfig"
            raise VantageError(f"a {type(self.policy).__name__} has no density; {remedy}")
        if self.evaluation.best_of is not None:
            raise VantageError("chunked PPO trains no critic of chunks; leave evaluation.best_of unset")
        if self.evaluation.steering is not None:
            raise VantageError("chunked PPO trains no critic of chunks; leave evaluation.steering unset")
        self.compute.torch_device()
        check_whole(self.compute)
        for world in self.worlds:
            if "limit" not in {setting.name for setting in fields(world)}:
                raise VantageError(
                    f"chunked PPO sets the limit of episodes, and {type(world).__name__} has no field limit; "
                    "write one (limit: Whole = 200)"
                )
        demonstrator = self.supervision.demonstrations.operator
        check_compatible(self.policy, self.worlds, [demonstrator], [self.evaluation.noise])


def run_chunked_ppo(run: Path, settings: ChunkedPPORun, *, workers: int | Ray) -> None:
    """Do whatever of the run is not on disk yet.

    Raises VantageError for settings that do not fit together, before anything is played.
    """
    settings.check_compatible()
    if ranks.count() > 1:
        raise VantageError(
            "chunked PPO practises in one process; start the run without a launcher of several"
        )

    check_run(run)
    start, after = Round.of(run, 0), Round.of(run, 1)
    with open_pool(workers) as pool:
        supervise_policy(
            start,
            settings.worlds,
            settings.policy,
            settings.supervision,
            seed=settings.seed,
            pool=pool,
            compute=settings.compute,
        )
        evaluate_round(start, settings, pool)
        write_record(start.folder, settings.seed)
        if settings.practice.steps == 0:
            return  # the supervised policy is the result

        if not after.actor.exists():
            practise(start, after, settings, pool)
        shutil.rmtree(_state(after), ignore_errors=True)  # a kill may have left some of it
        note_made(after, actor=PRACTICE)
        evaluate_round(after, settings, pool)
        write_record(after.folder, settings.seed)


def practise(start: Round, current: Round, settings: ChunkedPPORun, pool: Pool) -> None:
    """5-actor of `current`: the checkpoint of practice that did best on development starts."""
    task = PracticeTask(
        worlds=settings.worlds,
        policy=start.actor,
        sources=sources_up_to(start, interface_in(settings.policy, settings.worlds[0])),
        demonstrator=settings.supervision.demonstrations.operator,
        practice=settings.practice,
        seed=settings.seed,
        compute=settings.compute,
    )
    trainer = Trainer.begin(task, _state(current))
    steps = settings.practice.steps

    with PracticeBoard(steps) as board:
        if not trainer.checked:
            board.checked(trainer.check(pool))
            trainer.save()
        while trainer.spent < steps:
            line = trainer.iterate(pool)
            board.iterated(line)
            record(curve_of(current.actor), line["steps"], line)
            if trainer.spent >= trainer.next_check or trainer.spent >= steps:
                board.checked(trainer.check(pool))
                trainer.save()

    # Before the policy, so that nothing is missing where it stands; only then is the state let go.
    played, learned = trainer.seconds.tolist()
    speed = {"steps": trainer.spent, "seconds_playing": played, "seconds_learning": learned}
    write_json(current.folder / "speed.json", speed)
    best = load_policy(trainer.best)
    with whole_folder(current.actor) as folder:
        best.save(folder)
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in trainer.lines))
        write_json(folder / "checks.json", trainer.checked)


def _state(current: Round) -> Path:
    """What a practice that is interrupted goes on from."""
    return current.folder / ".practice"


def evaluate_round(current: Round, settings: ChunkedPPORun, pool: Pool) -> None:
    """6-eval.parquet, played to the cap."""
    worlds = tuple(replace(world, limit=settings.limit) for world in settings.worlds)
    evaluate(
        current.actor,
        current.evaluation,
        worlds,
        settings.evaluation,
        pool=pool,
        title=f"evaluation, round {current.number}",
        device=settings.compute.acting,
    )
    note_made(current)
