"""The EEG case: its generator, nets, augmentation, loss and scores, each against what it says of itself."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.case import find_variant, settings_of
from goldmark.cases.eeg import CASE, EegSettings, loss, make_data, make_model, rate_factor
from goldmark.cases.eeg.augmentation import mixing_weights, mixup, noisy
from goldmark.cases.eeg.compact_rt import CompactRT
from goldmark.cases.eeg.scores import augmented_prediction_s, baselines, score, units
from goldmark.cases.eeg.windows import generate, pink_noise
from goldmark.training.draws import Draws, Dropout, key, normal, uniform
from goldmark.training.plan import Job
from goldmark.training.prepare import of_step
from goldmark.training.single import train_single

CHANGES = {
    "no_mixup": ("mixup", {"mixup_fraction": 0.0}),
    "mixup_documented": ("mixup", {"mixup_alpha": 0.2, "mixup_fraction": 0.5}),
    "inputs_only_mixup": ("mixup", {"mix_targets": False}),
    "scaled_noise": ("no_mixup", {"noise_sd": 0.01}),
    "volts": ("scaled_noise", {"input_scale": "volts"}),
    "volts_mixup": ("volts", {"mixup_fraction": 1.0}),
}
FOUR_SE = 4  # a mean of independent draws lies this many standard errors off once in 16,000 times


class Mean(nn.Module):
    """Predict the mean of a window, in training and evaluation alike."""

    def forward(self, eeg, draws=None):
        """Return (B,) for (B, C, T)."""
        return eeg.mean(dim=(1, 2))


def float_data(settings, seed=0):
    """Return the data of a seed as training sees them."""
    return {name: x.float() if x.is_floating_point() else x for name, x in make_data(settings, seed).items()}


# --- settings


@pytest.mark.parametrize("name", CHANGES)
def test_variant_changes_what_its_sentence_says_and_nothing_else(name):
    """The settings of a variant and of the one it departs from differ in the named fields alone."""
    of, expected = CHANGES[name]
    ours, theirs = asdict(settings_of(CASE, name)), asdict(settings_of(CASE, of))
    assert expected == {field: ours[field] for field in ours if ours[field] != theirs[field]}
    assert (of, expected) == (find_variant(CASE, name).of, dict(find_variant(CASE, name).changes))


def test_the_fixed_recipe_is_mixup_with_alpha_1_in_every_batch():
    """The defaults are F2: 32 windows in one batch, 40 steps, learning rate 0.003; 32 seeds, 8 for all but the pair."""
    settings = settings_of(CASE, "mixup")
    assert EegSettings() == settings
    assert (1.0, 1.0, True) == (settings.mixup_fraction, settings.mixup_alpha, settings.mix_targets)
    assert (32, 32, 40, 3e-3, None) == (settings.n_train, settings.batch, settings.steps, settings.lr, settings.lr_min)
    assert {"mixup": None, "no_mixup": None} | dict.fromkeys(list(CHANGES)[1:], 8) == {
        variant.name: variant.seeds for variant in CASE.variants
    }
    assert CASE.seeds == 32


# --- data


def test_generator_is_a_function_of_settings_and_seed():
    """The same seed repeats bitwise; another seed moves every number that is drawn."""
    first, again, other = (generate(EegSettings(), seed) for seed in (3, 3, 4))
    for name in first:
        assert torch.equal(first[name], again[name])
        assert name.endswith("subject") or not torch.isin(first[name], other[name]).any()


def test_windows_have_the_stated_shapes_in_float64():
    """32 + 64 windows of 16 channels x 100 samples, with a response time and a subject each."""
    data = generate(EegSettings(), 0)
    assert {
        "train_eeg": (32, 16, 100),
        "train_response_s": (32,),
        "train_subject": (32,),
        "val_eeg": (64, 16, 100),
        "val_response_s": (64,),
        "val_subject": (64,),
    } == {name: tuple(tensor.shape) for name, tensor in data.items()}
    assert {torch.float64} == {tensor.dtype for name, tensor in data.items() if not name.endswith("subject")}


def test_halves_share_no_subject():
    """Validation asks for subjects that training has not seen; all of them are there."""
    data = generate(EegSettings(), 0)
    assert set(range(8)) == set(data["train_subject"].tolist())
    assert set(range(8, 24)) == set(data["val_subject"].tolist())


def test_response_times_are_those_of_the_competition():
    """Mean 1.56 s, sd 0.4 s, within four standard errors over 1,920 responses of 30 seeds."""
    response_s = torch.cat([generate(EegSettings(), seed)["val_response_s"] for seed in range(30)])
    assert pytest.approx(1.56, abs=FOUR_SE * 0.4 / 1920**0.5) == float(response_s.mean())
    assert pytest.approx(0.4, abs=FOUR_SE * 0.4 / (2 * 1920) ** 0.5) == float(response_s.std())


def test_z_scores_are_volts_scaled_by_the_training_half():
    """One mean and one sd, of the training windows: computed here by numpy; rounding of float64 only."""
    volts = generate(EegSettings(input_scale="volts"), 0)
    scaled = generate(EegSettings(), 0)
    train = volts["train_eeg"].numpy()
    expected = (volts["val_eeg"].numpy() - train.mean()) / train.std(ddof=1)
    np.testing.assert_allclose(scaled["val_eeg"].numpy(), expected, rtol=1e-9, atol=1e-12)
    assert pytest.approx(0, abs=1e-12) == float(scaled["train_eeg"].mean())
    assert 1e-5 < float(volts["train_eeg"].std()) < 3e-5  # pink noise of 1e-5 V, the rhythm on top


def test_evoked_bump_is_linear_in_the_response_time():
    """With and without amplitude, windows differ by a bump at 1 s that is z times a pattern of the subject."""
    with_bump, without = (generate(EegSettings(amplitude=a, input_scale="volts"), 0) for a in (0.22, 0.0))
    z = (with_bump["train_response_s"] - 1.56) / 0.4
    patterns = (with_bump["train_eeg"] - without["train_eeg"]) / z[:, None, None]
    # differences of numbers near 1e-5 lose up to 1e-21 to rounding, divided by a z of at least 1e-3
    np.testing.assert_allclose(patterns[:8].numpy(), patterns[8:16].numpy(), rtol=1e-6, atol=1e-16)
    assert not torch.allclose(patterns[0], patterns[1], rtol=0.1, atol=1e-7)
    assert {50} == set(patterns.abs().sum(dim=1).argmax(dim=-1).tolist())


def test_pink_noise_has_power_1_over_f():
    """Frequency times power is flat, no constant part, variance 1: 4,000 series of 100 samples, numpy's FFT."""
    series = pink_noise(normal(key(0, 0, "test"), (4000, 100))).numpy()
    power = (np.abs(np.fft.rfft(series)) ** 2).mean(axis=0)
    assert pytest.approx(0, abs=1e-20) == power[0]
    flat = power[1:50] * np.arange(1, 50)
    # the mean of 4,000 exponential powers has a relative standard error of 4000^-0.5
    np.testing.assert_allclose(flat / flat.mean(), 1.0, atol=FOUR_SE / 4000**0.5)
    assert pytest.approx(1.0, rel=0.02) == series.var()


# --- model


@pytest.mark.parametrize(
    ("expected", "widths", "kernels", "head", "max_pool"),
    [(74_753, (32, 64, 128), (7, 5, 3), (64, 32), False), (53_025, (32, 64, 96), (5, 5, 3), (32,), True)],
)
def test_full_size_nets_have_the_documented_parameter_counts(expected, widths, kernels, head, max_pool):
    """The count tells CompactRT from the net that the ensemble trained in its place; no metric does."""
    model = CompactRT(channels=129, widths=widths, kernels=kernels, head=head, max_pool=max_pool)
    assert expected == sum(parameter.numel() for parameter in model.parameters())
    assert (2,) == model(torch.zeros(2, 129, 200)).shape
    x = torch.zeros(1, 129, 200)
    for convolution in model.convolutions:
        x = model.pool(convolution(x))
    assert x.shape[-1] == 25  # three halvings


def test_fast_net_starts_at_the_mean_response():
    """Conv 16-16-32, head 32-16-1: 5,041 parameters, and an output bias that spares the steps to the mean."""
    data = float_data(EegSettings())
    model = make_model(EegSettings(), data)
    assert sum(parameter.numel() for parameter in model.parameters()) == 5_041
    assert float(data["train_response_s"].mean()) == model.output.bias.item()


def test_dropout_is_keyed_and_for_training_only():
    """Without draws nothing is dropped; the same step drops the same units, another step others."""
    settings = EegSettings(conv_dropout=(0.5, 0.4), head_dropout=(0.3,))
    model = make_model(settings, float_data(EegSettings())).eval()
    assert [0.5, 0.4, 0.3] == [module.p.item() for module in model.modules() if isinstance(module, Dropout)]
    x = float_data(EegSettings())["val_eeg"]
    first, again, other = (model(x, Draws.at(0, step)) for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(model(x), model(x))
    assert not torch.equal(model(x), first)


# --- augmentation and loss


def test_mixup_mixes_both_with_one_weight_and_one_order():
    """By hand, and in inputs of any shape; exact in binary fractions."""
    x, y = torch.tensor([[0.0, 4.0], [8.0, 0.0], [2.0, 2.0]]), torch.tensor([1.0, 3.0, 5.0])
    mixed_x, mixed_y = mixup(x, y, torch.tensor([0.25]), torch.tensor([1, 2, 0]))
    assert [[6.0, 1.0], [3.5, 1.5], [0.5, 3.5]] == mixed_x.tolist()
    assert [2.5, 4.5, 2.0] == mixed_y.tolist()


def test_windows_can_have_a_weight_each():
    """The first is mixed, the second is not, the third is its partner; exact in binary fractions."""
    x, y = torch.tensor([[0.0, 4.0], [8.0, 0.0], [2.0, 2.0]]), torch.tensor([1.0, 3.0, 5.0])
    mixed_x, mixed_y = mixup(x, y, torch.tensor([0.25, 1.0, 0.0]), torch.tensor([1, 2, 0]))
    assert [[6.0, 1.0], [8.0, 0.0], [0.0, 4.0]] == mixed_x.tolist()
    assert [2.5, 3.0, 1.0] == mixed_y.tolist()


def test_mixing_weights_are_those_of_the_keyed_draws():
    """A second implementation, step by step, by scipy's distribution: 1 where a uniform lies above the fraction."""
    settings = EegSettings(mixup_alpha=0.2, mixup_fraction=0.5)
    expected = [
        _lam(float(uniform(key(3, step, "mixup weight"), ())), 0.2)
        if float(uniform(key(3, step, "mixup applied"), ())) < 0.5
        else 1.0
        for step in range(40)
    ]
    assert 10 < sum(weight == 1 for weight in expected) < 30
    # the inverse of a Beta distribution of alpha 0.2 has 1e-9 of float64 left at its ends
    np.testing.assert_allclose(mixing_weights(settings, 3).flatten().numpy(), expected, rtol=1e-6, atol=1e-7)


def test_a_mixed_batch_is_never_taken_for_one_that_is_not():
    """At alpha 0.2 one weight in fifty rounds to 1 in float32; mixed batches stay below, unmixed ones are exactly 1."""
    weights = mixing_weights(EegSettings(mixup_alpha=0.2, steps=2000), 0).float()
    assert 1 > float(weights.max()) >= 1 - 1e-7
    assert {1.0} == set(mixing_weights(EegSettings(mixup_fraction=0.0), 0).flatten().tolist())


def test_weights_of_windows_are_drawn_one_each():
    """A tenth of the windows of a batch, each with its own weight; members of an ensemble have their own, too."""
    settings = EegSettings(mixup_of="windows", mixup_fraction=0.1, members=2, steps=100)
    weights = mixing_weights(settings, 0)
    assert (100, 2, 32) == weights.shape
    assert (100, 2, 1) == mixing_weights(replace(settings, mixup_of="batches"), 0).shape
    mixed = weights[weights < 1]
    assert len(mixed) == len(mixed.unique())
    assert abs(len(mixed) / 6400 - 0.1) <= FOUR_SE * (0.1 * 0.9 / 6400) ** 0.5


def test_every_variant_draws_the_same_so_that_runs_pair():
    """A batch is permuted in every step whether it is mixed or not: variants without noise share a stream of draws."""
    used = []
    for name in ("mixup", "no_mixup", "mixup_documented", "inputs_only_mixup"):
        draws, settings = Draws.at(0, 0), settings_of(CASE, name)
        loss(Mean(), of_step(float_data(settings), 0), torch.arange(32), draws, settings)
        used.append(draws.used)
    assert [{("mixup index", (32,))}] * 4 == used


def test_noise_has_its_sd_in_the_unit_of_the_windows():
    """The same 0.01 is a hundredth of a z-score and a thousand times a window in volts."""
    noise = noisy(torch.zeros(8, 16, 100), Draws.at(0, 0), torch.tensor(0.01), 1.0)
    assert pytest.approx(0.01, rel=FOUR_SE / (2 * 12_800) ** 0.5) == float(noise.std())
    volts = generate(EegSettings(input_scale="volts"), 0)["train_eeg"]
    assert float(volts.std()) < 0.01 / 300


@pytest.mark.parametrize("name", ["mixup", "no_mixup", "mixup_documented", "inputs_only_mixup", "scaled_noise"])
def test_loss_is_the_mse_of_the_batch_as_augmented(name):
    """A second implementation in numpy, from the same draws; float32 rounding only."""
    settings, rows = settings_of(CASE, name), torch.arange(31, -1, -1)
    data = float_data(settings, seed=5)
    draws = Draws.at(5, 2)
    x, y = data["train_eeg"][rows].numpy(), data["train_response_s"][rows].numpy()
    if settings.noise_sd:
        x = x + settings.noise_sd * draws.normal("noise", 32, 16, 100).numpy()
    if float(draws.uniform("mixup applied", 1)) < settings.mixup_fraction:
        lam = _lam(float(draws.uniform("mixup weight", 1)), settings.mixup_alpha)
        index = draws.permutation("mixup index", 32).numpy()
        x = lam * x + (1 - lam) * x[index]
        y = lam * y + (1 - lam) * y[index] if settings.mix_targets else y
    expected = ((x.mean(axis=(1, 2)) - y) ** 2).mean()
    assert pytest.approx(expected, rel=1e-5) == float(loss(Mean(), of_step(data, 2), rows, Draws.at(5, 2), settings))


def test_loss_is_torchs_smooth_l1_where_the_settings_say_so():
    """Errors on both sides of 1 s; a stack tells the two losses apart by tensors alone."""
    settings = EegSettings(loss="smooth_l1", mixup_fraction=0.0)
    data = of_step(float_data(settings), 0)
    data["train_response_s"] = torch.linspace(0, 3, 32)
    expected = nn.functional.smooth_l1_loss(Mean()(data["train_eeg"]), data["train_response_s"])
    assert 2 < float((Mean()(data["train_eeg"]) - data["train_response_s"]).abs().max())
    assert pytest.approx(float(expected), rel=1e-6) == float(
        loss(Mean(), data, torch.arange(32), Draws.at(0, 0), settings)
    )


@pytest.mark.parametrize(
    ("cycles", "expected"), [(1, [1.0, 0.8535534, 0.5, 0.1464466]), (2, [1.0, 0.5, 1.0, 0.5]), (4, [1.0] * 4)]
)
def test_learning_rate_falls_by_cosines_that_start_again(cycles, expected):
    """Four steps as one cosine, as two, and as four of a step each; without an end the rate stays."""
    settings = EegSettings(lr_min=0.0, cycles=cycles, steps=4)
    assert pytest.approx(expected) == [rate_factor(settings, step) for step in range(4)]
    assert [1.0] * 4 == [rate_factor(replace(settings, lr_min=None), step) for step in range(4)]


def _lam(probability, alpha):
    from scipy import stats

    return stats.beta(alpha, alpha).ppf(probability)


# --- scores


def test_scores_equal_a_second_implementation():
    """Computed by numpy from the same predictions, in float64; rounding of sums only."""
    settings = EegSettings()
    data = generate(settings, 1)
    predicted, target = data["val_eeg"].numpy().mean(axis=(1, 2)), data["val_response_s"].numpy()
    train_target = data["train_response_s"].numpy()
    x = data["val_eeg"].numpy()
    views = [x, np.roll(x, 3, -1), np.roll(x, -3, -1), 1.02 * x, 0.98 * x]
    augmented = np.mean([view.mean(axis=(1, 2)) for view in views], axis=0)
    mse, constant_mse = ((predicted - target) ** 2).mean(), ((train_target.mean() - target) ** 2).mean()
    assert {
        "val_mse": pytest.approx(mse, rel=1e-12),
        "val_smooth_l1": pytest.approx(_smooth_l1(predicted - target), rel=1e-12),
        "nrmse": pytest.approx(mse**0.5 / target.std(), rel=1e-12),
        "skill_vs_mean": pytest.approx(1 - (mse / constant_mse) ** 0.5, rel=1e-9),
        "train_mse": pytest.approx(
            ((data["train_eeg"].numpy().mean(axis=(1, 2)) - train_target) ** 2).mean(), rel=1e-12
        ),
        "prediction_sd_ratio": pytest.approx(predicted.std(ddof=1) / target.std(ddof=1), rel=1e-9),
        # the mean of a window neither rolls nor, on average over the factors, scales
        "tta_change_s": pytest.approx(np.abs(augmented - predicted).mean(), abs=1e-15),
        "tta_mse": pytest.approx(((augmented - target) ** 2).mean(), rel=1e-12),
        "gain_of_average": 0.0,
    } == score(Mean(), data, settings)


def _smooth_l1(error):
    return np.where(np.abs(error) < 1, error**2 / 2, np.abs(error) - 0.5).mean()


def test_test_time_augmentation_averages_five_views():
    """A model that squares one sample tells the views apart: 1, both neighbours at 3 samples, both factors."""

    class Square(nn.Module):
        def forward(self, eeg):
            """Return (B,) for (B, C, T)."""
            return eeg[:, 0, 10] ** 2

    x = torch.arange(20.0)[None, None]
    expected = (10**2 + 7**2 + 13**2 + 10.2**2 + 9.8**2) / 5
    assert pytest.approx(expected, rel=1e-6) == float(augmented_prediction_s(Square(), x))  # float32 views


def test_constant_predictor_scores_an_nrmse_of_about_1_and_no_skill():
    """The baseline's NRMSE is 1 and what the two halves' means differ by; over the range it reads as near perfect."""
    data = generate(EegSettings(), 0)
    (constant,) = baselines(data, EegSettings())
    target = data["val_response_s"].numpy()
    offset = float(data["train_response_s"].mean()) - target.mean()
    assert pytest.approx((1 + offset**2 / target.var()) ** 0.5, rel=1e-12) == constant.metrics["nrmse"]
    assert constant.metrics["skill_vs_mean"] == 0
    assert units(data, EegSettings())["mean_rmse_over_range"] < 0.3


def test_smooth_l1_is_half_the_mse_below_an_error_of_1_s():
    """The unit error, in numbers: a factor of exactly 2 below 1 s, more where an error lies above."""
    response_s = {"train_response_s": torch.tensor([1.0, 2.0], dtype=torch.float64)}
    near = response_s | {"val_response_s": torch.tensor([1.0, 1.2, 2.3], dtype=torch.float64)}
    assert pytest.approx(2.0, rel=1e-12) == units(near, EegSettings())["mean_mse_over_smooth_l1"]
    assert pytest.approx((0.5**2 + 0.3**2 + 0.8**2) / 6, rel=1e-12) == units(near, EegSettings())["mean_smooth_l1"]
    far = response_s | {"val_response_s": torch.tensor([1.0, 3.5], dtype=torch.float64)}  # errors of 0.5 and 2 s
    found = units(far, EegSettings())
    assert pytest.approx((0.5**2 + 2**2) / (0.5**2 / 2 + 1.5), rel=1e-12) == found["mean_mse_over_smooth_l1"]
    assert pytest.approx(2.0, rel=1e-12) == found["mean_mse_over_smooth_l1_below_1_s"]


def test_run_holds_every_metric_the_case_declares():
    """Four steps are enough to see that a run is whole and says what it was trained on."""
    short = replace(CASE, settings=EegSettings(steps=4))
    run = train_single(Job(short, "mixup", 0))
    assert {metric.name for metric in CASE.metrics} == set(run.metrics)
    assert all(math.isfinite(value) for value in run.metrics.values())
    assert run.exact["n_parameters"] == 5_041
    assert ["collapsed_output", "no_skill", "wrong_mixup"] == [finding.name for finding in run.findings]
    assert "goldmark/cases/eeg/augmentation.py" in run.sources
