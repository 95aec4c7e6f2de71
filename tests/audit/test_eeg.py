"""The EEG record: its numbers by a second computation, verdicts that turn with what they read, and nothing left out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from goldmark.audit import Computed, answer, statements_of, variants_of
from goldmark.audit.eeg import _losses, _recipes, _trials
from goldmark.case import Score
from goldmark.cases import case_at
from goldmark.cases.eeg.full import FULL
from goldmark.runs import by_variant
from goldmark.training import train

STATEMENTS = {statement.name: statement for statement in statements_of("eeg")}
OF_RECIPES = {statement.name for statement in _recipes.STATEMENTS}


@pytest.fixture(scope="module")
def runs(runs_of):
    """The catalogue's runs of every variant that the statements read."""
    return runs_of("eeg", variants_of("eeg"))


def row(name, runs=()):
    """The row of a statement on runs of the fast scale."""
    return answer("eeg", STATEMENTS[name], {"fast": dict(runs)})


def value(name, part=0):
    """The number that a part of a statement computes."""
    return STATEMENTS[name].parts[part].compute()


# --- every number on record


DOCUMENTED = [  # of the tables and of the text, in their order
    *(0.160597, 2.027, 0.079314, 0.079508, 0.160783, 0.160919, 0.160764, 0.160983, 0.160740, 0.160780, 0.16058),
    *(74_753, 53_025, 1e-3, 0.05, 64, 15, 0.3, 0.1, 25, 50, 0.5, 0.6, 0.7, 0.01, 0.02, 0.2, 0.4, 0.085, 0.095),
    *(0.098634, 2.4 / 2.6, 1.0002, 0.02, 2.012, 0.726, 0.954, 0.06, 13 / 16, 0.842, 0.13, 15 / 16, 0.588, 0.905),
    *(0.733, 0.794, 0.985, 0.798, 17, 32, 7, 8, 0.771 / 0.982, 1.002, 0.664, 2.27, 4e-5, 0.9, 0.979, 0.782, 1.075),
    *(0.892, 2e-2, 4e-6, 0.017, 0.160837),
]
IN_WORDS = [
    "24,467",
    "16,604",
    "95,441",
    "2.498",
    "0.160418",
    ".75",
    "0.89 to 0.92",
    ".94 to 1.03",
    "5.6x",
    "41",
    ".910",
]


@pytest.mark.parametrize("number", DOCUMENTED)
def test_every_number_on_record_is_one_of_a_statement(number):
    """Beside its statement, as the documented one."""
    assert any(pytest.approx(number, rel=1e-9) == s.documented for s in STATEMENTS.values() if s.documented is not None)


@pytest.mark.parametrize("text", IN_WORDS)
def test_numbers_beside_others_are_in_the_sentence(text):
    """What is one of several numbers of a statement, or has no measure here."""
    assert any(text in statement.says for statement in STATEMENTS.values())


# --- a second computation


def test_constant_scores_as_its_integrals_do():
    """MSE and SmoothL1 of the mean on a normal, by scipy; 10,000 quantiles lack a thousandth of the tails."""
    normal = stats.norm(0, 0.4007)
    smooth = normal.expect(lambda e: np.where(np.abs(e) < 1, e**2 / 2, np.abs(e) - 0.5))
    assert pytest.approx(smooth, rel=1e-3) == value("v8_is_a_constant")
    assert pytest.approx(normal.var(), rel=1e-3) == value("ensemble_v1_is_a_constant")


@pytest.mark.parametrize(
    ("name", "mean", "sd"),
    [
        ("f2_documented", 0.954, 0.06),
        ("f6_documented", 0.905, 0.19),
        ("f2_strong", 0.842, 0.13),
        ("f6_strong", 0.733, 0.26),
    ],
)
def test_pairs_needed_are_those_of_the_noncentral_t(name, mean, sd):
    """The fewest seeds with power .9, by scipy; the approximation may be off by one."""
    effect = -math.log(mean) / sd

    def power(n):
        """Of a one-sided t test at .05 with n pairs."""
        return stats.nct.sf(stats.t.isf(0.05, n - 1), n - 1, effect * math.sqrt(n))

    fewest = next(n for n in range(2, 100) if power(n) >= 0.9)
    assert abs(fewest - value(f"seeds_for_{name}")) <= 1


def test_average_of_constants_gains_no_more_than_its_bound():
    """Five constants as far from the mean as v3's errors say, on either side of it: the gain, simulated by numpy."""
    offsets = np.sqrt([score.value - 0.160597 for score in _losses.V3])
    for signs in np.random.default_rng(0).choice([-1, 1], size=(20, 5)):
        of_members = 0.160597 + offsets**2
        of_average = 0.160597 + (signs * offsets).mean() ** 2
        assert 1 - of_average / of_members.mean() <= value("average_gains_a_few_percent") * (1 + 1e-9)


def test_excess_of_a_mixture_is_measured():
    """A mixture with another weight than that of the loss has another excess."""
    assert pytest.approx(1.0, rel=1e-12) == _trials.mixing_constant()


# --- verdicts that turn


def test_decision_depends_on_the_error():
    """A constant goes on, an error half as large again is stopped, one between is marginal."""
    errors = [Score(metric=_losses.MSE, value=error) for error in (0.1608, 0.18, 0.24)]
    assert [0.0, 1.0, 2.0] == [_losses.decision_in_unit(error) for error in errors]


def test_factor_depends_on_the_errors():
    """2 up to 1 s, and beyond it what the integrals of both over evenly spread errors give."""
    assert 2.0 == pytest.approx(_losses.factor(0.5)) == pytest.approx(_losses.factor(1.0))
    smooth_l1 = (1 / 6 + (1.5**2 - 1.5) / 2) / 1.5  # of e^2 / 2 up to 1, and e - 1/2 from there to 1.5
    assert pytest.approx(0.75 / smooth_l1, rel=2e-3) == _losses.factor(1.5)  # 1,001 errors for the integral


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"weight_decay": 0.2}, ["v8_weight_decay"]),
        ({"loss": "mse"}, ["v8_loss"]),
        ({"conv_dropout": (0.5, 0.6, 0.5)}, ["v8_conv_dropout"]),
        ({"steps": 1}, ["v8_epochs"]),
        ({"kernels": (7, 5, 5)}, ["compact_rt_parameters"]),
        ({"samples": 400}, ["windows_are_129_channels_of_200_samples"]),
    ],
)
def test_recipe_that_departs_from_the_record_turns_its_verdict(monkeypatch, change, names):
    """Of its own cell, and of what is built from it; the other cells keep theirs."""
    cells = {*names, *(name for name in STATEMENTS if name.startswith("v8_") and name in OF_RECIPES)}
    assert {"confirmed"} == {row(name).answer for name in cells}
    monkeypatch.setattr(_recipes, "FULL", replace(FULL, settings=replace(FULL.settings, **change)))
    assert {*names} == {name for name in cells if row(name).answer != "confirmed"}


@pytest.mark.parametrize(
    ("name", "expected", "relabel", "turned"),
    [
        ("missing_mixup_is_the_cause", "refuted", {"no_mixup": "volts", "mixup": "scaled_noise"}, "confirmed"),
        ("challenge_score_is_that_of_the_mean", "confirmed", {"volts": "scaled_noise"}, "refuted"),
        ("augmentation_is_of_no_benefit", "refuted", {"mixup": "volts"}, "confirmed"),
        ("first_layer_saw_the_noise", "confirmed", {"volts": "scaled_noise"}, "partly"),
        ("contract_tells_a_wrong_mixup", "confirmed", {"inputs_only_mixup": "mixup"}, "partly"),
        ("volts_and_zscores_do_not_overlap", "confirmed", {"volts": "scaled_noise"}, "refuted"),
        ("mixup_ratio", "confirmed", {"mixup": "no_mixup"}, "refuted"),
    ],
)
def test_runs_of_another_variant_turn_a_verdict(runs, name, expected, relabel, turned):
    """What is measured decides: given other runs in the place of its own, a statement says otherwise."""
    assert expected == row(name, runs).answer
    assert turned == row(name, runs | {name: runs[source] for name, source in relabel.items()}).answer


def test_every_verdict_on_training_can_turn(runs):
    """Each measured part misses its range on one of three inventions: runs that do not differ, and far off ones."""
    for statement in STATEMENTS.values():
        for part in statement.parts if statement.scale == "fast" else ():
            if isinstance(part, Computed) or "trouble" in str(part):
                continue
            inventions = [scaled(runs, part.variants[:1], by) for by in (1e-3, 1e3)]
            inventions.append(dict.fromkeys(part.variants, runs[part.variants[-1]]))
            assert False in {part.read(invented).ok for invented in inventions}, (statement.name, part)


def scaled(runs, names, scale):
    """Runs of which those of some variants have all numbers multiplied, and those of odd seeds twice."""

    def changed(run):
        """One run, multiplied."""
        factor, by = "mean_mse_over_smooth_l1", scale ** (1 + run.seed % 2)
        findings = tuple(
            replace(finding, numbers={key: number * by for key, number in finding.numbers.items()})
            for finding in run.findings
        )
        return replace(
            run,
            metrics={metric: number * by for metric, number in run.metrics.items()},
            close={**run.close, factor: run.close[factor] * by},
            findings=findings,
        )

    return {**runs, **{name: [changed(run) for run in runs[name]] for name in names}}


def test_full_size_is_told_by_its_command():
    """Without runs of the documented size a statement names what would test it, and with miniatures it is judged."""
    smoke = case_at("eeg", "smoke")
    names = ["v8", "ensemble_v2"]
    runs = by_variant(train(smoke, names, seeds=[0]))
    judged = [s for s in STATEMENTS.values() if s.scale == "full" and {*s.variants} <= {*names}]
    assert len(judged) >= 3
    for statement in judged:
        without = answer("eeg", statement, {})
        assert "not testable here" == without.answer
        assert "; test it with: goldmark matrix eeg --only 'eeg/" in without.why
        assert "not testable here" != answer("eeg", statement, {"full": runs}).answer
