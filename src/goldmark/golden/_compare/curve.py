"""A small plot, in text, of a list of numbers beside its golden."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_FEWEST = 5  # numbers; fewer are seen in the list of entries
_WIDTH = 60  # characters
_BLOCKS = "▁▂▃▄▅▆▇█"
_NO_NUMBER = "?"
_VISIBLE = 1 / 8  # of the range: a change that moves a block


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """A list of numbers of a golden, and the new one of the same length."""

    key: str
    golden: Sequence[float]
    got: Sequence[float]


def curve_of(key: str, golden: Any, got: Any) -> Curve | None:
    """Return the curve of two lists of numbers, None where they are too few, of other lengths, or not numbers."""
    both = isinstance(golden, list) and isinstance(got, list) and len(golden) == len(got) >= _FEWEST
    if not both or not set(map(type, [*golden, *got])) <= {int, float}:
        return None
    return Curve(key=key, golden=golden, got=got)


def plot(curve: Curve) -> list[str]:
    """Return two lines: golden and new numbers on one scale, or, where no eye could tell them, golden and change."""
    finite = [x for x in (*curve.golden, *curve.got) if math.isfinite(x)]
    apart = [abs(b - a) for a, b in zip(curve.golden, curve.got, strict=True)]
    changes = [x for x in apart if math.isfinite(x)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    visible = max(changes, default=0.0) > _VISIBLE * (high - low) or len(changes) < len(apart)
    second = ("got", curve.got, low, high) if visible else ("|got - golden|", apart, 0.0, max(changes))
    rows = [(f"{curve.key}, golden", curve.golden, low, high), second]
    width = max(len(name) for name, *_ in rows)
    return [f"{name:<{width}} {_line(numbers, *scale)}  {_range(*scale)}" for name, numbers, *scale in rows]


def _line(numbers: Sequence[float], low: float, high: float) -> str:
    """Return a character per number, of many numbers per bin: the one that is the farthest from 0."""
    n_bins = min(len(numbers), _WIDTH)
    edges = [i * len(numbers) // n_bins for i in range(n_bins + 1)]
    return "".join(_block(numbers[start:end], low, high) for start, end in pairwise(edges))


def _block(numbers: Sequence[float], low: float, high: float) -> str:
    if not all(map(math.isfinite, numbers)):
        return _NO_NUMBER
    share = (max(numbers, key=abs) - low) / (high - low) if high > low else 0.0
    return _BLOCKS[min(int(share * len(_BLOCKS)), len(_BLOCKS) - 1)]


def _range(low: float, high: float) -> str:
    return f"{low:.3g} to {high:.3g}"
