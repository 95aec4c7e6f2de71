"""Masks of attention: torch's two senses of True, and masks that leave out something else."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import goldmark
from goldmark.checks import check_attention_to_padding

TOKENS = torch.tensor([[3, 5, 2, 0, 0], [4, 1, 0, 0, 0], [2, 2, 3, 1, 5], [1, 6, 4, 3, 0]])
LABELS = torch.tensor([0, 1, 0, 1])


class Attending(nn.Module):
    """Two classes by what the first token attends to; a function of the tokens makes the mask."""

    def __init__(self, mask, *, layer):
        super().__init__()
        self.mask, self.embedding, self.head = mask, nn.Embedding(7, 8), nn.Linear(8, 2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True) if layer else None

    def forward(self, x):
        """Logits (B, 2)."""
        given = self.embedding(x) + torch.arange(5.0)[:, None]
        if self.attention is not None:
            attended = self.attention(given, given, given, key_padding_mask=self.mask(x))[0]
        else:
            heads = given.unflatten(2, (2, 4)).transpose(1, 2)
            attended = functional.scaled_dot_product_attention(heads, heads, heads, self.mask(x)).flatten(2)
        return self.head(attended.flatten(1)[:, :8])


def named(mask, *, layer):
    """Tell whether preflight says that padding is attended to."""
    model = Attending(mask, layer=layer)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = goldmark.preflight(model, optimizer, [(TOKENS, LABELS)], None, functional.cross_entropy, pad_id=0)
    return "attention_to_padding" in found.names


@pytest.mark.parametrize("layer", [True, False])
def test_the_two_senses_of_true(layer):
    """A layer leaves out where its mask is True, the function where it is False; both where -inf is added."""

    def words(x):
        return x != 0 if layer else (x != 0)[:, None, None]

    def padding(x):
        return ~words(x)

    def added(hidden):
        return lambda x: torch.zeros(words(x).shape).masked_fill(hidden(x), -torch.inf)

    assert [layer, not layer] == [named(mask, layer=layer) for mask in (words, padding)]
    assert [False, True] == [named(added(hidden), layer=layer) for hidden in (padding, words)]


def test_other_masks_leave_out_something_else():
    """Nothing, the first word of all, or the future; a mask of other keys is not judged."""
    padding = TOKENS == 0
    first = torch.zeros_like(padding)
    first[:, 0] = True
    for keys in ([], [torch.zeros_like(padding)], [first], [padding | first], [~padding[:, 1:]]):
        assert not check_attention_to_padding(padding, keys).trouble
    assert not check_attention_to_padding(torch.zeros_like(padding), [torch.ones_like(padding)]).trouble
    finding = check_attention_to_padding(padding, [padding, ~padding])
    assert (True, {"attentions": 2.0, "inverted": 1.0}) == (finding.trouble, finding.numbers)
