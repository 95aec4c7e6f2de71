"""The expansion case at its documented size: its sizes, its variants, and that they train as one stack."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, replace

import pytest

from goldmark.case import Baseline, Run
from goldmark.cases import case_at
from goldmark.cases.expansion.data import generate
from goldmark.cases.expansion.full import DOCUMENTED, FULL, SMOKE
from goldmark.runs import Job
from goldmark.training._schedule import n_epochs, steps_per_epoch
from goldmark.training._single import train_single
from goldmark.training._stacked import train_stacked
from goldmark.training.draws import initial_weights

NAMES = [variant.name for variant in FULL.variants]
SMALL = {"n_train": 12, "n_val": 6, "bars": 20, "features": 4, "hidden": 5, "pooled_width": 6, "batch": 6, "steps": 4}
CHANGES = {
    "normalized_countdown": (None, {}),
    "clipped_countdown": ("normalized_countdown", {"countdown_scale": "bars"}),
    "plain_sum": ("clipped_countdown", {"weighting": "sum"}),
    "no_countdown": ("clipped_countdown", {"terms": "no_countdown"}),
    "span_only": ("clipped_countdown", {"terms": "span"}),
    "delta_10": ("clipped_countdown", {"countdown_delta": 10.0}),
    "pos_weight": ("clipped_countdown", {"pos_weight": "balanced"}),
    "equilibrium_sigma": ("clipped_countdown", {"sigma_start": "equilibrium"}),
    "fast_sigma": ("clipped_countdown", {"sigma_lr": 1e-2}),
    "weak_clipped": ("clipped_countdown", {"cue": 0.35}),
    "weak_normalized": ("weak_clipped", {"countdown_scale": "unit"}),
    "weak_plain_sum": ("weak_clipped", {"weighting": "sum"}),
    "weak_no_countdown": ("weak_clipped", {"terms": "no_countdown"}),
    "weak_span_only": ("weak_clipped", {"terms": "span"}),
    "weak_delta_10": ("weak_clipped", {"countdown_delta": 10.0}),
    "weak_pos_weight": ("weak_clipped", {"pos_weight": "balanced"}),
}
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
    settings = asdict(FULL.settings_of(name))
    return tuple(value for field, value in settings.items() if field not in {*FULL.stackable, "lr", "weight_decay"})


# --- sizes


@pytest.mark.parametrize("name", NAMES)
def test_model_has_the_documented_parameter_count(name):
    """12 features, BiLSTM of 96, pooled heads of 64: 97,547 parameters, the four log sigmas included."""
    settings = FULL.settings_of(name)
    with initial_weights(0):
        model = FULL.make_model(settings, generate(replace(settings, n_train=2, n_val=2), 0))
    assert sum(parameter.numel() for parameter in model.parameters()) == 97_547


def test_every_run_has_the_documented_size():
    """168 and 42 windows of 105 bars and 12 features, 100 epochs of 5 whole batches of 32, no clipping, no schedule."""
    for settings in (FULL.settings_of(name) for name in NAMES):
        assert (168, 42, 105, 12) == (settings.n_train, settings.n_val, settings.bars, settings.features)
        assert (32, 5, 100) == (settings.batch, steps_per_epoch(settings, 168), n_epochs(settings, 168))
        assert (1e-3, 0.01, None, None) == (settings.lr, settings.weight_decay, settings.lr_min, settings.clip)
        assert settings.input_dropout == 0.3
    assert FULL.seeds == 10


def test_spans_have_the_documented_share_of_bars_and_starts():
    """Lengths of 4 to 11 bars are 7.1 % of 105, from a start of 0 to one of 101: the class weight is 13."""
    settings = replace(FULL.settings_of("weak_clipped"), n_train=20_000, features=1)
    span = generate(settings, 0)["train_span"]
    share = float(span.mean())
    assert pytest.approx(7.5 / 105, rel=0.01) == share  # four standard errors of a mean of 20,000 lengths
    assert 0.071 <= share <= 0.072
    assert pytest.approx(13.1, abs=0.2) == (1 - share) / share  # the record rounds the share, and so this
    assert (0, 101) == (int(span.argmax(dim=1).min()), int(span.argmax(dim=1).max()))


def test_smoke_keeps_everything_but_examples_their_length_and_steps():
    """The miniature differs from the full size in five settings, and in no width."""
    smoke = case_at("expansion", "smoke")
    for name in NAMES:
        ours, theirs = asdict(smoke.settings_of(name)), asdict(FULL.settings_of(name))
        assert dict(SMOKE) == {field: ours[field] for field in ours if ours[field] != theirs[field]}


# --- variants


@pytest.mark.parametrize("name", NAMES)
def test_variant_changes_what_its_sentence_says_and_nothing_else(name):
    """The settings of a variant and of the one it departs from differ in the named fields alone."""
    of, expected = CHANGES[name]
    own, theirs = asdict(FULL.settings_of(name)), asdict(FULL.settings_of(of) if of else FULL.settings)
    assert expected == {field: own[field] for field in own if own[field] != theirs[field]}
    assert (of, expected) == (FULL.variant(name).of, dict(FULL.variant(name).changes))


def test_the_fixed_recipe_has_the_record_s_loss_on_a_strong_cue():
    """Uncertainty weights at the rate of the trunk, countdown in [0, 1], delta 1, a cue of two sd, no informed bias."""
    settings = FULL.settings_of("normalized_countdown")
    assert ("unit", 1.0, "uncertainty", "record") == (
        settings.countdown_scale,
        settings.countdown_delta,
        settings.weighting,
        settings.sigma_start,
    )
    assert (2.0, 1e-3, False) == (settings.cue, settings.sigma_lr, settings.informed_span_bias)
    assert 121 / 210 == settings.kind_share


@pytest.mark.parametrize("variant", FULL.variants, ids=NAMES)
def test_variant_is_seen_and_guarded_by_what_exists(variant):
    """The metric that sees a variant, the guards and the variants they name are in the matrix."""
    metrics = {metric.name for metric in FULL.metrics}
    assert set(variant.guards) <= metrics
    assert set(variant.guards.values()) <= set(NAMES)
    assert variant.seen_by in {*metrics, "none"}


def test_documented_numbers_are_those_of_the_record():
    """Every number that is shown beside a run of ours stands in the record, and is of a metric that there is."""
    # at the end: no F1, precision and recall for 100 epochs, a separation of .0036, means of .065 inside, .061 outside
    record = {
        "weak_clipped": {"span_f1": 0.0, "span_precision": 0.0, "span_recall": 0.0}
        | {"separation": 0.0036, "in_span": 0.065, "out_span": 0.061}
        # epoch 100: type .68, pointers .009, span .28, countdown 10.08, total 11.05, of which the countdown is 91.2 %
        | {"loss_type": 0.68, "loss_pointers": 0.009, "loss_span": 0.28, "loss_countdown": 10.08, "loss_sum": 11.05}
        | {"countdown_share_raw": 0.912, "countdown_share_effective": 0.7195}  # 71.95 % of the weighted loss
        | {"sigma_pointers": 0.41, "sigma_span": 0.60, "sigma_type": 0.83, "sigma_countdown": 1.47},
        # option 2: "13 % of the loss, F1 stayed 0 for 100 epochs, separation .002"
        "weak_normalized": {"countdown_share_raw": 0.13, "span_f1": 0.0, "separation": 0.002},
        # pos_weight 13.1: "F1 .187 (P .12, R .48), separation .098"
        "weak_pos_weight": {"span_f1": 0.187, "span_precision": 0.12, "span_recall": 0.48, "separation": 0.098},
    }
    assert set(record) == set(DOCUMENTED)
    metrics = {metric.name for metric in FULL.metrics}
    for variant, numbers in record.items():
        assert FULL.variant(variant).name == variant
        assert set(numbers) == set(DOCUMENTED[variant]) <= metrics
        for name, value in numbers.items():
            assert value == DOCUMENTED[variant][name], f"{variant}: {name}"


def test_loss_of_the_record_is_the_sum_of_its_terms():
    """The documented terms add up to the documented total, and the countdown's raw and effective shares follow."""
    record = DOCUMENTED["weak_clipped"]
    losses = {term: record[f"loss_{term}"] for term in ("type", "pointers", "span", "countdown")}
    assert pytest.approx(record["loss_sum"], abs=0.005) == sum(losses.values())  # documented to two decimals
    assert pytest.approx(record["countdown_share_raw"], abs=0.001) == losses["countdown"] / sum(losses.values())
    effective = {term: loss / record[f"sigma_{term}"] ** 2 for term, loss in losses.items()}
    share = effective["countdown"] / sum(effective.values())
    assert pytest.approx(record["countdown_share_effective"], abs=0.005) == share  # of sigmas with two decimals


# --- stacks


def test_variants_of_equal_shapes_stack():
    """Ten variants share a stack, and the strong and the weak cue of three others a stack each."""
    assert [10, 2, 2, 2] == sorted(Counter(map(shape_of, NAMES)).values(), reverse=True)
    assert len({shape_of(name) for name in ONE_STACK}) == 1


@pytest.mark.slow
def test_stack_of_ten_variants_gives_what_each_gives_alone():
    """Countdown scale, delta, class weight, sigmas, their rate and the cue act run by run, and each of them acts."""
    case = replace(FULL, settings=replace(FULL.settings, **SMALL))
    jobs = [Job(case, name, 0, dtype="float64") for name in ONE_STACK]
    alone, together = [train_single(job) for job in jobs], train_stacked(jobs)
    for one, other in zip(alone, together, strict=True):
        assert (one.stream, one.learning_rates) == (other.stream, other.learning_rates)
        for expected, actual in zip(one.history, other.history, strict=True):
            assert set(expected) == set(actual)
            for name, value in expected.items():
                # float64, summed in another order
                assert pytest.approx(value, rel=1e-9, abs=1e-12) == actual[name], f"{one.variant}: {name}"
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
    """Two steps at full width: finite metrics, 97,547 parameters, and different runs."""
    runs = train_stacked([Job(case_at("expansion", "smoke"), name, 0) for name in names])
    for run in runs:
        assert ("smoke", 97_547) == (run.scale, run.exact["n_parameters"])
        assert all(math.isfinite(value) for value in run.metrics.values())
    assert runs[0].metrics != runs[1].metrics


# --- claims


def runs_with(metrics, loss_at_zero=15.7):
    """What claims read of five runs: metrics, the F1 of marking every bar and the countdown's loss at answer 0."""
    every_bar = Baseline(name="predict_every_bar", says="", metrics={"span_f1": 0.1345})
    empty = {"history": (), "learning_rates": (), "findings": (), "exact": {}, "fingerprint": {}, "sources": {}}
    where = {"case": "expansion", "scale": "full", "variant": "", "stream": "", "data": "generated", "seconds": 0.0}
    close = {"countdown_loss_at_zero": loss_at_zero}
    return [Run(seed=seed, metrics=metrics, baselines=(every_bar,), close=close, **where, **empty) for seed in range(5)]


# The record's numbers where it has them; the rest as a trial with one seed found it.
HOLDS = {name: runs_with(numbers) for name, numbers in DOCUMENTED.items()} | {
    "weak_no_countdown": runs_with({"span_f1": 0.0}),
    "weak_delta_10": runs_with({}, 115.1),
    "clipped_countdown": runs_with({"span_f1": 0.75, "countdown_share_gradient": 0.93}),
    "normalized_countdown": runs_with({"span_f1": 0.77, "countdown_share_gradient": 0.27}),
    "delta_10": runs_with({"span_f1": 0.57}),
}
FOUND, MISSED = runs_with({"span_f1": 0.77}), runs_with({"span_f1": 0.0})
# For every part of every claim, in their order, the runs of another kind that break it: numbers of the record or of a
# trial, in the place where they do not belong.
BREAKS = {
    "weak_cue_needs_more_than_scale": [
        {"weak_clipped": FOUND},
        {"weak_normalized": FOUND},
        {"weak_no_countdown": HOLDS["weak_pos_weight"]},
    ],
    "class_weight_moves_f1": [{"weak_pos_weight": MISSED}, {"weak_pos_weight": FOUND}],
    "countdown_is_most_of_the_loss": [{"weak_clipped": HOLDS["weak_normalized"]}],
    "weights_had_no_time": [{"weak_clipped": runs_with({"sigma_countdown": 3.17})}],  # at their equilibrium
    "strong_cue_is_found_in_bars": [{"clipped_countdown": HOLDS["weak_pos_weight"]}],
    "countdown_takes_the_trunk": [
        {"clipped_countdown": HOLDS["normalized_countdown"]},
        {"normalized_countdown": HOLDS["clipped_countdown"]},
    ],
    "delta_10_finds_no_more": [{"delta_10": FOUND}],
    "delta_10_multiplies_the_loss": [{"weak_delta_10": runs_with({}, 3 * 15.7)}],  # as the record expects
}


@pytest.mark.parametrize("claim", FULL.claims, ids=lambda claim: claim.name)
def test_claim_holds_on_the_numbers_of_the_record(claim):
    """What the record and the trials measured satisfies every claim; the record's number is shown beside it."""
    assert claim.verdict({variant: HOLDS[variant] for variant in claim.variants})
    documented = {
        "weak_cue_needs_more_than_scale": 0.0,
        "class_weight_moves_f1": 0.187,
        "countdown_is_most_of_the_loss": 0.912,
        "weights_had_no_time": 1.47,
        "delta_10_multiplies_the_loss": pytest.approx(7.33, abs=0.005),  # 115.1 / 15.7
    }
    assert documented.get(claim.name) == claim.documented


@pytest.mark.parametrize(
    ("claim", "place", "wrong"),
    [
        pytest.param(claim, place, wrong, id=f"{claim.name} {place}")
        for claim in FULL.claims
        for place, wrong in enumerate(BREAKS[claim.name])
    ],
)
def test_part_of_a_claim_fails_on_runs_of_another_kind(claim, place, wrong):
    """Each part can fail, and then its claim does; a part has no other limit than the one that is shown to matter."""
    assert len(BREAKS[claim.name]) == len(claim.check.parts)
    verdict = claim.verdict({variant: HOLDS[variant] for variant in claim.variants} | wrong)
    assert verdict.ok is False
    assert verdict.parts[place].ok is False
