"""Commands that run one stage of one round, files to files (see begin.py)."""

from vantage.commands.options import Folder, OwnRecipe, Workers


def collect(round: Folder, /, workers: Workers = 0, recipe: OwnRecipe = ()) -> None:
    """1-episodes: play the policy of the round before, with rescues.

    In round 0: demonstrations.

    Args:
        round: Folder of the round, inside a run.
        workers: Processes that play episodes.
        recipe: The function that made the recipe, or a class of your own (a world, an operator) that the run
            was made with; may be given several times.
    """
    from vantage.commands import rounds

    rounds.collect(round, workers=workers, recipe=recipe)


def fit_critic(round: Folder, /, recipe: OwnRecipe = ()) -> None:
    """3-critic: train viability and efficiency on the labels.

    Args:
        round: Folder of the round, inside a run.
        recipe: The function that made the recipe, or a class of your own (a world, an operator) that the run
            was made with; may be given several times.
    """
    from vantage.commands import rounds

    rounds.fit_critic(round, recipe=recipe)


def fit_chunk_critic(
    round: Folder,
    /,
    folds: int = 5,
    members: int = 1,
    steps: int = 1000,
    mc_share: float = 0.5,
    recipe: OwnRecipe = (),
) -> None:
    """3-chunk-critic: viability and steps of a state and the chunk done there.

    Only rules that weigh chunks or choose among them read it; calibration.svg in it is the plot by bins, on
    episodes it never saw.

    Args:
        round: Folder of the round, inside a run.
        folds: Folds of cross-fitting; 1: a fifth of the episodes is held out instead.
        members: Critics per fold, averaged.
        steps: Gradient steps of each head at most.
        mc_share: Share of the outcome itself in what teaches viability; the rest is n-step TD.
        recipe: The function that made the recipe, or a class of your own (a world, an operator) that the run
            was made with; may be given several times.
    """
    from vantage.commands import rounds

    rounds.fit_chunk_critic(
        round, folds=folds, members=members, steps=steps, mc_share=mc_share, recipe=recipe
    )


def weigh(round: Folder, /, recipe: OwnRecipe = ()) -> None:
    """4-weights.parquet: the credit ledger, a weight for every frame.

    Args:
        round: Folder of the round, inside a run.
        recipe: The function that made the recipe, or a class of your own (a world, an operator) that the run
            was made with; may be given several times.
    """
    from vantage.commands import rounds

    rounds.weigh(round, recipe=recipe)


def fit_policy(round: Folder, /, recipe: OwnRecipe = ()) -> None:
    """5-actor: train the policy on weighted windows.

    Args:
        round: Folder of the round, inside a run.
        recipe: The function that made the recipe, or a class of your own (a world, an operator) that the run
            was made with; may be given several times.
    """
    from vantage.commands import rounds

    rounds.fit_policy(round, recipe=recipe)


def evaluate(round: Folder, /, workers: Workers = 0, videos: int = 0, recipe: OwnRecipe = ()) -> None:
    """6-eval.parquet: try the policy on the evaluation starts.

    Args:
        round: Folder of the round, inside a run.
        workers: Processes that play episodes.
        videos: Trials per world whose video is kept in ROUND/videos.
        recipe: The function that made the recipe, or a class of your own (a world, an operator) that the run
            was made with; may be given several times.
    """
    from vantage.commands import rounds

    rounds.evaluate(round, workers=workers, videos=videos, recipe=recipe)
