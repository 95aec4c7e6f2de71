"""The experiments of the roast case at fast scale: variants, and the claims that their runs must bear out."""

from __future__ import annotations

from goldmark.case import Check, Claim, Relation, Run, Variant
from goldmark.claims import (
    all_of,
    every_difference,
    every_seed,
    finding_in_every_seed,
    finding_in_no_seed,
    mean,
    mean_difference,
)

VARIANTS = (
    Variant(
        name="normalized",
        says="inputs and targets mapped from [100, 500] F to [0, 1]",
        role="fixed",
        guards={"skill_vs_mean": "raw_targets", "val_loss_reduction": "raw_targets"},
        gates=("generation_mae_f",),  # free running, which no teacher-forced score stands for
        alpha=0.005,  # at .001 so few seeds would not tell a model frozen after the first epoch by its skill
        seeds=7,
    ),
    Variant(
        name="raw_fahrenheit",
        says="inputs and targets in degrees Fahrenheit",
        role="broken",
        of="normalized",
        changes={"input_scale": "raw", "target_scale": "raw"},
        seen_by="skill_vs_mean",
    ),
    Variant(
        name="raw_targets",
        says="normalized inputs, targets in degrees Fahrenheit",
        role="broken",
        of="normalized",
        changes={"target_scale": "raw"},
        seen_by="skill_vs_mean",
        seeds=7,
    ),
    Variant(
        name="zscore",
        says="inputs and targets to mean 0 and sd 1 of the training half",
        role="option",
        of="normalized",
        changes={"input_scale": "zscore", "target_scale": "zscore"},
    ),
    Variant(
        name="raw_bias_init",
        says="raw temperatures, the output bias started at their mean",
        role="control",
        of="raw_fahrenheit",
        changes={"mean_bias": True},
        seen_by="skill_vs_mean",
        seeds=4,
    ),
    Variant(
        name="raw_residual",
        says="raw temperatures, predicting the change to the input",
        role="control",
        of="raw_fahrenheit",
        changes={"residual": True},
        seen_by="generation_mae_f",
        seeds=4,
    ),
    Variant(
        name="recovery_tiny",
        says="raw targets, the record's 'tiny' model scaled down, lr 1e-4",
        role="control",
        of="raw_targets",
        changes={"layers": 3, "feedforward": 64, "lr": 1e-4},
        seen_by="skill_vs_mean",
        seeds=4,
    ),
    Variant(
        name="recovery_micro",
        says="raw targets, the record's 'micro' model scaled down, lr 1e-4",
        role="control",
        of="raw_targets",
        changes={"width": 8, "lr": 1e-4},
        seen_by="skill_vs_mean",
        seeds=4,
    ),
    Variant(
        name="recovery_low_lr",
        says="raw targets, the record's 'medium' model scaled down, lr 1e-5",
        role="control",
        of="raw_targets",
        changes={"width": 32, "layers": 4, "feedforward": 128, "lr": 1e-5},
        seen_by="skill_vs_mean",
        seeds=4,
    ),
    Variant(
        name="recovery_high_dropout",
        says="raw targets, the record's 'medium' model scaled down, lr 1e-4, dropout 0.3",
        role="control",
        of="recovery_low_lr",
        changes={"lr": 1e-4, "dropout": 0.3},
        seen_by="skill_vs_mean",
        seeds=4,
    ),
    Variant(
        name="recovery_combined",
        says="raw targets, 'tiny' with lr 5e-5, dropout 0.25 and weight decay 0.05",
        role="control",
        of="recovery_tiny",
        changes={"lr": 5e-5, "dropout": 0.25, "weight_decay": 0.05},
        seen_by="skill_vs_mean",
        seeds=4,
    ),
)


def output_travel(variant: str, relation: Relation, limit: float) -> Check:
    """Return the check that the output's travel per step, in units of lr * width, keeps a limit in every seed."""
    return Check(
        says=f"travel of the output of '{variant}' a step / (lr * width), every seed",
        variants=(variant,),
        measure=lambda runs: {run.seed: _travel(run) for run in runs[variant]},
        relation=relation,
        limit=limit,
    )


def _travel(run: Run) -> float:
    """Return how far the mean prediction moves from the evaluation before the last one to the last, in its unit.

    In the first epochs the layers turn the hidden state towards the output weights, which moves the output faster.
    Raises `ValueError` for a run of one epoch.
    """
    evaluated_f = [row["prediction_mean_f"] for row in run.history if "prediction_mean_f" in row]
    if len(evaluated_f) < 2:
        raise ValueError(
            f"run '{run.variant}' seed {run.seed} has one epoch; the travel of its output needs two or more"
        )
    return (run.metrics["prediction_mean_f"] - evaluated_f[-2]) / float(run.close["travel_unit_f"])


# Limits were set on seeds 0-4 and confirmed on seeds 1000-1004, which nothing here was chosen on. There the skill of
# `normalized_beats_mean` came close to its limit, then .4 (worst seed .41; .73 on seeds 0-4): the limit was lowered to
# .2 and confirmed on seeds 2000-2004 (worst seed .74). The travel of the output is 1.50 to 1.79 on seeds 0-4, 1.64 to
# 1.80 on seeds 1000-1004 and 1.69 to 1.82 on measured profiles; without the LayerNorms before the output it is 19 to
# 34, with the bias at the mean 1.05 or less.
CLAIMS = (
    Claim(
        name="raw_targets_collapse",
        says="with raw targets every model ends as a constant that is worse than the global mean",
        source="RoastFormer record, ten broken models",
        check=all_of(
            finding_in_every_seed("raw_fahrenheit", "collapsed_output"),
            finding_in_every_seed("raw_targets", "collapsed_output"),
            finding_in_every_seed("raw_fahrenheit", "no_skill"),
            finding_in_every_seed("raw_targets", "no_skill"),
            every_seed("raw_fahrenheit", "skill_vs_mean", "<=", -1.0),
            every_seed("raw_targets", "skill_vs_mean", "<=", -1.0),
        ),
        any_data=True,
    ),
    Claim(
        name="raw_loss_hardly_falls",
        says="with raw temperatures the validation loss falls by less than a tenth",
        source="RoastFormer record, 2.8 % in 16 epochs",
        check=every_seed("raw_fahrenheit", "val_loss_reduction", "<=", 0.1),
        documented=0.028,
    ),
    Claim(
        name="collapse_is_a_flat_curve",
        says="a collapsed model generates a flat curve once the start value is left out; a trained one does not",
        source="RoastFormer record, generation diagnostic",
        check=all_of(
            every_seed("normalized", "generated_variance", ">=", 1000.0),
            every_seed("raw_fahrenheit", "generated_variance", "<=", 1.0),
        ),
    ),
    Claim(
        name="targets_out_of_reach",
        says="raw targets lie out of a fresh model's reach, normalized ones do not: seen before the first step",
        source="project",
        check=all_of(
            finding_in_every_seed("raw_fahrenheit", "target_scale"),
            finding_in_every_seed("raw_targets", "target_scale"),
            finding_in_no_seed("zscore", "target_scale"),
            finding_in_no_seed("normalized", "target_scale"),
        ),
        any_data=True,
    ),
    Claim(
        name="output_travels_lr_times_width",
        says="with raw targets the output moves by about lr * width a step, whatever the error: 300 F are out of reach",
        source="RoastFormer record, mechanism: .8 of lr * width from the output weights alone",
        check=all_of(
            *(output_travel(name, ">=", 1.2) for name in ("raw_fahrenheit", "raw_targets")),
            *(output_travel(name, "<=", 2.4) for name in ("raw_fahrenheit", "raw_targets")),
        ),
        documented=0.8,
    ),
    Claim(
        name="only_targets_matter",
        says="normalizing the inputs alone changes the error by less than 10 F of 300",
        source="project",
        check=all_of(
            mean_difference("raw_targets", "raw_fahrenheit", "rmse_f", "<=", 10.0),
            mean_difference("raw_targets", "raw_fahrenheit", "rmse_f", ">=", -10.0),
        ),
        fewest_seeds=5,  # a mean
    ),
    Claim(
        name="normalized_beats_mean",
        says="normalized beats the global mean",
        source="RoastFormer record, fix; the documented 79 F does not",
        check=every_seed("normalized", "skill_vs_mean", ">=", 0.2),
        any_data=True,
    ),
    Claim(
        name="normalizing_is_the_fix",
        says="normalizing raises the skill over the mean by more than 2 in every seed",
        source="RoastFormer record, fix",
        check=every_difference("normalized", "raw_fahrenheit", "skill_vs_mean", ">=", 2.0),
        any_data=True,
    ),
    Claim(
        name="zscore_beats_mean",
        says="scaling to mean 0 and sd 1 works too",
        source="project",
        check=every_seed("zscore", "skill_vs_mean", ">=", 0.5),
        any_data=True,
    ),
    Claim(
        name="normalized_misses_the_mean_curve",
        says="on the documented scale the fix stays behind the mean curve, on average over seeds",
        source="RoastFormer record, later suite, scored against naive predictors by the project",
        check=mean("normalized", "skill_vs_mean_curve", "<=", 0.0),
        fewest_seeds=5,  # a mean
    ),
    Claim(
        name="zscore_beats_naive_predictors",
        says="z-scores beat persistence in every seed and the mean curve on average",
        source="project",
        check=all_of(
            every_seed("zscore", "skill_vs_persistence", ">=", 0.2),
            mean("zscore", "skill_vs_mean_curve", ">=", 0.1),
        ),
        fewest_seeds=5,  # a mean
    ),
    Claim(
        name="bias_init_learns_nothing",
        says="starting the output bias at the mean brings the error down to the mean's and still predicts a constant",
        source="project",
        check=all_of(
            finding_in_every_seed("raw_bias_init", "collapsed_output"),
            every_seed("raw_bias_init", "skill_vs_mean", "<=", 0.2),
        ),
    ),
    Claim(
        name="residual_copies_its_input",
        says="predicting raw changes is 'excellent' teacher-forced (below 10 F) and off by more than 50 F free-running",
        source="RoastFormer record, tiers",
        check=all_of(
            every_seed("raw_residual", "teacher_forced_mae_f", "<=", 10.0),
            every_seed("raw_residual", "generation_mae_f", ">=", 50.0),
        ),
    ),
    *(
        Claim(
            name=f"{variant}_fails",
            says="this recovery experiment leaves the constant where it was",
            source="RoastFormer record, recovery experiments",
            check=all_of(
                every_seed(variant, "skill_vs_mean", "<=", -1.0),
                every_seed(variant, "rmse_f", ">=", 250.0),
            ),
            documented=documented_rmse_f,
        )
        for variant, documented_rmse_f in {
            "recovery_tiny": 274.72,
            "recovery_micro": 277.12,
            "recovery_low_lr": 275.18,
            "recovery_high_dropout": 271.88,
            "recovery_combined": 275.95,
        }.items()
    ),
)
