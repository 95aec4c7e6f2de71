"""What halves share, what a fit has seen, and what rules reject."""

from __future__ import annotations

import pytest
import torch

from goldmark.checks import check_fitted_on_validation, check_overlap, check_rejected_data, check_shared_groups


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
