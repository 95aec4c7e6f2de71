"""The checks that read constants of a loss, which its graph holds until the backward pass."""

from __future__ import annotations

from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._across import check_softmax_across_targets
from goldmark.checks._advantages import check_advantage_with_gradient
from goldmark.checks._contrast import check_self_among_negatives
from goldmark.checks._frames import check_too_few_frames
from goldmark.checks._noising import check_deviation_of_noise
from goldmark.checks._weighting import check_weights_after_mean

_CHECKS = (
    check_self_among_negatives,
    check_too_few_frames,
    check_weights_after_mean,
    check_softmax_across_targets,
    check_deviation_of_noise,
    check_advantage_with_gradient,
)


def findings_before_pass(loss: Tensor) -> list[Finding]:
    """Return what the graph of a loss shows before its backward pass."""
    return [check(loss) for check in _CHECKS]
