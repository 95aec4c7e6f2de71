"""Inference: probabilities that were squashed once more than the loss meant."""

from __future__ import annotations

from torch import Tensor

from goldmark.case import Finding

_SIGMOID_OF_ONE = 0.7310585786300049  # a sigmoid of numbers in [0, 1] lies between 1/2 and this


def check_squashed_twice(probabilities: Tensor, labels: Tensor, threshold: float = 0.05) -> Finding:
    """Find out whether probabilities went through a sigmoid twice: every threshold up to 1/2 then says yes to all.

    Both have one shape, labels are 0 or 1. A sigmoid of a sigmoid lies in [1/2, 0.731]; it is trouble where all
    probabilities do and their mean is further than `threshold` from the share of labels that are 1, which a model
    trained on cross-entropy keeps close to. Raises `ValueError` where the shapes differ.
    """
    if probabilities.shape != labels.shape:
        raise ValueError(f"probabilities {tuple(probabilities.shape)} and labels {tuple(labels.shape)} differ in shape")
    lowest, highest = float(probabilities.min()), float(probabilities.max())
    excess = float(probabilities.double().mean() - labels.double().mean())
    return Finding(
        name="squashed_twice",
        trouble=not (lowest < 1 / 2 or highest > _SIGMOID_OF_ONE or abs(excess) <= threshold),
        numbers={"lowest": lowest, "highest": highest, "excess": excess},
        threshold=threshold,
        advice="sigmoid is applied twice at inference: give it logits, or leave it out after a model that ends in one",
    )
