"""The autoencoder: its sizes, its initial weights, and an encoder that agrees with torch's own layers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from goldmark.cases.poetry import CASE
from goldmark.training import draws


@pytest.mark.parametrize(
    ("variant", "expected"),
    [("wide", 25_794), ("narrow", 1_530), ("encoder_only_wide", 11_898), ("decoder_only_wide", 15_426)],
)
def test_fast_scale_has_its_parameter_count(variant, expected):
    """The widths reach the model: each variant has the count that its sentence implies."""
    model = CASE.make_model(CASE.settings_of(variant), {"train_tokens": torch.zeros(1, 12, 48)})
    assert expected == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_dropout_of_the_settings_reaches_the_model(settings, data, share):
    """The share that is dropped is the recipe's."""
    assert share == CASE.make_model(replace(settings, dropout=share), data).dropout.p


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, False), (1, True), (2, True)])
def test_code_is_the_norm_of_the_last_states_of_torchs_own_layer(settings, data, cell, layers, bidirectional):
    """The top layer's last h, of both directions where there are two, through an affine map and a batch norm."""
    settings = replace(settings, cell=cell, layers=layers, bidirectional=bidirectional)
    with draws.initial_weights(0):
        model = CASE.make_model(settings, data).double().eval()
    model.norm.running_mean.copy_(torch.linspace(-1, 1, 6))
    model.norm.running_var.copy_(torch.linspace(0.5, 2, 6))
    layer = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell](
        48, 10, num_layers=layers, bidirectional=bidirectional, batch_first=True
    ).double()
    layer.load_state_dict(model.reader.state_dict())
    states, last = layer(data["val_tokens"])
    last = last[0] if cell == "lstm" else last
    top = torch.cat([last[-2], last[-1]], dim=1) if bidirectional else last[-1]
    kept = (model.norm.running_var + 1e-5).sqrt()
    expected = (top @ model.to_code.weight.T + model.to_code.bias - model.norm.running_mean) / kept
    codes, memory = model.encode(data["val_tokens"])
    torch.testing.assert_close(codes, expected, rtol=1e-9, atol=1e-12)  # float64 rounding
    torch.testing.assert_close(memory, states, rtol=1e-9, atol=1e-12)


def test_codes_of_a_training_batch_have_mean_0_and_variance_1(model, data):
    """The batch norm: whatever the encoder says, each dimension of a batch varies by 1 (less eps, 1e-5 over 1)."""
    codes, _ = model.train().encode(data["train_tokens"])
    torch.testing.assert_close(codes.mean(dim=0), torch.zeros(6, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(codes.var(dim=0, correction=0), torch.ones(6, dtype=torch.float64), rtol=1e-2, atol=0)


def test_code_is_read_from_the_whole_window_in_order(model, data):
    """Every place counts, the first as the last, and so does the order of the words."""
    tokens = data["val_tokens"]
    for place in (0, 6, 11):
        changed = tokens.clone()
        changed[:, place] = 0
        assert not torch.allclose(model.encode(tokens)[0], model.encode(changed)[0], rtol=1e-9)  # rounding would pass
    assert not torch.allclose(model.encode(tokens)[0], model.encode(tokens.flip(1))[0])


def test_reconstruction_sees_the_window_through_the_code_alone(model, data):
    """Without attention two windows of one code are written alike: the decoder gets no other word of them."""
    codes, memory = model.encode(data["val_tokens"])
    _, outputs = model.decoder(codes, torch.zeros_like(memory))
    assert torch.equal(outputs, model(data["val_tokens"]))


def test_outputs_span_one_dimension_more_than_the_decoder_has_units(model, data):
    """The cause: 4 units write in 5 of 48 dimensions, trained or not."""
    assert 5 == np.linalg.matrix_rank(model(data["val_tokens"]).flatten(0, 1).detach().numpy())


def test_dropout_is_keyed_and_only_with_draws(model, data):
    """Without draws nothing is dropped; with them a share of the encoder's last state, the same for the same key."""
    tokens = data["val_tokens"]
    step = draws.Draws.at(0, 0)
    dropped, _ = model.encode(tokens, step)
    assert {("last hidden state", (40, 10))} == step.used
    assert torch.equal(dropped, model.encode(tokens, draws.Draws.at(0, 0))[0])
    assert not torch.equal(dropped, model.encode(tokens, draws.Draws.at(0, 1))[0])
    assert torch.equal(model.encode(tokens)[0], model.encode(tokens)[0])
    assert not torch.equal(dropped, model.encode(tokens)[0])


def test_recurrent_weights_start_orthogonal(model):
    """As in the record: W W^T is the identity, to float32 rounding."""
    for weight in (model.reader.weight_hh_l0, model.decoder.cells[0].weight_hh):
        torch.testing.assert_close(weight @ weight.T, torch.eye(len(weight), dtype=torch.float64), rtol=0, atol=1e-5)


def test_input_weights_start_within_xaviers_bound(model):
    """As in the record: uniform up to sqrt(6 / (inputs + units)) (Glorot and Bengio, 2010); some come near."""
    for weight in (model.reader.weight_ih_l0, model.decoder.cells[0].weight_ih):
        bound = math.sqrt(6 / sum(weight.shape))
        assert 0.95 * bound < float(weight.detach().abs().max()) < 1.000001 * bound  # float32 rounding
