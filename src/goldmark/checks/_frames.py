"""Texts that have more signs than there are frames to read them from."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from goldmark.case import Finding
from goldmark.checks._graph import Node, kind, nodes

_FEWEST = 8  # examples: of fewer, half may be short by chance


def check_too_few_frames(loss: Tensor, threshold: float = 0.5) -> Finding:
    """Find out whether at least `threshold` of the examples of a CTC loss have fewer frames than their texts need.

    A text needs a frame for each sign, and one for the blank between two that are alike (Graves et al., "Connectionist
    temporal classification", 2006, section 4.1). Without them its loss is infinite, or 0 with `zero_infinity`.
    `loss` has its graph still: no backward pass has freed what it holds.
    """
    losses = [node for node in nodes(loss.grad_fn, past_layers=False) if kind(node) == "CtcLoss"]
    missing = [int(number) for node in losses for number in _missing_frames(node)]
    n, lost = len(missing), sum(number > 0 for number in missing)
    return Finding(
        name="too_few_frames",
        trouble=n >= _FEWEST and lost >= threshold * n,
        numbers={"examples": float(n), "too_short": float(lost)},
        threshold=threshold,
        relation="a text needs a frame for each sign, and one more between two that are alike",
        advice="take fewer strides or poolings along time; zero_infinity only hides such examples, and learns none",
    )


def _missing_frames(node: Node) -> Tensor:
    """Return how many frames each example (N,) of a CTC loss has too few."""
    frames, lengths, targets = (
        torch.as_tensor(one, device="cpu")
        for one in (node._saved_input_lengths, node._saved_target_lengths, node._saved_targets)  # noqa: SLF001
    )
    if targets.dim() == 1:
        targets = pad_sequence(list(torch.split(targets[: int(lengths.sum())], lengths.tolist())), batch_first=True)
    inside = torch.arange(1, max(targets.shape[1], 1)) < lengths[:, None]
    repeated = (targets[:, 1:] == targets[:, :-1]) & inside
    return lengths + repeated.sum(dim=1) - frames
