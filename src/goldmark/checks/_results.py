"""Results: what scores and predictions of a trained model say when they are put side by side."""

from __future__ import annotations

from torch import Tensor

from goldmark.case import Finding


def check_collapsed_classes(probabilities: Tensor, labels: Tensor, threshold: float = 0.05) -> Finding:
    """Find out whether a classifier answers every example with one class and nearly the same probabilities.

    Probabilities (N, C) of examples whose labels (N,) vary; measured is the largest sd of a class's probability.
    """
    constant = bool((probabilities.argmax(1) == probabilities[:1].argmax(1)).all())
    spread = float(probabilities.double().std(dim=0).max()) if len(probabilities) > 1 else 1.0
    varied = bool((labels != labels[0]).any())
    return Finding(
        name="collapsed_classes",
        trouble=constant and varied and spread < threshold,
        numbers={"largest_sd": spread, "examples": float(len(labels))},
        threshold=threshold,
        relation="examples of unlike classes must get unlike answers",
        advice="compare with the share of the largest class; look at scale, learning rate, labels and class weights",
    )


def check_free_running_gap(forced: float, free: float, baseline: float, threshold: float = 0.5) -> Finding:
    """Find out whether more than `threshold` of a model's gain over a baseline is lost when it runs on its own outputs.

    All three are errors: with the right past given, with its own past, and of a naive predictor.
    """
    gain = baseline - forced
    lost = (free - forced) / gain if gain > 0 else 0.0
    return Finding(
        name="free_running_gap",
        trouble=lost > threshold,
        numbers={"forced": forced, "free": free, "share_lost": lost},
        threshold=threshold,
        relation="a model must do on its own outputs what it does on given ones",
        advice="score free running, as it is used; train on own outputs for a share of steps (scheduled sampling)",
    )


def check_memorised(train: float, val: float, baseline: float, threshold: float = 0.1) -> Finding:
    """Find out whether a model has learnt its training half and nothing else: three errors, the last a naive one's."""
    train_skill, val_skill = (1 - error / baseline for error in (train, val))
    return Finding(
        name="memorised",
        trouble=train_skill > 0.5 and val_skill < threshold * train_skill,
        numbers={"train_skill": train_skill, "val_skill": val_skill},
        threshold=threshold,
        relation="part of the skill on training examples must be there on others",
        advice="look at labels that are independent of inputs, at identifiers among the inputs, then at regularisation",
    )
