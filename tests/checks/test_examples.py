"""Which examples a loss reads, and which outputs the target of a position pulls on."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from goldmark import checks
from goldmark.checks._examples import class_dimensions, is_one_example, lone_loss
from goldmark.checks._outputs import gradient_at


def normal(*shape):
    """Standard normal numbers, the same in every test."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_an_example_that_is_read_by_its_place_stays_there():
    """One that is chosen by what it holds moves when examples are dealt anew, and a few looks prove nothing."""
    assert checks.check_one_example_read(8, [7, 7, 7, 7]).trouble
    assert not checks.check_one_example_read(8, [7, 0, 1, 2]).trouble
    assert not checks.check_one_example_read(8, [None] * 4).trouble
    assert not checks.check_one_example_read(8, [7, 7]).trouble
    assert not checks.check_one_example_read(2, [1] * 4).trouble


@pytest.mark.parametrize(
    ("row", "place"), [(slice(0, 1), 0), (slice(-1, None), -1), (slice(2, 3), None), (slice(8), None)]
)
def test_a_loss_is_that_of_the_first_or_last_example(row, place):
    """It is told by its value alone, and never where it is that of the whole batch."""
    output, labels = normal(8, 3), torch.arange(8) % 3
    assert place == lone_loss(float(functional.cross_entropy(output[row], labels[row])), output, labels)
    assert None is lone_loss(float(functional.cross_entropy(output, labels)), output, labels)


def scattered(loss_fn, n_classes, targets):
    """Judge a loss of random logits (2, 6, C)."""
    output = normal(2, 6, n_classes)
    return checks.check_scattered_targets(
        lambda changed: gradient_at(loss_fn, output, changed), targets, class_dimensions(output, targets)
    )


def test_a_view_scatters_what_a_transpose_keeps_together():
    """Six positions of five classes, viewed as five classes of six positions."""
    targets = torch.arange(12).reshape(2, 6) % 5
    assert scattered(lambda o, t: functional.cross_entropy(o.view(2, 5, 6), t), 5, targets).trouble
    assert not scattered(lambda o, t: functional.cross_entropy(o.transpose(1, 2), t), 5, targets).trouble


def test_losses_of_whole_sequences_and_of_neighbours_are_not_scattered():
    """The first moves more than a position has, the second the outputs of both classes wherever it moves any."""
    targets = torch.arange(12).reshape(2, 6) % 5

    def of_all(output, labels):
        return functional.cross_entropy(output.transpose(1, 2), labels).square()

    def of_neighbours(output, labels):
        after = functional.cross_entropy(output[:, :-1].transpose(1, 2), labels[:, 1:])
        return after + functional.cross_entropy(output[:, 1:].transpose(1, 2), labels[:, :-1])

    assert not scattered(of_all, 5, targets).trouble
    assert not scattered(of_neighbours, 5, targets).trouble


def test_a_linear_layer_says_that_classes_come_last():
    """Where there are as many classes as positions, shapes alone leave two dimensions."""
    targets = torch.zeros(2, 6, dtype=torch.int64)
    assert [1, 2] == class_dimensions(normal(2, 6, 6), targets)
    assert [2] == class_dimensions(torch.nn.Linear(4, 6)(normal(2, 6, 4)), targets)
    assert [1] == class_dimensions(normal(2, 5, 6), targets)
    assert [] == class_dimensions(normal(2, 6), targets)


def test_one_example_in_every_batch_is_stored_by_reference():
    """Eight batches or more, of which none has two examples, and most are unlike each other."""
    assert checks.check_examples_by_reference([True] * 8, 8).trouble
    assert not checks.check_examples_by_reference([True] * 7, 7).trouble
    assert not checks.check_examples_by_reference([True] * 8 + [False], 9).trouble
    assert not checks.check_examples_by_reference([True] * 8, 1).trouble


def test_a_batch_is_one_example_where_one_answer_is_compared_with_many_numbers():
    """Not where inputs, or answers to them, differ, nor where there are as many answers as numbers."""
    layer, one = torch.nn.Linear(3, 2), normal(1, 3).repeat(16, 1)
    actions, targets = torch.arange(16) % 2, normal(16)

    def is_one(inputs, output, targets, loss_of=functional.mse_loss):
        return is_one_example(inputs, output, targets, loss_of(output.gather(1, actions[:, None])[:, 0], targets))

    def weighted(taken, weights):
        return -(taken * weights).mean()

    assert is_one(one, layer(one), targets)
    assert is_one((one, one > 0), layer(one), targets, functional.l1_loss)
    taken = layer(one).gather(1, actions[:, None])[:, 0]
    assert is_one_example(one, taken, targets, functional.mse_loss(taken, targets))
    assert not is_one(one[:1].expand(16, 3), layer(one), targets)
    assert not is_one((one, actions), layer(one), targets)
    assert not is_one(normal(16, 3), layer(one), targets)
    assert not is_one(one, layer(normal(16, 3)), targets)
    assert not is_one(one, layer(one), actions.float())
    assert not is_one(one, layer(one), targets, weighted)
    assert not is_one_example(one[:4], layer(one[:4]), targets[:4], layer(one[:4])[:, 0].sub(targets[:4]).abs().mean())
