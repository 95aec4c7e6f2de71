"""Labels: names that no encoder knows, classes that none has, or all, or another's, and classes taken for numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from goldmark.case import Finding

_BYTE = 256  # values that 8 bits hold
_FEWEST_WRAPPED = 4  # classes, and as many that are left alone
_FEWEST_EACH = 4.0  # examples of a class on average, from which on a slope shows
_TWICE = (1.5, 2.7)  # what twice as often is measured as, at a few counts for each class


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


def check_constant_labels(train: Tensor, val: Tensor, n_classes: int, fewest: int = 32) -> Finding:
    """Find out whether all labels of both halves are one and the same class, of the several that there are outputs for.

    Labels are class indices (N, ...), or what is lowest and highest in each example; `fewest` are examples of a half.
    Of a binary cross-entropy there are two classes.
    """
    enough = min(len(train), len(val)) >= fewest
    values = {float(end) for half in (train, val) for end in half.aminmax()} if enough else set()
    return Finding(
        name="constant_labels",
        trouble=n_classes > 1 and len(values) == 1 and values <= set(range(n_classes)),
        numbers={"classes": float(n_classes), "examples": float(len(train) + len(val))},
        threshold=float(fewest),
        relation=f"labels must vary for {n_classes} classes to be learnt",
        advice="look at what becomes of them: a mask of class ids that an image transform divides by 255 is all 0, "
        "files that are sorted by class must be mixed before they are split, and pairs that were seen together need "
        "others that were not",
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


def check_contradictory_labels(keys: Tensor, labels: Tensor, threshold: float = 0.05, fewest: int = 20) -> Finding:
    """Find out whether equal examples have two labels by a rule, as of sources that count from 0 and from 1.

    Of examples are their hashes (N,), as of `row_keys`, and labels (N,) of three classes or more. By a rule nearly all
    copies contradict each other, in no more ways than there are classes; people who disagree also agree. A few states
    that are visited again and again are no copies of examples.
    """
    all_keys, all_labels = keys.cpu().numpy(), labels.cpu().numpy()
    order = np.lexsort((all_labels, all_keys))
    same = np.diff(all_keys[order]) == 0
    pairs = np.stack([all_labels[order][:-1][same], all_labels[order][1:][same]], axis=1)
    unlike = pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs >= 0).all(axis=1)]
    counts = np.unique(unlike, axis=0, return_counts=True)[1]
    often = np.sort(counts[counts >= 3])[::-1]  # with many classes, two copies of one pair are chance
    n, n_classes = len(all_keys), len(np.unique(all_labels))
    copies = n_classes > 2 and len(unlike) >= max(fewest, threshold * n) and len(np.unique(all_keys)) >= n / 3
    by_a_rule = int(often[:n_classes].sum())
    return Finding(
        name="contradictory_labels",
        trouble=copies and by_a_rule >= 0.95 * len(pairs),
        numbers={"examples": float(n), "copies": float(len(pairs)), "by_a_rule": float(by_a_rule)},
        threshold=threshold,
        relation="equal examples must have equal labels",
        advice="look at where labels come from: files that count from 0 and from 1, lists of classes in another order",
    )


def check_wrapped_labels(labels: Tensor, n_classes: int, threshold: float = 5.0) -> Finding:
    """Find out whether ids (N,) of 260 to 508 classes were stored in 8 bits, so that class 256 is taught as class 0.

    Then 255 is seen and nothing beyond, and the classes that others fell on are seen twice as often as the rest, by
    more than `threshold` sd: with a step between them, and without the slope that sorted frequencies have.
    """
    numbers, n_wrapped = labels.flatten().long().cpu(), n_classes - _BYTE  # in 8 bits, -100 is 156
    known = numbers[numbers != -100]
    fits = _FEWEST_WRAPPED <= n_wrapped <= _BYTE - _FEWEST_WRAPPED and len(known) > 0
    fits = fits and int(known.min()) >= 0 and int(known.max()) == _BYTE - 1
    counts = torch.bincount(known, minlength=_BYTE).double() if fits else torch.ones(_BYTE)
    below, above = (counts[:n_wrapped], counts[n_wrapped:]) if fits else (counts, counts)
    ratios, z = _step(below, above)
    even = above.mean() >= _FEWEST_EACH and not _slopes(below) and not _slopes(above)
    return Finding(
        name="wrapped_labels",
        trouble=bool(even) and z > threshold and all(_TWICE[0] <= ratio <= _TWICE[1] for ratio in ratios),
        numbers={"classes": float(n_classes), "times_as_often": ratios[0], "sd": z},
        threshold=threshold,
        relation="the number of a class must fit its type: 8 bits hold 256",
        advice=f"keep labels as int64; classes 256 to {n_classes - 1} are taught as 0 to {n_wrapped - 1}",
    )


def _step(below: Tensor, above: Tensor) -> tuple[tuple[float, float], float]:
    """Return how many times as large counts (K,) are as those that follow (M,), all and the next ones, and by what sd.

    The sd is that within both, and at least that of a Poisson distribution.
    """
    near = min(len(below) // 2, len(above))
    ratios = (float(below.mean() / above.mean()), float(below[-near:].mean() / above[:near].mean()))
    within = torch.cat([below - below.mean(), above - above.mean()])
    spread = max(float(within.square().mean()), float(above.mean())) ** 0.5
    return ratios, float(below.mean() - above.mean()) / (spread * (1 / len(below) + 1 / len(above)) ** 0.5)


def _slopes(counts: Tensor, threshold: float = 3.0) -> bool:
    """Tell whether counts (K,) rise or fall by more than chance, which gives correlations with an sd of K ** -0.5."""
    places = torch.arange(len(counts), dtype=torch.float64)
    correlation = float(torch.corrcoef(torch.stack([places, counts.double()]))[0, 1])
    return bool(abs(correlation) * len(counts) ** 0.5 > threshold)  # NaN, of counts that are all the same, has no slope


def _code_of(encode: Callable[[str], object], label: str) -> object:
    """Return what stands for a label, or a thing that equals no code where the encoder refuses it."""
    try:
        return encode(label)
    except (LookupError, ValueError):
        return object()
