"""Signs of trouble in any training loop: arrays and modules in, a `Finding` out. Nothing here knows of a case."""

from goldmark.checks._across import check_softmax_across_targets
from goldmark.checks._advantages import check_advantage_with_gradient
from goldmark.checks._architecture import check_wrong_architecture, parameter_count
from goldmark.checks._arguments import check_missing_keys, check_swallowed_arguments
from goldmark.checks._attention import check_softmax_over_heads
from goldmark.checks._augmentation import check_misaligned_augmentation, check_unmoved_by_augmentation
from goldmark.checks._averages import check_uneven_batches
from goldmark.checks._balance import check_unbalanced_weight
from goldmark.checks._bar import check_low_bar
from goldmark.checks._binary import check_unlearnable_label
from goldmark.checks._broadcasting import check_broadcast_steps
from goldmark.checks._bypass import check_code_bypassed
from goldmark.checks._carried import check_carried_state
from goldmark.checks._categories import check_category_numbering, check_truncated_codes
from goldmark.checks._choices import check_choice_of_one
from goldmark.checks._clipping import check_clipped_before_unscaling, check_misplaced_clipping
from goldmark.checks._collapse import check_collapsed_output, spread_ratio
from goldmark.checks._collapsing import check_collapsing_objective
from goldmark.checks._contrast import check_self_among_negatives
from goldmark.checks._cosines import check_unscaled_cosines
from goldmark.checks._data import (
    check_constant_inputs,
    check_input_scale,
    check_labels_out_of_range,
    check_not_finite,
    check_one_row_of_batch,
    check_overlap,
    check_sorted_labels,
    check_split_statistics,
)
from goldmark.checks._derivatives import check_derivative_without_graph
from goldmark.checks._direction import check_direction_of_one_step
from goldmark.checks._divergence import check_divergence_weight
from goldmark.checks._dropout import check_idle_dropout
from goldmark.checks._edges import check_unshifted_edges, check_viewed_edges
from goldmark.checks._elsewhere import check_masks_elsewhere
from goldmark.checks._ensemble import check_idle_average
from goldmark.checks._evaluation import check_constant_scores, check_moving_validation, check_unscored_baseline
from goldmark.checks._examples import check_examples_by_reference, check_one_example_read, check_scattered_targets
from goldmark.checks._factors import check_schedule_factors, check_weightless_term
from goldmark.checks._findings import Findings
from goldmark.checks._flat import check_flat_term
from goldmark.checks._forcing import check_forcing_not_per_step, check_target_leak
from goldmark.checks._frames import check_too_few_frames
from goldmark.checks._independence import check_labels_independent, check_unrelated_noise
from goldmark.checks._inference import check_squashed_twice
from goldmark.checks._labels import (
    check_classes_as_numbers,
    check_constant_labels,
    check_contradictory_labels,
    check_hidden_labels,
    check_unseen_classes,
    check_wrapped_labels,
)
from goldmark.checks._lags import check_shifted_twice
from goldmark.checks._layout import check_interleaved_channels, check_viewed_channels
from goldmark.checks._leaks import (
    check_decoder_sees_target,
    check_inputs_modified,
    check_label_numbering,
    check_target_among_inputs,
)
from goldmark.checks._loaders import (
    check_augmentation_without_effect,
    check_fixed_order,
    check_one_batch,
    check_reordered_inputs,
    check_sampler_weights,
)
from goldmark.checks._losses import (
    check_constant_loss,
    check_cut_term,
    check_graph_of_loss,
    check_ignored_class,
    check_initial_outputs,
    check_negative_loss,
    check_summed_loss,
    check_target_distribution,
    check_targets_with_gradient,
    check_wrong_sign,
    check_zero_loss,
)
from goldmark.checks._masks import check_attention_to_padding
from goldmark.checks._mixup import check_mixed_targets, check_wrong_mixup, read_mixing
from goldmark.checks._modes import (
    check_batch_mixing,
    check_batchnorm_momentum,
    check_batchnorm_of_one,
    check_batchnorm_on_output,
    check_dropout_in_eval,
    check_dropout_on_output,
    check_dropout_rate,
    check_eval_mode_left_on,
    check_modes_not_switched,
    check_statistics_gap,
    check_validation_in_training_mode,
)
from goldmark.checks._mutual import check_mutual_targets
from goldmark.checks._networks import (
    check_affine_network,
    check_dead_units,
    check_half_tied,
    check_hidden_parameters,
    check_inputs_ignored,
    check_missing_sharing,
    check_silent_units,
    check_symmetric_units,
    check_undeclared_sharing,
    check_vanishing_gradient,
)
from goldmark.checks._noising import check_deviation_of_noise
from goldmark.checks._objective import check_free_norm, check_jumping_loss
from goldmark.checks._ordinal import check_merged_grades
from goldmark.checks._outputs import (
    check_broadcast_loss,
    check_misaligned_targets,
    check_normalized_outputs,
    check_shape_broadcast,
    check_single_class_softmax,
    check_unreachable_targets,
)
from goldmark.checks._ownership import (
    check_frozen_parameters_move,
    check_graph_cut,
    check_nothing_trainable,
    check_optimizer_settings,
    check_orphaned_parameters,
    check_parameters_made_in_forward,
    check_unowned_parameters,
    check_unused_parameters,
    check_weight_decay,
)
from goldmark.checks._padding import check_padding_counted, check_padding_idx
from goldmark.checks._placeholders import check_placeholder_labels
from goldmark.checks._plateau import check_plateau_mode
from goldmark.checks._positions import check_not_relative, check_one_position
from goldmark.checks._preflight import assert_healthy, preflight
from goldmark.checks._rank import (
    check_code_ignored,
    check_low_ceiling,
    check_low_rank,
    cosine_ceiling,
    participation_ratio,
    r2_ceiling,
)
from goldmark.checks._recurrent import RecurrentLayer, check_mistaken_cell, recurrent_layers
from goldmark.checks._reduction import check_class_weights, check_mixed_reduction, check_probability_targets
from goldmark.checks._replay import check_repeated_backward, check_replayed_graph
from goldmark.checks._restoring import check_state_by_reference
from goldmark.checks._results import (
    check_collapsed_classes,
    check_free_running_gap,
    check_memorised,
)
from goldmark.checks._risks import check_unsorted_risks
from goldmark.checks._saturation import check_saturated_units
from goldmark.checks._scale import check_clipped_targets, check_standardised_batches, check_target_scale
from goldmark.checks._schedulers import check_idle_optimizer, check_lost_rates, check_scheduled_optimizer
from goldmark.checks._scrambled import check_scrambled_view
from goldmark.checks._sequences import (
    check_future_leak,
    check_padding_changes_loss,
    check_padding_changes_output,
    check_target_lag,
    effective_targets,
    gradient_by_position,
)
from goldmark.checks._settings import check_unread_setting
from goldmark.checks._shares import check_dominated_gradient, gradient_norms, shares
from goldmark.checks._skill import check_no_skill, skill
from goldmark.checks._split import (
    check_fitted_on_validation,
    check_rejected_data,
    check_shared_groups,
    check_split_by_class,
)
from goldmark.checks._steps import (
    check_accumulation_count,
    check_accumulation_undivided,
    check_diverging_steps,
    check_exploding_gradient,
    check_learning_rate,
    check_lost_micro_batches,
    check_nothing_moves,
    check_rate_of_zero,
    check_repeated_steps,
    check_schedule_pace,
    check_schedule_restarted,
    check_stale_gradients,
    check_stuck_parameters,
    check_unequal_micro_batches,
    check_zeroed_gradients,
)
from goldmark.checks._stopping import check_wrong_stopping, stale_epochs
from goldmark.checks._stored import check_examples_modified
from goldmark.checks._structures import row_keys
from goldmark.checks._summing import check_summed_softmax
from goldmark.checks._threshold import BestThreshold, best_threshold, check_misplaced_threshold, f1_above
from goldmark.checks._transposed import check_transposed_targets
from goldmark.checks._unbounded import check_unbounded_loss
from goldmark.checks._uncertainty import check_weights_without_time, settled_log_sigma, simulated_log_sigma
from goldmark.checks._unreached import check_divergence_arguments, check_sign_targets, check_unreached_term
from goldmark.checks._updates import check_overwritten_state, check_rounded_updates
from goldmark.checks._volume import check_log_determinant_sign
from goldmark.checks._watch import Watch, watch
from goldmark.checks._weighting import check_weights_after_mean
from goldmark.checks._width import check_activation_rank, check_narrow_output
from goldmark.checks._windows import check_overlapping_windows, continued_share, overlap_share
from goldmark.checks._workers import check_worker_randomness, check_worker_shards

# fmt: off
__all__ = [
    "BestThreshold", "Findings", "RecurrentLayer", "Watch", "assert_healthy", "best_threshold",
    "check_accumulation_count", "check_accumulation_undivided", "check_activation_rank",
    "check_advantage_with_gradient", "check_affine_network",
    "check_attention_to_padding", "check_augmentation_without_effect", "check_batch_mixing", "check_batchnorm_momentum",
    "check_batchnorm_of_one", "check_batchnorm_on_output", "check_broadcast_loss", "check_broadcast_steps",
    "check_carried_state",
    "check_category_numbering", "check_choice_of_one", "check_class_weights", "check_classes_as_numbers",
    "check_clipped_before_unscaling", "check_clipped_targets", "check_code_bypassed", "check_code_ignored",
    "check_collapsed_classes", "check_collapsed_output", "check_collapsing_objective", "check_constant_inputs",
    "check_constant_labels", "check_constant_loss", "check_constant_scores", "check_contradictory_labels",
    "check_cut_term", "check_dead_units", "check_decoder_sees_target", "check_derivative_without_graph",
    "check_deviation_of_noise",
    "check_direction_of_one_step", "check_divergence_arguments", "check_divergence_weight", "check_diverging_steps",
    "check_dominated_gradient", "check_dropout_in_eval", "check_dropout_on_output", "check_dropout_rate",
    "check_eval_mode_left_on", "check_examples_by_reference", "check_examples_modified", "check_exploding_gradient",
    "check_fitted_on_validation", "check_fixed_order", "check_flat_term", "check_forcing_not_per_step",
    "check_free_norm", "check_free_running_gap", "check_frozen_parameters_move", "check_future_leak", "check_graph_cut",
    "check_graph_of_loss", "check_half_tied", "check_hidden_labels", "check_hidden_parameters", "check_idle_average",
    "check_idle_dropout", "check_idle_optimizer", "check_ignored_class", "check_initial_outputs", "check_input_scale",
    "check_inputs_ignored", "check_inputs_modified", "check_interleaved_channels", "check_jumping_loss",
    "check_label_numbering", "check_labels_independent", "check_labels_out_of_range", "check_learning_rate",
    "check_log_determinant_sign",
    "check_lost_micro_batches", "check_lost_rates", "check_low_bar", "check_low_ceiling", "check_low_rank",
    "check_masks_elsewhere", "check_memorised", "check_merged_grades", "check_misaligned_augmentation",
    "check_misaligned_targets",
    "check_misplaced_clipping", "check_misplaced_threshold", "check_missing_keys", "check_missing_sharing",
    "check_mistaken_cell", "check_mixed_reduction", "check_mixed_targets",
    "check_modes_not_switched", "check_moving_validation", "check_mutual_targets",
    "check_narrow_output", "check_negative_loss", "check_no_skill", "check_normalized_outputs", "check_not_finite",
    "check_not_relative",
    "check_nothing_moves", "check_nothing_trainable", "check_one_batch", "check_one_example_read", "check_one_position",
    "check_one_row_of_batch",
    "check_optimizer_settings", "check_orphaned_parameters", "check_overlap", "check_overlapping_windows",
    "check_overwritten_state", "check_padding_changes_loss", "check_padding_changes_output", "check_padding_counted",
    "check_padding_idx", "check_parameters_made_in_forward", "check_placeholder_labels", "check_plateau_mode",
    "check_probability_targets", "check_rate_of_zero", "check_rejected_data", "check_reordered_inputs",
    "check_repeated_backward", "check_repeated_steps", "check_replayed_graph", "check_rounded_updates",
    "check_sampler_weights", "check_saturated_units", "check_scattered_targets", "check_schedule_factors",
    "check_schedule_pace", "check_schedule_restarted", "check_scheduled_optimizer", "check_scrambled_view",
    "check_self_among_negatives", "check_shape_broadcast", "check_shared_groups", "check_shifted_twice",
    "check_sign_targets", "check_silent_units", "check_single_class_softmax",
    "check_softmax_across_targets", "check_softmax_over_heads",
    "check_sorted_labels", "check_split_by_class",
    "check_split_statistics", "check_squashed_twice", "check_stale_gradients", "check_standardised_batches",
    "check_state_by_reference", "check_statistics_gap", "check_stuck_parameters", "check_summed_loss",
    "check_summed_softmax",
    "check_swallowed_arguments", "check_symmetric_units", "check_target_among_inputs", "check_target_distribution",
    "check_target_lag", "check_target_leak", "check_target_scale", "check_targets_with_gradient",
    "check_too_few_frames", "check_transposed_targets", "check_truncated_codes",
    "check_unbalanced_weight", "check_unbounded_loss", "check_undeclared_sharing", "check_unequal_micro_batches",
    "check_uneven_batches", "check_unlearnable_label", "check_unmoved_by_augmentation", "check_unowned_parameters",
    "check_unreachable_targets", "check_unreached_term", "check_unread_setting", "check_unrelated_noise",
    "check_unscaled_cosines", "check_unscored_baseline", "check_unseen_classes", "check_unshifted_edges",
    "check_unsorted_risks", "check_unused_parameters",
    "check_validation_in_training_mode", "check_vanishing_gradient", "check_viewed_channels", "check_viewed_edges",
    "check_weight_decay", "check_weightless_term", "check_weights_after_mean",
    "check_weights_without_time", "check_worker_randomness",
    "check_worker_shards", "check_wrapped_labels", "check_wrong_architecture", "check_wrong_mixup", "check_wrong_sign",
    "check_wrong_stopping", "check_zero_loss", "check_zeroed_gradients", "continued_share", "cosine_ceiling",
    "effective_targets", "f1_above", "gradient_by_position", "gradient_norms", "overlap_share", "parameter_count",
    "participation_ratio", "preflight", "r2_ceiling", "read_mixing", "recurrent_layers", "row_keys",
    "settled_log_sigma", "shares", "simulated_log_sigma", "skill", "spread_ratio", "stale_epochs", "watch",
]
# fmt: on
