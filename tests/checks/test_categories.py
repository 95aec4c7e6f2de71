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


def test_rows_that_nothing_asks_for_are_trouble_in_all_tables_alone():
    """Of several tables with rows enough: one that gets its codes stands for all, as do few codes."""
    scaled = torch.rand(100).long()
    scaled[::9] = 1
    assert checks.check_truncated_codes([(8, scaled), (5, scaled), (2, torch.ones(100).long())]).trouble
    assert not checks.check_truncated_codes([(8, scaled)]).trouble
    assert not checks.check_truncated_codes([(8, scaled), (5, drawn(0)[0])]).trouble
    assert not checks.check_truncated_codes([(8, scaled[:20]), (5, scaled[:20])]).trouble
    assert not checks.check_truncated_codes([(8, 1 - scaled), (5, 1 - scaled)]).trouble
    assert not checks.check_truncated_codes([]).trouble
