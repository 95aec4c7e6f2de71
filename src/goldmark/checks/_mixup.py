"""Mixup: whether targets are mixed as their inputs are, in as many batches as meant; no metric tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from goldmark.case import Finding

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # inputs (B, ...), targets (B,) -> both as trained on

_DEVIATIONS = 4  # sd of a binomial share: a right mixup is called wrong once in 16,000 times


class Mixing(NamedTuple):
    """What a mixup did to one batch: the weights (B, B) of all rows in each mixed row, the targets' largest error."""

    weights: Tensor
    target_error: float

    @property
    def lam(self) -> float:
        """The weight that a mixed row keeps of itself; 1 in a batch that is not mixed."""
        return 1.0 - float((self.weights - self.weights.diagonal().diag()).max())

    @property
    def most_rows(self) -> int:
        """The most rows that a mixed row is made of: 1 or 2 of a mixup, up to 4 where two of them were applied."""
        return int((self.weights != 0).sum(dim=1).max())


def read_mixing(mix: Mix, n_examples: int = 16) -> Mixing:
    """Mix a batch of unit vectors (B, B), whose targets (B,) are a linear function of them, and read off what was done.

    Mixed unit vectors are the weights themselves. Targets that are mixed with the same weights remain the same linear
    function of the inputs; any other weight or partner breaks that.
    """
    units = torch.eye(n_examples, dtype=torch.float64)
    numbers = torch.arange(1, n_examples + 1, dtype=torch.float64) / n_examples
    weights, targets = mix(units, numbers)
    return Mixing(weights, float((targets - weights @ numbers).abs().max()))


def check_wrong_mixup(mix: Mix, fraction: float = 1.0, n_batches: int = 64, threshold: float = 1e-6) -> Finding:
    """Find out whether targets miss the mixture of their inputs by more than `threshold` of the targets' range.

    It is trouble, too, where the share of mixed batches is not `fraction`, within what chance explains, and where a row
    is made of more than two: the data set mixes, and so does the loop. A score shows none of it: inputs mixed without
    their targets train well enough.
    """
    mixings = [read_mixing(mix) for _ in range(n_batches)]
    target_error = float(torch.tensor([mixing.target_error for mixing in mixings]).max())  # a NaN is the largest
    share_mixed = sum(mixing.lam != 1 for mixing in mixings) / n_batches
    most_rows = max(mixing.most_rows for mixing in mixings)
    allowed = _DEVIATIONS * (fraction * (1 - fraction) / n_batches) ** 0.5
    return Finding(
        name="wrong_mixup",
        trouble=not (target_error <= threshold and abs(share_mixed - fraction) <= allowed and most_rows <= 2),
        numbers={
            "target_error": target_error,
            "share_mixed": share_mixed,
            "fraction": fraction,
            "most_rows": float(most_rows),
        },
        threshold=threshold,
        advice="mix inputs and targets once, with one weight and one order of rows, in as many batches as meant",
    )
