"""Retrained EEG models seemed twice as bad as an earlier one, and missing mixup was blamed.

The factor of two was a unit, all models were constants, and the likely reason was windows in volts. These tests tell
the story: what mixup is worth (33 pairs of seeds), what it is not, what it cannot rescue and why, and
that a wrong mixup is found by its contract and not by its score.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from goldmark.cases.eeg import CASE
from goldmark.cases.eeg.mixup import mix_batch, mixing_weights
from goldmark.checks import check_wrong_mixup, read_mixing
from goldmark.training._prepare import of_step
from goldmark.training.draws import Draws

# --- the story


def test_missing_mixup_costs_error(verdict_of):
    """The signature and the fix: mixup lowers the error on held-out subjects, and its models learn."""
    assert verdict_of("eeg", "mixup_lowers_error")
    assert verdict_of("eeg", "mixup_beats_mean")


def test_missing_mixup_does_not_double_the_error(verdict_of):
    """The documented effect is not there: no factor of two, no constant, and less still for the record's recipe."""
    assert verdict_of("eeg", "mixup_is_no_factor_of_two")
    assert verdict_of("eeg", "no_mixup_learns_too")
    assert verdict_of("eeg", "documented_recipe_is_weak")


def test_the_factor_of_two_is_a_unit(verdict_of):
    """One constant scores 0.16 as a mean square and 0.08 as SmoothL1."""
    assert verdict_of("eeg", "factor_two_is_a_unit")


def test_windows_in_volts_collapse_and_scaling_is_the_fix(verdict_of):
    """The likely cause: under noise of sd 0.01 windows of 1e-5 V are not there; z-scored they are."""
    assert verdict_of("eeg", "volts_collapse")
    assert verdict_of("eeg", "scaling_is_the_fix")


def test_the_first_layer_is_scaled_by_noise_instead_of_windows(verdict_of):
    """The mechanism: in volts a millionth of the variance that it normalizes by is that of the windows."""
    assert verdict_of("eeg", "noise_drowns_windows_in_volts")


def test_mixup_does_not_rescue_windows_in_volts(verdict_of):
    """The control: the record's own retraining with mixup, which changed nothing."""
    assert verdict_of("eeg", "mixup_does_not_rescue_volts")


def test_test_time_augmentation_moves_predictions_of_a_healthy_model(verdict_of):
    """Equal errors with and without it are no result; equal predictions are a bug."""
    assert verdict_of("eeg", "augmentation_moves_a_healthy_model")


def test_inputs_without_targets_look_fine_and_break_the_contract(verdict_of):
    """A wrong mixup scores like a healthy model; the contract finds it in every run, and no right mixup."""
    assert verdict_of("eeg", "inputs_only_mixup_looks_fine")
    assert verdict_of("eeg", "inputs_only_mixup_breaks_the_contract")
    assert verdict_of("eeg", "mixup_keeps_its_contract")


def test_runs_with_and_without_mixup_pair(runs_of):
    """Both see the same data, order and draws, seed by seed, so that their difference is mixup alone."""
    runs = runs_of("eeg", ["mixup", "no_mixup"])
    assert list(range(33)) == [run.seed for run in runs["mixup"]]
    assert [run.stream for run in runs["mixup"]] == [run.stream for run in runs["no_mixup"]]


# --- self-proof: the same claims on the wrong runs


@pytest.mark.parametrize(
    ("claim", "fixed", "broken"),
    [
        ("mixup_lowers_error", "mixup", "no_mixup"),
        ("mixup_keeps_its_contract", "mixup", "inputs_only_mixup"),
        ("mixup_beats_mean", "mixup", "volts"),
        ("mixup_beats_mean", "mixup", "volts_mixup"),
        ("no_mixup_learns_too", "no_mixup", "volts"),
        ("mixup_is_no_factor_of_two", "no_mixup", "volts"),
        ("documented_recipe_is_weak", "mixup_documented", "mixup"),
        ("scaling_is_the_fix", "scaled_noise", "volts"),
        ("scaling_is_the_fix", "scaled_noise", "volts_mixup"),
        ("noise_drowns_windows_in_volts", "scaled_noise", "volts"),
        ("augmentation_moves_a_healthy_model", "mixup", "volts"),
        ("inputs_only_mixup_looks_fine", "inputs_only_mixup", "volts"),
    ],
)
def test_claims_of_the_fix_fail_on_the_broken_variant(verdict_of, claim, fixed, broken):
    """Given the broken runs in the place of the fixed ones, a claim fails; it is not merely left unjudged."""
    assert verdict_of("eeg", claim, relabel={fixed: broken}).ok is False


@pytest.mark.parametrize(
    ("claim", "broken", "fixed"),
    [
        ("volts_collapse", "volts", "scaled_noise"),
        ("noise_drowns_windows_in_volts", "volts", "scaled_noise"),
        ("factor_two_is_a_unit", "volts", "scaled_noise"),
        ("mixup_does_not_rescue_volts", "volts_mixup", "scaled_noise"),
        ("inputs_only_mixup_breaks_the_contract", "inputs_only_mixup", "mixup"),
    ],
)
def test_claims_of_the_bug_fail_on_the_fixed_variant(verdict_of, claim, broken, fixed):
    """The same signature, looked for in healthy runs, is not there."""
    assert verdict_of("eeg", claim, relabel={broken: fixed}).ok is False


# --- the contract, on the training path


class Linear(nn.Module):
    """Predict a fixed linear function of the inputs, shifted by an offset; keep the inputs that it was shown."""

    def __init__(self, n_features, offset=0.0):
        super().__init__()
        self.weights, self.offset, self.shown = torch.linspace(-1, 2, n_features, dtype=torch.float64), offset, []

    def forward(self, eeg, draws=None):
        """Return (B,) for (B, D)."""
        self.shown.append(eeg)
        return eeg @ self.weights + self.offset


def probe(n=8, n_features=5):
    """Return windows whose targets are what `Linear` predicts, in float64, and all rows."""
    x = torch.sin(torch.arange(n * n_features, dtype=torch.float64)).reshape(n, n_features)
    return {"train_eeg": x, "train_response_s": Linear(n_features)(x)}, torch.arange(n)


def losses(name, model, data, rows, steps):
    """Yield what a variant's training step makes of the probe, with the mixing weights of a run of seed 0."""
    settings = replace(CASE.settings_of(name), steps=steps)
    of_run = CASE.make_data(settings, 0) | data
    for step in range(steps):
        yield float(CASE.loss(model, of_step(of_run, step), rows, Draws.at(0, step), settings))


@pytest.mark.parametrize("name", ["mixup", "mixup_documented", "no_mixup"])
def test_a_linear_truth_stays_true_under_mixup(name):
    """One weight and one order for both: targets linear in the inputs are so after mixing, to float64 rounding."""
    data, rows = probe()
    assert max(losses(name, Linear(5), data, rows, 40)) < 1e-24


def test_inputs_without_targets_break_a_linear_truth():
    """The same probe on the broken variant leaves an error in every step."""
    data, rows = probe()
    assert min(losses("inputs_only_mixup", Linear(5), data, rows, 40)) > 1e-6


@pytest.mark.parametrize(("name", "share"), [("mixup", 1.0), ("mixup_documented", 0.5), ("no_mixup", 0.0)])
def test_share_of_mixed_batches_is_as_set(name, share):
    """Counted on what the model sees in 400 steps, within four sd of a binomial share (0 for all and none)."""
    data, rows = probe()
    model = Linear(5)
    list(losses(name, model, data, rows, 400))
    mixed = sum(not torch.equal(shown, data["train_eeg"]) for shown in model.shown) / 400
    assert abs(mixed - share) <= 4 * (share * (1 - share) / 400) ** 0.5


def test_mse_of_mixed_targets_is_the_mix_of_both_losses():
    """For any prediction, lam L(a) + (1 - lam) L(b) = L(mixed) + lam (1 - lam) mean (a - b)^2; float64 rounding."""
    data, rows = probe()
    a = data["train_response_s"]
    model = Linear(5, offset=0.7)
    for step, mixed_loss in enumerate(losses("mixup", model, data, rows, 20)):
        draws = Draws.at(0, step)
        lam = float(draws.uniform("mixup weight", 1))
        b = a[draws.permutation("mixup index", 8)]
        predicted = model.shown[-1] @ model.weights + model.offset
        both = lam * (predicted - a).square().mean() + (1 - lam) * (predicted - b).square().mean()
        constant = lam * (1 - lam) * (a - b).square().mean()
        assert pytest.approx(float(both - constant), rel=1e-12) == mixed_loss


@pytest.mark.parametrize(("name", "alpha"), [("mixup", 1.0), ("mixup_documented", 0.2)])
def test_mixing_weight_follows_its_beta_distribution(name, alpha):
    """Kolmogorov-Smirnov on what 1,000 batches show, unmixed ones aside: p above 0.001, on draws that never change."""
    from scipy import stats

    weights = [read_mixing(mix, n_examples=4).lam for mix in mixings(name, 1000)]
    mixed = [weight for weight in weights if weight != 1]
    assert len(mixed) > 400
    assert stats.kstest(mixed, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_a_batch_has_one_weight_and_one_order():
    """The weights of a batch are lam I + (1 - lam) P with a permutation P: two values, rows and columns sum to 1."""
    for mix in mixings("mixup", 20):
        mixed = read_mixing(mix)
        order = (mixed.weights - mixed.lam * torch.eye(16, dtype=torch.float64)) / (1 - mixed.lam)
        # dividing by 1 - lam, above 1e-3 here, leaves 1e-12 of float64
        assert torch.allclose(order, order.round(), atol=1e-12)
        assert [1.0] * 16 == order.round().sum(dim=0).tolist()
        assert [1.0] * 16 == order.round().sum(dim=1).tolist()


def mixings(name, steps):
    """Yield the mixup of each step of a variant as a function of inputs and targets, with the weights of seed 0."""
    settings = replace(CASE.settings_of(name), steps=steps)
    for step, (weight,) in enumerate(mixing_weights(settings, 0)):
        yield lambda x, y, step=step, weight=weight: mix_batch(x, y, weight, Draws.at(0, step), settings)


# --- the contract as a check for any mixup


def own_mixup(lam_x=0.3, lam_y=0.3, shift_x=1, shift_y=1):
    """Return a mixup as a user might have written it, with its weights and partners open to error."""
    return lambda x, y: (
        lam_x * x + (1 - lam_x) * x.roll(shift_x, dims=0),
        lam_y * y + (1 - lam_y) * y.roll(shift_y, dims=0),
    )


def test_check_accepts_a_right_mixup_and_reads_its_weight():
    """No trouble, all batches mixed, the weight as it was given."""
    finding = check_wrong_mixup(own_mixup())
    assert not finding.trouble
    assert {"target_error", "share_mixed", "fraction", "most_rows"} == set(finding.numbers)
    assert (1.0, 1.0, 2.0) == tuple(finding.numbers[name] for name in ("share_mixed", "fraction", "most_rows"))
    assert pytest.approx(0.3, rel=1e-12) == read_mixing(own_mixup()).lam


@pytest.mark.parametrize(
    "error", [{"lam_y": 1.0}, {"lam_y": 0.7}, {"shift_y": 2}, {"lam_x": 1.0}], ids=lambda error: next(iter(error))
)
def test_check_finds_targets_that_are_not_mixed_as_their_inputs(error):
    """Targets left alone, another weight, another partner, inputs left alone."""
    finding = check_wrong_mixup(own_mixup(**error))
    assert finding.trouble
    assert finding.numbers["target_error"] > 0.01


def test_check_finds_a_mixup_that_is_never_applied():
    """Leaving every batch as it is keeps the targets right and is not what was meant; meant, it is no trouble."""
    assert check_wrong_mixup(lambda x, y: (x, y)).trouble
    assert not check_wrong_mixup(lambda x, y: (x, y), fraction=0.0).trouble
    assert check_wrong_mixup(own_mixup(), fraction=0.5).trouble


def test_check_finds_rows_that_are_mixed_twice():
    """Two mixtures in a row, each right, leave targets right: a row is made of more than two."""
    finding = check_wrong_mixup(lambda x, y: own_mixup(shift_x=2, shift_y=2)(*own_mixup()(x, y)))
    assert finding.trouble
    assert 4.0 == finding.numbers["most_rows"]
    assert finding.numbers["target_error"] < 1e-12  # rounding


def test_check_finds_a_single_wrong_batch():
    """One batch in 64 with unmixed targets is enough."""
    assert check_wrong_mixup(wrong_once(own_mixup(lam_y=1.0))).trouble


def test_check_takes_nan_for_trouble():
    """Targets that are NaN in a single batch are not right there."""
    assert check_wrong_mixup(wrong_once(own_mixup(lam_y=float("nan")))).trouble


def wrong_once(wrong):
    """Return a mixup that is right but in its 41st batch."""
    batches = iter(range(64))

    def mix(x, y):
        return (wrong if next(batches) == 40 else own_mixup())(x, y)

    return mix
