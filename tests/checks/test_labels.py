"""Labels that an encoder does not know, and classes without a label."""

from __future__ import annotations

import math

import torch

from goldmark.checks import (
    check_constant_labels,
    check_contradictory_labels,
    check_hidden_labels,
    check_unseen_classes,
)
from goldmark.checks._samples import Sample, are_of_one_answer

NUMBERS = {"up": 0, "down": 1, "flat": 2}


def refused(label):
    """Raise `ValueError` for what is unknown."""
    return list(NUMBERS).index(label)


def test_defaults_among_the_known_hide_labels():
    """0, 1 or 2 for what is unknown is trouble; an error, -1, None and a class of its own are not."""
    for default in NUMBERS.values():
        assert check_hidden_labels(lambda label, default=default: NUMBERS.get(label, default), list(NUMBERS)).trouble
    for encode in (NUMBERS.__getitem__, refused, NUMBERS.get, lambda label: NUMBERS.get(label, 3)):
        assert not check_hidden_labels(encode, list(NUMBERS)).trouble


def test_an_encoder_that_hides_some_labels_is_found():
    """One of the unknown labels is enough: an empty one that becomes the first class."""
    finding = check_hidden_labels(lambda label: NUMBERS[label or "up"], list(NUMBERS))
    assert finding.trouble
    assert finding.numbers["taken_for_known"] == 1


def test_classes_are_counted_against_the_values_of_labels():
    """Three classes need three values; labels that were never drawn are unseen too."""
    logits = torch.zeros(5, 3)
    assert not check_unseen_classes(logits, torch.tensor([0, 1, 2, 1, 0])).trouble
    assert check_unseen_classes(logits, torch.tensor([0, 2, 2, 2, 0])).trouble


def test_labels_contradict_each_other_by_a_rule_or_as_people_do():
    """Copies whose labels are shifted by one are trouble; grades that people give as they are or one higher, pass."""
    keys, grades = torch.arange(200), torch.arange(200) % 5
    twice, higher = torch.cat([keys, keys]), (grades + 1).clamp_max(4)
    shifted = torch.cat([grades, (grades + 1) % 5])
    assert check_contradictory_labels(twice, shifted).trouble
    people = torch.cat([grades, torch.where(keys % 3 == 0, higher, grades)])
    assert not check_contradictory_labels(twice, people).trouble
    assert not check_contradictory_labels(twice, torch.cat([grades, grades])).trouble
    assert not check_contradictory_labels(torch.arange(400), shifted).trouble
    assert not check_contradictory_labels(twice % 20, shifted).trouble  # twenty states
    assert not check_contradictory_labels(twice, torch.arange(400)).trouble  # each pair of classes once


def test_labels_of_one_class_in_both_halves_are_constant():
    """One other label passes, and so do labels that differ between the halves, few ones, and what is no class."""
    masks = torch.ones(32, 3, 3, dtype=torch.long)
    other = masks.clone()
    other[7, 1, 2] = 0
    assert check_constant_labels(masks, masks, 3).trouble
    assert check_constant_labels(torch.zeros(40, dtype=torch.long), torch.zeros(32, dtype=torch.long), 2).trouble
    for train, val in ((other, masks), (masks, other), (masks, 0 * masks), (masks, masks[:31]), (masks[:0], masks)):
        assert not check_constant_labels(train, val, 3).trouble
    assert not check_constant_labels(-100 * masks, -100 * masks, 3).trouble
    assert not check_constant_labels(0 * masks, 0 * masks, 1).trouble


def test_binary_labels_are_constant_where_all_are_one_of_two():
    """As numbers, which no smoothed label is, nor a number of another range; of few examples nothing is said."""
    ones = torch.ones(128, 2)
    for label in (0, 1):
        assert check_constant_labels(label * ones, label * ones, 2, 128).trouble
    for other in (0.9 * ones, 2 * ones, -ones, ones * torch.nan, ones[:127]):
        assert not check_constant_labels(other, other, 2, 128).trouble
    assert not check_constant_labels(ones, 0 * ones, 2, 128).trouble


def test_one_answer_is_learnt_from_what_is_minimised_alone():
    """A loss that is another one in any step, that is still that of chance, or that knows two answers says nothing."""

    def samples(logit, targets, *, others=0.0):
        output, known = torch.full((4,), logit), {"mse": 1.0, "bce_with_logits": math.log1p(math.exp(-logit))}
        return [
            Sample(
                step=step,
                loss=known["bce_with_logits"],
                root=known["bce_with_logits"] + others,
                known=known,
                answers=("bce_with_logits", output, targets),
            )
            for step in range(4)
        ]

    ones = torch.ones(4)
    assert are_of_one_answer(samples(2.0, ones))
    assert not are_of_one_answer(samples(0.0, ones))
    assert not are_of_one_answer(samples(2.0, torch.tensor([1.0, 1, 0, 1])))
    assert not are_of_one_answer([*samples(2.0, ones), *samples(2.0, ones, others=0.1)])
    assert not are_of_one_answer([])
