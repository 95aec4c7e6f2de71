"""What is read of bidirectional layers: the last output of both directions beside what looks like it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from zoo.loops import plain_step, tokens

import goldmark
from goldmark.checks import check_direction_of_one_step

READINGS = {
    "last": lambda states, last: states[:, -1],
    "first": lambda states, last: states[:, 0],
    "each_at_its_end": lambda states, last: torch.cat([states[:, -1, :4], states[:, 0, 4:]], dim=1),
    "one_direction": lambda states, last: states[:, -1, :4].repeat(1, 2),
    "mean": lambda states, last: states.mean(1),
    "with_last_states": lambda states, last: states[:, -1] + last.transpose(0, 1).flatten(1),
}


class Reader(nn.Module):
    """A bidirectional layer of tokens, of which something is read."""

    def __init__(self, reading, *, state=None, packed=False):
        super().__init__()
        self.reading, self.state, self.packed = reading, state, packed
        self.embedding, self.layer = nn.Embedding(12, 4), nn.GRU(4, 4, batch_first=True, bidirectional=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        """Logits (B, 2)."""
        given = self.embedding(x)
        if self.packed:
            given = pack_padded_sequence(given, torch.full((len(x),), x.shape[1]), batch_first=True)
        state = None if self.state is None else self.state.expand(2, len(x), 4)
        states, last = self.layer(given, hx=state)
        if self.packed:
            states = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)[0]
        return self.head(self.reading(states, last))


def named(model, *, length=6):
    """Tell whether preflight and a watch name it."""
    text = tokens(32)[:, :length]
    batches = [(text[:16], text[:16, 0] % 2), (text[16:], text[16:, 0] % 2)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    early = goldmark.preflight(model, optimizer, batches, None, nn.functional.cross_entropy)
    with goldmark.watch(model, optimizer) as watcher:
        for x, y in batches:
            plain_step(watcher, model, optimizer, x, y)
    return ["direction_of_one_step" in names for names in (early.names, watcher.findings.names)]


@pytest.mark.parametrize("name", READINGS)
def test_an_end_of_both_directions_is_told_from_other_readings(name):
    """Each direction at its own end, one of them, all steps, or the last states beside an output: all that passes."""
    assert [name in ("last", "first")] * 2 == named(Reader(READINGS[name]))


def test_a_state_of_zeros_tells_no_more_and_another_does():
    """A direction that begins with a state of its own has seen more than its first step."""
    assert [True] * 2 == named(Reader(READINGS["last"], state=torch.zeros(())))
    assert [False] * 2 == named(Reader(READINGS["last"], state=torch.ones(())))


def test_sequences_of_one_step_and_packed_ones_pass():
    """The only step is all there is, and packed sequences end in unlike places."""
    assert [False] * 2 == named(Reader(READINGS["last"]), length=1)
    assert [False] * 2 == named(Reader(READINGS["last"], packed=True))


def test_a_gradient_alone_is_judged():
    """At the last of three steps, in both halves or in one; and in the middle."""
    gradient = torch.zeros(2, 3, 8)
    gradient[1, 2, ::4] = 1
    assert check_direction_of_one_step(gradient).trouble
    assert {"steps": 3.0, "steps_read": 1.0} == check_direction_of_one_step(gradient).numbers
    gradient[..., 4:] = 0
    assert not check_direction_of_one_step(gradient).trouble
    assert not check_direction_of_one_step(torch.ones(1, 3, 1).cumsum(1).eq(2) * torch.ones(8)).trouble
