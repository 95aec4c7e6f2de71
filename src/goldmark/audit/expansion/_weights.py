"""What the record says of its uncertainty weights and of the four options, and what follows from its own numbers."""

from __future__ import annotations

import torch

from goldmark.audit._statement import Statement, checked, computed, of_metric
from goldmark.audit.expansion import _numbers as numbers
from goldmark.audit.expansion._gradients import attributions, share_at_the_start
from goldmark.audit.expansion._numbers import SIGMA
from goldmark.cases.expansion import CASE
from goldmark.cases.expansion.terms import TERMS, scaled_countdown
from goldmark.checks import shares

_UNCERTAINTY = "JadeCompact record, uncertainty parameters at epoch 100"
_OPTIONS = "JadeCompact record, options"
_SHARES = {"type": 0.152, "pointers": 0.008, "span": 0.120, "countdown": 0.7195}


def _sigma(term: str) -> Statement:
    return Statement(
        name=f"sigma_{term}",
        source=_UNCERTAINTY,
        says=f"sigma of the {term} term is {SIGMA[term]:g}",
        documented=SIGMA[term],
        parts=(
            computed("AdamW at .001, 600 steps", lambda: numbers.simulated_sigma(term), near=SIGMA[term], rel=0.03),
        ),
        why="simulated on the documented losses, which are interpolated between the five epochs of the table",
    )


def _effective(term: str) -> Statement:
    return Statement(
        name=f"effective_share_{term}",
        source=f"{_UNCERTAINTY}, with the losses",
        says=f"weight times loss gives the {term} term {_SHARES[term]:.1%}",
        documented=_SHARES[term],
        parts=(
            computed(
                "share with the documented sigmas", lambda: numbers.effective_share(term), near=_SHARES[term], rel=0.05
            ),
        ),
        why="1 / (2 sigma^2) times the loss of epoch 100",
    )


def _settled(term: str) -> Statement:
    return Statement(
        name=f"settled_share_{term}",
        source=f"project, on: {_UNCERTAINTY}",
        says=f"where the weights settle, the {term} term has 25 %",
        documented=0.25,
        parts=(
            computed(
                "share at sigma^2 = L",
                lambda: numbers.effective_share(term, {name: numbers.settled_sigma(name) for name in TERMS}),
                near=0.25,
                rel=1e-9,
            ),
        ),
        why="L / (2 sigma^2) is one half for every term there",
    )


def _time_of(term: str) -> Statement:
    return Statement(
        name=f"time_of_{term}",
        source="JadeCompact record, training: 600 steps at .001 for every parameter",
        says=f"600 steps are enough for the {term} weight to settle",
        documented=600,
        parts=(computed("steps to settle, at the rate a step", lambda: numbers.steps_to_settle(term), high=600),),
        why="Adam moves a parameter by about its rate a step",
    )


def _unit(bars: float) -> float:
    return float(scaled_countdown(torch.tensor(bars, dtype=torch.float64), "unit"))


_WEIGHTS = (
    Statement(
        name="countdown_weight",
        source=_UNCERTAINTY,
        says="the countdown has 4.3 % of the weight",
        documented=0.043,
        parts=(
            computed(
                "share of 1 / (2 sigma^2)", lambda: shares(numbers.weights(SIGMA))["countdown"], near=0.043, rel=0.02
            ),
        ),
        why="from the four documented sigmas",
    ),
    Statement(
        name="settled_sigma_countdown",
        source=f"project, on: {_UNCERTAINTY}",
        says="the countdown's sigma would settle at 3.17",
        documented=3.17,
        parts=(computed("root of 10.08", lambda: numbers.settled_sigma("countdown"), near=3.17),),
        why="L / (2 sigma^2) + log sigma is lowest at sigma^2 = L",
    ),
    Statement(
        name="weights_cannot_compensate",
        source="JadeCompact record, diagnosis",
        says="uncertainty weighting cannot compensate for the countdown",
        documented=0.7195,
        parts=(
            computed(
                "countdown's share where the weights settle",
                lambda: numbers.effective_share("countdown", {name: numbers.settled_sigma(name) for name in TERMS}),
                low=0.5,
            ),
            *checked(CASE.claim("weights_had_no_time").check),
        ),
        why="it does where it settles; at the record's rate it does not get there, and a plain sum is as bad",
    ),
    *map(_time_of, TERMS),
)

_GRADIENTS = (
    Statement(
        name="huber_gradient_is_bounded",
        source="project, on the record's diagnosis by raw loss",
        says="20 bars off, a Huber loss of delta 1 pulls no harder than 1",
        documented=1.0,
        parts=(
            computed("slope of the case's Huber loss", lambda: numbers.slope_of_huber(1.0, 20.0), near=1.0, rel=1e-9),
        ),
        why="the slope of a Huber loss is at most its delta",
    ),
    Statement(
        name="attributions_sum_to_one",
        source="project, signed attribution A_i = w_i <g_i, G> / |G|^2",
        says="the attributions of all terms sum to 1",
        documented=1.0,
        parts=(
            computed(
                "sum over terms, of a fresh model",
                lambda: sum(attributions("clipped_countdown").values()),
                near=1.0,
                rel=1e-6,
            ),
        ),
        why="G is the sum of w_i g_i",
    ),
    Statement(
        name="share_misleads_at_the_start",
        source="project, share of the weighted gradient on the shared trunk",
        says="before training the countdown's share of the gradient does not tell: .16",
        documented=0.16,
        parts=(
            computed(
                "mean share of fresh models", lambda: share_at_the_start("clipped_countdown"), low=0.08, high=0.32
            ),
            of_metric("clipped_countdown", "countdown_share_gradient", low=0.4),
        ),
        why="it is small in a fresh model, and most of the gradient in the middle of the same run",
    ),
)

_RESULTS_OF_OPTIONS = (
    Statement(
        name="option_1",
        source=f"{_OPTIONS}, 1",
        says="dropping the countdown finds the span (not run there)",
        parts=(
            *checked(CASE.claim("dropping_the_countdown_works").check),
            of_metric("weak_no_countdown", "span_f1", low=0.13),
        ),
        why="with a strong cue it does; with a weak one F1 stays below that of marking every bar",
    ),
    Statement(
        name="option_1_script",
        source=f"{_OPTIONS}, 1",
        says="a script of option 1 is committed",
        why="the record's code is not at hand, and it has no result of options 1, 3 and 4",
    ),
    Statement(
        name="option_2_map",
        source=f"{_OPTIONS}, 2",
        says="(c + 20) / 40 maps the countdown to [0, 1]",
        documented=1.0,
        parts=(
            computed("at 20 bars", lambda: _unit(20.0), near=1.0, rel=0),
            computed("at 0 bars", lambda: _unit(0.0), near=0.5, rel=0),
            computed("at -20 bars", lambda: _unit(-20.0), low=0.0, high=0.0),
        ),
        why="by the case's own scaling",
    ),
    Statement(
        name="option_2_share",
        source="JadeCompact record, the run of option 2",
        says="mapped to [0, 1] the countdown falls to 13 % of the loss",
        documented=0.13,
        parts=(of_metric("normalized_countdown", "countdown_share_raw", high=0.2),),
        why="its errors are a fortieth, and their squares smaller still",
    ),
    Statement(
        name="option_3",
        source=f"{_OPTIONS}, 3",
        says="the span loss alone finds the span (not run there)",
        parts=checked(CASE.claim("span_alone_works").check),
        why="nothing is left that could take the trunk",
    ),
    Statement(
        name="option_4_at_delta_1",
        source=f"{_OPTIONS}, 4",
        says="with delta 1, the countdown's loss at answer 0 is 15.7",
        documented=15.7,
        parts=(computed("Huber loss of answer 0", numbers.countdown_loss_at_zero, near=15.7, rel=0.03),),
        why="all starts and lengths of a span of 4 to 11 bars, equally often",
    ),
    Statement(
        name="option_4_at_delta_10",
        source=f"{_OPTIONS}, 4; on the record's labels",
        says="with delta 10 it becomes 115.1",
        documented=115.1,
        parts=(computed("Huber loss of answer 0", lambda: numbers.countdown_loss_at_zero(10.0), near=115.1, rel=0.03),),
        why="the tail of a Huber loss is multiplied by its delta",
    ),
    Statement(
        name="option_4_expectation",
        source=f"{_OPTIONS}, 4",
        says="Huber delta 10 brings the countdown's loss down to 2 or 3",
        documented=3.0,
        parts=(
            computed("Huber loss of answer 0", lambda: numbers.countdown_loss_at_zero(10.0), low=2.0, high=3.0),
            of_metric("delta_10", "span_f1", low=0.13),
        ),
        why="delta is taken the wrong way round: a larger one makes the tail steeper",
    ),
    Statement(
        name="class_weight_moves_f1",
        source="JadeCompact record, the run with pos_weight 13.1",
        says="a class weight moves F1 from 0 to .187, separation .098",
        documented=0.187,
        parts=(
            *checked(CASE.claim("class_weight_shifts_the_threshold").check),
            computed(
                "2 P R / (P + R) at P .12 and R .48", lambda: 2 * 0.12 * 0.48 / (0.12 + 0.48), near=0.187, rel=0.05
            ),
        ),
        why="weighted, a bar is marked where its odds exceed p / (1 - p): the threshold moves, the ranking hardly",
    ),
)


STATEMENTS = (
    *map(_sigma, TERMS),
    *map(_effective, TERMS),
    *map(_settled, TERMS),
    *_WEIGHTS,
    *_GRADIENTS,
    *_RESULTS_OF_OPTIONS,
)
