"""The roast case at its documented size: sizes, recipes, the record's numbers and claims, and its runs in stacks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from runs.bare import bare_run

from goldmark.case import Finding
from goldmark.cases import case_at
from goldmark.cases.roast import CASE
from goldmark.cases.roast.data import generate
from goldmark.cases.roast.full import DOCUMENTED, FULL, SMOKE
from goldmark.cases.roast.scores import baseline_rmses_f
from goldmark.runs import Job
from goldmark.training._single import train_single
from goldmark.training._stacked import train_stacked
from goldmark.training.draws import Draws

SMALL = {**SMOKE, "length": 20, "shortest": 12, "generated_steps": 0}


def parameters(variant):
    """The number of parameters of a variant's model, built on its own settings."""
    settings = replace(FULL.settings_of(variant), n_train=2, n_val=2)
    return sum(p.numel() for p in FULL.make_model(settings, generate(settings, 0)).parameters())


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("later_micro_normalized", 45_665),
        ("recovery_micro_raw", 45_665),
        ("later_tiny_zscore", 218_273),
        ("recovery_tiny_raw", 218_273),
        ("recovery_combined_raw", 218_273),
        ("later_rope_raw", 218_273),
        ("later_learned_normalized", 269_473),
        ("later_medium_normalized", 1_088_993),
        ("recovery_low_lr_raw", 1_088_993),
        ("recovery_high_dropout_raw", 1_088_993),
        ("first_small_raw", 1_615_329),
        ("first_sinusoidal_raw", 6_376_673),
        ("first_rope_raw", 6_376_673),
        ("later_original_zscore", 6_376_673),
        ("first_learned_raw", 6_581_473),
        ("first_no_flavors_raw", 6_376_673 - 99 * 32 - 32 * 256),  # of flavors, and of the condition that held them
        ("later_no_flavors_raw", 218_273 - 99 * 32 - 32 * 64),
    ],
)
def test_parameters_are_the_documented_ones(variant, expected):
    """Every architecture has exactly the parameters that were counted for the record."""
    assert expected == parameters(variant)


def test_every_variant_resolves_to_a_recipe_of_its_own():
    """17 experiments on two scales, and z-scored in the later suite: 41 recipes, no two of them equal."""
    settings = [FULL.settings_of(variant.name) for variant in FULL.variants]
    assert (41, 41) == (len(settings), len(set(settings)))
    assert {(123, 21, 800, 1, 8)} == {(s.n_train, s.n_val, s.length, s.grid_s, s.batch) for s in settings}
    assert {16 * 15, 15 * 15} == {s.steps for s in settings}


@pytest.mark.parametrize("variant", FULL.variants, ids=lambda variant: variant.name)
def test_every_change_is_a_change(variant):
    """No setting is repeated with the value it had, and scales differ from their twin in scales alone."""
    before = FULL.settings if variant.of is None else FULL.settings_of(variant.of)
    assert [] == [name for name, value in variant.changes.items() if getattr(before, name) == value]
    if not variant.name.endswith("_normalized"):
        assert {"input_scale", "target_scale"} == set(variant.changes)


RECORD = {
    "first_sinusoidal_raw": {"rmse_f": 266.36},
    "first_rope_raw": {"rmse_f": 266.62},
    "first_learned_raw": {"rmse_f": 266.84},
    "first_no_flavors_raw": {"rmse_f": 267.14},
    "first_small_raw": {"rmse_f": 272.05},
    "recovery_high_dropout_raw": {"rmse_f": 271.88, "teacher_forced_mae_f": 291.09, "prediction_mean_f": 9.8},
    "recovery_tiny_raw": {"rmse_f": 274.72, "teacher_forced_mae_f": 294.37, "prediction_mean_f": 6.6},
    "recovery_low_lr_raw": {"rmse_f": 275.18, "teacher_forced_mae_f": 294.84, "prediction_mean_f": 6.0},
    "recovery_combined_raw": {"rmse_f": 275.95, "teacher_forced_mae_f": 295.78, "prediction_mean_f": 5.2},
    "recovery_micro_raw": {"rmse_f": 277.12, "teacher_forced_mae_f": 297.11, "prediction_mean_f": 3.8},
    "later_original_normalized": {"rmse_f": 10.4},
    "later_medium_normalized": {"rmse_f": 16.5},
    "later_tiny_normalized": {"rmse_f": 23.4},
    "later_no_flavors_normalized": {"rmse_f": 27.2},
    "later_rope_normalized": {"rmse_f": 28.1},
    "later_learned_normalized": {"rmse_f": 43.8},
    "later_micro_normalized": {"rmse_f": 49.3},
}


@pytest.mark.parametrize("variant", RECORD)
def test_documented_numbers_are_the_record_s(variant):
    """Number by number as the record has them, in degrees Fahrenheit, beside metrics of variants that there are."""
    assert set(RECORD) == set(DOCUMENTED)
    assert set(RECORD[variant]) == set(DOCUMENTED[variant])
    for metric, number in RECORD[variant].items():
        assert (metric, number) == (metric, DOCUMENTED[variant][metric])
    assert FULL.variant(variant)
    assert {"F"} == {FULL.metric(metric).unit for metric in DOCUMENTED[variant]}


@pytest.mark.parametrize("name", [name for name, numbers in RECORD.items() if "prediction_mean_f" in numbers])
def test_documented_constants_give_the_documented_errors(name):
    """A constant below every target is off by the mean, 300.9 F in the validation half, less itself: to .1 F."""
    numbers = DOCUMENTED[name]
    assert pytest.approx(300.9, abs=0.1) == numbers["teacher_forced_mae_f"] + numbers["prediction_mean_f"]


def test_learning_rate_is_cut_off_where_the_record_stopped():
    """After 16 of 100 epochs the cosine stands where its formula says, not at its end."""
    settings = FULL.settings_of("first_sinusoidal_raw")
    expected = (1e-6 + (1e-4 - 1e-6) * (1 + math.cos(math.pi * 16 / 100)) / 2) / 1e-4
    assert pytest.approx(expected, rel=1e-12) == FULL.rate_factor(settings, 240)
    assert pytest.approx(0.01) == FULL.rate_factor(FULL.settings_of("later_micro_raw"), 225)


def test_full_profiles_look_like_the_measured_ones():
    """Measured: mean 300 F, sd 78 F, turning at 130-174 F after 37-101 s; persistence errs by 1.9 F, the mean by 71."""
    data = generate(FULL.settings, 0)
    curves, valid = data["train_temp_f"], data["train_valid"]
    assert (123, 800) == tuple(curves.shape)
    assert (pytest.approx(300, abs=15), pytest.approx(78, abs=10)) == (data["temp_mean_f"], data["temp_sd_f"])
    assert 125 < curves.min() < 180
    assert 30 <= curves.argmin(dim=1).min()
    assert curves.argmin(dim=1).max() <= 101
    assert 561 <= valid.sum(dim=1).min()
    assert valid.sum(dim=1).max() <= 800
    assert data["train_categories"].amax(dim=0).tolist() == [18, 12, 6, 24]
    assert 1.5 < data["train_flavors"].sum(dim=1).mean() < 3.5
    naive = baseline_rmses_f(data)
    assert 1.0 < naive["persistence"] < 3.0
    assert 55 < naive["mean"] < 90


MEAN_F, MEAN_CURVE_F, PERSISTENCE_F = 71.3, 21.9, 1.92  # RMSE of the naive predictors on the record's validation half


SIGNS = ("target_scale", "collapsed_output")


def planted(rmse_f, *, far, travel=1.66, seeds=5, **numbers):
    """What claims read of runs with that RMSE: skills, and what the checks see of targets far from the model or not."""
    skills = {"mean": MEAN_F, "mean_curve": MEAN_CURVE_F, "persistence": PERSISTENCE_F}
    metrics = {"rmse_f": rmse_f, **{f"skill_vs_{name}": 1 - rmse_f / value for name, value in skills.items()}}
    findings = tuple(Finding(name=name, trouble=far, numbers={}, threshold=0.0, advice="") for name in SIGNS)
    constant_f = numbers.setdefault("prediction_mean_f", 10.0 if far else 300.0)
    numbers.setdefault("teacher_forced_mae_f", 300.9 - constant_f)
    evaluated = [{"prediction_mean_f": 0.1}, {"prediction_mean_f": constant_f - travel}]
    history, close = [*evaluated, {"prediction_mean_f": constant_f}], {"travel_unit_f": 1.0}
    read = {"metrics": {**metrics, **numbers}, "findings": findings, "history": history, "close": close}
    return [bare_run(**read, seed=seed) for seed in range(seeds)]


def record_of(name: str):
    """The record's numbers of a variant; where it has none, of a raw model 270 F, of a normalized one 40."""
    raw, numbers = name.endswith("_raw"), dict(DOCUMENTED.get(name, {}))
    return planted(numbers.pop("rmse_f", 270.0 if raw else 40.0), far=raw, **numbers)


RIGHT = {variant.name: record_of(variant.name) for variant in FULL.variants}
PARTS = [(claim.name, place) for claim in FULL.claims for place in range(len(claim.check.parts))]
# What would refute the claims: raw models that learn, normalized ones that do not, small and large ones alike, and
# models that beat persistence.
WRONG: Mapping[str, tuple[object, ...]] = {
    "_raw": (
        planted(23.4, far=False, teacher_forced_mae_f=20.0),
        planted(270.0, far=True, travel=19.0),
        planted(270.0, far=True, travel=0.0),
    ),
    "_normalized": (planted(270.0, far=True), planted(45.0, far=False), planted(1.0, far=False)),
}


@pytest.mark.parametrize("claim", FULL.claims, ids=lambda claim: claim.name)
def test_claims_hold_on_the_numbers_of_the_record(claim):
    """The documented numbers satisfy every claim of the full scale, which says where it is from."""
    assert claim.verdict(RIGHT)
    assert claim.source


@pytest.mark.parametrize(("claim", "place"), PARTS)
def test_every_part_of_a_full_claim_can_fail(claim, place):
    """One variant of another kind breaks a part that speaks of it, and no part that does not."""
    parts = FULL.claim(claim).check.parts
    part, (name, *_) = parts[place], parts[place].variants
    wrongs = [{**RIGHT, name: wrong} for wrong in WRONG[f"_{name.rpartition('_')[2]}"]]
    broken = [runs for runs in wrongs if not part(runs)]
    assert broken
    assert all(other(broken[0]) for other in parts if name not in other.variants)


@pytest.mark.parametrize(
    ("claim", "held", "limit"),
    [
        ("raw_models_answer_a_constant", "<=", -1.0),
        ("raw_output_stays_near_zero", "<=", 20.0),
        ("recovery_micro_raw_fails", ">=", 250.0),
        ("normalizing_is_the_fix", ">=", 1.0),
        ("the_original_model_was_not_too_large", "<=", -10.0),
        ("no_documented_model_beats_persistence", "<=", 0.0),
    ],
)
def test_limits_lie_on_the_side_of_the_record(claim, held, limit):
    """Every numeric limit of a full claim, as it was meant before any run of that size."""
    parts = [part for part in FULL.claim(claim).check.parts if not part.says.startswith("trouble")]
    assert {(held, limit)} == {(part.relation, part.limit) for part in parts}


def test_claims_of_the_documented_models_cover_them_all():
    """The ten broken models are judged as constants, the seven of the later suite against persistence and their bug."""
    raw = {name for name in RECORD if name.endswith("_raw")}
    normalized = set(RECORD) - raw
    assert (10, 7) == (len(raw), len(normalized))
    assert raw == set(FULL.claim("raw_models_answer_a_constant").variants)
    assert raw == set(FULL.claim("raw_output_stays_near_zero").variants)
    assert normalized == set(FULL.claim("no_documented_model_beats_persistence").variants)
    later_raw = {name.replace("normalized", "raw") for name in normalized}
    assert normalized | later_raw == set(FULL.claim("normalizing_is_the_fix").variants)


BRIEF = {"n_train": 16, "n_val": 4, "length": 16, "shortest": 12, "steps": 4}  # two epochs of two batches


def jobs_of(variants, changes, dtype="float64", seeds=(0, 1)):
    """Jobs of a fast variant's recipe changed, for some seeds, on few and short profiles."""
    varied = tuple(replace(variant, changes={**variant.changes, **BRIEF, **changes}) for variant in CASE.variants)
    return [Job(replace(CASE, variants=varied), variant, seed, "cpu", dtype) for variant in variants for seed in seeds]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variants", "changes"),
    [
        (("normalized", "raw_fahrenheit", "raw_targets", "zscore"), {}),
        (("normalized", "zscore"), {"positions": "learned", "use_flavors": False}),
        (("raw_targets", "zscore"), {"positions": "rope", "residual": True}),
        (("normalized", "zscore"), {"positions": "rotary"}),
        (("normalized",), {"dropout": 0.2, "cosine_steps": 20}),
    ],
)
def test_stacked_runs_are_the_single_ones(variants, changes):
    """A group of mixed scales trains as its runs do alone: same stream and rates, float64 metrics to 1e-9."""
    jobs = jobs_of(variants, changes)
    for alone, stacked in zip(map(train_single, jobs), train_stacked(jobs), strict=True):
        assert (alone.stream, alone.learning_rates) == (stacked.stream, stacked.learning_rates)
        assert [pytest.approx(row, rel=1e-9, abs=1e-12) for row in alone.history] == list(stacked.history)
        assert pytest.approx(dict(alone.metrics), rel=1e-9, abs=1e-12) == stacked.metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("input_scale", ("raw", "zscore")),
        ("target_scale", ("range", "zscore")),
        ("dropout", (0.1, 0.5)),
        ("cosine_steps", (8, 80)),
    ],
)
def test_stackable_settings_act_inside_a_stack(setting, values):
    """Two values of a setting in one stack give what each gives alone, and not the same."""
    assert setting in CASE.stackable
    jobs = [job for value in values for job in jobs_of(("normalized",), {setting: value}, seeds=(0,))]
    together, alone = train_stacked(jobs), [train_single(job) for job in jobs]
    for one, other in zip(together, alone, strict=True):
        assert pytest.approx(other.metrics["rmse_f"], rel=1e-9) == one.metrics["rmse_f"]
    assert together[0].metrics["rmse_f"] != pytest.approx(together[1].metrics["rmse_f"], rel=1e-6)


def smoke_job(variant, **changes):
    """The miniature of a full variant, further changed."""
    case = case_at("roast", "smoke")
    varied = tuple(replace(other, changes={**other.changes, **changes}) for other in case.variants)
    return Job(replace(case, variants=varied, settings=replace(case.settings, **changes)), variant, 0)


@pytest.mark.slow  # every shape is in the miniature of the matrix, of short roasts
@pytest.mark.parametrize("variant", ["later_micro_zscore", "later_learned_raw"])
def test_full_length_trains_in_a_stack(variant):
    """The miniature with roasts of the documented 800 s ends with every declared metric finite."""
    (run,) = train_stacked([smoke_job(variant, length=FULL.settings.length, shortest=FULL.settings.shortest)])
    assert [2, 800] == run.exact["shapes"]["train_temp_f"]
    assert all(map(math.isfinite, run.metrics.values()))
    assert 10 >= run.metrics["distinct_values"]


@pytest.mark.slow  # every shape is in the miniature of the matrix, of short roasts
def test_the_largest_model_takes_a_batch_of_full_length():
    """One loss of the original model over 800 steps, and a gradient for every parameter that an output depends on."""
    settings = replace(FULL.settings_of("first_sinusoidal_raw"), n_train=2, n_val=2, batch=2)
    data = {name: t.float() if t.is_floating_point() else t for name, t in generate(settings, 0).items()}
    model = FULL.make_model(settings, data)
    FULL.loss(model, data, torch.arange(2), Draws.at(0, 0), settings).backward()
    assert [] == [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
