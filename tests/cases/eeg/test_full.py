"""The EEG matrix at its documented size: recipes, parameter counts, miniatures of every shape, and how runs stack."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from types import MappingProxyType

import pytest
import torch
from runs.bare import bare_run

from goldmark.case import Finding, Variant
from goldmark.cases import case_at
from goldmark.cases.eeg import CASE, EegSettings
from goldmark.cases.eeg.full import DOCUMENTED, FULL, MIXTURES
from goldmark.runs import Job
from goldmark.training._single import train_single
from goldmark.training._stacked import train_stacked

NAMES = [variant.name for variant in FULL.variants]

# Everything that a step can do, on the small net; each variant differs from the first in stackable settings alone.
EVERYTHING = replace(
    CASE,
    settings=EegSettings(
        roll_p=0.5,
        scale_p=0.5,
        noise_p=0.3,
        noise_sd=0.01,
        channel_drop_p=0.1,
        cutout_p=0.5,
        mixup_of="windows",
        mixup_fraction=0.5,
        mixup_alpha=0.2,
        conv_dropout=(0.3, 0.4),
        head_dropout=(0.5,),
        lr_min=0.0,
        clip=1.0,
        steps=4,
        batch=16,
        n_val=16,
    ),
    variants=(
        Variant(name="first", says="the first", role="control"),
        *(
            Variant(name=name, says=f"other {name}", role="control", of="first", changes=changes)
            for name, changes in {
                "volts": {"input_scale": "volts"},
                "loss": {"loss": "smooth_l1"},
                "noise": {"noise_sd": 0.5},
                "mixup": {"mixup_alpha": 1.0, "mixup_fraction": 1.0},
                "dropout": {"conv_dropout": (0.5, 0.6), "head_dropout": (0.7,)},
                "cycles": {"cycles": 2},
                "decay": {"weight_decay": 0.5},
            }.items()
        ),
    ),
)


# --- what the record documents


@pytest.mark.parametrize("name", NAMES)
def test_net_has_the_documented_number_of_parameters(name):
    """74,753 for CompactRT, 53,025 for the net that the ensemble's first version trained by mistake, five for five."""
    expected = 53_025 if name.startswith("ensemble_v1") else 5 * 74_753 if "average" in name else 74_753
    model = FULL.make_model(FULL.settings_of(name), {"train_response_s": torch.zeros(1)})
    assert expected == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_variant_departs_from_another_in_what_it_says(name):
    """Every named change is one; windows are 129 x 200; 16 paired seeds; volts differ in nothing but the scale."""
    variant, own = FULL.variant(name), FULL.settings_of(name)
    of = FULL.settings if variant.of is None else FULL.settings_of(variant.of)
    assert set(variant.changes) == {f.name for f in fields(own) if getattr(own, f.name) != getattr(of, f.name)}
    assert (2048, 512, 129, 200) == (own.n_train, own.n_val, own.channels, own.samples)
    assert range(16) == FULL.seeds_of(name)
    assert name.endswith("_volts") == (own.input_scale == "volts")
    assert not name.endswith("_volts") or FULL.settings_of(name.removesuffix("_volts")) == replace(
        own, input_scale="zscore"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("v8", ("smooth_l1", 64, 0.05, None, 480, (0.5, 0.6, 0.7), (0.6, 0.5), 0.5, 0.5, 0.3, 0.01)),
        ("aggressive", ("smooth_l1", 32, 0.1, None, 3200, (0.6, 0.7, 0.75), (0.7, 0.6), 0.5, 0.5, 0.3, 0.02)),
        ("ensemble_v3", ("mse", 64, 0.05, 1.0, 800, (0.3, 0.4, 0.5), (0.5, 0.4), 1.0, 1.0, 1.0, 0.01)),
    ],
)
def test_recipe_is_the_documented_one(name, expected):
    """Loss, batch, decay, clip, 15, 50 and 25 epochs, dropout, augmentation; learning rate 0.001 down a cosine to 0."""
    own = FULL.settings_of(name)
    optimiser = (own.loss, own.batch, own.weight_decay, own.clip, own.steps)
    augmentation = (own.roll_p, own.scale_p, own.noise_p, own.noise_sd)
    assert expected == (*optimiser, own.conv_dropout, own.head_dropout, *augmentation)
    assert (1e-3, 0.0) == (own.lr, own.lr_min)
    assert own.steps * own.batch // own.n_train // own.cycles == {"v8": 15}.get(name, 5)  # epochs to a restart


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("v8", ("batches", 1.0, 0.2)),
        ("v8_no_mixup", ("batches", 0.0, 0.2)),
        ("v8_strong_mixup", ("batches", 1.0, 1.0)),
        ("aggressive", ("batches", 0.5, 0.4)),
        ("aggressive_strong_mixup", ("batches", 1.0, 1.0)),
        ("ensemble_v1", ("windows", 0.1, 0.2)),
        ("ensemble_v1_strong_mixup", ("batches", 1.0, 1.0)),
        ("ensemble_v2", ("batches", 0.0, 0.2)),
        ("ensemble_v3", ("batches", 0.5, 0.2)),
        ("ensemble_v3_strong_mixup", ("batches", 1.0, 1.0)),
        ("ensemble_average", ("batches", 0.5, 0.2)),
    ],
)
def test_mixup_is_off_documented_or_strong(name, expected):
    """What is mixed, which share of it, and alpha."""
    own = FULL.settings_of(name)
    assert expected == (own.mixup_of, own.mixup_fraction, own.mixup_alpha)


# The numbers of the record: losses as printed, V8's in SmoothL1, the ensemble's in MSE, and V8's NRMSE over the range.
V8_LOSS, AGGRESSIVE_LOSS, ENSEMBLE_LOSS = 0.079314, 0.079508, 0.160783
V8_NRMSE, RANGE_S = 0.160418, 2.498
V3_LOSSES = (0.160919, 0.160764, 0.160983, 0.160740, 0.160780)

RECORD = {
    ("v8_volts", "val_smooth_l1"): V8_LOSS,
    ("v8_volts", "val_mse"): (V8_NRMSE * RANGE_S) ** 2,
    ("aggressive_volts", "val_smooth_l1"): AGGRESSIVE_LOSS,
    ("ensemble_v1_volts", "val_mse"): ENSEMBLE_LOSS,
    ("ensemble_v2_volts", "val_mse"): ENSEMBLE_LOSS,
    ("ensemble_v3_volts", "val_mse"): sum(V3_LOSSES) / 5,
}


@pytest.mark.parametrize(("variant", "metric"), RECORD)
def test_documented_number_is_that_of_the_record(variant, metric):
    """To the digits that the record gives: six decimals of a loss, five where it was computed from an NRMSE."""
    assert (
        pytest.approx(RECORD[variant, metric], abs=5e-6 if metric == "val_mse" else 5e-8)
        == (DOCUMENTED[variant][metric])
    )
    assert variant in NAMES
    assert metric in {known.name for known in FULL.metrics}


def test_nothing_else_is_documented():
    """Every documented number has its literal here."""
    assert set(RECORD) == {(variant, metric) for variant, row in DOCUMENTED.items() for metric in row}
    assert DOCUMENTED == case_at("eeg", "full").documented


@pytest.mark.parametrize(
    ("claim", "documented"),
    [
        ("every_recipe_collapses_in_volts", 1.0),
        ("recipes_score_the_same_in_one_unit", (V8_NRMSE * RANGE_S) ** 2 / ENSEMBLE_LOSS),
        ("mixup_restored_changes_nothing_in_volts", sum(V3_LOSSES) / 5 / ENSEMBLE_LOSS),
        ("factor_two_is_a_unit", ENSEMBLE_LOSS / V8_LOSS),
        ("an_average_is_never_worse", 0.02),
    ],
)
def test_claim_states_the_documented_number(claim, documented):
    """A ratio of the record's numbers, to the digits given; the middle of 1 to 3 % for the average."""
    assert pytest.approx(documented, abs=2e-4) == FULL.claim(claim).documented


# --- miniatures


@pytest.fixture(scope="module")
def miniatures():
    """Stacked runs of every shape, by variant."""
    case = case_at("eeg", "smoke")
    groups = [
        ("v8", "v8_volts", "v8_strong_mixup", "v8_mse"),
        ("v8_no_mixup",),
        ("aggressive",),
        ("ensemble_v3",),
        ("ensemble_v1",),
        ("ensemble_v1_strong_mixup",),
        ("ensemble_average",),
    ]
    return {run.variant: run for names in groups for run in train_stacked([Job(case, name, 0) for name in names])}


def test_miniatures_of_every_shape_train(miniatures):
    """Full widths and lengths, two steps; every metric is there and finite."""
    for run in miniatures.values():
        assert {metric.name for metric in FULL.metrics} == set(run.metrics), run.variant
        assert [] == [name for name, value in run.metrics.items() if not math.isfinite(value)], run.variant
        assert [4, 129, 200] == run.exact["shapes"]["train_eeg"]
    assert {74_753, 53_025, 373_765} == {run.exact["n_parameters"] for run in miniatures.values()}


@pytest.mark.slow
def test_variants_of_a_recipe_pair(miniatures):
    """One seed sees the same order and draws in volts, with any mixup and either loss."""
    names = ("v8", "v8_volts", "v8_strong_mixup", "v8_mse", "v8_no_mixup")
    assert 1 == len({miniatures[name].stream for name in names})
    assert 1 == len({miniatures[name].stream for name in ("ensemble_v1", "ensemble_v1_strong_mixup")})


# --- stacked against single


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["fast", "everything"])
def test_stacked_runs_are_the_single_ones(recipe):
    """Float64, four steps, several variants in one stack: the same stream and rates, and the same history."""
    if recipe == "fast":
        short = tuple(replace(v, changes={**v.changes, "steps": 4}) for v in CASE.variants)
        brief = replace(CASE, settings=replace(CASE.settings, n_val=16), variants=short)
        jobs = [Job(brief, name, seed, dtype="float64") for name, seed in _MIXED]
    else:
        jobs = [Job(EVERYTHING, variant.name, i, dtype="float64") for i, variant in enumerate(EVERYTHING.variants)]
    for job, stacked in zip(jobs, train_stacked(jobs), strict=True):
        single = train_single(job)
        assert (single.stream, single.learning_rates) == (stacked.stream, stacked.learning_rates)
        for expected, row in zip(single.history, stacked.history, strict=True):
            assert {} == differences(expected, row), job.variant


def differences(expected, actual):
    """Return {name: (expected, actual)} of numbers beyond relative 1e-9.

    A skill near 0 and changes of a constant are held to 1e-9 of the numbers behind them.
    """
    near_0 = ("skill_vs_mean", "tta_change_s")
    return {
        name: (expected.get(name), actual.get(name))
        for name in expected | actual
        if expected.get(name) != pytest.approx(actual.get(name), rel=1e-9, abs=1e-9 if name in near_0 else 0)
    }


_MIXED = [("mixup", 0), ("mixup_documented", 0), ("mixup", 1), ("mixup_documented", 2)]


def test_each_stackable_setting_acts_within_a_stack():
    """Of one seed, every variant trains to another loss than the first: its setting reached it through the stack."""
    runs = train_stacked([Job(EVERYTHING, variant.name, 0) for variant in EVERYTHING.variants])
    assert len(runs) == len({run.metrics["train_mse"] for run in runs})
    assert 1 == len({run.stream for run in runs})


@pytest.mark.slow
def test_ensemble_stacks():
    """Two seeds of two members, float64: as above."""
    case = replace(
        CASE, settings=EegSettings(members=2, steps=4, n_val=16, mixup_fraction=0.5, conv_dropout=(0.3, 0.4))
    )
    jobs = [Job(case, "mixup", seed, dtype="float64") for seed in (0, 1)]
    for job, stacked in zip(jobs, train_stacked(jobs), strict=True):
        single = train_single(job)
        assert single.stream == stacked.stream
        assert {} == differences(single.metrics, stacked.metrics)


# --- the claims, on runs as the record would have them and on their opposites

NOTHING = MappingProxyType({})


def planted(variant, seed, metrics=NOTHING, troubles=NOTHING, share=None):
    """Return a run with the record's numbers where it has some: a constant in volts, and a model that learns else.

    `metrics` and `troubles` contradict it, and `share` is what the windows have of the first layer's variance.
    """
    constant = variant.endswith("_volts")
    mse, nrmse = (0.1606, 1.0002) if constant else (0.04, 0.5)
    own = {"val_mse": mse, "val_smooth_l1": mse / 2, "nrmse": nrmse, "skill_vs_mean": 1 - nrmse}
    share = (1e-6 if constant else 0.99) if share is None else share
    seen = {"collapsed_output": constant, "wrong_mixup": False, "drowned_windows": share < 0.5} | troubles
    return bare_run(
        case="eeg",
        scale="full",
        variant=variant,
        seed=seed,
        metrics=own | {"gain_of_average": 0.02} | DOCUMENTED.get(variant, {}) | metrics,
        findings=tuple(
            Finding(name=name, trouble=trouble, numbers={"window_share": share}, threshold=0.5, advice="")
            for name, trouble in seen.items()
        ),
    )


def judged(variant, **contradictions):
    """Return the verdicts of all claims, by name, on five planted runs of each variant, those of one contradicted."""
    runs = {
        name: [planted(name, seed, **(contradictions if name == variant else {})) for seed in range(5)]
        for name in NAMES
    }
    return {claim.name: verdict for claim, verdict in FULL.judge(runs)}


# For each part of each claim, in order: whose runs, the metric or the share of the windows, a value that keeps the
# limit and one that breaks it. Where a check either finds something or not, the finding and what breaks the part.
PARTS = {
    "every_recipe_collapses_in_volts": [
        *((name, "collapsed_output", True, False) for name in DOCUMENTED),
        *((name, "nrmse", 0.991, 0.989) for name in DOCUMENTED),
    ],
    "recipes_score_the_same_in_one_unit": [
        ("v8_volts", "val_mse", 0.96 * ENSEMBLE_LOSS, V8_LOSS),
        ("v8_volts", "val_mse", 1.04 * ENSEMBLE_LOSS, 1.06 * ENSEMBLE_LOSS),
    ],
    "mixup_restored_changes_nothing_in_volts": [
        ("ensemble_v3_volts", "val_mse", 0.98 * ENSEMBLE_LOSS, 0.96 * ENSEMBLE_LOSS),
        ("ensemble_v3_volts", "val_mse", 1.02 * ENSEMBLE_LOSS, 1.04 * ENSEMBLE_LOSS),
    ],
    "factor_two_is_a_unit": [
        ("v8_volts", "val_smooth_l1", ENSEMBLE_LOSS / 1.96, ENSEMBLE_LOSS / 1.94),
        ("v8_volts", "val_smooth_l1", ENSEMBLE_LOSS / 2.04, ENSEMBLE_LOSS / 2.06),
    ],
    "noise_drowns_windows_in_volts": [
        *((name, "window_share", 0.9e-3, 1.1e-3) for name in DOCUMENTED),
        *((name, "window_share", 0.91, 0.89) for name in ("v8", "ensemble_v3")),
    ],
    "mixup_keeps_its_contract": [(name, "wrong_mixup", False, True) for name in MIXTURES],
    "scaling_is_the_fix": [
        *((name, "collapsed_output", False, True) for name in ("v8", "ensemble_v3")),
        *((name, "skill_vs_mean", 0.21, 0.19) for name in ("v8", "ensemble_v3")),
    ],
    "an_average_is_never_worse": [
        ("ensemble_average_volts", "gain_of_average", -1e-13, -1e-11),
        ("ensemble_average", "gain_of_average", 0.0, -1e-9),
    ],
}
PLANTED = [(claim, place, *part) for claim, parts in PARTS.items() for place, part in enumerate(parts)]


def contradicted(claim, variant, name, value):
    """Return a claim's verdict, and the names of the others that do not hold, where runs of a variant say otherwise."""
    if name == "window_share":
        verdicts = judged(variant, share=value)
    else:
        verdicts = judged(variant, **{"troubles" if isinstance(value, bool) else "metrics": {name: value}})
    return verdicts[claim], [other for other, verdict in verdicts.items() if other != claim and not verdict]


def test_claims_hold_on_runs_as_the_record_has_them():
    """All of them, none left unjudged."""
    verdicts = judged(None)
    assert set(PARTS) == set(verdicts)
    assert [] == [verdict for verdict in verdicts.values() if not verdict]


@pytest.mark.parametrize(("claim", "place", "variant", "name", "keeps", "breaks"), PLANTED)
def test_every_part_of_a_claim_has_its_limit(claim, place, variant, name, keeps, breaks):
    """Beyond the limit that part fails and no other, on this side of it all hold, and so do all other claims."""
    assert len(PARTS[claim]) == len(FULL.claim(claim).check.parts)
    kept, others = contradicted(claim, variant, name, keeps)
    assert kept
    assert [] == others
    broken, others = contradicted(claim, variant, name, breaks)
    assert broken.ok is False
    assert [place] == [i for i, part in enumerate(broken.parts) if not part], broken
    assert [] == others


@pytest.mark.parametrize(
    ("claim", "variant", "name"), [(row[0], row[2], row[3]) for row in PLANTED if not isinstance(row[4], bool)]
)
def test_nan_breaks_every_claim(claim, variant, name):
    """A score that is no number is no evidence."""
    assert contradicted(claim, variant, name, math.nan)[0].ok is False
