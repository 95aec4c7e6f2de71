"""What checks have seen, the cause before its symptoms, and how a person reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from goldmark.case import Finding

# From cause to symptom: what is wrong with the data explains what a model does, and never the other way round.
_ORDER = (
    # data
    "not_finite examples_modified examples_by_reference reordered_inputs",
    "inputs_modified target_among_inputs decoder_sees_target label_numbering category_numbering",
    "split_by_class overlap overlapping_windows misaligned_augmentation masks_elsewhere mixed_targets",
    "interleaved_channels truncated_codes split_statistics constant_inputs input_scale target_scale",
    "standardised_batches labels_out_of_range",
    "constant_labels wrapped_labels contradictory_labels labels_independent unrelated_noise sorted_labels",
    "fixed_order one_batch one_row_of_batch sampler_weights worker_randomness worker_shards",
    "augmentation_without_effect target_lag shifted_twice padding_changes_loss classes_as_numbers",
    "viewed_edges unshifted_edges",
    # model
    "padding_idx viewed_channels scrambled_view one_position direction_of_one_step modes_not_switched",
    "future_leak attention_to_padding softmax_over_heads summed_softmax padding_changes_output dropout_in_eval",
    "dropout_rate dropout_on_output batch_mixing missing_sharing undeclared_sharing half_tied hidden_parameters",
    "symmetric_units dead_units silent_units affine_network saturated_units narrow_output activation_rank",
    "batchnorm_of_one batchnorm_momentum batchnorm_on_output vanishing_gradient",
    # loss
    "divergence_arguments sign_targets normalized_outputs single_class_softmax unreachable_targets shape_broadcast",
    "broadcast_loss broadcast_steps probability_targets misaligned_targets one_example_read scattered_targets",
    "transposed_targets wrong_sign log_determinant_sign too_few_frames unsorted_risks weights_after_mean",
    "softmax_across_targets deviation_of_noise advantage_with_gradient",
    "unscaled_cosines target_distribution ignored_class unlearnable_label merged_grades class_weights mixed_reduction",
    "divergence_weight self_among_negatives collapsing_objective mutual_targets targets_with_gradient",
    "initial_outputs summed_loss unreached_term unbounded_loss derivative_without_graph cut_term weightless_term",
    "flat_term dominated_gradient",
    # optimizer
    "optimizer_settings weight_decay nothing_trainable unowned_parameters orphaned_parameters frozen_parameters_move",
    "parameters_made_in_forward idle_optimizer scheduled_optimizer lost_rates",
    # loop
    "graph_of_loss graph_cut unused_parameters replayed_graph repeated_backward lost_micro_batches stale_gradients",
    "zeroed_gradients overwritten_state repeated_steps misplaced_clipping clipped_before_unscaling",
    "accumulation_undivided unequal_micro_batches accumulation_count eval_mode_left_on validation_in_training_mode",
    "carried_state state_by_reference",
    "statistics_gap schedule_factors schedule_pace rate_of_zero schedule_restarted plateau_mode rounded_updates",
    "learning_rate diverging_steps exploding_gradient",
    # result
    "choice_of_one zero_loss constant_loss negative_loss nothing_moves stuck_parameters inputs_ignored",
    "collapsed_output collapsed_classes no_skill free_running_gap memorised unmoved_by_augmentation",
)
CAUSES = tuple(name for line in _ORDER for name in line.split())


class Findings(tuple[Finding, ...]):  # noqa: SLOT001 - a tuple with slots takes no attribute
    """The findings that mean trouble, the cause before its symptoms; `notes` says what was not looked at, and why."""

    notes: tuple[str, ...]

    def __new__(cls, findings: Iterable[Finding], notes: Iterable[str] = ()) -> Self:
        """Keep those that mean trouble, the first of each name, in the order of `CAUSES`."""
        by_name: dict[str, Finding] = {}
        for finding in findings:
            if finding.trouble:
                by_name.setdefault(finding.name, finding)
        self = super().__new__(cls, sorted(by_name.values(), key=_rank))
        self.notes = tuple(dict.fromkeys(notes))
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the findings, the cause first."""
        return tuple(finding.name for finding in self)

    def __str__(self) -> str:
        """Return a line a finding, then a line a note; `no findings` where there is no finding."""
        lines = [str(finding) for finding in self] or ["no findings"]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def _rank(finding: Finding) -> int:
    return CAUSES.index(finding.name) if finding.name in CAUSES else len(CAUSES)
