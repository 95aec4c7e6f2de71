"""Weights of attention, and what they add up to 1 over."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import goldmark
from goldmark.checks import check_softmax_over_heads

B, H, T, S, D = 3, 2, 5, 4, 6
HIDDEN = torch.ones(T, S, dtype=torch.bool).triu(1)


def heads(length, n=H):
    """Features (B, H, T, D) that a layer has given."""
    return nn.Linear(n * D, n * D)(torch.randn(B, length, n * D)).unflatten(2, (n, D)).transpose(1, 2)


def plain(dim):
    """The loss of attention as it is written most often."""
    return ((heads(T) @ heads(S).mT / D**0.5).softmax(dim) @ heads(S)).square().mean()


def dropped(dim):
    """The loss of attention with a mask, a bias and a dropout."""
    scores = (heads(T) @ heads(S).mT + nn.Parameter(torch.zeros(H, T, S))).masked_fill(HIDDEN, -1e9)
    return (functional.dropout(scores.softmax(dim), 0.1) @ heads(S)).square().mean()


def of_one_head(dim):
    """The loss of attention without a dimension for heads; `dim` counts as if there were one."""
    query, key, value = (heads(length, 1)[:, 0] for length in (T, S, S))
    return (torch.bmm(query, key.mT).softmax(max(dim - 1, 0) if dim >= 0 else dim) @ value).square().mean()


def by_names(dim):
    """The loss of attention by names of dimensions, of which those of heads are the second."""
    query, key, value = (heads(length) for length in (T, S, S))
    weights = torch.einsum("bhtd,bhsd->bhts", query, key).softmax(dim)
    return torch.einsum("bhts,bhsd->bthd", weights, value).square().mean()


def heads_last(dim):
    """The loss of attention whose weights (B, T, S, H) have the heads last; `dim` counts as if they were second."""
    query, key, value = (heads(length).transpose(1, 2) for length in (T, S, S))
    weights = torch.einsum("bthd,bshd->btsh", query, key).softmax({0: 0, 1: 3, -1: 2, -2: 1}[dim])
    return torch.einsum("btsh,bshd->bthd", weights, value).square().mean()


@pytest.mark.parametrize("loss_of", [plain, dropped, of_one_head, by_names, heads_last])
def test_weights_add_up_over_keys_or_queries(loss_of):
    """Dimensions before those two are named, before and after a backward pass."""
    for dim in (0, 1):
        loss = loss_of(dim)
        assert check_softmax_over_heads(loss).numbers == {"products": 1.0}
        loss.backward()
        assert check_softmax_over_heads(loss).trouble
    assert [False] * 2 == [check_softmax_over_heads(loss_of(dim)).trouble for dim in (-1, -2)]


def test_other_orders_of_dimensions_pass():
    """Transformer-XL keeps keys at dimension 1 of weights (T, S, B, H)."""
    query, key, value = (heads(length).permute(2, 0, 1, 3) for length in (T, S, S))
    weights = torch.einsum("ibnd,jbnd->ijbn", query, key).softmax(1)
    assert not check_softmax_over_heads(torch.einsum("ijbn,jbnd->ibnd", weights, value).square().mean()).trouble
    permuted = weights.permute(2, 3, 0, 1) @ value.permute(1, 2, 0, 3)
    assert not check_softmax_over_heads(permuted.square().mean()).trouble


def test_slots_of_several_heads_pass():
    """Weights that compete over slots and heads together are a softmax over both at once."""
    scores = (heads(T) @ heads(S).mT).permute(0, 3, 2, 1).flatten(2)
    weights = scores.softmax(2).unflatten(2, (T, H)).permute(0, 3, 2, 1)
    assert not check_softmax_over_heads((weights @ heads(S)).square().mean()).trouble


def test_classes_of_pixels_pass():
    """Sums of features over regions (B, K, H, W), to which pixels belong in part, are no attention."""
    regions = nn.Conv2d(3, 4, 1)(torch.randn(B, 3, 5, 5)).softmax(1)
    pooled = regions.flatten(2) @ nn.Linear(6, 6)(torch.randn(B, 25, 6))
    assert not check_softmax_over_heads(pooled.square().mean()).trouble


def test_one_query_and_shared_values_pass():
    """One query may be a routing; what all heads share may be weighed by types."""
    assert not check_softmax_over_heads(((heads(1) @ heads(S).mT).softmax(1) @ heads(S)).sum()).trouble
    assert not check_softmax_over_heads(((heads(T) @ heads(S).mT).softmax(1) @ heads(S)[:, :1]).sum()).trouble


def test_a_watch_alone_names_them():
    """Two steps show it, without a preflight."""
    layers = nn.ModuleList(nn.Linear(D, H * D) for _ in range(3))
    optimizer = torch.optim.SGD(layers.parameters(), lr=0.01)
    with goldmark.watch(layers, optimizer) as watch:
        for _ in range(3):
            query, key, value = (layer(torch.randn(B, T, D)).unflatten(2, (H, D)).transpose(1, 2) for layer in layers)
            loss = ((query @ key.mT).softmax(1) @ value).square().mean()
            optimizer.zero_grad()
            loss.backward()
            watch.after_backward(loss=loss)
            optimizer.step()
    assert "softmax_over_heads" in watch.findings.names
