"""The decoder against torch's own cells, layers and attention: free running, teacher forcing, several layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from goldmark.cases.poetry.decoder import CrossAttention, Decoder, TeacherForcing
from goldmark.training import draws

BATCH, LENGTH, HIDDEN, EMBEDDING, CODE = 3, 7, 6, 5, 4
TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}  # float64 rounding


def make_decoder(cell="rnn", layers=1, heads=0):
    """A decoder in float64, with weights of a seed."""
    with draws.initial_weights(0):
        return Decoder(
            embedding=EMBEDDING, hidden=HIDDEN, code_size=CODE, cell=cell, layers=layers, attention_heads=heads
        ).double()


def normal(name, *shape):
    """Normal numbers of a name."""
    return draws.normal(draws.key(0, 0, name), shape)


def forcing_at(*places):
    """Teacher forcing at the given steps, with inputs of its own."""
    forced = torch.zeros(LENGTH, dtype=torch.bool)
    forced[list(places)] = True
    return TeacherForcing(forced, normal("inputs", BATCH, LENGTH, EMBEDDING))


def plain_attention(attention, state, memory):
    """Torch's own attention of one query, mixed into the state."""
    width = HIDDEN // attention.heads
    query, keys, values = (
        part.reshape(BATCH, -1, attention.heads, width).transpose(1, 2)
        for part in (attention.query(state), attention.key(memory), attention.value(memory))
    )
    attended = nn.functional.scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(1)
    return attention.mix(torch.cat([state, attention.context(attended)], dim=1)).relu()


def plain_decoding(decoder, codes, memory, forcing=None):
    """Decode word by word with torch's own cells: nothing folded, nothing kept from step to step but the states."""
    chunks = [linear(codes).tanh().chunk(len(decoder.cells), dim=1) for linear in decoder.from_code]
    layers = list(zip(*chunks, strict=True))
    word, states, outputs = decoder.start.expand(BATCH, -1), [], []
    for t in range(LENGTH):
        if forcing is not None and t > 0 and forcing.forced[t]:
            word = forcing.inputs[:, t]
        x = decoder.project(word)
        for place, cell in enumerate(decoder.cells):
            state = cell(x, layers[place] if decoder.cell == "lstm" else layers[place][0])
            layers[place] = state if decoder.cell == "lstm" else (state,)
            x = layers[place][0]
        state = plain_attention(decoder.attention, x, memory) if decoder.attention else x
        word = decoder.output(state)
        states.append(state)
        outputs.append(word)
    return torch.stack(states, dim=1), torch.stack(outputs, dim=1)


@pytest.mark.parametrize("forced", [None, (), (1, 4), range(LENGTH)], ids=["free", "never", "mixed", "always"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize(("layers", "heads"), [(1, 0), (2, 0), (1, 2), (2, 3), (3, 1)])
def test_decoder_is_the_plain_loop_over_torchs_cells(cell, layers, heads, forced):
    """Folded or step by step, forced or not, with and without attention: states and outputs, to float64 rounding."""
    decoder, codes = make_decoder(cell, layers, heads), normal("codes", BATCH, CODE)
    memory = normal("memory", BATCH, LENGTH, HIDDEN)
    forcing = None if forced is None else forcing_at(*forced)
    expected = plain_decoding(decoder, codes, memory, forcing)
    for theirs, ours in zip(expected, decoder(codes, memory, forcing), strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCE)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_gradients_of_folded_free_running_are_those_of_the_plain_loop(cell):
    """Folding the output layer into the recurrence changes no gradient, to float64 rounding."""
    decoder, codes = make_decoder(cell), normal("codes", BATCH, CODE)
    memory, parameters = torch.zeros(BATCH, LENGTH, HIDDEN), list(decoder.parameters())
    folded, plain = (
        torch.autograd.grad(outputs.pow(3).sum(), parameters)
        for _, outputs in (decoder(codes, memory), plain_decoding(decoder, codes, memory))
    )
    for (name, _), ours, theirs in zip(decoder.named_parameters(), folded, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_fully_forced_decoder_is_the_layer_on_its_inputs(cell):
    """With every step forced the decoder is torch's own layer on start token and inputs, to float64 rounding."""
    decoder, codes, forcing = make_decoder(cell), normal("codes", BATCH, CODE), forcing_at(*range(LENGTH))
    layer = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell](EMBEDDING, HIDDEN, batch_first=True).double()
    layer.load_state_dict({f"{name}_l0": tensor for name, tensor in decoder.cells[0].state_dict().items()})
    initial = [linear(codes).tanh()[None] for linear in decoder.from_code]
    inputs = torch.cat([decoder.start.expand(BATCH, 1, -1), forcing.inputs[:, 1:]], dim=1)
    expected, _ = layer(inputs, tuple(initial) if cell == "lstm" else initial[0])
    memory = torch.zeros(BATCH, LENGTH, HIDDEN)
    torch.testing.assert_close(decoder(codes, memory, forcing)[0], expected, **TOLERANCE)


def test_first_input_is_the_start_token_even_where_it_is_forced():
    """Nothing has been written before the first word: forcing step 0 changes no bit."""
    decoder, codes, memory = make_decoder(), normal("codes", BATCH, CODE), torch.zeros(BATCH, LENGTH, HIDDEN)
    never, first = (decoder(codes, memory, forcing_at(*places))[1] for places in ((), (0,)))
    assert torch.equal(never, first)


def test_a_forced_step_changes_what_follows_and_nothing_before():
    """Causality: the words before step 4 are those of free running, bit by bit; word 4 is another."""
    decoder, codes, memory = make_decoder("lstm", 2), normal("codes", BATCH, CODE), torch.zeros(BATCH, LENGTH, HIDDEN)
    never, fourth = (decoder(codes, memory, forcing_at(*places))[1] for places in ((), (4,)))
    assert torch.equal(never[:, :4], fourth[:, :4])
    assert not torch.allclose(never[:, 4], fourth[:, 4])


def test_attention_sees_every_state_of_the_encoder_and_no_other_windows():
    """A change of any one state of window 0 changes its own words, and those of no other window."""
    decoder, codes = make_decoder("lstm", 2, 2), normal("codes", BATCH, CODE)
    memory = normal("memory", BATCH, LENGTH, HIDDEN)
    before = decoder(codes, memory)[1]
    for place in range(LENGTH):
        changed = memory.clone()
        changed[0, place] += 1
        after = decoder(codes, changed)[1]
        assert not torch.allclose(before[0], after[0])
        assert torch.equal(before[1:], after[1:])


@pytest.mark.parametrize("length", [1, 2, 7])
def test_attention_over_equal_states_is_what_they_hold(length):
    """Weights sum to 1: over equal states the context is their value, however many there are, to float64 rounding."""
    with draws.initial_weights(0):
        attention = CrossAttention(HIDDEN, 2).double()
    state, one = normal("state", BATCH, HIDDEN), normal("memory", BATCH, 1, HIDDEN)
    value = attention.context(attention.value(one[:, 0]))
    expected = attention.mix(torch.cat([state, value], dim=1)).relu()
    torch.testing.assert_close(attention.over(one.expand(-1, length, -1))(state), expected, **TOLERANCE)
