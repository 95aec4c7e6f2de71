"""The EEG case at its documented size: windows of 129 channels x 200 samples, and the recipes of the record's models.

V8, "aggressive" and the ensemble's three versions, each in volts, as the record most likely trained them, and z-scored;
each without mixup, with its own, and with a strong one (alpha 1, every batch). All of one recipe share data, order and
draws seed by seed. What had to be chosen, because the record does not give it:

- 2,048 training windows of 64 subjects and 512 validation windows of 32 others. The record's 24,467 would take 2.5 GB a
  run; the epochs are the record's, so the steps are fewer by the same twelfth.
- "Aggressive" was another net, of 95,441 parameters, whose layers are not on record: its recipe trains CompactRT here.
- Warm restarts come every five epochs; how far augmentations go stands in `augmentation`. Where a recipe gives no
  probability for one, V8's holds.
- An ensemble of five is one model here, whose members have weights, order, augmentation, dropout and mixing weights of
  their own: another seed is another data set, so that predictions of several runs cannot be averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

from goldmark.case import Check, Claim, Runs, Variant
from goldmark.cases.eeg import CASE, EegSettings
from goldmark.cases.eeg.experiments import window_share
from goldmark.cases.eeg.scores import FULL_METRICS
from goldmark.claims import (
    all_of,
    every_seed,
    finding_in_every_seed,
    finding_in_no_seed,
    mean,
    mean_ratio,
    metric_values,
)

N_TRAIN, CYCLE_EPOCHS = 2048, 5
EPOCHS = {"v8": 15, "aggressive": 50, "ensemble": 25}

V8 = EegSettings(
    n_train=N_TRAIN,
    n_val=512,
    train_subjects=64,
    val_subjects=32,
    channels=129,
    samples=200,
    amplitude=0.08,  # with eight times the channels, the score is about that of the fast scale
    roll_p=0.5,
    scale_p=0.5,
    noise_p=0.3,
    noise_sd=0.01,
    mixup_alpha=0.2,
    loss="smooth_l1",
    widths=(32, 64, 128),
    kernels=(7, 5, 3),
    head=(64, 32),
    conv_dropout=(0.5, 0.6, 0.7),
    head_dropout=(0.6, 0.5),
    lr=1e-3,
    lr_min=0.0,
    weight_decay=0.05,
    steps=EPOCHS["v8"] * (N_TRAIN // 64),
    batch=64,
)

AGGRESSIVE: Mapping[str, Any] = {
    "weight_decay": 0.1,
    "batch": 32,
    "steps": EPOCHS["aggressive"] * (N_TRAIN // 32),
    "cycles": EPOCHS["aggressive"] // CYCLE_EPOCHS,
    "conv_dropout": (0.6, 0.7, 0.75),
    "head_dropout": (0.7, 0.6),
    "noise_sd": 0.02,
    "channel_drop_p": 0.1,
    "cutout_p": 0.5,
    "mixup_alpha": 0.4,
    "mixup_fraction": 0.5,
}
ENSEMBLE: Mapping[str, Any] = {
    "loss": "mse",
    "clip": 1.0,
    "steps": EPOCHS["ensemble"] * (N_TRAIN // 64),
    "cycles": EPOCHS["ensemble"] // CYCLE_EPOCHS,
    "conv_dropout": (0.3, 0.4, 0.5),
    "head_dropout": (0.5, 0.4),
    "roll_p": 1.0,
    "scale_p": 1.0,
    "noise_p": 1.0,
    "mixup_fraction": 0.5,
}
WRONG_NET: Mapping[str, Any] = {
    "widths": (32, 64, 96),
    "kernels": (5, 5, 3),
    "max_pool": True,
    "head": (32,),
    "head_dropout": (0.5,),
}
VOLTS: Mapping[str, Any] = {"input_scale": "volts"}


def recipe(name: str, says: str, strong: Mapping[str, Any], without: str | None = None) -> tuple[Variant, ...]:
    """Return what departs from a recipe's variant: in volts, and in both units without mixup and with a strong one."""
    off, much = without or f"{name}_no_mixup", f"{name}_strong_mixup"
    return (
        Variant(
            name=f"{name}_volts",
            says=f"{says}, on windows in volts",
            role="broken",
            of=name,
            changes=VOLTS,
            seen_by="prediction_sd_ratio",
        ),
        Variant(name=off, says=f"{says}, without mixup", role="option", of=name, changes={"mixup_fraction": 0.0}),
        Variant(
            name=f"{off}_volts",
            says=f"{says}, without mixup, on windows in volts",
            role="control",
            of=off,
            changes=VOLTS,
        ),
        Variant(
            name=much, says=f"{says}, with mixup of alpha 1 in every batch", role="option", of=name, changes=strong
        ),
        Variant(
            name=f"{much}_volts",
            says=f"{says}, with mixup of alpha 1, on windows in volts",
            role="control",
            of=much,
            changes=VOLTS,
        ),
    )


VARIANTS = (
    Variant(
        name="v8", says="V8: SmoothL1, mixup of alpha 0.2 in every batch", role="fixed", guards={"val_mse": "v8_volts"}
    ),
    *recipe("v8", "V8", {"mixup_alpha": 1.0}),
    Variant(name="v8_mse", says="V8, trained on the squared error", role="option", of="v8", changes={"loss": "mse"}),
    Variant(
        name="v8_mse_volts",
        says="V8, trained on the squared error, on windows in volts",
        role="control",
        of="v8_mse",
        changes=VOLTS,
    ),
    Variant(
        name="aggressive",
        says="the aggressive recipe: more dropout and augmentation, on CompactRT",
        role="option",
        of="v8",
        changes=AGGRESSIVE,
    ),
    *recipe("aggressive", "the aggressive recipe", {"mixup_alpha": 1.0, "mixup_fraction": 1.0}),
    Variant(
        name="ensemble_v3",
        says="the ensemble's recipe with mixup restored, in half of the batches",
        role="option",
        of="v8",
        changes=ENSEMBLE,
    ),
    *recipe("ensemble_v3", "the ensemble's recipe", {"mixup_alpha": 1.0, "mixup_fraction": 1.0}, "ensemble_v2"),
    Variant(
        name="ensemble_v1",
        says="the ensemble's recipe with a tenth of the windows mixed, on a net of 53,025 parameters by mistake",
        role="broken",
        of="ensemble_v3",
        changes={**WRONG_NET, "mixup_of": "windows", "mixup_fraction": 0.1},
        seen_by="contract",
    ),
    *recipe(
        "ensemble_v1",
        "the ensemble's first version",
        {"mixup_of": "batches", "mixup_alpha": 1.0, "mixup_fraction": 1.0},
    ),
    Variant(
        name="ensemble_average",
        says="the average of five nets of the ensemble's recipe, not clipped: one norm over all five would couple them",
        role="option",
        of="ensemble_v3",
        changes={"members": 5, "clip": None},
    ),
    Variant(
        name="ensemble_average_volts",
        says="the average of five nets of the ensemble's recipe, on windows in volts",
        role="control",
        of="ensemble_average",
        changes=VOLTS,
    ),
)

# Errors in s^2, on competition data whose targets have a variance of 0.1606; here it is 0.16. The record gives losses:
# V8's squared error is its NRMSE over the range, 0.160418, times the range, 2.498 s; v3's is the mean of five seeds.
DOCUMENTED: Mapping[str, Mapping[str, float]] = {
    "v8_volts": {"val_smooth_l1": 0.079314, "val_mse": 0.16058},
    "aggressive_volts": {"val_smooth_l1": 0.079508},
    "ensemble_v1_volts": {"val_mse": 0.160783},
    "ensemble_v2_volts": {"val_mse": 0.160783},
    "ensemble_v3_volts": {"val_mse": 0.160837},
}

MIXTURES = ("v8", "v8_no_mixup", "v8_strong_mixup", "aggressive", "ensemble_v1", "ensemble_v3", "ensemble_average")


def _mse_over_smooth_l1(runs: Runs) -> dict[int, float]:
    """Return the ensemble's squared error over V8's SmoothL1, by seed: what the record compared."""
    losses = metric_values(runs, "v8_volts", "val_smooth_l1")
    errors = metric_values(runs, "ensemble_v2_volts", "val_mse")
    return {seed: errors[seed] / losses[seed] for seed in errors if seed in losses}


FACTOR = Check(
    says="val_mse of 'ensemble_v2_volts' / val_smooth_l1 of 'v8_volts', mean",
    variants=("ensemble_v2_volts", "v8_volts"),
    measure=_mse_over_smooth_l1,
    relation=">=",
    limit=1.95,
    statistic=fmean,
)

# Predictions, from what the record's numbers say of its models, until a first full run has confirmed them; the
# contract, the factor of SmoothL1 and the gain of an average are theorems.
CLAIMS = (
    Claim(
        name="every_recipe_collapses_in_volts",
        says="every documented recipe, on windows in volts, ends in a constant: an NRMSE of 1",
        source="EEG record, every model scores the variance of the targets; challenge score 1.0002",
        check=all_of(
            *(finding_in_every_seed(name, "collapsed_output") for name in DOCUMENTED),
            *(every_seed(name, "nrmse", ">=", 0.99) for name in DOCUMENTED),
        ),
        documented=1.0,
    ),
    Claim(
        name="recipes_score_the_same_in_one_unit",
        says="in squared errors V8 and the retrained models are equal, in volts: no factor of two (geometric mean)",
        source="EEG record, V8's NRMSE over the range against the ensemble's losses (0.16058 / 0.160783)",
        check=all_of(
            mean_ratio("v8_volts", "ensemble_v2_volts", "val_mse", ">=", 0.95),
            mean_ratio("v8_volts", "ensemble_v2_volts", "val_mse", "<=", 1.05),
        ),
        documented=0.9987,
        fewest_seeds=5,
    ),
    Claim(
        name="mixup_restored_changes_nothing_in_volts",
        says="mixup leaves the constant where it was (geometric mean)",
        source="EEG record, v3 with mixup restored against v2 (0.160837 / 0.160783)",
        check=all_of(
            mean_ratio("ensemble_v3_volts", "ensemble_v2_volts", "val_mse", ">=", 0.97),
            mean_ratio("ensemble_v3_volts", "ensemble_v2_volts", "val_mse", "<=", 1.03),
        ),
        documented=1.0003,
        fewest_seeds=5,
    ),
    Claim(
        name="factor_two_is_a_unit",
        says="one constant is twice as bad in MSE as in SmoothL1, which halves the square of errors below 1 s",
        source="EEG record, SmoothL1 of V8 against MSE of the ensemble (0.160783 / 0.079314)",
        check=all_of(FACTOR, replace(FACTOR, relation="<=", limit=2.05)),
        documented=2.027,
        fewest_seeds=5,
    ),
    Claim(
        name="noise_drowns_windows_in_volts",
        says="the first layer normalizes by the variance of the noise in volts, and by that of the windows as z-scores",
        source="EEG record, batch-norm statistics of the checkpoints",
        check=all_of(
            *(window_share(name, "<=", 1e-3) for name in DOCUMENTED),
            *(window_share(name, ">=", 0.9) for name in ("v8", "ensemble_v3")),
        ),
    ),
    Claim(
        name="mixup_keeps_its_contract",
        says="inputs and targets are mixed with one weight and one order, in as many batches or windows as meant",
        source="EEG record, mixup of data set and loop at once",
        check=all_of(*(finding_in_no_seed(name, "wrong_mixup") for name in MIXTURES)),
    ),
    Claim(
        name="scaling_is_the_fix",
        says="z-scored, the same recipes learn: no model has collapsed, and on average they beat the constant",
        source="project",
        check=all_of(
            *(finding_in_no_seed(name, "collapsed_output") for name in ("v8", "ensemble_v3")),
            *(mean(name, "skill_vs_mean", ">=", 0.2) for name in ("v8", "ensemble_v3")),
        ),
        fewest_seeds=5,
    ),
    Claim(
        name="an_average_is_never_worse",
        says="the average of predictions has an MSE no higher than its members' (Krogh and Vedelsby, 1995)",
        source="EEG record, average of five seeds, expected to gain 1 to 3 %",
        check=all_of(
            every_seed("ensemble_average_volts", "gain_of_average", ">=", -1e-12),
            every_seed("ensemble_average", "gain_of_average", ">=", 0.0),
        ),
        documented=0.02,
    ),
)

FULL = replace(
    CASE,
    settings=V8,
    seeds=16,
    variants=VARIANTS,
    metrics=FULL_METRICS,
    claims=CLAIMS,
    fixtures={},
    scale="full",
)

SMOKE: Mapping[str, Any] = {"n_train": 4, "n_val": 4, "batch": 2, "steps": 2}
