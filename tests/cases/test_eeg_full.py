"""The EEG matrix at its documented size: recipes, parameter counts, miniatures of every shape, and how runs stack."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest
import torch

from goldmark.case import Finding, Variant, find_variant, seeds_of, settings_of
from goldmark.cases import case_at
from goldmark.cases.eeg import CASE, EegSettings, loss, make_data, make_model
from goldmark.cases.eeg.compact_rt import members_of
from goldmark.cases.eeg.full import DOCUMENTED, FULL
from goldmark.cases.eeg.scores import score
from goldmark.claims import judge
from goldmark.training.draws import Draws
from goldmark.training.plan import Job
from goldmark.training.prepare import of_step
from goldmark.training.single import train_single
from goldmark.training.stacked import train_stacked

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
        steps=8,
        batch=16,
    ),
    variants=(
        Variant("first", "the first", "control"),
        Variant("volts", "in volts", "control", "first", {"input_scale": "volts"}),
        Variant("loss", "another loss", "control", "first", {"loss": "smooth_l1"}),
        Variant("noise", "more noise", "control", "first", {"noise_sd": 0.5}),
        Variant("mixup", "another mixup", "control", "first", {"mixup_alpha": 1.0, "mixup_fraction": 1.0}),
        Variant("dropout", "more dropout", "control", "first", {"conv_dropout": (0.5, 0.6), "head_dropout": (0.7,)}),
        Variant("cycles", "warm restarts", "control", "first", {"cycles": 2}),
        Variant("decay", "more weight decay", "control", "first", {"weight_decay": 0.5}),
    ),
)


# --- what the record documents


@pytest.mark.parametrize("name", NAMES)
def test_net_has_the_documented_number_of_parameters(name):
    """74,753 for CompactRT, 53,025 for the net that the ensemble's first version trained by mistake, five for five."""
    expected = 53_025 if name.startswith("ensemble_v1") else 5 * 74_753 if "average" in name else 74_753
    model = make_model(settings_of(FULL, name), {"train_response_s": torch.zeros(1)})
    assert expected == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_variant_departs_from_another_in_what_it_says(name):
    """Every named change is one; windows are 129 x 200; 16 paired seeds; volts differ in nothing but the scale."""
    variant, own = find_variant(FULL, name), settings_of(FULL, name)
    of = FULL.settings if variant.of is None else settings_of(FULL, variant.of)
    assert set(variant.changes) == {f.name for f in fields(own) if getattr(own, f.name) != getattr(of, f.name)}
    assert (2048, 512, 129, 200) == (own.n_train, own.n_val, own.channels, own.samples)
    assert range(16) == seeds_of(FULL, name)
    assert name.endswith("_volts") == (own.input_scale == "volts")
    assert not name.endswith("_volts") or settings_of(FULL, name.removesuffix("_volts")) == replace(
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
    own = settings_of(FULL, name)
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
    own = settings_of(FULL, name)
    assert expected == (own.mixup_of, own.mixup_fraction, own.mixup_alpha)


def test_documented_numbers_stand_beside_variants_and_metrics_that_exist():
    """V8's squared error from its NRMSE over the range; v3's from its five seeds."""
    assert set(DOCUMENTED) <= set(NAMES)
    assert {metric for row in DOCUMENTED.values() for metric in row} <= {metric.name for metric in FULL.metrics}
    assert pytest.approx((0.160418 * 2.498) ** 2, abs=5e-6) == DOCUMENTED["v8_volts"]["val_mse"]
    five = [0.160919, 0.160764, 0.160983, 0.160740, 0.160780]
    assert pytest.approx(sum(five) / 5, abs=5e-7) == DOCUMENTED["ensemble_v3_volts"]["val_mse"]


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
        assert all(math.isfinite(value) for value in run.metrics.values()), run.variant
        assert [4, 129, 200] == run.exact["shapes"]["train_eeg"]
    assert {74_753, 53_025, 373_765} == {run.exact["n_parameters"] for run in miniatures.values()}


def test_variants_of_a_recipe_pair(miniatures):
    """One seed sees the same order and draws in volts, with any mixup and either loss."""
    names = ("v8", "v8_volts", "v8_strong_mixup", "v8_mse", "v8_no_mixup")
    assert 1 == len({miniatures[name].stream for name in names})
    assert 1 == len({miniatures[name].stream for name in ("ensemble_v1", "ensemble_v1_strong_mixup")})


# --- stacked against single


@pytest.mark.parametrize("recipe", ["fast", "everything"])
def test_stacked_runs_are_the_single_ones(recipe):
    """Float64, eight steps, several variants in one stack: the same stream and rates, and the same history."""
    if recipe == "fast":
        short = tuple(replace(v, changes={**v.changes, "steps": 8}) for v in CASE.variants)
        jobs = [Job(replace(CASE, variants=short), name, seed, dtype="float64") for name, seed in _MIXED]
    else:
        jobs = [Job(EVERYTHING, variant.name, i, dtype="float64") for i, variant in enumerate(EVERYTHING.variants)]
    for job, stacked in zip(jobs, train_stacked(jobs), strict=True):
        single = train_single(job)
        assert (single.stream, single.learning_rates) == (stacked.stream, stacked.learning_rates)
        for expected, row in zip(single.history, stacked.history, strict=True):
            assert {name: near(name, value) for name, value in expected.items()} == row, job.variant


def near(name, value):
    """Expect a number to relative 1e-9; a skill near 0 and changes of a constant to 1e-9 of the numbers behind them."""
    return pytest.approx(value, rel=1e-9, abs=1e-9 if name in ("skill_vs_mean", "tta_change_s") else 0)


_MIXED = [("mixup", 0), ("mixup_documented", 0), ("mixup", 1), ("mixup_documented", 2)]


def test_each_stackable_setting_acts_within_a_stack():
    """Of one seed, every variant trains to another loss than the first: its setting reached it through the stack."""
    runs = train_stacked([Job(EVERYTHING, variant.name, 0) for variant in EVERYTHING.variants])
    assert len(runs) == len({run.metrics["train_mse"] for run in runs})
    assert 1 == len({run.stream for run in runs})


def test_ensemble_stacks():
    """Two seeds of two members, float64: as above."""
    case = replace(CASE, settings=EegSettings(members=2, steps=4, mixup_fraction=0.5, conv_dropout=(0.3, 0.4)))
    jobs = [Job(case, "mixup", seed, dtype="float64") for seed in (0, 1)]
    for job, stacked in zip(jobs, train_stacked(jobs), strict=True):
        single = train_single(job)
        assert single.stream == stacked.stream
        assert pytest.approx(single.metrics, rel=1e-9) == stacked.metrics


# --- the ensemble


def ensemble(members=3):
    """Return settings, data of a step and model of an ensemble of small nets."""
    settings = EegSettings(members=members, mixup_alpha=0.5, conv_dropout=(0.3, 0.4))
    data = {name: x.float() if x.is_floating_point() else x for name, x in make_data(settings, 0).items()}
    return settings, of_step(data, 1), make_model(settings, data)


def gradient_of_first_member(settings, data, model):
    """Return the gradient of the first convolution of the first member."""
    total = loss(model, data, torch.arange(32), Draws.at(0, 1), settings)
    return torch.autograd.grad(total, model.members[0].convolutions[0].weight)[0]


def test_members_train_as_if_they_were_alone():
    """No member's gradient depends on the weights of another, and the loss is the sum of theirs."""
    settings, data, model = ensemble()
    before = gradient_of_first_member(settings, data, model)
    with torch.no_grad():
        model.members[1].output.weight.mul_(3)
    assert torch.equal(before, gradient_of_first_member(settings, data, model))
    assert float(before.abs().max()) > 0


def test_members_have_draws_and_an_order_of_their_own():
    """Members of equal weights still lose differently: dropout, partners, mixing weights and windows are their own."""
    settings, data, model = ensemble(2)
    model.members[1].load_state_dict(model.members[0].state_dict())
    gradients = [
        torch.autograd.grad(
            loss(model, data, torch.arange(16), Draws.at(0, 1), settings), member.convolutions[0].weight
        )[0]
        for member in members_of(model)
    ]
    assert not torch.allclose(*gradients, rtol=1e-3)
    assert (2, 32) == data["member_order"].shape
    assert not torch.equal(*data["member_order"])
    assert list(range(32)) == data["member_order"][0].sort().values.tolist()
    assert data["step_mix_weight"][0] != data["step_mix_weight"][1]


def test_average_gains_what_its_members_differ_by():
    """MSE of the mean = mean MSE - variance of the members (Krogh and Vedelsby, 1995); float64 rounding."""
    settings, _, model = ensemble()
    data, model = make_data(settings, 0), model.double().eval()
    with torch.no_grad():
        metrics = score(model, data, settings)
        predicted = torch.stack([member(data["val_eeg"]) for member in model.members])
    of_members = (predicted - data["val_response_s"]).square().mean()
    varies = predicted.var(dim=0, correction=0).mean()
    assert pytest.approx(float(of_members - varies), rel=1e-9) == metrics["val_mse"]
    assert pytest.approx(float(varies / of_members), rel=1e-9) == metrics["gain_of_average"]
    assert metrics["gain_of_average"] > 0


# --- the claims, on runs as the record would have them and on their opposites


def as_recorded(run):
    """Return what the record says of a model in volts: a constant; and, z-scored, what the case expects of it."""
    constant = run.variant.endswith("_volts")
    mse, nrmse = (0.1606, 1.0002) if constant else (0.04, 0.5)
    run = with_metrics(run, val_mse=mse, nrmse=nrmse, skill_vs_mean=1 - nrmse, gain_of_average=0.01)
    return with_findings(run, collapsed_output=constant, wrong_mixup=False)


def with_metrics(run, **metrics):
    """Return a run with other metrics."""
    return replace(run, metrics={**run.metrics, **metrics})


def with_findings(run, **troubles):
    """Return a run whose checks have found this."""
    kept = [finding for finding in run.findings if finding.name not in troubles]
    return replace(run, findings=(*kept, *(Finding(name, found, {}, 0, "") for name, found in troubles.items())))


@pytest.fixture(scope="module")
def recorded(miniatures):
    """Runs of every variant, five seeds each, as the record has them."""
    template = replace(miniatures["v8"], close={**miniatures["v8"].close, "mean_mse_over_smooth_l1": 2.01})
    return {name: [as_recorded(replace(template, variant=name, seed=seed)) for seed in range(5)] for name in NAMES}


def test_claims_hold_on_runs_as_the_record_has_them(recorded):
    """All of them, none left unjudged."""
    assert [True] * len(FULL.claims) == [verdict.ok for _, verdict in judge(FULL, recorded)]


@pytest.mark.parametrize(
    ("claim", "variant", "wrong"),
    [
        (
            "every_recipe_collapses_in_volts",
            "ensemble_v1_volts",
            lambda run: with_findings(run, collapsed_output=False),
        ),
        ("every_recipe_collapses_in_volts", "aggressive_volts", lambda run: with_metrics(run, nrmse=0.9)),
        ("recipes_score_the_same_in_one_unit", "v8_volts", lambda run: with_metrics(run, val_mse=0.079314)),
        ("mixup_restored_changes_nothing_in_volts", "ensemble_v3_volts", lambda run: with_metrics(run, val_mse=0.15)),
        ("factor_two_is_a_unit", "v8", lambda run: replace(run, close={**run.close, "mean_mse_over_smooth_l1": 1.9})),
        ("mixup_keeps_its_contract", "ensemble_v1", lambda run: with_findings(run, wrong_mixup=True)),
        ("scaling_is_the_fix", "v8", lambda run: with_metrics(run, skill_vs_mean=0.1)),
        ("scaling_is_the_fix", "ensemble_v3", lambda run: with_findings(run, collapsed_output=True)),
        ("an_average_is_never_worse", "ensemble_average", lambda run: with_metrics(run, gain_of_average=-0.01)),
    ],
)
def test_every_claim_can_fail(recorded, claim, variant, wrong):
    """What contradicts it in the runs of one variant is seen."""
    runs = {**recorded, variant: [wrong(run) for run in recorded[variant]]}
    assert [claim] == [judged.name for judged, verdict in judge(FULL, runs) if verdict.ok is not True]
