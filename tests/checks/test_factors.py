"""Factors of rates and of terms: rates in the place of factors, weights that stay 0, weights of too few examples."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, SequentialLR

import goldmark
from goldmark import checks
from goldmark.checks._factors import weightless_terms
from goldmark.checks._schedulers import factors_ahead


def test_the_highest_factor_tells_rates_from_factors():
    """After it has turned, or stayed; a warm-up that passes the rate, and one that is not over, pass."""
    rates = [0.001, 0.002, 0.003, 0.002, 0.001]
    assert checks.check_schedule_factors(0.003, rates).trouble
    assert checks.check_schedule_factors(0.003, [0.003] * 4).trouble
    assert not checks.check_schedule_factors(0.003, rates[:3]).trouble
    assert not checks.check_schedule_factors(0.002, rates).trouble
    assert not checks.check_schedule_factors(1.0, [1.0, 0.9, 0.8, 0.7]).trouble


def test_no_factor_of_all_that_are_to_come_is_above_the_rate():
    """A rate that falls from the first step on is never the optimizer's; where a warm-up is to come, it passes."""
    falling = [0.0015, 0.00285, 0.0027, 0.0026]
    assert not checks.check_schedule_factors(0.003, falling).trouble
    assert checks.check_schedule_factors(0.003, falling, ahead=[0.0015, 0.00285, 0.0]).trouble
    assert not checks.check_schedule_factors(0.003, falling, ahead=[0.0015, 1.0, 0.5]).trouble
    assert not checks.check_schedule_factors(0.2, falling, ahead=[0.0015, 0.00285, 0.0]).trouble
    assert not checks.check_schedule_factors(0.03, falling, ahead=[0.0015, 0.00285, 0.0]).trouble


def test_factors_to_come_are_asked_of_functions_that_answer():
    """The highest of several groups; none of a table that ends, nor of an object, which may count its calls."""
    model = torch.nn.Linear(3, 1)
    groups = [{"params": [model.weight]}, {"params": [model.bias]}]
    optimizer = torch.optim.SGD(groups, lr=0.01)
    both = factors_ahead(LambdaLR(optimizer, [lambda step: 0.5, lambda step: step / 2**20]))
    assert (0.5, 1.0) == (both[0], both[-1])
    table = {0: 1.0, 1: 0.5}
    assert [] == factors_ahead(LambdaLR(optimizer, lambda step: table[step]))

    class Counting:
        def __call__(self, step):
            return 1.0

    assert [] == factors_ahead(LambdaLR(optimizer, Counting()))


def test_a_schedule_that_goes_on_or_is_part_of_another_is_left_alone():
    """Its start is not known, or its rate is not asked before there is one."""
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    schedule = LambdaLR(optimizer, lambda step: 0.01 if step > 2 else 1.0)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    with goldmark.watch(model, optimizer) as watch:
        parts = [LambdaLR(optimizer, lambda step: 1.0), LambdaLR(optimizer, lambda step: 0.9)]
        both = SequentialLR(optimizer, parts, milestones=[2])
        for _ in range(5):
            optimizer.step()
            schedule.step()
            both.step()
    assert "schedule_factors" not in watch.findings.names


@pytest.mark.parametrize("zero", [0, 0.0, torch.tensor(0), torch.tensor(0.0)])
def test_terms_times_0_are_known_by_the_graph(zero):
    """A penalty that is 0 by itself counts, and so do a term with another weight and a number for a log."""
    x = torch.ones(3, requires_grad=True)
    first, second, penalty = 2 * (x**2).sum(), (x - 2).abs().sum(), 3 * (x - 5).relu().sum()
    terms = {"first": first, "weighted": zero * second, "again": second * zero, "penalty": penalty, "number": 0.0}
    assert frozenset({"weighted", "again"}) == weightless_terms(terms)
    sum(terms.values()).backward()
    assert weightless_terms(terms) is None


def test_a_weight_is_0_in_all_steps_or_it_is_not_named():
    """A few steps say nothing."""
    assert checks.check_weightless_term({"a"}, 100).trouble
    assert not checks.check_weightless_term({"a"}, 99).trouble
    assert not checks.check_weightless_term(set(), 100).trouble


@pytest.mark.parametrize(
    ("weights", "examples", "draws", "classes", "trouble"),
    [
        (4, 1200, 1200, 4, True),  # a weight for each class
        (4, 1200, 4, 4, True),  # of which an epoch draws as many
        (4, 1200, 1200, None, True),  # each example is drawn 300 times
        (900, 1200, 1200, 4, False),  # the training part of both halves
        (1200, 1200, 20_000, 4, False),  # long epochs
        (4, 6, 6, 4, False),  # next to all of very few examples
    ],
)
def test_fewer_weights_than_examples(weights, examples, draws, classes, trouble):
    """Where they can only be weights of classes."""
    assert trouble == checks.check_sampler_weights(weights, examples, draws, classes).trouble
