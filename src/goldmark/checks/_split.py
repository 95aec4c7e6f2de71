"""The split and the data behind it: what both halves share, what training has seen, what rules let through."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping

import torch
from torch import Tensor

from goldmark.case import Finding


def check_shared_groups(
    train_groups: Iterable[Hashable], val_groups: Iterable[Hashable], threshold: float = 0.0
) -> Finding:
    """Find out whether more than a share `threshold` of the validation examples has its group in training.

    A group is what examples have in common: a product, a person, a recording. Raises `ValueError` without examples.
    """
    known, held_out = set(train_groups), list(val_groups)
    if not held_out:
        raise ValueError("no validation examples; pass the group of each")
    share = sum(group in known for group in held_out) / len(held_out)
    return Finding(
        name="shared_groups",
        trouble=not share <= threshold,
        numbers={"share": share},
        threshold=threshold,
        advice="groups leak across the split: validation examples have siblings in training, so hold out whole groups",
    )


def check_split_by_class(
    labels: Tensor, val_labels: Tensor, threshold: float = 0.5, p_of_chance: float = 1e-6
) -> Finding:
    """Find out whether examples were split by class, as where they are stored class by class and cut in that order.

    Labels are the class indices (N,) of all examples of both halves, or of ones drawn at random. Trouble is where more
    than a share `threshold` of the validation examples is of classes that no training example has, or all are of
    classes at one end: none lower, or none higher, than any of training. What a split at random would show with a
    probability above `p_of_chance` passes. Smaller shares may be classes that came up after the training examples were
    taken, and classes that are compared by their embeddings may be disjoint.
    """
    classes, counts = torch.unique(val_labels, return_counts=True)
    n_val, n_all = len(val_labels), max(len(labels) + len(val_labels), 1)
    missing = ~torch.isin(classes, labels) & ((n_val / n_all) ** counts.double() < p_of_chance)
    share = float(counts[missing].sum()) / max(n_val, 1)
    at_end = min(len(labels), n_val) > 0 and bool(val_labels.min() >= labels.max() or val_labels.max() <= labels.min())
    of_these = (float(torch.isin(labels, classes).sum()) + n_val) / n_all
    return Finding(
        name="split_by_class",
        trouble=share > threshold or (at_end and of_these**n_val < p_of_chance),
        numbers={"share_without_training": share, "classes": float(len(classes)), "at_one_end": float(at_end)},
        threshold=threshold,
        relation="validation and training must hold the same classes",
        advice="shuffle examples that are stored class by class before they are cut, or cut each class by itself",
    )


def check_fitted_on_validation(before: Mapping[str, Tensor], after: Mapping[str, Tensor], val: str = "val_") -> Finding:
    """Find out whether what training sees changes with the validation examples.

    `before` and `after` are the prepared tensors by name, made of the same training examples and of other validation
    examples; all but those whose names start with `val` must be the same, bit for bit: a vocabulary or a mean that
    was fitted on both halves is not. Raises `ValueError` where the validation tensors do not differ either.
    """
    names = sorted(before.keys() | after.keys())
    different = [name for name in names if not _same(before.get(name), after.get(name))]
    leaked = [name for name in different if not name.startswith(val)]
    if len(leaked) == len(different) and any(name.startswith(val) for name in names):
        raise ValueError(f"the tensors '{val}*' are the same before and after; change the validation examples")
    return Finding(
        name="fitted_on_validation",
        trouble=bool(leaked),
        numbers={"n_changed": float(len(leaked))},
        threshold=0.0,
        advice=f"fitted on validation: {', '.join(leaked) or 'nothing'} changes with it; fit on the training half",
    )


def check_rejected_data(
    accepts: Callable[[Tensor], bool], samples: Iterable[Tensor], threshold: float = 0.05
) -> Finding:
    """Find out whether a validation rule rejects more than a share `threshold` of samples that are known to be good.

    Rules of physics are written down with units; a rule for rates per minute that is given rates per second rejects
    everything. Raises `ValueError` without samples.
    """
    accepted = [bool(accepts(sample)) for sample in samples]
    if not accepted:
        raise ValueError("no samples; pass measured ones")
    share = 1 - sum(accepted) / len(accepted)
    return Finding(
        name="rejected_data",
        trouble=not share <= threshold,
        numbers={"rejected_share": share},
        threshold=threshold,
        advice="the validation rule rejects real data: look at its units (per minute or per second) and its limits",
    )


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)
