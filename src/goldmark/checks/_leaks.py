"""Leaks and mix-ups between inputs and targets: answers among the inputs, renumbered labels, data that change."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from goldmark.case import Finding

_FEWEST_ROWS, _MOST_ROWS = 64, 2_048  # of a table
_FEWEST_OF_A_CLASS = 8  # so that no column tells two classes apart by chance
_LARGEST_SHARE = 0.25  # of a column of measurements that one value makes up
_ON_A_LINE = 1 - 1e-9  # the correlation of numbers that rounding alone keeps off a line


def check_target_among_inputs(inputs: Tensor, targets: Tensor, fewest: int = 16, *, table: bool = False) -> Finding:
    """Find out whether a column of the inputs (N, ...), which has several, is the target (N,), number by number.

    Of a `table` (N, F) also whether a column tells it for certain, as the target does once it is standardised and as a
    field does that is only filled in after the outcome; see `columns_that_tell`.
    """
    columns, wanted = inputs.detach().double().reshape(len(inputs), -1), targets.detach().double().reshape(-1, 1)
    several = columns.shape[1] > 1 and len(columns) >= fewest and len(wanted) == len(columns)
    varied = several and bool((wanted != wanted[0]).any())
    same = int(((columns - wanted).abs() <= 1e-6 * (1 + wanted.abs())).all(dim=0).sum()) if varied else 0
    telling = columns_that_tell(columns, wanted) if table and varied and same == 0 else same
    return Finding(
        name="target_among_inputs",
        trouble=telling > 0,
        numbers={"columns": float(telling)},
        threshold=0.0,
        relation="no input may be the target itself, or tell it for certain",
        advice="drop the column, and what is filled in after the outcome; let a target begin after the last input",
    )


def columns_that_tell(table: Tensor, targets: Tensor) -> int:
    """Return how many columns of a table (N, F) tell targets (N, 1) for certain; 0 where too few others are measured.

    Of classes, all but one have a value of the column to themselves, and no other value. Of other numbers, the column
    is a rising line. Measured is a column of which no value makes up a quarter; that must be two others (beside a line,
    three), and half of those of more than two values. Words, pixels and codes, which may name a class, are none.
    """
    table, targets = table[:_MOST_ROWS], targets[:_MOST_ROWS]
    _, classes, counts = targets.squeeze(1).unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    classed = int(counts.min()) >= _FEWEST_OF_A_CLASS
    if classed:
        tells = torch.tensor([_classes_of_one_value(one, classes) >= len(counts) - 1 for one in table.T])
    else:
        tells = _on_a_line(table, targets)
    of_values = [one.unique(return_counts=True)[1] for one in table.T[~tells.to(table.device)]]
    varied = [int(of_value.max()) for of_value in of_values if len(of_value) > 2]
    measured = sum(most <= _LARGEST_SHARE * len(table) for most in varied)
    enough = len(table) >= _FEWEST_ROWS and len(counts) > 1 and measured >= max(2 if classed else 3, len(varied) / 2)
    return int(tells.sum()) if enough else 0


def _classes_of_one_value(column: Tensor, classes: Tensor) -> int:
    """Return how many classes have one value in a column (N,), which no other class has; classes are numbers from 0."""
    values = column.unique(return_inverse=True)[1]  # type: ignore[no-untyped-call]
    n_classes = int(classes.max()) + 1
    pairs = (values * n_classes + classes).unique()
    sides = (pairs // n_classes, pairs % n_classes)
    alone = [side.unique(return_inverse=True, return_counts=True)[1:] for side in sides]
    value_alone, class_alone = (counts[places] == 1 for places, counts in alone)
    return int((value_alone & class_alone).sum())


def _on_a_line(table: Tensor, targets: Tensor) -> Tensor:
    """Tell which columns of a table (N, F) are rising lines of targets (N, 1)."""
    columns, wanted = (one - one.mean(dim=0) for one in (table, targets))
    correlations: Tensor = (columns * wanted).sum(dim=0) / (columns.norm(dim=0) * wanted.norm())
    return correlations > _ON_A_LINE


def check_decoder_sees_target(inputs: Sequence[Tensor], targets: Tensor, lags: Sequence[int] | None = None) -> Finding:
    """Find out whether one of several inputs is, token by token, the targets (B, T) that a decoder has to give.

    `lags` tell how far targets lie after the last token that their outputs have seen; any but 0 passes, as where the
    loss shifts, or where the whole is read as by an encoder. Without them, a decoder is taken to see what it is fed.
    """
    whole = not targets.is_floating_point() and targets.dim() == 2 and targets.shape[1] > 1
    same = sum(whole and one.shape == targets.shape and torch.equal(one, targets) for one in inputs)
    return Finding(
        name="decoder_sees_target",
        trouble=len(inputs) > 1 and same > 0 and (lags is None or set(lags) == {0}),
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
