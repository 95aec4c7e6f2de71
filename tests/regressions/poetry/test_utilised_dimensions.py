"""A count of utilised dimensions that cannot fail: variance above .01 after a BatchNorm, 16 of 16 whatever the code.

Poetry record, latent analysis: 16 of 16 dimensions utilised, while the first principal component holds 99.6 %.
"""

from __future__ import annotations

import pytest
import torch

from goldmark.cases.poetry.scores import USEFUL_VARIANCE, evaluate
from goldmark.checks import check_low_rank
from goldmark.training import draws
from goldmark.training.batchnorm import BatchNorm1d

N, K = 512, 16
FEWEST = 0.25  # of the dimensions, below which a code counts as collapsed


def codes_of(first_share):
    """Codes (N, K) whose first principal component holds a share of the variance, turned to lie across all entries."""
    own = draws.normal(draws.key(0, 0, "codes"), (N, K))
    own = torch.linalg.qr(own - own.mean(dim=0))[0]
    rest = (1 - first_share) / (K - 1)
    scale = torch.tensor([first_share] + [rest] * (K - 1), dtype=torch.float64).sqrt()
    signs = torch.ones(K, dtype=torch.float64)
    turn = torch.eye(K, dtype=torch.float64) - 2 * torch.outer(signs, signs) / K  # a reflection: orthogonal
    axis = torch.linalg.qr(torch.cat([signs[:, None], turn[:, 1:]], dim=1))[0]
    return own * scale @ axis.T


def normed(codes):
    """Codes after the case's own BatchNorm, in training."""
    return BatchNorm1d(codes.shape[1]).double().train()(codes).detach()


def by_rank(codes):
    """The right form: whether the participation ratio is low."""
    return check_low_rank(normed(codes), FEWEST).trouble


def by_count(codes):
    """The bug: whether few dimensions have a useful variance."""
    return bool((normed(codes).var(dim=0) > USEFUL_VARIANCE).double().mean() < FEWEST)


def by_count_without_norm(codes):
    """A control: the same count before the BatchNorm, of codes whose variances sum to 16 as after it."""
    return bool(((codes * (N - 1) ** 0.5 * K**0.5).var(dim=0) > USEFUL_VARIANCE).double().mean() < FEWEST)


def tells_a_collapse(measure):
    """The check: whether a measure calls the record's codes collapsed, and even ones not."""
    return measure(codes_of(0.996)) and not measure(codes_of(1 / K))


def test_the_codes_are_those_of_the_record():
    """One component with 99.6 % of the variance is a participation ratio of 1.008, of 16 equal ones 16."""
    assert 1.008 == pytest.approx(
        check_low_rank(codes_of(0.996)).numbers["participation_ratio"], abs=5e-4
    )  # as printed
    assert 16 == pytest.approx(
        check_low_rank(codes_of(1 / K)).numbers["participation_ratio"], rel=1e-9
    )  # float64 rounding


@pytest.mark.parametrize(("measure", "tells"), [(by_rank, True), (by_count, False), (by_count_without_norm, False)])
def test_collapsed_codes_are_found_by_rank_and_not_by_a_count(measure, tells):
    """The right form sees one dimension behind sixteen; the counts see sixteen."""
    assert tells == tells_a_collapse(measure), "a measure of utilised dimensions cannot fail"


def test_the_case_measures_ranks_that_can_be_low(small, fresh):
    """A model whose code rows are all equal: its rank of codes is 1, and the record's count is full."""
    model, data = fresh(small)
    with torch.no_grad():
        model.to_code.weight.copy_(model.to_code.weight[:1].expand_as(model.to_code.weight))
        model.train()(data["train_tokens"])  # statistics of the BatchNorm; its momentum leaves them near
        for _ in range(60):
            model(data["train_tokens"])
        metrics = evaluate(model.eval(), data)
    assert small.code_size == metrics["utilised_dims"]
    assert metrics["code_rank"] == pytest.approx(1.0, abs=1e-6), (
        "utilised dimensions cannot fail: equal rows count anew"
    )
