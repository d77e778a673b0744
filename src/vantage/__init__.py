"""Vantage: fine-tune VLA robot policies from sparse episode outcomes.

The names below are the public Python interface (docs/python.md); each is imported from its module when it is
first used, so that `import vantage` stays quick. Everything else may move.
"""

import importlib
from typing import TYPE_CHECKING

from vantage.version import __version__ as __version__

if TYPE_CHECKING:
    from vantage.algorithms.chunked_ppo import ChunkedPPORun as ChunkedPPORun
    from vantage.algorithms.chunked_ppo import run_chunked_ppo as run_chunked_ppo
    from vantage.algorithms.habc import HABCRun as HABCRun
    from vantage.algorithms.habc import run_habc as run_habc
    from vantage.algorithms.improvement import Improvement as Improvement
    from vantage.algorithms.supervised import Supervision as Supervision
    from vantage.batch import Batch as Batch
    from vantage.batch import Observation as Observation
    from vantage.bounds import Count as Count
    from vantage.bounds import Positive as Positive
    from vantage.bounds import Share as Share
    from vantage.bounds import Whole as Whole
    from vantage.collect.exploration import BeforeFailure as BeforeFailure
    from vantage.collect.exploration import DoubtfulStart as DoubtfulStart
    from vantage.collect.exploration import Exploration as Exploration
    from vantage.collect.handover import Event as Event
    from vantage.collect.handover import Phase as Phase
    from vantage.collect.observe import Memory as Memory
    from vantage.collect.observe import observe as observe
    from vantage.collect.operators import Demonstrate as Demonstrate
    from vantage.collect.operators import DemonstrateFrom as DemonstrateFrom
    from vantage.collect.operators import DemonstrateStock as DemonstrateStock
    from vantage.collect.operators import DemonstrateWith as DemonstrateWith
    from vantage.collect.operators import NoOne as NoOne
    from vantage.collect.operators import Operator as Operator
    from vantage.collect.operators import Rescue as Rescue
    from vantage.collect.operators import RescueWith as RescueWith
    from vantage.collect.pool import open_pool as open_pool
    from vantage.core.weights import AWR as AWR
    from vantage.core.weights import HABC as HABC
    from vantage.core.weights import HABCV as HABCV
    from vantage.core.weights import ExponentialWeights as ExponentialWeights
    from vantage.core.weights import FilteredBC as FilteredBC
    from vantage.core.weights import ImitDAgger as ImitDAgger
    from vantage.core.weights import ImitRecap as ImitRecap
    from vantage.core.weights import RejectionTargets as RejectionTargets
    from vantage.core.weights import Uniform as Uniform
    from vantage.data.audit import audit as audit
    from vantage.data.experience import Experience as Experience
    from vantage.data.experience import load_experience as load_experience
    from vantage.disk.layout import Round as Round
    from vantage.disk.layout import Source as Source
    from vantage.environment import prepare_process as prepare_process
    from vantage.errors import VantageError as VantageError
    from vantage.learn.critic.fit import CriticFit as CriticFit
    from vantage.learn.start import FromCheckpoint as FromCheckpoint
    from vantage.learn.start import FromScratch as FromScratch
    from vantage.policies.build import LeRobotPolicy as LeRobotPolicy
    from vantage.policies.build import LeRobotScratch as LeRobotScratch
    from vantage.policies.build import PolicySpec as PolicySpec
    from vantage.policies.build import build_policy as build_policy
    from vantage.policies.load import load_policy as load_policy
    from vantage.policies.protocol import Interface as Interface
    from vantage.policies.protocol import Policy as Policy
    from vantage.policies.small.flow import FlowConfig as FlowConfig
    from vantage.policies.small.gaussian import GaussianConfig as GaussianConfig
    from vantage.recipes import RECIPES as RECIPES
    from vantage.recipes import STUDIES as STUDIES
    from vantage.report.page import write_report as write_report
    from vantage.seeding import seed_for as seed_for
    from vantage.stages.collect import Demonstrations as Demonstrations
    from vantage.stages.collect import Rollouts as Rollouts
    from vantage.stages.evaluate import Evaluation as Evaluation
    from vantage.stages.evaluate import evaluate as evaluate
    from vantage.stages.fit_critic import fit_critic as fit_critic
    from vantage.stages.fit_policy import PolicyFit as PolicyFit
    from vantage.stages.fit_policy import fit_policy as fit_policy
    from vantage.stages.label import Labelling as Labelling
    from vantage.stages.label import label as label
    from vantage.stages.weigh import Weighing as Weighing
    from vantage.stages.weigh import weigh as weigh
    from vantage.types import Controller as Controller
    from vantage.types import Labels as Labels
    from vantage.types import Route as Route
    from vantage.types import Trace as Trace
    from vantage.worlds.bimanual.spec import BimanualSpec as BimanualSpec
    from vantage.worlds.gymnasium.lerobot import LeRobotEnv as LeRobotEnv
    from vantage.worlds.gymnasium.spec import Gymnasium as Gymnasium
    from vantage.worlds.gymnasium.success import InfoKey as InfoKey
    from vantage.worlds.gymnasium.success import RewardAtLeast as RewardAtLeast
    from vantage.worlds.gymnasium.success import Terminated as Terminated
    from vantage.worlds.protocol import World as World
    from vantage.worlds.protocol import WorldInputs as WorldInputs
    from vantage.worlds.spec import MetaWorldSpec as MetaWorldSpec

_NAMES = {
    "algorithms.chunked_ppo": ("ChunkedPPORun", "run_chunked_ppo"),
    "algorithms.habc": ("HABCRun", "run_habc"),
    "algorithms.improvement": ("Improvement",),
    "algorithms.supervised": ("Supervision",),
    "batch": ("Batch", "Observation"),
    "bounds": ("Count", "Positive", "Share", "Whole"),
    "collect.exploration": ("BeforeFailure", "DoubtfulStart", "Exploration"),
    "collect.handover": ("Event", "Phase"),
    "collect.observe": ("Memory", "observe"),
    "collect.operators": (
        "Demonstrate",
        "DemonstrateStock",
        "DemonstrateFrom",
        "DemonstrateWith",
        "NoOne",
        "Operator",
        "Rescue",
        "RescueWith",
    ),
    "collect.pool": ("open_pool",),
    "core.weights": (
        "AWR",
        "HABC",
        "HABCV",
        "ExponentialWeights",
        "FilteredBC",
        "ImitDAgger",
        "ImitRecap",
        "RejectionTargets",
        "Uniform",
    ),
    "data.audit": ("audit",),
    "data.experience": ("Experience", "load_experience"),
    "disk.layout": ("Round", "Source"),
    "environment": ("prepare_process",),
    "errors": ("VantageError",),
    "learn.critic.fit": ("CriticFit",),
    "learn.start": ("FromCheckpoint", "FromScratch"),
    "policies.build": ("LeRobotPolicy", "LeRobotScratch", "PolicySpec", "build_policy"),
    "policies.load": ("load_policy",),
    "policies.protocol": ("Interface", "Policy"),
    "policies.small.flow": ("FlowConfig",),
    "policies.small.gaussian": ("GaussianConfig",),
    "recipes": ("RECIPES", "STUDIES"),
    "report.page": ("write_report",),
    "seeding": ("seed_for",),
    "stages.collect": ("Demonstrations", "Rollouts"),
    "stages.evaluate": ("Evaluation", "evaluate"),
    "stages.fit_critic": ("fit_critic",),
    "stages.fit_policy": ("PolicyFit", "fit_policy"),
    "stages.label": ("Labelling", "label"),
    "stages.weigh": ("Weighing", "weigh"),
    "types": ("Controller", "Labels", "Route", "Trace"),
    "worlds.bimanual.spec": ("BimanualSpec",),
    "worlds.gymnasium.lerobot": ("LeRobotEnv",),
    "worlds.gymnasium.spec": ("Gymnasium",),
    "worlds.gymnasium.success": ("InfoKey", "RewardAtLeast", "Terminated"),
    "worlds.protocol": ("World", "WorldInputs"),
    "worlds.spec": ("MetaWorldSpec",),
}
"""Module below `vantage` -> its public names; the imports above say the same to type checkers, and a test
holds the two together."""

_HOME = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*_HOME, "__version__"])
