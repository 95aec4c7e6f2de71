"""Signs of trouble in any training loop: arrays and modules in, a `Finding` out. Nothing here knows of a case."""

from goldmark.checks._architecture import parameter_count, wrong_architecture
from goldmark.checks._arguments import missing_keys, swallowed_arguments
from goldmark.checks._augmentation import unmoved_by_augmentation
from goldmark.checks._averages import uneven_batches
from goldmark.checks._balance import unbalanced_weight
from goldmark.checks._bar import low_bar
from goldmark.checks._bypass import code_bypassed
from goldmark.checks._collapse import collapsed_output, spread_ratio
from goldmark.checks._data import (
    check_constant_inputs,
    check_input_scale,
    check_labels_independent,
    check_labels_out_of_range,
    check_not_finite,
    check_overlap,
    check_sorted_labels,
    check_split_statistics,
)
from goldmark.checks._dropout import idle_dropout
from goldmark.checks._ensemble import idle_average
from goldmark.checks._evaluation import constant_scores, moving_validation, unscored_baseline
from goldmark.checks._findings import Findings
from goldmark.checks._forcing import forcing_not_per_step, target_leak
from goldmark.checks._inference import squashed_twice
from goldmark.checks._labels import hidden_labels, unseen_classes
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
    check_worker_randomness,
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
    check_wrong_sign,
    check_zero_loss,
)
from goldmark.checks._mixup import read_mixing, wrong_mixup
from goldmark.checks._modes import (
    check_batch_mixing,
    check_batchnorm_of_one,
    check_dropout_in_eval,
    check_dropout_rate,
    check_eval_mode_left_on,
    check_statistics_gap,
    check_validation_in_training_mode,
)
from goldmark.checks._networks import (
    check_affine_network,
    check_dead_units,
    check_half_tied,
    check_hidden_parameters,
    check_inputs_ignored,
    check_missing_sharing,
    check_narrow_output,
    check_silent_units,
    check_symmetric_units,
    check_undeclared_sharing,
    check_vanishing_gradient,
)
from goldmark.checks._objective import free_norm, jumping_loss
from goldmark.checks._outputs import (
    check_broadcast_loss,
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
    check_unowned_parameters,
    check_unused_parameters,
    check_weight_decay,
)
from goldmark.checks._padding import padding_counted
from goldmark.checks._placeholders import placeholder_labels
from goldmark.checks._positions import not_relative
from goldmark.checks._preflight import assert_healthy, preflight
from goldmark.checks._rank import code_ignored, cosine_ceiling, low_ceiling, low_rank, participation_ratio, r2_ceiling
from goldmark.checks._recurrent import RecurrentLayer, mistaken_cell, recurrent_layers
from goldmark.checks._results import (
    check_collapsed_classes,
    check_collapsed_predictions,
    check_free_running_gap,
    check_memorised,
    check_no_skill,
    check_test_time_augmentation,
)
from goldmark.checks._scale import clipped_targets, target_scale
from goldmark.checks._sequences import (
    check_future_leak,
    check_padding_changes_loss,
    check_padding_changes_output,
    check_target_lag,
    effective_targets,
    gradient_by_position,
)
from goldmark.checks._settings import unread_setting
from goldmark.checks._shares import dominated_gradient, gradient_norms, shares
from goldmark.checks._skill import no_skill, skill
from goldmark.checks._split import fitted_on_validation, rejected_data, shared_groups
from goldmark.checks._steps import (
    check_accumulation_count,
    check_accumulation_undivided,
    check_diverging_steps,
    check_exploding_gradient,
    check_learning_rate,
    check_nothing_moves,
    check_schedule_pace,
    check_schedule_restarted,
    check_stale_gradients,
    check_stuck_parameters,
    check_unequal_micro_batches,
    check_zeroed_gradients,
)
from goldmark.checks._stopping import stale_epochs, wrong_stopping
from goldmark.checks._structures import row_keys
from goldmark.checks._threshold import BestThreshold, best_threshold, f1_above, misplaced_threshold
from goldmark.checks._uncertainty import settled_log_sigma, simulated_log_sigma, weights_without_time
from goldmark.checks._watch import Watch, watch
from goldmark.checks._windows import overlap_share, overlapping_windows

__all__ = [
    "BestThreshold",
    "Findings",
    "RecurrentLayer",
    "Watch",
    "assert_healthy",
    "best_threshold",
    "check_accumulation_count",
    "check_accumulation_undivided",
    "check_affine_network",
    "check_augmentation_without_effect",
    "check_batch_mixing",
    "check_batchnorm_of_one",
    "check_broadcast_loss",
    "check_collapsed_classes",
    "check_collapsed_predictions",
    "check_constant_inputs",
    "check_constant_loss",
    "check_cut_term",
    "check_dead_units",
    "check_decoder_sees_target",
    "check_diverging_steps",
    "check_dropout_in_eval",
    "check_dropout_rate",
    "check_eval_mode_left_on",
    "check_exploding_gradient",
    "check_fixed_order",
    "check_free_running_gap",
    "check_frozen_parameters_move",
    "check_future_leak",
    "check_graph_cut",
    "check_graph_of_loss",
    "check_half_tied",
    "check_hidden_parameters",
    "check_ignored_class",
    "check_initial_outputs",
    "check_input_scale",
    "check_inputs_ignored",
    "check_inputs_modified",
    "check_label_numbering",
    "check_labels_independent",
    "check_labels_out_of_range",
    "check_learning_rate",
    "check_memorised",
    "check_missing_sharing",
    "check_narrow_output",
    "check_negative_loss",
    "check_no_skill",
    "check_normalized_outputs",
    "check_not_finite",
    "check_nothing_moves",
    "check_nothing_trainable",
    "check_one_batch",
    "check_optimizer_settings",
    "check_orphaned_parameters",
    "check_overlap",
    "check_padding_changes_loss",
    "check_padding_changes_output",
    "check_schedule_pace",
    "check_schedule_restarted",
    "check_shape_broadcast",
    "check_silent_units",
    "check_single_class_softmax",
    "check_sorted_labels",
    "check_split_statistics",
    "check_stale_gradients",
    "check_statistics_gap",
    "check_stuck_parameters",
    "check_summed_loss",
    "check_symmetric_units",
    "check_target_among_inputs",
    "check_target_distribution",
    "check_target_lag",
    "check_test_time_augmentation",
    "check_undeclared_sharing",
    "check_unequal_micro_batches",
    "check_unowned_parameters",
    "check_unreachable_targets",
    "check_unused_parameters",
    "check_validation_in_training_mode",
    "check_vanishing_gradient",
    "check_weight_decay",
    "check_worker_randomness",
    "check_wrong_sign",
    "check_zero_loss",
    "check_zeroed_gradients",
    "clipped_targets",
    "code_bypassed",
    "code_ignored",
    "collapsed_output",
    "constant_scores",
    "cosine_ceiling",
    "dominated_gradient",
    "effective_targets",
    "f1_above",
    "fitted_on_validation",
    "forcing_not_per_step",
    "free_norm",
    "gradient_by_position",
    "gradient_norms",
    "hidden_labels",
    "idle_average",
    "idle_dropout",
    "jumping_loss",
    "low_bar",
    "low_ceiling",
    "low_rank",
    "misplaced_threshold",
    "missing_keys",
    "mistaken_cell",
    "moving_validation",
    "no_skill",
    "not_relative",
    "overlap_share",
    "overlapping_windows",
    "padding_counted",
    "parameter_count",
    "participation_ratio",
    "placeholder_labels",
    "preflight",
    "r2_ceiling",
    "read_mixing",
    "recurrent_layers",
    "rejected_data",
    "row_keys",
    "settled_log_sigma",
    "shared_groups",
    "shares",
    "simulated_log_sigma",
    "skill",
    "spread_ratio",
    "squashed_twice",
    "stale_epochs",
    "swallowed_arguments",
    "target_leak",
    "target_scale",
    "unbalanced_weight",
    "uneven_batches",
    "unmoved_by_augmentation",
    "unread_setting",
    "unscored_baseline",
    "unseen_classes",
    "watch",
    "weights_without_time",
    "wrong_architecture",
    "wrong_mixup",
    "wrong_stopping",
]
