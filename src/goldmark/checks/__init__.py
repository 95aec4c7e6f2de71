"""Signs of trouble in any training loop: arrays and modules in, a `Finding` out. Nothing here knows of a case."""

from goldmark.checks._collapse import collapsed_output, spread_ratio
from goldmark.checks._mixup import read_mixing, wrong_mixup
from goldmark.checks._rank import (
    code_ignored,
    cosine_ceiling,
    low_ceiling,
    participation_ratio,
    r2_ceiling,
)
from goldmark.checks._scale import target_scale
from goldmark.checks._shares import dominated_gradient, gradient_norms, shares
from goldmark.checks._skill import no_skill, skill

__all__ = [
    "code_ignored",
    "collapsed_output",
    "cosine_ceiling",
    "dominated_gradient",
    "gradient_norms",
    "low_ceiling",
    "no_skill",
    "participation_ratio",
    "r2_ceiling",
    "read_mixing",
    "shares",
    "skill",
    "spread_ratio",
    "target_scale",
    "wrong_mixup",
]
