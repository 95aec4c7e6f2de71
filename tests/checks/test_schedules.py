"""Schedules: warm-ups in the wrong unit, and schedules that start anew under an optimizer that was restored."""

from __future__ import annotations

import copy
import functools
import io

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LinearLR, SequentialLR, StepLR

import goldmark
from goldmark.checks import check_schedule_pace


def linear(step, n_steps):
    """Rise to 1 in so many steps."""
    return min(1.0, (step + 1) / n_steps)


def in_a_row(optimizer, n_steps):
    """A warm-up, and a decay after it."""
    parts = [LinearLR(optimizer, start_factor=0.01, total_iters=n_steps), StepLR(optimizer, step_size=30)]
    return SequentialLR(optimizer, parts, milestones=[n_steps])


WARM_UPS = {
    "function": lambda optimizer, n: LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / n)),
    "partial function": lambda optimizer, n: LambdaLR(optimizer, functools.partial(linear, n_steps=n)),
    "linear": lambda optimizer, n: LinearLR(optimizer, start_factor=0.01, total_iters=n),
    "in a row": in_a_row,
}


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("make", WARM_UPS.values(), ids=WARM_UPS)
@pytest.mark.parametrize(
    ("n_steps", "per_batch", "trouble"), [(2000, False, True), (40, False, False), (2000, True, False)]
)
def test_a_warm_up_of_hundreds_of_epochs_counts_batches(make, n_steps, per_batch, trouble):
    """Of forty it may be meant; after every batch it is right."""
    schedule = make(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1), n_steps)
    for _ in range(400 if per_batch else 4):
        schedule.step()
    assert trouble is check_schedule_pace(schedule, 400, [100, 200, 300, 400]).trouble


def test_a_rate_that_goes_up_and_down_is_no_warm_up():
    """Nor is one that stays, or one that soon passes the optimizer's own rate."""
    for factor in (lambda step: (1.0 + step % 7) / 10, lambda step: 0.01, lambda step: (1 + step) / 30):
        schedule = LambdaLR(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1), factor)
        schedule.last_epoch = 4
        assert not check_schedule_pace(schedule, 400, [100, 200, 300, 400]).trouble


def trained(model, optimizer, schedule=None, steps=3):
    """Take steps, and those of a schedule."""
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(4, 2)).square().mean().backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()


def built(*, with_schedule=True):
    """A model, its optimizer and a schedule."""
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, optimizer, LambdaLR(optimizer, lambda epoch: 0.9**epoch) if with_schedule else None


def saved(state):
    """A state as a file gives it back."""
    file = io.BytesIO()
    torch.save(state, file)
    return torch.load(io.BytesIO(file.getvalue()))


def names_after(model, optimizer, schedule):
    """Train on under a watch."""
    with goldmark.watch(model, optimizer) as watch:
        trained(model, optimizer, schedule, steps=8)
    return watch.findings.names


def test_a_schedule_made_before_its_optimizer_was_restored_is_named():
    """Momenta and rates come with the state of an earlier schedule; an optimizer without steps of its own is enough."""
    model, optimizer, schedule = built()
    trained(model, optimizer, schedule)
    state = saved(optimizer.state_dict())
    for restored in (False, True):
        later = built()
        later[1].load_state_dict(state)
        if restored:
            later[2].load_state_dict(schedule.state_dict())
        assert restored is ("schedule_restarted" not in names_after(*later))


def test_a_schedule_that_is_stepped_to_its_place_is_none_that_starts_anew():
    """Within the watch, before the first step."""
    model, optimizer, schedule = built()
    trained(model, optimizer, schedule)
    later = built()
    later[1].load_state_dict(saved(optimizer.state_dict()))
    with goldmark.watch(later[0], later[1]) as watch:
        later[2].load_state_dict(schedule.state_dict())
        trained(*later)
    assert "schedule_restarted" not in watch.findings.names


@pytest.mark.parametrize("with_schedule", [False, True])
def test_a_second_phase_may_have_a_schedule_of_its_own(with_schedule):
    """Whether or not the first had one; its optimizer lives on, or was restored before that schedule was made."""
    model, optimizer, schedule = built(with_schedule=with_schedule)
    trained(model, optimizer, schedule)
    state = copy.deepcopy(optimizer.state_dict())
    assert "schedule_restarted" not in names_after(model, optimizer, LambdaLR(optimizer, lambda epoch: 0.8**epoch))
    later = built(with_schedule=False)
    later[1].load_state_dict(saved(state))
    assert "schedule_restarted" not in names_after(*later[:2], LambdaLR(later[1], lambda epoch: 0.8**epoch))


def test_a_state_that_no_schedule_has_steered_may_come_under_one():
    """A first phase without a schedule, saved."""
    model, optimizer, _ = built(with_schedule=False)
    trained(model, optimizer)
    later = built()
    later[1].load_state_dict(saved(optimizer.state_dict()))
    assert "schedule_restarted" not in names_after(*later)


def test_states_that_are_saved_or_loaded_with_another_rate_are_no_lost_rates():
    """Copies that stay as they are, and a rate that comes back with its copy; torch is as it was afterwards."""
    before = torch.optim.Optimizer.state_dict
    for factor in (1.0, 0.9):
        model, optimizer, _ = built(with_schedule=False)
        with goldmark.watch(model, optimizer) as watch:
            for _ in range(4):
                state = optimizer.state_dict()
                state["param_groups"][0]["lr"] *= factor
                optimizer.load_state_dict(state)
                trained(model, optimizer)
        assert "lost_rates" not in watch.findings.names
    assert before is torch.optim.Optimizer.state_dict
