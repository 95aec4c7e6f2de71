"""RoastFormer's `use_flavors` and `use_normalization` were read by nothing: "flavors help 14 %" compared two seeds.

The settings that a run was given were not those that it used. Here every setting of the case changes the data, the
weights or the losses of a run of two steps, and a case that ignores a flag is caught by the same question.
"""

from __future__ import annotations

from dataclasses import fields, replace

from goldmark.cases.roast import CASE, RoastCase
from goldmark.checks import check_unread_setting
from goldmark.runs import Job
from goldmark.training._single import train_single

TINY = replace(
    CASE.settings, n_train=4, n_val=3, length=8, shortest=5, n_flavors=4, width=4, layers=1, feedforward=4, steps=2
)
OTHERS = {
    "n_train": 5,
    "n_val": 4,
    "length": 9,
    "shortest": 6,
    "grid_s": 30,
    "vocabulary": (4, 3, 3, 3),
    "n_flavors": 5,
    "use_flavors": False,
    "generated_steps": 3,
    "input_scale": "raw",
    "target_scale": "zscore",
    "width": 8,
    "heads": 1,
    "layers": 2,
    "feedforward": 8,
    "embedding": 4,
    "dropout": 0.5,
    "positions": "rotary",
    "residual": True,
    "mean_bias": True,
    "lr": 1e-2,
    "lr_min": 1e-3,
    "weight_decay": 0.5,
    "clip": 0.01,
    "steps": 3,
    "cosine_steps": 9,
    "batch": 2,
}


class NoFlags(RoastCase):
    """The record's: the flags are part of the settings, and nothing reads them."""

    def make_data(self, settings, seed):
        """Make raw data, whatever the settings say of scales."""
        return super().make_data(replace(settings, input_scale="raw", target_scale="raw"), seed)

    def make_model(self, settings, data):
        """Make a model with flavors, whatever the settings say."""
        return super().make_model(replace(settings, use_flavors=True), data)


def trace_of(case, seed=0):
    """Return the trace of a short run of a case with given settings: rates, and all that was measured."""

    def trace(settings):
        run = train_single(Job(replace(case, settings=settings), "normalized", seed))
        rows = [value for row in run.history for value in row.values()]
        return [*run.metrics.values(), *rows, *(rate for rates in run.learning_rates for rate in rates)]

    return trace


RECORD_S = NoFlags(**{field.name: getattr(CASE, field.name) for field in fields(CASE)})
FLAGS = ("use_flavors", "input_scale", "target_scale")


def test_every_setting_is_read():
    """All 27, none left out: with another value the same seed trains another run."""
    assert {field.name for field in fields(CASE.settings)} == set(OTHERS)
    finding = check_unread_setting(trace_of(CASE), TINY, OTHERS)
    assert not finding.trouble, f"a flag that nothing reads: {finding.advice}"


def test_record_s_flags_are_read_by_nothing():
    """With and without flavors, normalized or not: the same run, bit for bit; another seed is another run."""
    finding = check_unread_setting(trace_of(RECORD_S), TINY, {flag: OTHERS[flag] for flag in (*FLAGS, "width")})
    assert finding.trouble
    assert {"width"} == {name for name, n_changed in finding.numbers.items() if n_changed}
    assert "use_flavors, input_scale, target_scale" in finding.advice
    assert trace_of(RECORD_S)(TINY) != trace_of(RECORD_S, seed=1)(TINY)
