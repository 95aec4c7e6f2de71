"""Results: what scores and predictions of a trained model say when they are put side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
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


def check_collapsed_predictions(spread: float, threshold: float = 0.05) -> Finding:
    """Find out whether predictions vary less than `threshold` times as much as their targets, by `spread_ratio`."""
    return Finding(
        name="collapsed_predictions",
        trouble=not spread >= threshold,
        numbers={"spread_ratio": spread},
        threshold=threshold,
        relation="unlike targets must get unlike predictions",
        advice="the model predicts nearly a constant: look at the scale of inputs and targets before anything else",
    )


def check_no_skill(losses: Sequence[float], baseline: float, threshold: float = 0.0) -> Finding:
    """Find out whether the last losses of a run are no better than those of the best constant answer."""
    late = list(losses[-max(1, len(losses) // 4) :])
    value = sum(late) / len(late)
    share = 1 - value / baseline if baseline > 0 else 1.0
    return Finding(
        name="no_skill",
        trouble=not share > threshold,
        numbers={"skill": share, "score": value, "baseline": baseline},
        threshold=threshold,
        relation="a trained model must beat the best constant",
        advice="the model is no better than one that has learnt nothing: its falling loss is no success",
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


def check_test_time_augmentation(plain: Tensor, augmented: Sequence[Tensor]) -> Finding:
    """Find out whether predictions under augmentation are those without it, bit for bit."""
    changed = sum(not torch.equal(plain, other) for other in augmented)
    return Finding(
        name="test_time_augmentation",
        trouble=changed == 0,
        numbers={"augmentations": float(len(augmented)), "with_effect": float(changed)},
        threshold=0.0,
        relation="augmented inputs must give other predictions, or there is nothing to average",
        advice="look at whether the augmented inputs are passed on, and whether the augmentation is off in eval mode",
    )
