"""Target scale: targets that lie further from a fresh model's output than the optimiser can travel."""

from __future__ import annotations

from torch import Tensor

from goldmark.case import Finding


def target_scale(fresh_output: Tensor, targets: Tensor, threshold: float = 10.0) -> Finding:
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
        advice="scale the targets to about [0, 1] or to mean 0 and sd 1, and the outputs back",
    )
