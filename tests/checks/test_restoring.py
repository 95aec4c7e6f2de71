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


@pytest.mark.parametrize("momentum", [None, 0.1])
def test_a_state_that_brings_another_buffer_has_its_use(momentum):
    """Its own statistics, which a BatchNorm changes where they lie, are nothing new."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, momentum=momentum), nn.Linear(8, 1))
    watch = watched(model)
    model.load_state_dict({**model.state_dict(), "1.running_mean": torch.zeros(8)})
    assert "state_by_reference" not in watch.findings.names
    model.load_state_dict(model.state_dict())
    assert "state_by_reference" in watch.findings.names


def test_a_model_that_has_taken_no_step_is_given_back_what_it_has(model):
    """Nothing is lost."""
    watch = watched(model, steps=0)
    model.load_state_dict(model.state_dict())
    assert () == watch.findings.names


def test_copies_are_not_watched_and_torch_is_as_it_was_once_the_watch_is_gone(model):
    """Copies and saved models are other models."""
    gc.collect()  # watches of other tests
    before = nn.Module.load_state_dict
    watch = watched(model)
    saved = io.BytesIO()
    torch.save(model, saved)
    for other in (copy.deepcopy(model), torch.load(io.BytesIO(saved.getvalue()), weights_only=False)):
        other.load_state_dict(other.state_dict())
    assert "state_by_reference" not in watch.findings.names
    del watch
    gc.collect()
    assert before is nn.Module.load_state_dict


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda weights: None, True),
        (lambda weights: weights.mul_(0.5), False),
        (lambda weights: weights.data.mul_(0.5), False),
    ],
)
def test_a_module_that_stays_as_it_is_is_named_where_it_is_loaded_from_itself(model, change, named):
    """One that is changed where it lies, also behind the back of autograd, may be."""
    target, optimizer, x = (
        copy.deepcopy(model).requires_grad_(False),
        torch.optim.SGD(model.parameters(), lr=0.1),
        torch.ones(4, 4),
    )
    with goldmark.watch(model, optimizer) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            functional.mse_loss(model(x), target(x)).backward()
            optimizer.step()
            change(target[0].weight)
            target.load_state_dict(state_dict=target.state_dict())
    assert named is ("state_by_reference" in watch.findings.names)


def test_loading_a_module_from_itself_once_or_between_two_steps_is_not_named(model):
    """Nothing could have changed it in between; nor is what happens after the loop heard of other modules."""
    target, optimizer = copy.deepcopy(model), torch.optim.SGD(model.parameters(), lr=0.1)
    with goldmark.watch(model, optimizer) as watch:
        model(torch.ones(4, 4)).sum().backward()
        optimizer.step()
        for _ in range(2):
            target.load_state_dict(target.state_dict())
    target.load_state_dict(target.state_dict())
    assert "state_by_reference" not in watch.findings.names


def names_of_loads(state_of, *, network=None, steps=4):
    """Watch a network that is given `state_of(its state)` after each step, or `network(it)` is."""
    torch.manual_seed(0)
    own = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    target = own if network is None else network(own)
    both = nn.ModuleDict({"own": own, "target": target})
    optimizer, x = torch.optim.SGD(own.parameters(), lr=0.1), torch.randn(16, 4)
    with goldmark.watch(both, optimizer) as watch:
        for _ in range(steps):
            functional.mse_loss(own(x), x[:, :1]).backward()
            optimizer.step()
            target.load_state_dict(state_of(own.state_dict()))
            optimizer.zero_grad()
    return watch.findings.names


def averaged(state, share=0.1):
    """The average of a state dict with itself."""
    return {name: (1 - share) * weight + share * weight for name, weight in state.items()}


def test_a_trained_part_of_a_model_that_is_given_what_it_has_is_no_target_network():
    """Its own memory at once, an average with itself once there were steps between two."""
    assert "state_by_reference" in names_of_loads(dict, steps=1)
    assert "state_by_reference" in names_of_loads(averaged)
    assert "state_by_reference" not in names_of_loads(averaged, steps=1)


def test_copies_and_other_networks_are_given_what_they_should_have():
    """Copies to the last bit, weights that are changed, and networks of which a part alone is shared."""
    assert "state_by_reference" not in names_of_loads(copy.deepcopy)
    assert "state_by_reference" not in names_of_loads(lambda state: {name: 0.9 * one for name, one in state.items()})
    for network in (
        lambda own: copy.deepcopy(own).requires_grad_(False),
        lambda own: nn.Sequential(own[0], own[1], copy.deepcopy(own[2]).requires_grad_(False)),
    ):
        assert "state_by_reference" not in names_of_loads(dict, network=network)
