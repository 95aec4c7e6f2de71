"""What the record says of data and model, counted."""

from __future__ import annotations

import math

import torch

from goldmark.audit._statement import Statement, computed
from goldmark.audit.expansion import _numbers as numbers
from goldmark.cases.expansion.data import countdown_bars, span_labels
from goldmark.cases.expansion.full import FULL
from goldmark.cases.expansion.terms import positive_weight

_DATA, _MODEL = "JadeCompact record, data", "JadeCompact record, model and training"


def _countdown(start: int, bar: int) -> float:
    return float(countdown_bars(torch.tensor([start]), numbers.BARS)[0, bar])


def _distinct_labels() -> float:
    return len(set(span_labels(torch.tensor([40]), torch.tensor([7]), numbers.BARS).flatten().tolist()))


STATEMENTS = (
    Statement(
        name="parameters",
        source=_MODEL,
        says="JadeCompact has 97,547 parameters",
        documented=97_547,
        parts=(
            computed("parameters of 12 features, four log sigmas included", numbers.n_parameters, near=97_547, rel=0),
        ),
        why="the model of the full matrix is built on the meta device and counted",
    ),
    Statement(
        name="split",
        source=_DATA,
        says="210 windows are split 168 / 42",
        documented=168,
        parts=(
            computed("four fifths of 210", lambda: round(0.8 * numbers.WINDOWS), near=168, rel=0),
            computed(
                "windows of both halves of the full matrix",
                lambda: FULL.settings.n_train + FULL.settings.n_val,
                near=210,
                rel=0,
            ),
        ),
        why="a test share of one fifth",
    ),
    Statement(
        name="steps",
        source=_MODEL,
        says="batches of 32 and 100 epochs make 600 steps",
        documented=600,
        parts=(computed("ceil(168 / 32) times 100", numbers.n_steps, near=600, rel=0),),
        why="the sixth batch of an epoch holds the 8 windows that are left over",
    ),
    Statement(
        name="bars_in_span",
        source=_DATA,
        says="spans have a mean length of 7.2 bars, and 7.1 to 7.2 % of the bars are in a span",
        documented=0.0715,
        parts=(
            computed("7.2 bars over 105", lambda: numbers.MEAN_LENGTH / numbers.BARS, low=0.0705, high=0.0725),
            computed("share of bars in a span of 4 to 11 bars", lambda: 7.5 / numbers.BARS, low=0.0705, high=0.0725),
        ),
        why="both ends are counted in one of the two numbers and not in the other: a mean length of 7.5 fits the share",
    ),
    Statement(
        name="last_start",
        source=_DATA,
        says="spans start at bars 0 to 101",
        documented=101,
        parts=(computed("last start of all spans of 4 bars or more", numbers.last_start, near=101, rel=0),),
        why="the shortest span, of 4 bars, just fits into the window there",
    ),
    Statement(
        name="types",
        source=_DATA,
        says="the windows are of two types, 121 and 89",
        documented=210,
        parts=(computed("windows of both types", lambda: sum(numbers.KINDS), near=210, rel=0),),
        why="every window has a type",
    ),
    Statement(
        name="countdown_targets",
        source=_DATA,
        says="countdown[i] = clip(-(i - start), -20, 20)",
        documented=20,
        parts=(
            computed("at bar 0 of a span that starts at 101", lambda: _countdown(101, 0), near=20, rel=0),
            computed("at bar 104 of a span that starts at 0", lambda: _countdown(0, 104), near=-20, rel=0),
            computed("7 bars before the start", lambda: _countdown(50, 43), near=7, rel=0),
        ),
        why="the targets of the case follow the record's formula",
    ),
    Statement(
        name="hard_masks",
        source=_DATA,
        says="the span's masks are soft",
        documented=None,
        parts=(computed("distinct values of a mask", _distinct_labels, low=3),),
        why="the labels are 0 or 1, and soft in name alone",
    ),
    Statement(
        name="positive_weight",
        source="JadeCompact record, the run with a class weight",
        says="the class weight that balances bars in and out of a span is 13.1",
        documented=13.1,
        parts=(
            computed(
                "(1 - p) / p at p = 7.09 %",
                lambda: float(positive_weight((torch.arange(10_000) < 709).double())),
                near=13.1,
            ),
        ),
        why="positives and negatives count the same at (1 - p) / p",
    ),
    Statement(
        name="positive_weight_in_the_comment",
        source="JadeCompact record, a comment of its code",
        says="the class weight that balances is 14.1",
        documented=14.1,
        parts=(
            computed(
                "(1 - p) / p at p = 7.09 %",
                lambda: float(positive_weight((torch.arange(10_000) < 709).double())),
                near=14.1,
            ),
        ),
        why="14.1 is 1 / p, which counts the positives once too often",
    ),
    Statement(
        name="thirteen_features",
        source="JadeCompact record, data against model",
        says="the data have 13 features, and the model of 97,547 parameters reads them",
        documented=97_547,
        parts=(computed("parameters of 13 features", lambda: numbers.n_parameters(13), near=97_547, rel=0),),
        why="the count fits 12 features; each further one costs 8 gates of 96",
    ),
    Statement(
        name="three_classes",
        source="JadeCompact record, model; epoch metrics, epoch 1",
        says="the type loss starts from that of three classes, for two labels: 1.08",
        documented=1.08,
        parts=(computed("log 3", lambda: math.log(3), near=1.08, rel=0.03),),
        why="an even guess among three costs log 3, among the two that there are log 2 = .69",
    ),
    Statement(
        name="csv_files",
        source="JadeCompact record, logging",
        says="six CSV files hold epochs, loss components, uncertainty, probabilities, features and gradients",
        why="the files of the record are not at hand, only the numbers that it quotes from them",
    ),
)
