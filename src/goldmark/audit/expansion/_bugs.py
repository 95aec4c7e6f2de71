"""Bars of success that need no skill, and the further bugs of the record, as far as they are arithmetic."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import nn

from goldmark.audit._statement import Statement, computed, of_metric
from goldmark.audit.expansion import _numbers as numbers
from goldmark.checks import check_hidden_labels, check_idle_dropout, check_squashed_twice, shares

_CRITERIA = "JadeCompact record, success criteria"
_CODE = "JadeCompact record, its code"


def _lowest_squashed_twice() -> float:
    """Return the lowest probability that two sigmoids give, over logits that one takes from 0 to 1."""
    logits = torch.linspace(-40, 40, 81, dtype=torch.float64)
    return check_squashed_twice(logits.sigmoid().sigmoid(), (logits > 30).double()).numbers["lowest"]


def _steps_that_differ(n_layers: int) -> float:
    """Return the share of steps in which an LSTM with dropout .7 answers the same window otherwise than before."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of what is shown here
        torch.manual_seed(0)
        lstm = nn.LSTM(12, 8, num_layers=n_layers, dropout=0.7, batch_first=True)
        window = torch.ones(1, 4, 12)
        return check_idle_dropout(lambda step: lstm(window)[0].detach()).numbers["share_of_steps_that_differ"]


def _hidden(known: Sequence[str] = ("first", "second")) -> float:
    """Return how many of the unknown labels that were tried `label_map.get(label, 0)` takes for known ones."""
    label_map = {label: number for number, label in enumerate(known)}
    return check_hidden_labels(lambda label: label_map.get(label, 0), known).numbers["taken_for_known"]


_BARS = (
    Statement(
        name="every_bar",
        source="project, on the record's share of bars in a span",
        says="predicting every bar has F1 2 p / (1 + p) = .1345",
        documented=0.1345,
        parts=(computed("at p = 7.15 %", lambda: numbers.f1_of_every_bar(numbers.IN_SPAN), near=0.1345),),
        why="precision is p, recall is 1",
    ),
    Statement(
        name="f1_bar",
        source=_CRITERIA,
        says="F1 > 0 is a success",
        documented=0.0,
        parts=(computed("F1 of marking every bar", lambda: numbers.f1_of_every_bar(numbers.IN_SPAN), high=0.0),),
        why="a bar is none that the trivial predictor passes",
    ),
    Statement(
        name="later_f1_bar",
        source=_CRITERIA,
        says="F1 > .10 is a success, later",
        documented=0.10,
        parts=(computed("F1 of marking every bar", lambda: numbers.f1_of_every_bar(numbers.IN_SPAN), high=0.10),),
        why="a bar is none that the trivial predictor passes",
    ),
    Statement(
        name="separation_bar",
        source=_CRITERIA,
        says="a separation > .05 tells a model that finds spans",
        documented=0.05,
        parts=(
            of_metric("weak_pos_weight", "separation", high=0.05),
            of_metric("normalized_countdown", "separation", low=0.05),
        ),
        why="marking every bar has no separation, and a class weight moves all probabilities together",
    ),
    Statement(
        name="class_weight_over_every_bar",
        source="JadeCompact record, the run with pos_weight 13.1",
        says="F1 .187 is above that of marking every bar",
        documented=0.187,
        parts=(
            computed(
                ".187 - F1 of marking every bar", lambda: 0.187 - numbers.f1_of_every_bar(numbers.IN_SPAN), low=0.01
            ),
        ),
        why="by less than it is above 0, from where the record counts",
    ),
)

_BUGS = (
    Statement(
        name="sigmoid_twice",
        source=f"{_CODE}, inference",
        says="inference tells bars apart by a threshold of .5 or less",
        documented=0.5,
        parts=(computed("lowest probability after two sigmoids", _lowest_squashed_twice, high=0.499),),
        why="a sigmoid of a probability is never below one half: any such threshold marks every bar",
    ),
    Statement(
        name="random_split",
        source=f"{_CODE}, random split of windows with seed 42",
        says="validation windows were not trained on",
        documented=0.0,
        parts=(
            computed(
                "share that overlaps a training window, windows 10 bars apart",
                lambda: numbers.overlap_of_random_split(10),
                high=0.0,
            ),
            computed("the same, 50 bars apart", lambda: numbers.overlap_of_random_split(50), high=0.0),
        ),
        why="nearly every window has a neighbour in the other half; only windows 105 bars apart would not overlap",
    ),
    Statement(
        name="best_checkpoint",
        source=f"{_CODE}, best checkpoint",
        says="the best checkpoint is chosen by what the model is for: the span",
        documented=None,
        parts=(
            computed(
                "the span's share of the loss that chooses, epoch 100",
                lambda: shares(numbers.TABLE[100].terms)["span"],
                low=0.25,
            ),
        ),
        why="the sum of raw terms chooses, which is the countdown's choice",
    ),
    Statement(
        name="dropout_of_one_layer",
        source=f"{_CODE}, dropout=.7",
        says="the LSTM has a dropout of .7",
        documented=0.7,
        parts=(computed("share of steps that differ, one layer", lambda: _steps_that_differ(1), low=0.5),),
        why="torch puts it between layers, and one layer has no between; two layers do",
    ),
    Statement(
        name="unknown_labels",
        source=f"{_CODE}, label_map.get(x, 0)",
        says="every label has its number",
        documented=0.0,
        parts=(computed("unknown labels out of three that become class 0", _hidden, high=0.0),),
        why="a default is a known class, and nothing is said",
    ),
    Statement(
        name="validation_over_batches",
        source=f"{_CODE}, validation",
        says="every validation window counts the same",
        documented=1.0,
        parts=(
            computed(
                "weight of a window in the last batch over one in the first",
                lambda: numbers.BATCH / (numbers.VALIDATED - numbers.BATCH),
                near=1.0,
            ),
        ),
        why="42 windows in batches of 32 and 10, averaged as two",
    ),
    Statement(
        name="gradients_per_task",
        source=f"{_CODE}, gradient statistics",
        says="gradients were logged for the whole model and per parameter, never per task",
        why="the record's logs are not at hand; this catalogue keeps each task's share with every run",
    ),
)

STATEMENTS = (*_BARS, *_BUGS)
