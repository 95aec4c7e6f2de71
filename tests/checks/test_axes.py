"""Dimensions that are followed down a graph."""

import pytest
import torch

from goldmark.checks._axes import roles_below
from goldmark.checks._graph import kind

WAYS = {
    "permuted": (lambda x: x.permute(2, 0, 1), "cab"),
    "transposed": (lambda x: x.transpose(-1, 0), "cba"),
    "lengthened": (lambda x: x.unsqueeze(-2), "ab.c"),
    "squeezed": (lambda x: x.unsqueeze(1).squeeze(1), "abc"),
    "expanded": (lambda x: x[None].expand(5, 2, 3, 4), ".abc"),
    "copied": (lambda x: x.mT.clone(), "acb"),
    "split": (lambda x: x.unflatten(2, (2, 2)), "abcc"),
    "of several views": (lambda x: x.mT.unflatten(1, (2, 2))[:, :, :, None].permute(4, 0, 3, 1, 2), "ba.cc"),
}


@pytest.mark.parametrize("way", WAYS)
def test_dimensions_are_followed_through_views(way):
    """Down to a tensor (2, 3, 4), whose dimensions are a, b and c; a point is one that it has not."""
    change, roles = WAYS[way]
    x = torch.randn(2, 3, 4, requires_grad=True)
    node, known = change(x).grad_fn, [role.strip(".") for role in roles]
    while kind(node) != "AccumulateGrad":
        below = node.next_functions[0][0]
        known = roles_below(node, below, known)
        node = below
    assert ["a", "b", "c"] == known


def test_dimensions_that_were_mixed_up_have_no_roles():
    """Those of several roles that became one; what was joined has one role for all that it was joined of."""
    x = torch.randn(2, 3, 4, requires_grad=True)
    joined, split = x.flatten(0, 1), x.flatten(0, 1).unflatten(0, (3, 2))
    assert ["a", "a", "c"] == roles_below(joined.grad_fn, joined.grad_fn.next_functions[0][0], ["a", "c"])
    assert roles_below(split.grad_fn, split.grad_fn.next_functions[0][0], ["b", "a", "c"]) is None
