"""What `vantage weights --view` writes, in stock LeRobot's hands: windows are those of Vantage, and stock
lerobot-train draws them as Vantage does."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data.conftest import make_episode

from vantage.cli import dispatch
from vantage.core.weights import FilteredBC
from vantage.data.episodes import save_episode
from vantage.data.experience import Experience, load_experience
from vantage.data.frames import Raw, make_frames
from vantage.data.sidecars import read_ledger
from vantage.data.v3.write import write_dataset
from vantage.data.view import WEIGHTS_FILE, View, write_view
from vantage.disk.files import read_json
from vantage.disk.layout import Source
from vantage.disk.tables import read_parquet
from vantage.stages.label import label
from vantage.stages.weigh import Weighing, weigh
from vantage.types import VantageError

FPS, CHUNK = 20, 6
DEMOS = (("H" * 12, True), ("H" * 9, True))
ROLLOUTS = (
    ("P" * 10 + "H" * 8 + "P" * 7, True),
    ("P" * 15, False),
    ("P" * 11, True),
    ("P" * 9 + "H" * 6, False),
    ("P" * 13, True),
)
ACT = (
    "--policy.type=act",
    f"--policy.chunk_size={CHUNK}",
    "--policy.n_action_steps=2",
    "--policy.dim_model=16",
    "--policy.n_heads=2",
    "--policy.dim_feedforward=16",
    "--policy.n_encoder_layers=1",
    "--policy.use_vae=false",
    "--policy.pretrained_backbone_weights=null",
)
SMALL = (
    "--policy.type=vantage_small",
    f"--policy.chunk_size={CHUNK}",
    "--policy.n_action_steps=2",
    "--policy.width=16",
    "--policy.picture_size=32",
    "--policy.sight_width=8",
)


@dataclass(frozen=True)
class Shown:
    """Demonstrations and rollouts, their ledger, and the view of both."""

    experience: Experience
    ledger: dict[str, np.ndarray]
    root: Path
    told: View

    @property
    def kept(self) -> np.ndarray:
        """The experience's row of every frame of the view."""
        rows = read_parquet(self.root / WEIGHTS_FILE, ("source", "source_index"))
        where = {
            (number, index): row
            for row, (number, index) in enumerate(
                zip(self.experience.round.tolist(), self.experience.index.tolist(), strict=True)
            )
        }
        return np.array(
            [where[key] for key in zip(rows["source"].tolist(), rows["source_index"].tolist(), strict=True)]
        )


def show(folder: Path, *, images: bool = False, side: tuple[int, int] = (32, 32)) -> Shown:
    """Record, label, weigh and show. `side`: (height, width) of the rollouts' pictures."""
    sources = []
    for number, episodes in enumerate((DEMOS, ROLLOUTS)):
        here = folder / f"round-{number}"
        for count, (drivers, success) in enumerate(episodes):
            episode = make_episode(
                seed=10 * number + count,
                drivers=drivers,
                success=success,
                prompt=f"task {count % 2}",
                cameras=("front", "wrist"),
                side=side if number else (32, 32),
            )
            save_episode(here / "journal", count, episode)
        write_dataset(here / "journal", range(len(episodes)), here / "1-episodes", FPS, images=images)
        label(here / "1-episodes", here / "labels.parquet", demos=number == 0)
        cameras = {"front": None, "wrist": None}
        frames = here / "frames"
        make_frames(here / "1-episodes", frames, cameras, Raw())
        sources.append(Source(number, here / "1-episodes", here / "labels.parquet", frames))

    weights = folder / "4-weights.parquet"
    weigh(sources, None, weights, Weighing(rule=FilteredBC()), horizon=CHUNK, policy_version=0)
    ledger, experience = read_ledger(weights), load_experience(sources)
    # The rule above needs no critic and gives equal weights; others do not, and weights may be 0.
    draw = np.random.default_rng(0)
    ledger["weight"] = ledger["weight"] * draw.choice([0.25, 0.5, 1.0, 2.0], len(ledger["weight"]))
    root = folder / "view"
    return Shown(experience, ledger, root, write_view(experience, ledger, root))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return show(tmp_path_factory.mktemp("shown"))


def opened(root: Path) -> Any:
    """The view as lerobot-train opens it."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    steps = [step / FPS for step in range(CHUNK)]
    return LeRobotDataset("local/view", root=root, delta_timestamps={"action": steps}, video_backend="pyav")


@pytest.mark.parametrize("images", (False, True))
def test_every_window_of_stock_lerobot_is_vantages_own(images: bool, shown: Shown, tmp_path: Path) -> None:
    """State, actions, padding, prompt and every camera's picture, of every frame that may be drawn."""
    here = show(tmp_path, images=True) if images else shown
    data, kept = opened(here.root), here.kept
    assert data.num_frames == len(kept) == here.told.frames
    assert set(np.flatnonzero(here.ledger["sampling"])) <= set(kept.tolist()), "nothing to draw is left out"

    loader = here.experience.loader(CHUNK, here.experience.cameras)
    for index, row in enumerate(kept.tolist()):
        item, ours = data[index], loader.batch(np.array([row]))
        mask = ours.mask[0, :, 0]
        torch.testing.assert_close(item["observation.state"], ours.observation.state[0], rtol=0, atol=0)
        torch.testing.assert_close(item["action"][mask], ours.actions[0][mask], rtol=0, atol=0)
        assert (item["action_is_pad"] == ~mask).all(), "no window crosses a hand-over"
        assert item["task"] == ours.observation.prompts[0]
        for name, pictures in ours.observation.images.items():
            theirs = (item[f"observation.images.{name}"] * 255).round().permute(1, 2, 0)
            torch.testing.assert_close(theirs, pictures[0].float(), rtol=0, atol=0)


def test_what_is_never_drawn_is_not_there_and_videos_are_not_copied(shown: Shown) -> None:
    """By hand: a failed rollout (15), what it did before a rescue (10), and before a failed one (9)."""
    assert shown.told.frames == sum(len(drivers) for drivers, _ in DEMOS + ROLLOUTS) - 15 - 10 - 9
    assert shown.told.episodes == 2 + 6 - 1 == len(opened(shown.root).meta.episodes)
    videos = sorted(shown.root.rglob("*.mp4"))
    assert len(videos) == 4 and all(path.stat().st_nlink == 2 for path in videos)

    statistics = read_json(shown.root / "meta" / "stats.json")
    action = shown.experience.action[shown.kept]
    np.testing.assert_allclose(statistics["action"]["mean"], action.mean(0), rtol=1e-5)
    lows = [
        read_json(source.episodes / "meta" / "stats.json")["observation.images.front"]["min"]
        for source in shown.experience.sources
    ]
    np.testing.assert_array_equal(statistics["observation.images.front"]["min"], np.min(lows, axis=0))


def test_a_view_is_not_taken_for_a_recording(shown: Shown) -> None:
    for command in ("audit", "label"):
        with pytest.raises(VantageError, match=r"is a view of other data sets, .*; name the recordings"):
            dispatch([command, str(shown.root), *(["--out", "l.parquet"] if command == "label" else [])])


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, np.ndarray]]:
    """Run stock lerobot-train in this process; returns what every step's batch held."""
    import lerobot.scripts.lerobot_train as stock

    monkeypatch.setattr(stock, "EpisodeAwareSampler", stock.EpisodeAwareSampler)  # what it was comes back
    update, seen = stock.update_policy, []

    def watched(tracker: Any, policy: Any, batch: Any, *words: Any, **options: Any) -> Any:
        seen.append((batch["index"].numpy().copy(), options["sample_weighter"] is not None))
        return update(tracker, policy, batch, *words, **options)

    def run(root: Path, *more: str, steps: int = 15) -> dict[str, np.ndarray]:
        words = (
            f"--dataset.root={root}",
            "--dataset.repo_id=local/view",
            "--dataset.video_backend=pyav",
            "--sample_weighting.type=vantage",
            "--policy.device=cpu",
            "--policy.push_to_hub=false",
            "--batch_size=22",
            "--num_workers=0",
            f"--steps={steps}",
            f"--output_dir={tmp_path / str(len(seen))}",
        )
        monkeypatch.setattr(sys, "argv", ["lerobot-train", *words, *more])
        monkeypatch.setattr(stock, "update_policy", watched)
        seen.clear()
        stock.main()
        return {"index": np.concatenate([one for one, _ in seen]), "weighed": np.array([w for _, w in seen])}

    return run


def expected(shown: Shown, probability: np.ndarray, drawn: np.ndarray) -> float:
    """Largest deviation of what was drawn from a probability of the experience's rows, over the standard
    error that independent draws have, pool by pool of the ledger's routes."""
    kept, count = shown.kept, len(drawn)
    route, likely = shown.ledger["route"][kept], probability[kept] / probability[kept].sum()
    worst = 0.0
    for name in np.unique(route):
        share = likely[route == name].sum()
        deviation = abs((route[drawn] == name).mean() - share)
        worst = max(worst, deviation / max(np.sqrt(share * (1 - share) / count), 1e-9))
    return worst


def test_stock_training_draws_and_weighs_as_vantage_does(shown: Shown, train: Callable) -> None:
    ran = train(shown.root, *SMALL)
    drawn, sampling = ran["index"], shown.ledger["sampling"]
    assert ran["weighed"].all() and len(drawn) > 300
    assert (sampling[shown.kept][drawn] > 0).all(), "no window that weighs nothing"
    assert expected(shown, sampling, drawn) < 4
    route = shown.ledger["route"][shown.kept]
    assert (route[drawn] == "demo").mean() == pytest.approx(shown.told.demo_drawn, abs=0.06)
    assert shown.told.demo_drawn == pytest.approx(0.25)
    assert (route == "demo").mean() == pytest.approx(shown.told.demo_evenly)


def test_a_policy_whose_loss_lerobot_cannot_weigh_is_drawn_for_by_the_product(
    shown: Shown, train: Callable
) -> None:
    ran = train(shown.root, *ACT, "--save_checkpoint=false", "--batch_size=16", steps=12)
    product = shown.ledger["sampling"] * shown.ledger["weight"]
    assert not ran["weighed"].any()
    assert expected(shown, product, ran["index"]) < 4
    heavy = shown.ledger["weight"][shown.kept] > 1
    share = product[shown.kept][heavy].sum() / product[shown.kept].sum()
    assert (heavy[ran["index"]]).mean() == pytest.approx(share, abs=0.12) and share > 1.5 * heavy.mean()


def test_a_draw_that_cannot_be_had_is_refused(shown: Shown, train: Callable) -> None:
    with pytest.raises(VantageError, match="a streamed data set is not drawn from by the ledger"):
        train(shown.root, *ACT, "--dataset.streaming=true")


def test_the_order_of_draws_is_a_function_of_seed_and_epoch() -> None:
    from lerobot_policy_vantage.weights import LedgerSampler

    def sampler(**options: Any) -> Any:
        return LedgerSampler(np.arange(12) % 3, [0, 5], [5, 12], shuffle=True, seed=3, **options)

    first = sampler()
    epochs = [list(first), list(first)]
    assert epochs[0] != epochs[1] and all(index % 3 for epoch in epochs for index in epoch)
    gone_on = sampler()
    gone_on.load_state_dict({"epoch": 1, "start_index": 4})
    assert list(gone_on) == epochs[1][4:], "a resumed run goes on where it was"
    assert set(sampler(episode_indices_to_use=[1])) <= set(range(5, 12))
    with pytest.raises(VantageError, match="no frame of the chosen episodes is ever drawn"):
        LedgerSampler(np.zeros(12), [0, 5], [5, 12])


def test_cameras_that_differ_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(VantageError, match=r"camera front is .* 32 x 32 x 3 in .* and .* 32 x 64 x 3"):
        show(tmp_path, side=(32, 64))
    assert not (tmp_path / "view").exists()
