"""What halves and columns show by chance, and what they do not: outliers, background, branches that open late."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import default_collate

from goldmark import checks


def normal(*shape, seed=0):
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_outliers_of_one_half_are_no_other_preprocessing():
    """One number of a thousand times the spread in validation is not; another unit with the same number in it is."""
    train, val = normal(256, 1), normal(64, 1, seed=1)
    val[5] = 1000.0
    assert not checks.check_split_statistics(train, val).trouble
    finding = checks.check_split_statistics(train, 4 * val)
    assert finding.trouble
    # quartiles of 64 numbers have a standard error of 0.2 sd or so
    assert pytest.approx(torch.tensor(4.0).log().item(), abs=0.4) == finding.numbers["stretch"]


def test_values_of_which_most_are_zero_are_judged_by_their_spread():
    """Where the quartiles are equal they tell nothing."""
    counts = (normal(256, 4) > 1).float()
    assert checks.check_split_statistics(counts, 255 * counts[:64]).trouble
    assert not checks.check_split_statistics(counts, counts[:64]).trouble


def test_background_is_an_end_of_the_range_that_other_columns_take():
    """Not a value in the middle, nor one that few others have, nor a table of one value."""
    pixels = normal(64, 6).clamp(-0.5, 0.5)
    for value, trouble in ((-0.5, False), (0.5, False), (0.25, True), (-0.7, True)):
        pixels[:, 0] = value
        assert trouble == checks.check_constant_inputs(pixels).trouble
    pixels = normal(64, 6).clamp(-2.0, 2.0)
    pixels[:, 0], pixels[0, 1], pixels[:, 2:] = -2.0, -2.0, pixels[:, 2:].clamp(-1, 1)
    assert checks.check_constant_inputs(pixels).trouble
    assert checks.check_constant_inputs(torch.full((64, 6), 0.5)).trouble


def test_augmentation_may_happen_where_a_batch_is_made():
    """What is collated counts, by default as it is."""
    rows = list(zip(*(normal(8, 3), torch.arange(8)), strict=True))

    def noisy(examples):
        inputs, labels = default_collate(examples)
        return inputs + torch.rand_like(inputs), labels

    assert checks.check_augmentation_without_effect(rows).trouble
    finding = checks.check_augmentation_without_effect(rows, collate_fn=noisy)
    assert (False, 8.0) == (finding.trouble, finding.numbers["that_vary"])


def test_whole_numbers_that_pad_are_no_constant_columns():
    """Up to a column that often pads; a value that the next column does not have is none."""
    tokens = torch.randint(0, 9, (64, 6), generator=torch.Generator().manual_seed(0))
    tokens[:, 4:], tokens[::3, 3] = 10, 10
    assert not checks.check_constant_inputs(tokens).trouble
    assert not checks.check_constant_inputs(tokens.flip(1)).trouble
    assert checks.check_constant_inputs(tokens.double()).trouble
    tokens[:, 3] = 4 + tokens[:, 0] // 8
    assert checks.check_constant_inputs(tokens).trouble


def test_features_too_rare_to_be_seen_are_no_constant_columns():
    """One example in 500 has it: standardised over all, it stands near 0 in the first 64, and nowhere else."""
    table = normal(500, 4)
    table[:, 0] = torch.arange(500) == 400
    first = ((table - table.mean(dim=0)) / table.std(dim=0))[:64]
    assert first[0, 0] != 0
    assert not checks.check_constant_inputs(first).trouble
    first[:, 0] = -0.5
    assert checks.check_constant_inputs(first).trouble
