"""Every column name, spelled once. What each column means: docs/data.md."""

IMAGE_PREFIX = "observation.images."
STATE = "observation.state"
ENVIRONMENT_STATE = "observation.environment_state"
ACTION = "action"
POLICY_ACTION = "policy_action"
INTERVENTION = "intervention"
POLICY_VERSION = "policy_version"
SUCCESS = "next.success"
DONE = "next.done"
TASK = "task"
TASK_INDEX = "task_index"

INDEX = "index"
EPISODE = "episode_index"
FRAME = "frame_index"
TIMESTAMP = "timestamp"
ROUND = "round"

INTERVENTION_ALIASES = (
    INTERVENTION,
    "complementary_info.is_intervention",
    "is_intervention",
    "intervene_flag",
)
"""Where LeRobot's tools, Evo-RL and RLinf write who was driving, most trusted first."""

SUCCESS_ALIASES = (SUCCESS, "is_success", "success")
"""Where recordings write that an episode succeeded, frame by frame, most trusted first."""

REWARD = "next.reward"
EPISODE_OUTCOMES = ("episode_success", "success", "is_episode_successful")
"""Columns of meta/episodes in which Evo-RL, OpenTau and DROID conversions keep an episode's outcome."""

OUTCOME_SOURCE = "outcome_source"
"""Who said how the episode ended (`OutcomeSource`)."""
ATTEMPT = "attempt"
"""0, 1, 2 ... within the episode: what credit assignment takes for one."""
FINGERPRINT = "fingerprint"
"""Of the episode's content (`data.fingerprints`)."""

LABEL_COLUMNS = (
    INDEX, EPISODE, FRAME, "segment", "controller", "route", "route_whole", "outcome", OUTCOME_SOURCE,
    "viability_target", "viability_mask", "efficiency_target_mc", "efficiency_mask", ATTEMPT, FINGERPRINT,
)  # fmt: skip
"""2-labels.parquet, in order."""

WEIGHT_COLUMNS = (
    ROUND, INDEX, "route", "z_v", "p_v", "v_e", "a_v", "a_e", "g", "v_parent", "a_parent",
    "raw_weight", "weight", "sampling", FINGERPRINT,
)  # fmt: skip
"""4-weights.parquet, in order."""

EVAL_COLUMNS = ("task", "prompt", "seed", "success", "steps", "limit")
"""6-eval.parquet, in order; one row per trial.

`steps` = actions executed (up to success where there is one).
"""
