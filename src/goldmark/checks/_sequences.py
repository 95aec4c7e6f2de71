"""Sequences: what an output may see, what padding may change, and which token a target is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks._losses import LossFunction

Forward = Callable[[Tensor], Tensor]  # in eval mode, inputs (B, T, ...) -> outputs


def check_future_leak(forward: Forward, inputs: Tensor, threshold: float = 1e-4) -> Finding:
    """Find out whether an output (B, T, ...) changes when inputs after it do, by more than `threshold` of its spread.

    Inputs are perturbed from the middle on and at the end; outputs before must stay. Pass the model in eval mode.
    """
    length = inputs.shape[1]
    before = forward(inputs)
    spread = float(before.double().std()) + 1e-12
    change = 0.0
    for start in {max(length // 2, 1), length - 1}:
        after = forward(perturbed(inputs, start))
        change = max(change, float((after - before)[:, :start].abs().max()) / spread)
    return Finding(
        name="future_leak",
        trouble=change > threshold,
        numbers={"change": change},
        threshold=threshold,
        relation="an output must not depend on inputs that come after it",
        advice="mask attention above the diagonal, pad convolutions on the left only, make no layer bidirectional",
    )


def perturbed(inputs: Tensor, start: int) -> Tensor:
    """Return inputs (B, T, ...) that are others from `start` on: of the next example, or reversed where there is one.

    What differs is taken from the inputs themselves, so that tokens stay in the vocabulary and floats in their range.
    """
    changed = inputs.clone()
    changed[:, start:] = inputs.roll(1, dims=0)[:, start:]
    if bool((changed == inputs).all()):
        changed[:, start:] = inputs.flip(1)[:, : inputs.shape[1] - start]
    return changed


def check_padding_changes_output(
    forward: Forward, inputs: Tensor, pad_id: int, n_padding: int = 4, threshold: float = 1e-4
) -> Finding:
    """Find out whether the output of an example (1, T) without padding changes when padding is appended to it.

    Compared are the outputs at the T real positions, or the one output of the whole, in units of their spread.
    """
    length = inputs.shape[1]
    padding = torch.full((len(inputs), n_padding), pad_id, dtype=inputs.dtype, device=inputs.device)
    plain, padded = forward(inputs), forward(torch.cat([inputs, padding], dim=1))
    per_position = plain.dim() >= 2 and plain.shape[1] == length and padded.shape[1] == length + padding.shape[1]
    if per_position:
        padded = padded[:, :length]
    elif plain.shape != padded.shape:
        raise ValueError(f"outputs {tuple(plain.shape)} and {tuple(padded.shape)} of padded inputs do not match")
    apart = (plain - padded).abs()[plain != padded]  # equal ones are left out, as -inf where a choice is masked
    spread = float(plain[plain.isfinite()].double().std(correction=0)) if bool(plain.isfinite().any()) else 0.0
    change = float(apart.max()) / (spread + 1e-6) if apart.numel() else 0.0
    return Finding(
        name="padding_changes_output",
        trouble=not change <= threshold,
        numbers={"change": change},
        threshold=threshold,
        relation="padding must not change the output of what it pads",
        advice="mask padding in attention and pooling, take the last real state, pack sequences of a recurrent layer",
    )


def check_padding_changes_loss(
    loss_fn: LossFunction, output: Tensor, targets: Tensor, pad_id: int, padded: Tensor | None = None
) -> Finding:
    """Find out whether outputs at padded targets (B, T) receive a gradient.

    `padded` tells which are; without it, all that are `pad_id`.
    """
    gradient = gradient_by_position(loss_fn, output, targets)
    padded = targets == pad_id if padded is None else padded
    at_padding = float(gradient[padded].abs().max()) if bool(padded.any()) else 0.0
    elsewhere = float(gradient[~padded].abs().max()) if bool((~padded).any()) else 0.0
    share = at_padding / max(at_padding, elsewhere) if at_padding else 0.0
    return Finding(
        name="padding_changes_loss",
        trouble=share > 1e-6,
        numbers={"gradient_at_padding": share},
        threshold=1e-6,
        relation="the loss must not depend on outputs where targets are padding",
        advice="cross_entropy(..., ignore_index=pad_id), or weigh positions with a mask and divide by its sum",
    )


def gradient_by_position(loss_fn: LossFunction, output: Any, targets: Tensor) -> Tensor:
    """Return the gradient of the loss on outputs, as (B, T, V), whichever way the outputs are laid out."""
    leaf = output.detach().clone().requires_grad_()
    gradient: Tensor = torch.autograd.grad(loss_fn(leaf, targets).sum(), leaf)[0]
    if gradient.shape[:2] == targets.shape:
        return gradient.reshape(*targets.shape, -1)
    if gradient.dim() == 3 and (gradient.shape[0], gradient.shape[2]) == tuple(targets.shape):
        return gradient.transpose(1, 2)
    if len(gradient) == targets.numel():
        return gradient.reshape(*targets.shape, -1)
    raise ValueError(f"outputs {tuple(output.shape)} do not lie at positions of targets {tuple(targets.shape)}")


def effective_targets(gradient: Tensor) -> Tensor:
    """Return the class (B, T) that the loss pulls each position towards, from its gradient; -1 where there is none.

    The gradient of a cross-entropy on logits is softmax - one-hot: negative at the target alone.
    """
    lowest, classes = gradient.min(dim=-1)
    return torch.where(lowest < 0, classes, -1)


def lag_agreement(inputs: Tensor, targets: Tensor, lag: int) -> float:
    """Return how often the target at a position is the input `lag` positions after it; -1 marks unused targets."""
    length = inputs.shape[1]
    start, end = max(0, -lag), length - max(0, lag)
    used = targets[:, start:end]
    valid = used >= 0
    if end <= start or not bool(valid.any()):
        return 0.0
    return float((inputs[:, start + lag : end + lag] == used)[valid].double().mean())


def check_target_lag(inputs: Tensor, targets: Tensor, threshold: float = 0.95) -> Finding:
    """Find out whether the targets (B, T) of a causal model are inputs of another lag than the next position.

    Pass the `effective_targets`, which know of a shift within the loss. Targets that agree with the inputs at no lag
    pass: they may be anything.
    """
    agreement = {lag: lag_agreement(inputs, targets, lag) for lag in (1, 0, 2, -1, 3)}
    best = max(agreement, key=lambda lag: agreement[lag])
    return Finding(
        name="target_lag",
        trouble=best != 1 and agreement[best] >= threshold and agreement[1] < threshold,
        numbers={"lag": float(best), "agreement": agreement[best], "agreement_at_1": agreement[1]},
        threshold=threshold,
        relation="the target at a position must be the next input",
        advice="shift once: inputs tokens[:, :-1], targets tokens[:, 1:], and no further shift in the loss",
    )
