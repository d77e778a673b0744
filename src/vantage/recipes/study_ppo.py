"""The study of chunked PPO on MetaWorld MT10: which demonstrations, which chunk, which rule of self-cloning,
and how far it goes.

Every arm is a whole run, for most differ from the demonstrations on. What an arm's name does not say is that
of `USUAL`: true state, ten demonstrations a task, five actions a chunk, cloning by success. Names are keys of
the stored rows.
"""

from dataclasses import replace

from vantage.algorithms.chunked_ppo import ChunkedPPORun
from vantage.core.self_bc import ConstantBC, GradientBC, NoSelfBC, RampBC, SelfBCRule, SuccessBC
from vantage.core.surrogate import Discount, Potential, StepCost
from vantage.policies.small.gaussian import GaussianConfig
from vantage.policies.small.stochastic_flow import FlowSDEConfig, FPOConfig, NoisyFlowConfig
from vantage.practice.ppo import PPOFit
from vantage.practice.settings import Checks, OperatorLead, Play, ReplayedLead
from vantage.recipes.metaworld_ppo import (
    metaworld_mt10_ppo,
    metaworld_mt10_ppo_state,
    metaworld_mt10_ppo_state_long,
)
from vantage.study.plan import Study, Suite, WholeRun
from vantage.study.view import Curves, PracticeView, Shown

USUAL = ChunkedPPORun(worlds=())
"""What every arm from true state begins with; its worlds are those of the suite."""
HALF, MILLION, TWO_MILLION = 500_000, 1_000_000, 2_000_000
"""Environment steps."""
RULES: dict[str, SelfBCRule] = {
    "PPO alone": NoSelfBC(),
    "+ constant": ConstantBC(),
    "+ ramp": RampBC(),
    "+ success": SuccessBC(),
    "+ gradient": GradientBC(),
}
"""How strongly the policy's own best trials are cloned."""

PRICES: dict[str, PPOFit] = {
    "gamma .98": PPOFit(price=Discount(gamma=0.98)),
    "gamma .995": PPOFit(price=Discount(gamma=0.995)),
    "cost per step": PPOFit(price=StepCost()),
    "potential": PPOFit(price=Potential()),
    "limit bootstraps": PPOFit(limit_bootstraps=True),
}
"""What time costs."""


def steps(run: ChunkedPPORun, count: int) -> ChunkedPPORun:
    """The run with so many environment steps of practice; 0: the supervised policy."""
    return replace(run, practice=replace(run.practice, steps=count))


def cloning(run: ChunkedPPORun, rule: SelfBCRule) -> ChunkedPPORun:
    """The run with another rule of self-cloning."""
    return replace(run, practice=replace(run.practice, self_bc=rule))


def alone(run: ChunkedPPORun) -> ChunkedPPORun:
    """The run without self-cloning."""
    return cloning(run, NoSelfBC())


def fitting(run: ChunkedPPORun, fit: PPOFit) -> ChunkedPPORun:
    """The run with other settings of PPO."""
    return replace(run, practice=replace(run.practice, fit=fit))


def playing(run: ChunkedPPORun, play: Play) -> ChunkedPPORun:
    """The run that plays otherwise."""
    return replace(run, practice=replace(run.practice, play=play))


def demonstrations(run: ChunkedPPORun, count: int) -> ChunkedPPORun:
    """The run with so many demonstrations a task."""
    recorded = replace(run.supervision.demonstrations, per_world=count)
    return replace(run, supervision=replace(run.supervision, demonstrations=recorded))


def gaussian(run: ChunkedPPORun) -> GaussianConfig:
    """The policy of a run, which is Gaussian."""
    assert isinstance(run.policy, GaussianConfig)
    return run.policy


def chunk(run: ChunkedPPORun, horizon: int) -> ChunkedPPORun:
    """The run with so many actions a chunk, all of them executed."""
    policy = gaussian(run)
    return replace(run, policy=replace(policy, net=replace(policy.net, chunk=horizon, execute=horizon)))


def ablation() -> dict[str, ChunkedPPORun]:
    """Demonstrations, chunks, and rules of self-cloning."""
    few = demonstrations(USUAL, 3)
    arms = {
        "SFT, 10 demos": steps(USUAL, 0),
        "SFT, 100 demos": steps(demonstrations(USUAL, 100), 0),
        "SFT, 3 demos": steps(few, 0),
    }
    arms |= {f"10 demos, h = {horizon}": steps(chunk(USUAL, horizon), HALF) for horizon in (1, 3, 8)}
    arms |= {f"10 demos, {name}": steps(cloning(USUAL, rule), HALF) for name, rule in RULES.items()}
    return arms | {f"3 demos, {name}": steps(cloning(few, rule), HALF) for name, rule in RULES.items()}


def prices() -> dict[str, ChunkedPPORun]:
    """What time costs, and whether a failure at the limit is an end."""
    plain = steps(alone(USUAL), HALF)
    return {f"10 demos, PPO alone, {name}": fitting(plain, fit) for name, fit in PRICES.items()}


def policies() -> dict[str, ChunkedPPORun]:
    """Flow-matching policies in place of the Gaussian one. The supervised policy of FPO++ is FPO's; the noisy
    flow explores by the Gaussian's own noise."""
    usual = gaussian(USUAL)
    net = usual.net
    noisy = NoisyFlowConfig(net=net, log_std=usual.log_std, correlation=usual.correlation)
    behind = alone(replace(USUAL, policy=noisy))
    sde = alone(replace(USUAL, policy=FlowSDEConfig(net=net)))
    fpo = alone(replace(USUAL, policy=FPOConfig(net=net, per_draw=False)))
    plus = fitting(
        alone(replace(USUAL, policy=FPOConfig(net=net))),
        PPOFit(kl_stop=0.05, kl_end=0.02, clip=0.05, pull_back=True),
    )
    return {
        "Flow-SDE: SFT, 10 demos": steps(sde, 0),
        "Flow-SDE: 10 demos, PPO alone": steps(sde, HALF),
        "FPO: SFT, 10 demos": steps(fpo, 0),
        "FPO: 10 demos, PPO alone": steps(fpo, HALF),
        "FPO++: 10 demos, PPO alone": steps(plus, HALF),
        "Noisy flow: SFT, 10 demos": steps(behind, 0),
        "Noisy flow: 10 demos, PPO alone": steps(behind, HALF),
    }


def longer() -> dict[str, ChunkedPPORun]:
    """How far it goes."""
    return {
        "10 demos, 2 M steps": steps(USUAL, TWO_MILLION),
        "10 demos, 2 M steps, PPO alone": steps(alone(USUAL), TWO_MILLION),
        "10 demos, h = 3, 2 M steps, PPO alone": steps(alone(chunk(USUAL, 3)), TWO_MILLION),
        "10 demos, 5 M steps": steps(USUAL, 5_000_000),
        "10 demos, 11 M steps, PPO alone, two cores": replace(metaworld_mt10_ppo_state_long(), worlds=()),
    }


def weak_starts() -> dict[str, ChunkedPPORun]:
    """One and three demonstrations a task, with and without a curriculum of starts."""
    one, three = demonstrations(USUAL, 1), demonstrations(USUAL, 3)
    replayed, operator = Play(lead=ReplayedLead()), Play(lead=OperatorLead())
    correlated = replace(three, policy=replace(gaussian(three), correlation=0.9))
    return {
        "SFT, 1 demo": steps(one, 0),
        "3 demos, 1 M steps": steps(three, MILLION),
        "3 demos, 1 M steps, replayed lead": steps(playing(three, replayed), MILLION),
        "3 demos, 1 M steps, operator's lead": steps(playing(three, operator), MILLION),
        "3 demos, 1 M steps, PPO alone": steps(alone(three), MILLION),
        "3 demos, 2 M steps, + constant": steps(cloning(three, ConstantBC()), TWO_MILLION),
        "3 demos, 2 M steps, PPO alone": steps(alone(three), TWO_MILLION),
        "3 demos, 1 M steps, correlation .9": steps(correlated, MILLION),
        "3 demos, 1 M steps, limit 200": steps(playing(three, Play(limit=200)), MILLION),
        "1 demo, 1 M steps": steps(one, MILLION),
        "1 demo, 1 M steps, replayed lead": steps(playing(one, replayed), MILLION),
        "1 demo, 1 M steps, operator's lead": steps(playing(one, operator), MILLION),
    }


def from_pixels() -> dict[str, ChunkedPPORun]:
    """The same from two pictures of 48 pixels."""
    recipe = replace(metaworld_mt10_ppo(), worlds=())
    practice = replace(recipe.practice, checks=Checks(per_world=10))
    cloned = cloning(replace(recipe, practice=practice), SuccessBC())
    eager = fitting(cloned, replace(cloned.practice.fit, kl_stop=1.0, kl_end=0.1))
    smaller_steps = fitting(alone(cloned), replace(cloned.practice.fit, kl_stop=0.2, kl_end=0.05))
    return {
        "pixels: SFT, 10 demos": steps(eager, 0),
        "pixels: 10 demos, 1 M steps": steps(eager, MILLION),
        "pixels: 10 demos, 1 M steps, KL stop .2": steps(smaller_steps, MILLION),
        "pixels: 10 demos, 3.5 M steps, PPO alone, two cores": recipe,
    }


CONTRASTS = (
    ("10 demos, + success", "10 demos, PPO alone"),
    ("10 demos, + constant", "10 demos, PPO alone"),
    ("10 demos, + ramp", "10 demos, PPO alone"),
    ("10 demos, + gradient", "10 demos, PPO alone"),
    ("3 demos, + success", "3 demos, PPO alone"),
    ("3 demos, + constant", "3 demos, PPO alone"),
    ("3 demos, + ramp", "3 demos, PPO alone"),
    ("3 demos, + gradient", "3 demos, PPO alone"),
    ("3 demos, + constant", "3 demos, + success"),
    ("10 demos, + success", "10 demos, h = 1"),
    ("10 demos, + success", "10 demos, h = 3"),
    ("10 demos, + success", "10 demos, h = 8"),
    ("10 demos, PPO alone", "SFT, 10 demos"),
    ("10 demos, PPO alone", "SFT, 100 demos"),
    ("3 demos, + constant", "SFT, 3 demos"),
    ("Noisy flow: 10 demos, PPO alone", "Noisy flow: SFT, 10 demos"),
    ("Noisy flow: 10 demos, PPO alone", "10 demos, PPO alone"),
    ("3 demos, 1 M steps, operator's lead", "3 demos, 1 M steps"),
    ("10 demos, 2 M steps", "10 demos, 2 M steps, PPO alone"),
    ("10 demos, h = 3, 2 M steps, PPO alone", "10 demos, 2 M steps, PPO alone"),
    *((f"10 demos, PPO alone, {name}", "10 demos, PPO alone") for name in PRICES),
)
ANSWERS = (
    ("10 demos, PPO alone", "SFT, 10 demos"),
    ("10 demos, PPO alone", "SFT, 100 demos"),
    ("3 demos, + constant", "SFT, 3 demos"),
    ("10 demos, + success", "10 demos, PPO alone"),
    ("3 demos, + constant", "3 demos, PPO alone"),
    ("10 demos, + success", "10 demos, h = 1"),
)
"""Is it worth practising, is it worth cloning oneself, and are chunks worth having."""
LONGEST = "10 demos, 11 M steps, PPO alone, two cores"

VIEW = PracticeView(
    caps=(200, 500),
    counted=("SFT, 10 demos", "10 demos, 2 M steps, PPO alone", LONGEST),
    paced=("SFT, 10 demos", "10 demos, 5 M steps", LONGEST),
    title="MT10, true state, ten demonstrations a task",
    short=(
        Shown(arm="SFT, 10 demos", words="supervised"),
        Shown(arm="10 demos, PPO alone", words="0.5 M environment steps"),
        Shown(arm="10 demos, 2 M steps, PPO alone", words="2 M environment steps"),
        Shown(arm=LONGEST, words="11 M environment steps"),
        Shown(arm="Noisy flow: SFT, 10 demos", words="a flow, supervised"),
        Shown(arm="Noisy flow: 10 demos, PPO alone", words="a flow, 0.5 M environment steps"),
    ),
    curves=(
        Curves(
            name="steps",
            column="length",
            words="Control steps of successes while practising, mean over ten tasks",
            arms=(
                Shown(arm=LONGEST, words="PPO alone, 11 M"),
                Shown(arm="10 demos, 5 M steps", words="+ own successes, 5 M"),
                Shown(arm="10 demos, 2 M steps, PPO alone", words="PPO alone, 2 M"),
                Shown(arm="10 demos, h = 3, 2 M steps, PPO alone", words="PPO alone, h = 3, 2 M"),
            ),
        ),
        Curves(
            name="harder",
            column="success",
            words="Success while practising, mean over ten tasks",
            arms=(
                Shown(arm="3 demos, 1 M steps", words="3 demos"),
                Shown(arm="3 demos, 1 M steps, operator's lead", words="3 demos, operator's lead"),
                Shown(arm="1 demo, 1 M steps", words="1 demo"),
                Shown(arm="pixels: 10 demos, 3.5 M steps, PPO alone, two cores", words="10 demos, pixels"),
            ),
        ),
    ),
)


def study_mt10_ppo() -> Study:
    """Chunked PPO on MT10: demonstrations, chunks, self-cloning, prices of time, flows, pixels.

    The stored cells took eleven and a half hours of one core.
    """
    groups = (ablation(), prices(), policies(), longer(), weak_starts(), from_pixels())
    return Study(
        tasks=(Suite(name="MT10", worlds=metaworld_mt10_ppo_state().worlds),),
        arms=tuple(WholeRun(name=name, run=run) for group in groups for name, run in group.items()),
        contrasts=CONTRASTS,
        answers=ANSWERS,
        view=VIEW,
    )
