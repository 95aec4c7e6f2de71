"""Statements about further bugs of the record: early stopping, flags, splits, rules, positions, signals of health."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from goldmark.audit._statement import Statement, checked, computed, measured, of_metric
from goldmark.audit.roast._profiles import rejected_by_a_rate_per, share_below
from goldmark.case import Runs
from goldmark.cases.roast import CASE
from goldmark.cases.roast.full import DOCUMENTED
from goldmark.cases.roast.model import Attention, position_angles, rotated
from goldmark.checks import check_not_relative, stale_epochs
from goldmark.training.draws import initial_weights

_PATIENCE = 15
_FALLING = tuple(1 / epoch for epoch in range(1, 101))
_COLLAPSED_F = torch.tensor([428.8, *[100.0] * 10], dtype=torch.float64)  # what the record's diagnostic looked at
_NOISE_F = (250.0, 450.0)
_CLAMP_F = 250.0
_TINY_F, _NO_FLAVORS_F = (DOCUMENTED[f"later_{name}_normalized"]["rmse_f"] for name in ("tiny", "no_flavors"))
_NEEDS_FILE = "needs the record's 144 profiles with their beans, which are not part of this package"


def stopped_by_running_minimum(losses: Sequence[float]) -> int:
    """Return the epoch in which the record's rule stops: a loss counts as better if it is below the minimum with it."""
    lowest = itertools.accumulate(losses, min)
    better = [loss < low for loss, low in zip(losses, lowest, strict=True)]
    return next(epoch for epoch in range(1, len(losses) + 1) if not any(better[:epoch]) and epoch > _PATIENCE)


def moved_by_place(*, rotary: bool) -> float:
    """Return how much a causal self-attention changes, relatively, with where its steps lie, distances kept.

    The record's "rope" rotates the input once, a rotary embedding the queries and keys.
    """
    with initial_weights(0):
        attention, x = Attention(16, 2, 0.0, "audit").double(), torch.randn(1, 12, 16, dtype=torch.float64)
    mask = torch.full((12, 12), -torch.inf, dtype=torch.float64).triu(1)

    def attend(places: Tensor) -> Tensor:
        angles = position_angles(0, 200, 8 if rotary else 16, x.device).double()[places]
        if rotary:
            attended: Tensor = attention(x, x, mask, None, angles=angles)
        else:
            turned = rotated(x, angles)
            attended = attention(turned, turned, mask, None)
        return attended

    with torch.no_grad():
        change = check_not_relative(attend, 12).numbers["shift_change"]
    return round(change, 4)  # angles are float32


def _seed_spread_f(runs: Runs) -> float:
    errors_f = [run.metrics["rmse_f"] for run in runs["normalized"]]
    return max(errors_f) - min(errors_f)


def expected_distinct(n_values: int) -> float:
    """Return how many distinct values of a tenth of a degree noise has among so many, on average."""
    cells = 10 * (_NOISE_F[1] - _NOISE_F[0])
    return cells * (1 - (1 - 1 / cells) ** n_values)


_STOPPING = (
    Statement(
        name="epoch_16",
        source="RoastFormer record, early stopping with patience 15",
        says="every run ended at epoch 16, as its loss no longer improved",
        why="a loss is compared with a minimum that includes it: on losses that fall in every epoch it stops as well",
        documented=16,
        parts=(
            computed(
                "epoch of its rule on falling losses", lambda: stopped_by_running_minimum(_FALLING), low=16, high=16
            ),
            computed("epochs since the best of those losses", lambda: stale_epochs(_FALLING[:16]), low=_PATIENCE),
        ),
    ),
)

_SETTINGS = (
    Statement(
        name="flavors_help",
        source="RoastFormer record, later suite",
        says="flavors help: 23.4 F with, 27.2 F without, 14 %",
        why="nothing read the flag, so that the two are seeds of one configuration, whose spread the gain must exceed",
        documented=0.14,
        parts=(
            computed("1 - with / without", lambda: 1 - _TINY_F / _NO_FLAVORS_F, near=0.14, rel=0.02),
            measured(
                "largest - smallest rmse_f of 'normalized' over seeds",
                ("normalized",),
                _seed_spread_f,
                high=_NO_FLAVORS_F - _TINY_F,
            ),
        ),
    ),
    Statement(
        name="seed_spread",
        source="project, trials",
        says="seeds of one normalized configuration differ by 12 F",
        why="largest less smallest error over seeds, to a factor of 2",
        documented=12.0,
        parts=(
            measured(
                "largest - smallest rmse_f of 'normalized' over seeds, F",
                ("normalized",),
                _seed_spread_f,
                low=6,
                high=24,
            ),
        ),
    ),
    Statement(
        name="scripts_load_raw_data",
        source="RoastFormer record, evaluation and generation after the fix",
        says="evaluation and generation scripts went on loading raw temperatures",
        why="is a property of the record's scripts, which are not part of this package; a regression holds it of ours",
    ),
)

_DATA = (
    Statement(
        name="rules_reject_all",
        source="RoastFormer record, validation of profiles",
        says="the physics rules reject all 144 profiles",
        why="limits in F/min, held against rises in F/s, reject every roast; on the stand-in, with the reader's limits",
        documented=1.0,
        parts=(
            computed("share rejected by rises per second", lambda: rejected_by_a_rate_per(1), low=1, high=1),
            computed("share rejected by rises per minute", lambda: rejected_by_a_rate_per(60), high=0),
        ),
    ),
    Statement(
        name="altitude",
        source="RoastFormer record, conditions",
        says="the altitude is 1,500 m in every profile",
        why=_NEEDS_FILE,
        documented=1_500,
    ),
    Statement(
        name="density",
        source="RoastFormer record, conditions",
        says="the bean density is the default in 135 of 144 profiles",
        why=_NEEDS_FILE,
        documented=135,
    ),
    Statement(
        name="product_leak",
        source="RoastFormer record, split",
        says="18 of 21 validation products are in the training half",
        why=_NEEDS_FILE,
        documented=18,
    ),
    Statement(
        name="vocabulary",
        source="RoastFormer record, vocabularies",
        says="vocabularies of 19, 13, 7 and 25 categories are fitted on both halves",
        why=_NEEDS_FILE,
        documented=19,
    ),
)

_POSITIONS = (
    Statement(
        name="rope",
        source="RoastFormer record, positional encodings",
        says="'rope' is a rotary position embedding",
        why="with a rotary embedding attention depends on distances alone; rotating the input once leaves places in",
        parts=(computed("change of attention with the place", lambda: moved_by_place(rotary=False), high=1e-4),),
    ),
    Statement(
        name="rotary",
        source="Su et al., RoFormer, 2021, section 3.2",
        says="rotating queries and keys makes attention depend on distances alone",
        why="the product of two rotated vectors depends on the difference of their angles",
        documented=0.0,
        parts=(computed("change of attention with the place", lambda: moved_by_place(rotary=True), high=1e-4),),
    ),
    Statement(
        name="clamp",
        source="RoastFormer record, generation of the first suite",
        says="clamping generated temperatures at 250 F keeps them physical",
        why="every roast turns below 250 F, and a clamp takes away what lies there",
        documented=_CLAMP_F,
        parts=(
            computed("share of the stand-in's temperatures below the clamp", lambda: share_below(_CLAMP_F), high=0),
        ),
    ),
)

_HEALTH = (
    Statement(
        name="diagnostic",
        source="RoastFormer record, generation diagnostic",
        says="428.8 F and ten times 100 F have a variance of 8,934: VARYING",
        why="all of it is the distance of the given start from a constant, which has none",
        documented=8_934,
        parts=(
            computed("variance with the start", lambda: float(_COLLAPSED_F.var(correction=0)), near=8934, rel=0.001),
            computed("variance without the start", lambda: float(_COLLAPSED_F[1:].var(correction=0)), low=100),
        ),
    ),
    Statement(
        name="collapsed_variance",
        source="RoastFormer record, generation diagnostic",
        says="without the start a collapsed model has no variance",
        why="a constant does not vary; the trained one does, so that the signal can tell them apart",
        documented=0.0,
        parts=checked(CASE.claim("collapse_is_a_flat_curve").check),
    ),
    Statement(
        name="noise_variance",
        source="project, trials",
        says="uniform noise between 250 and 450 F has a variance of 3,398: VARYING, too",
        why="a twelfth of the squared width of its range, whatever a roast does; one draw differs from it by chance",
        documented=3_398,
        parts=(computed("variance", lambda: (_NOISE_F[1] - _NOISE_F[0]) ** 2 / 12, near=3398, rel=0.05),),
    ),
    Statement(
        name="noise_distinct",
        source="project, trials",
        says="49 of 50 values of that noise are distinct",
        why="fifty draws of two thousand tenths of a degree seldom meet",
        documented=49,
        parts=(computed("expected distinct values of 50", lambda: expected_distinct(50), low=48, high=50),),
    ),
    Statement(
        name="variance_is_health",
        source="RoastFormer record, tiers of generation variance",
        says="a generation variance above 100 F^2 shows a model that has learnt",
        why="noise and the collapsed model have learnt nothing, and must both lie below",
        documented=100.0,
        parts=(
            computed("variance of noise", lambda: (_NOISE_F[1] - _NOISE_F[0]) ** 2 / 12, high=100),
            of_metric("raw_fahrenheit", "generated_variance", statistic=max, high=100),
        ),
    ),
    Statement(
        name="residual",
        source="RoastFormer record, tiers of the teacher-forced MAE",
        says="predicting raw changes is 'excellent', below 10 F, and generates curves that are 100 F off",
        why="it copies its input; a free-running curve has none to copy; held to 10 F and to half of 100 F",
        documented=100.0,
        parts=(
            of_metric("raw_residual", "generation_mae_f", low=50, high=200),
            *checked(CASE.claim("residual_copies_its_input").check),
        ),
    ),
)

STATEMENTS = (*_STOPPING, *_SETTINGS, *_DATA, *_POSITIONS, *_HEALTH)
