"""Weights that a model is given back: a copy from earlier, or the model's own."""

from __future__ import annotations

import copy
import gc
import io

import pytest
import torch
from torch import nn
from torch.nn import functional

import goldmark


@pytest.fixture
def model():
    """A small network."""
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def watched(model, steps=4):
    """A watch that has ended."""
    optimizer, x = torch.optim.SGD(model.parameters(), lr=0.1), torch.randn(16, 4)
    with goldmark.watch(model, optimizer) as watch:
        for _ in range(steps):
            optimizer.zero_grad()
            functional.mse_loss(model(x), x[:, :1]).backward()
            optimizer.step()
    return watch


def test_weights_kept_by_reference_are_named_where_they_are_loaded(model):
    """After the loop, when all else has been judged; what was known before stays."""
    kept = model.state_dict()
    watch = watched(model)
    before = watch.findings
    model.load_state_dict(kept)
    assert "state_by_reference" not in before.names
    assert {*before.names, "state_by_reference"} == set(watch.findings.names)
    assert before.notes == watch.findings.notes


def test_copies_and_parts_are_no_reference(model):
    """Deep copies, a file, and a state dict of which a part alone is the model's own."""
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    kept = copy.deepcopy(model.state_dict())
    watch = watched(model)
    for state in (kept, torch.load(io.BytesIO(file.getvalue())), {**kept, "0.bias": model[0].bias}):
        model.load_state_dict(state)
    assert "state_by_reference" not in watch.findings.names


def test_a_model_that_has_taken_no_step_is_given_back_what_it_has(model):
    """Nothing is lost."""
    watch = watched(model, steps=0)
    model.load_state_dict(model.state_dict())
    assert () == watch.findings.names


def test_nothing_is_left_on_the_model_once_the_watch_is_gone(model):
    """Before that, copies and saved models take along a hook that hears nothing."""
    watch = watched(model)
    saved = io.BytesIO()
    torch.save(model, saved)
    for other in (copy.deepcopy(model), torch.load(io.BytesIO(saved.getvalue()), weights_only=False)):
        other.load_state_dict(other.state_dict())
    assert "state_by_reference" not in watch.findings.names
    assert 1 == len(vars(model)["_load_state_dict_pre_hooks"])
    del watch
    gc.collect()
    assert 0 == len(vars(model)["_load_state_dict_pre_hooks"])
