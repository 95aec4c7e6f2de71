"""The experiments of the roast case at fast scale: variants, and the claims that their runs must bear out."""

from __future__ import annotations

from goldmark.case import Claim, Variant
from goldmark.claims import all_of, every_difference, every_seed, found, mean, mean_difference

VARIANTS = (
    Variant(
        "normalized",
        "inputs and targets mapped from [100, 500] F to [0, 1]",
        "fixed",
        guards={"skill_vs_mean": "raw_targets", "val_loss_reduction": "raw_targets"},
        alpha=0.005,  # at .001 five seeds would not tell a model frozen after the first epoch by its skill
    ),
    Variant(
        "raw_fahrenheit",
        "inputs and targets in degrees Fahrenheit",
        "broken",
        "normalized",
        {"input_scale": "raw", "target_scale": "raw"},
        "skill_vs_mean",
    ),
    Variant(
        "raw_targets",
        "normalized inputs, targets in degrees Fahrenheit",
        "broken",
        "normalized",
        {"target_scale": "raw"},
        "skill_vs_mean",
    ),
    Variant(
        "zscore",
        "inputs and targets to mean 0 and sd 1 of the training half",
        "option",
        "normalized",
        {"input_scale": "zscore", "target_scale": "zscore"},
    ),
    Variant(
        "raw_bias_init",
        "raw temperatures, the output bias started at their mean",
        "control",
        "raw_fahrenheit",
        {"mean_bias": True},
        "skill_vs_mean",
    ),
    Variant(
        "raw_residual",
        "raw temperatures, predicting the change to the input",
        "control",
        "raw_fahrenheit",
        {"residual": True},
        "generation_mae_f",
    ),
    Variant(
        "recovery_tiny",
        "raw targets, the record's 'tiny' model scaled down, lr 1e-4",
        "control",
        "raw_targets",
        {"layers": 3, "feedforward": 64, "lr": 1e-4},
        "skill_vs_mean",
    ),
    Variant(
        "recovery_micro",
        "raw targets, the record's 'micro' model scaled down, lr 1e-4",
        "control",
        "raw_targets",
        {"width": 8, "lr": 1e-4},
        "skill_vs_mean",
    ),
    Variant(
        "recovery_low_lr",
        "raw targets, the record's 'medium' model scaled down, lr 1e-5",
        "control",
        "raw_targets",
        {"width": 32, "layers": 4, "feedforward": 128, "lr": 1e-5},
        "skill_vs_mean",
    ),
    Variant(
        "recovery_high_dropout",
        "raw targets, the record's 'medium' model scaled down, lr 1e-4, dropout 0.3",
        "control",
        "recovery_low_lr",
        {"lr": 1e-4, "dropout": 0.3},
        "skill_vs_mean",
    ),
    Variant(
        "recovery_combined",
        "raw targets, 'tiny' with lr 5e-5, dropout 0.25 and weight decay 0.05",
        "control",
        "recovery_tiny",
        {"lr": 5e-5, "dropout": 0.25, "weight_decay": 0.05},
        "skill_vs_mean",
    ),
)

# Limits were set on seeds 0-4 and confirmed on seeds 1000-1004, which nothing here was chosen on. There the skill of
# `normalized_beats_mean` came close to its limit, then .4 (worst seed .41; .73 on seeds 0-4): the limit was lowered to
# .2 and confirmed on seeds 2000-2004 (worst seed .74).
CLAIMS = (
    Claim(
        "raw_targets_collapse",
        "with raw targets every model ends as a constant that is worse than the global mean",
        "RoastFormer record, ten broken models",
        ("raw_fahrenheit", "raw_targets"),
        all_of(
            found("raw_fahrenheit", "collapsed_output", 1),
            found("raw_targets", "collapsed_output", 1),
            found("raw_fahrenheit", "no_skill", 1),
            found("raw_targets", "no_skill", 1),
            every_seed("raw_fahrenheit", "skill_vs_mean", "<=", -1.0),
            every_seed("raw_targets", "skill_vs_mean", "<=", -1.0),
        ),
        any_data=True,
    ),
    Claim(
        "raw_loss_hardly_falls",
        "with raw temperatures the validation loss falls by less than a tenth",
        "RoastFormer record, 2.8 % in 16 epochs",
        ("raw_fahrenheit",),
        every_seed("raw_fahrenheit", "val_loss_reduction", "<=", 0.1),
        documented=0.028,
    ),
    Claim(
        "collapse_is_a_flat_curve",
        "a collapsed model generates a flat curve once the start value is left out; a trained one does not",
        "RoastFormer record, generation diagnostic",
        ("raw_fahrenheit", "normalized"),
        all_of(
            every_seed("normalized", "generated_variance", ">=", 1000.0),
            every_seed("raw_fahrenheit", "generated_variance", "<=", 1.0),
        ),
    ),
    Claim(
        "targets_out_of_reach",
        "raw targets lie out of a fresh model's reach, normalized ones do not: seen before the first step",
        "project",
        ("raw_fahrenheit", "raw_targets", "normalized", "zscore"),
        all_of(
            found("raw_fahrenheit", "target_scale", 1),
            found("raw_targets", "target_scale", 1),
            found("zscore", "target_scale", 0),
            found("normalized", "target_scale", 0),
        ),
        any_data=True,
    ),
    Claim(
        "only_targets_matter",
        "normalizing the inputs alone changes the error by less than 10 F of 300",
        "project",
        ("raw_targets", "raw_fahrenheit"),
        all_of(
            mean_difference("raw_targets", "raw_fahrenheit", "rmse_f", "<=", 10.0),
            mean_difference("raw_targets", "raw_fahrenheit", "rmse_f", ">=", -10.0),
        ),
        fewest_seeds=5,  # a mean
    ),
    Claim(
        "normalized_beats_mean",
        "normalized beats the global mean",
        "RoastFormer record, fix; the documented 79 F does not",
        ("normalized",),
        every_seed("normalized", "skill_vs_mean", ">=", 0.2),
        any_data=True,
    ),
    Claim(
        "normalizing_is_the_fix",
        "normalizing raises the skill over the mean by more than 2 in every seed",
        "RoastFormer record, fix",
        ("normalized", "raw_fahrenheit"),
        every_difference("normalized", "raw_fahrenheit", "skill_vs_mean", ">=", 2.0),
        any_data=True,
    ),
    Claim(
        "zscore_beats_mean",
        "scaling to mean 0 and sd 1 works too",
        "project",
        ("zscore",),
        every_seed("zscore", "skill_vs_mean", ">=", 0.5),
        any_data=True,
    ),
    Claim(
        "normalized_misses_the_mean_curve",
        "on the documented scale the fix stays behind the mean curve, on average over seeds",
        "RoastFormer record, later suite, scored against naive predictors by the project",
        ("normalized",),
        mean("normalized", "skill_vs_mean_curve", "<=", 0.0),
        fewest_seeds=5,  # a mean
    ),
    Claim(
        "zscore_beats_naive_predictors",
        "z-scores beat persistence in every seed and the mean curve on average",
        "project",
        ("zscore",),
        all_of(
            every_seed("zscore", "skill_vs_persistence", ">=", 0.2),
            mean("zscore", "skill_vs_mean_curve", ">=", 0.1),
        ),
        fewest_seeds=5,  # a mean
    ),
    Claim(
        "bias_init_learns_nothing",
        "starting the output bias at the mean brings the error down to the mean's and still predicts a constant",
        "project",
        ("raw_bias_init",),
        all_of(
            found("raw_bias_init", "collapsed_output", 1),
            every_seed("raw_bias_init", "skill_vs_mean", "<=", 0.2),
        ),
    ),
    Claim(
        "residual_copies_its_input",
        "predicting raw changes is 'excellent' teacher-forced (below 10 F) and off by more than 50 F in free running",
        "RoastFormer record, tiers",
        ("raw_residual",),
        all_of(
            every_seed("raw_residual", "teacher_forced_mae_f", "<=", 10.0),
            every_seed("raw_residual", "generation_mae_f", ">=", 50.0),
        ),
    ),
    *(
        Claim(
            f"{name}_fails",
            "this recovery experiment leaves the constant where it was",
            "RoastFormer record, recovery experiments",
            (name,),
            all_of(
                every_seed(name, "skill_vs_mean", "<=", -1.0),
                every_seed(name, "rmse_f", ">=", 250.0),
            ),
            documented=documented_rmse_f,
        )
        for name, documented_rmse_f in {
            "recovery_tiny": 274.72,
            "recovery_micro": 277.12,
            "recovery_low_lr": 275.18,
            "recovery_high_dropout": 271.88,
            "recovery_combined": 275.95,
        }.items()
    ),
)
