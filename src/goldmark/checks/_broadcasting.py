"""Targets that torch warns of: one of an example is compared with the outputs at all steps of its sequence."""

from __future__ import annotations

import warnings

from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._losses import LossFunction

_WARNING = "Using a target size"  # of torch's elementwise losses, where one side has to be broadcast to the other


def check_broadcast_steps(loss_fn: LossFunction, output: Tensor, targets: Tensor) -> Finding:
    """Find out whether outputs at all steps of sequences are compared with one target each, by broadcasting alone.

    Of outputs (B, T), (B, T, F) or (T, B, F) and targets (B, 1), (B, 1, F) or (B, F), torch's own losses say so in a
    warning. Whoever means it expands the targets.
    """
    n_steps = _lone(tuple(output.shape), tuple(targets.shape))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        if n_steps > 1:
            loss_fn(output.detach(), targets)
    warned = any(str(one.message).startswith(_WARNING) for one in heard)
    return Finding(
        name="broadcast_steps",
        trouble=warned,
        numbers={"steps": float(n_steps), "outputs": float(output.numel()), "targets": float(targets.numel())},
        threshold=1.0,
        relation=f"outputs {tuple(output.shape)} and targets {tuple(targets.shape)} must match one by one: here "
        f"each of {n_steps} steps is compared with one target",
        advice="give the last step alone to the last layer: output[:, -1]; or, if all steps are meant, "
        "targets.expand_as(output)",
    )


def _lone(output: tuple[int, ...], targets: tuple[int, ...]) -> int:
    """Return how many steps have one target, where shapes are alike in all other dimensions; else 1."""
    filled = (*(1 for _ in range(len(output) - len(targets))), *targets)
    apart = [place for place, sizes in enumerate(zip(output, filled, strict=False)) if sizes[0] != sizes[1]]
    steps = (1,) if len(output) == 2 else (0, 1)  # of outputs (B, T) the first dimension are examples
    return output[apart[0]] if len(output) > 1 == len(apart) and apart[0] in steps and filled[apart[0]] == 1 else 1
