"""What is trained at fast scale, and what must hold for it."""

from __future__ import annotations

from statistics import fmean

from goldmark.case import Check, Claim, Relation, Variant
from goldmark.claims import (
    all_of,
    every_difference,
    every_seed,
    finding_in_every_seed,
    finding_in_no_seed,
    mean,
    mean_difference,
    mean_ratio,
    paired_lower,
)

VARIANTS = (
    Variant(
        name="mixup",
        says="mixup in every batch, its weight uniform (alpha 1)",
        role="fixed",
        guards={"val_mse": "no_mixup"},
        alpha=0.01,
    ),
    Variant(
        name="no_mixup",
        says="no mixup",
        role="broken",
        of="mixup",
        changes={"mixup_fraction": 0.0},
        seen_by="val_mse",
        alpha=0.01,
    ),
    Variant(
        name="mixup_documented",
        says="the record's mixup: alpha 0.2, in half of the batches",
        role="option",
        of="mixup",
        changes={"mixup_alpha": 0.2, "mixup_fraction": 0.5},
        seeds=8,
    ),
    Variant(
        name="inputs_only_mixup",
        says="windows are mixed, their response times are not",
        role="broken",
        of="mixup",
        changes={"mix_targets": False},
        seen_by="contract",
        seeds=8,
    ),
    Variant(
        name="scaled_noise",
        says="no mixup, noise of sd 0.01 on z-scored windows",
        role="option",
        of="no_mixup",
        changes={"noise_sd": 0.01},
        seeds=8,
    ),
    Variant(
        name="volts",
        says="the same noise of sd 0.01 on windows in volts, at 1e-5",
        role="broken",
        of="scaled_noise",
        changes={"input_scale": "volts"},
        seen_by="prediction_sd_ratio",
        seeds=8,
    ),
    Variant(
        name="volts_mixup",
        says="windows in volts, with noise and mixup",
        role="control",
        of="volts",
        changes={"mixup_fraction": 1.0},
        seen_by="prediction_sd_ratio",
        seeds=8,
    ),
)


def window_share(variant: str, relation: Relation, limit: float) -> Check:
    """Return the check of the windows' share of the variance that the first layer normalizes by, every seed."""
    return Check(
        says=f"window_share of the first layer of '{variant}', every seed",
        variants=(variant,),
        measure=lambda runs: {
            run.seed: finding.numbers["window_share"]
            for run in runs[variant]
            for finding in run.findings
            if finding.name == "drowned_windows"
        },
        relation=relation,
        limit=limit,
    )


# Limits were set on the seeds of the case, those of the first layer before any run was seen, and confirmed on as many
# seeds from 1000, which nothing here was chosen on.
CLAIMS = (
    Claim(
        name="mixup_lowers_error",
        says="mixup lowers the validation MSE: one-sided paired t on its log, in 33 pairs of seeds",
        source="EEG record, mixup as the cause; the effect is measured by the project",
        check=paired_lower("mixup", "no_mixup", "val_mse", 0.01, "log"),
        fewest_seeds=32,
    ),
    Claim(
        name="mixup_is_no_factor_of_two",
        says="without mixup the MSE is higher by far less than the documented factor of two (geometric mean)",
        source="EEG record, validation loss 0.16 against 0.079",
        check=mean_ratio("no_mixup", "mixup", "val_mse", "<=", 1.6),
        documented=2.027,
        fewest_seeds=8,
    ),
    Claim(
        name="documented_recipe_is_weak",
        says="the record's recipe changes the MSE by less than a fifth, and is worth less than mixup in every batch",
        source="EEG record, ensemble with mixup in half of the batches; the effect is measured by the project",
        check=all_of(
            mean_ratio("mixup_documented", "no_mixup", "val_mse", ">=", 0.8),
            mean_ratio("mixup_documented", "no_mixup", "val_mse", "<=", 1.05),
            mean_ratio("mixup_documented", "mixup", "val_mse", ">=", 1.05),
            mean_ratio("mixup_documented", "mixup", "val_mse", "<=", 1.6),
        ),
        fewest_seeds=8,
    ),
    Claim(
        name="factor_two_is_a_unit",
        says="the MSE of a collapsed model is about twice what a constant scores in SmoothL1: one error in two units",
        source="EEG record, SmoothL1 of one model against MSE of the others (0.160783 / 0.079314)",
        check=Check(
            says="val_mse of 'volts' / SmoothL1 of the training mean, mean",
            variants=("volts",),
            measure=lambda runs: {
                run.seed: run.metrics["val_mse"] / run.close["mean_smooth_l1"] for run in runs["volts"]
            },
            relation=">=",
            limit=1.8,
            statistic=fmean,
        ),
        documented=2.027,
        fewest_seeds=8,
    ),
    Claim(
        name="mixup_beats_mean",
        says="with mixup every model beats the constant, and none has collapsed",
        source="project",
        check=all_of(
            finding_in_no_seed("mixup", "collapsed_output"),
            finding_in_no_seed("mixup", "no_skill"),
            every_seed("mixup", "skill_vs_mean", ">=", 0.05),
            mean("mixup", "skill_vs_mean", ">=", 0.3),
        ),
        fewest_seeds=5,
    ),
    Claim(
        name="no_mixup_learns_too",
        says="without mixup the models do learn: missing mixup makes no constant predictor",
        source="EEG record, all retrained models score the variance of the targets",
        check=all_of(finding_in_no_seed("no_mixup", "collapsed_output"), mean("no_mixup", "skill_vs_mean", ">=", 0.15)),
        fewest_seeds=5,
    ),
    Claim(
        name="mixup_keeps_its_contract",
        says="inputs and targets are mixed with one weight and one order, in as many batches as meant",
        source="EEG record, mixup of data set and loop at once",
        check=all_of(
            finding_in_no_seed("mixup", "wrong_mixup"),
            finding_in_no_seed("mixup_documented", "wrong_mixup"),
            finding_in_no_seed("no_mixup", "wrong_mixup"),
        ),
        any_data=True,
    ),
    Claim(
        name="inputs_only_mixup_breaks_the_contract",
        says="mixing inputs without their targets is found by the contract, in every run",
        source="project",
        check=finding_in_every_seed("inputs_only_mixup", "wrong_mixup"),
        any_data=True,
    ),
    Claim(
        name="inputs_only_mixup_looks_fine",
        says="by its score it is one more healthy model: it beats the constant, with an MSE near that without mixup",
        source="project",
        check=all_of(
            finding_in_no_seed("inputs_only_mixup", "collapsed_output"),
            mean("inputs_only_mixup", "skill_vs_mean", ">=", 0.15),
            mean_ratio("inputs_only_mixup", "no_mixup", "val_mse", ">=", 0.75),
            mean_ratio("inputs_only_mixup", "no_mixup", "val_mse", "<=", 1.5),
        ),
        fewest_seeds=8,
    ),
    Claim(
        name="volts_collapse",
        says="windows in volts under noise end in a constant: no better than the best constant, whatever the input",
        source="EEG record, batch-norm statistics of the checkpoints",
        check=all_of(
            finding_in_every_seed("volts", "collapsed_output"),
            finding_in_every_seed("volts", "no_skill"),
            every_seed("volts", "prediction_sd_ratio", "<=", 1e-3),
            every_seed("volts", "nrmse", ">=", 0.99),
        ),
        documented=1.0,
    ),
    Claim(
        name="noise_drowns_windows_in_volts",
        says="the first layer normalizes by the variance of the noise in volts, and by that of the windows as z-scores",
        source="EEG record, batch-norm statistics of the checkpoints",
        check=all_of(window_share("volts", "<=", 1e-3), window_share("scaled_noise", ">=", 0.9)),
    ),
    Claim(
        name="scaling_is_the_fix",
        says="the same noise on z-scored windows does no harm: every model beats the constant, and its twin in volts",
        source="project",
        check=all_of(
            finding_in_no_seed("scaled_noise", "collapsed_output"),
            every_seed("scaled_noise", "skill_vs_mean", ">=", 0.05),
            every_difference("scaled_noise", "volts", "nrmse", "<=", -0.05),
            mean_difference("scaled_noise", "volts", "nrmse", "<=", -0.2),
        ),
        fewest_seeds=5,
    ),
    Claim(
        name="mixup_does_not_rescue_volts",
        says="mixup leaves the constant where it was, as in the record's retraining with five seeds",
        source="EEG record, retraining with mixup (0.1607 to 0.1610)",
        check=all_of(
            finding_in_every_seed("volts_mixup", "collapsed_output"),
            finding_in_every_seed("volts_mixup", "no_skill"),
            every_seed("volts_mixup", "nrmse", ">=", 0.99),
            mean_ratio("volts_mixup", "volts", "val_mse", ">=", 0.85),
            mean_ratio("volts_mixup", "volts", "val_mse", "<=", 1.15),
        ),
        documented=1.0,
    ),
    Claim(
        name="augmentation_moves_a_healthy_model",
        says="test-time augmentation moves the predictions of a model that learns by tens of ms, a constant's by none",
        source="EEG record, test-time augmentation: equal errors, because one module was compared with itself",
        check=all_of(
            every_seed("mixup", "tta_change_s", ">=", 5e-3),
            every_seed("volts", "tta_change_s", "<=", 1e-4),
        ),
        documented=0.0,
    ),
)
