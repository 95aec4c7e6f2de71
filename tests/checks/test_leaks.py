"""Columns of a table that tell its target, and labels that wrapped around."""

from __future__ import annotations

import pytest
import torch

from goldmark import checks


def normal(*shape, seed=0):
    """Normal numbers of a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def drawn(n_values, n=256, seed=1):
    """Whole numbers (N,) of a seed."""
    return torch.randint(0, n_values, (n,), generator=torch.Generator().manual_seed(seed))


def standardised(column):
    """A column as a StandardScaler makes it."""
    return ((column.double() - column.double().mean()) / column.double().std()).float()


def columns_that_tell(column, targets, *, table=None):
    """Return how many columns of a table with this column tell the targets."""
    table = normal(len(column), 4) if table is None else table
    finding = checks.check_target_among_inputs(torch.cat([table, column[:, None]], dim=1), targets, table=True)
    return int(finding.numbers["columns"])


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_a_label_column_is_named_after_it_was_standardised(n_classes):
    """And no more where one example of another class has its value, or where labels are others."""
    labels = drawn(n_classes)
    column = standardised(labels)
    assert 1 == columns_that_tell(column, labels) == columns_that_tell(column, labels.float()[:, None])
    assert 0 == columns_that_tell(column, drawn(n_classes, seed=2))
    column[labels.argmax()] = column[labels.argmin()]
    assert 0 == columns_that_tell(column, labels)


def test_all_classes_but_one_must_have_a_value_to_themselves():
    """Then the values of the last are known by what they are not; not where two classes have several values."""
    labels, counted = drawn(3), drawn(4, seed=3)
    assert 1 == columns_that_tell(torch.where(labels == 1, counted + 3, labels).float(), 5 - labels)
    assert 0 == columns_that_tell((labels + 3 * (counted % 2) * (labels > 0)).float(), 5 - labels)


def test_few_examples_of_a_class_may_have_a_value_of_their_own_by_chance():
    """Seven do, and so do all in a table of less than 64 rows."""
    for n_of_class, n, expected in ((7, 256, 0), (8, 256, 1), (8, 63, 0), (8, 64, 1)):
        labels = (torch.arange(n) < n_of_class).long()
        column = torch.where(labels == 1, 4.0, 5 + drawn(3, n))
        assert expected == columns_that_tell(column, labels), (n_of_class, n)


def test_others_must_be_measured():
    """Two of them, and half of those of more than two values; words, codes and pixels are not."""
    labels = drawn(2)
    column, counts = standardised(labels), torch.poisson(torch.full((256, 4), 0.4))
    for n_measured, n_counts, expected in ((1, 0, 0), (2, 0, 1), (2, 2, 1), (2, 3, 0)):
        table = torch.cat([normal(256, n_measured), counts[:, :n_counts]], dim=1)
        assert expected == columns_that_tell(column, labels, table=table), (n_measured, n_counts)
    codes = torch.nn.functional.one_hot(drawn(9, seed=4)).float()
    assert 1 == columns_that_tell(column, labels, table=torch.cat([normal(256, 2), codes], dim=1))
    assert 0 == columns_that_tell(column, labels, table=codes)


def test_a_rising_line_of_a_target_is_named_beside_three_measured_others():
    """A falling one is what is left of a whole, and neither is a number with a little noise on it."""
    targets = normal(256, 1, seed=2)
    line = standardised(targets[:, 0] * 40 + 300)
    assert 1 == columns_that_tell(line, targets)
    assert 0 == columns_that_tell(-line, targets)
    assert 0 == columns_that_tell(line, targets, table=normal(256, 2))
    assert 0 == columns_that_tell(line + 1e-3 * normal(256, seed=5), targets)


def test_where_every_column_is_a_line_of_the_target_none_was_left_in():
    """As in windows of 0, 1, 2, ...; and with a part of the rows of one class, nothing is judged."""
    windows = torch.arange(100.0).unfold(0, 6, 1)
    assert not checks.check_target_among_inputs(windows[:, :5], windows[:, 5], table=True).trouble
    sorted_labels = (torch.arange(5000) > 4000).long()
    assert 0 == columns_that_tell(standardised(sorted_labels), sorted_labels)


def test_what_is_no_table_is_only_compared_number_by_number():
    """A label that was standardised is then no finding, and a label as it is one."""
    labels = drawn(2)
    for column, expected in ((standardised(labels), False), (labels.float(), True)):
        inputs = torch.cat([normal(256, 4), column[:, None]], dim=1)
        assert expected == checks.check_target_among_inputs(inputs, labels).trouble


def ids(n_classes, n_each=20):
    """Class ids (N,) of classes that are seen twenty times each, more or less."""
    return drawn(n_classes, n_each * n_classes)


@pytest.mark.parametrize("n_classes", [264, 300, 400, 508])
def test_ids_that_were_stored_in_eight_bits_are_named(n_classes):
    """And not where they were not, with or without labels that are left out."""
    labels = torch.cat([ids(n_classes), torch.tensor([-100])])
    assert not checks.check_wrapped_labels(labels, n_classes).trouble
    wrapped = torch.where(labels >= 0, labels % 256, labels)
    finding = checks.check_wrapped_labels(wrapped, n_classes)
    assert finding.trouble
    assert 2 == pytest.approx(finding.numbers["times_as_often"], abs=0.6)  # more than 3 sd where four classes hold 80
    assert f"256 to {n_classes - 1} are taught as 0 to {n_classes - 257}" in str(finding)


@pytest.mark.parametrize("n_classes", [10, 256, 259, 509, 1000])
def test_other_numbers_of_classes_are_not_judged(n_classes):
    """Nothing beyond 8 bits, too few to tell, or as many for nearly all ids."""
    assert not checks.check_wrapped_labels(ids(n_classes) % 256, n_classes).trouble


@pytest.mark.parametrize("power", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.3])
@pytest.mark.parametrize("n_classes", [260, 264, 276, 300, 350, 400, 450, 500])
def test_frequencies_that_fall_have_no_step(power, n_classes):
    """Classes in the order of their frequency, of which those from 256 on are not seen."""
    counts = (200 * torch.arange(1.0, 257.0) ** -power).round().long() + 1
    labels = torch.arange(256).repeat_interleave(counts)
    assert not checks.check_wrapped_labels(labels, n_classes).trouble


def test_a_few_classes_may_be_frequent():
    """By chance those beyond which the others are seen half as often; nor are uneven ones a sign."""
    counts = torch.poisson(20 * torch.exp(normal(256)), generator=torch.Generator().manual_seed(0)).long() + 1
    for n_classes in range(260, 509):
        assert not checks.check_wrapped_labels(torch.arange(256).repeat_interleave(counts), n_classes).trouble
