"""What halves share, what a fit has seen, and what rules reject."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from goldmark.checks import (
    _passes,
    check_fitted_on_validation,
    check_overlap,
    check_rejected_data,
    check_shared_groups,
    check_split_by_class,
    preflight,
)


@pytest.mark.parametrize(("val", "share"), [(["c", "d"], 0.0), (["a", "c", "c", "d"], 0.25), (["a", "a", "b"], 1.0)])
def test_share_of_validation_examples_with_siblings(val, share):
    """Counted by examples, not by groups."""
    finding = check_shared_groups(["a", "b", "a"], val)
    assert (share > 0, {"share": share}) == (finding.trouble, finding.numbers)
    assert not check_shared_groups(["a", "b", "a"], val, threshold=share).trouble


def test_what_is_fitted_on_validation_is_named():
    """A tensor of training that changes, vanishes or appears with the validation half; that half itself may."""
    before = {"train_x": torch.ones(2), "val_x": torch.ones(2), "mean": torch.ones(())}
    assert not check_fitted_on_validation(before, before | {"val_x": torch.zeros(2)}).trouble
    for name, tensor in {"mean": torch.zeros(()), "train_x": torch.ones(3), "new": torch.ones(1)}.items():
        finding = check_fitted_on_validation(before, before | {"val_x": torch.zeros(2), name: tensor})
        assert finding.trouble
        assert f": {name} changes" in finding.advice
    with pytest.raises(ValueError, match=r"'val_\*' are the same before and after"):
        check_fitted_on_validation(before, before)


def test_rejected_share_of_samples():
    """A rule may reject the odd sample, not a tenth of them."""
    samples = [torch.tensor(float(i)) for i in range(40)]
    assert not check_rejected_data(lambda sample: bool(sample > 0), samples).trouble
    finding = check_rejected_data(lambda sample: bool(sample > 3), samples)
    assert (True, pytest.approx(0.1)) == (finding.trouble, finding.numbers["rejected_share"])


def test_no_examples_are_refused():
    """Nothing looked at is no all-clear."""
    with pytest.raises(ValueError, match="no validation examples"):
        check_shared_groups(["a"], [])
    with pytest.raises(ValueError, match="no samples"):
        check_rejected_data(lambda sample: True, [])


@pytest.mark.parametrize(("n_shared", "trouble"), [(2, False), (8, True)])
def test_overlap_is_more_than_the_training_half_repeats_by_chance(n_shared, trouble):
    """Of 64 validation rows half a one is expected, where 2 of 256 training rows are alike; 2 are no leak."""
    train, val = torch.arange(256), torch.arange(1000, 1064)
    train[1] = train[0]
    val[:n_shared] = train[10 : 10 + n_shared]
    assert trouble == check_overlap(train, val).trouble


def test_the_share_of_validation_whose_classes_have_no_training_examples():
    """Half of it may be a class that is new; more is a cut through sorted examples."""
    labels = torch.arange(4).repeat(100)
    for new, trouble in ((50, False), (60, True)):
        finding = check_split_by_class(labels, torch.cat([torch.full((new,), 4), labels[: 100 - new]]))
        assert (trouble, new / 100) == (finding.trouble, finding.numbers["share_without_training"])


def test_classes_of_few_examples_may_lie_in_one_half_by_chance():
    """In a fifth of all examples, 8 of one class do with probability .2 ** 8 = 3e-6, and 9 below 1e-6."""
    labels = torch.arange(20).repeat(20)
    for few, share in ((8, 0.0), (9, 0.9)):
        new = torch.arange(100, 110).repeat_interleave(few)
        finding = check_split_by_class(labels, torch.cat([new, labels[: 100 - len(new)]]))
        assert (share > 0.5, share) == (finding.trouble, finding.numbers["share_without_training"])


@pytest.mark.parametrize("descending", [False, True])
def test_a_cut_within_the_last_class_is_found(descending):
    """It has training examples as well; a few classes at the end, or one that most examples have, may be chance."""
    sizes = {"two": [50, 50], "five": [20] * 5, "most": [10, 190]}
    for name, trouble in (("two", True), ("five", True), ("most", False)):
        labels = torch.arange(len(sizes[name])).repeat_interleave(torch.tensor(sizes[name]))
        labels = len(sizes[name]) - labels if descending else labels
        n_val = len(labels) // 5 + (name == "two")
        assert trouble == check_split_by_class(labels[:-n_val], labels[-n_val:]).trouble


@pytest.mark.parametrize(
    ("size", "sampler", "val_size", "expected"),
    [(100, None, 50, True), (300, None, 50, False), (300, "random", 50, True), (100, None, 300, False)],
)
def test_halves_that_are_read_in_part_are_judged_where_they_were_shuffled(
    size, sampler, val_size, expected, monkeypatch
):
    """Of 300 examples, class by class, 200 are read, in place of 10,000: the rest may hold every class."""
    monkeypatch.setattr(_passes, "N_EXAMPLES", 200)
    model = nn.Linear(2, 3)
    halves = []
    for n, label, shuffle in ((size, 0, sampler is not None), (val_size, 2, False)):
        labels = torch.full((n,), label)
        labels[::2] += label == 0
        halves.append(DataLoader(TensorDataset(torch.randn(n, 2), labels), batch_size=50, shuffle=shuffle))
    found = preflight(model, torch.optim.SGD(model.parameters(), lr=0.1), *halves, functional.cross_entropy)
    assert expected == ("split_by_class" in found.names)


def test_weights_of_a_loss_may_know_other_classes_than_validation():
    """Codes are compared with centres of the loss: disjoint people of validation are right, whatever their numbers."""
    model, centres = nn.Linear(2, 8), torch.randn(4, 8)
    halves = [[(torch.randn(32, 2), torch.arange(32) % 4 + first)] for first in (0, 4)]

    def loss_fn(codes, people):
        return functional.cross_entropy(codes @ centres.T, people)

    found = preflight(model, torch.optim.SGD(model.parameters(), lr=0.1), *halves, loss_fn)
    assert "split_by_class" not in found.names


def test_only_the_nodes_that_a_mask_picks_are_examples():
    """As bool, or as indices, among targets before inputs; labels that stand alone, or repeat, are no mask."""
    x, y, mask = torch.randn(6, 2), torch.arange(6) % 2, torch.tensor([True, True, False, False, True, False])
    every = _passes.read_half([(x, y)])
    assert 6 == len(every.pair_keys) == len(_passes.read_half([(x, y == 1)]).pair_keys)
    for batch in (((x, ~mask), (y, mask)), (x, (y, mask.nonzero().flatten())), ((x, mask), y[mask])):
        half = _passes.read_half([batch])
        assert (6, 3) == (len(half.keys), len(half.pair_keys))
    assert 6 == len(_passes.read_half([(x, (y, torch.tensor([1, 1, 2])))]).pair_keys)


def test_what_has_no_label_is_no_example():
    """-100 is none among classes, but it is a number; and 156 in 8 bits is another class."""
    x, left_out = torch.arange(6.0)[:, None], torch.tensor([0, -100, 2, -100, 1, 1])
    lengths = [
        len(_passes.read_half([(x, y)]).pair_keys) for y in (left_out, left_out.float(), left_out.to(torch.uint8))
    ]
    assert [4, 6, 6] == lengths
