"""JadeCompact against plain loops in numpy, the parameters of its parts, its start and its dropout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.data import generate
from goldmark.cases.expansion.model import TRUNK
from goldmark.training.draws import Draws

FLOAT32 = 1e-5  # a few roundings of float32 are below 1e-6 each
BOTTLENECK = {"bottleneck": 3, "bidirectional": False, "pooled_width": 0}
AS_DOCUMENTED = {"bottleneck": 0, "bidirectional": True, "pooled_width": 5}


def sigmoid(x):
    """The logistic function."""
    return 1 / (1 + np.exp(-x))


def lstm_states(x, weights, suffix):
    """States (T, H) of one direction for x (T, F), bar by bar; torch keeps the gates in the order i, f, g, o."""
    w_in, w_state, b_in, b_state = (
        weights[f"lstm.{part}_l0{suffix}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = c = np.zeros(w_state.shape[1])
    states = []
    for bar in x:
        i, f, g, o = np.split(w_in @ bar + b_in + w_state @ h + b_state, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states)


def linear(x, weights, name):
    """A linear layer on the last axis."""
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def numpy_outputs(x, weights, settings):
    """Kind, pointers, span and countdown of one window (T, F), from a model's state."""
    states = lstm_states(x, weights, "")
    if settings.bidirectional:
        states = np.concatenate([states, lstm_states(x[::-1], weights, "_reverse")[::-1]], axis=1)
    if settings.bottleneck:
        states = np.tanh(linear(states, weights, "bottleneck.0"))
    pooled = states.mean(axis=0)
    if settings.pooled_width:
        pooled = np.maximum(linear(pooled, weights, "pool.0"), 0)
    return {
        "kind": linear(pooled, weights, "kind"),
        "pointers": sigmoid(linear(pooled, weights, "pointers")),
        "span": linear(states, weights, "span")[:, 0],
        "countdown": linear(states, weights, "countdown")[:, 0],
    }


@pytest.mark.parametrize("shape", [BOTTLENECK, AS_DOCUMENTED], ids=["bottleneck", "as documented"])
def test_outputs_are_those_of_plain_loops(small, fresh, shape):
    """LSTM, bottleneck, pooling and heads, bar by bar in numpy: every output of every window."""
    settings = small(hidden=4, features=3, bars=9, span_max=5, n_train=3, **shape)
    data, model = fresh(settings, dtype=torch.float64)
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        outputs = model(data["train_features"])
    for row, x in enumerate(data["train_features"].numpy()):
        for name, expected in numpy_outputs(x, weights, settings).items():
            # float64 in another order of operations
            np.testing.assert_allclose(getattr(outputs, name)[row], expected, 1e-10, 1e-12, err_msg=name)


@pytest.mark.parametrize("shape", [BOTTLENECK, AS_DOCUMENTED], ids=["bottleneck", "as documented"])
def test_trunk_is_what_every_head_reaches(small, fresh, shape):
    """The parameters that count as shared are those, and all of those, that each of the four outputs depends on."""
    data, model = fresh(small(**shape))
    reached = []
    for place in range(4):
        model.zero_grad()
        model(data["train_features"])[place].square().sum().backward()
        reached.append({name for name, parameter in model.named_parameters() if parameter.grad is not None})
    trunk = {name for name, _ in model.named_parameters() if name.startswith(TRUNK)}
    assert set.intersection(*reached) == trunk
    assert trunk


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("normalized_countdown", 4 * 16 * (6 + 16 + 2) + (16 + 1) * 8 + (8 + 1) * (1 + 1 + 3 + 2) + 4),
        ("weak_clipped", 2 * 4 * 16 * (6 + 16 + 2) + (32 + 1) * (1 + 1 + 3 + 2) + 4),
    ],
)
def test_fast_model_has_the_parameters_of_its_parts(fresh, name, expected):
    """4 h (f + h + 2) a direction of the LSTM, a bottleneck or none, linear heads and four sigmas."""
    _, model = fresh(replace(CASE.settings_of(name), n_train=2, n_val=2))
    assert expected == sum(parameter.numel() for parameter in model.parameters())


def test_span_bias_starts_at_the_log_odds_of_a_bar_in_a_span(small, fresh):
    """With no other input to its span head, a fresh model predicts the training share."""
    _, model = fresh(small())
    share = float(generate(small(), 0)["train_span"].mean())
    assert pytest.approx(share, rel=FLOAT32) == float(model.span.bias.detach().double().sigmoid())


def test_uninformed_span_bias_is_as_torch_draws_it(small, fresh):
    """Nothing but the span bias depends on whether it is informed."""
    informed, drawn = (fresh(small(informed_span_bias=value))[1].state_dict() for value in (True, False))
    assert ["span.bias"] == [name for name in informed if not torch.equal(informed[name], drawn[name])]
    assert abs(float(drawn["span.bias"])) <= 8**-0.5  # torch's bound for 8 inputs


def test_outputs_have_a_value_a_bar_or_a_window(small, fresh):
    """Kind (B, 3), pointers (B, 2) in (0, 1), span and countdown (B, T)."""
    data, model = fresh(small())
    outputs = model(data["train_features"])
    assert [(12, 3), (12, 2), (12, 40), (12, 40)] == [tuple(output.shape) for output in outputs]
    assert ((outputs.pointers > 0) & (outputs.pointers < 1)).all()


def test_dropout_is_keyed_and_only_in_training(small, fresh):
    """The same step repeats bitwise, another step differs, and without draws nothing is dropped."""
    data, model = fresh(small(input_dropout=0.5))
    first, again, other = (model(data["train_features"], Draws.at(0, step)).span for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    model.input_dropout.drops = False
    assert not torch.equal(first, model(data["train_features"]).span)
    assert torch.equal(model(data["train_features"], Draws.at(0, 1)).span, model(data["train_features"]).span)


def test_dropout_is_of_the_input_at_its_site(small, fresh):
    """A dropped model answers as an undropped one does on features of which the draws of `input` keep 7 in 10."""
    data, model = fresh(small(input_dropout=0.3))
    features = data["train_features"]
    kept = Draws.at(0, 5).kept("input", tuple(features.shape), torch.tensor(0.3, dtype=torch.float64))
    assert pytest.approx(0.7, abs=4 * (0.21 / features.numel()) ** 0.5) == float(kept.double().mean())
    expected = model(torch.where(kept, features / 0.7, 0.0))
    for output, dropped in zip(expected, model(features, Draws.at(0, 5)), strict=True):
        torch.testing.assert_close(dropped, output)  # float32: / .7 and times 1 / .7 round apart
