"""Dropout: whether it changes anything where it is asked for."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from goldmark.case import Finding


def check_idle_dropout(answer: Callable[[int], Tensor], n_steps: int = 4) -> Finding:
    """Find out whether a model that was given dropout answers the same inputs alike in every training step.

    `answer` takes the number of a step, from 0, and returns what the model answers there in training mode. The
    `dropout` of `nn.LSTM`, `nn.GRU` and `nn.RNN` lies between layers: with a single layer it does nothing.
    """
    first = answer(0)
    differing = sum(bool((answer(step) != first).any()) for step in range(1, n_steps))
    share = differing / (n_steps - 1)
    return Finding(
        name="idle_dropout",
        trouble=not share > 0,
        numbers={"share_of_steps_that_differ": share},
        threshold=0.0,
        advice="dropout does nothing: that of a recurrent layer lies between layers, and one layer has no between; "
        "drop its inputs or its states instead",
    )
