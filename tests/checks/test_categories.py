"""Columns of categories: another numbering is told from data that has drifted."""

import torch

from goldmark import checks

SHARES = torch.tensor([0.3, 0.1, 0.2, 0.15, 0.25])
EFFECTS = torch.tensor([0.0, 2.0, -1.0, 1.0, -2.0])


def drawn(seed, *, shares=SHARES, effects=EFFECTS, n=600):
    """Categories (N,) and the targets (N,) that they lead to."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.multinomial(shares, n, replacement=True, generator=generator)
    return values, effects[values] + 0.5 * torch.randn(n, generator=generator)


def test_another_numbering_is_trouble():
    """The same categories under other numbers, for targets that are numbers or classes."""
    (values, targets), (val_values, val_targets) = drawn(0), drawn(1)
    order = torch.tensor([1, 2, 0, 4, 3])
    assert checks.check_category_numbering(values, targets, order[val_values], val_targets).trouble
    labels = (one.gt(0).long() + one.gt(1).long() for one in (targets, val_targets))
    assert checks.check_category_numbering(values, next(labels), order[val_values], next(labels)).trouble


def test_drift_passes():
    """Of how frequent categories are, and of what they lead to."""
    known = drawn(0)
    assert not checks.check_category_numbering(*known, *drawn(1)).trouble
    assert not checks.check_category_numbering(*known, *drawn(1, shares=SHARES.flip(0))).trouble
    assert not checks.check_category_numbering(*known, *drawn(1, effects=EFFECTS + 1.5)).trouble
    assert not checks.check_category_numbering(*known, *drawn(1, shares=SHARES.flip(0), effects=-EFFECTS)).trouble
