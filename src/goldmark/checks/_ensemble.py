"""Ensembles: whether the members differ enough for their average to be worth anything."""

from __future__ import annotations

from torch import Tensor

from goldmark.case import Finding


def check_idle_average(by_member: Tensor, targets: Tensor, threshold: float = 0.01) -> Finding:
    """Find out whether averaging predictions (M, N) saves less than a share `threshold` of the members' squared error.

    The error of the average is the mean error of the members less their variance about the average (Krogh and Vedelsby,
    "Neural network ensembles, cross validation, and active learning", NIPS 1994): members that agree save nothing. What
    they save by having means of their own (`by_offsets`) does not count: constants do that too.
    """
    predictions, answers = by_member.double(), targets.double()
    of_members = float((predictions - answers).square().mean())
    saved = float((predictions - predictions.mean(dim=0)).square().mean())
    by_offsets = float(predictions.mean(dim=1).var(correction=0))
    gains = [part / of_members if of_members > 0 else 0.0 for part in (saved, by_offsets)]
    return Finding(
        name="idle_average",
        trouble=not gains[0] - gains[1] >= threshold,
        numbers={"gain": gains[0], "by_offsets": gains[1], "mse_of_members": of_members},
        threshold=threshold,
        advice="the members agree: give them data, order and weights of their own, and look for a collapse first",
    )
