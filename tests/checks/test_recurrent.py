"""Recurrent layers read from state dicts: torch's own layers, built again from what was read."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from goldmark.checks import RecurrentLayer, check_mistaken_cell, recurrent_layers

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@settings(max_examples=40, deadline=None)
@given(
    cell=st.sampled_from(sorted(LAYERS)),
    sizes=st.tuples(st.integers(1, 6), st.integers(2, 12), st.integers(1, 3)),
    flags=st.tuples(st.booleans(), st.booleans()),
    proj_size=st.integers(0, 11),
)
def test_every_layer_is_built_again_from_its_state_dict(cell, sizes, flags, proj_size):
    """Sizes, depth, directions, biases and projections are those of torch, and the weights load into the new layer."""
    (input_size, hidden_size, num_layers), (bias, bidirectional) = sizes, flags
    arguments = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
    arguments |= {"bias": bias, "bidirectional": bidirectional}
    if cell == "lstm":
        arguments |= {"proj_size": proj_size % hidden_size}
    layer = LAYERS[cell](**arguments, batch_first=True)
    (read,) = recurrent_layers(layer.state_dict()).values()
    assert RecurrentLayer(cell=cell, **arguments) == read
    again = read.build()
    again.load_state_dict(layer.state_dict())  # strict: every name and shape is the same
    assert type(layer) is type(again)
    assert again.batch_first


@pytest.mark.parametrize(("cell", "module"), [("rnn", nn.RNNCell), ("gru", nn.GRUCell), ("lstm", nn.LSTMCell)])
def test_single_cells_are_read_too(cell, module):
    """Torch's cells, whose weights have no layer in their names, inside a model and on their own."""
    expected = RecurrentLayer(cell=cell, input_size=5, hidden_size=4)
    assert {"": expected} == recurrent_layers(module(5, 4).state_dict())
    model = nn.ModuleDict({"reader": module(5, 4), "head": nn.Linear(4, 2)})
    assert {"reader": expected} == recurrent_layers(model.state_dict())


def test_a_model_without_recurrent_layers_has_none():
    """A linear layer is no cell."""
    assert {} == recurrent_layers(nn.Linear(3, 3).state_dict())


@pytest.mark.parametrize("rows", [8, 7])
def test_unknown_cells_are_refused(rows):
    """Twice as many rows as hidden units, or no multiple: none of torch's cells."""
    with pytest.raises(ValueError, match=f"'enc.weight_hh_l0' has {rows} rows for 4 hidden units"):
        recurrent_layers({"enc.weight_hh_l0": torch.zeros(rows, 4), "enc.weight_ih_l0": torch.zeros(rows, 3)})


def test_mistaken_cells_are_named_with_both_readings():
    """Another cell, another depth, a layer too many; the same layers are no trouble."""
    stored = nn.ModuleDict({"a": nn.GRU(5, 4), "b": nn.LSTM(4, 4)}).state_dict()
    built = nn.ModuleDict({"a": nn.RNN(5, 4), "b": nn.LSTM(4, 4, num_layers=2), "c": nn.RNN(2, 2)})
    finding = check_mistaken_cell(stored, built)
    assert (True, {"unlike": 3.0, "layers": 3.0}) == (finding.trouble, finding.numbers)
    assert "'a' is gru 5 -> 4 (num_layers 1, bias True, proj_size 0) in it, rnn 5 -> 4" in finding.advice
    assert "'c' is missing in it, rnn 2 -> 2" in finding.advice
    assert not check_mistaken_cell(stored, nn.ModuleDict({"a": nn.GRU(5, 4), "b": nn.LSTM(4, 4)})).trouble
