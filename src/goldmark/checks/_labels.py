"""Labels: names that no encoder knows, classes that no label has, and classes that are taken for numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from goldmark.case import Finding


def check_hidden_labels(encode: Callable[[str], object], known: Sequence[str]) -> Finding:
    """Find out whether an encoder of labels takes a label that it does not know for one that it knows.

    `encode` returns what stands for a label, and raises `LookupError` or `ValueError` for an unknown one, or returns
    what stands for no known label. It is tried with no label, a misspelt one and a new one.
    """
    codes = [encode(label) for label in known]
    unknown = ["", f"{known[0]}?", "a label of no list"]
    hidden = sum(_code_of(encode, label) in codes for label in unknown)
    return Finding(
        name="hidden_labels",
        trouble=hidden > 0,
        numbers={"unknown_labels_tried": len(unknown), "taken_for_known": hidden},
        threshold=0.0,
        advice="an unknown label silently becomes a known class, as with `label_map.get(label, 0)`: raise instead",
    )


def check_unseen_classes(logits: Tensor, labels: Tensor) -> Finding:
    """Find out whether a classifier (N, classes) has more classes than its training labels (N,) have values.

    An unseen class can never be right; its logit only has to be learned away, from log(classes) down to the loss of
    the classes that there are.
    """
    classes, values = logits.shape[-1], len(set(labels.tolist()))
    return Finding(
        name="unseen_classes",
        trouble=classes > values,
        numbers={"classes": classes, "labelled": values},
        threshold=0.0,
        advice="the classifier has more classes than the labels have values: give it one a label",
    )


def check_classes_as_numbers(targets: Tensor, n_classes: int, fewest: int = 3) -> Finding:
    """Find out whether one output is to hit the number of a class, of at least `fewest` that have no order.

    `targets` are what the loss compares outputs of one number for each example with.
    """
    inside = bool(((targets == targets.round()) & (targets >= 0) & (targets < n_classes)).all())
    several = len(set(targets.flatten().tolist())) >= fewest if inside else False
    return Finding(
        name="classes_as_numbers",
        trouble=inside and several and n_classes >= fewest,
        numbers={"classes": float(n_classes), "outputs": 1.0},
        threshold=float(fewest),
        relation=f"{n_classes} classes have no order: a mistake of 2 is no worse than one of 1",
        advice="one output for each class and cross_entropy; for grades, which are numbers, leave n_classes out",
    )


def _code_of(encode: Callable[[str], object], label: str) -> object:
    """Return what stands for a label, or a thing that equals no code where the encoder refuses it."""
    try:
        return encode(label)
    except (LookupError, ValueError):
        return object()
