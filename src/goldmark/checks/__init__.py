"""Signs of trouble in any training loop: arrays and modules in, a `Finding` out. Nothing here knows of a case."""

from goldmark.checks.collapse import collapsed_output, spread_ratio
from goldmark.checks.mixup import read_mixing, wrong_mixup
from goldmark.checks.rank import (
    code_ignored,
    cosine_ceiling,
    low_ceiling,
    participation_ratio,
    r2_ceiling,
)
from goldmark.checks.scale import target_scale
from goldmark.checks.shares import dominated_gradient, gradient_norms, shares
from goldmark.checks.skill import no_skill, skill

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
