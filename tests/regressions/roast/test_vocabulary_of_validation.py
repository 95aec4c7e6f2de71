"""RoastFormer fitted its vocabularies on training and validation profiles together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from goldmark.cases.roast import CASE
from goldmark.cases.roast.data import Profile, split_profiles, trains
from goldmark.checks import check_fitted_on_validation

SETTINGS = CASE.settings_of("zscore")


def roasts():
    """Measured profiles of eight products, four profiles each, a category of its own for each product."""
    curves = [tuple(150.0 + i + second / 4 for second in range(120)) for i in range(32)]
    return tuple(
        Profile(
            product=f"bean {i // 4}",
            categories=(f"origin {i // 4}", "washed", "medium", f"variety {i % 3}"),
            finish_f=400.0 + i % 5,
            temp_f=curve,
        )
        for i, curve in enumerate(curves)
    )


def other_validation(seed):
    """The same profiles, with other beans and other temperatures in the validation half."""
    profiles = roasts()
    return tuple(
        profile
        if in_train
        else replace(profile, categories=("Atlantis",) * 4, temp_f=tuple(x + 50 for x in profile.temp_f))
        for profile, in_train in zip(profiles, trains(profiles, seed).tolist(), strict=True)
    )


def vocabulary_of_all(profiles, settings, seed):
    """The record's: categories are numbered over both halves."""
    in_train = trains(profiles, seed)
    columns = list(zip(*(profile.categories for profile in profiles), strict=True))
    known = [sorted(set(column)) for column in columns]
    numbers = torch.tensor([[*map(names.index, column)] for names, column in zip(known, columns, strict=True)]).T
    halves = {"train_categories": numbers[in_train], "val_categories": numbers[~in_train]}
    return split_profiles(profiles, settings, seed) | halves | {"vocabulary": torch.tensor([*map(len, known)])}


def scale_of_all(profiles, settings, seed):
    """A relative of the bug: mean and sd over both halves."""
    cells = torch.tensor([profile.temp_f for profile in profiles], dtype=torch.float64)
    data = split_profiles(profiles, settings, seed)
    return {**data, "target_offset": cells.mean(), "target_unit": cells.std()}


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_fitted_on_validation(seed):
    """Other validation profiles leave all that training sees as it is: categories, vocabulary, mean and sd."""
    before, after = (split_profiles(each, SETTINGS, seed) for each in (roasts(), other_validation(seed)))
    finding = check_fitted_on_validation(before, after)
    assert not finding.trouble, f"vocabulary or scale fitted on validation: {finding.advice}"
    assert 0 == int(after["val_categories"].sum())  # Atlantis is the unknown slot


@pytest.mark.parametrize(
    ("prepare", "seen"), [(vocabulary_of_all, "vocabulary"), (scale_of_all, "target_offset, target_unit")]
)
def test_fitting_on_both_halves_is_seen(prepare, seen):
    """The record's vocabulary, and a scale of the same kind, change with the validation profiles."""
    before, after = (prepare(each, SETTINGS, 0) for each in (roasts(), other_validation(0)))
    finding = check_fitted_on_validation(before, after)
    assert finding.trouble
    assert seen in finding.advice
