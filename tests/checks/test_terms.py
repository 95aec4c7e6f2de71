"""Terms of a loss that are handed over for a log, beside terms that are part of it."""

from __future__ import annotations

import pytest
import torch

from goldmark import checks


def terms_of(cut):
    """A loss of two terms, the second of them cut or not, and its terms."""
    weight = torch.ones(3, requires_grad=True)
    first, second = weight.square().sum(), weight.exp().sum()
    return weight, first + (second.detach() if cut else second), first, second


@pytest.mark.parametrize("cut", [True, False])
def test_a_term_for_a_log_is_cut_where_the_loss_reaches_its_weights_by_no_other_way(cut):
    """Computed again, as a number or without a gradient: beside a first term that is part of the loss."""
    weight, loss, first, second = terms_of(cut)
    for again in (weight.exp().sum(), second.item(), second.detach()):
        assert cut == checks.check_cut_term(loss, {"first": first, "second": again}).trouble


def test_a_number_beside_a_term_without_a_name_is_still_a_constant():
    """A third term that reaches weights does not excuse the second, which is added as a number."""
    weight, loss, first, second = terms_of(cut=True)
    assert checks.check_cut_term(loss + weight.abs().sum(), {"first": first, "second": second.item()}).trouble
