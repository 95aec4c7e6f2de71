"""Batches whose inputs are brought into another order than their targets."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_sequence
from torch.utils.data import default_collate

from goldmark.checks import check_reordered_inputs

TEXTS = [torch.arange(1, 3 + place * 7 % 11) + place for place in range(24)]
EXAMPLES = [(text, place % 3) for place, text in enumerate(TEXTS)]


def sides(examples, *, ordered=(True, True)):
    """Return texts and labels, each as the examples come or as they are sorted by length."""
    by_length = sorted(examples, key=lambda example: len(example[0]))
    texts, labels = ([e[place] for e in (by_length if ordered[place] else examples)] for place in (0, 1))
    return texts, torch.tensor(labels)


@pytest.mark.parametrize("batch_first", [True, False])
def test_either_side_alone_must_not_be_sorted(batch_first):
    """Both in one order are right, whichever it is; the examples may lie in rows or in columns."""

    def collate_with(*ordered):
        def collate_fn(examples):
            texts, labels = sides(examples, ordered=ordered)
            return (pad_sequence(texts, batch_first=batch_first), [len(text) for text in texts]), labels

        return collate_fn

    finding = check_reordered_inputs(collate_with(True, False), EXAMPLES)
    assert finding.trouble
    assert finding.numbers["with_another_target"] >= finding.threshold == finding.numbers["by_chance"] / 2 == 8
    assert not check_reordered_inputs(collate_with(True, True), EXAMPLES).trouble
    assert not check_reordered_inputs(collate_with(False, False), EXAMPLES).trouble


def test_targets_of_any_kind_are_followed():
    """Numbers, and sequences; one class alone cannot be wrong."""
    wanted = {"numbers": lambda place: place / 7, "sequences": lambda place: [place, place + 1], "one": lambda place: 0}
    for name, target_of in wanted.items():
        examples = [(text, target_of(place)) for place, text in enumerate(TEXTS)]

        def collate_fn(some):
            texts, targets = sides(some, ordered=(True, False))
            return pad_sequence(texts, batch_first=True), targets

        assert (name != "one") == check_reordered_inputs(collate_fn, examples).trouble


def test_batches_that_vary_or_tell_the_order_pass():
    """Labels drawn at random, places to put outputs back to, sequences packed in order, targets that are places."""

    def at_random(examples):
        texts, labels = sides(examples)
        return pad_sequence(texts, batch_first=True), labels[torch.randperm(len(labels))]

    def put_back(examples):
        texts, labels = sides(examples, ordered=(True, False))
        lengths = torch.tensor([len(text) for text, _ in examples])
        return (pad_sequence(texts, batch_first=True), lengths.argsort(stable=True)), labels

    def packed(examples):
        texts, labels = sides(examples, ordered=(False, False))
        return pack_sequence(texts, enforce_sorted=False), labels

    def places(examples):
        texts, _ = sides(examples, ordered=(False, False))
        return pad_sequence(texts, batch_first=True), torch.arange(len(texts))

    for collate_fn in (at_random, put_back, packed, places):
        assert not check_reordered_inputs(collate_fn, EXAMPLES).trouble


@pytest.mark.parametrize("pack", [list, lambda texts: pack_sequence(texts[::-1])], ids=["list", "packed"])
def test_lists_and_packed_sequences_are_inputs_as_well(pack):
    """Beside labels in their order they are trouble once they are sorted."""

    def collate_with(*, together):
        def collate_fn(examples):
            texts, labels = sides(examples, ordered=(True, together))
            return pack(texts), labels.flip(0) if together and pack is not list else labels

        return collate_fn

    assert check_reordered_inputs(collate_with(together=False), EXAMPLES).trouble
    assert not check_reordered_inputs(collate_with(together=True), EXAMPLES).trouble


def test_equal_inputs_may_have_unlike_targets():
    """Of examples that occur several times nothing is said."""
    assert not check_reordered_inputs(default_collate, [(torch.ones(3), place % 3) for place in range(24)]).trouble
