"""Labels that are ids or groups, and losses that only compare them: what the checks on classes leave alone."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from goldmark import checks
from goldmark.checks._pairs import compares_labels, indexes_outputs

OUTPUT = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 4


def groups(output, labels):
    """The mean similarity of examples of unlike groups."""
    return ((output @ output.T) * (labels[:, None] != labels)).mean()


@pytest.mark.parametrize(("loss_fn", "indexes"), [(functional.cross_entropy, True), (groups, False)])
def test_a_loss_looks_outputs_up_by_label_or_compares_labels(loss_fn, indexes):
    """A label beyond the outputs is an error to the one and another group to the other."""
    assert indexes == indexes_outputs(loss_fn, OUTPUT, LABELS, None, n_outputs=4)
    assert indexes != compares_labels(loss_fn, OUTPUT, LABELS)


def test_labels_in_structures_are_asked_about_by_their_place():
    """Beside a second head, by name."""

    def loss_fn(output, targets):
        return functional.cross_entropy(output["kind"], targets["kind"])

    places = {"kind": OUTPUT}, {"kind": LABELS}
    assert indexes_outputs(loss_fn, *places, "kind", n_outputs=4)


def test_a_loss_that_leaves_the_cpu_is_given_no_label_that_it_might_choke_on():
    """There an index that is out of range is no error that could be caught; the device `meta` stands for a GPU."""
    given = []

    def loss_fn(output, labels):
        given.append(int(labels.max()))
        return functional.cross_entropy(output.to("meta"), labels.to("meta"))

    assert indexes_outputs(loss_fn, OUTPUT, LABELS, None, n_outputs=4)
    assert not compares_labels(loss_fn, OUTPUT, LABELS)
    assert {3} == set(given)


@pytest.mark.parametrize("n_groups", [8, 64])
def test_classes_can_only_be_judged_by_several_examples_each(n_groups):
    """Labels shuffled against a table depend on nothing; with two examples each they could not."""
    x = torch.randn(256, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(256) % n_groups
    finding = checks.check_labels_independent(x[:128], labels[:128], x[128:], labels[128:], table=True)
    assert (n_groups == 8) == finding.trouble


@pytest.mark.parametrize(("n_each", "trouble"), [(8, True), (1, False)])
def test_a_renumbering_needs_several_examples_a_class(n_each, trouble):
    """One example a class agrees with some renumbering whatever it is."""
    x = torch.eye(16, dtype=torch.float64) * 9
    labels = torch.arange(16)
    val_x, val_labels = x.repeat(n_each, 1), labels.flip(0).repeat(n_each)
    assert trouble == checks.check_label_numbering(x, labels, val_x, val_labels).trouble
