"""Mistakes that somebody could make, each with the tests that must notice it.

A mutant is one edit of one file: a text that stands there exactly once, and what stands there instead. When
code moves, the texts move with it (`test_mutant_list.py`); when a test no longer notices, `make mutants` says
so.
"""

from dataclasses import dataclass

CORE = "tests/core"
STEPS = "tests/algorithms/test_first_losses.py"
WEIGH = "tests/algorithms/test_weigh.py"
METHODS = "tests/algorithms/test_methods.py"
LEDGER = "tests/algorithms/test_ledger_contract.py"
UPDATE = "tests/practice/test_update_by_hand.py"
TRAINER = "tests/practice/test_trainer_on_a_line.py"
BUFFER = "tests/practice/test_buffer.py"
CRITIC = "tests/learn/test_critic.py"
CHUNKS = "tests/learn/test_chunk_critic.py"
EXTRACTION = "tests/learn/test_extraction.py"
PANEL = "tests/learn/test_panel.py"
STEP = "tests/learn/test_step.py"
REPLAY = "tests/data/test_replay.py"
LOADER = "tests/data/test_loader.py"
COLLECT = "tests/collect/test_collect_on_a_line.py"
EXPLORATION = "tests/algorithms/test_exploration.py"
EVALUATE = "tests/stages/test_evaluate.py"
PROCESSES = "tests/learn/test_processes.py::test_two_processes_train_what_one_does"
RECORD = "tests/disk/test_record.py"
FINETUNE = "tests/commands/test_finetune.py"
LEROBOT = "tests/policies/test_lerobot_policies.py"
CHECKPOINTS = "tests/policies/test_lerobot_checkpoints.py"
PLUGIN = "lerobot_policy_vantage"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake."""

    name: str
    file: str
    """Below src/vantage, or below plugins."""
    old: str
    """Stands in the file exactly once."""
    new: str
    tests: tuple[str, ...]
    """Files, folders, or single tests (FILE::NAME); one that fails is enough."""

    @property
    def path(self) -> str:
        """The file, below the root of the repository."""
        return f"plugins/{self.file}" if self.file.startswith(PLUGIN) else f"src/vantage/{self.file}"


def _in(file: str, *tests: str, **edits: tuple[str, str]) -> tuple[Mutant, ...]:
    """Mutants of one file that the same tests must notice: name=(old, new)."""
    return tuple(Mutant(name.replace("_", "-"), file, old, new, tests) for name, (old, new) in edits.items())


CORE_MUTANTS = (
    *_in(
        "core/weights.py",
        "tests/core/test_weights.py",
        "tests/core/test_ledger.py",
        gate_swapped=("np.tanh((1.0 - p) * a_v + p * a_e)", "np.tanh(p * a_v + (1.0 - p) * a_e)"),
        viability_advantage_backwards=("z[strides.row] - z, np.nan", "z - z[strides.row], np.nan"),
        efficiency_advantage_undivided=(
            "(efficiency_ahead(strides)(v) - v) / divisor",
            "(efficiency_ahead(strides)(v) - v)",
        ),
        efficiency_divisor_shrinks_at_success=(
            "divisor = np.where(strides.terminal, strides.stride, np.maximum(strides.steps, 1))",
            "divisor = np.maximum(strides.steps, 1)",
        ),
        warm_up_ends_late=("return step >= n_wu", "return step > n_wu"),
        warm_up_shows_efficiency=("a_v=unknown, a_e=unknown)", "a_v=unknown)"),
        fresh_one_too_many=(
            "current_version - policy_version < cutoff",
            "current_version - policy_version <= cutoff",
        ),
        demonstrations_go_stale=("(policy_version < 0) | (current", "(current"),
        mean_counts_demonstrations=("drawn = np.where(demo, 0.0, sampling)", "drawn = sampling"),
        demonstrations_are_normalised=("np.where(demo, 1.0, raw / max(mean, eps))", "raw / max(mean, eps)"),
        invalid_anchors_weigh=(
            "return weight if valid is None else np.where(valid, weight, 0.0)",
            "return weight",
        ),
        most_pass_instead_of_few=("np.quantile(known, 1.0 - share)", "np.quantile(known, share)"),
        unlabelled_count=(
            "1.0, success, failure, intervention], default=0.0)",
            "1.0, success, failure, intervention], default=1.0)",
        ),
        missing_advantage_is_zero=(
            "np.where(np.isnan(weight), 1.0, weight)",
            "np.where(np.isnan(weight), 0.0, weight)",
        ),
        failures_never_rise=("if self.rising_failures else 0.0", "if not self.rising_failures else 0.0"),
        certainty_is_free_before_cuts=(
            "missing = np.isnan(a_v) | np.isnan(a_e)",
            "missing = np.zeros(len(a_v), bool)",
        ),
        certainty_is_free=("known_e - self.certainty_price", "known_e"),
        interventions_never_reweighed=(
            "correction = g if self.reweight_interventions else 1.0",
            "correction = 1.0",
        ),
        habc_v_reads_efficiency=(
            "gate(nothing, evidence.a_v, nothing)",
            "gate(evidence.p_v, evidence.a_v, evidence.a_e)",
        ),
        recap_passes_unjudged_episodes=("~imitated & ~np.isnan(evidence.outcome)", "~imitated"),
        awr_without_clip=(
            "np.minimum(evidence.a_parent / self.temperature, np.log(self.clip))",
            "evidence.a_parent / self.temperature",
        ),
        awr_counts_unjudged=(
            "autonomous = ~evidence.intervention & ~np.isnan(evidence.outcome)",
            "autonomous = ~evidence.intervention",
        ),
    ),
    *_in(
        "core/credit.py",
        "tests/core/test_credit.py",
        outcome_crosses_handovers=(
            "viability_mask = attributed if known",
            "viability_mask = ~trace.intervention if known",
        ),
        human_progress_forgotten=("attributed | trace.intervention if succeeded", "attributed if succeeded"),
        time_to_success_off_by_one=("np.arange(1.0 - length, 1.0)", "np.arange(-1.0 * length, 0.0)"),
        whole_credit_is_aware=(
            "_routes(trace, ~trace.intervention)",
            "_routes(trace, suffix(trace.intervention))",
        ),
        unjudged_is_failure=("trace.outcome is not None", "True"),
        demos_teach_viability=("np.full(length, known and demo_viability)", "np.full(length, known)"),
    ),
    *_in(
        "core/segments.py",
        "tests/core/test_segments.py",
        suffix_holds_last_human=("np.arange(len(intervention)) > (", "np.arange(len(intervention)) >= ("),
        segments_cross_cuts=("starts = cut.copy()", "starts = np.zeros_like(cut)"),
        segments_cross_episodes=("| (episode[1:] != episode[:-1])", ""),
    ),
    *_in(
        "core/returns.py",
        "tests/core/test_returns.py",
        outcome_crosses_the_hand_over=(
            "starts = frames.stretch_starts(across_handover=False)",
            "starts = frames.stretch_starts()",
        ),
        success_bootstraps=(
            "discount=np.where(strides.terminal, 0.0, 1.0)",
            "discount=np.ones(len(strides.row))",
        ),
        stride_passes_the_end=("np.minimum(left, stride)", "np.minimum(left, stride + 1)"),
        parent_never_discounts=("decay = gamma ** strides.steps", "decay = 1.0 ** strides.steps"),
        mix_swapped=("(1 - mc_share) * td + mc_share * mc", "mc_share * td + (1 - mc_share) * mc"),
        failures_cost_nothing=(
            "np.where(last | self.per_transition, -self.failure_penalty, -1.0)",
            "np.where(last, 0.0, -1.0)",
        ),
        target_before_a_cut=("mask if mc_share == 1 else mask & np.isfinite(ahead.gain)", "mask"),
    ),
    *_in(
        "core/sampling.py",
        "tests/core/test_sampling.py",
        "tests/core/test_ledger.py",
        zero_weights_are_drawn=("(raw_weight > 0) | (draw_zero", "(raw_weight >= 0) | (draw_zero"),
        empty_pools_keep_their_share=("given = wanted / wanted.sum()", "given = wanted"),
        draws_ignore_the_step=(
            "default_rng((seed, step)).random(batch)",
            "default_rng((seed, 0)).random(batch)",
        ),
        emphasis_ignored=("if emphasis is None:", "if True:"),
    ),
    *_in(
        "core/windows.py",
        "tests/core/test_windows.py",
        windows_cross_segments=("np.minimum(rows, end), rows <= end", "rows, rows <= rows"),
        the_past_crosses_segments=("rows - back, first_of_segment(segment_end, rows)", "rows - back, 0"),
        the_past_is_real=("(start <= rows) & (rows <= end)", "rows <= end"),
        padding_is_real=(
            "return np.minimum(rows, end), rows <= end",
            "return np.minimum(rows, end), rows <= rows",
        ),
        a_fifth_rounded_down=("-(-horizon // self.human_one_in)", "horizon // self.human_one_in"),
        margin_only_after=("for step in range(-margin, margin):", "for step in range(0, margin):"),
    ),
    *_in(
        "core/timeline.py",
        "tests/core/test_timeline.py",
        "tests/core/test_returns.py",
        every_end_is_a_success=("return self.last & (self.outcome == 1)", "return self.last"),
        looks_cross_cuts=(
            "starts = (self.frame == 0) | self.cut",
            "starts = (self.frame == 0) | (self.cut & False)",
        ),
    ),
    *_in(
        "core/losses.py",
        "tests/core/test_losses.py",
        flow_loss_without_mask=(
            "torch.where(mask, elementwise, 0.0).sum(dim=(1, 2))",
            "elementwise.sum(dim=(1, 2))",
        ),
        flow_loss_without_weight=("(weight * squared_norm).sum()", "squared_norm.sum()"),
        huber_without_unit=(
            "F.huber_loss(v_e / unit, aim,",
            "F.huber_loss(v_e, aim * unit,",
        ),
        critic_without_efficiency=(
            "coefficients[0] * viability + coefficients[1] * efficiency",
            "coefficients[0] * viability",
        ),
    ),
    *_in(
        "core/surrogate.py",
        "tests/core/test_surrogate.py",
        shaping_ends_at_a_limit_that_bootstraps=(
            "goes_on = last & ~success & limit_bootstraps",
            "goes_on = last & False",
        ),
        success_keeps_bootstrapping=("np.where(success, 0.0, after) - value", "after - value"),
        advantages_cross_episodes=(
            "carry = np.where(last, 0.0, (gamma * lam) ** steps)",
            "carry = (gamma * lam) ** steps",
        ),
        discount_by_chunk=("reward + gamma**steps * np.where", "reward + gamma * np.where"),
        surrogate_without_clip=(
            "torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)",
            "ratio * advantage",
        ),
        value_loss_takes_the_better=("worst = torch.maximum(", "worst = torch.minimum("),
    ),
    *_in(
        "core/self_bc.py",
        "tests/core/test_self_bc.py",
        cloning_grows_with_success=(
            "np.maximum(self.floor, 1 - now.success)",
            "np.maximum(self.floor, now.success)",
        ),
        ramp_backwards=(
            "return b, np.full_like(now.success, 1 - b)",
            "return 1 - b, np.full_like(now.success, b)",
        ),
    ),
)

LEARN_MUTANTS = (
    *_in(
        "learn/critic/panel.py",
        STEPS,
        PANEL,
        critic_sees_its_own_fold=("unseen = fold == number if settings.folds > 1 else None", "unseen = None"),
        folds_exchanged=("rows = fold == number", "rows = fold == (len(self.folds) - 1 - number)"),
        members_are_one=(
            "own_seed = seed + 1_000_003 * (number * settings.members + member)",
            "own_seed = seed",
        ),
        first_member_decides=(
            "torch.stack([v for _, v in judged]).mean(0)",
            "torch.stack([v for _, v in judged])[0]",
        ),
        features_not_standardised=("standardised = critic.standardise(x)", "standardised = x"),
    ),
    *_in(
        "learn/critic/problem.py",
        STEPS,
        viability_trains_on_held=(
            "np.flatnonzero(promising & ~held & seen)",
            "np.flatnonzero(promising & seen)",
        ),
        efficiency_trains_on_held=(
            "np.flatnonzero(progressing & ~held & seen)",
            "np.flatnonzero(progressing & seen)",
        ),
        own_fold_stops_viability=(
            "np.flatnonzero(labels.viability_mask & held & seen)",
            "np.flatnonzero(labels.viability_mask & held)",
        ),
        own_fold_stops_efficiency=(
            "np.flatnonzero(labels.efficiency_mask & held & seen)",
            "np.flatnonzero(labels.efficiency_mask & held)",
        ),
        own_fold_teaches_efficiency=(
            "np.flatnonzero(progressing & ~held & seen)",
            "np.flatnonzero(progressing & ~held)",
        ),
        held_frames_are_not_episodes=(
            "return held[experience.frames.episode]",
            "return held[np.arange(len(experience)) % len(held)]",
        ),
        failures_are_not_held=(
            "taught[(outcome == 0) & teaches] = 0",
            "taught[(outcome == 0) & teaches] = 2",
        ),
    ),
    *_in(
        "learn/critic/fit.py",
        CHUNKS,
        viability_bootstraps_from_now=(
            "torch.sigmoid(self.slow(problem.features[later]).squeeze(-1))",
            "torch.sigmoid(self.slow(problem.features[rows]).squeeze(-1))",
        ),
        viability_slow_copy_never_moves=(
            "move_towards(self.slow, self.critic.viability, self.settings.polyak)",
            "pass",
        ),
    ),
    *_in(
        "learn/critic/problem.py",
        CHUNKS,
        td_of_viability_is_ignored=(
            "viability_mc_share=1.0 if viability is None else viability.mc_share",
            "viability_mc_share=1.0",
        ),
    ),
    *_in(
        "learn/critic/chunks.py",
        CHUNKS,
        chunk_crosses_the_hand_over=(
            "window_index(experience.segment_end, np.arange(len(experience)), length)",
            "window_index(np.full(len(experience), len(experience) - 1), np.arange(len(experience)), length)",
        ),
        chunk_is_not_seen=(
            "np.concatenate([features, flat], axis=1)",
            "np.concatenate([features, 0 * flat], axis=1)",
        ),
    ),
    *_in(
        "learn/critic/extraction.py",
        EXTRACTION,
        worst_of_n_is_executed=(
            "chunks[torch.arange(size), torch.from_numpy(judged.argmax(1))]",
            "chunks[torch.arange(size), torch.from_numpy(judged.argmin(1))]",
        ),
        worst_of_n_is_imitated=("self.viability.argmax(1)]", "self.viability.argmin(1)]"),
        chunks_are_judged_by_who_saw_them=(
            "critic.values(features, first, fold[rows[part]].repeat(count))",
            "critic.values(features, first, 1 - fold[rows[part]].repeat(count))",
        ),
        advantage_is_over_nothing=('"advantage": executed - judged.worth', '"advantage": executed'),
    ),
    *_in(
        "core/weights.py",
        "tests/core/test_weights.py",
        temperature_runs_away=(
            "if effective_sample_size(weight) < effective * len(below):",
            "if effective_sample_size(weight) > effective * len(below):",
        ),
        failures_are_not_weighed=(
            "return _by_route(evidence, success=weight, failure=weight)",
            "return _by_route(evidence, success=weight)",
        ),
    ),
    *_in(
        "stages/fit_policy.py",
        EXTRACTION,
        METHODS,
        targets_are_not_exchanged=(
            "actions[:, -steps:] = torch.where(exchanged, best, actions[:, -steps:])",
            "actions[:, -steps:] = torch.where(exchanged, actions[:, -steps:], best)",
        ),
        target_begins_with_the_window=(
            "actions[:, -steps:] = torch.where(exchanged, best, actions[:, -steps:])",
            "actions[:, :steps] = torch.where(exchanged, best, actions[:, :steps])",
        ),
    ),
    *_in(
        "algorithms/habc.py",
        "tests/algorithms/test_best_of.py",
        nobody_chooses=("tried.acting_critic if tried.acting_critic.is_dir() else None", "None"),
        critic_of_another_policy_chooses=(
            "trained.actor,\n        kept.acting_critic,\n        settings",
            "before(trained).actor,\n        kept.acting_critic,\n        settings",
        ),
    ),
    *_in(
        "algorithms/improvement.py",
        METHODS,
        rejection_targets_imitate_what_was_done=(
            "self.current.chunk_critic if self.settings.weighing.rule.relabels else None",
            "None",
        ),
        chunks_are_weighed_blindly=(
            "self.current.chunk_critic if weighing.rule.judged_chunks else None",
            "None",
        ),
    ),
    *_in(
        "learn/critic/fit.py",
        STEPS,
        CRITIC,
        viability_learns_from_the_others=(
            "return self.problem.viability_train",
            "return self.problem.efficiency_train",
        ),
        slow_copy_never_moves=(
            "move_towards(self.slow, self.critic.efficiency, self.settings.polyak)",
            "pass",
        ),
        bootstraps_from_itself=(
            "self.critic.steps_from(self.slow(problem.features[later]))",
            "self.critic.v_e(problem.features[later])",
        ),
        bootstraps_from_now=(
            "self.critic.steps_from(self.slow(problem.features[later]))",
            "self.critic.steps_from(self.slow(problem.features[rows]))",
        ),
        monte_carlo_only=(
            "return mix(bootstrap(gain, discount, value), problem.monte_carlo[rows], "
            "self.settings.target.mc_share)",
            "return problem.monte_carlo[rows]",
        ),
        best_never_kept=("if settings.keep_best:", "if False:"),
        heads_begin_anywhere=("critic.begin_at(success_rate, steps)", "pass"),
        patience_ignored=("if best.looks_since >= settings.patience:", "if False:"),
    ),
    *_in(
        "learn/parent.py",
        STEPS,
        METHODS,
        parent_slow_copy_never_moves=("move_towards(slow, head, settings.polyak)", "pass"),
        parent_bootstraps_from_now=("self.slow(self.features[later])", "self.slow(self.features[drawn])"),
        parent_without_monte_carlo=(
            "mix(bootstrap(gain, discount, value), self.returns[drawn], settings.target.mc_share)",
            "bootstrap(gain, discount, value)",
        ),
        parent_never_discounts_values=(
            "bootstrap(gain, discount, value)",
            "bootstrap(gain, torch.ones_like(discount), value)",
        ),
    ),
    *_in(
        "learn/step.py",
        STEP,
        STEPS,
        UPDATE,
        step_never_clips=(
            "nn.utils.clip_grad_norm_(self.parameters.values(), self.optim.clip)",
            "nn.utils.clip_grad_norm_(self.parameters.values(), 1e9)",
        ),
        step_never_averages=(
            "lerp([*self.average.values()], [p.detach() for p in self.parameters.values()], 1 - decay)",
            "return",
        ),
        own_rates_ignored=("main if adapts else self._scheduled(peak)", "main"),
        gradients_pile_up=("self.adam.zero_grad(set_to_none=True)", "pass"),
    ),
    *_in(
        "learn/step.py",
        STEP,
        bfloat16_is_ignored=('if self.precision == "float32":', "if True:"),
        parts_lose_the_last_rows=(
            "(self.number + 1) * size // self.count)",
            "(self.number + 1) * (size // self.count))",
        ),
        only_the_first_part_is_learned=("for number in range(count):", "for number in range(1):"),
        loss_of_the_last_part=("torch.stack(losses).sum()", "losses[-1]"),
        average_begins_slowly=(
            "decay = min(self.optim.ema, self.step_count / (self.step_count + 9))",
            "decay = self.optim.ema",
        ),
        average_is_never_used=("self.parameters[name].copy_(tensor)", "pass"),
        schedule_is_a_step_ahead=(
            "(peak, self.total_steps)(self.step_count)",
            "(peak, self.total_steps)(self.step_count + 1)",
        ),
        given_rate_ignored=(
            "self._scheduled(self.optim.lr) if lr is None else lr",
            "self._scheduled(self.optim.lr)",
        ),
        unclipped_norm_is_zero=('return torch.tensor(float("nan"))', "return torch.tensor(0.0)"),
        moments_forgotten=('if path.startswith("adam."):', "if False:"),
        buffers_forgotten=('buffer.copy_(tensors[f"buffer.{name}"])', "pass"),
        step_count_forgotten=('self.step_count = int(tensors["step"])', "pass"),
    ),
    *_in(
        "learn/step.py",
        PROCESSES,
        processes_share_the_mean=("else loss * self.processes", "else loss"),
        processes_take_the_same_rows=("ranks.number() if self.processes > 1 else 0", "0"),
    ),
    *_in(
        "learn/start.py",
        METHODS,
        scratch_without_scales=(
            "policy.fit_normaliser(\n",
            "print(\n",
        ),
    ),
)

STAGE_MUTANTS = (
    *_in(
        "stages/fit_policy.py",
        STEPS,
        weights_ignored=("torch.from_numpy(weight[rows])", "torch.ones(len(weight[rows]))"),
        mask_ignored=(
            "flow_loss(elementwise, windows.mask,",
            "flow_loss(elementwise, torch.ones_like(windows.mask),",
        ),
        sampling_ignored=(
            "        sampling, seed, range(first, settings.steps)",
            "        np.full_like(sampling, 1 / len(sampling)), seed, range(first, settings.steps)",
        ),
        weight_and_sampling_exchanged=(
            'return columns["weight"].astype(np.float32), columns["sampling"]',
            'return columns["sampling"].astype(np.float32), columns["sampling"]',
        ),
        noise_ignores_the_step=("manual_seed(step * 1_000_003 + seed)", "manual_seed(seed)"),
    ),
    *_in(
        "stages/weigh.py",
        WEIGH,
        LEDGER,
        staleness_ignored=(
            "anchors(replay, route, settings, horizon) & recent",
            "anchors(replay, route, settings, horizon)",
        ),
        recency_backwards=("replay.round.max() - replay.round)", "replay.round - replay.round.min())"),
        recency_ignored=("if settings.recency != 1:", "if False:"),
        margin_ignored=("if settings.windows.margin:", "if False:"),
        unit_mean_ignored=(
            '"weight": normalise(raw, sampling, replay.demo, valid)',
            '"weight": np.where(valid, raw, 0.0)',
        ),
        labels_read_with_one_credit=("replay.labels.credited(settings.rule.credit)", "replay.labels.route"),
        weigh_stride_ignored=("replay.frames.success, settings.stride)", "replay.frames.success, 1)"),
        zero_weights_never_drawn=("draw_zero_weight=settings.draw_zero_weight", "draw_zero_weight=False"),
        help_is_forgotten=("== 1) & ~helped[frames.episode[begins]]", "== 1)"),
        window_rule_ignored=("route, horizon, settings.windows)", "route, horizon)"),
        shares_ignored=(
            "sampling_probability(route, may_draw, shares, emphasis)",
            "sampling_probability(route, may_draw, PoolShares(), emphasis)",
        ),
    ),
    *_in(
        "stages/label.py",
        REPLAY,
        "tests/faults/test_people.py",
        outcomes_come_from_the_csv_alone=("attempts_of(table, outcomes)", "attempts_of(table, None)"),
    ),
    *_in(
        "data/labelling.py",
        "tests/faults/test_people.py",
        segments_count_on_over_attempts=("return replace(joined, segment=", "return joined  # "),
        resets_are_imitated=("leave_out(labels) if attempt.number == LEFT_OUT else labels", "labels"),
    ),
    *_in(
        "stages/evaluate.py",
        EVALUATE,
        starts_depend_on_the_place=(
            "seed_for(settings.suite, place_of(world), trial)",
            "seed_for(settings.suite, row, trial)",
        ),
        one_suite_for_all=(
            "seed_for(settings.suite, place_of(world), trial)",
            'seed_for("evaluation", place_of(world), trial)',
        ),
    ),
    *_in(
        "stages/fit_critic.py",
        METHODS,
        WEIGH,
        parent_always_trained=(
            "None if parent is None else train_parent(experience, features, parent, seed, compute)",
            "train_parent(experience, features, parent or ParentFit(), seed, compute)",
        ),
    ),
    *_in(
        "stages/collect.py",
        COLLECT,
        version_not_recorded=("policy_version=policy_version,", "policy_version=0,"),
        late_record_ignored=("recorded_late=settings.recorded_late,", "recorded_late=0,"),
        failed_attempts_are_kept=("if played.success:", "if True:"),
        noise_not_passed_on=("settings.noise if not explored.noises", "None if not explored.noises"),
    ),
)

ALGORITHM_MUTANTS = (
    *_in(
        "algorithms/habc.py",
        STEPS,
        every_round_from_the_first_policy=(
            "entering=before(current).actor,",
            "entering=Round.of(current.run, 0).actor,",
        ),
        earlier_rounds_forgotten=(
            "sources=sources_up_to(current, settings.interface),",
            "sources=sources_up_to(current, settings.interface)[-1:],",
        ),
        versions_stand_still=(
            "max(current.number - 1, 0) * settings.improvement.fit.steps",
            "0 * settings.improvement.fit.steps",
        ),
    ),
    *_in(
        "algorithms/improvement.py",
        STEPS,
        METHODS,
        critic_reads_the_first_policy=(
            "            self.entering,\n            self.current.critic,",
            "            Round.of(self.current.run, 0).actor,\n            self.current.critic,",
        ),
        scratch_ignored=("if self.settings.from_scratch:", "if False:"),
        clock_runs_from_scratch=(
            "return 0 if self.settings.from_scratch else self.version",
            "return self.version",
        ),
    ),
    *_in(
        "algorithms/supervised.py",
        STEPS,
        control_of_one_round=("replace(fit, steps=fit.steps * rounds)", "fit"),
        control_draws_as_the_round_did=('seed=seed_for("control", seed)', "seed=train_seed(start, seed)"),
    ),
    *_in(
        "algorithms/interleaved.py",
        STEPS,
        METHODS,
        never_warms_up=("if not warmed_up(step, self.schedule.warm_up):", "if False:"),
        always_warms_up=("if not warmed_up(step, self.schedule.warm_up):", "if True:"),
        rule_ignored=("raw = self.weighing.rule(evidence)[: len(rows)]", "raw = np.ones(len(rows))"),
        batch_mean_ignored=(
            "weight = normalise_batch(raw, self.experience.demo[rows]).astype(np.float32)",
            "weight = raw.astype(np.float32)",
        ),
        target_from_the_same_state=("_, v_then = self.critic(then)", "_, v_then = self.critic(now)"),
        critic_never_steps=(
            "self.critic_learner.step(whole(critic_loss(viability, efficiency)))",
            "whole(critic_loss(viability, efficiency))",
        ),
        interleaved_mask_ignored=(
            "flow_loss(elementwise, windows.mask,",
            "flow_loss(elementwise, torch.ones_like(windows.mask),",
        ),
        interleaved_weight_ignored=(
            "torch.from_numpy(weight).to(self.device)",
            "torch.ones(len(rows)).to(self.device)",
        ),
        interleaved_staleness_ignored=(
            "        valid &= fresh(frames.policy_version, policy_version, weighing.stale_after)\n",
            "",
        ),
        failures_never_drawn=("draw_zero_weight=True", "draw_zero_weight=False"),
        human_frames_teach_viability=(
            "torch.from_numpy(labels.viability_mask[rows])",
            "torch.ones(len(rows), dtype=torch.bool)",
        ),
    ),
)

PRACTICE_MUTANTS = (
    *_in(
        "practice/ppo.py",
        UPDATE,
        unexecuted_steps_count=(
            "self.actor.log_prob(chunks.observation, chunks.path, chunks.executed)",
            "self.actor.log_prob(chunks.observation, chunks.path, torch.ones_like(chunks.executed))",
        ),
        cloning_without_mask=(
            "flow_loss(elementwise, batch.mask, weight, size)",
            "flow_loss(elementwise, torch.ones_like(batch.mask), weight, size)",
        ),
        cloning_without_weight=("torch.from_numpy(beta[task]).float()", "torch.ones(len(task))"),
        limit_is_worth_nothing=("at_end[trials.episode],", "np.zeros(len(trials.episode)),"),
        tasks_standardised_together=(
            "standardise_by_task(advantage, task)",
            "standardise_by_task(advantage, np.zeros_like(task))",
        ),
        ratio_to_the_present=(
            "self._log_prob(some) - before[rows.to(self.device)]",
            "self._log_prob(some) - self._log_prob(some).detach()",
        ),
        divergence_never_stops=("if stopped := kl > kl_limit:", "if stopped := False:"),
        rate_never_adapts=("factor = 1 / settings.adapt", "factor = 1.0"),
        weight_of_ppo_ignored=("loss = ppo_weight * clipped_surrogate(", "loss = clipped_surrogate("),
        average_is_the_last=(
            "move_towards(self.averaged, self.actor, 1 - settings.average)",
            "move_towards(self.averaged, self.actor, 1.0)",
        ),
        critic_epochs_forgotten=("settings.epochs + settings.critic_epochs)", "settings.epochs)"),
        warm_up_teaches_the_policy=("        if teach_policy:\n", "        if True:\n"),
        elapsed_forgotten=(
            "elapsed=torch.from_numpy(trials.elapsed),",
            "elapsed=torch.zeros(len(trials.elapsed)),",
        ),
    ),
    *_in(
        "practice/trainer.py",
        TRAINER,
        BUFFER,
        checks_on_evaluation_starts=(
            'seed_for("development", place_of(world), trial)',
            'seed_for("evaluation", place_of(world), trial)',
        ),
        worst_checkpoint_kept=("if cost < best:", 'if cost > best or best == float("inf"):'),
        last_checkpoint_kept=("if cost < best:", "if True:"),
        checks_explore=(
            "trials = self.play(starts, pool, explores=False)",
            "trials = self.play(starts, pool, explores=True)",
        ),
        the_same_starts_again=(
            'seed_for("practice", seed, self.iteration, number)',
            'seed_for("practice", seed, 0, number)',
        ),
        led_trials_remembered=(
            "np.where(trials.led, np.nan, trials.success)",
            "trials.success.astype(float)",
        ),
        led_lengths_remembered=(
            "np.where(trials.success & ~trials.led, trials.steps, np.nan)",
            "np.where(trials.success, trials.steps, np.nan)",
        ),
        padding_of_demos_cloned=("mask=valid,", "mask=np.ones_like(valid),"),
        failures_cost_no_steps=(
            "np.where(trials.success, trials.steps, settings.checks.limit).mean()",
            "trials.steps[trials.success].mean()",
        ),
        critic_never_warms_up=("warm = self.iteration < settings.fit.warm_up", "warm = False"),
        led_steps_are_free=("self.spent += int(trials.spent.sum())", "self.spent += int(trials.steps.sum())"),
    ),
    *_in(
        "practice/buffer.py",
        BUFFER,
        TRAINER,
        led_trials_cloned=("np.flatnonzero(trials.success & ~trials.led)", "np.flatnonzero(trials.success)"),
        episodes_drawn_alike=(
            "at = first[which] + (rng.random(size) * count[which]).astype(np.int64)",
            "at = first[which] + ((rng.random(size) > 0.5) * (count[which] - 1)).astype(np.int64)",
        ),
        own_windows_counted_as_episodes=(
            "own = sum(len(episode.state) for episode in episodes if episode.own)",
            "own = sum(episode.own for episode in episodes)",
        ),
        failures_cloned=("np.flatnonzero(trials.success & ~trials.led)", "np.flatnonzero(~trials.led)"),
        the_shortest_leaves=("episodes.remove(max(episodes", "episodes.remove(min(episodes"),
        own_padding_cloned=("mask=trials.executed[rows],", "mask=np.ones_like(trials.executed[rows]),"),
    ),
    *_in(
        "algorithms/chunked_ppo.py",
        TRAINER,
        last_policy_delivered=("best = load_policy(trainer.best)", "best = load_policy(trainer.acting)"),
    ),
)

COLLECT_MUTANTS = (
    *_in(
        "collect/recorded.py",
        "tests/collect/test_recorded_demonstrations.py",
        failed_demonstrations_are_copied=(
            "good = [n for n in of_task if _succeeded(table, n)]",
            "good = of_task",
        ),
        other_tasks_are_copied=(
            "if table.prompts[table.prompt[table.slices[n].start]] == prompt]",
            "]",
        ),
        copied_as_rollouts=("np.full(steps, -1, np.int64)", "np.zeros(steps, np.int64)"),
    ),
    *_in(
        "worlds/metaworld/experts/stock.py",
        "tests/worlds/test_experts.py",
        stuck_hand_never_rises=("self._rising = RISE", "pass"),
    ),
    *_in(
        "worlds/gymnasium/lerobot.py",
        "tests/worlds/test_lerobot_env.py",
        lerobots_own_limit_stays=("while isinstance(env, TimeLimit):", "while False:"),
    ),
    *_in(
        "collect/episode.py",
        COLLECT,
        chunk_survives_a_handover=("driver.forget()", "pass"),
        human_time_extends_for_ever=("min(human_steps, operator.extension)", "human_steps"),
        action_not_clipped=(
            "action = np.clip(action, world.action_low, "
            "world.action_high).astype(np.float32)\n        _record",
            "action = action.astype(np.float32)\n        _record",
        ),
        whole_chunk_executed=("predicted[0, : self._execute]", "predicted[0]"),
        seen_after_the_step=(
            "        _record(recorder, state, truth,",
            "        _record(recorder, world.proprioception() + 1, truth,",
        ),
        success_on_every_frame=("success=last & success,", "success=np.full(steps, success),"),
    ),
    *_in(
        "collect/episode.py",
        "tests/collect/test_looking_back.py",
        memory_survives_a_handover=("self._memory.forget()", "pass"),
        only_decisions_are_remembered=(
            "if self._queue and self._policy.interface.history == 1:",
            "if self._queue:",
        ),
    ),
    *_in(
        "collect/pool.py",
        COLLECT,
        "tests/collect/test_pool.py",
        record_early_instead_of_late=("np.arange(len(drove)) - late", "np.arange(len(drove)) + late"),
        late_means_nothing=("if job.recorded_late:", "if False:"),
    ),
    *_in(
        "collect/exploration.py",
        EXPLORATION,
        one_noise_for_all=("self.noises[turn % len(self.noises)]", "self.noises[0]"),
        noise_and_length_change_together=("turn // max(len(self.noises), 1) %", "turn %"),
    ),
    *_in(
        "collect/episode.py",
        EXPLORATION,
        chunk_length_of_its_own_forgotten=("execute or policy.execute", "policy.execute"),
        lead_not_played=("for action in beginning.lead:", "for action in beginning.lead[:0]:"),
        wherever_the_lead_ends=("beginning.state, atol=1e-5", "beginning.state, atol=1e9"),
        lead_from_any_start=("world.reset(beginning.seed)", "world.reset(seed)"),
    ),
    *_in(
        "stages/collect.py",
        EXPLORATION,
        worlds_do_not_take_turns=(
            "explored.noise(number // len(worlds))",
            "explored.noise(number)",
        ),
        explored_length_not_passed=("execute=explored.execute(number // len(worlds)),", ""),
        explored_beginning_not_passed=("beginning=place.beginning,", ""),
    ),
    *_in(
        "learn/critic/steering.py",
        "tests/learn/test_critic_steering.py",
        steered_downhill=("(-viability).backward()", "viability.backward()"),
        steered_from_noise=(
            "nn.init.zeros_(self.layers[-1].weight)",
            "nn.init.ones_(self.layers[-1].weight)",
        ),
        edits_know_no_bounds=("self.reach * torch.tanh(self.layers", "self.reach * (self.layers"),
        edits_beyond_what_was_executed=(".clamp(self.low, self.high)", ""),
        steered_by_one_fold=("np.flatnonzero(fold == number)", "np.flatnonzero(fold * 0 == number)"),
        noise_without_the_flow=("policy.carried(features, noise)", "noise"),
    ),
    *_in(
        "algorithms/habc.py",
        "tests/algorithms/test_best_of.py",
        nothing_leads=("tried.steering if tried.steering.is_dir() else None", "None"),
        led_by_another_seed=(
            "noise=tried.noise,\n            seed=seed",
            "noise=tried.noise,\n            seed=1 + seed",
        ),
    ),
    *_in(
        "algorithms/habc.py",
        "tests/study/test_cells.py",
        what_leads_is_kept_with_the_policy=("kept.steering,\n", "trained.steering,\n"),
    ),
    *_in(
        "stages/starts.py",
        COLLECT,
        rounds_share_their_starts=(
            'seed_for("rollout", seed, where.number, number)',
            'seed_for("rollout", seed, number)',
        ),
    ),
    *_in(
        "stages/starts.py",
        EXPLORATION,
        surest_start_instead=("doubt.argmin(1)", "doubt.argmax(1)"),
        gone_on_with_a_success=('led or ours["success"][number] or', "led or"),
        gone_on_with_a_rescue=(" or table.intervention[rows].any()", ""),
        first_viable_moment=(
            "np.flatnonzero(p_v[rows] >= viable)[-1:]",
            "np.flatnonzero(p_v[rows] >= viable)[:1]",
        ),
        viability_of_another_round=(
            "own = ledger[ROUND] == before.number",
            "own = ledger[ROUND] < before.number",
        ),
        every_episode_is_gone_on_with=("not failures or rng.random() >= starts.share", "not failures"),
    ),
)

DATA_MUTANTS = (
    *_in(
        "data/experience.py",
        REPLAY,
        "tests/algorithms/test_recorded.py",
        WEIGH,
        failed_demonstrations_were_rollouts=(
            '(human & (columns["route"] == Route.UNLABELLED))',
            "False",
        ),
        unjudged_episodes_failed=(
            "None if np.isnan(recorded[0]) else bool(recorded[0])",
            "bool(np.nan_to_num(recorded[0]))",
        ),
        rounds_numbered_alike=("np.full(len(table), source.round", "np.full(len(table), sources[-1].round"),
    ),
    *_in(
        "data/sidecars.py",
        REPLAY,
        "tests/data/test_fingerprints.py",
        labels_in_their_own_order=(
            'order = np.argsort(table[INDEX], kind="stable")',
            "order = np.arange(len(table[INDEX]))",
        ),
        numbers_decide_alone=("if same and (known[order] == fingerprint).all():", "if same:"),
    ),
    *_in(
        "disk/record.py",
        RECORD,
        a_round_enters_itself=("int(number) - 1:02d", "int(number):02d"),
        start_never_enters=("if start.is_dir():", "if False:"),
        control_enters_with_nothing=('if folder.name == "control-sft":', "if False:"),
        record_without_evaluation=('folder.glob("[1-6]-*")', 'folder.glob("[1-5]-*")'),
        record_is_written_over=("    if path.exists():\n        return\n", "    pass\n"),
        changed_tree_unsaid=('("+" if changes else "")', '""'),
        changes_pass=("if sums[name] != now[name]", "if False"),
        losses_pass=("sums.keys() - now.keys()", "set[str]()"),
        additions_pass=("now.keys() - sums.keys()", "set[str]()"),
    ),
    *_in(
        "data/fingerprints.py",
        "tests/data/test_fingerprints.py",
        undescribed_frames_pass=("if covered < len(wanted):", "if False:"),
        frames_by_the_tables_order=("np.lexsort((index, described))", 'np.argsort(described, kind="stable")'),
        an_episode_begins_late=("np.diff(episode, prepend=-1)", "np.diff(episode, prepend=0)"),
        any_word_is_a_fingerprint=('if not re.fullmatch(f"[0-9a-f]{{{2 * BYTES}}}", digits):', "if False:"),
        states_do_not_matter=("for values in (action, state):", "for values in (action,):"),
        one_recording_twice=("if (there > needed).any():", "if False:"),
    ),
    *_in(
        "data/loader.py",
        LOADER,
        STEPS,
        loader_mask_of_ones=(
            "action_mask(steps, valid, commanded)",
            "action_mask(steps, np.ones_like(valid), commanded)",
        ),
        loader_draws_alike=(
            "draw(probability, seed=seed, step=step, batch=size)",
            "draw(probability, seed=seed, step=0, batch=size)",
        ),
        commanded_ignored=(
            "np.ones(self.action.shape[1], np.bool_) if self.commanded is None else self.commanded",
            "np.ones(self.action.shape[1], np.bool_)",
        ),
    ),
    *_in(
        "data/outcomes.py",
        "tests/data/test_outcomes.py",
        REPLAY,
        "tests/algorithms/test_recorded.py",
        csv_only_where_it_speaks=(
            "outcome = None if demo else own.get(episode)",
            "outcome = None if demo else own.get(episode, False)",
        ),
        failed_demonstrations_succeed=("if outcome is None and demo:", "if demo:"),
        nobody_said_so=("known = None if outcome is None else source", "known = source"),
        an_attempt_loses_its_last_frame=(
            "part = slice(rows.start + first, rows.start + last + 1)",
            "part = slice(rows.start + first, rows.start + last)",
        ),
        success_only_at_the_start=(
            "np.logical_or.reduceat(table.success, table.starts[:-1])",
            "table.success[table.starts[:-1]]",
        ),
    ),
    *_in(
        "data/v3/clock.py",
        "tests/data/test_reader.py",
        "tests/algorithms/test_recorded.py",
        no_cut_is_seen=("cut[row] = abs(", "cut[row] = 0 * abs("),
        late_is_never_late=("LATE = 0.6", "LATE = 1e9"),
    ),
)

POLICY_MUTANTS = (
    *_in(
        "policies/lerobot/flow_vla.py",
        LEROBOT,
        features_of_padding=(
            "weight = known.float().unsqueeze(-1)",
            "weight = torch.ones_like(known).float().unsqueeze(-1)",
        ),
        features_teach_the_policy=("hidden.detach().float() * weight", "hidden.float() * weight"),
        loss_of_other_dimensions=("losses[:, :, : self.action_dim]", "losses[:, :, -self.action_dim :]"),
        pi0_without_its_state=(
            "torch.cat([pooled, ready[STATE].float()], dim=1)",
            "torch.cat([pooled, 0 * ready[STATE].float()], dim=1)",
        ),
        flow_vla_always_draws_noise=("noise = self._noise * self._unit_noise", "noise = self._unit_noise"),
        smolvla_times_backwards=("beta(count, 1.5, 1.0, generator)", "beta(count, 1.0, 1.5, generator)"),
    ),
    *_in(
        "policies/lerobot/act.py",
        LEROBOT,
        divergence_left_out=("error + self.config.kl_weight *", "error + 0 *"),
        features_know_the_actions=(
            "[model.encoder_latent_input_proj(latent)[None], tap.tokens.detach()[1:]]",
            "[tap.tokens.detach()]",
        ),
        latent_draws_its_own_noise=(
            "(log_variance / 2).exp() * noise,)",
            "(log_variance / 2).exp() * torch.randn_like(noise),)",
        ),
        act_hides_no_padding=(
            'ready["action_is_pad"] = padding(batch.mask)',
            'ready["action_is_pad"] = padding(batch.mask) & False',
        ),
    ),
    *_in(
        "policies/lerobot/adapter.py",
        LEROBOT,
        a_dimension_hides_the_step=("~mask.any(dim=-1)", "~mask.all(dim=-1)"),
        acting_in_training_mode=(
            "training = self.wrapped.training\n        self.wrapped.eval()",
            "training = self.wrapped.training",
        ),
        dropout_moves_the_callers_generator=(
            "with torch.random.fork_rng(devices=others, device_type=kind):",
            "if True:",
        ),
        pictures_in_bytes=(
            "pictures.permute(0, 3, 1, 2).float() / 255",
            "pictures.permute(0, 3, 1, 2).float()",
        ),
    ),
    *_in(
        "policies/lerobot/scales.py",
        CHECKPOINTS,
        both_count_alike=("share = frames / (frames + theirs.count)", "share = 0.5"),
        foreign_data_pass=("reach > np.maximum(_FOREIGN * width, tolerance)", "reach > np.inf"),
    ),
    *_in(
        "lerobot_policy_vantage/lerobot_policy_vantage/weights.py",
        "tests/policies/test_plugin.py",
        "tests/policies/test_lerobot_view.py",
        plugin_weighs_alike=("table[ledger[INDEX]] = ledger[name]", "table[ledger[INDEX]] = 1"),
        plugin_goes_by_the_index=(
            "return ledger if described is None else match(path, ledger, *described, REMEDY)",
            "return ledger",
        ),
        plugin_mixes_rounds=("if len(rounds) > 1:", "if False:"),
        plugin_weighs_any_loss=('"reduction" in inspect.signature(policy.forward).parameters', "True"),
        plugin_draws_evenly=("np.cumsum(own)", "np.cumsum(np.ones(len(own)))"),
        plugin_draws_without_weights=('sampling * _by_index(ledger, "weight")', "sampling"),
    ),
    *_in(
        "data/view.py",
        "tests/policies/test_lerobot_view.py",
        view_keeps_what_is_never_drawn=("segment_end[sampling > 0]", "segment_end"),
        view_shows_the_episodes_beginning=(" + segment.frame / of.info.fps", ""),
        view_by_the_sources_index=("INDEX: columns[INDEX],", "INDEX: experience.index[rows],"),
    ),
    *_in(
        "data/audit.py",
        "tests/data/test_audit.py",
        missing_successes_unsaid=("    if not credit.viability_successes:\n", "    if False:\n"),
        missing_failures_unsaid=("    if not credit.viability_failures:\n", "    if False:\n"),
        failed_demonstrations_counted_as_rollouts=(
            "rollouts_failed=judged.count(False)",
            "rollouts_failed=ended.count(False)",
        ),
        failed_demonstrations_taken_from_rollouts=(
            "rollouts_succeeded=judged.count(True)",
            "rollouts_succeeded=ended.count(True) - int(table.demo.sum())",
        ),
    ),
    *_in(
        "batch.py",
        "tests/faults/test_public_faults.py",
        pictures_of_any_kind=("if pictures.dtype != torch.uint8:", "if False:"),
    ),
    *_in(
        "algorithms/finetune.py",
        FINETUNE,
        one_kind_of_outcome_undoubted=("if not (outcome == value).any():", "if False:"),
        copies_among_data_sets_unsaid=("        if earlier != number:", "        if False:"),
        recordings_of_before_named_again=("if path.resolve() in past:", "if False:"),
    ),
    *_in(
        "algorithms/plan.py",
        FINETUNE,
        plan_without_features=("+ features * per_feature", ""),
        plan_without_demonstrations_first=("+ supervised * supervised_per_step", ""),
        plan_counts_features_of_rules_without_critic=("int(weighing.reads_values) +", "1 +"),
    ),
    *_in(
        "worlds/bimanual/world.py",
        "tests/worlds/test_bimanual.py",
        ways_from_nowhere=("[marks - hand for hand in hands]", "[marks for _ in hands]"),
    ),
    *_in(
        "worlds/bimanual/sack_draw.py",
        "tests/worlds/test_sack_draw.py",
        snacks_named_at_random=("in zip(self._items, rng", "in zip(rng.permutation(self._items), rng"),
        colours_of_the_last_episode=("_COLOURS[rng.permutation(ITEMS)]", "_COLOURS"),
        near_is_said_once=("SCALES = (0.04, 0.012)", "SCALES = (0.04, 0.04)"),
    ),
    *_in(
        "nets/vla.py",
        "tests/algorithms/test_two_arms_from_pixels.py",
        every_eye_sees_the_first_camera=("(observation.images[name])", "(observation.images[cameras[0]])"),
    ),
    *_in(
        "study/words.py",
        "tests/study/test_page.py",
        tables_say_nan=('f"{value:.{digits}f}" if math.isfinite(value) else "–"', 'f"{value:.{digits}f}"'),
    ),
    *_in(
        "recipes/bimanual.py",
        "tests/study/test_plan.py",
        the_sack_by_a_trembling_hand=("DEMONSTRATORS.get(world.task, Demonstrate())", "Demonstrate()"),
    ),
    *_in(
        "worlds/bimanual/sack_draw_expert.py",
        "tests/worlds/test_sack_draw.py",
        the_snack_furthest_back_first=("item[1] < least", "-item[1] < least"),
    ),
    *_in(
        "worlds/bimanual/hands.py",
        "tests/worlds/test_sack_draw.py",
        low_hands_go_aside=(" + below * beside", ""),
        no_cone=("2.5 * (aside - 0.005)", "0.0 * aside"),
    ),
    *_in(
        "study/plan.py",
        "tests/study/test_plan.py",
        training_of_a_task_ignored=("task.supervised or supervision.supervised", "supervision.supervised"),
    ),
    *_in(
        "collect/operators.py",
        "tests/commands/test_own_operators.py",
        any_word_is_an_event=("event is not None and not isinstance(event, Event)", "False"),
        any_array_is_an_action=("if not _is_action(action, action_dim):", "if False:"),
    ),
    *_in(
        "policies/small/flow.py",
        "tests/policies/test_small_policies.py",
        trained_relative_to_nothing=("actions - self._here(observation) if", "actions if"),
        acts_relative_to_nothing=("actions + self._here(observation) if", "actions if"),
        chunks_run_into_the_next_episode=("rows[rows + step <= ends]", "rows[rows + step < len(actions)]"),
    ),
    *_in(
        "policies/small/stochastic_flow.py",
        "tests/policies/test_stochastic_flow.py",
        noisy_flow_begins_elsewhere=("start = self.config.start * noise[:, 0]", "start = noise[:, 0]"),
        ratio_of_another_flow=("self.end(observation, path[:, 0])", "self.end(observation, 0 * path[:, 0])"),
        noise_without_its_drift=("0.5 * self.config.level**2 * (t", "0.0 * (t"),
        noise_that_does_not_fade=("math.sqrt((1 - k / steps) / steps)", "math.sqrt(1 / steps)"),
    ),
    *_in(
        "collect/cluster.py",
        "tests/collect/test_cluster.py",
        a_dead_machine_is_asked=(
            "(errors.NodeDiedError, errors.TaskUnschedulableError)",
            "errors.NodeDiedError",
        ),
        any_version_will_do=("if there != __version__:", "if False:"),
        checkpoints_read_for_every_job=("if key not in self._sent:", "if True:"),
        folders_of_what_acts_stay_behind=(
            "if isinstance(value, Path)} | inner",
            "if isinstance(value, Path)}",
        ),
    ),
    *_in(
        "commands/drafts.py",
        "tests/commands/test_own_operators.py",
        own_classes_of_recipes_unchecked=("if not is_own(kind):", "if True:"),
    ),
    *_in(
        "worlds/own.py",
        "tests/commands/test_own_worlds.py",
        any_thing_is_a_world=("    if missing:", "    if False:"),
        starts_may_differ=("if not np.array_equal(start, _started(world, spec, name)):", "if False:"),
        any_success_will_do=("if not isinstance(success, bool | np.bool_):", "if False:"),
    ),
    *_in(
        "study/places.py",
        "tests/study/test_study_on_a_cluster.py",
        cells_go_anywhere=('self._node.get(parent, "")', '""'),
    ),
    *_in(
        "algorithms/finetune.py",
        "tests/commands/test_launched.py",
        recordings_go_stale=("version=0,  #", "version=recordings.last.number * 10,  #"),
    ),
    *_in(
        "algorithms/finetune.py",
        FINETUNE,
        next_round_is_numbered_from_0=("first = len(past.rounds)", "first = 0"),
        next_round_forgets_rollouts=("(*past.rollouts, *own[count:])", "(*own[count:],)"),
        next_round_forgets_demonstrations=("(*past.demonstrations, *own[:count])", "(*own[:count],)"),
        exported_weights_without_sampling=(
            '.astype(np.float64) * ledger["sampling"][rows]',
            ".astype(np.float64)",
        ),
        exported_weights_of_any_mean=(
            "counted / counted.mean() if counted.any()",
            "counted if counted.any()",
        ),
        corrections_read_as_demonstrations=("Reading() if demos is True else settings.reading", "Reading()"),
        named_demonstrations_forgotten=("(shown or [False] * len(", "([False] * len("),
    ),
)

MUTANTS = (
    *CORE_MUTANTS,
    *LEARN_MUTANTS,
    *STAGE_MUTANTS,
    *ALGORITHM_MUTANTS,
    *PRACTICE_MUTANTS,
    *COLLECT_MUTANTS,
    *DATA_MUTANTS,
    *POLICY_MUTANTS,
)
