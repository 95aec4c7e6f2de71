"""Categories among the inputs: whether both halves number them alike, and whether tables get their whole numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from goldmark.case import Finding

_FEWEST, _MOST = 3, 32  # categories
_EXAMPLES = 8  # of a category in either half
_BINS = 4  # of targets that are numbers
_TABLES, _ROWS, _CODES = 2, 4, 64  # embeddings, rows of each, and codes that each was given


def check_category_numbering(
    values: Tensor, targets: Tensor, val_values: Tensor, val_targets: Tensor, threshold: float = 10.0
) -> Finding:
    """Find out whether the validation half numbers a column of categories in another way than training does.

    By chi-squared tests of what the targets of each category are (classes, or quarters of numbers): trouble is a
    distance of more than `threshold` standard deviations as the columns (N,) are numbered, where one to one renumbered
    categories agree in their targets and in how frequent they are. Data that has drifted agrees in no numbering.
    """
    edges = torch.quantile(targets.double(), torch.linspace(0, 1, _BINS + 1)[1:-1].double())
    numbers = targets.is_floating_point()
    bins = [torch.bucketize(one.double(), edges) if numbers else one.long() for one in (targets, val_targets)]
    shape = int(max(values.max(), val_values.max())) + 1, int(max(one.max() for one in bins)) + 1
    train, val = (_counts(v, b, shape) for v, b in zip((values, val_values), bins, strict=True))
    known = [k for k in range(shape[0]) if train[k].sum() >= _EXAMPLES]
    held = [k for k in range(shape[0]) if val[k].sum() > 0]
    numbering, renumbered = _distances(train, val, known, held)
    return Finding(
        name="category_numbering",
        trouble=numbering > threshold and renumbered < 3.0,
        numbers={"distance_as_numbered": numbering, "distance_renumbered": renumbered, "categories": float(len(held))},
        threshold=threshold,
        relation="a category must have one number in both halves",
        advice="fit the encoder of categories on the training half, and only transform the validation half",
    )


def _distances(train: Tensor, val: Tensor, known: list[int], held: list[int]) -> tuple[float, float]:
    """Return how far the halves are apart as numbered and renumbered, in sd of chi-squared; (0, inf) where unclear."""
    unclear = 0.0, math.inf
    if len(held) < _FEWEST or any(val[k].sum() < _EXAMPLES for k in held) or not set(held) <= set(known):
        return unclear
    apart = torch.stack([torch.stack([_homogeneity(val[j], train[k]) for k in known]) for j in held])
    nearest = [known[int(place)] for place in apart.argmin(dim=1)]
    if len(set(nearest)) < len(nearest):
        return unclear
    freedom = len(held) * (int((train.sum(dim=0) > 0).sum()) - 1)
    as_numbered = float(sum(apart[row, known.index(k)] for row, k in enumerate(held)))
    frequencies = float(_homogeneity(val[held].sum(dim=1), train[nearest].sum(dim=1)))
    renumbered = max(_sd(float(apart.min(dim=1).values.sum()), freedom), _sd(frequencies, len(held) - 1))
    return _sd(as_numbered, freedom), renumbered


def _sd(chi_squared: float, freedom: int) -> float:
    return (chi_squared - freedom) / math.sqrt(2 * max(freedom, 1))


def _counts(values: Tensor, bins: Tensor, shape: tuple[int, int]) -> Tensor:
    return torch.bincount(values.long() * shape[1] + bins, minlength=shape[0] * shape[1]).reshape(shape).double()


def _homogeneity(one: Tensor, other: Tensor) -> Tensor:
    """Return Pearson's chi-squared of two samples' counts (B,) of the same bins."""
    table = torch.stack([one, other])
    expected = table.sum(dim=1, keepdim=True) * table.sum(dim=0, keepdim=True) / table.sum()
    return ((table - expected).square() / expected.clamp(min=1e-12)).sum()


def check_truncated_codes(tables: Sequence[tuple[int, Tensor]]) -> Finding:
    """Find out whether embeddings of categories are given row 0, and next to no other: scaled codes as whole numbers.

    `tables` are the numbers of rows of all embeddings and the codes that they were given. A code between 0 and 1 is cut
    to 0, and 1 is left of the last category. Judged are those of at least 4 rows, of which there must be 2: a single
    one may have a use for one row, as for kinds of tokens or a lone speaker.
    """
    judged = [codes for n_rows, codes in tables if n_rows >= _ROWS and codes.numel() >= _CODES]
    cut = [c for c in judged if 0 <= int(c.min()) and int(c.max()) <= 1 and 2 * int(c.sum()) < c.numel()]
    return Finding(
        name="truncated_codes",
        trouble=_TABLES <= len(judged) == len(cut),
        numbers={"embeddings": float(len(judged)), "cut": float(len(cut))},
        threshold=float(_TABLES - 1),
        relation="an embedding must be given the codes that it has rows for: all of them get 0, or now and then 1",
        advice="scale the columns that are numbers alone: categories that were scaled to [0, 1] are 0 as whole numbers",
    )


def are_categories(values: Tensor) -> bool:
    """Tell whether a column (N,) of whole numbers has few enough values to be categories."""
    return bool(values.min() >= 0) and _FEWEST <= len(values.unique()) and int(values.max()) < _MOST  # type: ignore[no-untyped-call]
