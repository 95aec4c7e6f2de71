"""The divergence of a variational autoencoder beside its reconstruction: both must be means over the same things."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._losses import LossFunction
from goldmark.checks._reduction import fresh_leaf
from goldmark.checks._structures import map_tensors, tensors_of

_SHARE = 1e-3  # of a gradient, below which a difference is rounding


def check_divergence_weight(loss_fn: LossFunction, output: Any, targets: Any, fewest: int = 32) -> Finding:
    """Find out whether a reconstruction is a mean over elements beside a Gaussian divergence that is a sum per example.

    Then the divergence counts as many times too much as an example has elements, `fewest` or more, and the code
    collapses to its prior (Kingma and Welling, "Auto-encoding variational Bayes", 2014, sum both). The loss is known by
    its gradients: on two outputs (N, ...) those of KL(q || N(0, 1)) at the weight 1 / N, on another those of a mean of
    errors, also where all of them are small. Any other weight was chosen and passes, and so do free bits, and a
    reconstruction that costs a nat or more for each dimension of the code, as of targets of a large scale.
    """
    elements, dimensions, cost = _balance(loss_fn, output, targets)
    small = _balance(loss_fn, map_tensors(_shrunk, output), targets)
    return Finding(
        name="divergence_weight",
        trouble=elements >= fewest and cost < dimensions and small[:2] == (elements, dimensions),
        numbers={"elements": float(elements), "dimensions": float(dimensions), "reconstruction": cost},
        threshold=float(fewest),
        relation="reconstruction and divergence must both be sums over what an example has",
        advice="sum the reconstruction over elements and average over the batch, or divide the divergence by elements",
    )


def _balance(loss_fn: LossFunction, output: Any, targets: Any) -> tuple[int, int, float]:
    """Return the elements of a mean error, the dimensions of a code, and the loss without its divergence."""
    leaves = map_tensors(fresh_leaf, output)
    wanted = [leaf for leaf in tensors_of(leaves) if leaf.requires_grad]
    loss = loss_fn(leaves, targets).sum()
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
    read = [(leaf.detach(), own) for leaf, own in zip(wanted, gradients, strict=True) if own is not None and leaf.dim()]
    aims = [one.detach() for one in tensors_of((targets, leaves)) if one.is_floating_point()]
    divergence, dimensions = next(_divergences(read), (0.0, 0))
    elements = max((leaf[0].numel() for leaf, own in read if _is_mean_error(leaf, own, aims)), default=0)
    return elements, dimensions, float(loss.detach()) - divergence


def _shrunk(tensor: Tensor) -> Tensor:
    return tensor.detach() / 10 if tensor.is_floating_point() else tensor


def _divergences(read: Sequence[tuple[Tensor, Tensor]]) -> Iterator[tuple[float, int]]:
    """Yield the value and the dimensions of each divergence at the weight 1 / N that two outputs are the code of."""
    alike = [(one, other) for one, other in permutations(read, 2) if one[0].shape == other[0].shape]
    for (mean, on_mean), (spread, on_spread) in alike:
        n = max(len(mean), 1)
        if not _are_equal(on_mean, mean / n):
            continue
        logarithm = spread.log()
        kinds = ((spread, 1), (2 * spread, 2), (logarithm, 1 / spread), (2 * logarithm, 2 / spread))
        for log_variance, slope in kinds:  # of the logarithm of a variance or an sd, of a variance, of an sd
            surplus = log_variance.exp() - 1
            if _are_equal(on_spread, surplus * slope / (2 * n)):
                yield float((mean.square() + surplus - log_variance).sum()) / (2 * n), mean[0].numel()


def _is_mean_error(output: Tensor, gradient: Tensor, aims: Sequence[Tensor]) -> bool:
    """Tell whether a gradient is that of a mean of squared, absolute or smooth errors, or of a binary cross-entropy."""
    alike = (aim for aim in aims if aim.dim() and len(aim) == len(output) and aim.numel() == output.numel())
    for aim in alike:
        error = output - aim.reshape(output.shape)
        of_logits = output.sigmoid() - aim.reshape(output.shape)
        slopes = (2 * error, error.sign(), error.clamp(-1, 1), of_logits, error / (output * (1 - output)))
        if any(_are_equal(gradient * output.numel(), slope) for slope in slopes):
            return True
    return False


def _are_equal(one: Tensor, other: Tensor) -> bool:
    """Tell whether two tensors are the same to rounding, and not all 0."""
    size = float(other.abs().max()) if other.numel() else 0.0
    return size > 0 and float((one - other).abs().max()) <= _SHARE * size
