"""Validation loss was a mean over batches: of 42 windows, the 10 of the last batch counted as much as the other 32."""

from __future__ import annotations

from statistics import fmean

import pytest
import torch

from goldmark.cases.expansion import CASE
from goldmark.checks import check_uneven_batches

LOSSES = ("val_loss", "loss_type", "loss_pointers", "loss_span", "loss_countdown")
N_VAL = 42  # as in the record, in batches of 32


@pytest.fixture(scope="module")
def validated(made):
    """What the case reports of some validation windows: every set of windows is evaluated once."""
    settings, data, model = made(n_train=4, n_val=N_VAL, bars=24, countdown_scale="bars")
    reports = {}

    def validated(rows):
        key = tuple(rows)
        if key not in reports:
            chosen = {name: x[list(rows)] if name.startswith("val_") else x for name, x in data.items()}
            with torch.no_grad():
                reports[key] = CASE.evaluate(model, chosen, settings)
        return reports[key]

    return validated


def over_batches(validated, loss, size):
    """The record's validation: a mean of batches, each of them a mean of its own."""
    return lambda rows: fmean(validated(rows[start : start + size])[loss] for start in range(0, len(rows), size))


@pytest.mark.parametrize("loss", LOSSES)
def test_validation_is_a_mean_over_windows(validated, loss):
    """The right form: all 42 windows count the same, in every term and in the total."""
    finding = check_uneven_batches(lambda rows: validated(rows)[loss], N_VAL)
    assert not finding.trouble, f"{loss}: {finding.advice}; {dict(finding.numbers)}"


@pytest.mark.parametrize("loss", LOSSES)
def test_a_mean_over_batches_of_32_and_10_is_another_number(validated, loss):
    """The broken form."""
    assert check_uneven_batches(over_batches(validated, loss, 32), N_VAL).trouble


def test_batches_of_equal_size_hide_it(validated):
    """The control: in batches of 21 the two means agree, until there is one window more."""
    assert not check_uneven_batches(over_batches(validated, "loss_span", 21), N_VAL).trouble
    assert check_uneven_batches(over_batches(validated, "loss_span", 21), N_VAL - 1).trouble
