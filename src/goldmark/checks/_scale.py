"""Target scale: targets that a model's output cannot reach, by training or at all."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from goldmark.case import Finding


def check_target_scale(fresh_output: Tensor, targets: Tensor, threshold: float = 10.0) -> Finding:
    """Find out whether a fresh model's outputs lie far from the targets, in units of the targets' scale of 1.

    The distance is the root mean square of targets - outputs over the root mean square that a fresh network is built
    to produce, max(sd(fresh output), 1): default initialisations give outputs of order 1, and an adaptive optimiser
    moves an output by about the learning rate times the width a step, whatever the loss.
    """
    distance = float((targets.double() - fresh_output.double()).square().mean().sqrt())
    reach = max(float(fresh_output.double().std()), 1.0)
    return Finding(
        name="target_scale",
        trouble=not distance / reach <= threshold,
        numbers={"distance": distance, "reach": reach},
        threshold=threshold,
        relation="targets must lie in reach of a fresh model's outputs",
        advice="scale the targets to about [0, 1] or to mean 0 and sd 1, and the outputs back",
    )


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
