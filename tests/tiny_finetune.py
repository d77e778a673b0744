"""`vantage finetune` of a tiny ACT from a recorded run, in seconds."""

from pathlib import Path

ACT = (
    "--policy.type=act",
    "--policy.true-state=true",
    "--policy.chunk_size=8",
    "--policy.n_action_steps=4",
    "--policy.dim_model=16",
    "--policy.n_heads=2",
    "--policy.dim_feedforward=16",
    "--policy.n_encoder_layers=1",
    "--policy.use_vae=false",
)


def finetune_words(run: Path, out: Path, *more: str) -> list[str]:
    """A fine-tuning of a tiny ACT from a recorded run's demonstrations and first rollouts."""
    demos, rollouts = (run / f"round-{number:02d}" for number in (0, 1))
    data = ["--demos", str(demos / "1-episodes"), "--rollouts", str(rollouts / "1-episodes")]
    outcomes = ["--outcomes", str(rollouts / "outcomes.csv")]
    lengths = ["--steps=6", "--batch_size=8", "--supervised.steps=5", "--critic.steps=10"]
    return ["finetune", *ACT, *data, *outcomes, *lengths, "--out", str(out), *more]
