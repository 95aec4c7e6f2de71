"""Mixup: whether targets are mixed as their inputs are, and in as many batches as meant; no metric tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from goldmark.case import Finding

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # inputs (B, ...), targets (B,) -> both as trained on

_SAME = 1e-3  # rounding of what was mixed in float32
_FEWEST = 4  # mixed examples
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


def check_mixed_targets(
    inputs: Tensor, targets: Tensor, mixed_inputs: Tensor, mixed_targets: Tensor, threshold: float = 0.98
) -> Finding:
    """Find out whether examples were mixed two by two, and their targets were mixed with those of others.

    Inputs (N, ...) and targets (N, ...) of examples, as they were and as a batch of them has them. Where mixed inputs
    are sums of two with weights that add up to 1, and targets mixtures as well, the mixture of the targets by the same
    weights must explain these but for a line, as label smoothing is: trouble is an R^2 below `threshold`.
    """
    weights = _weights(inputs.detach().double().flatten(1), mixed_inputs.detach().double().flatten(1))
    plain, made = targets.detach().double().flatten(1), mixed_targets.detach().double().flatten(1)
    pairs = _are_pairs(weights) & ((made - plain).abs().amax(dim=1) > _SAME)
    explained = _r2((weights @ plain)[pairs].flatten(), made[pairs].flatten()) if int(pairs.sum()) >= _FEWEST else 1.0
    return Finding(
        name="mixed_targets",
        trouble=explained < threshold,
        numbers={"mixed": float(pairs.sum()), "examples": float(len(pairs)), "explained": explained},
        threshold=threshold,
        relation="a target must be mixed with that of the example that its input was mixed with",
        advice="draw one order of the examples, index = torch.randperm(n), and mix inputs and targets by it",
    )


def _weights(inputs: Tensor, mixed: Tensor) -> Tensor:
    """Return the weights (N, N) of rows in mixed rows; zeros where rows do not tell them."""
    none = inputs.new_zeros(len(mixed), len(inputs))
    if int(torch.linalg.matrix_rank(inputs)) < len(inputs):
        return none
    weights: Tensor = mixed @ torch.linalg.pinv(inputs)
    return weights if torch.allclose(weights @ inputs, mixed, rtol=_SAME, atol=_SAME) else none


def _are_pairs(weights: Tensor) -> Tensor:
    """Tell which rows of weights are two that add up to 1, beside nothing."""
    two = weights.topk(2, dim=1).values
    rest = weights.abs().sum(dim=1) - two.sum(dim=1)
    return (two[:, 1] > _SAME) & ((two.sum(dim=1) - 1).abs() < _SAME) & (rest < len(weights) * _SAME)


def _r2(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1].nan_to_num().square())
