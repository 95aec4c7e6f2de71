"""The ensemble's first version trained another net than the one that it was to repeat, and nobody counted.

CompactRT has 74,753 parameters, the net that was built 53,025. Scores did not tell them apart; the count does.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from goldmark.cases.eeg.full import FULL
from goldmark.cases.eeg.model import members_of
from goldmark.checks import check_wrong_architecture

COMPACT_RT = 74_753  # on record
RIGHT = [variant.name for variant in FULL.variants if not variant.name.startswith("ensemble_v1")]


def findings(settings):
    """What the check says of each net that settings build, for windows of the documented size; no memory is taken."""
    with torch.device("meta"):
        model = FULL.make_model(settings, {"train_response_s": torch.ones(2, device="cpu")})
    return [check_wrong_architecture(net, COMPACT_RT) for net in members_of(model)]


@pytest.mark.parametrize("variant", RIGHT)
def test_recipes_train_the_documented_net(variant):
    """V8's, the aggressive one's, and the ensemble's, every member of it."""
    for finding in findings(FULL.settings_of(variant)):
        assert not finding.trouble, f"'{variant}' trains a wrong architecture: {finding.advice}"


def test_first_ensemble_trained_another_net():
    """The check that the others pass finds it, and tells both counts."""
    (finding,) = findings(FULL.settings_of("ensemble_v1"))
    assert finding.trouble
    assert 53_025 == finding.numbers["n_parameters"], "the wrong net is not the one on record"


@pytest.mark.parametrize(
    "change",
    [
        {"max_pool": False},
        {"kernels": (7, 5, 3)},
        {"widths": (32, 64, 128)},
        {"head": (64, 32), "head_dropout": (0.6, 0.5)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_one_repair_of_four_is_no_fix(change):
    """The control: pooling, kernels, widths or head put right alone; the net is still another."""
    (finding,) = findings(replace(FULL.settings_of("ensemble_v1"), **change))
    assert finding.trouble


def test_documented_counts_follow_from_the_layers():
    """Weights and biases of convolutions and linear layers, scale and shift of each BatchNorm, by hand."""

    def count(widths, kernels, head):
        """Count 129 channels on, layer by layer."""
        layers = zip((129, *widths), widths, kernels, strict=False)
        convolutions = sum(n_in * n_out * kernel + 3 * n_out for n_in, n_out, kernel in layers)
        sizes = (widths[-1], *head, 1)
        return convolutions + sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))

    assert count((32, 64, 128), (7, 5, 3), (64, 32)) == COMPACT_RT
    assert 53_025 == count((32, 64, 96), (5, 5, 3), (32,))
