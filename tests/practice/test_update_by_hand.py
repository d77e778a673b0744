"""One whole update of chunked PPO, computed again by slow code: values, advantages, ratios, cloning, steps.

Chunks of two tasks, some cut short by success or the limit, and a buffer whose windows are partly padding.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from vantage.batch import Observation
from vantage.core.surrogate import Discount, Potential, TimePrice
from vantage.nets.value import StateValue
from vantage.nets.vla import NetConfig, TrueState
from vantage.policies.small.gaussian import GaussianConfig, GaussianPolicy
from vantage.practice.buffer import BufferRule, DemoBuffer, Windows
from vantage.practice.ppo import ChunkedPPO, PPOFit
from vantage.practice.trials import Trials
from vantage.types import VantageError

H, A, S, E = 4, 2, 3, 5
RHO = 0.6
PROMPTS = ("push it", "open the window")
BETA = np.array([0.4, 0.05])
SETTINGS = PPOFit(
    epochs=3,
    batch=64,
    lr=2e-3,
    std_lr=1e-2,
    clip=0.1,
    kl_stop=50.0,
    kl_end=50.0,
    critic_epochs=1,
    critic_lr=5e-2,
    value_clip=0.05,
    warm_up=0,
    lam=0.9,
    price=Discount(gamma=0.95),
    average=0.75,
    bc_batch=24,
)

EPISODES = ((0, True, 6), (1, False, 9), (0, False, 10), (1, True, 3), (0, True, 8), (1, True, 11))
"""(task, success, steps)."""


def trials_of() -> Trials:
    """The episodes above in chunks of H, at random states."""
    rng = np.random.default_rng(4)
    counts = [-(-steps // H) for _, _, steps in EPISODES]
    n = sum(counts)
    executed = [
        np.arange(count * H).reshape(count, H) < steps
        for count, (_, _, steps) in zip(counts, EPISODES, strict=True)
    ]
    steps = np.array([steps for _, _, steps in EPISODES])
    trials = Trials(
        task=np.array([task for task, _, _ in EPISODES]),
        seed=np.arange(len(EPISODES)),
        success=np.array([won for _, won, _ in EPISODES]),
        steps=steps,
        spent=steps,
        limit=np.full(len(EPISODES), 12),
        led=np.zeros(len(EPISODES), bool),
        end_state=rng.normal(size=(len(EPISODES), E)).astype(np.float32),
        episode=np.repeat(np.arange(len(EPISODES)), counts),
        elapsed=np.concatenate([np.arange(count) * H / 12 for count in counts]).astype(np.float32),
        state=rng.normal(size=(n, S)).astype(np.float32),
        environment_state=rng.normal(size=(n, E)).astype(np.float32),
        images={},
        path=np.zeros((n, 1, H, A), np.float32),
        action=np.zeros((n, H, A), np.float32),
        executed=np.concatenate(executed),
    )
    actor = learner_of(SETTINGS).actor
    noise = torch.from_numpy(rng.normal(size=(n, 1, H, A)).astype(np.float32))
    path = actor.explore(seen(trials, list(range(n))), noise).numpy()
    return replace(trials, path=path, action=path[:, 0])


def buffer_of() -> DemoBuffer:
    """Two demonstrations of the first task and one of the second, whose last windows are padded."""
    rng, buffer = np.random.default_rng(8), DemoBuffer(BufferRule(), PROMPTS)
    for task, windows in ((0, 5), (0, 7), (1, 6)):
        real = np.minimum(np.arange(windows, 0, -1), H)
        demonstration = Windows(
            steps=windows,
            own=False,
            state=rng.normal(size=(windows, S)).astype(np.float32),
            environment_state=rng.normal(size=(windows, E)).astype(np.float32),
            images={},
            action=rng.normal(0, 0.5, (windows, H, A)).astype(np.float32),
            mask=np.arange(H) < real[:, None],
        )
        buffer.start(task, demonstration)
    return buffer


def learner_of(settings: PPOFit) -> ChunkedPPO:
    net = NetConfig(sight=TrueState(dim=E, width=16), state_dim=S, action_dim=A, chunk=H, execute=H, width=16)
    actor = GaussianPolicy(GaussianConfig(net=net, log_std=-1.0, correlation=RHO), seed=1)
    rng = np.random.default_rng(0)
    actor.fit_normaliser(
        rng.normal(size=(50, S)).astype(np.float32),
        rng.normal(0, 0.4, (50, A)).astype(np.float32),
        rng.normal(size=(50, E)).astype(np.float32),
    )
    torch.manual_seed(3)
    return ChunkedPPO(actor, StateValue(E, width=16), settings)


def seen(trials: Trials, rows: list[int]) -> Observation:
    task = trials.task[trials.episode[rows]]
    return Observation(
        images={},
        state=torch.from_numpy(trials.state[rows]),
        environment_state=torch.from_numpy(trials.environment_state[rows]),
        prompts=tuple(PROMPTS[k] for k in task),
    )


def advantages(trials: Trials, learner: ChunkedPPO) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(standardised advantages, targets, values): every advantage as a forward sum over what followed."""
    settings, gamma = learner.settings, learner.settings.price.gamma
    everything = list(range(len(trials.episode)))
    with torch.no_grad():
        observation = seen(trials, everything)
        now = learner.critic(
            observation.environment_state, observation.prompts, torch.from_numpy(trials.elapsed)
        )
        ends = tuple(PROMPTS[k] for k in trials.task)
        end = learner.critic(torch.from_numpy(trials.end_state), ends, torch.ones(len(ends)))
    value, at_end = now.double().numpy(), end.double().numpy()
    phi, phi_at_end = np.zeros(len(value)), np.zeros(len(at_end))
    if isinstance(settings.price, Potential):
        with torch.no_grad():
            efficiency, scale = learner.efficiency, settings.price.scale
            phi = scale * efficiency(observation.environment_state, observation.prompts).double().numpy()
            phi_at_end = scale * efficiency(torch.from_numpy(trials.end_state), ends).double().numpy()

    advantage = np.zeros(len(value))
    for episode, won in enumerate(trials.success):
        rows = [row for row in everything if trials.episode[row] == episode]
        residual = {}
        for place, row in enumerate(rows):
            n, last = int(trials.executed[row].sum()), place == len(rows) - 1
            reward = gamma ** (n - 1) if last and won else 0.0
            after, phi_after = (value[row + 1], phi[row + 1]) if not last else (0.0, 0.0)
            if last and not won and settings.limit_bootstraps:
                after, phi_after = at_end[episode], phi_at_end[episode]
            reward += gamma**n * phi_after - phi[row]
            residual[row] = reward + gamma**n * after - value[row]
        for place, row in enumerate(rows):
            carried = 1.0
            for later in rows[place:]:
                advantage[row] += carried * residual[later]
                carried *= (gamma * settings.lam) ** int(trials.executed[later].sum())

    standard = advantage.copy()
    for task in (0, 1):
        own = [row for row in everything if trials.task[trials.episode[row]] == task]
        standard[own] = (advantage[own] - advantage[own].mean()) / advantage[own].std()
    return standard, advantage + value, value


def log_density(actor: GaussianPolicy, trials: Trials, observation: Observation) -> torch.Tensor:
    """Of the executed steps of every chunk: a multivariate normal with AR(1) correlation, per action
    dimension."""
    mean, std = actor.mean(observation), actor.log_std.exp()
    terms = []
    for row in range(len(trials.episode)):
        n = int(trials.executed[row].sum())
        distance = (torch.arange(n)[:, None] - torch.arange(n)).abs()
        correlation = RHO**distance
        dims = [
            MultivariateNormal(mean[row, :n, a], std[a] ** 2 * correlation).log_prob(
                torch.from_numpy(trials.path[row, 0, :n, a])
            )
            for a in range(A)
        ]
        terms.append(torch.stack(dims).sum())
    return torch.stack(terms)


def cloning_loss(
    actor: GaussianPolicy, buffer: DemoBuffer, rng: np.random.Generator, size: int
) -> torch.Tensor:
    """beta_task times the squared error over the real steps of drawn windows: every task as often as the
    other."""
    flat = [
        (task, one, row)
        for task, kept in enumerate(buffer.kept)
        for one in kept
        for row in range(len(one.state))
    ]
    of_task = [[entry for entry in flat if entry[0] == task] for task in (0, 1)]
    tasks, share = rng.integers(2, size=size), rng.random(size)
    rng.integers(2**31)  # the noise that a flow would draw
    drawn = [of_task[task][int(u * len(of_task[task]))] for task, u in zip(tasks, share, strict=True)]

    observation = Observation(
        images={},
        state=torch.from_numpy(np.stack([one.state[row] for _, one, row in drawn])),
        environment_state=torch.from_numpy(np.stack([one.environment_state[row] for _, one, row in drawn])),
        prompts=tuple(PROMPTS[task] for task, _, _ in drawn),
    )
    mean, total = actor.mean(observation), torch.zeros(())
    for number, (task, one, row) in enumerate(drawn):
        real = int(one.mask[row].sum())
        error = (mean[number, :real] - torch.from_numpy(one.action[row, :real])) / actor.actions.std
        total = total + BETA[task] * error.square().sum() / (H * A)
    return total / size


def norm_of(loss: torch.Tensor, actor: GaussianPolicy) -> float:
    gradients = torch.autograd.grad(loss, list(actor.parameters()), retain_graph=True, allow_unused=True)
    return float(torch.cat([g.flatten() for g in gradients if g is not None]).norm())


SHAPED = Potential(gamma=0.95, scale=2.0)


@pytest.mark.parametrize(
    ("bootstraps", "price"),
    [
        pytest.param(False, SETTINGS.price, id="limit is an end"),
        pytest.param(True, SETTINGS.price, id="limit bootstraps"),
        pytest.param(False, SHAPED, id="shaped, limit is an end"),
        pytest.param(True, SHAPED, id="shaped, limit bootstraps"),
    ],
)
def test_an_update_is_the_one_written_down_here(bootstraps: bool, price: TimePrice) -> None:
    settings = replace(SETTINGS, limit_bootstraps=bootstraps, price=price, efficiency_steps=0)
    trials, buffer, learner, again = trials_of(), buffer_of(), learner_of(settings), learner_of(settings)
    standard, target, value = advantages(trials, again)
    log = learner.update(trials, PROMPTS, buffer, (0.7, BETA), seed=6)

    actor, rng = again.actor, np.random.default_rng(6)
    groups = [
        {"params": [p for name, p in actor.named_parameters() if name != "log_std"], "lr": settings.lr},
        {"params": [actor.log_std], "lr": settings.std_lr},
    ]
    adam = torch.optim.AdamW(groups, weight_decay=0.0, foreach=False)
    average = [p.detach().clone() for p in actor.parameters()]
    everything = list(range(len(trials.episode)))
    advantage = torch.from_numpy(standard).float()
    with torch.no_grad():
        before = log_density(actor, trials, seen(trials, everything))
    policy_losses, cloning_losses, ratio = [], [], 1.0
    for epoch in range(settings.epochs):
        rng.permutation(len(everything))
        log_ratio = log_density(actor, trials, seen(trials, everything)) - before
        rho = log_ratio.exp()
        gains = torch.minimum(rho * advantage, rho.clamp(1 - settings.clip, 1 + settings.clip) * advantage)
        policy = -0.7 * gains.mean()
        cloning = cloning_loss(actor, buffer, rng, settings.bc_batch)
        if epoch == 0:
            ratio += 0.2 * (norm_of(policy / 0.7, actor) / norm_of(cloning / BETA.mean(), actor) - 1)
        policy_losses.append(policy.item())
        cloning_losses.append(cloning.item())
        adam.zero_grad()
        (policy + cloning).backward()
        torch.nn.utils.clip_grad_norm_(actor.parameters(), settings.grad_clip)
        adam.step()
    kl = (rho - 1 - log_ratio).mean().item()
    average = [0.75 * old + 0.25 * p.detach() for old, p in zip(average, actor.parameters(), strict=True)]

    assert log["policy_loss"] == pytest.approx(np.mean(policy_losses), rel=1e-3)
    assert log["bc_loss"] == pytest.approx(np.mean(cloning_losses), rel=1e-4)
    assert log["kl"] == pytest.approx(kl, rel=1e-3) and kl > 1e-3
    assert log["gradient_ratio"] == pytest.approx(ratio, rel=1e-3)
    assert log["explained_variance"] == pytest.approx(1 - (target - value).var() / target.var(), rel=1e-4)
    assert log["value_loss"] == pytest.approx(value_loss(again, trials, value, target), rel=1e-3)
    for ours, theirs in zip(actor.parameters(), learner.actor.parameters(), strict=True):
        torch.testing.assert_close(theirs.detach(), ours.detach(), atol=1e-5, rtol=1e-3)
    for ours, theirs in zip(average, learner.averaged.parameters(), strict=True):
        torch.testing.assert_close(theirs.detach(), ours, atol=1e-5, rtol=1e-3)


def value_loss(learner: ChunkedPPO, trials: Trials, value: np.ndarray, target: np.ndarray) -> float:
    """Mean of the clipped losses of all passes of the critic."""
    settings, critic = learner.settings, learner.critic
    observation = seen(trials, list(range(len(value))))
    old, wanted = torch.from_numpy(value).float(), torch.from_numpy(target).float()
    adam = torch.optim.AdamW(critic.parameters(), lr=settings.critic_lr, weight_decay=0.0, foreach=False)
    losses = []
    for _ in range(settings.epochs + settings.critic_epochs):
        said = critic(observation.environment_state, observation.prompts, torch.from_numpy(trials.elapsed))
        terms = []
        for v, v_old, y in zip(said, old, wanted, strict=True):
            near = v_old + (v - v_old).clamp(-settings.value_clip, settings.value_clip)
            terms.append(torch.maximum((v - y) ** 2, (near - y) ** 2) / 2)
        loss = torch.stack(terms).mean()
        losses.append(loss.item())
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(critic.parameters(), settings.grad_clip)
        adam.step()
    return float(np.mean(losses))


def test_steps_that_were_never_executed_teach_nothing() -> None:
    trials = trials_of()
    other = trials.path.copy()
    other[:, 0][~trials.executed] += 3.0
    first, second = learner_of(SETTINGS), learner_of(SETTINGS)
    logs = [
        learner.update(given, PROMPTS, buffer_of(), (1.0, BETA), seed=6)
        for learner, given in ((first, trials), (second, replace(trials, path=other)))
    ]
    assert (~trials.executed).any() and logs[0] == logs[1]
    for a, b in zip(first.actor.parameters(), second.actor.parameters(), strict=True):
        assert torch.equal(a, b)


def test_padding_in_the_buffer_teaches_nothing() -> None:
    buffer = buffer_of()
    for kept in buffer.kept:
        for one in kept:
            one.action[~one.mask] = 5.0
    logs = [
        learner_of(SETTINGS).update(trials_of(), PROMPTS, given, (1.0, BETA), seed=6)
        for given in (buffer_of(), buffer)
    ]
    assert logs[0] == logs[1] and logs[0]["bc_loss"] > 0


def test_the_policy_stops_where_its_divergence_says_so() -> None:
    """A limit of nothing: the first step is taken (nothing has diverged), the second is not, and the next
    begin slower."""
    learner = learner_of(replace(SETTINGS, kl_stop=1e-9, kl_end=1e-9))
    log = learner.update(trials_of(), PROMPTS, buffer_of(), (1.0, BETA), seed=6)
    assert log["policy_steps"] == 1 and log["lr"] == pytest.approx(SETTINGS.lr / SETTINGS.adapt)
    free = learner_of(SETTINGS).update(trials_of(), PROMPTS, buffer_of(), (1.0, BETA), seed=6)
    assert free["policy_steps"] == 3 and free["lr"] == pytest.approx(SETTINGS.lr * SETTINGS.adapt)


def test_while_the_critic_warms_up_the_policy_stays() -> None:
    learner, untouched = learner_of(SETTINGS), learner_of(SETTINGS)
    log = learner.update(trials_of(), PROMPTS, buffer_of(), (1.0, BETA), seed=6, teach_policy=False)
    assert "policy_loss" not in log and log["value_loss"] > 0
    for a, b in zip(learner.actor.parameters(), untouched.actor.parameters(), strict=True):
        assert torch.equal(a, b)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(learner.critic.parameters(), untouched.critic.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"critic_lr": 1e38}, r"practice, critic: the loss of step 2 is NaN or infinite\. In its batch: '"),
        (
            {"lr": 1e38},
            r"practice, (policy|cloning): the loss of step 2 is NaN or infinite\. In its batch: '",
        ),
        ({"critic_lr": 1e39, "epochs": 1, "critic_epochs": 0}, "practice, critic: a gradient overflowed"),
    ],
)
def test_a_loss_that_is_no_number_stops_before_its_step(changes: dict[str, float], says: str) -> None:
    learner = learner_of(replace(SETTINGS, **changes))
    with pytest.raises(VantageError, match=says) as error:
        learner.update(trials_of(), PROMPTS, buffer_of(), (1.0, BETA), seed=6)
    assert "what was saved before this iteration is kept" in str(error.value)


@pytest.mark.parametrize("what", ["chunks", "windows"])
def test_what_is_bad_in_a_batch_of_practice_is_named(what: str) -> None:
    """A chunk by its task, start and control step; a window of the buffer by its task, episode and place."""
    trials, buffer = trials_of(), buffer_of()
    if what == "chunks":
        trials.path[4] = np.nan
        named = (
            r"practice, policy: the loss of step 1 .* batch: 'open the window' from seed 1, control step 8,"
        )
    else:
        buffer.kept[0][1].action[:] = np.nan
        named = r"practice, cloning: the loss of step 1 .* batch: 'push it', kept episode 1, window [0-6],"
    with pytest.raises(VantageError, match=named):
        learner_of(SETTINGS).update(trials, PROMPTS, buffer, (1.0, BETA), seed=6)
