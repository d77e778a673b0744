"""Action-chunked PPO with self behaviour cloning (arXiv 2509.25718), as its algorithm box would read.

    round-00   demonstrations ──> supervised policy ──> evaluate
    round-01   practise: play with noise ──> advantages ──> PPO + self-cloning of the best trials ──> ...
               the checkpoint that did best on development starts ──> evaluate

A run that was killed goes on where it was.
"""

import json
from dataclasses import replace
from pathlib import Path

from vantage.algorithms.habc import evaluate_round, supervise_policy
from vantage.collect.pool import Pool, open_pool
from vantage.disk.files import whole_folder, write_json
from vantage.disk.layout import Round
from vantage.disk.record import write_record
from vantage.policies.load import load_policy
from vantage.policies.small.flow import FlowConfig
from vantage.practice.board import PracticeBoard
from vantage.practice.trainer import ChunkedPPORun as ChunkedPPORun
from vantage.practice.trainer import Trainer
from vantage.types import VantageError


def run_chunked_ppo(run: Path, settings: ChunkedPPORun, *, workers: int) -> None:
    """Do whatever of the run is not on disk yet."""
    if isinstance(settings.actor, FlowConfig):
        raise VantageError("a plain flow has no density; set actor to a FlowSDEConfig, an FPOConfig or a GaussianConfig")
    tried = replace(settings.supervision, worlds=tuple(replace(world, limit=settings.limit) for world in settings.worlds))
    with open_pool(workers) as pool:
        start, after = Round.of(run, 0), Round.of(run, 1)
        supervise_policy(start, settings.supervision, pool)
        evaluate_round(start, tried, pool)
        write_record(start.folder, settings.seed)
        if not after.actor.exists():
            practise(start, after, settings, pool)
        evaluate_round(after, tried, pool)
        write_record(after.folder, settings.seed)


def practise(start: Round, here: Round, settings: ChunkedPPORun, pool: Pool) -> None:
    """From the supervised policy to `here`/5-actor: the checkpoint that did best on the development starts."""
    trainer = Trainer.begin(start, here, settings)
    with PracticeBoard(settings.steps) as board:
        if not trainer.checked:
            board.checked(trainer.check(pool))
            trainer.save()
        while trainer.spent < settings.steps:
            board.iterated(trainer.iterate(pool))
            if trainer.spent >= trainer.next_check or trainer.spent >= settings.steps:
                board.checked(trainer.check(pool))
                trainer.save()
    best = load_policy(trainer.best)
    with whole_folder(here.actor) as folder:
        best.save(folder)
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in trainer.lines))
        write_json(folder / "checks.json", trainer.checked)
    played, learned = trainer.seconds.tolist()
    write_json(here.folder / "speed.json", {"steps": trainer.spent, "seconds_playing": played, "seconds_learning": learned})
    trainer.forget()
