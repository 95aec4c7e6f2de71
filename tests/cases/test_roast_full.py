"""The roast case at its documented size, and its runs in stacks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from goldmark.case import find_metric, find_variant, settings_of
from goldmark.cases import case_at
from goldmark.cases.roast import CASE, loss, make_model, rate_factor
from goldmark.cases.roast.curves import generate
from goldmark.cases.roast.full import DOCUMENTED, FULL, SMOKE
from goldmark.cases.roast.scores import baseline_rmses_f
from goldmark.training.draws import Draws
from goldmark.training.plan import Job
from goldmark.training.single import train_single
from goldmark.training.stacked import train_stacked

SMALL = {**SMOKE, "length": 20, "shortest": 12, "generated_steps": 0}


def parameters(variant):
    """The number of parameters of a variant's model, built on its own settings."""
    settings = replace(settings_of(FULL, variant), n_train=2, n_val=2)
    return sum(p.numel() for p in make_model(settings, generate(settings, 0)).parameters())


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
    settings = [settings_of(FULL, variant.name) for variant in FULL.variants]
    assert (41, 41) == (len(settings), len(set(settings)))
    assert {(123, 21, 800, 1, 8)} == {(s.n_train, s.n_val, s.length, s.grid_s, s.batch) for s in settings}
    assert {16 * 15, 15 * 15} == {s.steps for s in settings}


@pytest.mark.parametrize("variant", FULL.variants, ids=lambda variant: variant.name)
def test_every_change_is_a_change(variant):
    """No setting is repeated with the value it had, and scales differ from their twin in scales alone."""
    before = FULL.settings if variant.of is None else settings_of(FULL, variant.of)
    assert [] == [name for name, value in variant.changes.items() if getattr(before, name) == value]
    if not variant.name.endswith("_normalized"):
        assert {"input_scale", "target_scale"} == set(variant.changes)


def test_documented_numbers_and_claims_name_what_exists():
    """A documented number stands beside a metric of a variant; claims speak of variants of this scale."""
    names = {variant.name for variant in FULL.variants}
    for variant, numbers in DOCUMENTED.items():
        assert find_variant(FULL, variant)
        assert all(find_metric(FULL, metric).unit == "F" for metric in numbers)
    assert all(set(claim.variants) <= names for claim in FULL.claims)
    assert len({claim.name for claim in FULL.claims}) == len(FULL.claims)


def test_learning_rate_is_cut_off_where_the_record_stopped():
    """After 16 of 100 epochs the cosine stands where its formula says, not at its end."""
    settings = settings_of(FULL, "first_sinusoidal_raw")
    expected = (1e-6 + (1e-4 - 1e-6) * (1 + math.cos(math.pi * 16 / 100)) / 2) / 1e-4
    assert pytest.approx(expected, rel=1e-12) == rate_factor(settings, 240)
    assert pytest.approx(0.01) == rate_factor(settings_of(FULL, "later_micro_raw"), 225)


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


def jobs_of(variants, changes, dtype="float64", seeds=(0, 1)):
    """Jobs of a fast variant's recipe changed, for some seeds."""
    varied = tuple(replace(variant, changes={**variant.changes, **changes}) for variant in CASE.variants)
    return [Job(replace(CASE, variants=varied), variant, seed, "cpu", dtype) for variant in variants for seed in seeds]


@pytest.mark.parametrize(
    ("variants", "changes"),
    [
        (("normalized", "raw_fahrenheit", "raw_targets", "zscore"), {}),
        (("normalized", "zscore"), {"positions": "learned", "use_flavors": False}),
        (("raw_targets", "zscore"), {"positions": "rope", "residual": True}),
        (("normalized",), {"dropout": 0.2, "cosine_steps": 20}),
    ],
)
def test_stacked_runs_are_the_single_ones(variants, changes):
    """A group of mixed scales trains as its runs do alone: same stream and rates, float64 metrics to 1e-9."""
    jobs = jobs_of(variants, {**changes, "steps": 8})
    for alone, stacked in zip(map(train_single, jobs), train_stacked(jobs), strict=True):
        assert (alone.stream, alone.learning_rates) == (stacked.stream, stacked.learning_rates)
        assert [pytest.approx(row, rel=1e-9, abs=1e-12) for row in alone.history] == list(stacked.history)
        assert pytest.approx(dict(alone.metrics), rel=1e-9, abs=1e-12) == stacked.metrics


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
    jobs = [job for value in values for job in jobs_of(("normalized",), {"steps": 8, setting: value}, seeds=(0,))]
    together, alone = train_stacked(jobs), [train_single(job) for job in jobs]
    for one, other in zip(together, alone, strict=True):
        assert pytest.approx(other.metrics["rmse_f"], rel=1e-9) == one.metrics["rmse_f"]
    assert together[0].metrics["rmse_f"] != pytest.approx(together[1].metrics["rmse_f"], rel=1e-6)


def smoke_job(variant, **changes):
    """The miniature of a full variant, further changed."""
    case = case_at("roast", "smoke")
    varied = tuple(replace(other, changes={**other.changes, **changes}) for other in case.variants)
    return Job(replace(case, variants=varied, settings=replace(case.settings, **changes)), variant, 0)


@pytest.mark.slow  # the miniature of the matrix takes every shape too
@pytest.mark.parametrize("variant", ["later_micro_zscore", "later_learned_raw"])
def test_full_length_trains_in_a_stack(variant):
    """The miniature keeps widths and the 800 steps, and ends with every declared metric finite."""
    (run,) = train_stacked([smoke_job(variant)])
    assert [2, 800] == run.exact["shapes"]["train_temp_f"]
    assert all(map(math.isfinite, run.metrics.values()))
    assert 10 >= run.metrics["distinct_values"]


@pytest.mark.slow  # the miniature of the matrix takes every shape too
@pytest.mark.parametrize(
    "variant",
    [
        "first_sinusoidal_raw",
        "first_learned_normalized",
        "first_rope_raw",
        "first_no_flavors_normalized",
        "first_small_raw",
        "later_rope_normalized",
        "recovery_combined_normalized",
        "recovery_high_dropout_raw",
        "later_no_flavors_zscore",
    ],
)
def test_full_width_trains_in_a_stack(variant):
    """Every other architecture at its full width, on curves of 20 steps, which take a fortieth of the time."""
    (run,) = train_stacked([smoke_job(variant, **SMALL)])
    assert all(map(math.isfinite, run.metrics.values()))
    settings = run.exact["recipe"]
    assert settings["width"] == settings_of(FULL, variant).width


@pytest.mark.slow  # the miniature of the matrix takes every shape too
def test_the_largest_model_takes_a_batch_of_full_length():
    """One loss of the original model over 800 steps, and a gradient for every parameter that an output depends on."""
    settings = replace(settings_of(FULL, "first_sinusoidal_raw"), n_train=2, n_val=2, batch=2)
    data = {name: t.float() if t.is_floating_point() else t for name, t in generate(settings, 0).items()}
    model = make_model(settings, data)
    loss(model, data, torch.arange(2), Draws.at(0, 0), settings).backward()
    assert [] == [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
