"""Batches and learning rates: integers and closed forms."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from goldmark.case import cosine_factor
from goldmark.training._schedule import batches, evaluated_epochs, n_epochs, train_size


@dataclass(frozen=True)
class Recipe:
    """The smallest recipe."""

    steps: int = 10
    batch: int = 3
    lr: float = 0.1
    lr_min: float | None = None
    weight_decay: float = 0.0
    clip: float | None = None


def test_an_epoch_visits_rows_once_in_a_fresh_order():
    """Ten rows in batches of three: three batches an epoch without repetition, one row left out."""
    steps = list(batches(Recipe(), n_train=10, seed=0))
    first, second = (torch.cat([b.rows for b in steps[i : i + 3]]).tolist() for i in (0, 3))
    assert len(set(first)) == len(set(second)) == 9
    assert first != second
    assert [2, 5, 8, 9] == [b.step for b in steps if b.ends_epoch]
    assert [0, 0, 0, 1, 1, 1, 2, 2, 2, 3] == [b.epoch for b in steps]


def test_batches_follow_the_seed_alone():
    """The order is the seed's: equal for equal seeds, another for another."""
    rows = [torch.cat([b.rows for b in batches(Recipe(), 10, seed)]).tolist() for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]


def test_batch_larger_than_the_data_is_all_of_it():
    """A batch of 32 from 5 rows is 5 rows, an epoch a step."""
    assert [5] * 10 == [len(b.rows) for b in batches(Recipe(batch=32), 5, 0)]
    assert n_epochs(Recipe(batch=32), 5) == 10


@pytest.mark.parametrize(("steps", "expected"), [(10, {0, 1, 3}), (3, {0}), (6, {0, 1}), (30, {0, 4, 9})])
def test_first_middle_and_last_epochs_are_evaluated(steps, expected):
    """Three batches make an epoch."""
    assert expected == evaluated_epochs(Recipe(steps=steps), 10)


def test_cosine_falls_from_peak_to_minimum():
    """Half a cosine: 1 at the start, the middle half way, towards lr_min / lr; constant without lr_min."""
    recipe = Recipe(lr=0.1, lr_min=0.01)
    assert [1.0, pytest.approx(0.55), pytest.approx(0.1)] == [cosine_factor(recipe, step) for step in (0, 5, 10)]
    assert {1.0} == {cosine_factor(Recipe(), step) for step in range(11)}


def test_train_size_is_read_from_the_training_half():
    """Validation tensors do not count."""
    assert train_size({"val_x": torch.zeros(7), "train_x": torch.zeros(3)}) == 3
