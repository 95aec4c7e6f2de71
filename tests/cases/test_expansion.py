"""The expansion case: its settings, windows, model and loss terms, each against what it says of itself."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.case import find_variant, settings_of
from goldmark.cases.expansion import CASE, ExpansionSettings, close, learning_rate, loss, make_model
from goldmark.cases.expansion.terms import (
    TERMS,
    huber,
    positive_weight,
    scaled_countdown,
    term_losses,
    total_loss,
    weighted,
)
from goldmark.cases.expansion.windows import countdown_bars, generate, span_labels
from goldmark.training.draws import Draws, initial_weights

CHANGES = {
    "clipped_countdown": ("normalized_countdown", {"countdown_scale": "bars"}),
    "plain_sum": ("clipped_countdown", {"weighting": "sum"}),
    "no_countdown": ("clipped_countdown", {"terms": "no_countdown"}),
    "span_only": ("clipped_countdown", {"terms": "span"}),
    "pos_weight": ("clipped_countdown", {"pos_weight": "balanced"}),
    "delta_10": ("clipped_countdown", {"countdown_delta": 10.0}),
    "weak_clipped": (
        "clipped_countdown",
        {
            "cue": 0.35,
            "bars": 105,
            "span_min": 3,
            "span_max": 11,
            "bidirectional": True,
            "bottleneck": 0,
            "input_dropout": 0.3,
            "lr": 3e-3,
            "steps": 100,
        },
    ),
    "weak_no_countdown": ("weak_clipped", {"terms": "no_countdown"}),
    "weak_pos_weight": ("weak_clipped", {"pos_weight": "balanced"}),
}
FOUR_SE = 4  # a mean of independent draws lies this many standard errors off once in 16,000 times
FLOAT32 = 1e-5  # a few roundings of float32 are below 1e-6 each


def small(**changes):
    """Settings whose data and model are made in milliseconds."""
    return ExpansionSettings(**{"n_train": 12, "n_val": 6, "bars": 40, "batch": 6} | changes)


def float_data(settings, seed=0):
    """The data of a seed as training sees them."""
    return {name: x.float() if x.is_floating_point() else x for name, x in generate(settings, seed).items()}


def seeded_model(settings, data, seed=0):
    """The model of a seed, as the engine builds it."""
    with initial_weights(seed):
        return make_model(settings, data)


def numpy_huber(predictions, targets, delta):
    """Huber's loss by its definition: quadratic up to delta, linear beyond."""
    error = np.abs(predictions - targets)
    return np.where(error <= delta, error**2 / 2, delta * (error - delta / 2)).mean()


# --- settings


@pytest.mark.parametrize("name", CHANGES)
def test_variant_changes_what_its_sentence_says_and_nothing_else(name):
    """The settings of a variant and of the one it departs from differ in the named fields alone."""
    of, expected = CHANGES[name]
    ours, theirs = asdict(settings_of(CASE, name)), asdict(settings_of(CASE, of))
    assert expected == {field: ours[field] for field in ours if ours[field] != theirs[field]}
    assert (of, expected) == (find_variant(CASE, name).of, dict(find_variant(CASE, name).changes))


def test_the_fixed_recipe_scales_the_countdown_and_keeps_everything_else():
    """All four terms under uncertainty weights, countdown in [0, 1], delta 1; 16 seeds, 5 on the weak cue."""
    settings = settings_of(CASE, "normalized_countdown")
    assert ExpansionSettings() == settings
    assert ("unit", 1.0) == (settings.countdown_scale, settings.countdown_delta)
    assert ("uncertainty", "all", "one") == (settings.weighting, settings.terms, settings.pos_weight)
    assert {name: 5 if name.startswith("weak") else None for name in ("normalized_countdown", *CHANGES)} == {
        variant.name: variant.seeds for variant in CASE.variants
    }
    assert CASE.seeds == 16


def test_uncertainty_weights_learn_at_their_own_rate():
    """Sigma moves at 0.001 and everything else at the rate of the trunk, as the gap between them is part of the bug."""
    settings = ExpansionSettings()
    model = seeded_model(settings, float_data(small()))
    rates = {name: learning_rate(settings, name) for name, _ in model.named_parameters()}
    assert rates.pop("log_sigma") == 1e-3
    assert {1e-2} == set(rates.values())


# --- data


def test_generator_is_a_function_of_settings_and_seed():
    """The same seed repeats bitwise; another seed moves every feature."""
    first, again, other = (generate(small(), seed) for seed in (3, 3, 4))
    for name in first:
        assert torch.equal(first[name], again[name])
    assert not torch.isin(first["train_features"], other["train_features"]).any()


def test_windows_have_the_stated_shapes_in_float64():
    """Features, labels and pointers of 128 + 64 windows of 72 bars; kinds are integers."""
    data = generate(ExpansionSettings(), 0)
    per_window = {"features": (72, 6), "span": (72,), "countdown": (72,), "pointers": (2,), "kind": ()}
    assert {
        f"{half}_{name}": (n, *shape) for half, n in (("train", 128), ("val", 64)) for name, shape in per_window.items()
    } == {name: tuple(tensor.shape) for name, tensor in data.items()}
    assert {torch.float64} == {tensor.dtype for name, tensor in data.items() if not name.endswith("kind")}


def test_labels_of_a_window_tell_of_one_span():
    """Every window has one run of 4 to 8 bars; countdown, centre and length in the pointers follow from it."""
    data = generate(ExpansionSettings(), 0)
    span, countdown, pointers = (data[f"train_{name}"].numpy() for name in ("span", "countdown", "pointers"))
    lengths = set()
    for row in range(len(span)):
        places = np.flatnonzero(span[row])
        start, end = places[0], places[-1] + 1
        lengths.add(end - start)
        assert end - start == len(places)
        np.testing.assert_array_equal(np.clip(start - np.arange(72), -20, 20), countdown[row])
        # a quotient of small integers, rounded once
        np.testing.assert_allclose([(start + end) / 2 / 72, (end - start) / 72], pointers[row], rtol=1e-15)
    assert {4, 5, 6, 7, 8} == lengths


def test_spans_reach_both_ends_of_the_window():
    """A start of 0 and an end at the last bar both occur, and no span is cut off: 600 short windows."""
    span = generate(small(n_train=600), 1)["train_span"]
    assert span[:, 0].any()
    assert span[:, -1].any()
    assert 4 <= span.sum(dim=1).min()


def test_cue_is_in_feature_0_of_the_span_alone():
    """Windows with and without the cue differ by the cue, there; the noise has mean 0 and variance 1."""
    with_cue, without = generate(small(), 0), generate(small(cue=0.0), 0)
    shift = with_cue["train_features"] - without["train_features"]
    expected = torch.zeros_like(shift)
    expected[..., 0] = 2.5 * with_cue["train_span"]
    torch.testing.assert_close(expected, shift, rtol=0, atol=1e-14)  # one rounding of numbers below 8
    noise = generate(ExpansionSettings(cue=0.0), 0)["train_features"]
    assert pytest.approx(0, abs=FOUR_SE / noise.numel() ** 0.5) == float(noise.mean())
    assert pytest.approx(1, abs=FOUR_SE * (2 / noise.numel()) ** 0.5) == float(noise.var())


def test_span_and_countdown_of_a_span_that_is_known():
    """Start 2, length 3 in 6 bars: marked on bars 2 to 4; the countdown is 2 at bar 0 and -3 at bar 5."""
    start, length = torch.tensor([2]), torch.tensor([3])
    assert [[0, 0, 1, 1, 1, 0]] == span_labels(start, length, 6).tolist()
    assert [[2, 1, 0, -1, -2, -3]] == countdown_bars(start, 6).tolist()
    assert (20, -20) == (countdown_bars(torch.tensor([50]), 105).max(), countdown_bars(torch.tensor([50]), 105).min())


def test_scaled_countdown_maps_20_bars_either_way_to_the_unit_interval():
    """-20, 0 and 20 bars, the limits of the labels, are 0, 1/2 and 1; `bars` changes nothing."""
    countdown = torch.tensor([-20.0, 0.0, 20.0])
    assert [0.0, 0.5, 1.0] == scaled_countdown(countdown, "unit").tolist()
    assert torch.equal(countdown, scaled_countdown(countdown, "bars"))


def test_kinds_have_the_share_of_the_settings():
    """Four windows in five are of kind 1 where the settings say so; nothing else of the data moves."""
    some, even = (generate(small(n_train=2000, kind_share=share), 0) for share in (0.8, 0.5))
    assert pytest.approx(0.8, abs=FOUR_SE * (0.8 * 0.2 / 2000) ** 0.5) == float(some["train_kind"].double().mean())
    assert {"train_kind", "val_kind"} == {name for name in some if not torch.equal(some[name], even[name])}


def test_windows_are_made_on_the_device_that_is_asked_for():
    """No part of the generator comes from the host: on a device without content there is nothing to mix with."""
    with torch.device("meta"):
        data = generate(small(), 0)
    assert {"meta"} == {tensor.device.type for tensor in data.values()}


# --- model


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("normalized_countdown", 4 * 16 * (6 + 16 + 2) + (16 + 1) * 8 + (8 + 1) * (1 + 1 + 3 + 2) + 4),
        ("weak_clipped", 2 * 4 * 16 * (6 + 16 + 2) + (32 + 1) * (1 + 1 + 3 + 2) + 4),
    ],
)
def test_fast_model_has_the_parameters_of_its_parts(name, expected):
    """4 h (f + h + 2) a direction of the LSTM, a bottleneck or none, linear heads and four sigmas."""
    settings = settings_of(CASE, name)
    model = seeded_model(settings, float_data(replace(settings, n_train=2, n_val=2)))
    assert expected == sum(parameter.numel() for parameter in model.parameters())


def test_span_bias_starts_at_the_log_odds_of_a_bar_in_a_span():
    """With no other input to its span head, a fresh model predicts the training share."""
    data = float_data(small())
    bias = seeded_model(small(), data).span.bias
    share = float(generate(small(), 0)["train_span"].mean())
    assert pytest.approx(share, rel=FLOAT32) == float(bias.detach().double().sigmoid())


def test_uninformed_span_bias_is_as_torch_draws_it():
    """Nothing but the span bias depends on whether it is informed."""
    data = float_data(small())
    informed, drawn = (seeded_model(small(informed_span_bias=value), data).state_dict() for value in (True, False))
    assert ["span.bias"] == [name for name in informed if not torch.equal(informed[name], drawn[name])]
    assert abs(float(drawn["span.bias"])) <= 8**-0.5  # torch's bound for 8 inputs


def test_outputs_have_a_value_a_bar_or_a_window():
    """Kind (B, 3), pointers (B, 2) in (0, 1), span and countdown (B, T)."""
    data = float_data(small())
    outputs = seeded_model(small(), data)(data["train_features"])
    assert [(12, 3), (12, 2), (12, 40), (12, 40)] == [tuple(output.shape) for output in outputs]
    assert ((outputs.pointers > 0) & (outputs.pointers < 1)).all()


def test_dropout_is_keyed_and_only_in_training():
    """The same step repeats bitwise, another step differs, and without draws nothing is dropped."""
    settings = small(input_dropout=0.5)
    data = float_data(settings)
    model = seeded_model(settings, data)
    first, again, other = (model(data["train_features"], Draws.at(0, step)).span for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    model.input_dropout.drops = False
    assert not torch.equal(first, model(data["train_features"]).span)
    assert torch.equal(model(data["train_features"], Draws.at(0, 1)).span, model(data["train_features"]).span)


# --- loss


def test_loss_terms_match_numpy():
    """Cross-entropy, Huber .08, weighted binary cross-entropy and Huber 10 by their definitions, in numpy."""
    settings = small(pos_weight="balanced", countdown_scale="bars", countdown_delta=10.0)
    data = generate(settings, 0)
    model = seeded_model(settings, data).double()
    with torch.no_grad():
        losses, outputs = term_losses(model, data, "val")
    kind, pointers, span, countdown = (output.numpy() for output in outputs)
    label = {name: data[f"val_{name}"].numpy() for name in ("kind", "pointers", "span", "countdown")}
    weight = (1 - data["train_span"].numpy().mean()) / data["train_span"].numpy().mean()
    log_probability = kind - np.log(np.exp(kind).sum(axis=1, keepdims=True))
    probability = 1 / (1 + np.exp(-span))
    entropy = -(weight * label["span"] * np.log(probability) + (1 - label["span"]) * np.log(1 - probability))
    expected = {
        "type": -log_probability[np.arange(len(kind)), label["kind"]].mean(),
        "pointers": numpy_huber(pointers, label["pointers"], 0.08),
        "span": entropy.mean(),
        "countdown": numpy_huber(countdown, label["countdown"], 10.0),
    }
    # float64 in another order of operations
    assert pytest.approx(expected, rel=1e-9) == {name: float(term) for name, term in losses.items()}


def test_total_is_the_sum_over_2_sigma_squared_plus_log_sigma():
    """Kendall's weighting by hand, at sigmas that differ; `sum` adds the terms as they are."""
    settings = small()
    data = float_data(settings)
    model = seeded_model(settings, data)
    with torch.no_grad():
        model.log_sigma.copy_(torch.tensor([0.1, -0.3, 0.2, 1.0]))
    losses = {name: torch.tensor(float(i + 1)) for i, name in enumerate(TERMS)}
    expected = sum((i + 1) / (2 * math.exp(s) ** 2) + s for i, s in enumerate([0.1, -0.3, 0.2, 1.0]))
    assert pytest.approx(expected, rel=FLOAT32) == float(total_loss(model, losses, settings).detach())
    assert float(total_loss(model, losses, small(weighting="sum"))) == 10.0
    assert losses == weighted(model, losses, small(weighting="sum"))


def test_log_sigma_starts_as_documented():
    """-0.30 for the pointers, 0 for type, span and countdown."""
    settings = small()
    start = dict(zip(TERMS, seeded_model(settings, float_data(settings)).log_sigma.tolist(), strict=True))
    assert pytest.approx({"type": 0.0, "pointers": -0.3, "span": 0.0, "countdown": 0.0}, rel=FLOAT32) == start


def test_sigma_at_equilibrium_stands_still_on_the_losses_of_the_record():
    """At the record's losses of epoch 100 the total has no slope in any log sigma; the countdown's sigma is 3.17."""
    settings = small(sigma_start="equilibrium")
    model = seeded_model(settings, float_data(settings))
    losses = dict(zip(TERMS, torch.tensor([0.68, 0.009, 0.28, 10.08]), strict=True))
    total_loss(model, losses, settings).backward()
    assert pytest.approx([0, 0, 0, 0], abs=FLOAT32) == model.log_sigma.grad.tolist()
    assert pytest.approx(3.17, abs=0.005) == float(model.log_sigma[3].detach().exp())  # documented to two decimals


@pytest.mark.parametrize("delta", [0.08, torch.tensor(1.0), torch.tensor(10.0)])
def test_huber_loss_and_its_gradient_are_those_of_torch(delta):
    """Errors below, at and beyond delta, against torch's own Huber loss; delta may be a tensor."""
    errors = torch.cat([torch.linspace(-15, 15, 101), torch.tensor([float(delta), -float(delta)])])
    ours, theirs = (errors.clone().requires_grad_() for _ in range(2))
    zeros = torch.zeros_like(errors)
    expected = torch.nn.functional.huber_loss(theirs, zeros, delta=float(delta))
    actual = huber(ours, zeros, delta)
    torch.testing.assert_close(expected, actual)
    torch.testing.assert_close(*torch.autograd.grad(expected, theirs), *torch.autograd.grad(actual, ours))


@pytest.mark.parametrize(
    ("terms", "silent"), [("no_countdown", {"countdown"}), ("span", {"countdown", "kind", "pointers"})]
)
def test_a_term_left_out_reaches_no_parameter(terms, silent):
    """Heads whose term is not trained get no gradient, nor do their sigmas; the others do."""
    settings = small(terms=terms)
    data = float_data(settings)
    model = seeded_model(settings, data)
    loss(model, data, torch.arange(6), Draws.at(0, 0), settings).backward()
    heads = ("span", "countdown", "kind", "pointers")
    assert silent == {head for head in heads if getattr(model, head).weight.grad is None}
    n_trained = {"no_countdown": 3, "span": 1}[terms]
    assert n_trained == int((model.log_sigma.grad != 0).sum())


def test_class_weight_makes_both_classes_count_the_same():
    """The weight of one bar in four is 3."""
    assert float(positive_weight(torch.tensor([0.0, 1.0, 0.0, 0.0]))) == 3.0


def test_uncertainty_weights_of_the_record_are_those_of_adam_at_its_rate():
    """AdamW at 0.001 for 600 steps on the documented losses ends at the documented sigmas, still on the way."""
    epochs = [0, 9, 19, 49, 99]
    documented = {
        "type": [1.08, 0.69, 0.70, 0.74, 0.68],
        "pointers": [0.025, 0.011, 0.010, 0.011, 0.009],
        "span": [0.57, 0.25, 0.27, 0.29, 0.28],
        "countdown": [16.12, 15.25, 12.88, 11.00, 10.08],
    }
    log_sigma = nn.Parameter(torch.tensor([0.0, -0.3, 0.0, 0.0], dtype=torch.float64))
    optimizer = torch.optim.AdamW([log_sigma], lr=1e-3)
    terms = [np.interp(np.arange(600) / 6, epochs, documented[term]) for term in TERMS]
    for losses in torch.tensor(np.stack(terms, axis=1)):
        optimizer.zero_grad()
        (losses * (-2 * log_sigma).exp() / 2 + log_sigma).sum().backward()
        optimizer.step()
    sigma = dict(zip(TERMS, log_sigma.exp().tolist(), strict=True))
    # documented to two decimals, and the losses between the five epochs are interpolated
    assert pytest.approx({"type": 0.83, "pointers": 0.41, "span": 0.60, "countdown": 1.47}, rel=0.03) == sigma
    assert sigma["countdown"] < math.sqrt(10.08) / 2  # the equilibrium of L / (2 sigma^2) + log sigma is sqrt(L)


def test_delta_10_multiplies_the_countdown_loss():
    """At answer 0 the loss of labels in [-20, 20] is several times as large; numpy computes the same number."""
    settings = small(countdown_scale="bars")
    data = generate(settings, 0)
    one, ten = (close(data, replace(settings, countdown_delta=d))["countdown_loss_at_zero"] for d in (1.0, 10.0))
    countdown = data["train_countdown"].numpy()
    assert pytest.approx([numpy_huber(0, countdown, d) for d in (1.0, 10.0)], rel=1e-12) == [one, ten]  # float64
    assert ten > 5 * one
