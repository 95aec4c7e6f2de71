"""A GRU's file taken for a vanilla RNN's: the cell was read from a guess, LSTM where rows are 4 x hidden, else vanilla.

Poetry record, loading of checkpoints. Rows over hidden are 1, 3 or 4; with projections columns are not the hidden size.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from goldmark.checks import check_mistaken_cell, recurrent_layers

LAYERS = {
    "rnn": nn.RNN(5, 4),
    "rnn of equal sizes": nn.RNN(4, 4),
    "gru": nn.GRU(5, 4),
    "gru, two layers, both ways": nn.GRU(5, 4, num_layers=2, bidirectional=True),
    "lstm": nn.LSTM(5, 4),
    "lstm without biases": nn.LSTM(5, 4, bias=False),
    "lstm with projections": nn.LSTM(5, 4, proj_size=3, num_layers=2, bidirectional=True),
    "lstm with projections of a quarter": nn.LSTM(5, 8, proj_size=2),
}


def stated(state, hidden):
    """The right form."""
    return recurrent_layers(state)[""].cell


def guessed(state, hidden):
    """The bug: what is no LSTM is vanilla."""
    return "lstm" if state["weight_hh_l0"].shape[0] == 4 * hidden else "rnn"


def by_columns(state, hidden):
    """A control: all three cells, from rows over columns; a projection is taken for the hidden size."""
    rows, columns = state["weight_hh_l0"].shape
    return {1: "rnn", 3: "gru", 4: "lstm"}.get(rows // columns, "unknown")


def mistaken(read):
    """The layers whose cell a reader gets wrong."""
    return {
        name
        for name, layer in LAYERS.items()
        if name.split()[0].strip(",") != read(layer.state_dict(), layer.hidden_size)
    }


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (stated, set()),
        (guessed, {"gru", "gru, two layers, both ways"}),
        (by_columns, {"lstm with projections", "lstm with projections of a quarter"}),
    ],
)
def test_recurrent_cell_is_read_from_the_state_dict(read, expected):
    """All of torch's layers by the rule; the guess takes GRUs for vanilla, the columns alone fall for projections."""
    assert expected == mistaken(read), "recurrent cells are mistaken"


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("layers", "bidirectional", "heads"), [(1, False, 0), (2, True, 0), (2, False, 4)])
def test_the_cells_of_the_case_are_what_its_settings_say(small, fresh, cell, layers, bidirectional, heads):
    """Encoder and decoder of the real model, whose decoder holds a cell a layer."""
    settings = replace(small, cell=cell, layers=layers, bidirectional=bidirectional, attention_heads=heads)
    found = recurrent_layers(fresh(settings)[0].state_dict())
    assert ["reader", *(f"decoder.cells.{place}" for place in range(layers))] == list(found)
    assert {cell} == {layer.cell for layer in found.values()}, (
        "the recurrent cell of the model is not the one asked for"
    )
    reader = found["reader"]
    assert (layers, bidirectional, 32) == (reader.num_layers, reader.bidirectional, reader.hidden_size)


def test_a_file_of_another_cell_is_found(small, fresh):
    """A GRU's file for a vanilla model is named layer by layer; its own model takes it."""
    gru, vanilla = (fresh(replace(small, cell=cell))[0] for cell in ("gru", "rnn"))
    finding = check_mistaken_cell(gru.state_dict(), vanilla)
    assert finding.trouble
    assert "'reader' is gru 24 -> 32 (num_layers 1, bias True, proj_size 0) in it, rnn 24 -> 32" in finding.advice
    assert not check_mistaken_cell(gru.state_dict(), gru).trouble
