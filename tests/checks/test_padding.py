"""Padding in a score, in a loss and in what a model gives: what counts it beside what looks like it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from zoo.loops import batched, mlp, tokens

import goldmark
from goldmark.checks import check_padding_counted
from goldmark.checks._padding import filled_from

VALUES = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]])
VALID = torch.tensor([[True, True, True], [True, True, False]])


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4)])
def test_masked_mean_does_not_count_padding(shape):
    """The mean of the valid entries, of cells that are numbers or vectors."""
    values = torch.arange(24.0).reshape(2, 3, 4)[(..., 0) if len(shape) == 2 else ...]
    assert not check_padding_counted(lambda values, valid: values[valid].square().mean(), values, VALID).trouble


def test_each_way_of_counting_padding_is_seen():
    """No mask: what cells hold; a masked mean over all cells: how many they are; and NaN is trouble."""
    by_value = check_padding_counted(lambda values, valid: values.mean(), VALUES, VALID)
    assert (True, True) == (by_value.trouble, by_value.numbers["change_by_their_values"] > 0)
    by_number = check_padding_counted(lambda values, valid: (values * valid).mean(), VALUES, VALID)
    assert (True, 0.0) == (by_number.trouble, by_number.numbers["change_by_their_values"])
    assert pytest.approx(15 / 12 - 15 / 6) == by_number.numbers["change_by_their_number"]
    assert check_padding_counted(lambda values, valid: values.mean() * torch.nan, VALUES, VALID).trouble


def texts(n=32):
    """Tokens (N, 12) that are filled up with 0, half or more of each."""
    return tokens(n, length=11) * (torch.arange(12) < 3 + torch.arange(n)[:, None] % 4)


def names(model, batches, loss_fn):
    """What preflight finds where 0 is declared to pad."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return goldmark.preflight(model, optimizer, batches, None, loss_fn, pad_id=0).names


def tagging(ignored):
    """The loss of tags (B, T) that leaves one out."""
    return lambda output, tags: functional.cross_entropy(output.transpose(1, 2), tags, ignore_index=ignored)


def test_a_tag_with_the_number_of_the_padding_is_none():
    """Tag 0 is in use where -1 pads; where 0 pads tags, too, the same loss counts it."""
    model, text = nn.Sequential(nn.Embedding(12, 8), nn.Linear(8, 3)), texts()
    tags = text % 2
    assert () == names(model, batched(text, tags.masked_fill(text == 0, -1)), tagging(-1))
    assert ("padding_changes_loss",) == names(model, batched(text, tags.masked_fill(text != 0, 1)), tagging(-1))


def test_a_mean_over_fewer_targets_pulls_on_no_other_example():
    """Another target of the first example changes how many count, and all gradients by one factor."""
    model, text = nn.Sequential(nn.Embedding(12, 8), nn.Linear(8, 12)), tokens(32, length=39)
    text[0, 6:], text[1:, 4:] = 0, 0
    assert () == names(model, batched(text, (text % 3 + 1) * (text != 0)), tagging(0))


def test_targets_beside_numbers_are_padding_where_they_fill_up():
    """The first one that pads may end a sequence; labels that do not exclude each other are no tokens."""
    words = texts()[:, :6]
    model, x = nn.Sequential(mlp(8, 16, 72), nn.Unflatten(1, (6, 12))), torch.randn(32, 8)

    def up_to_the_end(output, targets):
        counted = (targets != 0) | (targets.roll(1, 1) != 0)
        return tagging(-1)(output, targets.masked_fill(~counted, -1))

    assert () == names(model, batched(x, words), up_to_the_end)
    assert ("padding_changes_loss",) == names(model, batched(x, words), tagging(-1))
    labels = (torch.rand(32, 3, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    assert () == names(mlp(8, 16, 3), batched(x, labels), functional.binary_cross_entropy_with_logits)


class Mean(nn.Module):
    """A mean over tokens (B, T), masked or not, which is told of more than them."""

    def __init__(self, *, masked):
        super().__init__()
        self.masked, self.embedding, self.head = masked, nn.Embedding(12, 8), nn.Linear(8, 2)

    def forward(self, text, more):
        """Logits (B, 2)."""
        real = more if self.masked else torch.ones_like(more)
        return self.head((self.embedding(text) * real[..., None]).sum(1) / real.sum(1, keepdim=True))


@pytest.mark.parametrize(("masked", "expected"), [(True, ()), (False, ("padding_changes_output",))])
def test_a_mask_is_cut_with_its_tokens(masked, expected):
    """A model that is told where the padding is, and reads it or does not."""
    text = texts()
    batches = [((part, part != 0), part[:, 0] % 2) for part in text.split(16)]
    assert expected == names(Mean(masked=masked), batches, functional.cross_entropy)


def test_a_second_text_is_not_cut_with_the_first():
    """Where the first has its padding, the second has words: nothing is judged."""
    text = texts()
    batches = [((part, tokens(16, length=11)), part[:, 0] % 2) for part in text.split(16)]
    assert () == names(Mean(masked=False), batches, functional.cross_entropy)


def test_lengths_say_which_targets_fill_up():
    """One number behind them, and another as the last one before; the first cell behind may hold an end."""
    lengths = torch.tensor([2, 4, 3])
    text = tokens(3, length=5) * (torch.arange(6) < lengths[:, None])
    ended = text.index_put((torch.arange(3), lengths), torch.tensor(7))
    assert all(filled_from(one, lengths) for one in (text, ended, text[..., None].expand(-1, -1, 4).float()))
    assert not filled_from(tokens(3, length=5), lengths)  # a text that goes on
    assert not filled_from(text, lengths + 2)  # no end
    assert not filled_from(torch.zeros_like(text), lengths)
    assert not any(filled_from(text, one) for one in (lengths - 2, lengths.float(), lengths[:2], lengths > 2))
    assert not any(filled_from(one, lengths) for one in (text[:, 0], text[:, :3], text[:, :4]))


def test_a_loss_of_what_fills_up_alone_is_named_where_nothing_is_declared():
    """One that reads all of it and the end before it is named, one that also reads a real target is not."""
    words, lengths = texts(), 3 + torch.arange(32) % 4
    targets = (words.index_put((torch.arange(32), lengths), torch.tensor(11)), lengths)
    model, x = nn.Sequential(mlp(8, 16, 144), nn.Unflatten(1, (12, 12))), torch.randn(32, 8)

    def from_place(place):
        """The loss of targets from a place before or behind their lengths on."""

        def loss_fn(output, targets):
            losses = functional.cross_entropy(output.transpose(1, 2), targets[0], reduction="none")
            return losses.masked_fill(torch.arange(12) < targets[1][:, None] + place, 0).mean()

        return goldmark.preflight(model, torch.optim.SGD(model.parameters(), 0.1), [(x, targets)], None, loss_fn).names

    expected = {-1: (), 0: ("padding_changes_loss",), 1: ("padding_changes_loss",), 6: ()}
    assert expected == {place: from_place(place) for place in expected}
