"""Variants that differ in what they say, runs that repeat, and the check that only this case needs."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, replace

import pytest

from goldmark.cases.poetry import CASE
from goldmark.cases.poetry.experiments import above_ceiling_of
from goldmark.cases.poetry.full import FULL
from goldmark.runs import Job
from goldmark.training._single import train_single


@pytest.mark.parametrize(
    ("variant", "other", "expected"),
    [
        ("narrow", "wide", {"encoder_hidden": 8, "decoder_hidden": 8}),
        ("encoder_only_wide", "narrow", {"encoder_hidden": 80}),
        ("encoder_only_wide", "wide", {"decoder_hidden": 8}),
        ("decoder_only_wide", "narrow", {"decoder_hidden": 80}),
        ("decoder_only_wide", "wide", {"encoder_hidden": 8}),
        ("iid_narrow", "narrow", {"text": "iid"}),
        ("iid_wide", "wide", {"text": "iid"}),
    ],
)
def test_variant_differs_in_what_it_says_and_nothing_else(variant, other, expected):
    """The recipes of two variants differ in the named settings alone."""
    mine, theirs = (asdict(CASE.settings_of(name)) for name in (variant, other))
    assert expected == {name: value for name, value in mine.items() if value != theirs[name]}


def test_what_variants_claims_and_guards_name_exists():
    """`seen_by` and guards name metrics of the case, guards and claims its variants; no name is given twice."""
    variants, metrics = [variant.name for variant in CASE.variants], [metric.name for metric in CASE.metrics]
    claims = [claim.name for claim in CASE.claims]
    for names in (variants, metrics, claims):
        assert sorted(set(names)) == sorted(names)
    for variant in CASE.variants:
        assert {variant.seen_by, *variant.guards} <= {*metrics, "none"}
        assert set(variant.guards.values()) <= set(variants)
    assert {name for claim in CASE.claims for name in claim.variants} <= set(variants)


@pytest.mark.parametrize("case", [CASE, FULL], ids=lambda case: case.scale)
def test_claims_say_the_limits_that_they_hold(case):
    """A limit that is moved without its sentence, or a sentence without its limit, is seen; 0 and 1 go unsaid."""
    for claim in case.claims:
        for part in claim.check.parts:
            limit = f"{abs(part.limit):g}".removeprefix("0")
            assert limit in {"", "1", *re.findall(r"\.?\d+", claim.says)}, f"{part.says} {part.relation} {part.limit}"


@pytest.fixture(scope="module")
def small_run():
    """A run of a small recipe, one step long."""
    settings = replace(CASE.settings, n_train=96, n_val=40, encoder_hidden=10, decoder_hidden=4, steps=1, batch=32)
    return train_single(Job(replace(CASE, settings=settings), "wide", 0))


def test_run_repeats_bit_by_bit(small_run, settings):
    """The same seed gives the same metrics and the same stream; another seed gives others."""
    case = replace(CASE, settings=replace(settings, steps=1))
    again, other = (train_single(Job(case, "wide", seed)) for seed in (0, 1))
    for name, value in small_run.metrics.items():
        assert value == again.metrics[name], name
    assert small_run.stream == again.stream
    assert small_run.metrics["token_cosine"] != other.metrics["token_cosine"]
    assert small_run.stream != other.stream


def test_score_above_the_narrow_ceiling_counts_only_on_the_same_seed(small_run):
    """Each wide run is held to the ceiling of the narrow run with its own seed; the worst gap is the value."""

    def scored(seed, cosine, ceiling):
        return replace(small_run, seed=seed, metrics={"token_cosine": cosine, "token_ceiling": ceiling})

    runs = {
        "wide": [scored(0, 0.9, 1.0), scored(1, 0.8, 1.0), scored(2, 0.1, 1.0)],
        "narrow": [scored(1, 0.5, 0.75), scored(0, 0.5, 0.6)],
    }
    verdict = above_ceiling_of("wide", "narrow", 0.04)(runs)
    assert verdict
    assert (0.04, 2, 1) == (verdict.limit, verdict.n_seeds, verdict.worst_seed)
    assert 0.05 == pytest.approx(verdict.value)
    assert above_ceiling_of("wide", "narrow", 0.06)(runs).ok is False


def test_score_at_the_margin_above_the_narrow_ceiling_is_not_above_it(small_run):
    """The check is strict: a wide run at the very ceiling could be a narrow one; NaN fails."""
    for cosine, ok in ((0.75, False), (math.nextafter(0.75, 1), True), (math.nan, False)):
        run = replace(small_run, metrics={"token_cosine": cosine, "token_ceiling": 0.75})
        assert ok is above_ceiling_of("wide", "narrow", 0.0)({"wide": [run], "narrow": [run]}).ok
