"""The variants at fast scale, and what must hold of them, each statement with its source."""

from __future__ import annotations

from goldmark.case import Check, Claim, Relation, Variant
from goldmark.claims import (
    all_of,
    close_ratio,
    every_seed,
    finding_in_every_seed,
    finding_in_no_seed,
    mean,
    mean_against_baseline,
    mean_difference,
)

VARIANTS = (
    Variant(
        name="normalized_countdown",
        says="countdown targets mapped from [-20, 20] to [0, 1] (the record's option 2)",
        role="fixed",
        guards={"span_f1": "clipped_countdown", "separation": "clipped_countdown"},
        gates=("auc", "countdown_share_gradient"),  # ranking without a threshold, and the share that the story is about
        alpha=0.002,  # sixteen pairs: at .001 a permutation test sees 11 dead seeds, at .002 it sees 10
    ),
    Variant(
        name="clipped_countdown",
        says="countdown targets in bars, clipped to [-20, 20]",
        role="broken",
        of="normalized_countdown",
        changes={"countdown_scale": "bars"},
        seen_by="span_f1",
    ),
    Variant(
        name="plain_sum",
        says="countdown in bars, the loss terms added without uncertainty weights",
        role="broken",
        of="clipped_countdown",
        changes={"weighting": "sum"},
        seen_by="span_f1",
    ),
    Variant(
        name="no_countdown",
        says="the countdown left out of the loss (option 1)",
        role="option",
        of="clipped_countdown",
        changes={"terms": "no_countdown"},
    ),
    Variant(
        name="span_only",
        says="the span loss alone (option 3)",
        role="option",
        of="clipped_countdown",
        changes={"terms": "span"},
    ),
    Variant(
        name="pos_weight",
        says="countdown in bars, bars in a span weighted by (1 - p) / p",
        role="option",
        of="clipped_countdown",
        changes={"pos_weight": "balanced"},
    ),
    Variant(
        name="delta_10",
        says="countdown in bars, Huber delta 10 in the place of 1 (option 4)",
        role="control",
        of="clipped_countdown",
        changes={"countdown_delta": 10.0},
        seen_by="span_f1",
    ),
    Variant(
        name="weak_clipped",
        says="countdown in bars, a weak cue: longer windows, a BiLSTM without bottleneck, dropout, a lower rate",
        role="control",
        of="clipped_countdown",
        changes={
            "cue": 0.35,
            "bars": 105,
            "span_min": 3,
            "span_max": 11,
            "bidirectional": True,
            "bottleneck": 0,
            "input_dropout": 0.3,
            "lr": 3e-3,
            "steps": 100,
        },
        seen_by="span_f1",
        seeds=5,
    ),
    Variant(
        name="weak_no_countdown",
        says="the weak cue, the countdown left out of the loss",
        role="control",
        of="weak_clipped",
        changes={"terms": "no_countdown"},
        seen_by="span_f1",
        seeds=5,
    ),
    Variant(
        name="weak_pos_weight",
        says="the weak cue, bars in a span weighted by (1 - p) / p",
        role="control",
        of="weak_clipped",
        changes={"pos_weight": "balanced"},
        seen_by="auc",
        seeds=5,
    ),
)


def f1_over_every_bar(variant: str, relation: Relation, margin: float) -> Check:
    """Return the check that mean span F1, less that of marking every bar, keeps a margin: single seeds may die."""
    return mean_against_baseline(variant, "span_f1", relation, "predict_every_bar", margin)


_SEEDS = 5  # the fewest that a statement about a mean is judged on: single seeds of any variant may die

# Settings and limits were chosen on seeds 0 ... 15 (0 ... 4 for the weak cue), and every claim was then confirmed on
# seeds 1000 ... 1015 (1000 ... 1004), which had no part in choosing.
CLAIMS = (
    Claim(
        name="clipped_misses_the_span",
        says="with the countdown in bars, mean span F1 is far below that of marking every bar",
        source="JadeCompact record, epoch metrics: F1 is 0 for 100 epochs",
        check=all_of(
            f1_over_every_bar("clipped_countdown", "<=", -0.04), mean("clipped_countdown", "span_f1", "<=", 0.1)
        ),
        documented=0.0,
        fewest_seeds=_SEEDS,
    ),
    Claim(
        name="countdown_is_most_of_the_loss",
        says="the countdown in bars makes up more than four fifths of the raw loss",
        source="JadeCompact record, loss components",
        check=every_seed("clipped_countdown", "countdown_share_raw", ">=", 0.8),
        documented=0.912,
    ),
    Claim(
        name="weights_had_no_time",
        says="slow uncertainty weights leave the countdown seven tenths of the loss, as good as a plain sum",
        source="JadeCompact record, uncertainty parameters at epoch 100",
        check=all_of(
            mean_difference("clipped_countdown", "plain_sum", "countdown_share_effective", ">=", -0.1),
            every_seed("clipped_countdown", "countdown_share_effective", ">=", 0.7),
        ),
        documented=0.7195,
        fewest_seeds=_SEEDS,
    ),
    Claim(
        name="plain_sum_misses_the_span",
        says="without uncertainty weights the span is missed too",
        source="project",
        check=f1_over_every_bar("plain_sum", "<=", -0.04),
        fewest_seeds=_SEEDS,
    ),
    Claim(
        name="countdown_takes_the_trunk",
        says="mid-training the countdown in bars has most of the gradient on the shared trunk; in [0, 1] it has not",
        source="project",
        check=all_of(
            mean("clipped_countdown", "countdown_share_gradient", ">=", 0.55),
            mean("normalized_countdown", "countdown_share_gradient", "<=", 0.4),
            mean_difference("clipped_countdown", "normalized_countdown", "countdown_share_gradient", ">=", 0.25),
        ),
        fewest_seeds=_SEEDS,
    ),
    Claim(
        name="countdown_out_of_reach",
        says="before the first step, a countdown in bars is out of the model's reach, one in [0, 1] is not",
        source="project",
        check=all_of(
            finding_in_every_seed("clipped_countdown", "target_scale"),
            finding_in_no_seed("normalized_countdown", "target_scale"),
        ),
        any_data=True,  # labels of 72 bars have a root mean square above 15.8, fresh answers are bounded
    ),
    Claim(
        name="normalizing_is_the_fix",
        says="mapping the countdown to [0, 1] raises mean span F1 by more than a half",
        source="JadeCompact record, option 2; its own run of it stayed at 0, as the weak cue does here",
        check=mean_difference("normalized_countdown", "clipped_countdown", "span_f1", ">=", 0.5),
        fewest_seeds=_SEEDS,
    ),
    Claim(
        name="normalized_beats_every_bar",
        says="with the countdown in [0, 1], mean span F1 is far above that of marking every bar",
        source="project",
        check=f1_over_every_bar("normalized_countdown", ">=", 0.4),
        fewest_seeds=_SEEDS,
    ),
    Claim(
        name="dropping_the_countdown_works",
        says="without the countdown, mean span F1 rises by more than a half",
        source="JadeCompact record, option 1 (not run there)",
        check=mean_difference("no_countdown", "clipped_countdown", "span_f1", ">=", 0.5),
        fewest_seeds=_SEEDS,
    ),
    Claim(
        name="span_alone_works",
        says="with the span loss alone, mean span F1 rises by more than a half",
        source="JadeCompact record, option 3 (not run there)",
        check=mean_difference("span_only", "clipped_countdown", "span_f1", ">=", 0.5),
        fewest_seeds=_SEEDS,
    ),
    Claim(
        name="raw_share_misleads",
        says="a class weight brings the span back while the countdown keeps most of the raw loss",
        source="project",
        check=all_of(
            every_seed("pos_weight", "countdown_share_raw", ">=", 0.75),
            f1_over_every_bar("pos_weight", ">=", 0.1),
            mean_difference("pos_weight", "clipped_countdown", "span_f1", ">=", 0.2),
        ),
        fewest_seeds=_SEEDS,
    ),
    Claim(
        name="delta_10_fails",
        says="Huber delta 10 finds no more than delta 1 does",
        source="project; option 4 of the JadeCompact record (not run there)",
        check=all_of(
            f1_over_every_bar("delta_10", "<=", -0.04),
            mean_difference("delta_10", "clipped_countdown", "span_f1", "<=", 0.05),
        ),
        fewest_seeds=_SEEDS,
    ),
    Claim(
        name="delta_10_multiplies_the_loss",
        says="Huber delta 10 makes the countdown's loss at answer 0 five times as large; the record expects less",
        source="project, from the record's labels: 15.7 becomes 115.1",
        check=close_ratio("delta_10", "clipped_countdown", "countdown_loss_at_zero", ">=", 5.0),
        documented=115.1 / 15.7,
        any_data=True,  # 7.1 or more wherever a span starts in 72 bars
    ),
    Claim(
        name="weak_cue_needs_more_than_scale",
        says="where the cue is weak, span F1 stays near 0 with the countdown and without it",
        source="JadeCompact record, option 2 as it was run: F1 0 for 100 epochs",
        check=all_of(mean("weak_clipped", "span_f1", "<=", 0.03), mean("weak_no_countdown", "span_f1", "<=", 0.03)),
        documented=0.0,
        fewest_seeds=_SEEDS,
    ),
    Claim(
        name="class_weight_shifts_the_threshold",
        says="a weak cue: a class weight raises span F1 to about that of marking every bar, and ranks no better",
        source="JadeCompact record, the run with pos_weight 13.1: F1 .187",
        check=all_of(
            f1_over_every_bar("weak_pos_weight", "<=", 0.1),
            mean("weak_pos_weight", "auc", "<=", 0.75),
            mean_difference("weak_pos_weight", "weak_no_countdown", "auc", "<=", 0.08),
            mean_difference("weak_pos_weight", "weak_clipped", "span_f1", ">=", 0.06),
        ),
        documented=0.187,
        fewest_seeds=_SEEDS,
    ),
)
