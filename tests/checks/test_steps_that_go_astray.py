"""Steps of another optimizer, schedules of another one, micro-batches and states that should not be there."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau, StepLR

import goldmark
from goldmark import checks


def test_a_gradient_that_holds_the_last_micro_batch_alone():
    """The sum of all is healthy, clipped and scaled as well, and so are micro-batches that all give the same."""
    parts = [torch.randn(8, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    whole = sum(parts)
    assert checks.check_lost_micro_batches(parts, parts[-1]).trouble
    assert checks.check_lost_micro_batches(parts, 0.25 * (parts[-1] + parts[-2])).trouble
    for healthy in (whole, 0.25 * whole, whole.clamp(-0.5, 0.5), whole + torch.ones(8)):
        assert not checks.check_lost_micro_batches(parts, healthy).trouble
    assert not checks.check_lost_micro_batches(parts[:1] * 4, 4 * parts[0]).trouble


def test_states_are_carried_where_most_steps_begin_with_the_last_one():
    """A few do so by the way, as where one batch is fed in parts."""
    assert checks.check_carried_state([True] * 7).trouble
    assert not checks.check_carried_state([True] * 4 + [False] * 4).trouble
    assert not checks.check_carried_state([True] * 3).trouble


def test_an_optimizer_that_takes_no_step_while_its_twin_does():
    """A twin owns nothing else; one that shares groups is a wrapper, and one of another network is none."""
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    own, twin, stranger = (torch.optim.SGD(one.parameters(), lr=0.1) for one in (model, model, other))
    wrapper = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper.param_groups = own.param_groups
    assert checks.check_idle_optimizer([own], [0], 16, [twin]).trouble
    assert checks.check_idle_optimizer([own, stranger], [16, 0], 16, []).trouble
    for steps, n_backward, stepped in (
        ([1], 16, [twin]),
        ([0], 15, [twin]),
        ([0], 16, [wrapper]),
        ([0], 16, [stranger]),
    ):
        assert not checks.check_idle_optimizer([own], steps, n_backward, stepped).trouble


def test_a_schedule_of_an_idle_twin_is_none_of_the_one_that_trains():
    """It passes where the twin steps, where its rate did not change, and where the own rate did."""
    model = nn.Linear(2, 2)
    own, twin = (torch.optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    scheduler = StepLR(twin, step_size=1, gamma=0.5)
    twin.step()
    scheduler.step()
    assert checks.check_scheduled_optimizer([own], [0.1], {scheduler: [0.1]}, []).trouble
    assert not checks.check_scheduled_optimizer([own], [0.1], {scheduler: [0.1]}, [twin]).trouble
    assert not checks.check_scheduled_optimizer([own], [0.1], {scheduler: [0.05]}, []).trouble
    assert not checks.check_scheduled_optimizer([own], [0.2], {scheduler: [0.1]}, []).trouble


def test_graphs_are_gone_through_twice():
    """Once may be a leftover; twice is how the loop is written."""
    assert checks.check_replayed_graph([0, 1, 2]).trouble
    assert not checks.check_replayed_graph([0, 1, 0]).trouble


def test_losses_are_back_propagated_twice():
    """Now and then is no loop; most of the passes are."""
    assert checks.check_repeated_backward([False, True, True, True]).trouble
    assert not checks.check_repeated_backward([False] * 5 + [True] * 3).trouble


def test_torch_is_as_it_was_after_the_last_watch():
    """Schedules are heard by methods of torch that are put back, also where two watches overlap."""
    before = (LRScheduler.step, ReduceLROnPlateau.step, torch.autograd.backward)
    models = [nn.Linear(2, 2) for _ in range(2)]
    first, second = (goldmark.watch(one, torch.optim.SGD(one.parameters(), lr=0.1)) for one in models)
    with first:
        with second:
            assert LRScheduler.step is not before[0]
        assert LRScheduler.step is not before[0]
    assert before == (LRScheduler.step, ReduceLROnPlateau.step, torch.autograd.backward)
