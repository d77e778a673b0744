"""The folder of a round in, one stage of it on disk: the settings come from the recipe.json of its run,
everything else from files."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from vantage import ranks
from vantage.algorithms.habc import HABCRun, collect_round, evaluate_round, improver
from vantage.algorithms.improvement import Improver
from vantage.algorithms.interleaved import Interleaved
from vantage.algorithms.made import check_run, note_made
from vantage.algorithms.supervised import fit_supervised, weigh_demonstrations
from vantage.collect.pool import open_pool
from vantage.commands.names import own_classes
from vantage.commands.runs import REMEDY, processes
from vantage.config import from_json
from vantage.disk.files import read_json
from vantage.disk.layout import Round
from vantage.disk.lock import alone
from vantage.errors import VantageError
from vantage.learn.critic.chunks import ChunkCriticFit
from vantage.report import charts
from vantage.report.svg import save_svg
from vantage.report.table import Table
from vantage.stages.collect import collect_demonstrations
from vantage.stages.fit_chunk_critic import fit_chunk_critic as train_chunk_critic_of_round
from vantage.stages.label import Labelling


def collect(folder: Path, *, workers: int | str, recipe: Sequence[str]) -> None:
    """1-episodes: demonstrations in round 0, rollouts of the policy of the round before in every other."""
    with _opened(folder, recipe) as (current, settings):
        _must_be_new(current.episodes)
        with open_pool(processes(workers)) as pool:
            if current.number:
                collect_round(current, settings, pool)
            else:
                demonstrations, cameras = settings.supervision.demonstrations, settings.interface.cameras
                collect_demonstrations(
                    current, settings.worlds, demonstrations, seed=settings.seed, cameras=cameras, pool=pool
                )
                note_made(current)


def fit_critic(folder: Path, *, recipe: Sequence[str]) -> None:
    """3-critic."""
    with _opened(folder, recipe) as (current, settings):
        if current.number == 0:
            raise VantageError(
                f"{current.folder} is supervised and has no critic; name round-01 or a later one"
            )
        _must_be_new(current.critic)
        _staged(current, settings, "critic").fit_critic()


def fit_chunk_critic(
    folder: Path, *, folds: int, members: int, steps: int, mc_share: float, recipe: Sequence[str]
) -> None:
    """3-chunk-critic, with its calibration drawn and printed."""
    fit = ChunkCriticFit()
    wanted = replace(
        fit,
        critic=replace(fit.critic, folds=folds, members=members, steps=steps),
        viability=replace(fit.viability, mc_share=mc_share),
    )
    with _opened(folder, recipe) as (current, settings):
        if current.number == 0:
            raise VantageError(
                f"{current.folder} is supervised and has no critic; name round-01 or a later one"
            )
        _must_be_new(current.chunk_critic)
        learning = improver(current, settings)
        train_chunk_critic_of_round(
            learning.sources,
            learning.entering,
            current.chunk_critic,
            wanted,
            t_max=learning.t_max,
            seed=learning.train_seed,
            compute=learning.compute,
            judged_chunks=learning.settings.weighing.rule.judged_chunks,
        )

    quality = read_json(current.chunk_critic / "quality.json")
    figure = save_svg(
        charts.calibration(quality["reliability"], 480, 360), current.chunk_critic / "calibration.svg"
    )
    print(_calibration(quality))
    print(f"drawn in {figure}")


def _calibration(quality: Mapping[str, Any]) -> str:
    """What a critic promised and what came true, by bins of the promise."""
    rows = [
        [
            f"{row['p_low']:.1f} to {row['p_high']:.1f}",
            f"{row['n']:,}",
            f"{row['mean_p']:.3f}",
            f"{row['rate']:.3f}",
        ]
        for row in quality["reliability"]
        if row["n"]
    ]
    auc = "none" if quality["auc"] is None else f"{quality['auc']:.3f}"
    head = (
        f"held-out windows {quality['held_out_frames']:,}, AUC {auc}, BCE {quality['bce']:.3f} "
        f"(base rate {quality['bce_base_rate']:.3f}), calibration error {quality['ece']:.3f}"
    )
    return f"{head}\n{Table(['predicted', 'windows', 'mean', 'came true'], rows).markdown()}"


def weigh(folder: Path, *, recipe: Sequence[str]) -> None:
    """4-weights.parquet."""
    with _opened(folder, recipe) as (current, settings):
        _must_be_new(current.weights)
        if current.number:
            improver(current, settings).weigh()
        else:
            weigh_demonstrations(current, settings.interface)


def fit_policy(folder: Path, *, recipe: Sequence[str]) -> None:
    """5-actor."""
    with _opened(folder, recipe) as (current, settings):
        _must_be_new(current.actor)
        if current.number:
            _staged(current, settings, "policy").fit_policy()
        else:
            fit_supervised(
                current,
                settings.policy,
                settings.interface,
                settings.supervision.supervised,
                seed=settings.seed,
                compute=settings.compute,
            )


def evaluate(folder: Path, *, workers: int | str, videos: int, recipe: Sequence[str]) -> None:
    """6-eval.parquet; `videos`: trials per world whose video is kept beside it."""
    with _opened(folder, recipe) as (current, settings):
        _must_be_new(current.evaluation)
        if videos:
            settings = replace(settings, evaluation=replace(settings.evaluation, videos=videos))
        with open_pool(processes(workers)) as pool:
            evaluate_round(current, settings, pool)


def labelling_of(run: Path) -> Labelling:
    """How a run labels; the defaults for a folder that no recipe of HABC has made."""
    record = read_json(run / "recipe.json") if (run / "recipe.json").is_file() else None
    labelling: Any = record
    for name in ("settings", "improvement", "labelling"):
        labelling = labelling.get(name) if isinstance(labelling, dict) else None
    return Labelling() if labelling is None else from_json(Labelling, labelling, "recipe.json")


def settings_of(run: Path, recipe: Sequence[str] = ()) -> HABCRun:
    """What made a run of HABC, whose rounds have stages.

    `recipe`: the Python functions it came from and classes that it was made with, for a run with classes of
    one's own (a world, an operator, a rule): they are taken from there, the settings from recipe.json. Raises
    VantageError for any other folder.
    """
    path = run / "recipe.json"
    if not path.exists():
        raise VantageError(
            f"{run} is no run of Vantage (recipe.json is missing); "
            f"start one with `vantage run RECIPE --out {run}`"
        )

    record = read_json(path)
    settings = record.get("settings") if isinstance(record, dict) else None
    if not isinstance(settings, dict):
        raise VantageError(f"{path} holds no settings; restore it")

    if settings.get("is") == "ChunkedPPORun":
        raise VantageError(
            f"{run} was made by chunked PPO, which has no stages to run alone; "
            f"go on with `vantage run RECIPE --out {run}`"
        )
    if settings.get("is") == "FineTune":
        raise VantageError(
            f"{run} was made by `vantage finetune`, which has no stages to run alone; "
            "give its own command again"
        )

    return from_json(HABCRun, settings, "recipe.json", own_classes(recipe))


@contextmanager
def _opened(folder: Path, recipe: Sequence[str]) -> Generator[tuple[Round, HABCRun]]:
    """The round in a folder, and what made its run, with nobody else writing there meanwhile.

    Raises VantageError for a round that comes after one that is not there.
    """
    current = Round.at(folder.resolve())
    settings = settings_of(current.run, recipe)
    before = Round.of(current.run, current.number - 1)
    if current.number and not before.folder.is_dir():
        last = max(
            (Round.at(path).number for path in current.run.glob("round-[0-9][0-9]*") if path.is_dir()),
            default=None,
        )
        rounds = "no round yet" if last is None else f"rounds up to {last}"
        raise VantageError(
            f"{current.folder} cannot be next: {current.run} has {rounds}; "
            "name the round after that, or an earlier one"
        )
    with alone(current.run, REMEDY) if ranks.is_first() else nullcontext():
        check_run(current.run)
        yield current, settings


def _staged(current: Round, settings: HABCRun, what: str) -> Improver:
    """The improvement of a round whose schedule trains critic and policy one after the other."""
    if isinstance(settings.improvement.schedule, Interleaved):
        raise VantageError(
            f"{current.run} trains critic and policy together (the interleaved schedule), so the {what} "
            f"cannot be trained alone; go on with `vantage run RECIPE --out {current.run}`"
        )
    return improver(current, settings)


def _must_be_new(product: Path) -> None:
    if product.exists():
        raise VantageError(
            f"{product} is there already; delete it (and what was made from it) to make it again"
        )
