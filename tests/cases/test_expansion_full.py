"""The expansion case at its documented size: its sizes, its variants, and that they train as one stack."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, fields, replace
from types import SimpleNamespace

import pytest

from goldmark.case import settings_of
from goldmark.cases import case_at
from goldmark.cases.expansion import make_model
from goldmark.cases.expansion.full import DOCUMENTED, FULL, SMOKE
from goldmark.cases.expansion.windows import generate
from goldmark.claims import verdict_on
from goldmark.training.draws import initial_weights
from goldmark.training.plan import Job
from goldmark.training.schedule import n_epochs, steps_per_epoch
from goldmark.training.single import train_single
from goldmark.training.stacked import train_stacked

NAMES = [variant.name for variant in FULL.variants]
SMALL = {"n_train": 12, "n_val": 6, "bars": 20, "features": 4, "hidden": 5, "pooled_width": 6, "batch": 6, "steps": 8}
ONE_STACK = [
    "normalized_countdown",
    "clipped_countdown",
    "delta_10",
    "pos_weight",
    "equilibrium_sigma",
    "fast_sigma",
    "weak_clipped",
    "weak_normalized",
    "weak_delta_10",
    "weak_pos_weight",
]


def shape_of(name):
    """The settings of a variant in which the runs of a stack must agree."""
    settings = asdict(settings_of(FULL, name))
    return tuple(value for field, value in settings.items() if field not in {*FULL.stackable, "lr", "weight_decay"})


# --- sizes


@pytest.mark.parametrize("name", NAMES)
def test_model_has_the_documented_parameter_count(name):
    """12 features, BiLSTM of 96, pooled heads of 64: 97,547 parameters, the four log sigmas included."""
    settings = settings_of(FULL, name)
    with initial_weights(0):
        model = make_model(settings, generate(replace(settings, n_train=2, n_val=2), 0))
    assert sum(parameter.numel() for parameter in model.parameters()) == 97_547


def test_every_run_has_the_documented_size():
    """168 and 42 windows of 105 bars and 12 features, 100 epochs of 5 whole batches of 32, no clipping, no schedule."""
    for settings in (settings_of(FULL, name) for name in NAMES):
        assert (168, 42, 105, 12) == (settings.n_train, settings.n_val, settings.bars, settings.features)
        assert (32, 5, 100) == (settings.batch, steps_per_epoch(settings, 168), n_epochs(settings, 168))
        assert (1e-3, 0.01, None, None) == (settings.lr, settings.weight_decay, settings.lr_min, settings.clip)
        assert settings.input_dropout == 0.3
    assert FULL.seeds == 10


def test_spans_have_the_documented_share_of_bars_and_starts():
    """Lengths of 4 to 11 bars are 7.1 % of 105, from a start of 0 to one of 101: the class weight is 13."""
    settings = replace(settings_of(FULL, "weak_clipped"), n_train=20_000, features=1)
    span = generate(settings, 0)["train_span"]
    share = float(span.mean())
    assert pytest.approx(7.5 / 105, rel=0.01) == share  # four standard errors of a mean of 20,000 lengths
    assert 0.071 <= share <= 0.072
    assert pytest.approx(13.1, abs=0.2) == (1 - share) / share  # the record rounds the share, and so this
    assert (0, 101) == (int(span.argmax(dim=1).min()), int(span.argmax(dim=1).max()))


def test_smoke_keeps_everything_but_examples_and_steps():
    """The miniature differs from the full size in four settings, and in no width or length."""
    smoke = case_at("expansion", "smoke")
    for name in NAMES:
        ours, theirs = asdict(settings_of(smoke, name)), asdict(settings_of(FULL, name))
        assert dict(SMOKE) == {field: ours[field] for field in ours if ours[field] != theirs[field]}


# --- variants


@pytest.mark.parametrize("variant", FULL.variants, ids=NAMES)
def test_variant_changes_something_and_names_what_exists(variant):
    """Every named change is a change; ancestors, guards and the metric that sees it are in the matrix."""
    own = settings_of(FULL, variant.name)
    of = FULL.settings if variant.of is None else settings_of(FULL, variant.of)
    assert set(variant.changes) == {f.name for f in fields(own) if getattr(own, f.name) != getattr(of, f.name)}
    metrics = [metric.name for metric in FULL.metrics]
    assert set(variant.guards) <= set(metrics)
    assert set(variant.guards.values()) <= set(NAMES)
    assert variant.seen_by in [*metrics, "none"]


def test_documented_numbers_are_of_variants_and_metrics_that_exist():
    """Nothing is shown beside a number of another name."""
    assert set(DOCUMENTED) <= set(NAMES)
    assert {name for its in DOCUMENTED.values() for name in its} <= {metric.name for metric in FULL.metrics}


def test_loss_of_the_record_is_the_sum_of_its_terms():
    """The documented terms add up to the documented total, and the countdown's share follows."""
    record = DOCUMENTED["weak_clipped"]
    total = sum(record[f"loss_{term}"] for term in ("type", "pointers", "span", "countdown"))
    assert pytest.approx(record["loss_sum"], abs=0.005) == total  # documented to two decimals
    assert pytest.approx(record["countdown_share_raw"], abs=0.001) == record["loss_countdown"] / total


# --- stacks


def test_variants_of_equal_shapes_stack():
    """Ten variants share a stack, and the strong and the weak cue of three others a stack each."""
    assert [10, 2, 2, 2] == sorted(Counter(map(shape_of, NAMES)).values(), reverse=True)
    assert len({shape_of(name) for name in ONE_STACK}) == 1


def test_stack_of_ten_variants_gives_what_each_gives_alone():
    """Countdown scale, delta, class weight, sigmas, their rate and the cue act run by run, and each of them acts."""
    case = replace(FULL, settings=replace(FULL.settings, **SMALL))
    jobs = [Job(case, name, 0, dtype="float64") for name in ONE_STACK]
    alone, together = [train_single(job) for job in jobs], train_stacked(jobs)
    for one, other in zip(alone, together, strict=True):
        assert (one.stream, one.learning_rates) == (other.stream, other.learning_rates)
        for expected, actual in zip(one.history, other.history, strict=True):
            assert pytest.approx(expected, rel=1e-9, abs=1e-12) == actual  # float64, summed in another order
    assert len({run.history[-1]["train_loss"] for run in together}) == len(jobs)


@pytest.mark.parametrize(
    "names",
    [
        ("clipped_countdown", "weak_pos_weight"),
        ("plain_sum", "weak_plain_sum"),
        ("no_countdown", "weak_no_countdown"),
        ("span_only", "weak_span_only"),
    ],
)
def test_every_shape_trains_in_miniature(names):
    """Two steps at full width and length: finite metrics, 97,547 parameters, and different runs."""
    runs = train_stacked([Job(case_at("expansion", "smoke"), name, 0) for name in names])
    for run in runs:
        assert ("smoke", 97_547) == (run.scale, run.exact["n_parameters"])
        assert all(math.isfinite(value) for value in run.metrics.values())
    assert runs[0].metrics != runs[1].metrics


# --- claims


def stand_in(metrics, loss_at_zero=15.7):
    """What claims read of a run: its metrics, the F1 of marking every bar and the countdown loss at answer 0."""
    every_bar = SimpleNamespace(name="predict_every_bar", metrics={"span_f1": 0.1345})
    close = {"countdown_loss_at_zero": loss_at_zero}
    return [SimpleNamespace(seed=seed, metrics=metrics, baselines=(every_bar,), close=close) for seed in range(5)]


# The record's numbers where it has them; the rest as a trial with one seed found it.
HOLDS = {name: stand_in(numbers) for name, numbers in DOCUMENTED.items()} | {
    "weak_no_countdown": stand_in({"span_f1": 0.0}),
    "weak_delta_10": stand_in({}, 115.1),
    "clipped_countdown": stand_in({"span_f1": 0.75, "countdown_share_gradient": 0.93}),
    "normalized_countdown": stand_in({"span_f1": 0.77, "countdown_share_gradient": 0.27}),
    "delta_10": stand_in({"span_f1": 0.57}),
}
FAILS = {
    "weak_cue_needs_more_than_scale": {"weak_normalized": stand_in({"span_f1": 0.77})},
    "class_weight_moves_f1": {"weak_pos_weight": stand_in({"span_f1": 0.0})},
    "countdown_is_most_of_the_loss": {"weak_clipped": stand_in(DOCUMENTED["weak_normalized"])},
    "weights_had_no_time": {"weak_clipped": stand_in({"sigma_countdown": 3.17})},
    "strong_cue_is_found_in_bars": {"clipped_countdown": stand_in({"span_f1": 0.0})},
    "countdown_takes_the_trunk": {"clipped_countdown": stand_in({"countdown_share_gradient": 0.27})},
    "delta_10_finds_no_more": {"delta_10": stand_in({"span_f1": 0.77})},
    "delta_10_multiplies_the_loss": {"weak_delta_10": stand_in({}, 3.0)},
}


@pytest.mark.parametrize("claim", FULL.claims, ids=lambda claim: claim.name)
def test_claim_holds_on_the_numbers_of_the_record_and_can_fail(claim):
    """Documented numbers satisfy every claim, and one variant of another kind is enough to break it."""
    runs = {variant: HOLDS[variant] for variant in claim.variants}
    assert verdict_on(claim, runs).ok is True
    assert verdict_on(claim, runs | FAILS[claim.name]).ok is False
    assert claim.source
