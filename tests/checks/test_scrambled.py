"""Views that take one dimension for another, beside views that split and join neighbours."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from zoo.loops import batched

import goldmark
from goldmark.checks import check_scrambled_view

SCRAMBLED = [
    ((36, 5), (5, 36)),
    ((16, 48), (4, 16, 12)),  # heads
    ((4, 16, 12), (16, 48)),  # and the way back
    ((8, 8, 3), (3, 8, 8)),
    ((3, 7, 4, 4), (7, 3, 4, 4)),
    ((1, 9, 4), (4, 1, 9)),
]
SOUND = [
    ((16, 48), (16, 4, 12)),
    ((4, 4, 12), (4, 48)),  # as many heads as steps
    ((36, 5), (180,)),
    ((180,), (5, 36)),
    ((1, 36), (36, 1)),
    ((36, 5), (18, 10)),  # two steps in one
    ((32, 16), (16, 32)),  # which looks like this, where there are twice as many
    ((5, 5), (5, 5)),
    ((6, 4, 4), (6, 16)),
]


@pytest.mark.parametrize(("before", "after"), SCRAMBLED)
def test_sizes_in_another_order_are_scrambled(before, after):
    """What only a permutation may give."""
    assert check_scrambled_view(before, after).trouble


@pytest.mark.parametrize(("before", "after"), SOUND)
def test_neighbours_that_are_split_or_joined_are_sound(before, after):
    """No number gets into another dimension."""
    assert not check_scrambled_view(before, after).trouble


class Viewing(nn.Module):
    """Steps (B, 12, 5) that a function gives to a linear layer."""

    def __init__(self, change, width=12):
        super().__init__()
        self.change, self.layer, self.head = change, nn.Linear(width, 4), nn.Linear(4, 2)

    def forward(self, x):
        """Logits (B, 2)."""
        return self.head(self.layer(self.change(x)).relu().mean(1))


WAYS = {
    "view": (lambda x: x.view(-1, 5, 12), True),
    "reshape_then_scale": (lambda x: (x.reshape(len(x), 5, 12) / 2).contiguous(), True),
    "flat_before": (lambda x: x.flatten(1).unflatten(1, (5, 12)), True),
    "permuted": (lambda x: x.permute(0, 2, 1).reshape(-1, 5, 12), False),
    "cut_after": (lambda x: torch.cat([x.view(-1, 5, 12)[:, 1:], x.transpose(1, 2)], dim=1), False),
    "two_steps_in_one": (lambda x: x[:, :10].reshape(-1, 5, 10), False),
    "constant": (lambda x: x.transpose(1, 2) + torch.arange(60.0).reshape(12, 5).reshape(5, 12) / 60, False),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_view_counts_where_a_layer_gets_it(way):
    """Scaled or copied on its way as well; not where a part of it is taken, nor a table that all examples share."""
    change, expected = WAYS[way]
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(32, 12, 5, generator=generator), torch.randint(0, 2, (32,), generator=generator)
    torch.manual_seed(0)
    model = Viewing(change, width=10 if way == "two_steps_in_one" else 12)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    findings = goldmark.preflight(model, optimizer, batched(x, y), None, nn.functional.cross_entropy)
    assert (("scrambled_view",) if expected else ()) == findings.names
