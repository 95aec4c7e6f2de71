"""What the evidence says: the constant's score, the ceiling of the decoder's width, and ways around the code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from goldmark.audit._statement import Statement, checked, computed, measured, of_metric
from goldmark.audit.poetry._numbers import (
    constant_sequence_cosine,
    constant_token_cosine,
    full_size_ceiling,
    mean_bound,
    mean_share,
)
from goldmark.case import Runs
from goldmark.cases.poetry import CASE
from goldmark.cases.poetry.full import FULL
from goldmark.claims import mean_difference

CONSTANT_MSE, ZERO_MSE, N_TOKENS = 0.095, 0.164, 50  # the record's errors of the mean and of zero; words of a window
CEILING, PLATEAU = "Poetry evidence, ceiling of the decoder", "Poetry evidence, the plateau at .62"
NARROW_DECODERS = ("narrow", "encoder_only_wide", "iid_narrow")


def above_the_ceiling(runs: Runs, variants: Sequence[str]) -> float:
    """Return how many runs score more by token than their decoder's width allows, or NaN."""
    scores = [run.metrics for name in variants for run in runs[name]]
    return float(sum(not metrics["token_cosine"] <= metrics["token_ceiling"] for metrics in scores))


def nearest_to_r2_ceiling(runs: Runs, variants: Sequence[str]) -> float:
    """Return the largest R^2 less its ceiling; NaN where one is."""
    return float(np.max([run.metrics["r2"] - run.close["r2_ceiling"] for name in variants for run in runs[name]]))


EVIDENCE = (
    Statement(
        name="constant_scores_65_by_token",
        source=PLATEAU,
        says="errors of .095 for the mean and .164 for zero mean that the mean word scores .65 by token",
        documented=0.65,
        why="for words of one norm the cosine with their mean is |m| / |x|, its square 1 - .095 / .164",
        parts=(
            computed(
                "token cosine of the mean word",
                lambda: constant_token_cosine(mean_share(CONSTANT_MSE, ZERO_MSE)),
                near=0.65,
            ),
        ),
    ),
    Statement(
        name="constant_scores_98_by_window",
        source=PLATEAU,
        says="and .98 by window of 50 words",
        documented=0.98,
        why="the error of a mean of 50 independent words is a fiftieth; words of a poem are not quite independent",
        parts=(
            computed(
                "sequence cosine of the mean word",
                lambda: constant_sequence_cosine(mean_share(CONSTANT_MSE, ZERO_MSE), N_TOKENS),
                near=0.98,
            ),
        ),
    ),
    Statement(
        name="plateau_is_the_constant",
        source=PLATEAU,
        says=".62 is the score of a constant predictor",
        documented=0.62,
        why="independent words are more than six numbers can hold: what is left is their mean",
        parts=checked(CASE.claim("iid_narrow_is_the_constant").check),
    ),
    Statement(
        name="plateau_at_the_documented_size",
        source=PLATEAU,
        says="on independent words 64 and 512 units stay at the constant's .62",
        documented=0.62,
        why="codes of 16 numbers cannot hold 50 independent words",
        parts=checked(FULL.claim("independent_words_stay_on_the_plateau").check),
        scale="full",
    ),
    Statement(
        name="high_by_window_low_by_token",
        source=PLATEAU,
        says="high sequence with low token cosine is the sign of an ignored code",
        documented=0.965,
        why="a constant has both, at any size",
        parts=checked(FULL.claim("windows_look_right_where_tokens_do_not").check),
        scale="full",
    ),
    Statement(
        name="widening_alone_changed_nothing",
        source="Poetry record, archived 512-unit runs",
        says="where the code cannot hold the text, widening gains next to nothing: .624 after .622",
        documented=0.002,
        why="on independent words; the ceiling of a wide decoder is no promise",
        parts=checked(CASE.claim("iid_widening_hardly_helps").check),
    ),
    Statement(
        name="no_run_is_above_its_ceiling",
        source=CEILING,
        says="0 violations of the eigenvalue bound in 128 runs",
        documented=0,
        why="outputs affine in h units lie in h + 1 dimensions, whatever the training",
        parts=(
            measured(
                "runs with 8 decoder units above their ceiling",
                NARROW_DECODERS,
                lambda runs: above_the_ceiling(runs, NARROW_DECODERS),
                high=0.0,
            ),
        ),
    ),
    Statement(
        name="no_run_is_above_its_ceiling_at_full_size",
        source=CEILING,
        says="0 violations of the eigenvalue bound, at the documented size",
        documented=0,
        why="outputs affine in h units lie in h + 1 dimensions, whatever the training",
        parts=checked(FULL.claim("no_run_exceeds_its_ceiling").check),
        scale="full",
    ),
    Statement(
        name="no_run_is_above_its_r2_ceiling",
        source=CEILING,
        says="R^2 stays below the share of the h largest eigenvalues",
        documented=0,
        why="Eckart and Young: no matrix of lower rank is nearer",
        parts=(
            measured(
                "R^2 - ceiling, largest of all runs with 8 decoder units",
                NARROW_DECODERS,
                lambda runs: nearest_to_r2_ceiling(runs, NARROW_DECODERS),
                high=0.0,
            ),
        ),
    ),
    Statement(
        name="ceiling_is_tight",
        source=CEILING,
        says="the bound is tight: .7996, of which .7976 is attained at h = 8",
        documented=0.7996,
        why="projections on the best 9 directions are such outputs; mean over the seeds of the case",
        parts=(
            computed("token ceiling of 8 units", lambda: mean_bound("token_ceiling"), near=0.7996, rel=0.05),
            computed("attained by projection", lambda: mean_bound("attained"), near=0.7976, rel=0.05),
            computed("attained / ceiling", lambda: mean_bound("attained") / mean_bound("token_ceiling"), low=0.99),
        ),
    ),
    Statement(
        name="ceiling_of_64_units",
        source=CEILING,
        says="64 decoder units put .95 out of reach of words of 300 numbers",
        documented=0.95,
        why="h + 1 eigenvalues of 300, of synthetic words of the documented size",
        parts=(computed("token ceiling of 64 units", lambda: full_size_ceiling(64), high=0.95),),
    ),
    Statement(
        name="the_decoder_is_what_matters",
        source=CEILING,
        says="the width that matters is the decoder's",
        why="the decoder alone writes words; what the encoder hands on has to pass the code anyway",
        parts=checked(CASE.claim("decoder_widening_is_what_helps").check),
    ),
    Statement(
        name="a_wider_encoder_does_nothing",
        source=CEILING,
        says="widening the encoder alone changes nothing",
        why="the decoder's ceiling is where it was",
        parts=checked(CASE.claim("encoder_widening_does_nothing").check),
    ),
    Statement(
        name="an_encoder_of_2k_loses_nothing",
        source=CEILING,
        says="an encoder of about 2 k units loses nothing by itself (64 units before a code of 16)",
        documented=0.0,
        why="a code of k numbers needs k states to be read off",
        parts=checked(mean_difference("decoder_only_wide", "wide", "token_cosine", ">=", -0.02)),
        scale="full",
    ),
    Statement(
        name="attention_goes_around_the_code",
        source="Poetry evidence, attention",
        says="with attention, shuffling the codes between samples changes nothing",
        documented=0.0,
        why="the decoder reads all encoder states, one a word",
        parts=checked(FULL.claim("attention_goes_around_the_code").check),
        scale="full",
    ),
    Statement(
        name="attention_needs_one_number",
        source="Poetry evidence, attention",
        says="with attention a code of one number reaches .999",
        documented=0.999,
        why="the decoder reads all encoder states, one a word",
        parts=(of_metric("attention_code_1", "token_cosine", near=0.999, rel=0.05),),
        scale="full",
    ),
)
