"""Signs of trouble in any training loop: arrays and modules in, a `Finding` out. Nothing here knows of a case."""

from goldmark.checks._architecture import parameter_count, wrong_architecture
from goldmark.checks._arguments import missing_keys, swallowed_arguments
from goldmark.checks._augmentation import unmoved_by_augmentation
from goldmark.checks._averages import uneven_batches
from goldmark.checks._balance import unbalanced_weight
from goldmark.checks._bar import low_bar
from goldmark.checks._bypass import code_bypassed
from goldmark.checks._collapse import collapsed_output, spread_ratio
from goldmark.checks._dropout import idle_dropout
from goldmark.checks._ensemble import idle_average
from goldmark.checks._evaluation import constant_scores, moving_validation, unscored_baseline
from goldmark.checks._forcing import forcing_not_per_step, target_leak
from goldmark.checks._inference import squashed_twice
from goldmark.checks._labels import hidden_labels, unseen_classes
from goldmark.checks._leak import overlap_share, overlapping_windows
from goldmark.checks._mixup import read_mixing, wrong_mixup
from goldmark.checks._objective import free_norm, jumping_loss
from goldmark.checks._padding import padding_counted
from goldmark.checks._placeholders import placeholder_labels
from goldmark.checks._positions import not_relative
from goldmark.checks._rank import code_ignored, cosine_ceiling, low_ceiling, low_rank, participation_ratio, r2_ceiling
from goldmark.checks._recurrent import RecurrentLayer, mistaken_cell, recurrent_layers
from goldmark.checks._scale import clipped_targets, target_scale
from goldmark.checks._settings import unread_setting
from goldmark.checks._shares import dominated_gradient, gradient_norms, shares
from goldmark.checks._skill import no_skill, skill
from goldmark.checks._split import fitted_on_validation, rejected_data, shared_groups
from goldmark.checks._stopping import stale_epochs, wrong_stopping
from goldmark.checks._threshold import BestThreshold, best_threshold, f1_above, misplaced_threshold
from goldmark.checks._uncertainty import settled_log_sigma, simulated_log_sigma, weights_without_time

__all__ = [
    "BestThreshold",
    "RecurrentLayer",
    "best_threshold",
    "clipped_targets",
    "code_bypassed",
    "code_ignored",
    "collapsed_output",
    "constant_scores",
    "cosine_ceiling",
    "dominated_gradient",
    "f1_above",
    "fitted_on_validation",
    "forcing_not_per_step",
    "free_norm",
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
    "r2_ceiling",
    "read_mixing",
    "recurrent_layers",
    "rejected_data",
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
    "weights_without_time",
    "wrong_architecture",
    "wrong_mixup",
    "wrong_stopping",
]
