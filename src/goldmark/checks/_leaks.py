"""Leaks and mix-ups between inputs and targets: answers among the inputs, renumbered labels, data that change."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from goldmark.case import Finding


def check_target_among_inputs(inputs: Tensor, targets: Tensor, fewest: int = 16) -> Finding:
    """Find out whether a column of the inputs (N, ...), which has several, is the target (N,), number by number."""
    columns, wanted = inputs.detach().double().reshape(len(inputs), -1), targets.detach().double().reshape(-1, 1)
    several = columns.shape[1] > 1 and len(columns) >= fewest and len(wanted) == len(columns)
    varied = several and bool((wanted != wanted[0]).any())
    same = int(((columns - wanted).abs() <= 1e-6 * (1 + wanted.abs())).all(dim=0).sum()) if varied else 0
    return Finding(
        name="target_among_inputs",
        trouble=same > 0,
        numbers={"columns": float(same)},
        threshold=0.0,
        relation="no input may be the target itself",
        advice="drop the column; in time series let the target begin after the last input",
    )


def check_decoder_sees_target(inputs: Sequence[Tensor], targets: Tensor) -> Finding:
    """Find out whether one of several inputs is, token by token, the targets (B, T) that a decoder has to give."""
    whole = not targets.is_floating_point() and targets.dim() == 2 and targets.shape[1] > 1
    same = sum(whole and one.shape == targets.shape and torch.equal(one, targets) for one in inputs)
    return Finding(
        name="decoder_sees_target",
        trouble=len(inputs) > 1 and same > 0,
        numbers={"inputs": float(len(inputs)), "equal_to_targets": float(same)},
        threshold=0.0,
        relation="a decoder must be fed what comes before each target, not the target",
        advice="shift the decoder's input by one: a start token first, the last target left out",
    )


def check_label_numbering(
    inputs: Tensor, labels: Tensor, val_inputs: Tensor, val_labels: Tensor, threshold: float = 0.8
) -> Finding:
    """Find out whether the classes of the validation half are numbered in another order than in training.

    Validation examples are given the class of the nearest training mean. It is trouble where that agrees with their
    labels in less than half as many cases as with the labels renumbered one to one, which agree in `threshold` of all.
    Fewer than 4 validation examples to a class agree with some renumbering by themselves, as ids of examples do.
    """
    x, val_x = (half.detach().double().reshape(len(half), -1) for half in (inputs, val_inputs))
    classes = labels.unique(sorted=True)  # type: ignore[no-untyped-call]
    means = torch.stack([x[labels == one].mean(dim=0) for one in classes])
    nearest = classes[torch.cdist(val_x, means).argmin(dim=1)]
    mapping = {
        int(one): int(val_labels[nearest == one].mode().values) for one in classes if bool((nearest == one).any())
    }
    renumbered = torch.tensor([mapping[int(one)] for one in nearest])
    agreement = float((nearest == val_labels).double().mean())
    best = float((renumbered == val_labels).double().mean())
    one_to_one = len(set(mapping.values())) == len(mapping) > 1 and len(val_labels) >= 4 * len(mapping)
    return Finding(
        name="label_numbering",
        trouble=len(val_labels) >= 16 and one_to_one and best >= threshold and agreement < best / 2,
        numbers={"agreement": agreement, "agreement_renumbered": best},
        threshold=threshold,
        relation="a class must have one number in both halves",
        advice="build the mapping from names to numbers once, and use it for both halves",
    )


def check_inputs_modified(before: Sequence[Tensor], after: Sequence[Tensor]) -> Finding:
    """Find out whether a step changes the batch that it is given, where the next epoch will read it again."""
    pairs = [(one.nan_to_num(), other.nan_to_num()) for one, other in zip(before, after, strict=True)]
    changed = sum(not torch.equal(one, other) for one, other in pairs)
    return Finding(
        name="inputs_modified",
        trouble=changed > 0,
        numbers={"tensors_changed": float(changed)},
        threshold=0.0,
        relation="a step must leave its batch as it is",
        advice="look for operations in place (x -= mean, x.mul_(2), x[mask] = 0) in the model and in the loss",
    )
