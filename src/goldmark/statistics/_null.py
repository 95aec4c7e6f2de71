"""How far an innocent change moves a metric: what a margin must be at least."""

from __future__ import annotations

import math
from collections.abc import Mapping

from goldmark.case import Scale
from goldmark.statistics._mean import paired_shift
from goldmark.statistics._scale import on_scale

_CONFIDENCE = 0.95


def null_bound(innocent: Mapping[str, float], golden: Mapping[str, float], scale: Scale) -> float:
    """Return the 95 % upper bound of the shift of the mean, in either direction, that an innocent change makes.

    `innocent` are values after a change that nobody minds, of some or all of the golden's seeds: the bound is
    |mean difference| + t_{.95} error, by seed. It is infinite for fewer than two seeds.
    """
    from scipy import special

    if len(innocent) < 2:
        return math.inf
    old = on_scale([golden[seed] for seed in innocent], scale)
    shift = paired_shift(on_scale(list(innocent.values()), scale), old)
    return abs(float(shift.shift)) + float(special.stdtrit(shift.df, _CONFIDENCE) * shift.error)
