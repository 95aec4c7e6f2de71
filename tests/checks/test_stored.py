"""Datasets that keep what augmentation has done to them, and what preflight leaves of that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

import goldmark
from goldmark import checks
from goldmark.checks._stored import examples_as_found

ROWS = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))


class InPlace(Dataset):
    """Rows of some storage, to which every reading adds."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row = self.rows[index]
        row += 1
        return torch.as_tensor(row).clone(), index % 2


class Around(Dataset):
    """A dataset around another one."""

    def __init__(self, inner):
        self.inner = inner

    def __len__(self):
        return len(self.inner)

    def __getitem__(self, index):
        return self.inner[index]


def names_of(dataset, **how):
    """The names of what a preflight finds in batches of a dataset."""
    model = nn.Linear(6, 2)
    loader = DataLoader(dataset, batch_size=8, **how)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return goldmark.preflight(model, optimizer, loader, None, functional.cross_entropy).names


@pytest.mark.parametrize("storage", ["tensor", "array", "list", "list of arrays"])
def test_what_reading_adds_is_found_and_taken_back(storage):
    """Wherever rows lie, also behind other datasets; all of them are as they were, to the bit."""
    made = {
        "tensor": ROWS.clone(),
        "array": ROWS.numpy().copy(),
        "list": [row.clone() for row in ROWS],
        "list of arrays": [row.numpy().copy() for row in ROWS],
    }
    rows = made[storage]
    kept = InPlace(rows)
    for dataset in (kept, Around(Subset(kept, list(range(8, 24))))):
        assert "examples_modified" in names_of(dataset)
        now = torch.stack([torch.as_tensor(row) for row in rows])
        assert torch.equal(ROWS, now)


def test_workers_that_end_with_an_epoch_take_it_with_them():
    """What they change is their own copy; those that live on add it up."""
    with examples_as_found(DataLoader(InPlace(ROWS.clone()), num_workers=2)) as findings:
        assert [] == findings
    with examples_as_found(DataLoader(InPlace(ROWS.clone()), num_workers=2, persistent_workers=True)) as findings:
        assert [True] == [finding.trouble for finding in findings]


def test_gaps_are_no_change():
    """NaN is equal to itself here."""
    rows = ROWS[:2].clone()
    rows[0, 0] = torch.nan
    assert not checks.check_examples_modified([rows], [rows.clone()]).trouble
    assert checks.check_examples_modified([rows], [rows.nan_to_num()]).trouble


def test_what_cannot_be_asked_is_left_alone():
    """Text, arrays that are read-only, and several datasets in a row."""
    frozen = ROWS.numpy().copy()
    frozen.flags.writeable = False
    words = np.array(["a", "b"] * 12)
    odd = Around(list(zip(frozen, words, strict=True)))
    for dataset in (odd, ConcatDataset([odd, odd]), "text", None):
        with examples_as_found(DataLoader(dataset) if isinstance(dataset, Dataset) else dataset) as findings:
            assert [] == findings
