"""Batches of which one row stands for all."""

from __future__ import annotations

import torch

from goldmark.checks import check_one_row_of_batch


def repeated(*rows):
    """Batches (8, 3) of one row each."""
    return [torch.tensor(row, dtype=torch.float32).expand(8, 3) for row in rows]


def test_one_row_for_all_is_trouble_where_batches_differ():
    """Targets that are always one, few batches, short ones and single rows are another thing."""
    rows = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    assert check_one_row_of_batch(repeated(*rows)).trouble
    assert not check_one_row_of_batch(repeated(*rows[:2])).trouble
    assert not check_one_row_of_batch(repeated(*[rows[0]] * 4)).trouble
    assert not check_one_row_of_batch([*repeated(*rows), torch.arange(24.0).reshape(8, 3)]).trouble
    assert not check_one_row_of_batch([one[:2] for one in repeated(*rows)]).trouble
    assert not check_one_row_of_batch([one[:1] for one in repeated(*rows * 8)]).trouble
