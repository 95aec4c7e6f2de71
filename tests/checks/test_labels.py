"""Labels that an encoder does not know, and classes without a label."""

from __future__ import annotations

import torch

from goldmark.checks import (
    check_constant_labels,
    check_contradictory_labels,
    check_hidden_labels,
    check_unseen_classes,
)

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
