"""The probes of a preflight that concern the two halves: what they share, and how they were made into batches."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from goldmark.case import Finding
from goldmark.checks import _data
from goldmark.checks._categories import are_categories, check_category_numbering
from goldmark.checks._loaders import draws_examples
from goldmark.checks._passes import N_EXAMPLES
from goldmark.checks._preflight import Look, Probe
from goldmark.checks._scale import check_standardised_batches
from goldmark.checks._structures import first_tensor, size_of
from goldmark.checks._windows import check_overlapping_windows

_MOST_COLUMNS = 32  # that are looked at
_MOST_WINDOWS = 1_024  # of a half that are compared
_MOST_NUMBERS = 65_536  # of targets that are sorted
_FEW = 16  # values of a target that may be a code of classes


def _overlap(look: Look) -> Finding | None:
    """Compare examples with their targets: one graph may hold both halves, told apart by a mask among the targets."""
    if look.val is None:
        return None
    chance = not _data.is_continuous(look.train.inputs())
    return _data.check_overlap(look.train.pair_keys, look.val.pair_keys, by_chance=chance)


def _category_numbering(look: Look) -> Iterator[Finding]:
    """Judge each column of whole numbers (N,) or (N, F), beside one target (N,) for each example."""
    if look.val is None or not look.reads_targets:
        return
    targets, val_targets = (half.targets().squeeze(-1) for half in (look.train, look.val))
    inputs, val_inputs = (half.inputs() for half in (look.train, look.val))
    fits = not inputs.is_floating_point() and inputs.dim() <= 2 and targets.dim() == 1
    if not fits or any(len(x) != len(y) for x, y in ((inputs, targets), (val_inputs, val_targets))):
        return
    if not all(_are_few(one) for one in (targets, val_targets)):
        return
    codes, val_codes = (one.reshape(len(one), -1).cpu() for one in (inputs, val_inputs))
    for column, val_column in zip(codes.T[:_MOST_COLUMNS], val_codes.T[:_MOST_COLUMNS], strict=False):
        if are_categories(column) and are_categories(val_column):
            yield check_category_numbering(column, targets.cpu(), val_column, val_targets.cpu())


def _are_few(targets: Tensor) -> bool:
    """Tell whether targets are finite numbers, or few classes."""
    few = targets.is_floating_point() or (int(targets.min()) >= 0 and int(targets.max()) < _FEW)
    return bool(few and targets.isfinite().all())


def _overlapping_windows(look: Look) -> Finding | None:
    """Judge windows (N, T) or (N, T, F) of numbers; whole numbers may repeat by chance."""
    if look.val is None:
        return None
    halves = [half.inputs() for half in (look.train, look.val)]
    train, val = (one[..., None] if one.dim() == 2 else one for one in halves)
    fits = all(one.is_floating_point() and one.dim() == 3 and 8 <= one.shape[1] <= 256 for one in (train, val))
    if not fits or train.shape[1:] != val.shape[1:] or torch.equal(val, val.round()):
        return None
    return check_overlapping_windows(train[:_MOST_WINDOWS], val[:_MOST_WINDOWS], threshold=0.5, continued=True)


def _split_statistics(look: Look) -> Finding | None:
    """Compare inputs, and where those agree targets that are numbers: a series that drifts moves both."""
    if look.val is None or not look.train.inputs().is_floating_point():
        return None
    finding = _data.check_split_statistics(look.train.inputs(), look.val.inputs())
    if finding.trouble or not finding.numbers or not look.reads_targets:
        return finding
    train, val = (_rows_of_numbers(half.targets()) for half in (look.train, look.val))
    several = len(torch.unique(train.flatten()[:: 1 + train.numel() // _MOST_NUMBERS])) > _FEW
    return _data.check_split_statistics(train, val) if several and train.shape[1] == val.shape[1] else finding


def _rows_of_numbers(targets: Tensor) -> Tensor:
    """Return the finite rows of targets as (N, D); none where they are whole numbers."""
    rows_of = targets.reshape(len(targets), -1)
    return rows_of[rows_of.isfinite().all(dim=1)] if targets.is_floating_point() else rows_of[:0]


def _standardised_batches(look: Look) -> Iterator[Finding]:
    """Judge targets, and a table, of batches that were dealt from one set: drawn by a loader, or the last is smaller.

    Other batches may be groups, each of which is meant to have a scale of its own.
    """
    inputs, targets = ([first_tensor(batch[side]) for batch in look.train.batches] for side in (0, 1))
    sizes = [size_of(one) for one in targets]
    whole = len(look.train.keys) < N_EXAMPLES and sizes[0] > 0
    dealt = whole and len(look.train.keys) % sizes[0] > 0 and len(set(sizes[:-1])) == 1 and sizes[-1] <= sizes[0]
    if not dealt and not draws_examples(look.train_batches, sizes[0]):
        return
    for side, fits in ((inputs, inputs[0] is not None and inputs[0].dim() == 2), (targets, look.reads_targets)):
        batches = [one for one in side if one is not None and one.is_floating_point() and one.dim()]
        if fits and len(batches) == len(sizes):
            yield check_standardised_batches(batches)


SPLIT_PROBES: tuple[Probe, ...] = (
    *(_category_numbering, _overlap, _overlapping_windows, _split_statistics),
    _standardised_batches,
)
