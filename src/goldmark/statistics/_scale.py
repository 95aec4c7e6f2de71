"""The scale on which values of a metric are compared, and the margin on it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goldmark.case import Scale, UsageError

Array = NDArray[np.float64]


def on_scale(values: ArrayLike, scale: Scale) -> Array:
    """Return values on the scale on which they are compared, as float64; raise `UsageError` for a log of 0 or less."""
    array = np.asarray(values, dtype=np.float64)
    if scale == "identity":
        return array
    if (array <= 0).any():
        raise UsageError(f"a log scale needs positive values, not {array.min():g}; use the identity scale and the unit")
    return np.log(array)


def read_margin(margin: float | str, scale: Scale) -> tuple[Scale, float]:
    """Return the scale and the margin on it without looking at values; raise `UsageError` for anything but a margin."""
    try:
        number = float(margin.removesuffix("%")) if isinstance(margin, str) else float(margin)
    except ValueError:
        number = math.nan
    if isinstance(margin, str) and not margin.endswith("%"):
        number = math.nan
    if not 0 <= number < math.inf:
        raise UsageError(f"a margin is a number of at least 0 or a percentage such as '2%', not {margin!r}")
    return ("log", math.log1p(number / 100)) if isinstance(margin, str) else (scale, number)


def spread(values: Sequence[float] | Array) -> float:
    """Return the sd over seeds (n - 1 in the denominator): NaN for fewer than two."""
    array = np.asarray(values, dtype=np.float64)
    return float(array.std(ddof=1)) if array.size > 1 else math.nan
