"""Causal attention on a CPU: that of torch, with the dropout of the engine."""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention

from goldmark.training.attention import causal_attention
from goldmark.training.draws import Draws, Dropout

SHAPE = (2, 3, 7, 4)  # rows, heads, steps, width of a head
MASK = torch.full((7, 7), -torch.inf, dtype=torch.float64).triu(1)


def tensors():
    """Queries, keys and values."""
    return [torch.randn(SHAPE, dtype=torch.float64) for _ in range(3)]


def test_without_draws_it_is_that_of_torch():
    """In evaluation nothing is dropped."""
    query, key, value = tensors()
    attended = causal_attention(query / 2, key, value, MASK, Dropout(0.5, "site"), None)
    torch.testing.assert_close(attended, scaled_dot_product_attention(query, key, value, is_causal=True))


def test_what_is_later_is_not_read():
    """Other keys and values from step 4 on change steps 4 and later alone, with dropout as well."""
    query, key, value = tensors()
    other_key, other_value = (torch.cat([x[:, :, :4], torch.randn_like(x[:, :, 4:])], dim=2) for x in (key, value))
    dropout, draws = Dropout(0.5, "site"), Draws.at(0, 1)
    attended = causal_attention(query, key, value, MASK, dropout, draws)
    changed = causal_attention(query, other_key, other_value, MASK, dropout, draws)
    torch.testing.assert_close(attended[:, :, :4], changed[:, :, :4])
    assert not torch.isclose(attended[:, :, 4:], changed[:, :, 4:]).all()


def test_it_drops_weights_by_the_draw_of_all_of_them():
    """The same as weights that are dropped by hand, at the site of the dropout."""
    query, key, value = tensors()
    weights = (query @ key.mT + MASK).softmax(dim=-1)
    expected = Draws.at(0, 1).dropped("site", weights, torch.tensor(0.5, dtype=torch.float64)) @ value
    attended = causal_attention(query, key, value, MASK, Dropout(0.5, "site"), Draws.at(0, 1))
    torch.testing.assert_close(attended, expected)
