"""Target scale: targets that a model's output cannot reach, by training or at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from goldmark.case import Finding


def check_target_scale(fresh_output: Tensor, targets: Tensor, threshold: float = 10.0) -> Finding:
    """Find out whether a fresh model's outputs lie far from the targets, in units of the targets' scale of 1.

    The distance is the root mean square of targets - outputs over the root mean square that a fresh network is built
    to produce, max(sd(fresh output), 1): default initialisations give outputs of order 1, and an adaptive optimiser
    moves an output by about the learning rate times the width a step, whatever the loss.
    """
    distance = float((targets.double() - fresh_output.double()).square().mean().sqrt())
    spread = float(fresh_output.double().std()) if fresh_output.numel() > 1 else 0.0  # one number has none
    reach = max(spread, 1.0)
    return Finding(
        name="target_scale",
        trouble=not distance / reach <= threshold,
        numbers={"distance": distance, "reach": reach},
        threshold=threshold,
        relation="targets must lie in reach of a fresh model's outputs",
        advice="scale the targets to about [0, 1] or to mean 0 and sd 1, and the outputs back",
    )


def check_standardised_batches(
    batches: Sequence[Tensor], threshold: float = 1e-3, fewest: int = 3, least: int = 8
) -> Finding:
    """Find out whether each of several unlike batches (B, ...) has mean 0 and sd 1 by itself, in every column.

    It is within `threshold`, as something is added to a small spread before numbers are divided by it. A number then
    means something else in each batch. Rows that hold a gap are left out, and then batches of less than `least`
    rows; so are signs or codes, whose batches may be balanced. Pass batches that were dealt from one set, no groups
    that belong together.
    """
    given = [_without_gaps(batch.detach().double().reshape(len(batch), -1)) for batch in batches if len(batch)]
    large = [batch for batch in given if len(batch) >= least]
    unlike = {float(batch.cumsum(dim=0).sum()) for batch in large}
    off = 0.0 if len(unlike) >= fewest else torch.inf
    while large and off < threshold:
        off = max(off, _off_standard(large.pop()))
    return Finding(
        name="standardised_batches",
        trouble=off < threshold,
        numbers={"furthest_from_0_and_1": off, "unlike_batches": float(len(unlike))},
        threshold=threshold,
        relation="numbers must be scaled alike in all batches, not by the mean and sd of each",
        advice="take mean and sd of the training half once, before batches are made",
    )


def _without_gaps(batch: Tensor) -> Tensor:
    return batch[batch.isfinite().all(dim=1)]


def _off_standard(batch: Tensor) -> float:
    """Return how far means of columns (B, D) are from 0 and spreads from 1, by B or B - 1; those of 0 are passed."""
    varying = batch[:, (batch != batch[:1]).any(dim=0)]
    unlike = (varying.sort(dim=0).values.diff(dim=0) != 0).sum(dim=0) + 1
    if not unlike.numel() or int(unlike.max()) < 0.9 * len(batch):
        return torch.inf
    spreads = torch.stack([varying.std(dim=0, correction=k) - 1 for k in (0, 1)]).abs().amin(dim=0)
    return max(float(varying.mean(dim=0).abs().max()), float(spreads.max()))


def lies_among(fresh_output: Tensor, targets: Tensor) -> bool:
    """Tell whether fresh outputs start where the targets are, and vary as they do: a model that scales them itself."""
    offset, spread = float((fresh_output.mean() - targets.mean()).abs()), float(targets.std())
    return offset <= spread and float(fresh_output.std()) >= 0.03 * spread  # a fresh network varies by .1 or so


def check_clipped_targets(output: Callable[[Tensor], Tensor], targets: Tensor, threshold: float = 0.0) -> Finding:
    """Find out whether what is done to outputs (a clamp, an activation) changes more than a share of the true values.

    `output` returns what becomes of values that a perfect model would give; a value counts as changed from a millionth
    of the targets' largest one on.
    """
    kept = (output(targets) - targets).abs() <= 1e-6 * targets.abs().max()  # a NaN is not kept
    share = 1 - float(kept.double().mean())
    return Finding(
        name="clipped_targets",
        trouble=not share <= threshold,
        numbers={"share": share},
        threshold=threshold,
        advice="outputs are clamped inside the range of the real values: the best model cannot give those",
    )
