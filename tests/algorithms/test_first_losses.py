"""The first steps of every HABC learner, computed again by slow code from what lies on disk.

    ledger, labels, recording, checkpoint, seed ──plain loops, plain torch──> what the learner wrote

A weight, mask, target or average that a learner forgets shows here.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from recorded import (
    CHUNK,
    FPS,
    IMPROVEMENT,
    INTERFACE,
    SEED,
    STEPS,
    T_MAX,
    experience,
    improvement,
    improver,
    sources,
)
from torch import nn

from vantage.algorithms.interleaved import Interleaved, fit_interleaved
from vantage.algorithms.supervised import train_control_policy, train_seed
from vantage.batch import Observation
from vantage.core.returns import EfficiencyTarget, ParentTarget
from vantage.core.weights import HABC
from vantage.data.v3.read import read_table
from vantage.disk.layout import Round
from vantage.learn.critic.fit import CriticFit
from vantage.learn.critic.panel import train_panel
from vantage.learn.critic.problem import CriticProblem
from vantage.learn.features import compute_features
from vantage.learn.optim import OptimConfig
from vantage.learn.parent import ParentFit, train_parent
from vantage.learn.start import FromCheckpoint
from vantage.nets.critic import DualCritic, ParentHead
from vantage.policies.load import load_policy
from vantage.policies.small.flow import FlowPolicy
from vantage.stages.fit_policy import PolicyFit, fit_policy

OPTIM = OptimConfig(lr=2e-3, warmup=2, weight_decay=0.1, clip=0.5, ema=0.5)
K = IMPROVEMENT.weighing.stride


class Files:
    """A round's frames, read from its files and laid end to end by plain loops."""

    def __init__(self, run: Path, number: int) -> None:
        self.labels: list[dict] = []
        self.segment_end: list[int] = []
        self.stretch_end: list[int] = []
        state, truth, action = [], [], []
        for past in range(number + 1):
            here = run / f"round-{past:02d}"
            table = read_table(here / "1-episodes", demos=past == 0)
            first = len(self.labels)
            prompts = [table.prompts[row] for row in table.prompt]
            rows = pq.read_table(here / "2-labels.parquet").to_pylist()
            self.labels += [row | {"prompt": prompt} for row, prompt in zip(rows, prompts, strict=True)]
            state.append(table.state)
            truth.append(table.environment_state)
            action.append(table.action)
            for rows_of in table.slices:
                self._ends(first, rows_of, rows, table.cut)
        self.state, self.truth, self.action = (np.concatenate(column) for column in (state, truth, action))

    def _ends(self, first: int, rows_of: slice, rows: list[dict], cut: np.ndarray) -> None:
        """Last row of every frame's segment, and the last before a cut or the end."""
        stop = rows_of.stop - 1
        for row in range(rows_of.start, rows_of.stop):
            segment = stretch = row
            while segment < stop and rows[segment + 1]["segment"] == rows[row]["segment"]:
                segment += 1
            while stretch < stop and not cut[stretch + 1]:
                stretch += 1
            self.segment_end.append(first + segment)
            self.stretch_end.append(first + stretch)

    def episode_end(self, row: int) -> int:
        while row + 1 < len(self.labels) and self.labels[row + 1]["frame_index"] > 0:
            row += 1
        return row

    def observation(self, rows: np.ndarray) -> Observation:
        return Observation(
            images={},
            state=torch.from_numpy(self.state[rows]),
            environment_state=torch.from_numpy(self.truth[rows]),
            prompts=tuple(self.labels[row]["prompt"] for row in rows),
        )

    def window(self, row: int) -> tuple[torch.Tensor, int]:
        """The actions of a window of CHUNK steps, its last one repeated past the segment's end, and how many
        are real."""
        real = min(CHUNK, self.segment_end[row] - row + 1)
        steps = [row + min(i, real - 1) for i in range(CHUNK)]
        return torch.from_numpy(self.action[steps]), real

    def ahead(self, row: int, k: int) -> tuple[int, int, bool] | None:
        """(row that a look k steps ahead lands on, steps to it, whether the success frame comes before);
        None: unknown."""
        end = self.stretch_end[row]
        if self.labels[row]["outcome"] == 1 and end == self.episode_end(row) and end - row < k:
            return end, end - row, True
        return None if end == row else (min(row + k, end), min(k, end - row), False)


def drawn_rows(sampling: np.ndarray, seed: int, step: int, size: int) -> np.ndarray:
    """Rows of one batch, one by one: the first whose cumulated probability is above a uniform number."""
    upto = np.cumsum(sampling)
    points = np.random.default_rng((seed, step)).random(size) * upto[-1]
    return np.array([int(np.argmax(upto > point)) for point in points])


def elementwise(
    policy: FlowPolicy, files: Files, rows: np.ndarray, seed: int, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared error of the velocity at the noise and times of this step, [B, H, A]; and phi(s)."""
    draw = policy.draw(len(rows), torch.Generator().manual_seed(step * 1_000_003 + seed))
    actions = torch.stack([files.window(row)[0] for row in rows])
    target = (actions - policy.actions.mean) / policy.actions.std
    time = draw.time[:, None, None]
    features = policy.backbone(files.observation(rows))
    velocity = policy.head(features, (1 - time) * draw.noise + time * target, draw.time)
    return (velocity - (target - draw.noise)).square(), features


def weighted_loss(error: torch.Tensor, files: Files, rows: np.ndarray, weight: list[float]) -> torch.Tensor:
    """Eq. 1: every window's error over its real steps, times its weight, over all windows drawn."""
    total = torch.zeros(())
    for number, row in enumerate(rows):
        total = total + weight[number] * error[number, : files.window(row)[1]].sum() / (
            CHUNK * error.shape[2]
        )
    return total / len(rows)


def read_ledger(here: Path) -> tuple[np.ndarray, np.ndarray]:
    table = pq.read_table(here / "4-weights.parquet")
    return table.column("weight").to_numpy(), table.column("sampling").to_numpy()


def curve(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("number", [1, 2])
def test_the_policy_learns_by_the_weights_and_masks_of_the_ledger(recorded: Path, number: int) -> None:
    """Logged first loss = checkpoint that entered, batch of (seed, 0), weights and masks; without either it
    is another number."""
    here = Round.of(recorded, number)
    files, (weight, sampling), seed = (
        Files(recorded, number),
        read_ledger(here.folder),
        train_seed(here, SEED),
    )
    policy = load_policy(Round.of(recorded, number - 1).actor)
    rows = drawn_rows(sampling, seed, 0, IMPROVEMENT.fit.batch)
    with torch.no_grad():
        error, _ = elementwise(policy, files, rows, seed, 0)
        loss = weighted_loss(error, files, rows, [float(weight[row]) for row in rows]).item()
        unweighted = weighted_loss(error, files, rows, [1.0] * len(rows)).item()
        unmasked = float((torch.from_numpy(weight[rows])[:, None, None] * error).mean())
    logged = curve(here.actor)[0]
    assert logged["step"] == 1 and logged["loss"] == pytest.approx(loss, rel=1e-5)
    assert abs(unweighted / loss - 1) > 1e-3 and abs(unmasked / loss - 1) > 1e-3, (
        "both must matter in this batch"
    )


def test_the_policy_that_is_kept_is_the_average_of_three_plain_steps(recorded: Path, tmp_path: Path) -> None:
    """AdamW, warm-up and cosine, clipping and the average, written down again; the saved weights are
    equal."""
    here, files = Round.of(recorded, 2), Files(recorded, 2)
    settings = PolicyFit(steps=3, batch=32, optim=OPTIM, log_every=1)
    entering = Round.of(recorded, 1).actor
    fit_policy(
        sources(recorded, 2), here.weights, FromCheckpoint(entering), tmp_path / "5-actor", settings, seed=11
    )

    weight, sampling = read_ledger(here.folder)
    policy = load_policy(entering)
    named = dict(policy.named_parameters())
    average = {name: p.detach().clone() for name, p in named.items()}
    adam = torch.optim.AdamW(named.values(), weight_decay=OPTIM.weight_decay, foreach=False)
    policy.train()
    lines = curve(tmp_path / "5-actor")
    for step, line in enumerate(lines):
        rows = drawn_rows(sampling, 11, step, 32)
        error, _ = elementwise(policy, files, rows, 11, step)
        loss = weighted_loss(error, files, rows, [float(weight[row]) for row in rows])
        adam.zero_grad()
        loss.backward()
        norm = float(torch.cat([p.grad.flatten() for p in named.values()]).norm())
        for p in named.values():
            p.grad *= min(1.0, OPTIM.clip / norm)
        rate = OPTIM.lr * ((step + 1) / 3 if step < 2 else 0.5 * (1 + np.cos(np.pi * (step - 2) / 1)))
        adam.param_groups[0]["lr"] = rate
        adam.step()
        keep = min(OPTIM.ema, (step + 1) / (step + 10))
        for name, p in named.items():
            average[name] = keep * average[name] + (1 - keep) * p.detach()
        assert (line["loss"], line["lr"], line["grad_norm"]) == pytest.approx(
            (loss.item(), rate, norm), rel=1e-4
        )
        assert norm > OPTIM.clip, "clipping has something to do"

    kept = dict(load_policy(tmp_path / "5-actor").named_parameters())
    for name in named:
        torch.testing.assert_close(kept[name].detach(), average[name], atol=2e-6, rtol=1e-4)
    assert any(not torch.allclose(kept[name], named[name], atol=1e-5) for name in named), (
        "the average is not the last"
    )


def test_the_supervised_policy_begins_from_its_seed(recorded: Path) -> None:
    """Round 0: random weights of the run's seed, the scales of all recordings, every good demonstration
    alike."""
    from recorded import SPEC

    from vantage.seeding import seed_for

    start, files = Round.of(recorded, 0), Files(recorded, 0)
    seed = train_seed(start, SEED)
    policy = FlowPolicy(SPEC, seed_for("initial weights", SEED))
    policy.fit_normaliser(files.state, files.action, files.truth)
    shown = np.array([row["route"] == "demo" for row in files.labels])
    rows = drawn_rows(shown / shown.sum(), seed, 0, 32)
    with torch.no_grad():
        error, _ = elementwise(policy, files, rows, seed, 0)
        loss = weighted_loss(error, files, rows, [1.0] * 32).item()
    assert curve(start.actor)[0]["loss"] == pytest.approx(loss, rel=1e-5)


def test_the_control_is_the_supervised_policy_after_as_many_steps_as_all_rounds(
    recorded: Path, tmp_path: Path
) -> None:
    start, fit = Round.of(recorded, 0), PolicyFit(steps=4, batch=16, log_every=1)
    train_control_policy(start, tmp_path / "5-actor", INTERFACE, fit, rounds=3, seed=SEED)
    lines = curve(tmp_path / "5-actor")
    assert lines[-1]["step"] == 12

    from vantage.seeding import seed_for

    files, seed = Files(recorded, 0), seed_for("control", SEED)
    rows = drawn_rows(read_ledger(start.folder)[1], seed, 0, 16)
    with torch.no_grad():
        error, _ = elementwise(load_policy(start.actor), files, rows, seed, 0)
        assert lines[0]["loss"] == pytest.approx(
            weighted_loss(error, files, rows, [1.0] * 16).item(), rel=1e-5
        )


def test_the_critic_reads_the_policy_that_entered_the_round(recorded: Path) -> None:
    from safetensors.torch import load_file

    for number in (1, 2):
        kept = load_file(recorded / f"round-{number:02d}" / "3-critic" / "features.safetensors")["features"]
        files = Files(recorded, number)
        with torch.no_grad():
            entering = load_policy(recorded / f"round-{number - 1:02d}" / "5-actor")
            phi = entering.features(files.observation(np.arange(len(files.labels))))
        torch.testing.assert_close(kept, phi, atol=1e-5, rtol=1e-4)


TARGETS = {
    "n-step": EfficiencyTarget(stride=K, mc_share=0.25),
    "td": EfficiencyTarget(),
    "within a segment": EfficiencyTarget(stride=6, across_handover=False),
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_both_heads_of_the_critic_take_these_three_steps(recorded: Path, target: EfficiencyTarget) -> None:
    """Initial weights, first biases, frames drawn, targets from a slow copy, losses and steps of AdamW,
    written down again."""
    settings = CriticFit(
        steps=3,
        batch=48,
        width=16,
        check_every=1,
        patience=9,
        keep_best=False,
        target=target,
        polyak=0.3,
        held_out=0.0,
    )
    replay, files = experience(recorded), Files(recorded, 2)
    features = compute_features(replay, load_policy(Round.of(recorded, 1).actor))
    trained = train_panel(replay, features, settings, t_max=T_MAX, seed=5)
    (critic,) = trained.panel.folds[0]

    torch.manual_seed(5)
    again = DualCritic(features.shape[1], T_MAX, 16)
    x = torch.from_numpy(features)
    mean, std = x.mean(0), x.std(0, correction=0)
    x = ((x - mean) / torch.where(std > 1e-4, std, torch.ones_like(std))).clamp(-8, 8)

    labelled = [row for row, r in enumerate(files.labels) if r["viability_mask"]]
    progressing = [
        row
        for row, r in enumerate(files.labels)
        if r["efficiency_mask"] and look(files, row, target.stride, across=target.across_handover) is not None
    ]
    wins = np.mean([files.labels[row]["viability_target"] for row in labelled])
    steps = -np.mean([files.labels[row]["efficiency_target_mc"] for row in progressing])
    again.viability[-1].bias.data.fill_(float(np.log(wins / (1 - wins))))
    again.efficiency[-1].bias.data.fill_(float(np.log(steps / (T_MAX - steps))))

    losses = {"loss_viability": [], "loss_efficiency": []}
    for number, (frames, module) in enumerate(((labelled, again.viability), (progressing, again.efficiency))):
        adam = torch.optim.AdamW(
            module.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, foreach=False
        )
        rng = np.random.default_rng([5, 11, number])
        slow = [p.detach().clone() for p in module.parameters()]
        for _ in range(3):
            rows = [frames[i] for i in rng.integers(0, len(frames), 48)]
            slow = [
                (1 - 0.3) * old + 0.3 * p.detach() for old, p in zip(slow, module.parameters(), strict=True)
            ]
            if number == 0:
                loss = bce(
                    module(x[rows]).squeeze(-1), [files.labels[row]["viability_target"] for row in rows]
                )
            else:
                wanted = efficiency_targets(files, rows, x, module, slow, target)
                said = -T_MAX * torch.sigmoid(module(x[rows]).squeeze(-1))
                loss = huber(said, wanted, unit=target.stride)
            losses[list(losses)[number]].append(loss.item())
            adam.zero_grad()
            loss.backward()
            adam.step()

    for name, wanted in losses.items():
        assert [row[name] for row in trained.curve] == pytest.approx(wanted, rel=1e-4), name
    for ours, theirs in zip(again.parameters(), critic.parameters(), strict=True):
        torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-4)


def look(files: Files, row: int, k: int, *, across: bool) -> tuple[int, int, bool] | None:
    """`Files.ahead`, or the same within a segment, which hand-overs end too."""
    if across:
        return files.ahead(row, k)
    end = files.segment_end[row]
    if files.labels[row]["outcome"] == 1 and end == files.episode_end(row) and end - row < k:
        return end, end - row, True
    return None if end == row else (min(row + k, end), min(k, end - row), False)


def efficiency_targets(
    files: Files,
    rows: list[int],
    x: torch.Tensor,
    module: nn.Module,
    slow: list[torch.Tensor],
    target: EfficiencyTarget,
) -> list[float]:
    """(1 - share) (-k + V_slow(k steps on)) + share (steps that really were left), frame by frame."""
    names = [name for name, _ in module.named_parameters()]
    with torch.no_grad():
        output = torch.func.functional_call(module, dict(zip(names, slow, strict=True)), (x,)).squeeze(-1)
        value = (-T_MAX * torch.sigmoid(output)).tolist()
    wanted = []
    for row in rows:
        later, steps, ends = look(files, row, target.stride, across=target.across_handover)
        td = -steps + (0.0 if ends else value[later])
        wanted.append(
            (1 - target.mc_share) * td + target.mc_share * files.labels[row]["efficiency_target_mc"]
        )
    return wanted


def bce(z: torch.Tensor, target: list[float]) -> torch.Tensor:
    terms = [
        -(y * nn.functional.logsigmoid(a) + (1 - y) * nn.functional.logsigmoid(-a))
        for a, y in zip(z, target, strict=True)
    ]
    return torch.stack(terms).sum() / len(terms)


def huber(said: torch.Tensor, wanted: list[float], *, unit: float) -> torch.Tensor:
    terms = []
    for a, y in zip(said, wanted, strict=True):
        off = (a - y).abs() / unit
        terms.append(torch.where(off < 1, 0.5 * off**2, off - 0.5))
    return torch.stack(terms).sum() / len(terms)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_parent_head_takes_these_three_steps(recorded: Path, share: float) -> None:
    """Two-hot targets of the discounted rewards and a slow copy's values (Eq. 9), cross-entropy, AdamW."""
    gamma, bins, cost = 0.97, 31, 20.0
    settings = ParentFit(
        steps=3,
        batch=40,
        width=16,
        dropout=0.0,
        polyak=0.4,
        target=ParentTarget(gamma=gamma, stride=3, mc_share=share),
    )
    reward = replace(settings.target.reward, failure_penalty=cost)
    settings = replace(
        settings,
        target=replace(settings.target, reward=reward),
        bins=replace(settings.bins, low=-60.0, count=bins),
    )
    replay, files = experience(recorded), Files(recorded, 2)
    features = compute_features(replay, load_policy(Round.of(recorded, 1).actor))
    head = train_parent(replay, features, settings, seed=9)

    torch.manual_seed(9)
    again = ParentHead(features.shape[1], bins, 16, 0.0)
    x = torch.from_numpy(features)
    mean, std = x.mean(0), x.std(0, correction=0)
    x = ((x - mean) / torch.where(std > 1e-4, std, torch.ones_like(std))).clamp(-8, 8)
    centres = torch.linspace(-60.0, 0.0, bins)

    known = [row for row in range(len(files.labels)) if parent_look(files, row, 3, gamma, cost) is not None]
    parameters = [*again.value.parameters()]
    slow = [p.detach().clone() for p in parameters]
    adam = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay, foreach=False)
    rng = np.random.default_rng([9, 13])
    for _ in range(3):
        rows = [known[i] for i in rng.integers(0, len(known), 40)]
        names = [name for name, _ in again.value.named_parameters()]
        with torch.no_grad():
            logits = torch.func.functional_call(again.value, dict(zip(names, slow, strict=True)), (x,))
            value = (logits.softmax(-1) * centres).sum(-1).tolist()
        terms = []
        for row in rows:
            gain, later, discount, whole = parent_look(files, row, 3, gamma, cost)
            wanted = (1 - share) * (gain + discount * (value[later] if discount else 0.0)) + share * whole
            terms.append(-(two_hot(wanted, bins) * again.value(x[row]).log_softmax(-1)).sum())
        adam.zero_grad()
        (torch.stack(terms).sum() / len(terms)).backward()
        adam.step()
        slow = [(1 - 0.4) * old + 0.4 * p.detach() for old, p in zip(slow, parameters, strict=True)]

    for ours, theirs in zip(parameters, head.value.parameters(), strict=True):
        torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-4)


def parent_look(
    files: Files, row: int, k: int, gamma: float, cost: float
) -> tuple[float, int, float, float] | None:
    """(rewards of k steps, row there, discount, return to the episode's end); None where no target exists."""
    outcome = files.labels[row]["outcome"]
    if outcome is None:
        return None
    end, last = files.stretch_end[row], files.episode_end(row)

    def reward(t: int) -> float:
        return -1.0 if t < last else (0.0 if outcome == 1 else -cost)

    whole = sum(gamma ** (t - row) * reward(t) for t in range(row, last + 1))
    if end == last and last - row < k:
        return whole, last, 0.0, whole
    steps = min(k, end - row)
    if steps == 0:
        return None
    return sum(gamma**i * reward(row + i) for i in range(steps)), row + steps, gamma**steps, whole


def two_hot(value: float, bins: int) -> torch.Tensor:
    """All mass on the two centres around a value between -60 and 0."""
    place = (min(max(value, -60.0), 0.0) + 60.0) / (60.0 / (bins - 1))
    mass = torch.zeros(bins)
    low = min(int(place), bins - 2)
    mass[low], mass[low + 1] = 1 - (place - low), place - low
    return mass


@pytest.mark.parametrize("warm_up", [0, 2], ids=["warm", "warming up"])
def test_the_interleaved_schedule_takes_this_first_update(
    recorded: Path, tmp_path: Path, warm_up: int
) -> None:
    """Both critic losses on one batch, one step of the critic, then the rule's weights at unit mean, and the
    actor's loss."""
    schedule = Interleaved(warm_up=warm_up, critic_lr=5e-2)
    weighing = replace(IMPROVEMENT.weighing, rule=HABC(), stride=2)
    fit = PolicyFit(steps=1, batch=96, log_every=1)
    start = FromCheckpoint(Round.of(recorded, 1).actor)
    critic_fit = replace(IMPROVEMENT.critic, width=16)
    fit_interleaved(
        sources(recorded, 2), start, tmp_path / "3-critic", tmp_path / "5-actor",
        schedule, weighing, fit, critic_fit,
        t_max=T_MAX, policy_version=STEPS, seed=21,
    )  # fmt: skip
    (line,) = curve(tmp_path / "5-actor")

    files, policy = Files(recorded, 2), load_policy(start.folder)
    rows = drawn_rows(interleaved_sampling(files), 21, 0, 96)
    error, now = elementwise(policy, files, rows, 21, 0)
    now = now.detach()
    looks = [files.ahead(row, 2) for row in rows]
    landing = np.array(
        [files.stretch_end[row] if look is None else look[0] for row, look in zip(rows, looks, strict=True)]
    )
    then = policy.features(files.observation(landing))

    torch.manual_seed(21)
    critic = DualCritic(now.shape[1], T_MAX, 16)
    (z_v, v_e), later = critic(now), critic(then)[1].tolist()
    labelled = [i for i, row in enumerate(rows) if files.labels[row]["viability_mask"]]
    moving = [
        i for i, row in enumerate(rows) if files.labels[row]["efficiency_mask"] and looks[i] is not None
    ]
    viability = bce(z_v[labelled], [files.labels[rows[i]]["viability_target"] for i in labelled])
    wanted = [-looks[i][1] + (0.0 if looks[i][2] else later[i]) for i in moving]
    efficiency = huber(v_e[moving], wanted, unit=schedule.unit)
    assert line["loss_viability"] == pytest.approx(viability.item(), rel=1e-5)
    assert line["loss_efficiency"] == pytest.approx(efficiency.item(), rel=1e-5)

    adam = torch.optim.AdamW(
        critic.parameters(), lr=5e-2, weight_decay=critic_fit.weight_decay, foreach=False
    )
    (viability + efficiency).backward()
    nn.utils.clip_grad_norm_(critic.parameters(), 10.0)
    adam.step()

    raw = interleaved_raw(files, rows, looks, critic, now, then, warm=warm_up == 0)
    demo = [files.labels[row]["route"] == "demo" for row in rows]
    mean = np.mean([r for r, d in zip(raw, demo, strict=True) if not d])
    weight = [1.0 if d else r / mean for r, d in zip(raw, demo, strict=True)]
    loss = weighted_loss(error, files, rows, weight).item()
    assert line["loss"] == pytest.approx(loss, rel=1e-4)
    success = [r for r, row in zip(raw, rows, strict=True) if files.labels[row]["route"] == "rollout_success"]
    assert line["mean_g"] == pytest.approx(np.mean(success), rel=1e-4)

    unnormalised = weighted_loss(error, files, rows, [float(r) for r in raw]).item()
    assert abs(unnormalised / loss - 1) > 1e-2, "the unit mean must matter in this batch"
    if warm_up == 0:
        assert np.std(success) > 0.01, "g must differ in this batch"
    else:
        assert set(success) == {1.0}


def interleaved_sampling(files: Files) -> np.ndarray:
    """A quarter demonstrations, a quarter interventions, a half rollouts with an outcome; windows that are
    long enough."""
    pools: dict[str, list[int]] = {"demo": [], "intervention": [], "rollout": []}
    for row, r in enumerate(files.labels):
        real = min(CHUNK, files.segment_end[row] - row + 1)
        if r["route"] == "unlabelled" or (r["route"] == "intervention" and real < 2):
            continue
        pools[r["route"] if r["route"] in pools else "rollout"].append(row)
    sampling = np.zeros(len(files.labels))
    for name, share in (("demo", 0.25), ("intervention", 0.25), ("rollout", 0.5)):
        sampling[pools[name]] = share / len(pools[name])
    return sampling


def interleaved_raw(
    files: Files,
    rows: np.ndarray,
    looks: list,
    critic: DualCritic,
    now: torch.Tensor,
    then: torch.Tensor,
    *,
    warm: bool,
) -> list[float]:
    """HABC's weight of every drawn window: g on successes (1 while the critic warms up), 0 on failures, else
    1."""
    with torch.no_grad():
        (z, v), (z_then, v_then) = ([column.tolist() for column in critic(phi)] for phi in (now, then))
    raw = []
    for i, row in enumerate(rows):
        route = files.labels[row]["route"]
        if route != "rollout_success":
            raw.append(0.0 if route == "rollout_failure" else 1.0)
            continue
        if not warm or looks[i] is None:
            raw.append(1.0)
            continue
        _, steps, ends = looks[i]
        p = 1 / (1 + np.exp(-z[i]))
        a_e = (-steps - v[i]) / 2 if ends else (-steps + v_then[i] - v[i]) / steps
        raw.append(1 + np.tanh((1 - p) * (z_then[i] - z[i]) + p * a_e))
    return raw


def test_no_critic_sees_the_episodes_that_it_judges(recorded: Path) -> None:
    """Outcomes and times of one fold, turned round: its own critics stay what they were, the others move."""
    replay = experience(recorded)
    features = compute_features(replay, load_policy(Round.of(recorded, 1).actor))
    settings = CriticFit(
        steps=12, batch=32, width=16, check_every=3, folds=3, target=EfficiencyTarget(stride=4, mc_share=0.5)
    )
    plain = train_panel(replay, features, settings, t_max=T_MAX, seed=2)
    for own in range(3):
        inside = plain.fold == own
        labels = replace(
            replay.labels,
            viability_target=np.where(
                inside, 1 - replay.labels.viability_target, replay.labels.viability_target
            ),
            efficiency_target_mc=np.where(
                inside, replay.labels.efficiency_target_mc - 7, replay.labels.efficiency_target_mc
            ),
        )
        turned = train_panel(replace(replay, labels=labels), features, settings, t_max=T_MAX, seed=2)
        np.testing.assert_array_equal(turned.fold, plain.fold)
        for number in range(3):
            pairs = zip(
                plain.panel.folds[number][0].parameters(),
                turned.panel.folds[number][0].parameters(),
                strict=True,
            )
            assert all(torch.equal(a, b) for a, b in pairs) == (number == own)


def test_members_of_a_panel_are_different_critics(recorded: Path) -> None:
    replay = experience(recorded, 1)
    features = compute_features(replay, load_policy(Round.of(recorded, 0).actor))
    settings = CriticFit(steps=2, batch=16, width=8, folds=2, members=2)
    panel = train_panel(replay, features, settings, t_max=T_MAX, seed=2).panel
    first = [next(critic.parameters()) for critics in panel.folds for critic in critics]
    assert len(first) == 4
    assert not any(torch.equal(a, b) for number, a in enumerate(first) for b in first[:number])


@pytest.mark.parametrize("seed", range(6))
def test_every_kind_of_episode_is_held_out_alike_and_no_unseen_one_judges(recorded: Path, seed: int) -> None:
    """A third of the successes and a third of the taught failures of every task, by rounding; an episode of
    the fold that is left out judges neither head."""
    replay, features = experience(recorded), torch.zeros(len(experience(recorded)), 2)
    labels, episode, first = replay.labels, replay.frames.episode, np.flatnonzero(replay.frames.frame == 0)
    unseen = episode % 3 == 0
    whole = CriticProblem.of(replay, features, EfficiencyTarget(), held_out=1 / 3, seed=seed)
    for task in range(len(replay.prompts)):
        taught, held = {*episode[labels.viability_mask]}, {*episode[whole.viability_held]}
        failed = [k for k, row in enumerate(first) if labels.outcome[row] == 0 and k in taught]
        failed = [k for k in failed if replay.prompt[first[k]] == task]
        assert sum(k in held for k in failed) == round(len(failed) / 3) > 0

    part = CriticProblem.of(replay, features, EfficiencyTarget(), held_out=1 / 3, seed=seed, unseen=unseen)
    for rows in (part.viability_train, part.viability_held, part.efficiency_train, part.efficiency_held):
        assert not unseen[rows].any()


def test_frames_that_judge_a_critic_never_teach_it(recorded: Path) -> None:
    replay, features = experience(recorded), torch.zeros(len(experience(recorded)), 2)
    unseen = replay.frames.episode % 4 == 0
    problem = CriticProblem.of(replay, features, EfficiencyTarget(), held_out=0.3, seed=1, unseen=unseen)
    episode = replay.frames.episode
    teaching = set(episode[problem.viability_train]) | set(episode[problem.efficiency_train])
    judging = set(episode[problem.viability_held]) | set(episode[problem.efficiency_held])
    assert len(judging) >= 3 and not teaching & judging
    assert not (teaching | judging) & set(episode[unseen])
    labelled = np.flatnonzero(replay.labels.viability_mask & ~unseen)
    assert set(problem.viability_train) | set(problem.viability_held) == set(labelled), (
        "every other labelled frame does one"
    )
    won = {bool(replay.frames.outcome[row]) for row in problem.viability_held}
    assert won == {True, False}


def test_frame_rate_of_the_recording_is_read(recorded: Path) -> None:
    assert experience(recorded).tables[0].fps == FPS


def test_rounds_train_from_the_round_before(recorded: Path) -> None:
    from tiny import tiny

    from vantage.algorithms.habc import improver as improver_of_run

    for number in (1, 2):
        for one in (improver(recorded, number), improver_of_run(Round.of(recorded, number), tiny())):
            assert one.entering == Round.of(recorded, number - 1).actor
            assert one.start == FromCheckpoint(Round.of(recorded, number - 1).actor)
            assert [source.round for source in one.sources] == list(range(number + 1))
            assert one.version == (number - 1) * one.settings.fit.steps
    assert improver(recorded, 2, improvement(from_scratch=True)).clock == 0
