"""Metadata written under one key and read under another: `poem_index`, `poem_idx`, and the default for every window.

Poetry record, windows of poems: all of them came from poem 0, and nothing said so.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from goldmark.cases.poetry import CASE
from goldmark.cases.poetry.decoder import TeacherForcing
from goldmark.checks import check_missing_keys
from goldmark.training.draws import Draws

WINDOW = {"poem_index": 7, "start": 40, "n_tokens": 50}


def strict(window):
    """The right form: one name, no default."""
    return window["poem_index"]


def lenient(window):
    """The bug: another name and a default."""
    return window.get("poem_idx", 0)


def either(window):
    """A control: every name that was ever written, one after another, until the next one."""
    return window.get("poem_idx", window.get("poem_index", 0))


@pytest.mark.parametrize(("read", "poem", "trouble"), [(strict, 7, False), (lenient, 0, True), (either, 7, True)])
def test_keys_that_are_not_there_are_found(read, poem, trouble):
    """Each reader returns a number without a word; the check names the key, and the nearest one that is there."""
    finding = check_missing_keys(read, WINDOW)
    assert (poem, trouble) == (read(WINDOW), finding.trouble)
    assert trouble == ("'poem_idx' (there is 'poem_index')" in finding.advice)


@pytest.fixture(scope="module")
def settings(small):
    """Forcing per step, so that all of the data's tensors are there."""
    return replace(small, forcing="per step")


@pytest.mark.parametrize("step", ["loss", "evaluate", "evaluate_trained", "examine"])
def test_the_case_reads_its_data_by_the_names_that_it_writes(settings, fresh, step):
    """The right form where it trains: loss and scores ask for no tensor that `make_data` does not make."""
    model, data = fresh(settings)
    data |= {"step_forcing": data["step_forcing"][0]}  # of the first step, as the engine hands it on
    # and as a user's poems have it, so that all tensors are there
    data |= {
        f"{half}_valid": torch.ones(data[f"{half}_tokens"].shape[:2], dtype=torch.bool) for half in ("train", "val")
    }
    reads = {
        "loss": lambda data: CASE.loss(model, data, torch.arange(4), Draws.at(0, 0), settings),
        "evaluate": lambda data: CASE.evaluate(model, data, settings),
        "evaluate_trained": lambda data: CASE.evaluate_trained(model, data, settings),
        "examine": lambda data: CASE.examine(model, model, data, settings),
    }
    with torch.no_grad():
        finding = check_missing_keys(reads[step], data)
    assert not finding.trouble, f"data are read by keys that they do not have: {finding.advice}"


def test_misread_forcing_is_found(settings, fresh):
    """The bug in the case's own data: a misspelt tensor means free running, silently."""
    _, data = fresh(settings)

    def draw(data):
        shares = data.get("forcing_step")
        return None if shares is None else TeacherForcing(shares, data["train_tokens"])

    assert draw(data) is None
    assert "'forcing_step' (there is 'step_forcing')" in check_missing_keys(draw, data).advice
