"""Poetry: the encoder was blamed and widened, while the decoder's width decides what can be written.

The record saw a token cosine of .6, called a 64-unit encoder the bottleneck, and found nothing changed with 512 units.
These tests tell the story on five seeds: what narrow looks like, which width matters, where no width helps, and which
signals could not have told.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from goldmark.cases import find_case

NARROW_DECODERS = ["narrow", "encoder_only_wide"]
CLAIMS_OF_THE_FIX = [
    "wide_exceeds_narrow_ceiling",
    "width_is_seen_before_training",
    "narrow_uses_few_dimensions",
    "widening_is_the_fix",
    "wide_beats_baselines",
    "wide_uses_its_code",
]
SIGNATURE = [
    "narrow_blurs_the_tokens",
    "narrow_is_no_better_than_the_mean_window",
    "narrow_uses_few_dimensions",
]


@pytest.mark.parametrize("claim", SIGNATURE)
def test_narrow_scores_like_a_mean(verdict_of, claim):
    """The signature: good means of windows, poor tokens, no gain on the mean training window, few dimensions in use."""
    assert verdict_of("poetry", claim)


def test_no_narrow_run_exceeds_its_ceiling(verdict_of):
    """The theorem, one half: whatever the encoder and the words, 8 decoder units stay below the eigenvalue bound."""
    assert verdict_of("poetry", "no_run_exceeds_its_ceiling")


def test_every_wide_run_exceeds_the_ceiling_of_narrow(verdict_of):
    """The theorem, other half: 80 units score what 8 cannot, on the same data."""
    assert verdict_of("poetry", "wide_exceeds_narrow_ceiling")


def test_the_trouble_shows_before_the_first_step(verdict_of):
    """The cause: the data's eigenvalues and the decoder's width tell that the wanted score is out of reach."""
    assert verdict_of("poetry", "width_is_seen_before_training")


@pytest.mark.parametrize("claim", ["widening_is_the_fix", "wide_beats_baselines", "wide_uses_its_code"])
def test_widening_both_is_the_fix(verdict_of, claim):
    """The fix: wide beats narrow and every predictor that ignores the window, and it does so through its code."""
    assert verdict_of("poetry", claim)


def test_widening_the_encoder_does_nothing(verdict_of):
    """A control, and the documented diagnosis: an 80-unit encoder leaves the score where it was."""
    assert verdict_of("poetry", "encoder_widening_does_nothing")


def test_widening_the_decoder_is_what_helps(verdict_of):
    """The option that shows the cause: with an 8-unit encoder and an 80-unit decoder most of the gain is there."""
    assert verdict_of("poetry", "decoder_widening_is_what_helps")


def test_widening_does_not_help_where_the_code_is_too_small(verdict_of):
    """A control: on independent words narrow is the constant, and a ceiling of 1 brings wide hardly further."""
    assert verdict_of("poetry", "iid_narrow_is_the_constant")
    assert verdict_of("poetry", "iid_widening_hardly_helps")


def test_the_count_of_utilised_dimensions_cannot_fail(verdict_of):
    """A signal that could not have told: it counts two dimensions too many, even where codes are ignored."""
    assert verdict_of("poetry", "utilisation_cannot_fail")


@pytest.mark.parametrize("broken", NARROW_DECODERS)
@pytest.mark.parametrize("claim", CLAIMS_OF_THE_FIX)
def test_claims_of_the_fix_fail_on_the_broken_variant(verdict_of, claim, broken):
    """Self-proof: the same claims, given runs with 8 decoder units in the place of wide ones, fail."""
    assert verdict_of("poetry", claim, relabel={"wide": broken}).ok is False


@pytest.mark.parametrize("claim", [*SIGNATURE, "encoder_widening_does_nothing", "decoder_widening_is_what_helps"])
def test_claims_of_the_bug_fail_on_the_fixed_variant(verdict_of, claim):
    """Self-proof: the same signature, looked for in wide runs, is not there."""
    assert verdict_of("poetry", claim, relabel={"narrow": "wide"}).ok is False


@pytest.mark.parametrize(
    ("claim", "relabel"),
    [
        ("encoder_widening_does_nothing", {"encoder_only_wide": "decoder_only_wide"}),
        ("decoder_widening_is_what_helps", {"decoder_only_wide": "encoder_only_wide"}),
        ("iid_narrow_is_the_constant", {"iid_narrow": "iid_wide"}),
        ("iid_widening_hardly_helps", {"iid_wide": "wide"}),
        ("utilisation_cannot_fail", {"iid_narrow": "iid_wide"}),
    ],
)
def test_claims_of_the_controls_fail_where_the_control_works(verdict_of, claim, relabel):
    """Self-proof: a control that did help, or a code that is used, would be seen."""
    assert verdict_of("poetry", claim, relabel=relabel).ok is False


@pytest.mark.parametrize("place", range(3))
def test_a_run_above_its_ceiling_would_be_seen(runs_of, place):
    """Self-proof: wide scores beside the ceiling of 8 units, as if the width were recorded wrong, fail the theorem."""
    part = find_case("poetry").claim("no_run_exceeds_its_ceiling").check.parts[place]
    (narrow,) = part.variants
    runs = runs_of("poetry", ["wide", narrow])
    ceiling = {run.seed: run.metrics["token_ceiling"] for run in runs[narrow]}
    leaky = [
        replace(run, metrics=run.metrics | {"token_ceiling": ceiling[run.seed]})
        for run in runs["wide"]
        if run.seed in ceiling
    ]
    assert part(runs)
    assert part({narrow: leaky}).ok is False
